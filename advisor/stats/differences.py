"""A paired difference of means: its interval, its tests, and where both come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from advisor.errors import AdvisorError
from advisor.stats.spread import (
    Codes,
    Floats,
    between_seeds,
    carriers,
    coded,
    satterthwaite,
    spread,
    t,
    t_tail,
)
from advisor.verdict import Measure

# As CARRIED, but for differences, whose gains and losses both carry (simulated).
CARRIED_APART = 20
MCNEMAR_BELOW = 300  # items; under this the CLT is not to be trusted (arXiv 2503.01747)


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of means, with what is needed to test and bound it.

    `interval` is two-sided at 1 - `alpha`. `error` is the standard error over `clusters`,
    `freedom` the degrees of freedom of its t, `step` the typical size of one item's
    difference (root mean square of those that differ; 1 when none does) and `design`
    how much clustering inflates the variance (1 for independent items). `between` is the
    part of `error` that the luck of preparing adds (0 for two finished systems) and `most`
    the degrees of freedom there would be if every cluster carried its share.
    """

    interval: Measure
    alpha: float
    error: float
    clusters: int
    freedom: float
    step: float
    design: float
    method: str
    p_value: float
    between: float = 0.0
    most: float = 1.0


def compare(
    a: Mapping[str, float], b: Mapping[str, float], *, groups: Mapping[str, str], alpha: float
) -> Difference:
    """Mean of `a` minus mean of `b` over the same question ids, clustered by group.

    See `difference`, which it calls with one seed a side. Raises AdvisorError when the ids
    differ, are none, or lack a group.
    """
    _same_ids(a, b, groups)
    ids = sorted(a)
    first, second = (np.array([[one[key] for key in ids]], dtype=np.float64) for one in (a, b))
    return difference(first, second, coded([groups[key] for key in ids]), alpha=alpha)


def difference(first: Floats, second: Floats, codes: Codes, *, alpha: float) -> Difference:
    """Mean of `first` minus mean of `second`: two arrays, seeds x the same items.

    Values are credits, 0..1; `codes` numbers each item's cluster. With one seed a side the
    question is about these two systems, and the interval holds the luck of the items. With
    more, it is about the two recipes: items and seeds are both drawn, and the variance of
    the seeds' means is added (a contender without randomness has one seed and adds none).

    The interval is a cluster-robust t interval in which, as in Wilson's and Tango's (1998),
    the variance at each candidate difference is at least what a difference of that size
    implies; its degrees of freedom are C - 1, or fewer when few clusters differ at all, and
    Satterthwaite's (1946) when seeds add to it. The p-value is McNemar's mid-p (Fagerland
    2013) for 0/1 credits of fewer than 300 independent items, otherwise that of the t.
    """
    gaps = first.mean(axis=0) - second.mean(axis=0)
    seen, size = spread(gaps, codes), len(gaps)
    differing = gaps[gaps != 0]
    plain = float(((gaps - seen.mean) ** 2).sum()) / size**2
    whole = size / seen.clusters
    design = whole if plain == 0 else min(max(1.0, seen.error**2 / plain), whole)
    carried = CARRIED_APART * carriers(np.abs(seen.sums)) if len(differing) else np.inf
    freedom = max(1.0, min(seen.clusters - 1, carried))
    parts = [between_seeds(one) for one in (first, second)]
    alone = len(first) == len(second) == 1
    exact = alone and seen.clusters == size < MCNEMAR_BELOW
    exact = exact and bool(np.isin(gaps, (-1.0, 0.0, 1.0)).all())
    bare = Difference(
        interval=Measure(seen.mean, seen.mean, seen.mean, size),
        alpha=alpha,
        error=float(np.sqrt(seen.error**2 + sum(part for part, _ in parts))),
        clusters=seen.clusters,
        freedom=satterthwaite([(seen.error**2, freedom), *parts]),
        step=float(np.sqrt((differing**2).mean())) if len(differing) else 1.0,
        design=design,
        method=_method(exact, seen.clusters, max(len(first), len(second))),
        p_value=1.0,
        between=float(np.sqrt(sum(part for part, _ in parts))),
        most=satterthwaite([(seen.error**2, max(1.0, seen.clusters - 1)), *parts]),
    )
    low, high = lower_bound(bare, alpha / 2), upper_bound(bare, alpha / 2)
    two_sided = 2 * min(p_greater(bare, 0), p_less(bare, 0))
    return replace(
        bare,
        interval=Measure(seen.mean, low, high, size),
        p_value=_mid_p(gaps) if exact else min(1.0, two_sided),
    )


def _method(exact: bool, clusters: int, seeds: int) -> str:
    if exact:
        return "McNemar mid-p"
    drawn = f", up to {seeds} seeds" if seeds > 1 else ""
    return f"clustered t, {clusters} clusters{drawn}"


def _same_ids(a: Mapping[str, float], b: Mapping[str, float], groups: Mapping[str, str]) -> None:
    odd = sorted(a.keys() ^ b.keys())
    if odd or not a:
        what = f"{len(odd)} ids stand on one side only: {', '.join(odd[:5])}" if odd else "no ids"
        raise AdvisorError(
            f"a paired comparison needs the same question ids on both sides; {what}",
            fix="run both contenders on the same test rows",
        )
    loose = sorted(a.keys() - groups.keys())
    if loose:
        raise AdvisorError(
            f"{len(loose)} question ids have no group: {', '.join(loose[:5])}",
            fix="give each test row the group of the source it was cut from",
        )


def _mid_p(gaps: Floats) -> float:
    up, down = int((gaps > 0).sum()), int((gaps < 0).sum())
    fewer, both = min(up, down), up + down
    if up == down:
        return 1.0
    # The binomial's cdf at one less, and half of its mass at the count.
    below = float(special.bdtr(fewer - 1, both, 0.5)) if fewer else 0.0
    here = float(special.bdtr(fewer, both, 0.5)) - below
    return min(1.0, 2 * below + here)


def p_greater(found: Difference, than: float) -> float:
    """One-sided p-value against "the true difference is `than` or less".

    The larger of two: by the error seen, and by the least error a difference of `than`
    has (a score test). Only the first rests on few clusters when few differ.
    """
    gap = found.interval.value - than
    if gap <= 0 and not found.error:
        return 1.0 if gap < 0 else 0.5
    # A sign-flip test of C clusters has no smaller p-value.
    chances = [2.0**-found.clusters]
    if found.error:
        chances.append(t_tail(gap / found.error, found.freedom))
    least = implied(found, than)
    if least:
        chances.append(t_tail(gap / least, found.most))
    return max(chances)


def implied(found: Difference, mean: float) -> float:
    """The least standard error there is when the true difference is `mean`."""
    size = abs(mean)
    squared = found.design * size * (found.step - size) / found.interval.n
    return float(np.sqrt(max(0.0, squared) + found.between**2))


def p_less(found: Difference, than: float) -> float:
    """One-sided p-value against "the true difference is `than` or more"."""
    return p_greater(flipped(found), -than)


def flipped(found: Difference) -> Difference:
    """The same comparison told from the other side."""
    seen = found.interval
    return replace(found, interval=Measure(-seen.value, -seen.high, -seen.low, seen.n))


def upper_bound(found: Difference, alpha: float) -> float:
    """The one-sided upper bound at 1 - alpha: the largest difference not refuted."""
    value = found.interval.value
    wide, least = t(1 - alpha, found.freedom), t(1 - alpha, found.most)
    reach, fixed = least**2 * found.design / found.interval.n, (least * found.between) ** 2
    bounds = [value + wide * found.error]
    for side in (1.0, -1.0):
        bounds += [side * root for root in _roots(side * value, found.step, reach, fixed)]
    return max(bounds)


def lower_bound(found: Difference, alpha: float) -> float:
    """The one-sided lower bound at 1 - alpha."""
    return -upper_bound(flipped(found), alpha)


def _roots(value: float, step: float, reach: float, fixed: float) -> tuple[float, ...]:
    """Where (x - value)^2 = reach x x (step - x) + fixed: the least variance of a mean x."""
    half, rest = value + reach * step / 2, value**2 - fixed
    inside = half**2 - (1 + reach) * rest
    if inside < 0:
        return ()
    arm = float(np.sqrt(inside))
    return (half - arm) / (1 + reach), (half + arm) / (1 + reach)
