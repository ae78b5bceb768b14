"""One trial in figures: all that a verdict needs of it, and no text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from advisor.core import Retrieved, Row, SuiteScores, Trial
from advisor.measures.cost import Work, work
from advisor.stats.spread import Floats
from advisor.verdict import Counts

RETRIEVED = "retrieved"  # the part that says whether the right document was at hand


@dataclass(frozen=True, slots=True)
class Marks:
    """One contender at one seed, item by item in the order of the test rows.

    `credits` and each of `parts` are 0..1, NaN where there was nothing to grade.
    """

    contender: str
    seed: int
    credits: Floats
    parts: Mapping[str, Floats]
    counts: Counts
    work: Work
    retention: Mapping[str, SuiteScores] | None
    axes: Mapping[str, str]


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
    credits = [np.nan if grade.credit is None else grade.credit for grade in graded]
    return Marks(
        contender=trial.contender,
        seed=trial.seed,
        credits=np.array(credits, dtype=np.float64),
        parts=parts,
        counts=counts(trial.rows),
        work=work(trial),
        retention=trial.retention,
        axes=trial.axes,
    )


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
