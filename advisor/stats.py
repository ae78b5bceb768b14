"""Figures with intervals: paired on question ids, clustered by source, seeded.

Which method stands where was chosen by simulation (tests/test_stats.py keeps a small
version of it): credits in 0..1 get a Beta interval at the effective number of items,
differences a cluster-robust score interval, unbounded values a bootstrap-t interval.
None of them has zero width on credits, however alike the answers are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from advisor.core import Measure
from advisor.errors import AdvisorError

Floats = NDArray[np.float64]

POWER = 0.80  # the usual convention; core.Comparison.detectable promises it
MCNEMAR_BELOW = 300  # items; under this the CLT is not to be trusted (arXiv 2503.01747)
ROWS_BEYOND_REASON = 10_000_000  # more rows than this count as "no number would do"
ROUNDING = 1e-12  # a spread or an effect below this is a residue of floating point
DRAWS = 2000  # bootstrap draws: the quantiles then move by well under a tenth of a width


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of means, with what is needed to test and bound it.

    `interval` is two-sided at 1 - `alpha`. `error` is the standard error over `clusters`,
    `freedom` the degrees of freedom of its t, `step` the typical size of one item's
    difference (root mean square of those that differ; 1 when none does) and `design`
    how much clustering inflates the variance (1 for independent items).
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


@dataclass(frozen=True, slots=True)
class _Spread:
    mean: float
    error: float
    clusters: int
    sums: Floats
    sizes: Floats


def _spread(values: Floats, groups: Sequence[str]) -> _Spread:
    """The mean and its CR1 error: sum over clusters (sum of d)^2 / n^2 x C/(C-1)."""
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(codes).astype(np.float64)
    mean, clusters = float(values.mean()), len(sizes)
    around = np.bincount(codes, values - mean)
    small = clusters / (clusters - 1) if clusters > 1 else 1.0
    error = float(np.sqrt((around**2).sum() * small)) / len(values)
    error = error if error > ROUNDING else 0.0
    return _Spread(mean, error, clusters, np.bincount(codes, values).astype(np.float64), sizes)


def _carriers(sums: Floats) -> float:
    """How many clusters the total rests on: (sum)^2 / sum of squares."""
    squares = float((sums**2).sum())
    return float(sums.sum()) ** 2 / squares if squares else 0.0


def measure(
    values: Sequence[float],
    groups: Sequence[str],
    *,
    seed: int,
    alpha: float = 0.05,
    bounded: bool = True,
) -> Measure:
    """The mean of `values` with a two-sided interval at 1 - alpha, clustered by group.

    Bounded values (credits, 0..1) need no randomness. 0/1 values of independent items
    get the Jeffreys interval; others the same Beta interval at the effective number of
    items mean x (1 - mean) / SE^2 (Korn and Graubard 1998), widened by a t quantile
    whose degrees of freedom count the clusters that carry the losses (or the credit).
    When all values are equal the effective number is the number of clusters.
    Unbounded values get a bootstrap-t interval over clusters, drawn from `seed`.

    Raises AdvisorError when there are no values or a bounded one lies outside 0..1.
    """
    data = _checked(values, groups, bounded)
    spread = _spread(data, groups)
    if bounded:
        low, high = _beta(data, spread, alpha)
    else:
        low, high = _bootstrap_t(spread, alpha, np.random.default_rng(seed))
    return Measure(spread.mean, low, high, len(data))


def _checked(values: Sequence[float], groups: Sequence[str], bounded: bool) -> Floats:
    data = np.asarray(values, dtype=np.float64)
    assert len(data) == len(groups), "one group for every value"
    if not len(data):
        raise AdvisorError(
            "no values to average: the mean of nothing is not zero",
            fix="check that the run answered at least one row",
        )
    if not np.isfinite(data).all() or (bounded and (data.min() < 0 or data.max() > 1)):
        raise AdvisorError(
            f"credits run from {data.min():g} to {data.max():g}, expected 0..1",
            fix="make the scorer return credits between 0 and 1",
        )
    return data


def _beta(data: Floats, spread: _Spread, alpha: float) -> tuple[float, float]:
    count, mean, clusters = len(data), spread.mean, spread.clusters
    binary = bool(np.isin(data, (0.0, 1.0)).all())
    if binary and clusters == count:
        effective = float(count)
    elif spread.error == 0:
        effective = float(clusters)
    else:
        raw = mean * (1 - mean) / spread.error**2
        # A few clusters that carry all the losses tell little of the variance.
        carriers = min(
            clusters, _carriers(spread.sums), _carriers(np.maximum(spread.sizes - spread.sums, 0))
        )
        wide = distributions.t.ppf(1 - alpha / 2, max(1.0, carriers))
        effective = max(raw * (_z(1 - alpha / 2) / wide) ** 2, min(raw, clusters))
        effective = min(effective, count) if binary else effective
    hits, misses = effective * mean + 0.5, effective * (1 - mean) + 0.5
    low, high = distributions.beta.ppf([alpha / 2, 1 - alpha / 2], hits, misses)
    return min(float(low), mean) if mean > 0 else 0.0, max(float(high), mean) if mean < 1 else 1.0


def _bootstrap_t(
    spread: _Spread, alpha: float, generator: np.random.Generator
) -> tuple[float, float]:
    if spread.error == 0:
        return spread.mean, spread.mean
    clusters, sums, sizes = spread.clusters, spread.sums, spread.sizes
    picks = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=DRAWS)
    counts = picks @ sizes
    means = (picks @ sums) / counts
    squares = picks @ sums**2 - 2 * means * (picks @ (sums * sizes)) + means**2 * (picks @ sizes**2)
    errors = np.sqrt(np.maximum(squares, 0) * clusters / max(1, clusters - 1)) / counts
    # A draw of one cluster alone has no spread of its own; it says nothing of the shape.
    usable = errors > 1e-9 * spread.error
    shape = (means[usable] - spread.mean) / errors[usable]
    below, above = np.quantile(shape, [alpha / 2, 1 - alpha / 2])
    return spread.mean - float(above) * spread.error, spread.mean - float(below) * spread.error


def compare(
    a: Mapping[str, float], b: Mapping[str, float], *, groups: Mapping[str, str], alpha: float
) -> Difference:
    """Mean of `a` minus mean of `b` over the same question ids, clustered by group.

    Values are credits, 0..1. The interval is a cluster-robust t interval in which, as in
    Wilson's and Tango's (1998), the variance at each candidate difference is at least
    what a difference of that size implies; its degrees of freedom are C - 1, or fewer
    when few clusters differ at all. The p-value is McNemar's mid-p (Fagerland 2013) for
    0/1 credits of fewer than 300 independent items, otherwise that of the t.

    Raises AdvisorError when the ids differ, are none, or lack a group.
    """
    _same_ids(a, b, groups)
    ids = sorted(a)
    gaps = np.array([a[one] - b[one] for one in ids], dtype=np.float64)
    spread = _spread(gaps, [groups[one] for one in ids])
    size = len(ids)
    differing = gaps[gaps != 0]
    plain = float(((gaps - spread.mean) ** 2).sum()) / size**2
    whole_clusters = size / spread.clusters
    design = (
        whole_clusters if plain == 0 else min(max(1.0, spread.error**2 / plain), whole_clusters)
    )
    # Twice the carriers: at once the carriers made both tails too wide (simulated).
    carriers = 2 * _carriers(np.abs(spread.sums)) if len(differing) else np.inf
    freedom = max(1.0, min(spread.clusters - 1, carriers))
    step = float(np.sqrt((differing**2).mean())) if len(differing) else 1.0
    exact = spread.clusters == size < MCNEMAR_BELOW and bool(np.isin(gaps, (-1, 0, 1)).all())
    method = "McNemar mid-p" if exact else f"clustered t, {spread.clusters} clusters"
    bare = Difference(
        interval=Measure(spread.mean, spread.mean, spread.mean, size),
        alpha=alpha,
        error=spread.error,
        clusters=spread.clusters,
        freedom=freedom,
        step=step,
        design=design,
        method=method,
        p_value=1.0,
    )
    low, high = lower_bound(bare, alpha / 2), upper_bound(bare, alpha / 2)
    two_sided = 2 * min(p_greater(bare, 0), p_less(bare, 0))
    return replace(
        bare,
        interval=Measure(spread.mean, low, high, size),
        p_value=_mid_p(gaps) if exact else min(1.0, two_sided),
    )


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
    below = (
        distributions.binom.cdf(fewer, both, 0.5) - distributions.binom.pmf(fewer, both, 0.5) / 2
    )
    return float(min(1.0, 2 * below))


def p_greater(difference: Difference, than: float) -> float:
    """One-sided p-value against "the true difference is `than` or less".

    The larger of two: by the error seen, and by the least error a difference of `than`
    has (a score test). Only the first rests on few clusters when few differ.
    """
    gap = difference.interval.value - than
    if gap <= 0 and not difference.error:
        return 1.0 if gap < 0 else 0.5
    # A sign-flip test of C clusters has no smaller p-value.
    found = [2.0**-difference.clusters]
    if difference.error:
        found.append(float(distributions.t.sf(gap / difference.error, difference.freedom)))
    implied = _implied(difference, than)
    if implied:
        found.append(float(distributions.t.sf(gap / implied, _most(difference))))
    return max(found)


def _implied(difference: Difference, mean: float) -> float:
    """The least standard error there is when the true difference is `mean`."""
    size = abs(mean)
    squared = difference.design * size * (difference.step - size) / difference.interval.n
    return float(np.sqrt(max(0.0, squared)))


def _most(difference: Difference) -> int:
    return max(1, difference.clusters - 1)


def p_less(difference: Difference, than: float) -> float:
    """One-sided p-value against "the true difference is `than` or more"."""
    return p_greater(flipped(difference), -than)


def flipped(difference: Difference) -> Difference:
    """The same comparison told from the other side."""
    seen = difference.interval
    return replace(difference, interval=Measure(-seen.value, -seen.high, -seen.low, seen.n))


def upper_bound(difference: Difference, alpha: float) -> float:
    """The one-sided upper bound at 1 - alpha: the largest difference not refuted."""
    seen = difference.interval
    wide, least = distributions.t.ppf(1 - alpha, [difference.freedom, _most(difference)])
    reach = float(least) ** 2 * difference.design / seen.n
    found = [seen.value + float(wide) * difference.error]
    for side in (1.0, -1.0):
        found += [side * root for root in _roots(side * seen.value, difference.step, reach)]
    return max(found)


def lower_bound(difference: Difference, alpha: float) -> float:
    """The one-sided lower bound at 1 - alpha."""
    return -upper_bound(flipped(difference), alpha)


def _roots(value: float, step: float, reach: float) -> tuple[float, ...]:
    """Where (x - value)^2 = reach x x (step - x): the least variance a mean of x has."""
    inside = reach * (4 * value * (step - value) + reach * step**2)
    if inside < 0:
        return ()
    middle, arm = 2 * value + reach * step, float(np.sqrt(inside))
    return (middle - arm) / (2 + 2 * reach), (middle + arm) / (2 + 2 * reach)


def detectable(difference: Difference) -> float:
    """The smallest true difference that this many items would have shown (80% power)."""
    freedoms = [difference.freedom, _most(difference)]
    need, least = distributions.t.ppf(1 - difference.alpha / 2, freedoms) + _z(POWER)
    reach = float(least) ** 2 * difference.design / difference.interval.n
    return max(float(need) * difference.error, reach * difference.step / (1 + reach))


def _z(share: float) -> float:
    return float(distributions.norm.ppf(share))


def rows_to_decide(difference: Difference, target: float, *, level: float) -> int | None:
    """Rows at which a one-sided test at `level` tells the observed value from `target`.

    With 80% power, if the observed difference is the true one and new rows cluster as
    these do: n = (z_level + z_power)^2 variance / effect^2, so (q - d^2)/d^2 for 0/1
    credits of which the share q differs. None when already told apart, or when no
    practicable number would do.
    """
    above = difference.interval.value >= target
    told = p_greater(difference, target) if above else p_less(difference, target)
    effect = abs(difference.interval.value - target)
    if told <= level or effect < ROUNDING:
        return None
    error = max(difference.error, _implied(difference, target))
    size = difference.interval.n
    rows = size * ((_z(1 - level) + _z(POWER)) * error / effect) ** 2
    return None if rows > ROWS_BEYOND_REASON else max(size + 1, int(np.ceil(rows)))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values (1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return tuple(adjusted)


def redrawn_means(
    credits: Sequence[Mapping[str, float]], groups: Mapping[str, str], *, seed: int, draws: int
) -> Floats:
    """Each contender's mean in `draws` redraws of whole groups: an array draws x contenders.

    Only the ids that all of them have are used, so that a redraw is paired. Shape
    (draws, len(credits)). Raises AdvisorError when no id is shared.
    """
    shared = sorted(set.intersection(*(set(one) for one in credits)))
    if not shared:
        raise AdvisorError(
            "the contenders share no graded question", fix="run them on the same test rows"
        )
    _, codes = np.unique(np.asarray([groups[one] for one in shared]), return_inverse=True)
    sizes = np.bincount(codes).astype(np.float64)
    sums = np.stack([np.bincount(codes, [one[key] for key in shared]) for one in credits], axis=1)
    generator = np.random.default_rng(seed)
    picks = generator.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=draws)
    means: Floats = (picks @ sums) / (picks @ sizes)[:, None]
    return means
