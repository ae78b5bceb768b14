"""Quality on the rows that a user's own column picks out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from advisor.stats import benjamini_hochberg, measure_seeds
from advisor.stats.spread import Codes, Floats, t, t_tail
from advisor.verdict import Measure, Slice


def slices(
    contender: str,
    credits: Floats,
    codes: Codes,
    columns: Mapping[str, tuple[str, ...]],
    *,
    alpha: float,
) -> tuple[Slice, ...]:
    """Each value of each column, in sorted order: the contender's quality there, and that
    less its quality on all other rows.

    `credits` is seeds x items, NaN where an answer failed; `columns` maps a column to each
    item's value. The gap's error is clustered: items of one source may stand on both sides.
    Its p-value is that of a t, or of what a difference of two shares implies, the larger;
    all of the contender's are adjusted together by Benjamini and Hochberg. A value that all
    rows share, and one that no graded row has, are left out.
    """
    graded = np.isfinite(credits).all(axis=0)
    found = []
    for column, values in sorted(columns.items()):
        named = np.asarray(values)
        for value in sorted(set(values)):
            inside = (named == value) & graded
            outside = (named != value) & graded
            if inside.any() and outside.any():
                quality = measure_seeds(credits[:, inside], _recoded(codes[inside]), alpha=alpha)
                gap = _gap(credits.mean(axis=0), inside, outside, codes)
                found.append((column, value, quality, gap))
    adjusted = benjamini_hochberg([gap.p_value for *_, gap in found])
    return tuple(
        Slice(contender, column, value, quality, gap.measure(alpha), gap.p_value, p, p <= alpha)
        for (column, value, quality, gap), p in zip(found, adjusted, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Gap:
    value: float
    error: float
    freedom: float
    rows: int

    @property
    def p_value(self) -> float:
        if not self.error:
            return 1.0
        return min(1.0, 2 * t_tail(abs(self.value) / self.error, self.freedom))

    def measure(self, alpha: float) -> Measure:
        reach = t(1 - alpha / 2, self.freedom) * self.error
        low, high = max(-1.0, self.value - reach), min(1.0, self.value + reach)
        return Measure(self.value, low, high, self.rows)


def _gap(credits: Floats, inside: Codes, outside: Codes, codes: Codes) -> _Gap:
    """Mean inside less mean outside, its error the larger of two: clustered, and pooled."""
    here, there = credits[inside], credits[outside]
    influence = np.zeros(len(credits))
    influence[inside] = (here - here.mean()) / len(here)
    influence[outside] = -(there - there.mean()) / len(there)
    used = inside | outside
    sums = np.bincount(_recoded(codes[used]), influence[used])
    clusters = len(sums)
    seen = float((sums**2).sum()) * clusters / max(1, clusters - 1)
    # All right on one side says little of its spread: pooled, the other side speaks for it.
    pooled = float(credits[used].var()) * (1 / len(here) + 1 / len(there))
    fewer = min(len(np.unique(codes[inside])), len(np.unique(codes[outside])))
    return _Gap(float(here.mean() - there.mean()), max(seen, pooled) ** 0.5,
                float(max(1, fewer - 1)), len(here))


def _recoded(codes: Codes) -> Codes:
    again: Codes = np.unique(codes, return_inverse=True)[1]
    return again
