"""One trial in figures: all that a verdict needs of it, and no text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from advisor.measures.cost import Work, work
from advisor.stats.spread import Floats
from advisor.trial import Retrieved, Row, SuiteScores, Trial
from advisor.verdict import Counts

RETRIEVED = "retrieved"  # the part that says whether the right document was at hand


@dataclass(frozen=True, slots=True)
class Marks:
    """One contender at one seed, item by item in the order of the test rows.

    `credits` and each of `parts` are 0..1, NaN where there was nothing to grade. `learning` are
    such credits by the number of train rows that were learnt, fewest first and `credits` last;
    empty where no learning curve was measured.
    """

    contender: str
    seed: int
    credits: Floats
    parts: Mapping[str, Floats]
    counts: Counts
    work: Work
    retention: Mapping[str, SuiteScores] | None
    axes: Mapping[str, str]
    learning: tuple[tuple[int, Floats], ...] = ()


def marks(trial: Trial) -> Marks:
    """A trial's figures; raises AdvisorError when none of its answers can be priced.

    For a contender that reads, the part `retrieved` is 1 where it was given a document that
    holds the answer, by the row's `sources`, or else a passage in which an accepted answer
    stands; NaN where the row names no source and its answer stands nowhere in the corpus.
    """
    graded = [row.grade for row in trial.rows]
    names = sorted({part for grade in graded for part in grade.parts})
    parts = {name: np.array([np.nan if grade.credit is None else grade.parts.get(name, np.nan)
                             for grade in graded], dtype=np.float64) for name in names}
    found = np.array([_found(row, trial.retrieved) for row in trial.rows], dtype=np.float64)
    if trial.axes.get("retrieval", "none") not in ("none", "-") and np.isfinite(found).any():
        parts[RETRIEVED] = found
    credits = _column([grade.credit for grade in graded])
    return Marks(
        contender=trial.contender,
        seed=trial.seed,
        credits=credits,
        parts=parts,
        counts=counts(trial.rows),
        work=work(trial),
        retention=trial.retention,
        axes=trial.axes,
        learning=_learning(trial, credits),
    )


def _column(credits: Sequence[float | None]) -> Floats:
    return np.array(credits, dtype=np.float64)  # None becomes NaN


def _learning(trial: Trial, credits: Floats) -> tuple[tuple[int, Floats], ...]:
    if trial.learning is None:
        return ()
    ids = [row.example.question.id for row in trial.rows]
    parts = [(rows, _column([found[row] for row in ids]))
             for rows, found in sorted(trial.learning.parts.items())]
    return (*parts, (trial.learning.rows, credits))


def _found(row: Row, retrieved: Retrieved | None) -> float:
    if row.answer.failure:
        return float("nan")
    if known := row.example.sources:
        return float(not set(known).isdisjoint(row.answer.sources))
    rank = retrieved.ranks.get(row.example.question.id) if retrieved else None
    return float("nan") if rank is None or retrieved is None else float(
        1 <= rank <= retrieved.read)


def counts(rows: tuple[Row, ...]) -> Counts:
    """How many answers could be read, and why the others could not."""
    statuses = [row.grade.status for row in rows]
    return Counts(
        asked=len(rows),
        read=statuses.count("read"),
        empty=statuses.count("empty"),
        unreadable=statuses.count("unreadable"),
        failed=statuses.count("failed"),
        shortened_prompts=sum(bool(row.answer.dropped) for row in rows),
    )
