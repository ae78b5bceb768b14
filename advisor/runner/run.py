"""A run: every contender of a plan, a verdict, a report and the winner's bundle."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from advisor import report
from advisor.config import EndpointWeights, LoraWeights, Recipe
from advisor.contenders.recipe import fits
from advisor.core import SuiteScores, Trial, Verdict
from advisor.decide import Evidence, decide
from advisor.errors import AdvisorError, Busy, Unfit
from advisor.measures.forgetting import suspicious
from advisor.measures.standing import standing
from advisor.runner.journal import Journal, JournalError, RunLock
from advisor.runner.plan import Plan, Watch, describe
from advisor.runner.trial import base_retention, run_trial
from advisor.ship.bundle import ModelIdentity, Origin, pack

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run. `failed` maps contenders that could not be measured to the reason;
    `skipped` those that do not fit the task."""

    verdict: Verdict
    folder: Path
    failed: Mapping[str, str]
    skipped: Mapping[str, str]


def run(plan: Plan, watch: Watch) -> Finished:
    """Measure what is not in the journal yet, decide, and write the run folder.

    Raises AdvisorError when no contender could be measured, and Busy when another
    process works on the same folder. An interruption leaves a run that the same call
    continues.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    skipped = {name: reason for name, recipe in plan.recipes.items()
               if (reason := _unfit(recipe, plan))}
    entered = {name: recipe for name, recipe in plan.recipes.items() if name not in skipped}
    with RunLock(plan.folder), Journal(plan.folder / "journal.db") as journal:
        watch.begin(entered, len(plan.task.test))
        trials, notes, failed, unfit = _trials(plan, entered, journal, watch)
        skipped |= unfit
        if not trials:
            why = {**skipped, **failed}
            reasons = "; ".join(f"{name}: {reason}" for name, reason in why.items())
            raise AdvisorError(
                f"no contender could be measured: {reasons}",
                fix="correct what is named above and run the same command again",
            )
        base = None
        if any(trial.retention is not None for trial in trials):
            watch.stage("base", "forgetting", 1)
            base = base_retention(plan, journal)
        verdict = _verdict(plan, trials, base, whole=not failed)
        # Nothing here may differ when the same command is given again.
        described = {**describe(plan), "measured": notes, "failed": failed, "skipped": skipped}
        _write(plan, trials, verdict=verdict, described=described)
    return Finished(verdict, plan.folder, failed, skipped)


def _unfit(recipe: Recipe, plan: Plan) -> str:
    """Why the contender does not take part, or an empty string."""
    allowed = plan.task.context.residency
    if isinstance(recipe.weights, EndpointWeights):
        given = plan.settings.endpoints.get(recipe.weights.name)
        if given is None:
            return f"advisor.yaml has no endpoint {recipe.weights.name!r}"
        if allowed not in ("any", given.residency):
            return (f"the task's data may be processed {allowed} only, endpoint "
                    f"{recipe.weights.name} is {given.residency}")
    return fits(recipe, plan.task.material)


def _trials(
    plan: Plan, entered: Mapping[str, Recipe], journal: Journal, watch: Watch
) -> tuple[tuple[Trial, ...], dict[str, Any], dict[str, str], dict[str, str]]:
    trials, notes, failed, unfit = list[Trial](), dict[str, Any](), {}, {}
    for name, recipe in entered.items():
        try:
            trial, notes[name] = run_trial(name, recipe, plan=plan, journal=journal, watch=watch)
        except (Busy, JournalError):
            raise  # these stop the whole run: nothing more can be kept
        except Unfit as reason:
            unfit[name] = reason.problem
            watch.finish(name, "does not fit the task")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            failed[name] = f"{error.filename or 'a file'}: {error.strerror or error}"
            watch.finish(name, "could not be measured")
        except AdvisorError as error:
            failed[name] = str(error)
            watch.finish(name, "could not be measured")
        except Exception as error:  # one contender's crash must not cost the others
            log.exception("%s crashed", name)
            failed[name] = f"crashed with {type(error).__name__}: {error}"
            watch.finish(name, "crashed")
        else:
            if all(row.grade.credit is None for row in trial.rows):
                failed[name] = (
                    f"none of {len(trial.rows)} answers could be graded; the first: "
                    f"{trial.rows[0].answer.failure}"
                )
                watch.finish(name, "could not be measured")
                continue
            trials.append(trial)
            watch.finish(name, _said(trial))
    return tuple(trials), notes, failed, unfit


def _said(trial: Trial) -> str:
    credits = [row.grade.credit for row in trial.rows if row.grade.credit is not None]
    return f"{sum(credits) / len(credits):.3f}" if credits else "nothing could be graded"


def _verdict(
    plan: Plan, trials: tuple[Trial, ...], base: Mapping[str, SuiteScores] | None, *, whole: bool
) -> Verdict:
    policy, task = plan.policy, plan.task
    standings = tuple(
        standing(trial, policy, base, primary=task.primary, seed=plan.seed) for trial in trials
    )
    for place in standings:
        if place.forgetting != "unchanged" and suspicious(place.forgetting):
            raise AdvisorError(
                f"{place.contender}: its tuned weights score exactly as the base on every "
                "retention item; the adapter was probably not applied",
                fix=f"delete {plan.folder} and run again; if it stays, report it as a bug",
            )
    credits = {
        trial.contender: {
            row.example.question.id: row.grade.credit
            for row in trial.rows
            if row.grade.credit is not None
        }
        for trial in trials
    }
    groups = {example.question.id: example.group for example in task.test}
    floors = [trial.contender for trial in trials
              if plan.recipes[trial.contender].prompt.kind == "none"]
    evidence = Evidence(credits, groups, standings, floors[0] if floors else None,
                        plan.final and whole)
    return decide(evidence, policy, seed=plan.seed)


def _write(
    plan: Plan, trials: tuple[Trial, ...], *, verdict: Verdict, described: Mapping[str, Any]
) -> None:
    text = yaml.safe_dump(dict(described), sort_keys=False, allow_unicode=True)
    staged = plan.folder / ".run.yaml.new"
    staged.write_text(text, encoding="utf-8")
    os.replace(staged, plan.folder / "run.yaml")
    report.write(report.Report(plan.task, trials, verdict, described), plan.folder)
    winner = plan.folder / "winner"
    if verdict.winner is None:
        shutil.rmtree(winner, ignore_errors=True)
        return
    pack(plan.folder / "contenders" / verdict.winner / "system", winner, _origin(plan, verdict))


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
            "tuned": isinstance(recipe.weights, LoraWeights),
        },
    )
