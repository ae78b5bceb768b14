"""Who else used the processor while something was being measured."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")


@dataclass(slots=True)
class Contention:
    """`others` is the share of all processor time that other processes took, 0..1.

    NaN until the measurement has ended, and where the system does not say.
    """

    others: float = float("nan")


@contextmanager
def watched() -> Iterator[Contention]:
    """Measure from here to the end of the block."""
    seen = Contention()
    started, busy, own = time.perf_counter(), _busy_seconds(), _own_seconds()
    yield seen
    elapsed = time.perf_counter() - started
    if busy is None or elapsed < 1.0:  # the kernel counts in hundredths of a second
        return
    after = _busy_seconds()
    assert after is not None
    others = (after - busy) - (_own_seconds() - own)
    seen.others = max(0.0, others) / (elapsed * (os.cpu_count() or 1))


def _busy_seconds() -> float | None:
    try:
        fields = _STAT.read_text().splitlines()[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
