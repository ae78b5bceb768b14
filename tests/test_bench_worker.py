"""The processes of the benchmark's sides."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.worker import Failed, Worker


class Held:
    """What a process holds in the tests below."""

    def pid(self) -> int:
        return os.getpid()

    def fail(self) -> None:
        raise RuntimeError("cannot read\nthese weights")

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def sleep(self) -> None:
        time.sleep(60)


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker(Held) as one:
        yield one


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_side_stands_still_in_a_process_of_its_own_until_it_is_asked(worker: Worker) -> None:
    pid = worker.ask("pid")
    assert pid != os.getpid()
    time.sleep(0.05)
    assert state(pid) == "T"
    assert worker.ask("pid") == pid


def test_a_side_that_raises_can_be_asked_again(worker: Worker) -> None:
    with pytest.raises(Failed, match="RuntimeError: cannot read these weights"):
        worker.ask("fail")
    assert worker.ask("pid") > 0


def test_a_side_whose_process_dies_has_failed(worker: Worker) -> None:
    with pytest.raises(Failed, match="its process ended with -9"):
        worker.ask("die")


def test_a_side_that_takes_too_long_is_ended(worker: Worker) -> None:
    with pytest.raises(Failed, match="no answer within 1 s"):
        worker.ask("sleep", limit=1.0)
