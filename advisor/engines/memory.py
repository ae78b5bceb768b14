"""The process's memory: what it holds, and how the C library gives it back."""

from __future__ import annotations

import ctypes
import gc
import math
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
# mallopt(3): parameters and limits.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE = 1 << 30


def keep_freed_memory() -> None:
    """Ask glibc to reuse large blocks instead of returning them to the kernel.

    Every tensor over 128 KiB is otherwise mapped and faulted in anew: a million page
    faults in six training steps of a 135M model, a tenth of their time.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return  # another C library; nothing to gain here
    mallopt(_M_MMAP_THRESHOLD, _LARGE)
    mallopt(_M_TRIM_THRESHOLD, _LARGE)


def reset_peak() -> None:
    """Start measuring the peak of resident memory anew, where the kernel allows it.

    Memory that was freed but kept goes back first, or one contender would be charged for
    what an earlier one needed.
    """
    gc.collect()
    if gpu := _gpu():
        gpu.reset_peak_memory_stats()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        _CLEAR.write_text("5")
    except OSError:
        return  # the peak then covers the whole life of the process: never too low


def peak_mib() -> float:
    """The highest resident memory since `reset_peak`, in MiB; NaN where unknown.

    Where a GPU holds the model, the GPU's memory is what counts.
    """
    if gpu := _gpu():
        return float(gpu.max_memory_allocated()) / 2**20
    return _mib(_STATUS, "VmHWM:")


def resident_mib() -> float:
    """What is held now, counted as `peak_mib` counts; NaN where unknown."""
    if gpu := _gpu():
        return float(gpu.memory_allocated()) / 2**20
    return _mib(_STATUS, "VmRSS:")


def free_mib() -> float:
    """What could still be had, in MiB; infinity where unknown."""
    if gpu := _gpu():
        free, _ = gpu.mem_get_info()
        return float(free + gpu.memory_reserved() - gpu.memory_allocated()) / 2**20
    found = _mib(Path("/proc/meminfo"), "MemAvailable:")
    return math.inf if math.isnan(found) else found


def _mib(path: Path, key: str) -> float:
    """The figure of a line such as `VmRSS:  123 kB`."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return math.nan
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), math.nan)


def _gpu() -> Any:
    """torch.cuda where it is used; None otherwise, without importing torch for that."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_available() else None
