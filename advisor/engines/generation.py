"""Greedy decoding in batches.

Rows are sorted by length, the shared prefix is computed once, and finished rows
leave the batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from advisor.core import TokenIds
from advisor.engines import layout

# Decoding gains little past 32 rows on a CPU, and prompts of about 8k tokens in all
# keep the activations of one pass within a few hundred MiB at this model size.
ROWS = 32
PROMPT_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Decoded:
    """The new tokens of one row, without the end token, and its share of the time."""

    tokens: TokenIds
    seconds: float


@torch.inference_mode()
def greedy(
    model: Any, prompts: Sequence[TokenIds], *, max_tokens: int, ends: frozenset[int]
) -> Iterator[tuple[int, Decoded]]:
    """Yield (index, Decoded) for every prompt, batch by batch."""
    prefix = layout.shared_prefix(prompts)
    started = time.perf_counter()
    cache = None
    if prefix:
        ids = torch.tensor([prompts[0][:prefix]], device=model.device)
        cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
    waiting = time.perf_counter() - started
    for batch in _batches(prompts, prefix):
        started = time.perf_counter()
        rows = [prompts[i] for i in batch]
        tokens = _decode(model, rows, cache, max_tokens=max_tokens, ends=ends)
        spent = time.perf_counter() - started + waiting
        waiting = 0.0
        yield from (
            (i, Decoded(row, spent / len(batch))) for i, row in zip(batch, tokens, strict=True)
        )


def _batches(prompts: Sequence[TokenIds], prefix: int) -> Iterator[list[int]]:
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    while order:
        longest = len(prompts[order[0]]) - prefix
        rows = max(1, min(ROWS, PROMPT_TOKENS // longest))
        yield order[:rows]
        order = order[rows:]


def _decode(
    model: Any, rows: list[TokenIds], prefix_cache: Any, *, max_tokens: int, ends: frozenset[int]
) -> list[TokenIds]:
    prefix = prefix_cache.get_seq_length() if prefix_cache is not None else 0
    batch = layout.pad(rows, prefix, filler=min(ends), device=model.device)
    cache = layout.repeat(prefix_cache, len(rows)) if prefix_cache is not None else None
    ids, mask, positions = batch.ids, batch.mask, batch.positions
    said: list[list[int]] = [[] for _ in rows]
    alive = list(range(len(rows)))
    for _ in range(max_tokens):
        output = model(
            input_ids=ids, attention_mask=mask, position_ids=positions,
            past_key_values=cache, use_cache=True, logits_to_keep=1,
        )
        cache = output.past_key_values
        chosen = output.logits[:, -1].argmax(dim=-1)
        keep = [slot for slot, token in enumerate(chosen.tolist()) if token not in ends]
        for slot in keep:
            said[alive[slot]].append(int(chosen[slot]))
        if not keep:
            break
        positions = positions[:, -1:] + 1
        if len(keep) < len(alive):
            index = torch.tensor(keep, device=model.device)
            cache.batch_select_indices(index)
            mask, positions, chosen = mask[index], positions[index], chosen[index]
            alive = [alive[slot] for slot in keep]
        ids = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones((len(keep), 1))], dim=1)
    return [tuple(row) for row in said]
