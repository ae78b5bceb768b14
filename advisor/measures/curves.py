"""Quality against the number of labelled rows, and whether more of them would help.

Nothing is said beyond the rows there are: curves go on in many ways (Viering and Loog, arXiv
2103.10948), and three points do not tell which.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from advisor.stats import difference, measure_seeds
from advisor.stats.spread import Codes, Floats
from advisor.verdict import LearningCurve, Measure

RISING = "still rising"


# (train rows, credits 0..1 of the test items, NaN where an answer failed), fewest rows first.
Sizes = Sequence[tuple[int, Floats]]


def curve(
    contender: str, seeds: Sequence[Sizes], codes: Codes, *, alpha: float, margin: float
) -> LearningCurve | None:
    """The quality at each size with its interval, and what the last step says.

    `seeds` are the sizes at each seed, which are averaged over (groups kept whole can make a
    part a few rows larger at one seed); `codes` numbers each item's cluster. With several seeds
    the intervals hold the luck of the parts and of the tuning too. The last two sizes are paired
    on the items that both have a credit for. Gains smaller than `margin` (0..1) do not matter.
    None where there are fewer than two sizes, or the last two share no graded item.
    """
    alike = [sizes for sizes in seeds if len(sizes) == len(seeds[0])]
    stacked = [(round(float(np.mean([rows for rows, _ in step]))),
                np.stack([credits for _, credits in step])) for step in zip(*alike, strict=True)]
    graded = [(rows, table, np.isfinite(table).all(axis=0)) for rows, table in stacked]
    graded = [one for one in graded if one[2].any()]
    if len(graded) < 2:
        return None
    (fewer, before, some), (most, after, others) = graded[-2:]
    shared = some & others
    if not shared.any():
        return None
    gain = difference(after[:, shared], before[:, shared], codes[shared], alpha=alpha)
    points = tuple(
        (rows, measure_seeds(table[:, kept], codes[kept], alpha=alpha))
        for rows, table, kept in graded
    )
    return LearningCurve(contender, points, reading(most - fewer, gain.interval, margin))


def reading(rows: int, gain: Measure, margin: float) -> str:
    """What the last `rows` train rows brought, and what follows from it, in words."""
    brought = (f"the last {rows:,} rows brought {gain.value * 100:.1f} points "
               f"[{gain.low * 100:.1f}, {gain.high * 100:.1f}]")
    if gain.high < 0:
        return f"falling: {brought}; look at these rows before labelling more"
    if gain.high <= margin:
        return (f"flat: {brought}, less than the {margin * 100:.1f} that matter; more rows of "
                "this kind would hardly help")
    if gain.low > 0:
        return f"{RISING}: {brought}; label more"
    return f"cannot tell yet: {brought}; more test rows would show it"


def more_rows_help(curves: Sequence[LearningCurve], contender: str) -> bool:
    """Whether the contender's curve is known to rise still; False without one."""
    return any(one.contender == contender and one.reading.startswith(RISING) for one in curves)
