"""What is being done, how far it is, and an estimate of the time left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from advisor.config import Recipe, TunedWeights

# Relative sizes of the stages, from a run of the two shipped tasks on two cores. They
# only shape the estimate: the time already spent sets its scale.
WEIGHTS = {"preparing": 1.0, "tuning": 14.0, "answering": 6.0, "forgetting": 4.0}


@dataclass(slots=True)
class Drawn:
    """Draws on a console, or prints a line a contender when `bar` is None."""

    console: Console
    bar: Progress | None
    line: TaskID | None
    task: str
    started: float = field(default_factory=time.perf_counter)
    planned: dict[tuple[str, str], float] = field(default_factory=dict)
    done: float = 0.0
    fresh: float = 0.0
    current: tuple[str, str] = ("", "")
    total: int = 1
    at: int = 0
    number: int = 0
    count: int = 0

    def begin(self, contenders: Mapping[str, Recipe], rows: int) -> None:
        self.count = len(contenders)
        self.planned = {}
        for name, recipe in contenders.items():
            tuned = isinstance(recipe.weights, TunedWeights)
            self.planned[name, "preparing"] = WEIGHTS["tuning" if tuned else "preparing"]
            self.planned[name, "answering"] = WEIGHTS["answering"]
            if tuned:
                self.planned[name, "forgetting"] = WEIGHTS["forgetting"]
                self.planned["base", "forgetting"] = WEIGHTS["forgetting"]

    def stage(self, contender: str, stage: str, total: int) -> None:
        self._close()
        self.current, self.total, self.at = (contender, stage), max(1, total), 0
        self._draw()

    def advance(self, amount: int = 1) -> None:
        self.at += amount
        self._draw()

    def finish(self, contender: str, note: str) -> None:
        self._close()
        for stage in ("preparing", "answering", "forgetting"):
            self.planned.pop((contender, stage), None)
        self.number += 1
        spent = time.perf_counter() - self.started
        self.console.print(
            f"{self.task}: {contender} {note} ({self.number} of {self.count}, "
            f"{spent:.0f} s so far, {self._left()})", markup=False,
        )

    def _close(self) -> None:
        self.done += self.planned.pop(self.current, 0.0)
        self.current = ("", "")

    def _left(self) -> str:
        here = self.planned.get(self.current, 0.0) * min(1.0, self.at / self.total)
        done = self.done + here
        spent = time.perf_counter() - self.started
        if spent < 10 or done <= 0:
            return "time left: measuring"
        left = spent * (sum(self.planned.values()) - here) / done
        return f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"

    def _draw(self) -> None:
        if self.bar is None or self.line is None:
            return
        contender, stage = self.current
        self.bar.update(
            self.line, total=self.total, completed=self.at,
            description=f"{self.task}: {contender} {stage}", left=self._left(),
        )


@contextmanager
def progress(console: Console, *, live: bool, task: str) -> Iterator[Drawn]:
    """A watch for one run; `live` draws a bar where the console is a terminal."""
    if not (live and console.is_terminal):
        yield Drawn(console, None, None, task)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/"
               "{task.total}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        yield Drawn(console, bar, bar.add_task(task, total=1, left=""), task)
