"""One mean with its interval: credits by a Beta, anything else by a bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from advisor.errors import AdvisorError
from advisor.stats.spread import (
    CARRIED,
    Codes,
    Floats,
    Spread,
    between_seeds,
    carriers,
    coded,
    satterthwaite,
    spread,
    t,
    z,
)
from advisor.verdict import Measure

DRAWS = 2000  # bootstrap draws: the quantiles then move by well under a tenth of a width


def measure(
    values: Sequence[float] | Floats,
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
    When all values are equal the effective number lies midway, by ratio, between the
    number of clusters and that of values.
    Unbounded values get a bootstrap-t interval over clusters, drawn from `seed`.

    Raises AdvisorError when there are no values or a bounded one lies outside 0..1.
    """
    data = _checked(values, groups, bounded)
    seen = spread(data, coded(groups))
    if bounded:
        low, high = beta(data, seen, alpha)
    else:
        low, high = _bootstrap_t(seen, alpha, np.random.default_rng(seed))
    return Measure(seen.mean, low, high, len(data))


def measure_seeds(values: Floats, codes: Codes, *, alpha: float) -> Measure:
    """The mean credit of a recipe from `values`, seeds x items, items and seeds both drawn.

    With one seed, the interval of `measure`. With more, the Beta interval at the effective
    number of items, where the variance of the seeds' means is added to that of the items,
    at Satterthwaite's degrees of freedom. `codes` numbers each item's cluster.
    """
    data = values.mean(axis=0)
    seen = spread(data, codes)
    between, freedom = between_seeds(values)
    if not between:
        low, high = beta(data, seen, alpha)
        return Measure(seen.mean, low, high, len(data))
    error = float(np.sqrt(seen.error**2 + between))
    freedom = satterthwaite([(seen.error**2, max(1.0, seen.clusters - 1)), (between, freedom)])
    narrow = z(1 - alpha / 2) / t(1 - alpha / 2, max(1.0, freedom))
    effective = seen.mean * (1 - seen.mean) / error**2 * narrow**2
    return Measure(seen.mean, *_beta_at(seen.mean, effective, alpha), len(data))


def _checked(values: Sequence[float] | Floats, groups: Sequence[str], bounded: bool) -> Floats:
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


def beta(data: Floats, seen: Spread, alpha: float) -> tuple[float, float]:
    """The Beta interval of `measure`, for values that were checked."""
    count, mean, clusters = len(data), seen.mean, seen.clusters
    binary = bool(((data == 0.0) | (data == 1.0)).all())
    if binary and clusters == count:
        effective = float(count)
    elif seen.error == 0:
        # Between one value a cluster and one an item; equal values do not say which.
        effective = float(np.sqrt(clusters * count))
    else:
        raw = mean * (1 - mean) / seen.error**2
        # A few clusters that carry all the losses tell little of the variance.
        few = min(carriers(seen.sums), carriers(np.maximum(seen.sizes - seen.sums, 0)))
        wide = t(1 - alpha / 2, max(1.0, min(clusters - 1, CARRIED * few)))
        effective = max(raw * (z(1 - alpha / 2) / wide) ** 2, min(raw, clusters))
        effective = min(effective, count) if binary else effective
    return _beta_at(mean, effective, alpha)


def _beta_at(mean: float, effective: float, alpha: float) -> tuple[float, float]:
    hits, misses = effective * mean + 0.5, effective * (1 - mean) + 0.5
    low, high = special.betaincinv(hits, misses, [alpha / 2, 1 - alpha / 2])
    return min(float(low), mean) if mean > 0 else 0.0, max(float(high), mean) if mean < 1 else 1.0


def _bootstrap_t(
    seen: Spread, alpha: float, generator: np.random.Generator
) -> tuple[float, float]:
    if seen.error == 0:
        return seen.mean, seen.mean
    clusters, sums, sizes = seen.clusters, seen.sums, seen.sizes
    picks = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=DRAWS)
    counts = picks @ sizes
    means = (picks @ sums) / counts
    squares = picks @ sums**2 - 2 * means * (picks @ (sums * sizes)) + means**2 * (picks @ sizes**2)
    errors = np.sqrt(np.maximum(squares, 0) * clusters / max(1, clusters - 1)) / counts
    # A draw of one cluster alone has no spread of its own; it says nothing of the shape.
    usable = errors > 1e-9 * seen.error
    shape = (means[usable] - seen.mean) / errors[usable]
    below, above = np.quantile(shape, [alpha / 2, 1 - alpha / 2])
    return seen.mean - float(above) * seen.error, seen.mean - float(below) * seen.error
