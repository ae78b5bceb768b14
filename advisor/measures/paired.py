"""Two contenders, or two runs of one, on the questions that both answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from advisor.errors import AdvisorError
from advisor.stats import Difference, compare
from advisor.trial import Row


@dataclass(frozen=True, slots=True)
class Paired:
    """Two contenders on the questions that both answered: `after` minus `before`.

    `changed` pairs the rows whose credit differs, the greatest loss first. `alone` counts
    questions that only one side answered.
    """

    difference: Difference
    changed: tuple[tuple[Row, Row], ...]
    alone: int


def pair(before: Mapping[str, Row], after: Mapping[str, Row], *, alpha: float) -> Paired:
    """The paired difference of two contenders; raises AdvisorError when they share no row."""
    credits = [{name: row.grade.credit for name, row in side.items()
                if row.grade.credit is not None} for side in (before, after)]
    shared = credits[0].keys() & credits[1].keys()
    if not shared:
        raise AdvisorError("the two share no graded question", fix="compare runs of one task")
    one, other = ({name: side[name] for name in shared} for side in credits)
    groups = {name: before[name].example.group for name in shared}
    changed = sorted((name for name in shared if one[name] != other[name]),
                     key=lambda name: (other[name] - one[name], name))
    return Paired(
        compare(other, one, groups=groups, alpha=alpha),
        tuple((before[name], after[name]) for name in changed),
        len(before.keys() ^ after.keys()),
    )
