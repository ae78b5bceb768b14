"""Both sides answered and scored: from a run's journal where it can be, else by the model.

Everything lands in the gate's own journal under the keys that `advisor run` uses, so an
unchanged side is never asked twice, and the runs that are read are not written to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from advisor.config import Settings
from advisor.contenders.composed import Tools
from advisor.contenders.recipe import reopen
from advisor.core import Task
from advisor.data.digest import AnswerKey, digest
from advisor.errors import AdvisorError
from advisor.gate.sides import Base, Side, settings_of
from advisor.measures.retention import Suite
from advisor.runner.journal import Journal
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan, Watch, recipe_digest
from advisor.runner.record import JOURNAL, Missing, Mute, Record, nothing_to_open
from advisor.runner.stages import Stages, base_key, retention_stage
from advisor.runner.trial import (
    as_prepared,
    base_retention,
    probe_stage,
    scored,
    trial_of,
)
from advisor.ship.bundle import MANIFEST, digests
from advisor.trial import PrepareCost, SuiteScores, Trial


@dataclass(frozen=True, slots=True)
class Bench:
    """What both sides are put to. `rescore` takes no answer of other software as it is;
    `fail_fast` scores no retention once the task alone shows a failure."""

    task: Task
    settings: Settings
    suites: tuple[Suite, ...]
    folder: Path
    tools: Callable[[Base], Tools]
    rescore: bool = False
    fail_fast: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """A side's trial; `base` are the untouched base's scores, None for untouched weights.

    `code` and `model` identify what measured; `read` is True when no model was needed.
    """

    side: Side
    trial: Trial
    base: Mapping[str, SuiteScores] | None
    code: str
    model: str
    read: bool


def score(
    side: Side, bench: Bench, *, journal: Journal, watch: Watch,
    retention: Callable[[Trial], bool],
) -> Scored:
    """The side's trial, with retention scores if its weights were changed and `retention`,
    asked with the answered trial, wants them.

    Raises AdvisorError when something has to be measured and cannot be.
    """
    if side.record is not None and not bench.rescore:
        try:
            return _read(side, side.record, bench, journal=journal, retention=retention)
        except Missing:
            pass  # measured below, on top of what was found
    return _measure(side, bench, journal=journal, watch=watch, retention=retention)


def _read(
    side: Side, record: Record, bench: Bench, *, journal: Journal,
    retention: Callable[[Trial], bool],
) -> Scored:
    plan = replace(record.plan(bench.task), suites=bench.suites)
    key = record.key(side.name)
    with Journal(record.folder / JOURNAL) as source:
        _carry(key, plan, record=record, source=source, target=journal)
        prepared = source.stage(record.unprepared(side.name).stage("prepare"))
    opened = nothing_to_open(record, side.name)
    stages = Stages(plan, journal, Mute())
    cost = prepared["cost"] if prepared else _no_cost()
    trial, _ = trial_of(key, side.recipe, opened, cost, stages=stages)
    base, scores = None, side.tuned and retention(trial)
    if side.tuned and (scores or _holds(journal, key, plan)):
        trial = replace(trial, retention=scored(key, opened, stages=stages))
    if scores:
        if not _holds(journal, base_key(plan), plan):
            raise Missing(f"{record.folder} does not hold the base's retention",
                          fix="drop --suite, or keep the model at hand")
        base = base_retention(plan, journal)
    return Scored(side, trial, base, record.code, plan.tools.engine.digest, read=True)


def _holds(journal: Journal, key: AnswerKey, plan: Plan) -> bool:
    """Whether the scores on the suites are there."""
    stage = retention_stage(key, [suite.digest for suite in plan.suites])
    return journal.stage(stage) is not None


def _carry(
    key: AnswerKey, plan: Plan, *, record: Record, source: Journal, target: Journal
) -> None:
    """Copy what a run's journal holds of this; the same content again changes nothing."""
    asked = {key.key(example.question): example.question for example in plan.task.test}
    found = source.answers(asked)
    target.put_many(key, [(asked[one], answer) for one, answer in found.items()])
    probe, _ = probe_stage(key, plan)
    if (stored := source.stage(probe)) is not None:
        target.put_stage(probe, "probe", stored, contender=key.contender)
    known: Mapping[str, str] = record.run["retention"]
    if any(known.get(suite.name) != suite.digest for suite in plan.suites):
        return
    wanted = [suite.digest for suite in plan.suites]
    for one in (key, base_key(plan)):
        stored = source.stage(retention_stage(one, list(known.values())))
        if stored is not None:
            kept = {suite.name: stored[suite.name] for suite in plan.suites}
            target.put_stage(retention_stage(one, wanted), "retention", kept,
                             contender=one.contender)


def _measure(
    side: Side, bench: Bench, *, journal: Journal, watch: Watch,
    retention: Callable[[Trial], bool],
) -> Scored:
    system = side.system
    if system is None:
        raise AdvisorError(
            f"{side.place}: {side.name} has to be asked again, but its files are gone or changed",
            fix="run the task again, or name a bundle of it",
        )
    base = bench.tools(side.base)
    tools = base
    if side.merged is not None:
        tools = bench.tools(replace(side.base, model=str(side.merged)))
    plan = _plan(side, bench, tools)
    key = _key(side, plan, system)
    opened = Opened(lambda: reopen(system, tools))
    stages = Stages(plan, journal, watch)
    trial, _ = trial_of(key, side.recipe, opened, _no_cost(), stages=stages)
    before = None
    if side.tuned and retention(trial):
        trial = replace(trial, retention=scored(key, opened, stages=stages))
        watch.stage("base", "forgetting", 1)
        before = base_retention(replace(plan, tools=base), journal)
    return Scored(side, trial, before, plan.code, tools.engine.digest, read=False)


def _plan(side: Side, bench: Bench, tools: Tools) -> Plan:
    return Plan(
        task=bench.task, recipes={side.name: side.recipe},
        settings=settings_of(side, bench.settings), suites=bench.suites, tools=tools,
        seed=side.record.seed(side.name) if side.record else 0, final=True,
        folder=bench.folder, data={},
    )


def _key(side: Side, plan: Plan, system: Path) -> AnswerKey:
    """As `advisor run` would name it: a side with a run continues that run's answers."""
    made_from = plan.task.material.digest
    if side.record is not None:
        made_from = side.record.unprepared(side.name).material
    bare = AnswerKey(
        contender=side.name, seed=plan.seed, recipe=recipe_digest(side.recipe),
        engine=digest([plan.tools.engine.digest, plan.tools.embedder.digest]),
        material=made_from, code=plan.code,
    )
    files = {name: sha for name, sha in digests(system).items() if name != MANIFEST}
    return as_prepared(bare, files)


def _no_cost() -> dict[str, object]:
    return asdict(PrepareCost(seconds=0.0, tokens_trained=0, artefact_bytes=0))


