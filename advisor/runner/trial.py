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

from advisor.config import EndpointWeights, LoraWeights, Recipe
from advisor.contenders.recipe import outside, prepare, reopen
from advisor.core import (
    Answer,
    PrepareCost,
    Probe,
    Question,
    Row,
    SuiteScores,
    System,
    TokenPrices,
    Trial,
)
from advisor.data.digest import AnswerKey, digest
from advisor.engines import memory
from advisor.errors import AdvisorError
from advisor.measures import retention
from advisor.measures.scorers import grade
from advisor.runner import lookup
from advisor.runner.contention import watched
from advisor.runner.journal import Journal
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan, Watch, code_digest, recipe_digest
from advisor.ship.bundle import digests


def run_trial(
    name: str, recipe: Recipe, *, plan: Plan, journal: Journal, watch: Watch
) -> tuple[Trial, Mapping[str, Any]]:
    """The trial, and what was noted while measuring it (for run.yaml).

    Raises AdvisorError when the contender cannot be prepared or asked.
    """
    key = _identity(name, recipe, plan)
    folder = plan.folder / "contenders" / name
    opened, prepared = _prepared(recipe, key, plan=plan, journal=journal, watch=watch)
    # From here on the identity is that of the artefact itself: answers of an adapter
    # that was lost and trained anew are never mixed with the old one's.
    key = replace(key, engine=digest([key.engine, prepared["files"]]))
    answers = _answers(key, opened, plan=plan, journal=journal, watch=watch)
    scores = None
    if isinstance(recipe.weights, LoraWeights):
        watch.stage(name, "forgetting", 1)
        scores = retention_of(key, opened, plan=plan, journal=journal)
        watch.advance()
    probe = _probe(key, opened, plan=plan, journal=journal, answers=answers)
    task = plan.task
    settled = Recipe.model_validate(prepared["recipe"])
    found = lookup.retrieved(key, opened, recipe=settled, plan=plan, journal=journal, watch=watch)
    rows = tuple(
        Row(example, answers[example.question.id],
            grade(answers[example.question.id], example, task.scorer, primary=task.primary))
        for example in task.test
    )
    trial = Trial(
        contender=name, seed=plan.seed, digest=key.recipe, rows=rows, retention=scores,
        prepare=_cost(prepared["cost"]), axes=settled.axes,
        probe=_latencies(probe), prices=_prices(recipe, plan), retrieved=found,
    )
    notes = {"artefacts": str(folder.relative_to(plan.folder)), "files": prepared["files"],
             "busy_with_other_work": probe["others"]}
    if prepared["found"]:
        notes["chosen_on_dev"] = prepared["found"]
    return trial, notes


def _identity(name: str, recipe: Recipe, plan: Plan) -> AnswerKey:
    """What can change an answer, as far as it is known before the system is made."""
    engines = [plan.tools.engine.digest, plan.tools.embedder.digest]
    if beside := outside(recipe, plan.tools):
        engines.append(beside)
    material = plan.task.material.digest
    if recipe.prompt.tune is not None:
        # Only a prompt that is chosen by grades depends on how answers are graded.
        material = digest([material, plan.task.scorer, plan.task.primary])
    return AnswerKey(
        contender=name, seed=plan.seed, recipe=recipe_digest(recipe), engine=digest(engines),
        material=material, code=code_digest(),
    )


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
    material = plan.task.material
    if stored is not None and digests(system_folder) == stored["files"]:
        return Opened(lambda: reopen(system_folder, plan.tools, material)), stored
    watch.stage(key.contender, "preparing", 1)
    # The system made before stands aside: what it has embedded need not be embedded again.
    earlier = folder.with_name(f".{folder.name}-earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if system_folder.is_dir():
        system_folder.rename(earlier)
    shutil.rmtree(folder, ignore_errors=True)
    system_folder.mkdir(parents=True)
    started = time.perf_counter()
    made = prepare(
        recipe, material, tools=plan.tools, workdir=folder / "work", seed=plan.seed,
        earlier=earlier,
    )
    made.system.save(system_folder)
    shutil.rmtree(folder / "work", ignore_errors=True)
    shutil.rmtree(earlier, ignore_errors=True)
    files = digests(system_folder)
    size = sum(path.stat().st_size for path in system_folder.rglob("*") if path.is_file())
    seconds = time.perf_counter() - started + made.cost.earlier_seconds
    cost = replace(made.cost, seconds=seconds, artefact_bytes=size)
    stored = {"files": files, "cost": asdict(cost), "found": dict(made.found),
              "recipe": made.recipe.model_dump(mode="json")}
    journal.put_stage(stage, "prepare", stored, contender=key.contender)
    watch.advance()
    # Measured is what was saved: the system answers from the very files that would ship.
    return Opened(lambda: reopen(system_folder, plan.tools, material)), stored


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
    stage = key.stage("retention " + digest([suite.digest for suite in plan.suites]))
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
    test, wanted = plan.task.test, plan.settings.latency_probe
    step = max(1, len(test) // wanted)
    chosen = [example.question for example in test[::step]][:wanted]
    stage = key.stage(f"probe {digest(chosen)}")
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


def _timed(system: System, question: Question) -> tuple[float, Answer]:
    started = time.perf_counter()
    [answer] = system.answer([question])
    return (time.perf_counter() - started) * 1000, answer


def base_retention(plan: Plan, journal: Journal) -> dict[str, SuiteScores]:
    """The untouched base on every suite; what tuned contenders are paired with."""
    key = AnswerKey("base", 0, "base", plan.tools.engine.digest, "none", code_digest())
    engine = plan.tools.engine
    return retention_of(key, Opened(lambda: (_Mute(), engine)), plan=plan, journal=journal)


class _Mute:
    """The base is scored on suites only; nobody asks it questions here."""

    def answer(self, questions: Any) -> list[Answer]:
        raise AssertionError("the base model itself is not a contender")

    def save(self, folder: Path) -> None:
        raise AssertionError("the base model itself is not a contender")
