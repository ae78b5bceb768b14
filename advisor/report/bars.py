"""Small intervals drawn inside table cells, and the credit strip of a row."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from advisor.report.figures import known, percent, percent_measure, points_measure
from advisor.report.svg import Scale, el, picture
from advisor.verdict import Measure

_CELL = 13


def quality_bar(quality: Measure, *, kind: str, chance: float) -> Markup:
    """A quality with its interval on a track from 0 to 100%, chance marked by a tick."""
    if not known(quality.value):
        return Markup("")
    scale = Scale(0.0, 1.0, 2.0, 108.0)
    parts = [el("line", x1=2, x2=108, y1=8, y2=8, class_="track")]
    if chance > 0:
        parts.append(el("line", x1=scale(chance), x2=scale(chance), y1=3, y2=13, class_="chance"))
    parts += _interval(scale, quality)
    label = f"{percent_measure(quality)} on a scale from 0 to 100%, guessing {percent(chance)}"
    return el("span", picture(parts, width=110, height=16, label=label), class_=f"bar {kind}")


def difference_bar(difference: Measure, *, reach: float) -> Markup:
    """A difference with its interval around a zero line; the track spans -reach..reach."""
    if not known(difference.value):
        return Markup("")
    scale = Scale(-reach, reach, 6.0, 234.0)
    parts = [
        el("line", x1=6, x2=234, y1=8, y2=8, class_="track"),
        el("line", x1=120, x2=120, y1=1, y2=15, class_="zero"),
        *_interval(scale, difference),
    ]
    label = f"{points_measure(difference)} points"
    return el("span", picture(parts, width=240, height=16, label=label), class_="bar plain")


def _interval(scale: Scale, measure: Measure) -> list[Markup]:
    """The interval as a band and the value as a stroke: both are seen when it is narrow."""
    parts = []
    if known(measure.low) and known(measure.high):
        left, right = scale(measure.low), scale(measure.high)
        parts.append(el("rect", x=left, y=4, width=right - left, height=8, class_="band"))
    x = scale(measure.value)
    return [*parts, el("line", x1=x, x2=x, y1=2, y2=14, class_="value")]


def credit_strip(credits: Sequence[tuple[str, float | None]]) -> Markup:
    """One cell a contender, filled by its credit; an answer that failed is crossed out."""
    parts = []
    for index, (name, credit) in enumerate(credits):
        x = 1.0 + index * (_CELL + 3)
        cell = [
            el("title", f"{name}: {percent(credit, 0) if known(credit) else 'no answer'}"),
            el("rect", x=x, y=1, width=_CELL, height=_CELL, class_="cell"),
        ]
        if known(credit):
            tall = _CELL * min(max(credit, 0.0), 1.0)
            cell.append(
                el("rect", x=x, y=1 + _CELL - tall, width=_CELL, height=tall, class_="credit")
            )
        else:
            cell.append(
                el(
                    "path",
                    d=f"M{x:.0f},1l{_CELL},{_CELL}m0,-{_CELL}l-{_CELL},{_CELL}",
                    class_="cross",
                )
            )
        parts.append(el("g", *cell))
    said = ", ".join(
        f"{name} {percent(credit, 0) if known(credit) else 'no answer'}" for name, credit in credits
    )
    width = 2 + len(credits) * (_CELL + 3)
    return picture(parts, width=width, height=_CELL + 2, label=f"Credit: {said}")
