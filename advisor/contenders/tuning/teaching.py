"""Distillation: what a teacher says to questions without labels, as rows to learn."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from advisor import stops
from advisor.config import DistilSpec
from advisor.core import Answer, Example, Material, Question, System, Usage
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


@dataclass(frozen=True, slots=True)
class Notes:
    """What a teacher has said, a line an answer, written as it comes: a preparation that ends
    early (a spending limit, an endpoint that goes down, a kill) pays for none of it twice.

    The file is one teacher's: whoever names it sees to that.
    """

    path: Path

    def read(self) -> dict[str, Answer]:
        """The answers by question id. A line that was cut off counts for nothing."""
        if not self.path.is_file():
            return {}
        found = {}
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                stored = json.loads(line)
                found[stored["id"]] = Answer(stored["id"], stored["text"], Usage(*stored["usage"]),
                                             sources=tuple(stored["sources"]))
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def keep(self, answer: Answer) -> None:
        usage = answer.usage
        line = json.dumps({"id": answer.question_id, "text": answer.text,
                           "usage": [usage.tokens_in, usage.tokens_out, usage.seconds],
                           "sources": answer.sources})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{line}")  # begins the line: one before it may have been cut off


def questions(material: Material, spec: DistilSpec) -> tuple[Question, ...]:
    """What the teacher is asked: the task's questions without labels, or those of train,
    whose labels are then not looked at."""
    known = material.unlabelled or tuple(example.question for example in material.train)
    return known[: spec.rows]


def taught(
    teacher: System, asked: Sequence[Question], material: Material, notes: Notes
) -> Taught:
    """The teacher's answers as rows to learn; it is not asked what stands in `notes`.

    Raises AdvisorError when it answers too few of them.
    """
    wanted = {question.id for question in asked}
    said = {name: given for name, given in notes.read().items() if name in wanted}
    earlier = sum(given.usage.seconds for given in said.values())
    started = time.perf_counter()
    if waiting := [question for question in asked if question.id not in said]:
        for given in teacher.answer(waiting):
            said[given.question_id] = given
            if not given.failure:
                notes.keep(given)
    seconds = time.perf_counter() - started + earlier
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
