"""Attention behind a beginning that all rows of a batch share.

The beginning's keys and values are held once. Every row's queries meet them in one
product, then the row's own; one softmax runs over both (or two are merged by their
log-sum-exp, as in Milakov and Gimelshein, arXiv 1805.02867). On a CPU this is also
faster than the fused kernel in bfloat16, if scores are made in parts that the processor's
cache holds; docs/performance.md has figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from advisor.engines import unpadded

NAME = "advisor"
# In float32 behind a beginning the fused kernel is faster for more queries than this (measured).
FEW_QUERIES = 64
# Scores that are held at once (4 MiB in bfloat16), and queries of a row among them (measured).
SCORES = 2**21
BLOCK = 64
Tensors = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Beginning:
    """The tokens that all rows begin with, and each layer's keys and values [1, heads,
    tokens, dim] of them. Falsy when there are none."""

    tokens: tuple[int, ...]
    layers: tuple[Tensors, ...]

    def __len__(self) -> int:
        return len(self.tokens)

    def first(self, count: int) -> Beginning:
        """Its first `count` tokens."""
        return Beginning(
            self.tokens[:count],
            tuple((keys[:, :, :count], values[:, :, :count]) for keys, values in self.layers),
        )


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    beginning: Beginning | None = None,
    texts: unpadded.Texts | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: query [rows, heads, queries, dim], key and value
    [rows, key heads, own tokens, dim], mask [rows, 1, queries, own tokens], added to the scores
    (or boolean); returns [rows, queries, heads, dim]. Every query sees all of `beginning`.
    With `texts` the mask says nothing: one row holds them all.
    """
    before = beginning.layers[module.layer_idx] if beginning else None  # type: ignore[index]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if query.dtype != value.dtype:  # under autocast positions are turned in float32
        query, key = query.to(value.dtype), key.to(value.dtype)
        before = before and (before[0].to(value.dtype), before[1].to(value.dtype))
    if texts is not None:
        return unpadded.attend(query, key, value, texts, scale=scale).transpose(1, 2), None
    plain = before is not None or query.device.type == "cpu"
    if not plain or dropout or attention_mask is None:
        if before is not None:
            raise ValueError("attention behind a beginning takes a mask and no dropout")
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **others
        )
    if attention_mask.dtype == torch.bool:
        attention_mask = additive(attention_mask, query.dtype)
    if before is not None and _fused(query):
        out = _merged(query, key, value, attention_mask, before=before, scale=scale)
    else:
        out = _in_blocks(query * scale, key, value, attention_mask, before=before)
    return out.transpose(1, 2), None


def additive(visible: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where `visible`, elsewhere the lowest finite number: a row that sees nothing gets no
    NaN, which would spread from its padding."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(
        ~visible, torch.finfo(dtype).min
    )


def _fused(query: torch.Tensor) -> bool:
    return (
        query.dtype == torch.float32
        and query.device.type == "cpu"
        and query.shape[2] > FEW_QUERIES
        and not torch.is_grad_enabled()
    )


def _in_blocks(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, *,
    before: Tensors | None,
) -> torch.Tensor:
    """`_plain` for some rows and queries at a time, where all scores at once would be many.

    Where the queries are all the columns, those after a query are left out, as its mask would.
    """
    rows, heads, queries, _ = query.shape
    own = key.shape[2]
    columns = own + (before[0].shape[2] if before else 0)
    few = rows * heads * queries * columns <= SCORES
    if few or query.device.type != "cpu" or torch.is_grad_enabled():
        return _plain(query, key, value, mask, before=before)
    mask = mask.expand(rows, -1, -1, -1)
    out = torch.empty_like(query)
    some = max(1, SCORES // (heads * min(BLOCK, queries) * columns))
    for first, start in product(range(0, rows, some), range(0, queries, BLOCK)):
        part, asked = slice(first, first + some), slice(start, start + BLOCK)
        seen = slice(start + BLOCK if queries == own else None)
        out[part, :, asked] = _plain(
            query[part, :, asked], key[part, :, seen], value[part, :, seen],
            mask[part, :, asked, seen], before=before,
        )
    return out


def _plain(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, *,
    before: Tensors | None,
) -> torch.Tensor:
    """Products of all heads that share a key head at once, and one softmax."""
    rows, _, queries, dim = query.shape
    groups = key.shape[1]
    asked = query.reshape(rows, groups, -1, dim)
    scores = asked @ key.transpose(-1, -2)
    scores = (scores.view(rows, groups, -1, queries, key.shape[2]) + mask[:, :, None]).view(
        scores.shape
    )
    if before is None:
        return (scores.softmax(dim=-1) @ value).view(query.shape)
    keys, values = before
    count = keys.shape[2]
    # [key heads, rows x heads of a key head x queries, dim]: one product for all rows.
    flat = asked.transpose(0, 1).reshape(groups, -1, dim)
    shared = (flat @ keys[0].transpose(-1, -2)).view(groups, rows, -1, count).transpose(0, 1)
    weights = torch.cat([shared, scores], dim=-1).softmax(dim=-1)
    theirs = weights[..., :count].transpose(0, 1).reshape(groups, -1, count) @ values[0]
    own = weights[..., count:] @ value
    return (own + theirs.view(groups, rows, -1, dim).transpose(0, 1)).view(query.shape)


def _merged(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor, *,
    before: Tensors, scale: float,
) -> torch.Tensor:
    """The fused kernel over a row's own tokens, and over the beginning."""
    rows, heads, queries, dim = query.shape
    groups = key.shape[1]
    many = heads // groups
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    own, own_size = kernel(
        query, key.repeat_interleave(many, 1), value.repeat_interleave(many, 1),
        attn_mask=mask, scale=scale,
    )
    flat = query.reshape(rows, groups, -1, dim).transpose(0, 1).reshape(1, groups, -1, dim)
    theirs, size = kernel(flat, *before, scale=scale)
    theirs = theirs[0].view(groups, rows, many, queries, dim).transpose(0, 1).reshape(query.shape)
    size = size[0].view(groups, rows, many, queries).transpose(0, 1).reshape(own_size.shape)
    share = torch.sigmoid(size - own_size)[..., None]
    return own.lerp(theirs, share)  # type: ignore[no-any-return]


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
