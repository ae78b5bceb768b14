"""What rewording alone flips, beside what tuning flipped; pure functions of scores."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.stats import Difference, compare, lower_bound
from advisor.trial import Reworded, SuiteScores
from advisor.verdict import Measure, Noise

ALPHA = 0.05  # one-sided, as the gate's


def noise(
    found: Sequence[Reworded], base: SuiteScores, tuned: SuiteScores, *, alpha: float
) -> tuple[Noise, Difference] | None:
    """What the rewordings of one suite do, and how far the tuned model goes beyond it.

    None when the suite has no rewording.
    """
    mine = [one for one in found if one.suite == base.suite]
    if not mine:
        return None
    ids = sorted(base.values)

    def share(one: str, sign: int) -> float:
        return sum(sign * (each.before[one] - each.after[one]) > 0 for each in mine) / len(mine)

    lost, gained = ({one: share(one, sign) for one in ids} for sign in (1, -1))
    groups = {one: one for one in ids}
    fallen = {one: float(base.values[one] > tuned.values[one]) for one in ids}
    excess = compare(fallen, lost, groups=groups, alpha=alpha)
    drop = compare(lost, gained, groups=groups, alpha=alpha)
    return Noise(
        lost=sum(lost.values()) / len(ids),
        gained=sum(gained.values()) / len(ids),
        drop=drop.interval,
        excess=excess.interval,
        above=lower_bound(excess, ALPHA) > 0,
    ), excess


def pooled(parts: Sequence[tuple[Noise, Difference]], *, reach: Sequence[float]) -> Noise | None:
    """The mean of suites, each weighing the same; None when a suite has no floor.

    `reach` are the quantiles of the two-sided interval and of the one-sided bound.
    """
    if not parts:
        return None
    many = len(parts)
    error = sum(excess.error**2 for _, excess in parts) ** 0.5 / many
    value = sum(found.excess.value for found, _ in parts) / many
    drop = sum(found.drop.value for found, _ in parts) / many
    wide = sum(((found.drop.high - found.drop.low) / 2) ** 2 for found, _ in parts) ** 0.5 / many
    items = sum(found.excess.n for found, _ in parts)
    return Noise(
        lost=sum(found.lost for found, _ in parts) / many,
        gained=sum(found.gained for found, _ in parts) / many,
        drop=Measure(drop, drop - wide, drop + wide, items),
        excess=Measure(value, value - reach[0] * error, value + reach[0] * error, items),
        above=value - reach[1] * error > 0,
    )
