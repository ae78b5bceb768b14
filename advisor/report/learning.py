"""Learning curves: would more labelled rows change the advice?"""

from __future__ import annotations

from collections.abc import Mapping

from advisor.report.figures import MISSING, percent_measure, whole
from advisor.report.model import Report, level, ranked, visible
from advisor.report.outlook import Sheet
from advisor.verdict import LearningCurve

_LEDE = (
    "The same recipe, settings and seed on parts of the train rows, each within the next and "
    "groups whole; the same test rows, and all of dev, at every size. Fewer rows at as many passes "
    "are fewer updates too. A size is tuned once a seed: of a single seed the intervals hold the "
    "luck of the test rows, not that of the part or of the tuning. Nothing is foretold beyond the "
    "rows there are."
)


def learning(report: Report) -> tuple[Sheet, ...]:
    """The sheet of all curves, best contender first; none where none was asked for."""
    curves = {one.contender: one for one in report.verdict.curves}
    lines = [line for one in ranked(report.verdict) if one.contender in curves
             for line in _lines(curves[one.contender])]
    lines += [(name, MISSING, MISSING, f"no curve: {why}") for name, why in _without(report.run)]
    heads = (("Contender", ""), ("Train rows", ""), ("Quality", f"%, {level(report.run)}"),
             ("Reading", ""))
    return (Sheet("Learning curves", _LEDE, heads, tuple(lines)),) if lines else ()


def _lines(curve: LearningCurve) -> list[tuple[str, ...]]:
    """One a size; what follows from all of them stands beside the last."""
    last = len(curve.points) - 1
    return [
        (curve.contender, whole(rows) if rows else "none", percent_measure(quality),
         curve.reading if at == last else "")
        for at, (rows, quality) in enumerate(curve.points)
    ]


def _without(run: Mapping[str, object]) -> list[tuple[str, str]]:
    """Tuned contenders without a curve that was asked for, and why."""
    noted = run.get("learning_curves")
    found = noted.get("without") if isinstance(noted, Mapping) else None
    return [(str(name), visible(str(why))) for name, why in found.items()] if isinstance(
        found, Mapping) else []
