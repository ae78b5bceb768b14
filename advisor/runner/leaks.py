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

from advisor.config import LoraWeights
from advisor.contenders.composed import Composed
from advisor.contenders.prompt import compose
from advisor.core import Example, Leakage, LeakSide
from advisor.data.digest import AnswerKey, digest
from advisor.engines.protocol import Course, Engine, Lesson
from advisor.errors import AdvisorError
from advisor.measures import leakage
from advisor.measures.leakage import Asked
from advisor.runner.journal import Journal
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan
from advisor.runner.stages import Stages, base_key

ROWS = 100  # of train and of dev at most, evenly spread: membership then to 8 points
POWER_ROWS = 40
# Learnt by heart on purpose: many passes, a high rate, nothing that keeps it near the base.
BY_HEART = LoraWeights(
    kind="lora", rank=16, alpha=32, learning_rate=2e-3, epochs=12, batch_size=4,
    top_layers=0.5, rehearsal=0.0, checks=1,
)
SCHEME = 1  # raise it when what is asked changes


def leaks(key: AnswerKey, opened: Opened, *, stages: Stages) -> Leakage:
    """The leakage of a tuned contender, from the journal or tested now.

    Raises AdvisorError when train or dev has fewer than two rows, or when the system does
    not answer with weights of this process.
    """
    stage = leak_stage(key, stages.plan)
    if (kept := recalled(stage, stages.journal)) is not None:
        return kept
    stages.watch.stage(key.contender, "leakage", 2)
    system = opened.system
    if not isinstance(system, Composed) or system.engine is None:
        raise AdvisorError(f"{key.contender} has no weights here that could be tested",
                           fix="drop --leakage, or the contender")
    instruction = system.manner.instruction
    material = stages.plan.task.material
    train, dev = (asked(rows, instruction) for rows in (material.train, material.dev))
    base = _base_losses([*train, *dev], stages=stages)
    tested = [leakage.side(system.engine, rows, base) for rows in (train, dev)]
    stages.watch.advance()
    found = Leakage(tested[0], tested[1], power=_power(instruction, stages=stages))
    stages.watch.advance()
    stages.journal.put_stage(stage, "leakage", asdict(found), contender=key.contender)
    return found


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
    stages.journal.put_stage(stage, "leakage power", asdict(found), contender="base")
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
