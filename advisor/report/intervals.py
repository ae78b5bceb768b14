"""Values with their intervals, one below the other: quality, differences, what was forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from advisor.report.drawing import (
    INK,
    INKS,
    NARROW,
    PAPER,
    PERCENT,
    PLAIN,
    POINTS,
    SHAPES,
    SIZES,
    SOFT,
    WIDE,
    Figure,
    Frame,
    Spec,
    amount,
    clipped,
    domain,
    each,
    given,
    layer,
    picture,
    room,
)
from advisor.report.figures import (
    bounds,
    decimal,
    known,
    percent,
    percent_measure,
    plural,
    points,
    points_measure,
    words,
)
from advisor.report.model import FAMILY_WORDS, Report, family, level, ranked, visible
from advisor.report.wording import GATE_WORDS, UNIT_WORDS
from advisor.verdict import Comparison, Forgetting, GateState, Measure, Standing, SuiteChange

_ROW = 24.0
_STATES: dict[GateState, str] = {
    "pass": "var(--good)", "fail": "var(--bad)", "inconclusive": "var(--warn)",
    "cannot_gate": SOFT, "shown": SOFT,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One value: `said` is all of it in words, `note` and `short` stand to its right where
    there is room and where there is little."""

    name: str
    measure: Measure
    said: str
    note: str = ""
    short: str = ""
    ink: str = "var(--tuned)"
    shape: str = "circle"
    size: int = 70
    note_ink: str = SOFT
    bold: bool = False
    hollow: bool = False
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Ruler:
    """The axis: its title, how numbers are written, extent, and the values that a rule marks."""

    title: str
    form: str
    extent: Sequence[float]
    rules: Sequence[tuple[float, str, str]]  # value, word above it, colour


def intervals(lines: Sequence[Line], ruler: Ruler, *, label: str, wide: bool = False) -> Markup:
    """The lines from top to bottom on one axis, a name left and a note right of each."""
    rows = [_row(at, line, wide) for at, line in enumerate(lines)]
    left = room([row["name"] for row in rows], 36)
    right = room([row["note"] for row in rows], 26)
    frame = Frame((WIDE if wide else NARROW) - left - right, _ROW * len(lines), left, right, 20, 38)
    marks = [{"value": value, "word": word, "ink": ink} for value, word, ink in ruler.rules]
    x = amount("value", scale={"domain": list(ruler.extent), "nice": False, "zero": False},
               axis={"title": ruler.title, "labelExpr": ruler.form, "tickCount": 8 if wide else 4})
    y = amount("at", scale={"domain": [0, len(lines)], "reverse": True}, axis=None)
    ink = given("ink")
    layers = [
        layer(marks, "rule", {"strokeDash": [4, 3]}, x=x, color=ink),
        layer(marks, "text", {"baseline": "bottom"}, x=x, y={"value": -6},
              text={"field": "word"}, color=given("ink")),
        layer([row for row in rows if known(row["low"])], "rule",
              {"strokeWidth": 2, "opacity": 0.6}, x=x | {"field": "low"},
              x2={"field": "high"}, y=y, color=ink),
        layer([row for row in rows if known(row["bound"])], "tick",
              {"thickness": 1.5, "size": 12, "orient": "vertical"},
              x=x | {"field": "bound"}, y=y, color=ink),
        layer([row for row in rows if known(row["value"])], "point",
              {"size": each("size"), "strokeWidth": 1.4}, x=x, y=y, fill=given("fill"),
              stroke=given("edge"), shape=given("shape"), description={"field": "said"}),
        layer(rows, "text", {"align": "right", "fontWeight": each("weight")},
              x={"value": -12}, y=y, text={"field": "name"}),
        layer(rows, "text", {"align": "left", "fontWeight": each("weight")},
              x={"value": frame.width + 12}, y=y, text={"field": "note"}, color=given("note_ink")),
    ]
    return picture(layers, frame, label=label)


def _row(at: int, line: Line, wide: bool) -> Spec:
    size = line.measure
    whole = known(size.low) and known(size.high)
    return {
        "at": at + 0.5, "name": clipped(line.name, 36 if wide else 17), "said": visible(line.said),
        "value": size.value if known(size.value) else None,
        "low": size.low if whole else None, "high": size.high if whole else None,
        "bound": line.bound if known(line.bound) else None,
        "note": line.note if wide else line.short, "note_ink": line.note_ink,
        "ink": line.ink, "edge": line.ink if line.hollow else PAPER,
        "fill": PAPER if line.hollow else line.ink, "shape": line.shape,
        "size": line.size, "weight": "bold" if line.bold else "normal",
    }


def _both(heading: str, lines: Sequence[Line], ruler: Ruler, label: str,
          keys: tuple[str, ...]) -> Figure:
    large, small = (intervals(lines, ruler, label=label, wide=wide) for wide in (True, False))
    return Figure(heading, "", large, small, keys)


def _ends(measures: Iterable[Measure]) -> list[float]:
    return [end for one in measures for end in (one.value, one.low, one.high)]


def quality(report: Report) -> Figure | None:
    """Every contender's quality with its interval, best first, against guessing."""
    shown = [one for one in ranked(report.verdict) if known(one.quality.value)]
    if not shown:
        return None
    chance = report.task.chance
    rules = [(chance, "guessing", SOFT)] if chance > 0 else []
    low, high = domain([*_ends(one.quality for one in shown), *(at for at, *_ in rules)])
    primary = words(report.task.primary)
    ruler = Ruler(primary, PERCENT, (max(low, -0.02), min(high, 1.02)), rules)
    lines = [_standing(one, one.contender == report.verdict.winner) for one in shown]
    label = f"{primary} of {plural(len(shown), 'contender')} with its interval"
    keys = (f"bar: {level(report.run)}", "hollow: breaks a limit", "bold: recommended")
    return _both("", lines, ruler, label, keys)


def _standing(one: Standing, won: bool) -> Line:
    kind = family(one.axes)
    said = f"{one.contender}: {percent_measure(one.quality)}, {FAMILY_WORDS[kind]}"
    said += ", recommended" if won else ", breaks a limit" if one.barred_by else ""
    return Line(one.contender, one.quality, said, percent_measure(one.quality),
                percent(one.quality.value), ink=INKS[kind], shape=SHAPES[kind], size=SIZES[kind],
                note_ink=INK, bold=won, hollow=bool(one.barred_by))


def differences(report: Report) -> Figure | None:
    """The comparisons of the verdict, each on the same items, around zero."""
    found = [one for one in report.verdict.comparisons if known(one.difference.value)]
    if not found:
        return None
    subjects = {one.contender for one in found}
    one_subject = subjects.pop() if len(subjects) == 1 else ""
    rules = [(0.0, "no difference", SOFT)]
    ruler = Ruler("points of difference", POINTS, domain([0.0, *_ends(
        one.difference for one in found)]), rules)
    lines = [_comparison(one, one_subject) for one in found]
    heading = f"{one_subject} minus" if one_subject else "First minus second"
    label = f"{heading} each of {plural(len(found), 'other')}, in points"
    keys = (f"bar: {level(report.run)}", "right of zero: the first of the two is better")
    return _both(heading, lines, ruler, label, keys)


def _comparison(one: Comparison, subject: str) -> Line:
    size = one.difference
    name = one.against if subject else f"{one.contender} - {one.against}"
    return Line(name, size, f"{one.contender} minus {one.against}: {points_measure(size)} points",
                points_measure(size), points(size.value), ink=INK, note_ink=INK)


def _shares(found: Forgetting) -> list[SuiteChange]:
    return [found.pooled, *(one for one in found.suites if one.metric == "acc")]


def _tuned(report: Report) -> list[tuple[str, Forgetting]]:
    return [(one.contender, one.forgetting) for one in ranked(report.verdict)
            if isinstance(one.forgetting, Forgetting)]


def forgetting(report: Report) -> tuple[Figure, ...]:
    """A picture a tuned contender, all on one scale: the pooled gate, then each suite."""
    tuned = _tuned(report)
    extent = _extent([row for _, found in tuned for row in _shares(found)])
    return tuple(Figure(name, _flips(found.pooled), suites(found, extent, name=name))
                 for name, found in tuned)


def _flips(pooled: SuiteChange) -> str:
    return f"{pooled.lost} items lost, {pooled.gained} gained of {pooled.drop.n:,}"


def suites(found: Forgetting, extent: Sequence[float] = (), *, name: str) -> Markup:
    """The pooled loss of accuracy, then that of each suite."""
    rows = _shares(found)
    lines = [_change(row, words(row.suite), row is found.pooled) for row in rows]
    ruler = Ruler("points lost", POINTS, extent or _extent(rows), _margins(rows))
    label = f"{name}: accuracy lost on {len(rows) - 1} suites and pooled, in points"
    return intervals(lines, ruler, label=label)


def bits(report: Report) -> tuple[Figure, ...]:
    """A picture a suite of bits or nats, one line a tuned contender; its unit is its own."""
    by_suite: dict[str, list[tuple[str, SuiteChange]]] = {}
    for name, found in _tuned(report):
        for change in found.suites:
            if change.metric != "acc":
                by_suite.setdefault(change.suite, []).append((name, change))
    made = []
    for suite, lost in by_suite.items():
        rows = [change for _, change in lost]
        unit = UNIT_WORDS[rows[0].metric]
        ruler = Ruler(f"{unit} lost", PLAIN, _extent(rows), _margins(rows))
        drawn = intervals([_change(change, name, False) for name, change in lost], ruler,
                          label=f"{words(suite)}: {unit} lost by each tuned contender")
        base = f"untouched base: {decimal(rows[0].base.value, 3)} {unit}"
        made.append(Figure(words(suite), base, drawn))
    return tuple(made)


def _extent(rows: Sequence[SuiteChange]) -> list[float]:
    return domain([0.0, *_ends(row.drop for row in rows), *(row.upper for row in rows),
                   *(row.margin for row in rows)], 0.05)


def _margins(rows: Sequence[SuiteChange]) -> list[tuple[float, str, str]]:
    margins = sorted({row.margin for row in rows if row.margin is not None})
    return [(0.0, "", SOFT), *((margin, "margin", "var(--bad)") for margin in margins)]


def _change(row: SuiteChange, name: str, pooled: bool) -> Line:
    state = GATE_WORDS[row.state]
    size = (f"{points_measure(row.drop)} points" if row.metric == "acc" else
            f"{decimal(row.drop.value, 3, signed=True)} {bounds(row.drop, scale=1, places=3)}")
    gated = row.margin is not None
    return Line(name, row.drop, f"{name}: {size} lost, {state}, n = {row.drop.n:,}", state, state,
                note_ink=_STATES[row.state], bold=pooled, size=95 if pooled else 70,
                bound=row.upper if gated else None)
