"""Log-likelihoods of continuations, computed in single precision.

Continuations of one context share its computation: a row is `context | c1 | c2 ...`
and the attention mask lets every continuation see the context and itself only.
Contexts that begin alike, as those of a few-shot suite do, share that beginning too.
Reduced precision flips 2-4% of argmaxes, which is as much as the forgetting that is
to be measured, so weights kept in bfloat16 are widened (losslessly) while scoring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from advisor.engines import layout, packing
from advisor.engines.attention import Beginning
from advisor.engines.protocol import TokenIds

Pair = tuple[TokenIds, TokenIds]
# The mask is rows x width x width; this bounds it and the activations.
TOKENS_PER_PASS = 2048
# Contexts are compared by this many first tokens; a shorter beginning is not worth a cache.
BEGINNING = 64


@dataclass(frozen=True, slots=True)
class _Tree:
    """A context and, per continuation, the index of the request it answers."""

    context: TokenIds
    branches: tuple[tuple[int, TokenIds], ...]

    @property
    def width(self) -> int:
        return len(self.context) + sum(len(tokens) - 1 for _, tokens in self.branches)


def score(model: Any, pairs: Sequence[Pair], *, context_length: int) -> list[tuple[float, bool]]:
    """(sum of natural-log probabilities, is greedy) for every (context, continuation)."""
    results: list[tuple[float, bool]] = [(0.0, True)] * len(pairs)
    # In this order: parameters made inside inference mode could not be tuned afterwards.
    with single_precision(model), torch.inference_mode():
        for beginning, trees in _families(model, _trees(pairs, context_length)):
            shared = layout.read(model, beginning)
            for part in _passes(trees):
                for index, result in _score_pass(model, part, shared):
                    results[index] = result
    return results


@contextmanager
def single_precision(model: Any) -> Iterator[None]:
    """Hold bfloat16 parameters as float32 meanwhile; the values do not change."""
    if model.dtype == torch.float32:
        yield
        return
    with packing.widened(model) as rest, _wide(model, rest):
        yield


@contextmanager
def _wide(model: Any, rest: Sequence[torch.nn.Parameter]) -> Iterator[None]:
    narrow = [p for p in rest if p.dtype == torch.bfloat16]
    linears = [m for m in model.modules() if getattr(m, "compute_dtype", None) == torch.bfloat16]
    for parameter in narrow:
        parameter.data = parameter.data.float()
    for linear in linears:  # 4-bit layers: dequantised into this type for each product
        linear.compute_dtype = torch.float32
    try:
        yield
    finally:
        for parameter in narrow:
            parameter.data = parameter.data.bfloat16()
        for linear in linears:
            linear.compute_dtype = torch.bfloat16


def _trees(pairs: Sequence[Pair], context_length: int) -> list[_Tree]:
    by_context: dict[TokenIds, list[tuple[int, TokenIds]]] = {}
    for index, (context, continuation) in enumerate(pairs):
        if not continuation:
            continue  # nothing to say has probability 1
        # lm-eval's own rule: too long a context loses its beginning. The last token is
        # predicted but never fed, so one more than the model reads may stand in a row.
        room = context_length + 1 - len(continuation)
        by_context.setdefault(context[-room:] if room > 0 else context[-1:], []).append(
            (index, continuation)
        )
    trees = []
    for context, branches in by_context.items():
        room = max(1, context_length - len(context))
        for part in _fit(branches, room):
            trees.append(_Tree(context, tuple(part)))
    return sorted(trees, key=lambda tree: tree.width)


def _fit(
    branches: list[tuple[int, TokenIds]], room: int
) -> Iterator[list[tuple[int, TokenIds]]]:
    part: list[tuple[int, TokenIds]] = []
    used = 0
    for branch in branches:
        if part and used + len(branch[1]) > room:
            yield part
            part, used = [], 0
        part.append(branch)
        used += len(branch[1])
    yield part


def _families(
    model: Any, trees: Sequence[_Tree]
) -> Iterator[tuple[TokenIds, list[_Tree]]]:
    """Trees whose contexts begin alike, without that beginning; in order of width."""
    alike: dict[TokenIds, list[_Tree]] = {}
    for tree in trees:
        alike.setdefault(tree.context[:BEGINNING], []).append(tree)
    loners: list[_Tree] = []
    for family in alike.values():
        length = layout.shareable(model, [tree.context for tree in family])
        if length < BEGINNING:
            loners += family
            continue
        yield family[0].context[:length], [
            _Tree(tree.context[length:], tree.branches) for tree in family
        ]
    yield (), sorted(loners, key=lambda tree: tree.width)


def _passes(trees: list[_Tree]) -> Iterator[list[_Tree]]:
    batch: list[_Tree] = []
    for tree in trees:  # ascending width, so the newcomer sets the padded width
        rows = len(batch) + 1
        if batch and tree.width * rows > TOKENS_PER_PASS:
            yield batch
            batch = []
        batch.append(tree)
    if batch:
        yield batch


def _score_pass(
    model: Any, trees: list[_Tree], beginning: Beginning
) -> Iterator[tuple[int, tuple[float, bool]]]:
    """Score trees that stand behind `beginning`."""
    width = max(tree.width for tree in trees)
    ids = torch.zeros((len(trees), width), dtype=torch.long)
    positions = torch.zeros((len(trees), width), dtype=torch.long)
    visible = torch.eye(width, dtype=torch.bool).repeat(len(trees), 1, 1)
    wanted: list[tuple[int, int, list[int], TokenIds]] = []  # request, row, columns, tokens
    for row, tree in enumerate(trees):
        for request, columns, tokens in _lay_out(tree, ids[row], positions[row], visible[row]):
            wanted.append((request, row, columns, tokens))
    batch = layout.Batch(ids.to(model.device), (positions + len(beginning)).to(model.device),
                         visible[:, None].to(model.device))
    hidden = layout.run(model, batch, beginning)
    rows = [row for _, row, columns, _ in wanted for _ in columns]
    columns_flat = [column for _, _, columns, _ in wanted for column in columns]
    tokens_flat = torch.tensor([t for *_, tokens in wanted for t in tokens], device=hidden.device)
    logits = layout.logits(model, hidden[rows, columns_flat])
    chosen = logits.gather(1, tokens_flat[:, None])[:, 0] - logits.logsumexp(dim=-1)
    greedy = logits.argmax(dim=-1) == tokens_flat
    start = 0
    for request, _, columns, _ in wanted:
        part = slice(start, start + len(columns))
        yield request, (float(chosen[part].double().sum()), bool(greedy[part].all()))
        start += len(columns)


def _lay_out(
    tree: _Tree, ids: torch.Tensor, positions: torch.Tensor, visible: torch.Tensor
) -> Iterator[tuple[int, list[int], TokenIds]]:
    """Fill one row; yields (request, columns whose logits predict it, its tokens)."""
    length = len(tree.context)
    ids[:length] = torch.tensor(tree.context)
    positions[:length] = torch.arange(length)
    visible[:length, :length] = torch.ones(length, length, dtype=torch.bool).tril()
    column = length
    for request, tokens in tree.branches:
        fed = len(tokens) - 1  # the last token is predicted, never fed
        here = slice(column, column + fed)
        ids[here] = torch.tensor(tokens[:-1], dtype=torch.long)
        positions[here] = torch.arange(length, length + fed)
        visible[here, :length] = True
        visible[here, here] = torch.ones(fed, fed, dtype=torch.bool).tril()
        yield request, [length - 1, *range(column, column + fed)], tokens
        column += fed
