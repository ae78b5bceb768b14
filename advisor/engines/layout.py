"""How rows of different length share one forward pass.

Every row is `shared prefix | left padding | own tokens`. The prefix (instruction,
fixed shots) is computed once at batch size 1 and its keys and values are repeated;
own tokens end in the same column, so that the next-token logits of all rows stand
last. Positions skip the padding, so a row's result does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from advisor.core import TokenIds

# A shorter prefix costs more in bookkeeping than it saves.
MIN_PREFIX = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows: ids [rows, width], mask [rows, prefix + width], positions as ids."""

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor


def shared_prefix(rows: Sequence[TokenIds]) -> int:
    """Length of the common beginning, leaving every row at least one token."""
    if len(rows) < 2:
        return 0
    first, last = min(rows), max(rows)
    limit = min(len(row) for row in rows) - 1
    length = 0
    while length < limit and first[length] == last[length]:
        length += 1
    return length if length >= MIN_PREFIX else 0


def pad(rows: Sequence[TokenIds], prefix: int, *, filler: int, device: torch.device) -> Batch:
    """Left-pad the parts of `rows` that follow the first `prefix` tokens."""
    own = [row[prefix:] for row in rows]
    width = max(len(row) for row in own)
    ids = torch.full((len(own), width), filler, dtype=torch.long)
    mask = torch.zeros((len(own), prefix + width), dtype=torch.long)
    mask[:, :prefix] = 1
    for index, row in enumerate(own):
        ids[index, width - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[index, prefix + width - len(row) :] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, prefix:]
    return Batch(ids.to(device), mask.to(device), positions.to(device))


def logits(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """What the model's own head makes of `hidden`, in float32, where only a few positions
    are wanted. Scales and caps that some architectures apply after it are applied."""
    out: torch.Tensor = model.get_output_embeddings()(hidden).float()
    config = model.config
    if scale := getattr(config, "logits_scaling", None):
        out = out / scale
    if scale := getattr(config, "logit_scale", None):
        out = out * scale
    if cap := getattr(config, "final_logit_softcapping", None):
        out = torch.tanh(out / cap) * cap
    return out


def repeat(cache: Any, rows: int) -> Any:
    """A new cache holding `rows` copies of a one-row cache; the original is kept.

    Gradients flow back into the original: the copies are views of it.
    """
    from transformers import DynamicCache

    copy = DynamicCache()
    for index, layer in enumerate(cache.layers):
        copy.update(
            layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), index
        )
    return copy
