"""One contender from recipe to trial, stage by stage, each stage in the journal.

A stage that stands in the journal under the same content key is not run again, so the
same command continues a run that was stopped, and re-runs what has changed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from advisor.config import EndpointWeights, Recipe, TunedWeights
from advisor.contenders.recipe import outside, prepare, reopen, rows_learnt
from advisor.contenders.tuning.kept import Kept
from advisor.core import Answer, Question, System
from advisor.data.digest import AnswerKey, digest
from advisor.engines import memory
from advisor.errors import AdvisorError
from advisor.measures import retention
from advisor.measures.scorers import grade
from advisor.runner import fresh, leaks, lookup
from advisor.runner.alike import first_alike, take_over
from advisor.runner.contention import watched
from advisor.runner.detectors import own_text
from advisor.runner.journal import Journal
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan, Watch, recipe_digest
from advisor.runner.stages import Stages, base_key, retention_stage
from advisor.ship.bundle import digests
from advisor.trial import PrepareCost, Probe, Retrieved, Row, SuiteScores, TokenPrices, Trial


def folder_name(name: str, seed: int, plan: Plan) -> str:
    """The folder below `contenders/` of one contender at one seed."""
    return name if seed == plan.seed else f"{name}@{seed}"


def run_trial(
    name: str, recipe: Recipe, *, seed: int, plan: Plan, journal: Journal, watch: Watch
) -> tuple[Trial, Mapping[str, Any]]:
    """The trial at one seed, and what was noted while measuring it (for run.yaml).

    Raises AdvisorError when the contender cannot be prepared or asked.
    """
    key = unprepared(name, recipe, plan, seed=seed)
    folder = plan.folder / "contenders" / folder_name(name, seed, plan)
    stages = Stages(plan, journal, watch)
    opened, made = prepared(recipe, key, stages=stages)
    # From here on the identity is that of the artefact itself: answers of an adapter
    # that was lost and trained anew are never mixed with the old one's.
    made_from = {"engine": key.engine, "material": key.material}
    key = as_prepared(key, made["files"])
    if (first := first_alike(key, made["recipe"], stages)) != key:
        take_over(first, key, stages)
    settled = Recipe.model_validate(made["recipe"])
    trial, others = trial_of(key, settled, opened, made["cost"], stages=stages)
    trial = replace(trial, retrieved=looked_up(key, settled, opened, stages=stages))
    if isinstance(recipe.weights, TunedWeights):
        trial = replace(trial, retention=scored(key, opened, stages=stages))
    if seed == plan.seed:
        trial = replace(trial, fresh=fresh.freshness(key, settled, opened, stages=stages))
    if seed == plan.seed and plan.leakage and trial.retention is not None:
        trial = replace(trial, leakage=leaks.leaks(key, settled, opened, stages=stages))
    notes = {"artefacts": str(folder.relative_to(plan.folder)), "files": made["files"],
             "made_from": made_from, "busy_with_other_work": others}
    if made["found"]:
        notes["chosen_on_dev"] = made["found"]
    return trial, notes


def is_prepared(name: str, recipe: Recipe, seed: int, plan: Plan, journal: Journal) -> bool:
    """Whether the journal holds what a contender is made of."""
    return journal.stage(unprepared(name, recipe, plan, seed=seed).stage("prepare")) is not None


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
    answers = answers_of(key, opened, plan=plan, journal=journal, watch=watch)
    probe = _probe(key, opened, plan=plan, journal=journal, answers=answers)
    rows = tuple(
        Row(example, answers[example.question.id],
            grade(answers[example.question.id], example, task.scorer, primary=task.primary))
        for example in task.test
    )
    trial = Trial(
        contender=name, seed=key.seed, digest=key.recipe, rows=rows, retention=None,
        prepare=replace(_cost(cost, recipe), rows_learnt=rows_learnt(recipe, task.material)),
        axes=recipe.axes, probe=_latencies(probe), prices=_prices(recipe, plan),
    )
    return trial, probe["others"]


def looked_up(
    key: AnswerKey, recipe: Recipe, opened: Opened, *, stages: Stages
) -> Retrieved | None:
    """What the retriever found, as a stage of the trial; None for what retrieves nothing."""
    return lookup.retrieved(key, opened, recipe=recipe, plan=stages.plan,
                            journal=stages.journal, watch=stages.watch)


def scored(key: AnswerKey, opened: Opened, *, stages: Stages) -> dict[str, SuiteScores]:
    """The retention scores of changed weights, as a stage of their trial."""
    stages.watch.stage(key.contender, "forgetting", 1)
    found = retention_of(key, opened, plan=stages.plan, journal=stages.journal)
    stages.watch.advance()
    return found


def unprepared(name: str, recipe: Recipe, plan: Plan, *, seed: int) -> AnswerKey:
    """What can change an answer, as far as it is known before the system is made."""
    engines = [plan.tools.engine.digest, plan.tools.embedder.digest]
    if beside := outside(recipe, plan.tools):
        engines.append(beside)
    material = plan.task.material.digest
    if _chosen_by_grades(recipe):
        # Only what is chosen by grades depends on how answers are graded.
        material = digest([material, plan.task.scorer, plan.task.primary])
    return AnswerKey(
        contender=name, seed=seed, recipe=recipe_digest(recipe), engine=digest(engines),
        material=material, code=plan.code,
    )


def _chosen_by_grades(recipe: Recipe) -> bool:
    weights = recipe.weights
    if not isinstance(weights, TunedWeights):
        return recipe.prompt.tune is not None
    teacher = weights.teacher
    return bool(weights.prefer or (teacher and _chosen_by_grades(teacher.recipe)))


def _paid(cost: PrepareCost, recipe: Recipe, plan: Plan) -> float:
    """USD for the tokens of a teacher that is paid by them."""
    teacher = recipe.weights.teacher if isinstance(recipe.weights, TunedWeights) else None
    prices = _prices(teacher.recipe, plan) if teacher else None
    if prices is None:
        return 0.0
    return (cost.tokens_asked * prices.usd_per_million_in
            + cost.tokens_taught * prices.usd_per_million_out) / 1e6


def _prices(recipe: Recipe, plan: Plan) -> TokenPrices | None:
    if not isinstance(recipe.weights, EndpointWeights):
        return None
    given = plan.settings.endpoints[recipe.weights.name]
    return TokenPrices(given.usd_per_million_in, given.usd_per_million_out)


def _latencies(stored: Mapping[str, Any]) -> Probe:
    peak = stored["peak_memory_mib"]
    # JSON has no NaN: what was not measured is stored as null.
    peak = float("nan") if peak is None else peak
    return Probe(tuple(stored["latencies_ms"]), stored["same_text"], peak)


def _cost(stored: Mapping[str, Any], recipe: Recipe) -> PrepareCost:
    curves = {name: tuple(stored[name]) for name in ("dev_loss", "train_loss")}
    cost = PrepareCost(**{**stored, **curves})
    if isinstance(recipe.weights, TunedWeights) and not cost.tuning_seconds:
        # Kept before tuning was timed apart: nearly all of preparing an adapter is tuning.
        return replace(cost, tuning_seconds=cost.seconds)
    return cost


def prepared(
    recipe: Recipe, key: AnswerKey, *, stages: Stages
) -> tuple[Opened, Mapping[str, Any]]:
    """The system on disk, made now if it is not there as it was, and what was noted of it.

    `key` is its identity before it is prepared. Raises AdvisorError when it cannot be made.
    """
    plan, journal, watch = stages.plan, stages.journal, stages.watch
    folder = plan.folder / "contenders" / folder_name(key.contender, key.seed, plan)
    system_folder = folder / "system"
    stage = key.stage("prepare")
    stored = journal.stage(stage)
    material = plan.task.material
    if stored is not None and digests(system_folder) == stored["files"]:
        return Opened(lambda: reopen(system_folder, plan.tools, material)), stored
    watch.stage(key.contender, "preparing", 1)
    # The system made before stands aside: what it has embedded need not be embedded again.
    # The work folder stays: a tuning that was interrupted goes on from its checkpoint.
    earlier = folder.with_name(f".{folder.name}-earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if system_folder.is_dir():
        system_folder.rename(earlier)
    system_folder.mkdir(parents=True)
    started, kept = time.perf_counter(), Kept(plan.folder / "tuned")
    made = prepare(
        recipe, material, tools=plan.tools, workdir=folder / "work", seed=key.seed,
        earlier=earlier, kept=kept,
    )
    made.system.save(system_folder)
    shutil.rmtree(folder / "work", ignore_errors=True)
    shutil.rmtree(earlier, ignore_errors=True)
    files = digests(system_folder)
    size = sum(path.stat().st_size for path in system_folder.rglob("*") if path.is_file())
    seconds = time.perf_counter() - started - kept.waited + made.cost.earlier_seconds
    cost = replace(made.cost, seconds=seconds * plan.share, artefact_bytes=size,
                   tuning_seconds=made.cost.seconds * plan.share,
                   usd_paid=_paid(made.cost, recipe, plan))
    stored = {"files": files, "cost": asdict(cost), "found": dict(made.found),
              "recipe": made.recipe.model_dump(mode="json")}
    journal.put_stage(stage, "prepare", stored, contender=key.contender)
    watch.advance()
    # Measured is what was saved: the system answers from the very files that would ship.
    return Opened(lambda: reopen(system_folder, plan.tools, material)), stored


def answers_of(
    key: AnswerKey, opened: Opened, *, plan: Plan, journal: Journal, watch: Watch
) -> dict[str, Answer]:
    """The answers to all test rows, by question id: from the journal, or asked now.

    Raises AdvisorError when a question gets no answer.
    """
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
            answer = _machine_time(answer, plan.share)
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


def _machine_time(answer: Answer, share: float) -> Answer:
    return replace(answer, usage=replace(answer.usage, seconds=answer.usage.seconds * share))


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
        scores = retention.measure(
            opened.engine, plan.suites, own_text=own_text(plan, journal)
        )
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


class _Mute:
    """The base is scored on suites only; nobody asks it questions here."""

    def answer(self, questions: Any) -> list[Answer]:
        raise AssertionError("the base model itself is not a contender")

    def save(self, folder: Path) -> None:
        raise AssertionError("the base model itself is not a contender")
