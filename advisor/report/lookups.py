"""The retriever apart from the model: what was found, and what the right passage would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advisor.measures.recall import recall
from advisor.report.figures import MISSING, bounds, percent, points, whole
from advisor.report.model import Report, first_trials
from advisor.report.tables import Cell
from advisor.stats import compare, measure
from advisor.trial import Retrieved, Trial
from advisor.verdict import Measure

HEADS = (
    ("Recall", "% of rows, as read"),
    ("Recall, deeper", "%"),
    ("Measured", "%, probed rows"),
    ("Ceiling", "%, right passage"),
    ("To gain by retrieving", "points"),
)
# Fewer rows than this cannot tell a retriever's faults from a model's.
ENOUGH = 20


@dataclass(frozen=True, slots=True)
class Lookup:
    """One contender that retrieves: its figures, and which part to mend first."""

    name: str
    cells: tuple[Cell, ...]
    advice: str


def lookups(report: Report) -> tuple[Lookup, ...]:
    """A line for each contender whose retriever was measured, in the order of standings."""
    return tuple(
        _line(name, trial, trial.retrieved)
        for name, trial in first_trials(report).items()
        if trial.retrieved is not None
    )


def _line(name: str, trial: Trial, found: Retrieved) -> Lookup:
    groups = {row.example.question.id: row.example.group for row in trial.rows}
    ids = [one for one in found.ranks if one in groups]
    ranks, of = [found.ranks[one] for one in ids], [groups[one] for one in ids]
    cells = [_recall(ranks, of, found.read), _recall(ranks, of, found.depth)]
    credits = {row.example.question.id: row.grade.credit for row in trial.rows}
    probed = {one: credit for one in found.oracle if (credit := credits.get(one)) is not None}
    if not probed:
        empty = Cell(MISSING)
        return Lookup(name, (*cells, empty, empty, empty), "not measured")
    oracle = {one: found.oracle[one] for one in probed}
    gain = compare(oracle, probed, groups={one: groups[one] for one in probed}, alpha=0.05).interval
    measured, ceiling = (_mean(one, groups) for one in (probed, oracle))
    return Lookup(name, (
        *cells, _cell(measured), _cell(ceiling), Cell(points(gain.value), bounds(gain)),
    ), advice(gain, ceiling))


def advice(gain: Measure, ceiling: Measure) -> str:
    """`retrieval` when the right passage would gain more than is missing with it, `generator`
    when less; both need the interval to clear zero, and 20 rows."""
    if gain.n < ENOUGH:
        return f"too few rows to tell (n = {gain.n})"
    missing = 1 - ceiling.value
    if gain.value >= missing and gain.low > 0:
        return "fix retrieval"
    if missing > gain.value and ceiling.high < 1:
        return "fix the generator" + (", then retrieval" if gain.low > 0 else "")
    return "cannot tell"


def _recall(ranks: Sequence[int], groups: Sequence[str], depth: int) -> Cell:
    hits = [recall([rank], depth) for rank in ranks]
    found = measure(hits, groups, seed=0)
    return Cell(percent(found.value, 0), f"at {whole(depth)} {bounds(found, places=0)}")


def _mean(values: dict[str, float], groups: dict[str, str]) -> Measure:
    return measure(list(values.values()), [groups[one] for one in values], seed=0)


def _cell(found: Measure) -> Cell:
    return Cell(percent(found.value, 1), f"{bounds(found)} n = {whole(found.n)}")
