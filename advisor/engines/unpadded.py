"""Attention among texts that stand one behind another in a single row.

So the layers' products, most of an update, have no padding, and what the texts begin with is
computed in the same ones. Attention alone pads its texts, for itself. docs/performance.md has
the gain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch

# Weights of one layer that are kept for the way back (4 MiB in bfloat16); more are made again.
KEPT = 2**21


@dataclass(frozen=True, slots=True)
class Texts:
    """What stands in the row: `shared` tokens, from which the first `behind` texts go on, and
    then the texts, as many tokens each as `lengths` says."""

    lengths: tuple[int, ...]
    shared: int = 0
    behind: int = 0

    @property
    def ends(self) -> tuple[int, ...]:
        """Behind which column each text ends."""
        return tuple(accumulate(self.lengths, initial=self.shared))[1:]

    def groups(self) -> Iterator[_Group]:
        """Texts that see the same number of shared tokens, the shared ones as a text before."""
        spans = list(pairwise((self.shared, *self.ends)))
        if self.shared:
            yield _Group(0, [(0, self.shared)])
        for before, chosen in ((self.shared, spans[: self.behind]), (0, spans[self.behind :])):
            if chosen:
                yield _Group(before, chosen)


@dataclass(frozen=True, slots=True)
class _Group:
    """Texts [start, end) of the row that see the first `before` columns and themselves."""

    before: int
    spans: Sequence[tuple[int, int]]

    @property
    def width(self) -> int:
        return max(end - start for start, end in self.spans)

    def padded(self, row: torch.Tensor, before: int = 0) -> torch.Tensor:
        """[1, heads, tokens, dim] as [texts, heads, before + width, dim], padding last."""
        _, heads, _, dim = row.shape
        out = row.new_zeros(len(self.spans), heads, before + self.width, dim)
        out[:, :, :before] = row[:, :, :before]
        for text, (start, end) in enumerate(self.spans):
            out[text, :, before : before + end - start] = row[0, :, start:end]
        return out

    def put(self, texts: torch.Tensor, row: torch.Tensor, before: int = 0) -> None:
        """`padded` backwards: add to `row` what stands in the texts."""
        row[0, :, :before] += texts[:, :, :before].sum(0)
        for text, (start, end) in enumerate(self.spans):
            row[0, :, start:end] += texts[text, :, before : before + end - start]

    def weights(self, asked: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """[texts, key heads, queries of all heads of a key head, columns]."""
        scores = asked @ keys.transpose(-1, -2)
        hidden = scores.new_full((self.width, keys.shape[2]), torch.finfo(scores.dtype).min)
        by_query = scores.view(*scores.shape[:2], -1, self.width, keys.shape[2])
        by_query += hidden.triu_(self.before + 1)  # a column sees no later one
        return scores.softmax(dim=-1)


class _Attention(torch.autograd.Function):
    """Softmax attention and its gradients, group by group."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, texts: Texts,
        scale: float,
    ) -> torch.Tensor:
        out, kept = torch.zeros_like(query), list[torch.Tensor]()
        ctx.groups, ctx.scale, ctx.heads = list(texts.groups()), scale, key.shape[1]
        for group in ctx.groups:
            keys, values = (group.padded(row, group.before) for row in (key, value))
            asked = _by_key_head(group.padded(query), ctx.heads) * scale
            weights = group.weights(asked, keys)
            group.put((weights @ values).view(len(keys), -1, group.width, keys.shape[3]), out)
            few = weights if weights.numel() <= KEPT else weights.new_empty(0)
            kept += [asked, keys, values, few]
        ctx.save_for_backward(*kept)
        return out

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:
        [slope] = slopes
        to_query = torch.zeros_like(slope)
        shape = (1, ctx.heads, *slope.shape[2:])
        to_key, to_value = slope.new_zeros(shape), slope.new_zeros(shape)
        for number, group in enumerate(ctx.groups):
            asked, keys, values, weights = ctx.saved_tensors[4 * number : 4 * number + 4]
            if not weights.numel():
                weights = group.weights(asked, keys)
            by_text = _by_key_head(group.padded(slope), ctx.heads)
            group.put(weights.transpose(-1, -2) @ by_text, to_value, group.before)
            to_scores = torch._softmax_backward_data(
                by_text @ values.transpose(-1, -2), weights, -1, weights.dtype
            )
            asking = (to_scores @ keys).mul_(ctx.scale)
            group.put(asking.view(len(keys), -1, group.width, keys.shape[3]), to_query)
            group.put(to_scores.transpose(-1, -2) @ asked, to_key, group.before)
        return to_query, to_key, to_value, None, None


def _by_key_head(query: torch.Tensor, heads: int) -> torch.Tensor:
    """[texts, heads, width, dim] as [texts, key heads, queries of all their heads, dim]."""
    return query.view(len(query), heads, -1, query.shape[3])


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, texts: Texts, *, scale: float
) -> torch.Tensor:
    """query [1, heads, tokens, dim], key and value [1, key heads, tokens, dim] of the row that
    `texts` describes, all of one type; returns what query has the shape of."""
    out: torch.Tensor = _Attention.apply(  # type: ignore[no-untyped-call]
        query, key, value, texts, scale
    )
    return out
