"""A process of its own for every side, told over a pipe what to do, stopped in between.

One side's memory settings, packed weights and threads cannot reach another, and its peak of
memory is its own. A stopped process takes nothing from the one that is being timed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

_PR_SET_PDEATHSIG = 1  # prctl(2)
_GRACE = 3.0  # seconds


class Failed(Exception):
    """What a side said, or that its process ended, when it was asked."""


class Worker:
    """A process that holds what `make` gives, and calls its methods when asked."""

    def __init__(self, make: Callable[[], Any]) -> None:
        spawn = get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, make))
        self._process.start()
        theirs.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def ask(self, verb: str, *given: Any, limit: float | None = None) -> Any:
        """What the method returns; raises Failed if it raises, dies, or takes more than
        `limit` seconds, after which the process is gone."""
        self.tell(verb, *given)
        return self.reply(limit)

    def tell(self, verb: str, *given: Any) -> None:
        self._signal(signal.SIGCONT)
        with suppress(BrokenPipeError):  # `reply` says what happened to it
            self._pipe.send((verb, given))

    def wait(self, limit: float) -> None:
        """Until there is a reply, or `limit` seconds."""
        self._pipe.poll(limit)

    def reply(self, limit: float | None = None) -> Any:
        if not self._pipe.poll(limit):
            self._process.kill()
            self.close()
            raise Failed(f"no answer within {limit:.0f} s")
        try:
            well, said = self._pipe.recv()
        except (EOFError, ConnectionResetError) as gone:
            self._process.join()
            raise Failed(f"its process ended with {self._process.exitcode}") from gone
        self._signal(signal.SIGSTOP)
        if not well:
            raise Failed(said)
        return said

    def close(self) -> None:
        """End the process; a second time changes nothing."""
        self._signal(signal.SIGCONT)
        self._pipe.close()  # at which it ends by itself, if it can
        self._process.join(_GRACE)
        self._process.kill()
        self._process.join()

    def _signal(self, which: signal.Signals) -> None:
        if self._process.is_alive() and self._process.pid:
            os.kill(self._process.pid, which)


def _serve(pipe: Connection, make: Callable[[], Any]) -> None:
    if sys.platform.startswith("linux"):  # or a stopped process would outlive a killed parent
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print as they go
    held = make()
    while True:
        try:
            verb, given = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, getattr(held, verb)(*given)
        except Exception as error:  # a side of any make may fail in any way
            answer = False, " ".join(f"{type(error).__name__}: {error}".split())[:300]
        pipe.send(answer)
