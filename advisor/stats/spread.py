"""A mean over clusters and its standard error, and the three quantiles that bound it.

The quantiles come from scipy.special: importing scipy.stats takes most of a second, which
`advisor decide` does not have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

# Degrees of freedom for each cluster that carries a total, as simulation has them: at 1 the
# intervals near 0 and 1 cover 99% instead of 95%, without limit 91% where the rows of a
# cluster are alike.
CARRIED = 6
ROUNDING = 1e-12  # a spread or an effect below this is a residue of floating point


@dataclass(frozen=True, slots=True)
class Spread:
    """A mean, its cluster-robust error, and each cluster's sum and size."""

    mean: float
    error: float
    clusters: int
    sums: Floats
    sizes: Floats


def coded(groups: Sequence[str]) -> Codes:
    """Each group's number, 0.. in sorted order of the names."""
    codes: Codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    return codes


def spread(values: Floats, codes: Codes) -> Spread:
    """The mean and its CR1 error: sum over clusters (sum of d)^2 / n^2 x C/(C-1)."""
    counted = np.bincount(codes)
    kept = counted > 0
    sizes: Floats = counted[kept].astype(np.float64)
    mean, clusters = float(values.mean()), len(sizes)
    around = np.bincount(codes, values - mean)
    small = clusters / (clusters - 1) if clusters > 1 else 1.0
    error = float(np.sqrt((around**2).sum() * small)) / len(values)
    error = error if error > ROUNDING else 0.0
    sums: Floats = np.bincount(codes, values)[kept].astype(np.float64)
    return Spread(mean, error, clusters, sums, sizes)


def carriers(sums: Floats) -> float:
    """How many clusters the total rests on: (sum)^2 / sum of squares."""
    squares = float((sums**2).sum())
    return float(sums.sum()) ** 2 / squares if squares else 0.0


def between_seeds(values: Floats) -> tuple[float, float]:
    """What seeds add to the variance of a mean over seeds x items, and its degrees of freedom.

    The variance of the seeds' means over their number. It holds some of the items' luck a
    second time; with that taken away, three seeds too often show no spread at all (simulated:
    intervals of the score then cover 90%, so they cover 94 to 97%). One seed adds nothing:
    with it the mean is that of one system, not of its recipe.
    """
    seeds = len(values)
    if seeds == 1:
        return 0.0, 1.0
    return float(values.mean(axis=1).var(ddof=1)) / seeds, seeds - 1.0


def satterthwaite(parts: Sequence[tuple[float, float]]) -> float:
    """The degrees of freedom of a sum of variances, each with its own (1946)."""
    total = sum(variance for variance, _ in parts)
    doubt = sum(variance**2 / freedom for variance, freedom in parts)
    return total**2 / doubt if doubt else parts[0][1]


def z(share: float) -> float:
    """The standard normal quantile."""
    return float(special.ndtri(share))


def t(share: float, freedom: float) -> float:
    """Student's quantile; the normal one for infinite degrees of freedom."""
    return float(special.stdtrit(freedom, share)) if np.isfinite(freedom) else z(share)


def t_tail(value: float, freedom: float) -> float:
    """The chance of more than `value` under Student's distribution."""
    return float(special.stdtr(freedom, -value)) if np.isfinite(freedom) else float(
        special.ndtr(-value))
