"""Distillation: what a teacher says to questions without labels, as rows to learn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from advisor import stops
from advisor.config import DistilSpec
from advisor.core import Answer, Example, Material, Question, System
from advisor.errors import AdvisorError

# A teacher that says nothing this often is no teacher.
MOST_SILENT = 0.5


@dataclass(frozen=True, slots=True)
class Taught:
    """The rows, how many questions got no answer, and what the calls used."""

    rows: tuple[Example, ...]
    silent: int
    seconds: float
    tokens_in: int
    tokens_out: int


def questions(material: Material, spec: DistilSpec) -> tuple[Question, ...]:
    """What the teacher is asked: the task's questions without labels, or those of train,
    whose labels are then not looked at."""
    known = material.unlabelled or tuple(example.question for example in material.train)
    return known[: spec.rows]


def taught(teacher: System, asked: Sequence[Question], material: Material) -> Taught:
    """The teacher's answers as rows to learn.

    Raises AdvisorError when it answers too few of them.
    """
    started = time.perf_counter()
    said = {answer.question_id: answer for answer in teacher.answer(asked)}
    seconds = time.perf_counter() - started
    rows, refused = [], list[Answer]()
    for question in asked:
        answer = said.get(question.id)
        text = "" if answer is None else answer.text.strip()
        if answer is None or answer.failure or not text:
            refused += [answer] if answer else []
            continue
        target = stops.cut(text, material.stop)
        rows.append(Example(question, (target,), group=question.id, sources=answer.sources))
    silent = len(asked) - len(rows)
    if not rows or silent > MOST_SILENT * len(asked):
        why = next((f": {answer.failure}" for answer in refused if answer.failure), "")
        raise AdvisorError(
            f"the teacher gave no answer to {silent} of {len(asked)} questions{why}",
            fix="run weights.teacher.recipe as a contender of its own to see what it says",
        )
    used = [answer.usage for answer in said.values()]
    return Taught(tuple(rows), silent, seconds, sum(use.tokens_in for use in used),
                  sum(use.tokens_out for use in used))
