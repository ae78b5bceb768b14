"""Log-likelihoods of continuations, computed in single precision.

Requests that begin alike share that beginning: what is fed is written down as a tree, each
token once, and the attention mask lets a token see its own ancestors only. So the answers to
one question share the question, and questions that open with the same words those words.
Contexts that share much, as those of a few-shot suite do, share it across all rows.
Reduced precision flips 2-4% of argmaxes, which is as much as the forgetting that is
to be measured, so weights kept in bfloat16 are widened (losslessly) while scoring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from advisor.engines import layout, packing
from advisor.engines.attention import Beginning
from advisor.engines.protocol import TokenIds

Pair = tuple[TokenIds, TokenIds]
# Tokens of a pass, with padding, where no single row is wider. More of them leave the caches of
# a CPU, and few are little work for a GPU (docs/performance.md has the figures for a CPU).
CPU_TOKENS, GPU_TOKENS = 512, 2048
# Short requests fill a row up to this many tokens. In a wider one tokens share more, and look
# at more that is masked; a longer text goes on by as much as a pass holds.
WIDTH = 64
# Contexts are compared by this many first tokens; a shorter beginning is not worth a cache.
BEGINNING = 64


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked, and its place among the requests; `continuation` is not empty."""

    index: int
    context: TokenIds
    continuation: TokenIds

    @property
    def fed(self) -> TokenIds:
        """The last token is predicted, never fed."""
        return self.context + self.continuation[:-1]


@dataclass(slots=True)
class _Row:
    """A tree of tokens, depth first: `parents` are columns, -1 where a text begins. `columns`
    has for every request those whose logits predict its continuation."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    requests: list[_Request] = field(default_factory=list)
    columns: list[list[int]] = field(default_factory=list)
    path: list[int] = field(default_factory=list)

    def shared(self, fed: TokenIds) -> int:
        """How many tokens the last text of the row has in common with `fed`."""
        pairs = zip(self.path, fed, strict=False)
        return next((n for n, (column, token) in enumerate(pairs) if self.ids[column] != token),
                    min(len(self.path), len(fed)))

    def takes(self, fed: TokenIds) -> bool:
        """Whether `fed` goes into this row: past the width of a row, only if it shares more
        than it adds."""
        shared = self.shared(fed)
        added = len(fed) - shared
        width = len(self.ids) + added
        return width <= WIDTH or (added < shared and width <= CPU_TOKENS + len(fed))

    def add(self, request: _Request) -> None:
        fed = request.fed
        shared, end = self.shared(fed), len(self.ids)
        self.path = self.path[:shared] + list(range(end, end + len(fed) - shared))
        self.ids += fed[shared:]
        self.positions += range(shared, len(fed))
        self.parents += [-1, *self.path][shared : len(fed)]
        self.requests.append(request)
        self.columns.append(self.path[len(request.context) - 1 :])


def score(model: Any, pairs: Sequence[Pair], *, context_length: int) -> list[tuple[float, bool]]:
    """(sum of natural-log probabilities, is greedy) for every (context, continuation)."""
    results: list[tuple[float, bool]] = [(0.0, True)] * len(pairs)
    tokens = GPU_TOKENS if model.device.type == "cuda" else CPU_TOKENS
    # In this order: parameters made inside inference mode could not be tuned afterwards.
    with single_precision(model), torch.inference_mode():
        for beginning, requests in _families(model, _requests(pairs, context_length)):
            shared = layout.read(model, beginning)
            for rows in _passes(_rows(requests), tokens):
                for index, result in _score_pass(model, rows, shared):
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


def _requests(pairs: Sequence[Pair], context_length: int) -> list[_Request]:
    found = []
    for index, (context, continuation) in enumerate(pairs):
        if not continuation:
            continue  # nothing to say has probability 1
        # lm-eval's own rule: too long a context loses its beginning. The last token is
        # predicted but never fed, so one more than the model reads may stand in a row.
        room = context_length + 1 - len(continuation)
        found.append(_Request(index, context[-room:] if room > 0 else context[-1:], continuation))
    return found


def _families(
    model: Any, requests: Sequence[_Request]
) -> Iterator[tuple[TokenIds, list[_Request]]]:
    """Requests whose contexts begin alike, without that beginning; then all others."""
    alike: dict[TokenIds, list[_Request]] = {}
    for request in requests:
        alike.setdefault(request.context[:BEGINNING], []).append(request)
    loners: list[_Request] = []
    for family in alike.values():
        length = layout.shareable(model, list({request.context for request in family}))
        if length < BEGINNING:
            loners += family
            continue
        yield family[0].context[:length], [
            replace(request, context=request.context[length:]) for request in family
        ]
    yield (), loners


def _rows(requests: Sequence[_Request]) -> list[_Row]:
    """Rows of the requests, narrow ones first. In the order of their tokens, those that begin
    alike are neighbours."""
    rows: list[_Row] = []
    for request in sorted(requests, key=lambda request: request.fed):
        if not rows or not rows[-1].takes(request.fed):
            rows.append(_Row())
        rows[-1].add(request)
    return sorted(rows, key=lambda row: len(row.ids))


def _passes(rows: Sequence[_Row], tokens: int) -> Iterator[list[_Row]]:
    batch: list[_Row] = []
    for row in rows:  # ascending width, so the newcomer sets the padded width
        if batch and len(row.ids) * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _score_pass(
    model: Any, rows: Sequence[_Row], beginning: Beginning
) -> Iterator[tuple[int, tuple[float, bool]]]:
    """Score rows that stand behind `beginning`."""
    hidden = layout.run(model, _batch(rows, len(beginning), model.device), beginning)
    # Requests that go on alike ask for the same logits: each position is taken once.
    places: dict[tuple[int, int], int] = {}
    wanted = [
        (request, [places.setdefault((n, column), len(places)) for column in columns])
        for n, row in enumerate(rows)
        for request, columns in zip(row.requests, row.columns, strict=True)
    ]
    where = torch.tensor(list(places), device=hidden.device)
    logits = layout.logits(model, hidden[where[:, 0], where[:, 1]])
    asked = torch.tensor([place for _, found in wanted for place in found], device=hidden.device)
    tokens = torch.tensor([token for request, _ in wanted for token in request.continuation],
                          device=hidden.device)
    chosen = (logits[asked, tokens] - logits.logsumexp(dim=-1)[asked]).double().cpu()
    greedy = (logits.argmax(dim=-1)[asked] == tokens).cpu()
    start = 0
    for request, found in wanted:
        part = slice(start, start + len(found))
        yield request.index, (float(chosen[part].sum()), bool(greedy[part].all()))
        start += len(found)


def _batch(rows: Sequence[_Row], before: int, device: torch.device) -> layout.Batch:
    """The rows padded on the right, `before` tokens behind the start."""
    width = max(len(row.ids) for row in rows)
    ids, positions = np.zeros((2, len(rows), width), dtype=np.int64)
    visible = np.tile(np.eye(width, dtype=bool), (len(rows), 1, 1))
    for n, row in enumerate(rows):
        ids[n, : len(row.ids)] = row.ids
        positions[n, : len(row.ids)] = row.positions
        for column, parent in enumerate(row.parents):
            if parent >= 0:  # what its parent sees, which stands before it
                visible[n, column] |= visible[n, parent]
    return layout.Batch(*(
        torch.from_numpy(array).to(device) for array in (ids, positions + before, visible[:, None])
    ))
