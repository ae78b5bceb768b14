"""One contender from recipe to trial, stage by stage, each stage in the journal.

A stage that stands in the journal under the same content key is not run again, so the
same command continues a run that was stopped, and re-runs what has changed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from advisor.config import LoraWeights, Recipe
from advisor.contenders.recipe import prepare, reopen
from advisor.core import Answer, PrepareCost, Probe, Question, Row, SuiteScores, System, Trial
from advisor.data.digest import AnswerKey, digest
from advisor.engines import memory
from advisor.engines.protocol import Engine
from advisor.errors import AdvisorError
from advisor.measures import retention
from advisor.measures.scorers import grade
from advisor.runner.contention import watched
from advisor.runner.journal import Journal
from advisor.runner.plan import Plan, Watch, recipe_digest
from advisor.ship.bundle import digests


@dataclass(slots=True)
class Opened:
    """A prepared system, read from disk only if some stage really needs it."""

    open: Callable[[], tuple[System, Engine | None]]
    warm: bool = False
    _live: tuple[System, Engine | None] | None = None

    @property
    def system(self) -> System:
        return self._both()[0]

    @property
    def engine(self) -> Engine | None:
        return self._both()[1]

    def _both(self) -> tuple[System, Engine | None]:
        if self._live is None:
            self._live = self.open()
        return self._live


def run_trial(
    name: str, recipe: Recipe, *, plan: Plan, journal: Journal, watch: Watch
) -> tuple[Trial, Mapping[str, Any]]:
    """The trial, and what was noted while measuring it (for run.yaml).

    Raises AdvisorError when the contender cannot be prepared or asked.
    """
    key = AnswerKey(
        contender=name,
        seed=plan.seed,
        recipe=recipe_digest(recipe),
        engine=digest([plan.tools.engine.digest, plan.tools.embedder.digest]),
        material=plan.task.material.digest,
        code=plan.code,
    )
    folder = plan.folder / "contenders" / name
    opened, prepared = _prepared(recipe, key, plan=plan, journal=journal, watch=watch)
    # From here on the identity is that of the artefact itself: answers of an adapter
    # that was lost and trained anew are never mixed with the old one's.
    made_from = {"engine": key.engine, "material": key.material}
    key = as_prepared(key, prepared["files"])
    stages = Stages(plan, journal, watch)
    trial, others = trial_of(key, recipe, opened, prepared["cost"], stages=stages)
    if isinstance(recipe.weights, LoraWeights):
        trial = replace(trial, retention=scored(key, opened, stages=stages))
    notes = {"artefacts": str(folder.relative_to(plan.folder)), "files": prepared["files"],
             "made_from": made_from, "busy_with_other_work": others}
    return trial, notes


@dataclass(frozen=True, slots=True)
class Stages:
    """What every stage of a trial works with."""

    plan: Plan
    journal: Journal
    watch: Watch


def as_prepared(key: AnswerKey, files: Mapping[str, str]) -> AnswerKey:
    """The identity of a system on disk: what it was made from, and its very files."""
    return replace(key, engine=digest([key.engine, files]))


def trial_of(
    key: AnswerKey, recipe: Recipe, opened: Opened, cost: Mapping[str, Any], *, stages: Stages
) -> tuple[Trial, Any]:
    """The trial of a system on disk, without retention; opened for what the journal lacks.

    `key` names the system as prepared, `cost` is what its preparation took. Also returns
    the share of the machine that was busy with other work during the probe.
    """
    plan, journal, watch = stages.plan, stages.journal, stages.watch
    name, task = key.contender, plan.task
    answers = _answers(key, opened, plan=plan, journal=journal, watch=watch)
    probe = _probe(key, opened, plan=plan, journal=journal, answers=answers)
    rows = tuple(
        Row(example, answers[example.question.id],
            grade(answers[example.question.id], example, task.scorer, primary=task.primary))
        for example in task.test
    )
    trial = Trial(
        contender=name, seed=key.seed, digest=key.recipe, rows=rows, retention=None,
        prepare=_cost(cost), axes=recipe.axes, probe=_latencies(probe),
    )
    return trial, probe["others"]


def scored(key: AnswerKey, opened: Opened, *, stages: Stages) -> dict[str, SuiteScores]:
    """The retention scores of changed weights, as a stage of their trial."""
    stages.watch.stage(key.contender, "forgetting", 1)
    found = retention_of(key, opened, plan=stages.plan, journal=stages.journal)
    stages.watch.advance()
    return found


def _latencies(stored: Mapping[str, Any]) -> Probe:
    peak = stored["peak_memory_mib"]
    # JSON has no NaN: what was not measured is stored as null.
    peak = float("nan") if peak is None else peak
    return Probe(tuple(stored["latencies_ms"]), stored["same_text"], peak)


def _cost(stored: Mapping[str, Any]) -> PrepareCost:
    curves = {name: tuple(stored[name]) for name in ("dev_loss", "train_loss")}
    return PrepareCost(**{**stored, **curves})


def _prepared(
    recipe: Recipe, key: AnswerKey, *, plan: Plan, journal: Journal, watch: Watch
) -> tuple[Opened, Mapping[str, Any]]:
    folder = plan.folder / "contenders" / key.contender
    system_folder = folder / "system"
    stage = key.stage("prepare")
    stored = journal.stage(stage)
    if stored is not None and digests(system_folder) == stored["files"]:
        return Opened(lambda: reopen(system_folder, plan.tools)), stored
    watch.stage(key.contender, "preparing", 1)
    shutil.rmtree(folder, ignore_errors=True)
    system_folder.mkdir(parents=True)
    started = time.perf_counter()
    made = prepare(
        recipe, plan.task.material, tools=plan.tools, workdir=folder / "work", seed=plan.seed
    )
    made.system.save(system_folder)
    shutil.rmtree(folder / "work", ignore_errors=True)
    files = digests(system_folder)
    size = sum(path.stat().st_size for path in system_folder.rglob("*") if path.is_file())
    seconds = time.perf_counter() - started + made.cost.earlier_seconds
    cost = replace(made.cost, seconds=seconds, artefact_bytes=size)
    stored = {"files": files, "cost": asdict(cost)}
    journal.put_stage(stage, "prepare", stored, contender=key.contender)
    watch.advance()
    # Measured is what was saved: the system answers from the very files that would ship.
    return Opened(lambda: reopen(system_folder, plan.tools)), stored


def _answers(
    key: AnswerKey, opened: Opened, *, plan: Plan, journal: Journal, watch: Watch
) -> dict[str, Answer]:
    questions = {key.key(e.question): e.question for e in plan.task.test}
    stored = journal.answers(questions)
    waiting = [question for k, question in questions.items() if k not in stored]
    watch.stage(key.contender, "answering", len(questions))
    watch.advance(len(stored))
    answers = {answer.question_id: answer for answer in stored.values()}
    by_id = {question.id: question for question in waiting}
    if waiting:
        opened.warm = True
        for answer in opened.system.answer(waiting):
            journal.put(key, by_id[answer.question_id], answer)
            answers[answer.question_id] = answer
            watch.advance()
    silent = sorted(set(by_id) - set(answers))
    if silent:
        raise AdvisorError(
            f"{key.contender} gave no answer to {len(silent)} questions, {silent[0]!r} among them",
            fix="a system must yield one Answer for each question",
        )
    return answers


def retention_of(
    key: AnswerKey, opened: Opened, *, plan: Plan, journal: Journal
) -> dict[str, SuiteScores]:
    """Scores on every retention suite, from the journal or measured now."""
    stage = retention_stage(key, [suite.digest for suite in plan.suites])
    stored = journal.stage(stage)
    if stored is None and stage in plan.shared:
        stored = plan.shared[stage]
        journal.put_stage(stage, "retention", stored, contender=key.contender)
    if stored is None:
        assert opened.engine is not None, "a tuned contender has an engine"
        scores = retention.measure(opened.engine, plan.suites)
        stored = {name: asdict(suite) for name, suite in scores.items()}
        journal.put_stage(stage, "retention", stored, contender=key.contender)
    plan.shared[stage] = stored
    return {name: SuiteScores(**suite) for name, suite in stored.items()}


def _probe(
    key: AnswerKey, opened: Opened, *, plan: Plan, journal: Journal,
    answers: Mapping[str, Answer],
) -> Mapping[str, Any]:
    """Calls one at a time, evenly spread over the test rows, on a warm system."""
    stage, chosen = probe_stage(key, plan)
    stored = journal.stage(stage)
    if stored is not None:
        return stored
    system = opened.system
    if not opened.warm:
        list(system.answer(chosen[:1]))
    memory.reset_peak()
    with watched() as contention:
        timed = [_timed(system, question) for question in chosen]
    same = sum(answer.text == answers[answer.question_id].text for _, answer in timed)
    stored = {
        "latencies_ms": [milliseconds for milliseconds, _ in timed],
        "same_text": same,
        "peak_memory_mib": memory.peak_mib() if opened.engine else None,
        "others": None if contention.others != contention.others else contention.others,
    }
    journal.put_stage(stage, "probe", stored, contender=key.contender)
    return stored


def probe_stage(key: AnswerKey, plan: Plan) -> tuple[str, list[Question]]:
    """The key of the calls made one at a time, and what is asked in them."""
    test, wanted = plan.task.test, plan.settings.latency_probe
    step = max(1, len(test) // wanted)
    chosen = [example.question for example in test[::step]][:wanted]
    return key.stage(f"probe {digest(chosen)}"), chosen


def _timed(system: System, question: Question) -> tuple[float, Answer]:
    started = time.perf_counter()
    [answer] = system.answer([question])
    return (time.perf_counter() - started) * 1000, answer


def base_retention(plan: Plan, journal: Journal) -> dict[str, SuiteScores]:
    """The untouched base on every suite; what tuned contenders are paired with."""
    engine = plan.tools.engine
    opened = Opened(lambda: (_Mute(), engine))
    return retention_of(base_key(plan), opened, plan=plan, journal=journal)


def base_key(plan: Plan) -> AnswerKey:
    """The identity of the untouched base on suites: no task and no seed is part of it."""
    return AnswerKey("base", 0, "base", plan.tools.engine.digest, "none", plan.code)


def retention_stage(key: AnswerKey, suites: Sequence[str]) -> str:
    """The key of the scores on suites, given by digest and in order."""
    return key.stage("retention " + digest(list(suites)))


class _Mute:
    """The base is scored on suites only; nobody asks it questions here."""

    def answer(self, questions: Any) -> list[Answer]:
        raise AssertionError("the base model itself is not a contender")

    def save(self, folder: Path) -> None:
        raise AssertionError("the base model itself is not a contender")
