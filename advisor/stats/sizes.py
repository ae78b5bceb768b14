"""How much a number of rows can show, and how many rows would show more."""

from __future__ import annotations

import numpy as np
from scipy import special

from advisor.stats.differences import Difference, implied, p_greater, p_less
from advisor.stats.spread import ROUNDING, t, z

POWER = 0.80  # the usual convention; core.Comparison.detectable promises it
ROWS_BEYOND_REASON = 10_000_000  # more rows than this count as "no number would do"


def detectable(found: Difference) -> float:
    """The smallest true difference that this many items would have shown (80% power)."""
    need, least = (t(1 - found.alpha / 2, free) + z(POWER)
                   for free in (found.freedom, found.most))
    reach = least**2 * found.design / found.interval.n
    return max(need * found.error, reach * found.step / (1 + reach))


def rows_to_decide(found: Difference, target: float, *, level: float) -> int | None:
    """Rows at which a one-sided test at `level` tells the observed value from `target`.

    With 80% power, if the observed difference is the true one and new rows cluster as
    these do: n = (z_level + z_power)^2 variance / effect^2, so (q - d^2)/d^2 for 0/1
    credits of which the share q differs. None when already told apart, or when no
    practicable number would do: what the seeds add to the error, no row takes away.
    """
    above = found.interval.value >= target
    told = p_greater(found, target) if above else p_less(found, target)
    effect = abs(found.interval.value - target)
    if told <= level or effect < ROUNDING:
        return None
    error = max(found.error, implied(found, target))
    from_items = error**2 - found.between**2
    allowed = (effect / (z(1 - level) + z(POWER))) ** 2 - found.between**2
    if allowed <= 0:
        return None
    rows = found.interval.n * from_items / allowed
    if rows > ROWS_BEYOND_REASON:
        return None
    return max(found.interval.n + 1, int(np.ceil(rows)))


def expected_gain(value: float, error: float) -> float:
    """What changing one's mind is worth on average: s phi(m/s) - m Phi(-m/s).

    For a lead of `value` known to within `error`: the mean loss of following it, which is
    also what learning the truth would gain. In the unit of `value`.
    """
    if error <= 0:
        return max(0.0, -value)
    ratio = value / error
    density = float(np.exp(-ratio**2 / 2)) / np.sqrt(2 * np.pi)
    return float(max(0.0, error * density - value * float(special.ndtr(-ratio))))


def gain_of_more(value: float, error: float, *, rows: int, more: int) -> float:
    """What `more` rows besides `rows` are worth on average, before they are asked.

    The expected value of sample information: of the doubt `error`, those rows would take
    away all but error^2 x rows / (rows + more), and what they take away can change the
    choice. In the unit of `value`.
    """
    learnt = error * float(np.sqrt(more / (rows + more)))
    return expected_gain(abs(value), learnt)
