"""A finished run in figures, kept in its journal: enough to decide again without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from advisor.decide import Case
from advisor.errors import AdvisorError
from advisor.measures.cost import Work
from advisor.measures.marks import Marks
from advisor.runner.journal import Journal
from advisor.runner.registration import Registration
from advisor.stats.spread import Floats
from advisor.trial import PrepareCost, Reworded, SuiteScores
from advisor.verdict import Counts, Policy

STAGE = "ledger"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a verdict was made from, the policy it was made with, and what it is about."""

    task: str
    title: str
    case: Case
    policy: Policy
    registration: Registration


def keep(journal: Journal, ledger: Ledger) -> None:
    """Store the ledger of the run's last verdict, in place of an earlier one."""
    case = ledger.case
    journal.put_stage(STAGE, STAGE, {
        "version": VERSION,
        "task": ledger.task,
        "title": ledger.title,
        "policy": asdict(ledger.policy),
        "registration": asdict(ledger.registration),
        "case": {
            "primary": case.primary,
            "groups": case.groups,
            "slices": dict(case.slices),
            "trials": [_plain(one) for one in case.trials],
            "base": _scores(case.base),
            "floor": case.floor,
            "final": case.final,
            "seed": case.seed,
            **({"cells": dict(case.cells)} if case.cells else {}),
            "reworded": [asdict(one) for one in case.reworded],
        },
    })


def recall(folder: Path) -> Ledger:
    """The ledger of the run in `folder`.

    Raises AdvisorError when there is no run, when it has not finished, or when it was
    measured by an advisor that kept no ledger.
    """
    path = folder / "journal.db"
    if not path.is_file():
        raise AdvisorError(f"{folder}: not a run folder (it holds no journal.db)",
                           fix="name a folder of reports/, such as advisor decide reports/TASK")
    with Journal(path) as journal:
        stored = journal.stage(STAGE)
    if stored is None:
        raise AdvisorError(
            f"{folder}: the run has not finished, or is older than `advisor decide`",
            fix="give its `advisor run` command again: what was measured is kept",
        )
    if stored["version"] > VERSION:
        raise AdvisorError(f"{path}: written by a newer advisor",
                           fix="pip install --upgrade adaptation-advisor")
    case, registered = stored["case"], stored["registration"]
    changed = {key: (was, now) for key, (was, now) in registered["changed"].items()}
    return Ledger(
        stored["task"], stored["title"],
        Case(
            primary=case["primary"],
            groups=tuple(case["groups"]),
            slices={column: tuple(values) for column, values in case["slices"].items()},
            trials=tuple(_marks(one) for one in case["trials"]),
            base=_suites(case["base"]),
            floor=case["floor"],
            final=case["final"],
            seed=case["seed"],
            cells={name: tuple(on) for name, on in case.get("cells", {}).items()},
            reworded=tuple(Reworded(**one) for one in case.get("reworded", ())),
        ),
        Policy(**stored["policy"]),
        Registration(**{**registered, "changed": changed}),
    )


def _plain(one: Marks) -> dict[str, Any]:
    work = asdict(one.work)
    # JSON has no NaN: what was not measured is stored as null.
    work["peak_memory_mib"] = None if np.isnan(one.work.peak_memory_mib) else (
        one.work.peak_memory_mib)
    return {
        "contender": one.contender,
        "seed": one.seed,
        "credits": _column(one.credits),
        "parts": {name: _column(values) for name, values in one.parts.items()},
        "counts": asdict(one.counts),
        "work": work,
        "retention": _scores(one.retention),
        "axes": dict(one.axes),
        **({"learning": [[rows, _column(values)] for rows, values in one.learning]}
           if one.learning else {}),
    }


def _marks(stored: Mapping[str, Any]) -> Marks:
    work, prepare = stored["work"], stored["work"]["prepare"]
    peak = work["peak_memory_mib"]
    curves = {name: tuple(prepare[name]) for name in ("dev_loss", "train_loss")}
    return Marks(
        contender=stored["contender"],
        seed=stored["seed"],
        credits=_array(stored["credits"]),
        parts={name: _array(values) for name, values in stored["parts"].items()},
        counts=Counts(**stored["counts"]),
        work=Work(**{**work, "latencies_ms": tuple(work["latencies_ms"]),
                     "peak_memory_mib": float("nan") if peak is None else peak,
                     "prepare": PrepareCost(**{**prepare, **curves})}),
        retention=_suites(stored["retention"]),
        axes=stored["axes"],
        learning=tuple((rows, _array(values)) for rows, values in stored.get("learning", ())),
    )


def _column(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


def _array(values: Sequence[float | None]) -> Floats:
    return np.array(values, dtype=np.float64)  # null becomes NaN


def _scores(found: Mapping[str, SuiteScores] | None) -> dict[str, Any] | None:
    return None if found is None else {name: asdict(suite) for name, suite in found.items()}


def _suites(stored: Mapping[str, Any] | None) -> dict[str, SuiteScores] | None:
    return None if stored is None else {
        name: SuiteScores(**suite) for name, suite in stored.items()}
