"""Greedy decoding in batches.

Rows are sorted by length, the shared prefix is computed once, prompts are read in
smaller batches than answers are written in, and finished rows leave the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from advisor.engines import layout
from advisor.engines.protocol import TokenIds

# Decoding gains little past 32 rows on a CPU; their keys and values are the larger part
# of what a batch needs. Prompts of about 4k tokens in all keep the activations of one pass
# within a few hundred MiB at this model size.
ROWS = 32
CACHED_TOKENS = 49152
PROMPT_TOKENS = 4096

# Logits [rows, vocabulary] to one token a row.
Choose = Callable[[torch.Tensor], torch.Tensor]
Ended = Callable[[Sequence[int]], bool]
# Prompts by index, what each has said so far, and their logits: the logits to choose from.
Steer = Callable[[Sequence[int], Sequence[Sequence[int]], torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The new tokens of one row, without the end token, and its share of the time."""

    tokens: TokenIds
    seconds: float


@torch.inference_mode()
def greedy(
    model: Any,
    prompts: Sequence[TokenIds],
    *,
    max_tokens: int,
    ends: frozenset[int],
    ended: Ended,
    steer: Steer | None = None,
) -> Iterator[tuple[int, Decoded]]:
    """Yield (index, Decoded) for every prompt, batch by batch.

    A row ends at a token of `ends`, which is dropped, or once `ended` says so of all its
    tokens so far, which are kept. `steer` sees the logits before each choice.
    """
    if not prompts:
        return
    prefix = layout.shareable(model, prompts)
    started = time.perf_counter()
    cache = layout.read(model, prompts[0][:prefix])
    waiting = time.perf_counter() - started
    for batch in _batches(prompts):
        started = time.perf_counter()
        rows = [prompts[i] for i in batch]
        tokens = _decode(
            model, rows, cache, max_tokens=max_tokens, ends=ends, ended=ended,
            choose=_most_likely, steer=_within(batch, steer),
        )
        spent = time.perf_counter() - started + waiting
        waiting = 0.0
        yield from (
            (i, Decoded(row, spent / len(batch))) for i, row in zip(batch, tokens, strict=True)
        )


@torch.inference_mode()
def sampled(
    model: Any, starts: Sequence[TokenIds], *, tokens: int, seed: int
) -> list[TokenIds]:
    """Continue each start by `tokens` tokens, drawn at temperature 1; nothing ends a text."""
    generator = torch.Generator(model.device).manual_seed(seed)

    def draw(logits: torch.Tensor) -> torch.Tensor:
        return torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]

    texts = list[TokenIds]()
    for start in range(0, len(starts), ROWS):
        rows = list(starts[start : start + ROWS])
        said = _decode(model, rows, layout.read(model, ()), max_tokens=tokens,
                       ends=frozenset(), ended=lambda _: False, choose=draw)
        texts += [(*row, *more) for row, more in zip(rows, said, strict=True)]
    return texts


def _batches(prompts: Sequence[TokenIds]) -> Iterator[list[int]]:
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    while order:
        rows = max(1, min(ROWS, CACHED_TOKENS // max(1, len(prompts[order[0]]))))
        yield order[:rows]
        order = order[rows:]


def _within(batch: Sequence[int], steer: Steer | None) -> Steer | None:
    """`steer` for the rows of a batch, which count from 0."""
    if steer is None:
        return None
    return lambda rows, said, logits: steer([batch[row] for row in rows], said, logits)


def _most_likely(logits: torch.Tensor) -> torch.Tensor:
    return logits.argmax(dim=-1)


def _decode(
    model: Any,
    rows: list[TokenIds],
    shared: Any,
    *,
    max_tokens: int,
    ends: frozenset[int],
    ended: Ended,
    choose: Choose,
    steer: Steer | None = None,
) -> list[TokenIds]:
    prefix = shared.get_seq_length()
    batch = layout.pad(rows, prefix, filler=0, device=model.device)
    logits, cache = _read(model, batch, shared, room=max_tokens)
    mask, positions = batch.mask, batch.positions
    said: list[list[int]] = [[] for _ in rows]
    alive = list(range(len(rows)))
    chosen = choose(steer(alive, said, logits) if steer else logits)
    for last in range(max_tokens - 1, -1, -1):
        keep = []
        for slot, token in enumerate(chosen.tolist()):
            if token not in ends:
                said[alive[slot]].append(token)
                if not ended(said[alive[slot]]):
                    keep.append(slot)
        if not keep or not last:
            break
        positions = positions[:, -1:] + 1
        if len(keep) < len(alive):
            index = torch.tensor(keep, device=model.device)
            cache.batch_select_indices(index)
            mask, positions, chosen = mask[index], positions[index], chosen[index]
            alive = [alive[slot] for slot in keep]
        mask = torch.cat([mask, mask.new_ones((len(keep), 1))], dim=1)
        logits, cache = _step(model, chosen[:, None], mask, positions, cache)
        if steer:
            logits = steer(alive, [said[row] for row in alive], logits)
        chosen = choose(logits)
    return [tuple(row) for row in said]


def _read(
    model: Any, batch: layout.Batch, shared: Any, *, room: int
) -> tuple[torch.Tensor, Any]:
    """Run the prompts, a few rows at a time: last logits, and a cache with room to write."""
    rows, width = batch.ids.shape
    at_once = max(1, PROMPT_TOKENS // width)
    logits, caches = list[torch.Tensor](), list[Any]()
    for start in range(0, rows, at_once):
        part = slice(start, start + at_once)
        ids = batch.ids[part]
        cache = layout.repeat(shared, len(ids))
        last, cache = _step(model, ids, batch.mask[part], batch.positions[part], cache)
        logits.append(last)
        caches.append(cache)
    return torch.cat(logits), layout.join(caches, room)


def _step(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any
) -> tuple[torch.Tensor, Any]:
    """Logits [rows, vocabulary] of every row's next token, and the cache grown by `ids`."""
    output = model.get_decoder()(
        input_ids=ids, attention_mask=mask, position_ids=positions,
        past_key_values=cache, use_cache=True,
    )
    # The head's product of a slice [rows, 1, width] would copy its weights once a row.
    return layout.logits(model, output.last_hidden_state[:, -1]), output.past_key_values
