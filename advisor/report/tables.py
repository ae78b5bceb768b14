"""The standings and the comparisons as cells, shared by the page and the Markdown."""

from __future__ import annotations

from dataclasses import dataclass

from advisor.report.figures import (
    MISSING,
    bounds,
    known,
    mebibytes,
    milliseconds,
    money,
    octets,
    p_value,
    percent,
    points,
    seconds,
    whole,
    words,
)
from advisor.report.model import AXES, FAMILY_WORDS, Report, family, ranked
from advisor.report.wording import forgotten, limits
from advisor.verdict import Comparison, Forgetting, Standing

# How scorers name the part for one field of an answer, or for one rule that it must keep.
FIELD = ("field:", "rule:")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure, what qualifies it below, and the number it sorts by (None: last)."""

    text: str
    note: str = ""
    order: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One contender's line of the standings."""

    name: str
    family: str
    family_words: str
    choices: tuple[tuple[str, str], ...]
    won: bool
    barred: bool
    limits: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Column heads (name, unit) and lines."""

    heads: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


def standings_table(report: Report) -> Table:
    """Every contender, best quality first; one column for each other grade part that is not
    about a single field."""
    order = ranked(report.verdict)
    parts = [part for part in _parts(report) if not part.startswith(FIELD)]
    heads = [
        (f"Quality: {words(report.task.primary)}", "%, interval"),
        *((words(part), "%") for part in parts),
        ("Forgetting", "pooled drop, points"),
        ("Cost", "per 1,000 calls"),
        ("Latency", "p50, p95"),
        ("Tokens", "in, out"),
        ("Memory", "peak, on disk"),
        ("Prepare", "once"),
    ]
    lines = tuple(_line(report, one, parts) for one in order)
    return Table(tuple(heads), lines)


def fields_table(report: Report) -> Table | None:
    """Every contender and every field of the answer; None for answers without fields."""
    fields = [part for part in _parts(report) if part.startswith(FIELD)]
    if not fields:
        return None
    heads = tuple((words(part.partition(":")[2]), "%") for part in fields)
    lines = tuple(
        _named(report, one, tuple(_part(one, part) for part in fields))
        for one in ranked(report.verdict)
    )
    return Table(heads, lines)


def _parts(report: Report) -> list[str]:
    found = {part for one in report.verdict.standings for part in one.parts}
    return sorted(found - {report.task.primary})


def _line(report: Report, one: Standing, parts: list[str]) -> Line:
    cells = [_quality(report, one), *(_part(one, part) for part in parts), _forgetting(one)]
    return _named(report, one, (*cells, *_cost(one)))


def _named(report: Report, one: Standing, cells: tuple[Cell, ...]) -> Line:
    kind = family(one.axes)
    return Line(
        name=one.contender,
        family=kind,
        family_words=FAMILY_WORDS[kind],
        choices=tuple((axis, one.axes.get(axis) or MISSING) for axis in AXES),
        won=one.contender == report.verdict.winner,
        barred=bool(one.barred_by),
        limits=limits(one),
        cells=cells,
    )


def _quality(report: Report, one: Standing) -> Cell:
    note = bounds(one.quality)
    if one.quality.n != len(report.task.test):
        note = f"{note}\nn = {whole(one.quality.n)}"
    return Cell(percent(one.quality.value), note, _order(one.quality.value))


def _part(one: Standing, part: str) -> Cell:
    measure = one.parts.get(part)
    if measure is None:
        return Cell(MISSING)
    return Cell(percent(measure.value, 0), bounds(measure, places=0), _order(measure.value))


def _forgetting(one: Standing) -> Cell:
    text, note = forgotten(one.forgetting)
    found = one.forgetting
    value = found.pooled.drop.value if isinstance(found, Forgetting) else None
    return Cell(text, note, _order(value))


def _cost(one: Standing) -> tuple[Cell, ...]:
    cost = one.cost
    return (
        Cell(
            money(cost.usd_per_1k),
            f"{money(cost.usd_per_1k_all_in)} all-in",
            _order(cost.usd_per_1k),
        ),
        Cell(milliseconds(cost.p50_ms), milliseconds(cost.p95_ms), _order(cost.p50_ms)),
        Cell(whole(cost.tokens_in), whole(cost.tokens_out), _order(cost.tokens_in)),
        Cell(
            mebibytes(cost.peak_memory_mib),
            octets(cost.artefact_bytes),
            _order(cost.peak_memory_mib),
        ),
        Cell(seconds(cost.prepare_seconds), "", _order(cost.prepare_seconds)),
    )


def _order(value: float | None) -> float | None:
    return value if known(value) else None


def shared_method(report: Report) -> str:
    """The method of the comparisons when all have the same, otherwise nothing."""
    methods = {one.method for one in report.verdict.comparisons}
    return methods.pop() if len(methods) == 1 else ""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One line of the comparisons."""

    contender: str
    against: str
    cells: tuple[Cell, ...]


def contrasts(report: Report) -> tuple[Contrast, ...]:
    """The comparisons in the order of the verdict."""
    shared = shared_method(report)
    return tuple(
        Contrast(one.contender, one.against, _contrast_cells(one, shared))
        for one in report.verdict.comparisons
    )


def _contrast_cells(one: Comparison, shared: str) -> tuple[Cell, ...]:
    size = one.difference
    return (
        Cell(points(size.value), bounds(size), _order(size.value)),
        Cell(p_value(one.p_value), "" if shared else one.method, _order(one.p_value)),
        Cell(points(one.detectable, signed=False), f"n = {whole(size.n)}", _order(one.detectable)),
        Cell(*_decide(one)),
    )


def _decide(one: Comparison) -> tuple[str, str, float | None]:
    if one.rows_to_decide is not None:
        return f"about {whole(one.rows_to_decide)}", "", float(one.rows_to_decide)
    size = one.difference
    apart = known(size.low) and known(size.high) and (size.low > 0 or size.high < 0)
    return ("decided", "", 0.0) if apart else (MISSING, "", None)
