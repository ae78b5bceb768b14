"""Tuned weights put to the leakage tests, each part a stage of the journal.

Nobody's test rows are used: the sides are rows of train and rows of dev, which chose a
checkpoint but were not learnt from. Passages and examples are left out of the prompts:
what is tested is the weights.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from advisor.config import LoraWeights, Recipe, TunedWeights
from advisor.contenders.composed import Composed
from advisor.contenders.prompt import compose
from advisor.contenders.recipe import prepare
from advisor.core import Example
from advisor.data.digest import AnswerKey, digest
from advisor.engines.protocol import Course, Engine, Lesson
from advisor.errors import AdvisorError
from advisor.measures import canaries, leakage
from advisor.measures.leakage import Asked
from advisor.runner.journal import Journal
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan
from advisor.runner.stages import Stages, base_key
from advisor.trial import Leakage, LeakSide, Secret

ROWS = 100  # of train and of dev at most, evenly spread: membership then to 8 points
POWER_ROWS = 40
# Learnt by heart on purpose: many passes, a high rate, nothing that keeps it near the base.
BY_HEART = LoraWeights(
    kind="lora", rank=16, alpha=32, learning_rate=2e-3, epochs=12, batch_size=4,
    top_layers=0.5, rehearsal=0.0, checks=1,
)
SCHEME = 1  # raise it when what is asked changes


def leaks(key: AnswerKey, recipe: Recipe, opened: Opened, *, stages: Stages) -> Leakage:
    """The leakage of a tuned contender, from the journal or tested now.

    `recipe` has in it what was chosen on dev. Raises AdvisorError when train or dev has
    fewer than two rows, or when the system does not answer with weights of this process.
    """
    found = _sides(key, opened, stages=stages)
    return replace(found, secrets=_secrets(key, recipe, opened, stages=stages))


def leaks_kept(key: AnswerKey, plan: Plan, journal: Journal) -> Leakage | None:
    """What the journal holds of it."""
    found = recalled(leak_stage(key, plan), journal)
    stored = journal.stage(_secret_stage(key, plan))
    return found if found is None or stored is None else replace(found, secrets=_told(stored))


def _sides(key: AnswerKey, opened: Opened, *, stages: Stages) -> Leakage:
    stage = leak_stage(key, stages.plan)
    if (kept := recalled(stage, stages.journal)) is not None:
        return kept
    stages.watch.stage(key.contender, "leakage", 2)
    system = _with_weights(key, opened)
    instruction = system.manner.instruction
    material = stages.plan.task.material
    train, dev = (asked(rows, instruction) for rows in (material.train, material.dev))
    base = _base_losses([*train, *dev], stages=stages)
    assert system.engine is not None
    tested = [leakage.side(system.engine, rows, base) for rows in (train, dev)]
    stages.watch.advance()
    found = Leakage(tested[0], tested[1], power=_power(instruction, stages=stages))
    stages.watch.advance()
    stages.journal.put_stage(stage, "leakage", _stored(found), contender=key.contender)
    return found


def _secrets(
    key: AnswerKey, recipe: Recipe, opened: Opened, *, stages: Stages
) -> tuple[Secret, ...]:
    """Secrets planted in a twin of the contender. What ships has never seen them."""
    weights, plan = recipe.weights, stages.plan
    assert isinstance(weights, TunedWeights)
    if weights.teacher is not None and weights.teacher.labels == "teacher":
        return ()
    stage = _secret_stage(key, plan)
    if (stored := stages.journal.stage(stage)) is not None:
        return _told(stored)
    stages.watch.stage(key.contender, "planted secrets", 2)
    secrets, codes = canaries.canaries(key.seed)
    train = canaries.planted(plan.task.material.train, secrets, key.seed)
    folder = plan.folder / ".canaries"
    shutil.rmtree(folder, ignore_errors=True)
    twin = prepare(recipe, replace(plan.task.material, train=train), tools=plan.tools,
                   workdir=folder, seed=key.seed)
    stages.watch.advance()
    assert twin.engine is not None
    # Asked as the contender is asked: no secret is among its own examples or passages.
    prompts = _with_weights(key, opened).ask([one.question for one in secrets])
    tuned, base = (canaries.exposures(engine, prompts, secrets, codes)
                   for engine in (twin.engine, plan.tools.engine))
    stages.watch.advance()
    found = [Secret(one.copies, *bits) for one, *bits in zip(secrets, tuned, base, strict=True)]
    stages.journal.put_stage(stage, "planted secrets", {"secrets": [asdict(one) for one in found]},
                             contender=key.contender)
    shutil.rmtree(folder, ignore_errors=True)
    return tuple(found)


def _with_weights(key: AnswerKey, opened: Opened) -> Composed:
    system = opened.system
    if not isinstance(system, Composed) or system.engine is None:
        raise AdvisorError(f"{key.contender} has no weights here that could be tested",
                           fix="drop --leakage, or the contender")
    return system


def _secret_stage(key: AnswerKey, plan: Plan) -> str:
    return key.stage(f"canaries {SCHEME} {plan.task.material.digest}")


def _told(stored: Mapping[str, Any]) -> tuple[Secret, ...]:
    return tuple(Secret(**one) for one in stored["secrets"])


def leak_stage(key: AnswerKey, plan: Plan) -> str:
    """The key under which a contender's leakage is kept."""
    return key.stage(f"leakage {SCHEME} {plan.task.material.digest}")


def recalled(stage: str, journal: Journal) -> Leakage | None:
    """What the journal holds of it."""
    stored = journal.stage(stage)
    return None if stored is None else _leakage(stored)


def asked(rows: Sequence[Example], instruction: str, most: int = ROWS) -> list[Asked]:
    """Rows, evenly spread, as they are put to the weights."""
    step = max(1, len(rows) // most)
    made = []
    for example in rows[::step][:most]:
        said = example.question.text.split()
        half = replace(example.question, text=" ".join(said[: max(1, len(said) // 2)]))
        made.append(Asked(
            example.question.id, compose(instruction, example.question),
            compose(instruction, half), example.targets[0],
        ))
    return made


def _base_losses(rows: Sequence[Asked], *, stages: Stages) -> Mapping[str, float]:
    """The untouched base on the rows; once for all contenders that are asked alike."""
    stage = base_key(stages.plan).stage(f"losses {digest(rows)}")
    stored = stages.journal.stage(stage)
    if stored is None:
        stored = leakage.losses(stages.plan.tools.engine, rows)
        stages.journal.put_stage(stage, "losses", stored, contender="base")
    return stored


def _power(instruction: str, *, stages: Stages) -> Leakage:
    """The same test of an adapter that was made to learn its rows by heart."""
    plan = stages.plan
    stage = base_key(plan).stage(
        f"leakage power {SCHEME} {digest([plan.task.material.digest, instruction])}")
    if (kept := recalled(stage, stages.journal)) is not None:
        return kept
    found = by_heart(plan, instruction)
    stages.journal.put_stage(stage, "leakage power", _stored(found), contender="base")
    return found


def by_heart(plan: Plan, instruction: str) -> Leakage:
    """Tune an adapter to know a few rows by heart, and test it on them."""
    material, base = plan.task.material, plan.tools.engine
    train, dev = (asked(rows, instruction, POWER_ROWS)
                  for rows in (material.train, material.dev))
    folder = plan.folder / ".by-heart"
    shutil.rmtree(folder, ignore_errors=True)
    course = Course(_lessons(train), _lessons(train[:8]))
    base.tune(course, BY_HEART, folder=folder / "adapter", seed=plan.seed)
    tuned: Engine = base.with_weights(folder / "adapter")
    before = leakage.losses(base, [*train, *dev])
    tested = [leakage.side(tuned, rows, before) for rows in (train, dev)]
    shutil.rmtree(folder, ignore_errors=True)
    return Leakage(tested[0], tested[1])


def _lessons(rows: Sequence[Asked]) -> tuple[Lesson, ...]:
    return tuple(Lesson(one.whole, one.answer) for one in rows)


def _leakage(stored: Mapping[str, Any]) -> Leakage:
    power = stored["power"]
    return Leakage(LeakSide(**stored["tuned_on"]), LeakSide(**stored["held_out"]),
                   None if power is None else _leakage(power))


def _stored(found: Leakage) -> Mapping[str, Any]:
    """As JSON; secrets are a stage of their own."""
    told = asdict(found)
    del told["secrets"]
    if told["power"] is not None:
        del told["power"]["secrets"]
    return told
