"""Learning curves: the recipe of a tuned contender on nested parts of the train rows.

All of train is what the contender itself has learnt, so only the parts are tuned, at the same
settings and seed, and answer the same test rows. They are kept as systems of their own, under
what they are made of; none of it enters a contender's quality or cost.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from advisor.config import BaseWeights, Recipe, TunedWeights
from advisor.contenders.recipe import prepare, reopen
from advisor.contenders.tuning.kept import Kept
from advisor.core import Answer, Material, Task
from advisor.data.digest import AnswerKey, digest
from advisor.data.parts import nested, too_few
from advisor.errors import AdvisorError, Busy, Unfit
from advisor.measures.scorers import grade
from advisor.runner.journal import JournalError
from advisor.runner.limit import Limit
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan
from advisor.runner.stages import Stages
from advisor.runner.trial import answers_of, as_prepared, folder_name, unprepared
from advisor.ship.bundle import digests
from advisor.trial import Learning, Trial

log = logging.getLogger(__name__)

FOLDER = ".curves"  # systems of parts, until they have answered


@dataclass(frozen=True, slots=True)
class _Part:
    """The system of one part: its identity before it is prepared, and what it is made of."""

    key: AnswerKey
    recipe: Recipe
    material: Material


def with_learning(
    trials: tuple[Trial, ...], *, stages: Stages, limit: Limit | None = None
) -> tuple[tuple[Trial, ...], dict[str, str]]:
    """The trials with what their recipes earn on parts of train, from the journal or tuned now;
    and, by label, why others that are tuned have no curve.

    What goes wrong costs the curve alone.
    """
    plan, found, without = stages.plan, [], dict[str, str]()
    for trial in trials:
        if _due(trial, plan):
            label = folder_name(trial.contender, trial.seed, plan)
            try:
                trial = replace(trial, learning=_learning(trial, trials, stages, limit))
            except (Busy, JournalError):
                raise  # these stop the whole run: nothing more can be kept
            except AdvisorError as error:
                without[label] = error.problem
            except Exception as error:  # a crash here must not cost what was measured
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                log.exception("the learning curve of %s crashed", label)
                without[label] = f"crashed with {type(error).__name__}: {error}"
        found.append(trial)
    shutil.rmtree(plan.folder / FOLDER, ignore_errors=True)
    return tuple(found), without


def recalled(
    trials: tuple[Trial, ...], keys: Callable[[str], AnswerKey], *, stages: Stages
) -> tuple[Trial, ...]:
    """The trials with what the journal holds of their curves; `keys` gives a contender's identity
    before it was prepared, by its label."""
    found = []
    for trial in trials:
        if _due(trial, stages.plan) and not _unfit(trial.contender, stages.plan):
            parts = _parts(keys(folder_name(trial.contender, trial.seed, stages.plan)), stages)
            kept = [_kept(part, stages) for part in parts]
            answers = [one for one in kept if one is not None]
            if len(answers) == len(parts):
                trial = replace(trial, learning=_graded(trial, trials, parts, answers, stages.plan))
        found.append(trial)
    return tuple(found)


def _due(trial: Trial, plan: Plan) -> bool:
    """Whether this trial is one that a curve is asked of."""
    return isinstance(plan.recipes[trial.contender].weights, TunedWeights)


def _learning(
    trial: Trial, trials: tuple[Trial, ...], stages: Stages, limit: Limit | None
) -> Learning:
    name, plan = trial.contender, stages.plan
    if why := _unfit(name, plan):
        raise Unfit(why, fix="add rows to train.jsonl")
    parts = _parts(unprepared(name, plan.recipes[name], plan, seed=trial.seed), stages)
    if limit is not None:
        waiting = [one for one in parts if _kept(one, stages) is None]
        _refuse_late(trial, waiting, len(plan.task.material.train), limit)
    whole = folder_name(name, trial.seed, plan)
    answers = [_answers(part, whole, stages) for part in parts]
    return _graded(trial, trials, parts, answers, plan)


def _unfit(name: str, plan: Plan) -> str:
    """Why the contender has no curve, or an empty string."""
    weights = plan.recipes[name].weights
    if isinstance(weights, TunedWeights) and weights.teacher:
        return "it learns what a teacher says, not labelled rows alone"
    return too_few(plan.task.material.train)


def _refuse_late(trial: Trial, waiting: Sequence[_Part], rows: int, limit: Limit) -> None:
    """Raise Unfit where the parts would not end in time, by what all `rows` of train took."""
    share = sum(len(one.material.train) for one in waiting) / rows
    answering = len(waiting) * sum(row.answer.usage.seconds for row in trial.rows)
    needed = share * trial.prepare.tuning_seconds + answering
    if waiting and needed > limit.left():
        raise Unfit(
            f"its learning curve would take about {needed / 60:.1f} min, and "
            f"{limit.left() / 60:.1f} min of the time limit are left",
            fix="give the command again with more time",
        )


def _parts(key: AnswerKey, stages: Stages) -> list[_Part]:
    """The parts of a contender; `key` is its identity before it was prepared.

    What it chose on dev with all of train stands: a part is tuned at the same settings.
    """
    stored = stages.journal.stage(key.stage("prepare"))
    assert stored is not None, "a contender with a trial was prepared"
    recipe, material = Recipe.model_validate(stored["recipe"]), stages.plan.task.material
    made = []
    for rows in nested(material.train, seed=key.seed):
        ids = [one.question.id for one in rows]
        identity = replace(
            key, contender=f"{key.contender} on {len(rows)} rows", recipe=digest(stored["recipe"]),
            material=digest([key.material, "part of train", ids]),
        )
        made.append(_Part(identity, recipe, replace(material, train=rows)))
    return made


def _kept(part: _Part, stages: Stages) -> dict[str, Answer] | None:
    """The part's answers by question id, if the journal holds all of them."""
    stored = stages.journal.stage(part.key.stage("prepare"))
    if stored is None:
        return None
    key = as_prepared(part.key, stored["files"])
    wanted = [key.key(example.question) for example in stages.plan.task.test]
    found = stages.journal.answers(wanted)
    if len(found) < len(set(wanted)):
        return None
    return {answer.question_id: answer for answer in found.values()}


def _answers(part: _Part, whole: str, stages: Stages) -> Mapping[str, Answer]:
    if (kept := _kept(part, stages)) is not None:
        return kept
    folder = stages.plan.folder / FOLDER / part.key.stage("prepare")[:16]
    opened, files = _tuned(part, whole, folder, stages)
    found = answers_of(as_prepared(part.key, files), opened, plan=stages.plan,
                       journal=stages.journal, watch=stages.watch)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _tuned(
    part: _Part, whole: str, folder: Path, stages: Stages
) -> tuple[Opened, Mapping[str, str]]:
    """The part's system on disk, as it was when a run was interrupted, or made now; `whole` is
    the label of the contender."""
    plan, stage, system = stages.plan, part.key.stage("prepare"), folder / "system"
    stored = stages.journal.stage(stage)
    if stored is None or digests(system) != stored["files"]:
        stages.watch.stage(part.key.contender, "preparing", 1)
        shutil.rmtree(system, ignore_errors=True)
        system.mkdir(parents=True)
        # Passages are embedded already, and a tuning goes on from its checkpoint in `work`.
        earlier = plan.folder / "contenders" / whole / "system"
        made = prepare(part.recipe, part.material, tools=plan.tools, workdir=folder / "work",
                       seed=part.key.seed, earlier=earlier, kept=Kept(plan.folder / "tuned"))
        made.system.save(system)
        stored = {"files": digests(system), "rows": len(part.material.train)}
        stages.journal.put_stage(stage, "tuned on a part", stored, contender=part.key.contender)
        stages.watch.advance()
    return Opened(lambda: reopen(system, plan.tools, part.material)), stored["files"]


def _graded(
    trial: Trial, trials: tuple[Trial, ...], parts: Sequence[_Part],
    answers: Sequence[Mapping[str, Answer]], plan: Plan,
) -> Learning:
    credits = {len(part.material.train): _credits(found, plan.task)
               for part, found in zip(parts, answers, strict=True)}
    untuned = _untuned(trial, trials, plan)
    if untuned is not None:
        credits[0] = {row.example.question.id: row.grade.credit for row in untuned.rows}
    return Learning(len(plan.task.material.train), dict(sorted(credits.items())))


def _credits(answers: Mapping[str, Answer], task: Task) -> dict[str, float | None]:
    return {
        one.question.id: grade(answers[one.question.id], one, task.scorer,
                               primary=task.primary).credit
        for one in task.test
    }


def _untuned(trial: Trial, trials: tuple[Trial, ...], plan: Plan) -> Trial | None:
    """The same recipe on the weights as they came, if the run has it."""
    recipe = plan.recipes[trial.contender]
    weights = recipe.weights
    assert isinstance(weights, TunedWeights)
    if weights.scheme != "none" or weights.pretrain:
        return None  # the base in four bits, or one that has read the corpus, is another one
    base = recipe.model_copy(update={"weights": BaseWeights()})
    same = [one for one in trials if plan.recipes[one.contender] == base]
    # One that no seed can change was measured at the first alone.
    return next((one for one in same if one.seed == trial.seed), same[0] if same else None)
