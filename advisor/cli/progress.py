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
class Lane:
    """What one process is at: (contender, stage), and how far it is."""

    drawn: Drawn
    current: tuple[str, str] = ("", "")
    total: int = 1
    at: int = 0

    def begin(self, contenders: Mapping[str, Recipe], rows: int) -> None:
        self.drawn.begin(contenders, rows)

    def stage(self, contender: str, stage: str, total: int) -> None:
        for lane in self.drawn.lanes():
            if lane is self or lane.current == (contender, stage):
                lane.close()
        self.current, self.total, self.at = (contender, stage), max(1, total), 0
        self.drawn.draw()

    def advance(self, amount: int = 1) -> None:
        self.at += amount
        self.drawn.draw()

    def finish(self, contender: str, note: str) -> None:
        self.drawn.finish(contender, note)

    def beside(self) -> Lane:
        return self.drawn.beside()

    def close(self) -> None:
        self.drawn.done += self.drawn.planned.pop(self.current, 0.0)
        self.current = ("", "")

    @property
    def here(self) -> float:
        """How much of what is planned for the stage is done."""
        return self.drawn.planned.get(self.current, 0.0) * min(1.0, self.at / self.total)


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
    own: Lane = field(init=False)
    others: list[Lane] = field(default_factory=list)
    through: set[str] = field(default_factory=set)
    count: int = 0

    def __post_init__(self) -> None:
        self.own = Lane(self)

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
        self.own.stage(contender, stage, total)

    def advance(self, amount: int = 1) -> None:
        self.own.advance(amount)

    def beside(self) -> Lane:
        self.others.append(Lane(self))
        return self.others[-1]

    def finish(self, contender: str, note: str) -> None:
        for lane in self.lanes():
            if lane is self.own or lane.current[0] == contender:
                lane.close()
        for stage in ("preparing", "answering", "forgetting"):
            self.planned.pop((contender, stage), None)
        self.through.add(contender)
        spent = time.perf_counter() - self.started
        self.console.print(
            f"{self.task}: {contender} {note} ({len(self.through)} of {self.count}, "
            f"{spent:.0f} s so far, {self._left()})", markup=False,
        )

    def lanes(self) -> list[Lane]:
        return [self.own, *self.others]

    def _left(self) -> str:
        done = self.done + sum(lane.here for lane in self.lanes())
        spent = time.perf_counter() - self.started
        if spent < 10 or done <= 0:
            return "time left: measuring"
        left = spent * self._rest() / done
        return f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"

    def _rest(self) -> float:
        """What is still planned; of processes side by side, the one with most to do counts."""
        rest = dict[str, float]()
        for (contender, _), weight in self.planned.items():
            rest[contender] = rest.get(contender, 0.0) + weight
        for lane in self.lanes():
            rest[lane.current[0]] = rest.get(lane.current[0], 0.0) - lane.here
        longest = max(rest.values(), default=0.0)
        return max(sum(rest.values()), longest * len(self.others))

    def draw(self) -> None:
        if self.bar is None or self.line is None:
            return
        busy = [lane for lane in self.lanes() if any(lane.current)]
        what = ", ".join(" ".join(lane.current) for lane in busy)
        self.bar.update(
            self.line, total=sum(lane.total for lane in busy) or 1,
            completed=sum(lane.at for lane in busy),
            description=f"{self.task}: {what}", left=self._left(),
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
