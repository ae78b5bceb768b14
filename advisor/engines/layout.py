"""How rows of different length share one forward pass.

A row is `beginning | left padding | own tokens`. The beginning (instruction, fixed shots)
is computed once and held once (`attention.Beginning`); own tokens end in the same column,
so that the next-token logits of all rows stand last. Positions skip the padding, so a
row's result does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

from advisor.engines import attention, unpadded
from advisor.engines.attention import Beginning
from advisor.engines.protocol import TokenIds

NOTHING = Beginning((), ())
# A shorter prefix costs more in bookkeeping than it saves.
MIN_PREFIX = 16
# Rows are answered in two parts when most save so many tokens by it.
WORTH_APART = 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows: ids, positions and mask, each [rows, width]; False where padding is."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor


def shares(model: Any) -> bool:
    """Whether `model` attends in the way of `attention`."""
    return bool(model.config._attn_implementation == attention.NAME)


def shareable(model: Any, rows: Sequence[TokenIds]) -> int:
    """How much of a common beginning `model` may compute once for all rows."""
    return shared_prefix(rows) if shares(model) else 0


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


def families(model: Any, rows: Sequence[TokenIds]) -> list[list[int]]:
    """The places of `rows`, in one part, or in two where most share a longer beginning than all
    do: the few others first (a question that is itself an example in all other prompts)."""
    places = sorted(range(len(rows)), key=rows.__getitem__)
    few = len(rows) // 10
    if not few or not shares(model):
        return [places]
    most = rows[places[few]], rows[places[-1 - few]]
    usual = most[0][: shared_prefix(most)]
    if len(usual) - shared_prefix(rows) < WORTH_APART:
        return [places]
    alike = {at for at in places if len(rows[at]) > len(usual) and rows[at][: len(usual)] == usual}
    return [[at for at in places if at not in alike], [at for at in places if at in alike]]


def pad(rows: Sequence[TokenIds], prefix: int, *, device: torch.device) -> Batch:
    """Left-pad the parts of `rows` that follow the first `prefix` tokens."""
    own = [row[prefix:] for row in rows]
    width = max(len(row) for row in own)
    ids = torch.tensor([(0,) * (width - len(row)) + row for row in own], device=device)
    lengths = torch.tensor([[len(row)] for row in own], device=device)
    columns = torch.arange(width, device=device) - (width - lengths)
    return Batch(ids, columns.clamp(min=0) + prefix, columns >= 0)


def run(
    model: Any, batch: Batch, beginning: Beginning = NOTHING, cache: Any = None
) -> torch.Tensor:
    """Last hidden states [rows, width, hidden] of `batch` behind `beginning` and what `cache`
    holds, which grows by them. The mask covers the columns of the cache as well; one with four
    dimensions says which columns [rows, 1, width, columns] each token sees."""
    options: dict[str, Any] = {"beginning": beginning} if beginning else {}
    width, mask = batch.ids.shape[1], batch.mask
    if shares(model) and mask.dim() == 2:
        columns = mask.shape[1]
        seen = torch.ones((width, columns), dtype=torch.bool, device=mask.device)
        mask = mask[:, None, None] & seen.tril(columns - width)
    if shares(model) and mask.device.type == "cpu" and not torch.is_grad_enabled():
        mask = attention.additive(mask, model.dtype)  # once, and not in every layer
    states: torch.Tensor = model.get_decoder()(
        input_ids=batch.ids, attention_mask=mask, position_ids=batch.positions,
        past_key_values=cache, use_cache=cache is not None, **options,
    ).last_hidden_state
    return states


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


def read(model: Any, tokens: TokenIds) -> Beginning:
    """The beginning `tokens`, computed at batch size 1; gradients flow through it."""
    if not tokens:
        return NOTHING
    cache: Any = DynamicCache()
    ids = torch.tensor([tokens], device=model.device)
    model.get_decoder()(input_ids=ids, past_key_values=cache, use_cache=True)
    layers = tuple((layer.keys, layer.values) for layer in cache.layers)
    return Beginning(tuple(tokens), layers)


@dataclass(frozen=True, slots=True)
class Hidden:
    """Last hidden states [tokens, width] of texts one behind another, and where each ends."""

    states: torch.Tensor
    ends: tuple[int, ...]

    def last(self, counts: Sequence[int]) -> torch.Tensor:
        """The last `counts` states of each text, [sum of counts, width]."""
        at = [column for end, count in zip(self.ends, counts, strict=True)
              for column in range(end - count, end)]
        return self.states[torch.tensor(at, device=self.states.device)]

    def part(self, first: int, last: int) -> Hidden:
        """Those of some of the texts."""
        return Hidden(self.states, self.ends[first:last])


def hidden(
    model: Any, rows: Sequence[TokenIds], prefix: int = 0, *, behind: int | None = None
) -> Hidden:
    """Last hidden states of `rows`; gradients flow through them. The first `behind` rows (all
    unless given) share their first `prefix` tokens, which have no states of their own."""
    behind = len(rows) if behind is None else behind
    if _unpadded(model):
        return _one_behind_another(model, rows, prefix, behind)
    prefix = prefix if behind == len(rows) else 0
    states = run(model, pad(rows, prefix, device=model.device), read(model, rows[0][:prefix]))
    ends = range(states.shape[1], states.shape[0] * states.shape[1] + 1, states.shape[1])
    return Hidden(states.flatten(0, 1), tuple(ends))


def _unpadded(model: Any) -> bool:
    """Whether texts may stand one behind another. A GPU has fused kernels for padded rows."""
    dropout = getattr(model.config.get_text_config(), "attention_dropout", 0.0)
    return shares(model) and model.device.type == "cpu" and not dropout


def _one_behind_another(
    model: Any, rows: Sequence[TokenIds], prefix: int, behind: int
) -> Hidden:
    starts = [prefix if n < behind else 0 for n in range(len(rows))]
    own = [row[start:] for row, start in zip(rows, starts, strict=True)]
    texts = unpadded.Texts(tuple(map(len, own)), prefix, behind)
    ids = torch.tensor([[*rows[0][:prefix], *chain.from_iterable(own)]])
    positions = [range(prefix), *(range(start, len(row)) for row, start in
                                  zip(rows, starts, strict=True))]
    no_mask = torch.ones((1, 1, 1, 1), dtype=torch.bool)  # with four dimensions it is left alone
    states = model.get_decoder()(
        input_ids=ids, attention_mask=no_mask, use_cache=False, texts=texts,
        position_ids=torch.tensor([list(chain.from_iterable(positions))]),
    ).last_hidden_state
    return Hidden(states[0], texts.ends)


class Roomy(DynamicLayer):
    """Keys and values of one layer, [rows, heads, tokens, dim], with room for more tokens.

    A plain layer copies everything it holds for every token that is added. With `whole` the
    empty room is shown as well, to be masked: a product of a part would copy that part. Every
    layer keeps all tokens, sliding ones too, whose masks then do the sliding.
    """

    def __init__(
        self, parts: Sequence[tuple[Any, Sequence[int]]], *, width: int, room: int, whole: bool
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        example = parts[0][0].keys
        self.lazy_initialization(example, parts[0][0].values)
        self.length, self.whole = width, whole
        rows = sum(len(kept) for _, kept in parts)
        shape = (rows, example.shape[1], width + room, example.shape[3])
        self.all_keys, self.all_values = example.new_zeros(shape), example.new_zeros(shape)
        start = 0
        for layer, kept in parts:
            held = layer.length if isinstance(layer, Roomy) else layer.keys.shape[2]
            count = min(width, held)
            here = (slice(start, start + len(kept)), slice(None), slice(width - count, width))
            index = torch.tensor(kept, device=example.device)
            self.all_keys[here] = layer.keys[index, :, held - count : held]
            self.all_values[here] = layer.values[index, :, held - count : held]
            start += len(kept)
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

    def _show(self) -> tuple[torch.Tensor, torch.Tensor]:
        shown = slice(None if self.whole else self.length)
        self.keys, self.values = self.all_keys[:, :, shown], self.all_values[:, :, shown]
        return self.keys, self.values


def join(
    parts: Sequence[tuple[Any, Sequence[int]]], *, width: int, room: int, whole: bool
) -> Any:
    """One cache of the given rows of several caches, each with its last column in column
    `width` - 1, and with room for `room` more tokens.

    The caches are emptied on the way, so that nothing is held twice for long.
    """
    joined = DynamicCache()
    for index in range(len(parts[0][0].layers)):
        layers = [(cache.layers[index], kept) for cache, kept in parts]
        joined.layers.append(Roomy(layers, width=width, room=room, whole=whole))
        for cache, _ in parts:
            cache.layers[index] = None
    return joined
