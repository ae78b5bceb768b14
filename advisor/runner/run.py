"""A run: every contender of a plan, a verdict, a report and the winner's bundle."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from advisor import report
from advisor.config import Recipe, TunedWeights
from advisor.contenders.recipe import varies
from advisor.decide import Case, conclude
from advisor.errors import AdvisorError, Busy, Unfit, did_you_mean
from advisor.forecast.figures import how_true
from advisor.measures.marks import marks
from advisor.report.jsonform import verdict_data
from advisor.runner.ahead import Job, measure_ahead
from advisor.runner.alike import same_as
from advisor.runner.beforehand import base_first
from advisor.runner.curves import with_learning
from advisor.runner.detectors import base_reworded
from advisor.runner.fresh import changed_facts
from advisor.runner.journal import Journal, JournalError, RunLock
from advisor.runner.ledger import Ledger, keep
from advisor.runner.limit import Limit
from advisor.runner.plan import Plan, Watch, describe, misfit
from advisor.runner.registration import register
from advisor.runner.stages import Stages
from advisor.runner.trial import base_retention, folder_name, is_prepared, run_trial
from advisor.ship.bundle import ModelIdentity, Origin, pack
from advisor.ship.elsewhere import identity
from advisor.trial import Reworded, SuiteScores, Trial
from advisor.verdict import Verdict

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run. `failed` maps contenders that could not be measured to the reason;
    `skipped` those that do not fit the task, `without_curve` tuned ones whose learning curve was
    asked for and could not be measured."""

    verdict: Verdict
    folder: Path
    failed: Mapping[str, str]
    skipped: Mapping[str, str]
    without_curve: Mapping[str, str] = field(default_factory=dict)


def run(plan: Plan, watch: Watch, limit: Limit | None = None, *, jobs: int = 1) -> Finished:
    """Measure what is not in the journal yet, decide, and write the run folder.

    With a `limit`, contenders that would not end in time are left out. With `jobs`, that many
    processes measure contenders at the same time, each with its copy of the models.

    Raises AdvisorError when no contender could be measured, and Busy when another
    process works on the same folder. An interruption leaves a run that the same call
    continues.
    """
    _check_protected(plan)
    plan.folder.mkdir(parents=True, exist_ok=True)
    skipped = {name: reason for name, recipe in plan.recipes.items()
               if (reason := misfit(recipe, plan))}
    entered = {name: recipe for name, recipe in plan.recipes.items() if name not in skipped}
    with RunLock(plan.folder), Journal(plan.folder / "journal.db") as journal:
        registration = register(plan, journal)
        watch.begin(_labels(plan, entered), len(plan.task.test))
        wanted = _wanted(plan, entered)
        stages = Stages(plan, journal, watch)
        died = measure_ahead(stages, wanted, jobs=jobs) if jobs > 1 else {}
        left = [job for job in wanted if job.label not in died]
        if limit is None:  # what a limit leaves no time for may be all that needs the base
            base_first(stages, [plan.recipes[job.name] for job in left if not is_prepared(
                job.name, plan.recipes[job.name], job.seed, plan, journal)])
        trials, notes, failed, unfit = _trials(plan, left, journal, watch, limit)
        for label, first in same_as(notes, {job.label: job.name for job in left}).items():
            notes[label]["same_as"] = first
        failed |= died
        skipped |= unfit
        if not trials:
            why = {**skipped, **failed}
            reasons = "; ".join(f"{name}: {reason}" for name, reason in why.items())
            raise AdvisorError(
                f"no contender could be measured: {reasons}",
                fix="correct what is named above and run the same command again",
            )
        without = dict[str, str]()
        if plan.learning_curve:
            trials, without = with_learning(trials, stages=stages, limit=limit)
        base = None
        if any(trial.retention is not None for trial in trials):
            watch.stage("base", "forgetting", 1)
            scores = base_retention(plan, journal)
            base = Base(scores, base_reworded(plan, journal, scores))
        case = case_of(plan, trials, base, whole=not failed)
        verdict = conclude(case, plan.policy)
        keep(journal, Ledger(plan.task.name, plan.task.title, case, plan.policy, registration))
        # Nothing here may differ when the same command is given again.
        tested: dict[str, Any] = {"leakage": True} if plan.leakage else {}
        if plan.learning_curve:
            tested["learning_curves"] = {"without": without}
        described = {**describe(plan), **changed_facts(plan), **tested,
                     "registration": asdict(registration), "measured": notes,
                     "failed": failed, "skipped": skipped}
        _write(plan, trials, verdict=verdict, described=described, case=case)
    return Finished(verdict, plan.folder, failed, skipped, without)


def _check_protected(plan: Plan) -> None:
    """A suite that is protected but not measured is a slip, found before anything is spent."""
    suites = [suite.name for suite in plan.suites]
    unknown = sorted(set(plan.policy.protect) - set(suites))
    if unknown:
        raise AdvisorError(
            f"policy.protect: {unknown[0]!r} is not measured{did_you_mean(unknown[0], suites)}",
            fix="list it under `retention` in advisor.yaml, or protect it no more",
        )


def _seeds(plan: Plan, name: str) -> range:
    """The seeds that a contender is measured at: one where a seed changes nothing."""
    return range(plan.seed, plan.seed + (plan.seeds if varies(plan.recipes[name]) else 1))


def _wanted(plan: Plan, entered: Mapping[str, Recipe]) -> list[Job]:
    return [Job(folder_name(name, seed, plan), name, seed)
            for name in entered for seed in _seeds(plan, name)]


def _labels(plan: Plan, entered: Mapping[str, Recipe]) -> dict[str, Recipe]:
    return {job.label: entered[job.name] for job in _wanted(plan, entered)}


def _trials(
    plan: Plan, wanted: Sequence[Job], journal: Journal, watch: Watch,
    limit: Limit | None = None,
) -> tuple[tuple[Trial, ...], dict[str, Any], dict[str, str], dict[str, str]]:
    trials, notes, failed, unfit = list[Trial](), dict[str, Any](), {}, {}
    for job in wanted:
        label, name, seed = job.label, job.name, job.seed
        recipe = plan.recipes[name]
        try:
            late = "" if limit is None or is_prepared(name, recipe, seed, plan, journal) else \
                limit.refuses(label, recipe, plan)
            if late:
                unfit[name] = late
                watch.finish(label, "left out")
                continue
            trial, notes[label] = run_trial(
                name, recipe, seed=seed, plan=plan, journal=journal, watch=watch
            )
        except (Busy, JournalError):
            raise  # these stop the whole run: nothing more can be kept
        except Unfit as reason:
            unfit[name] = reason.problem
            watch.finish(label, "does not fit the task")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            failed[label] = f"{error.filename or 'a file'}: {error.strerror or error}"
            watch.finish(label, "could not be measured")
        except AdvisorError as error:
            failed[label] = str(error)
            watch.finish(label, "could not be measured")
        except Exception as error:  # one contender's crash must not cost the others
            log.exception("%s crashed", label)
            failed[label] = f"crashed with {type(error).__name__}: {error}"
            watch.finish(label, "crashed")
        else:
            if all(row.grade.credit is None for row in trial.rows):
                failed[label] = (
                    f"none of {len(trial.rows)} answers could be graded; the first: "
                    f"{trial.rows[0].answer.failure}"
                )
                watch.finish(label, "could not be measured")
                continue
            if limit is not None:
                limit.ended(label)
            trials.append(trial)
            watch.finish(label, _said(trial))
    return tuple(trials), notes, failed, unfit


def _said(trial: Trial) -> str:
    credits = [row.grade.credit for row in trial.rows if row.grade.credit is not None]
    return f"{sum(credits) / len(credits):.3f}" if credits else "nothing could be graded"


@dataclass(frozen=True, slots=True)
class Base:
    """The untouched base on the retention suites, as they are and in other words."""

    scores: Mapping[str, SuiteScores]
    reworded: tuple[Reworded, ...] = ()


def case_of(
    plan: Plan, trials: tuple[Trial, ...], base: Base | None, *, whole: bool
) -> Case:
    """What a verdict is made from; `whole` is False when a contender could not be measured."""
    task = plan.task
    floors = [trial.contender for trial in trials
              if plan.recipes[trial.contender].prompt.kind == "none"]
    return Case(
        primary=task.primary,
        groups=tuple(example.group for example in task.test),
        slices={column: tuple(values[example.question.id] for example in task.test)
                for column, values in task.slices.items()},
        trials=tuple(marks(trial) for trial in trials),
        base=base.scores if base else None,
        reworded=base.reworded if base else (),
        floor=floors[0] if floors else None,
        final=plan.final and whole,
        seed=plan.seed,
        cells=plan.cells,
    )


def _write(
    plan: Plan, trials: tuple[Trial, ...], *, verdict: Verdict, described: Mapping[str, Any],
    case: Case,
) -> None:
    text = yaml.safe_dump(dict(described), sort_keys=False, allow_unicode=True)
    staged = plan.folder / ".run.yaml.new"
    staged.write_text(text, encoding="utf-8")
    os.replace(staged, plan.folder / "run.yaml")
    foreseen = how_true(plan.folder, verdict_data(verdict))
    basis = report.Basis(case, plan.policy)
    report.write(report.Report(plan.task, trials, verdict, described, basis, foreseen),
                 plan.folder)
    winner = plan.folder / "winner"
    if verdict.winner is None:
        shutil.rmtree(winner, ignore_errors=True)
        return
    shipped = next(t.seed for t in trials if t.contender == verdict.winner)
    system = plan.folder / "contenders" / folder_name(verdict.winner, shipped, plan) / "system"
    pack(system, winner, _origin(plan, verdict))


def _origin(plan: Plan, verdict: Verdict) -> Origin:
    assert verdict.winner is not None
    place = next(s for s in verdict.standings if s.contender == verdict.winner)
    recipe = plan.recipes[verdict.winner]
    quality = place.quality
    return Origin(
        contender=verdict.winner,
        task={"name": plan.task.name, "digest": plan.task.digest},
        recipe=recipe.model_dump_json(),
        base=ModelIdentity(plan.tools.engine.name, plan.tools.engine.digest),
        embedder=ModelIdentity(plan.tools.embedder.name, plan.tools.embedder.digest),
        precision=plan.settings.precision,
        data=plan.data,
        metrics={
            "primary": plan.task.primary, "value": quality.value, "low": quality.low,
            "high": quality.high, "n": quality.n, "final": verdict.final,
            "tuned": isinstance(recipe.weights, TunedWeights),
        },
        endpoint=identity(recipe, plan.settings.endpoints),
    )
