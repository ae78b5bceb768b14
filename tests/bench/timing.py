"""Side by side: every side does the same work in turn, several times.

A side is called with the share of the work that it is to do (1, or a quarter to find its
best setting). What it prepares then is not timed; the function that it returns is, and that
one returns what was found, so that outputs can be compared.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from advisor.engines.memory import peak_mib, reset_peak

Run = Callable[[], Any]
Side = Callable[[float], Run]
QUARTER = 0.25


@dataclass(frozen=True, slots=True)
class Peer:
    """Another way to do a work: `open` makes its side for one of `settings`, of which the
    fastest is compared. `needs` are the packages that it is made of."""

    name: str
    open: Callable[[str], Side]
    settings: Sequence[str] = ("",)
    needs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Work:
    """`amount` is counted in `unit`; `flops` is the least that it can be done with, `dtype`
    what the products are made in; `agreement` puts two sides' outputs into words."""

    name: str
    unit: str
    amount: float
    flops: float
    dtype: str
    ours: Side
    peers: Sequence[Peer]
    agreement: Callable[[Any, Any], str]


@dataclass(slots=True)
class Times:
    """Of one side: seconds of each repeat, most memory a repeat added (MiB), last output."""

    seconds: list[float] = field(default_factory=list)
    added_mib: float = 0.0
    busy: float = 0.0
    output: Any = None


Say = Callable[[str], None]


def compared(
    work: Work, *, repeats: int, ceilings: dict[str, float], say: Say
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """A row for every peer, and {work, peer_name, reason} for those that could not run."""
    skipped: list[dict[str, str]] = []
    sides: dict[str, Side] = {}
    chosen: dict[str, str] = {}
    first: dict[str, float] = {}
    for peer in work.peers:
        try:
            chosen[peer.name], sides[peer.name], first[peer.name] = best(peer, say)
        except Exception as error:  # a peer of any make may fail in any way; the others go on
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            skipped.append({"work": work.name, "peer_name": peer.name, "reason": reason})
            say(f"  skipped: {peer.name}: {reason}")
    work.ours(QUARTER)()
    times = interleaved({"": work.ours, **sides}, repeats)
    ours, rows = times.pop(""), []
    for name, theirs in times.items():
        rows.append(_row(work, ours, theirs, ceilings[work.dtype]) | {
            "peer_name": name, "setting": chosen[name], "first_quarter_seconds": first[name],
            "agreement": work.agreement(ours.output, theirs.output),
        })
        say("  {ours:9.2f} {unit}, {ratio:5.2f} times ({ratio_min:.2f} to {ratio_max:.2f}) "
            "{peer_name} [{setting}]: {peer:.2f}; {agreement}".format(**rows[-1]))
    return rows, skipped


def chosen_peers(work: Work, names: Sequence[str]) -> Work:
    """The work with only the peers whose name begins with one of `names`; all without any."""
    kept = [peer for peer in work.peers
            if not names or any(peer.name.startswith(name) for name in names)]
    return replace(work, peers=kept)


def best(peer: Peer, say: Say = lambda _: None) -> tuple[str, Side, float]:
    """The setting that does a quarter of the work fastest, its side, warm by then, and the
    seconds of that quarter (what is compiled on the way is in them).

    Raises what the peer raised if none of its settings works."""
    missing = [name for name in peer.needs if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(f"not installed: {', '.join(missing)}")
    fastest, found, failed = float("inf"), None, None
    for setting in peer.settings:
        try:
            side = peer.open(setting)
            run = side(QUARTER)
            started = time.perf_counter()
            run()
            seconds = time.perf_counter() - started
        except Exception as error:
            failed = error
            say(f"    {peer.name} [{setting}]: {type(error).__name__}: {error}")
            continue
        say(f"    {peer.name} [{setting}]: a quarter in {seconds:.2f} s")
        if seconds < fastest:
            fastest, found = seconds, (setting, side, seconds)
        del side, run
    if found is None:
        raise failed or ValueError(f"{peer.name} has no settings")
    return found


def interleaved(sides: dict[str, Side], repeats: int) -> dict[str, Times]:
    """Every repeat runs all sides, so that a slow minute hits them all; each time another
    one goes first."""
    times = {name: Times() for name in sides}
    names = list(sides)
    for repeat in range(repeats):
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            run = sides[name](1.0)
            here = times[name]
            reset_peak()
            before = psutil.Process().memory_info().rss / 2**20
            others, started = _others(), time.perf_counter()
            here.output = run()
            here.seconds.append(time.perf_counter() - started)
            here.busy = max(here.busy, (_others() - others) / here.seconds[-1])
            here.added_mib = max(here.added_mib, peak_mib() - before)
    return times


def doubling(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """What twice the size costs, in the worst step between two sizes."""
    steps = zip(sizes, sizes[1:], seconds, seconds[1:], strict=False)
    return max(float((b / a) ** (1 / math.log2(n / m))) for m, n, a, b in steps)


def _row(work: Work, ours: Times, theirs: Times, ceiling: float) -> dict[str, Any]:
    ratios = sorted(b / a for a, b in zip(ours.seconds, theirs.seconds, strict=True))
    mine, other = statistics.median(ours.seconds), statistics.median(theirs.seconds)
    return {
        "work": work.name, "unit": work.unit, "amount": work.amount, "dtype": work.dtype,
        "ours": work.amount / mine, "peer": work.amount / other,
        "ratio": statistics.median(ratios), "ratio_min": ratios[0], "ratio_max": ratios[-1],
        "n": len(ratios), "seconds_ours": ours.seconds, "seconds_peer": theirs.seconds,
        "ceiling_share_ours": work.flops / mine / ceiling / 1e9,
        "ceiling_share_peer": work.flops / other / ceiling / 1e9,
        "added_mib_ours": ours.added_mib, "added_mib_peer": theirs.added_mib,
        "cores_busy_elsewhere": max(ours.busy, theirs.busy),
    }


def _others() -> float:
    """Processor seconds that this machine has spent on other processes."""
    spent, own = psutil.cpu_times(), psutil.Process().cpu_times()
    return float(spent.user + spent.nice + spent.system - own.user - own.system)
