"""Where requests wait, and the one thread that answers them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from advisor.contenders.arriving import answers
from advisor.core import Answer, Question, System
from advisor.errors import AdvisorError

log = logging.getLogger(__name__)

T = TypeVar("T")
Heard = Callable[[str], None]
# As many as an engine answers side by side (engines/generation.py).
ROWS = 64


class Full(AdvisorError):
    """As many requests are inside as may be."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """A question on its way through `system`; `answer` will hold what became of it.

    `heard` is called, on the thread that runs models, with each piece of the answer as it is
    written, where that is possible: none, or all but what the answer ends with.
    """

    question: Question
    system: System
    heard: Heard | None = None
    answer: Future[Answer] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Desk:
    """Requests in the order in which they came, answered by one thread in batches.

    All that a model does is done on that thread: engines are not made for two at once.
    Requests for another system than the one that is being asked wait until it has finished.
    """

    def __init__(self, *, most: int) -> None:
        self.most = most
        self._waiting: deque[Ticket] = deque()
        self._jobs: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._inside: dict[str, Ticket] = {}
        self._count = 0
        self._open = True
        self._pace = 0.0  # seconds a request took of late, as a share of the batch's time
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="advisor-desk", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------- for whoever asks

    def submit(self, question: Question, system: System, heard: Heard | None = None) -> Ticket:
        """Queue a question. Raises Full when `most` are inside, waiting or being answered."""
        with self._changed:
            if len(self._waiting) + len(self._inside) >= self.most:
                raise Full(f"{self.most} requests are being answered or waiting",
                           fix=f"try again in {self.patience()} seconds")
            self._count += 1
            ticket = Ticket(replace(question, id=str(self._count)), system, heard)
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Take back a question whose answer nobody waits for any more, if it still waits."""
        with self._changed:
            ticket.answer.cancel()
            if ticket in self._waiting:
                self._waiting.remove(ticket)

    def run(self, job: Callable[[], T]) -> Future[T]:
        """Do something else on the thread that runs models, between two batches."""
        done: Future[T] = Future()
        with self._changed:
            self._jobs.append((job, done))
            self._changed.notify()
        return done

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def inside(self) -> int:
        """Requests being answered."""
        return len(self._inside)

    def patience(self) -> int:
        """Whole seconds after which there should be room again; at least 1."""
        return max(1, min(60, round(self._pace * self.most / 2)))

    def close(self) -> None:
        """End the thread once nothing waits; returns when it has ended."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join()

    # ------------------------------------------------------------- on the thread

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._waiting or not self._open)
                if not (self._jobs or self._waiting):
                    return
                job = self._jobs.popleft() if self._jobs else None
            if job is not None:
                _settle(job[1], job[0])
            else:
                self._round()

    def _round(self) -> None:
        system = self._waiting[0].system if self._waiting else None
        first = self._take(system, ROWS) if system else []
        if system is None or not first:
            return
        try:
            for answer in answers(system, first, lambda places: self._take(system, places),
                                  self):
                self._deliver(answer)
        except Exception:  # one odd question must not cost the others their answer
            log.exception("a batch failed; its questions are asked one at a time")
            for ticket in list(self._inside.values()):
                self._alone(ticket)
        for ticket in list(self._inside.values()):
            self._fail(ticket, RuntimeError("the system gave no answer"))

    def wants(self, id: str) -> bool:
        ticket = self._inside.get(id)
        return ticket is not None and ticket.heard is not None

    def hears(self, id: str, more: str) -> None:
        ticket = self._inside[id]
        assert ticket.heard is not None
        ticket.heard(more)

    def _take(self, system: System | None, places: int) -> Sequence[Question]:
        """The next questions to `system`; none while another job or system has its turn."""
        taken: list[Question] = []
        with self._changed:
            while (self._waiting and len(taken) < places and not self._jobs
                   and self._waiting[0].system is system):
                ticket = self._waiting.popleft()
                if ticket.answer.set_running_or_notify_cancel():
                    self._inside[ticket.question.id] = ticket
                    taken.append(ticket.question)
        return taken

    def _alone(self, ticket: Ticket) -> None:
        try:
            [answer] = ticket.system.answer([ticket.question])
        except Exception as error:
            self._fail(ticket, error)
        else:
            self._deliver(answer)

    def _deliver(self, answer: Answer) -> None:
        with self._changed:
            ticket = self._inside.pop(answer.question_id)
        self._pace += 0.1 * (answer.usage.seconds - self._pace)
        ticket.answer.set_result(answer)

    def _fail(self, ticket: Ticket, error: Exception) -> None:
        with self._changed:
            self._inside.pop(ticket.question.id, None)
        ticket.answer.set_exception(error)


def _settle(done: Future[Any], job: Callable[[], Any]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(job())
    except BaseException as error:
        done.set_exception(error)
