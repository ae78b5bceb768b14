"""Lessons: the prompt a contender would see at the end, and the answer it should give."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from advisor.core import Example, Material, Question
from advisor.engines.protocol import Course, Lesson, Message
from advisor.errors import AdvisorError

Ask = Callable[[Sequence[Question]], list[tuple[Message, ...]]]


def course(material: Material, ask: Ask) -> Course:
    """Every train and dev example as a lesson, prompted exactly as at answering time.

    `ask` composes the prompts of questions; with retrieval they hold the retrieved
    passages, right ones and distractors alike. There is no way from here to test rows.
    """
    if not material.train or not material.dev:
        raise AdvisorError(
            "tuning needs rows in train and in dev",
            fix="add train.jsonl and dev.jsonl to the task, or drop the tuned contenders",
        )
    return Course(_lessons(material.train, ask), _lessons(material.dev, ask))


def _lessons(examples: Sequence[Example], ask: Ask) -> tuple[Lesson, ...]:
    prompts = ask([example.question for example in examples])
    return tuple(
        Lesson(prompt, example.targets[0])
        for prompt, example in zip(prompts, examples, strict=True)
    )
