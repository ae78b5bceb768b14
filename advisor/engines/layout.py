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
from transformers.cache_utils import DynamicCache, DynamicLayer

from advisor.engines.protocol import TokenIds

# A shorter prefix costs more in bookkeeping than it saves.
MIN_PREFIX = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows: ids [rows, width], mask [rows, prefix + width], positions as ids."""

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor


def shareable(model: Any, rows: Sequence[TokenIds]) -> int:
    """How much of a common beginning `model` may compute once for all rows.

    None where a layer's attention slides over columns: the padding between a beginning and
    a row's own tokens would push tokens out of its window.
    """
    config = model.config.get_text_config()
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    if slides or getattr(config, "sliding_window", None):
        return 0
    return shared_prefix(rows)


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


def read(model: Any, tokens: TokenIds) -> Any:
    """The keys and values of one row of `tokens`; an empty cache for none.

    Every layer keeps all of them, sliding ones too, whose masks then do the sliding:
    rows can be joined and thinned alike.
    """
    cache = DynamicCache()
    if tokens:
        ids = torch.tensor([tokens], device=model.device)
        model.get_decoder()(input_ids=ids, past_key_values=cache, use_cache=True)
    return cache


def hidden(model: Any, rows: Sequence[TokenIds], prefix: int = 0) -> torch.Tensor:
    """Last hidden states [rows, tokens, width]; every row's last token stands in the last
    column, and the first `prefix` tokens, which all rows share, have no columns."""
    cache = repeat(read(model, rows[0][:prefix]), len(rows)) if prefix else None
    padded = pad(rows, prefix, filler=0, device=model.device)
    states: torch.Tensor = model.get_decoder()(
        input_ids=padded.ids, attention_mask=padded.mask, position_ids=padded.positions,
        past_key_values=cache, use_cache=cache is not None,
    ).last_hidden_state
    return states


def repeat(cache: Any, rows: int) -> Any:
    """A new cache holding `rows` copies of a one-row cache; the original is kept.

    Gradients flow back into the original.
    """
    copy = DynamicCache()
    for index, layer in enumerate(cache.layers):
        copy.update(
            layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), index
        )
    return copy


class Roomy(DynamicLayer):
    """Keys and values of one layer, [rows, heads, tokens, dim], with room for more tokens.

    A plain layer copies everything it holds for every token that is added.
    """

    def __init__(self, parts: Sequence[Any], room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(parts[0].keys, parts[0].values)
        self.length = int(parts[0].keys.shape[2])
        rows = sum(part.keys.shape[0] for part in parts)
        self.all_keys, self.all_values = (
            one.new_empty((rows, one.shape[1], self.length + room, one.shape[3]))
            for one in (parts[0].keys, parts[0].values)
        )
        start = 0
        for part in parts:
            end = start + part.keys.shape[0]
            self.all_keys[start:end, :, : self.length] = part.keys
            self.all_values[start:end, :, : self.length] = part.values
            start = end
        self._show()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        end = self.length + key_states.shape[2]
        self.all_keys[:, :, self.length : end] = key_states
        self.all_values[:, :, self.length : end] = value_states
        self.length = end
        return self._show()

    def get_seq_length(self) -> int:
        return self.length

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self.all_keys, self.all_values = self.all_keys[indices], self.all_values[indices]
        self._show()

    def _show(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys = self.all_keys[:, :, : self.length]
        self.values = self.all_values[:, :, : self.length]
        return self.keys, self.values


def join(caches: Sequence[Any], room: int) -> Any:
    """One cache of all rows of `caches`, equally long, with room for `room` tokens.

    The caches given are emptied on the way, so that nothing is held twice for long.
    """
    joined = DynamicCache()
    for index in range(len(caches[0].layers)):
        joined.layers.append(Roomy([cache.layers[index] for cache in caches], room))
        for cache in caches:
            cache.layers[index] = None
    return joined
