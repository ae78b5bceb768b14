"""One finding: what is wrong where, how bad that is, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from advisor.core import Example, Task

# stop: the result would be worthless. warn: it would be weaker or costlier than it looks.
# note: worth knowing. ok: looked at, nothing found. skipped: could not be looked at.
Severity = Literal["stop", "warn", "note", "ok", "skipped"]
ORDER: tuple[Severity, ...] = ("stop", "warn", "note", "skipped", "ok")


@dataclass(frozen=True, slots=True)
class Finding:
    """`rows` name places such as `test.jsonl:3`; `fix` is empty where nothing is to be done."""

    check: str
    severity: Severity
    what: str
    rows: tuple[str, ...] = ()
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Looked:
    """A task that loads, and where each of its rows stands in its files."""

    task: Task
    where: Mapping[str, str]

    @property
    def splits(self) -> Mapping[str, Sequence[Example]]:
        material = self.task.material
        return {"train": material.train, "dev": material.dev, "test": self.task.test}

    @property
    def examples(self) -> tuple[Example, ...]:
        """All rows: train, dev, test."""
        return tuple(example for rows in self.splits.values() for example in rows)

    def place(self, example: Example) -> str:
        return self.where[example.question.id]


def ok(check: str, what: str) -> Finding:
    """Looked at, and nothing found."""
    return Finding(check, "ok", what)
