"""Side by side: every side does the same work in turn, several times, each in its process."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Protocol

from tests.bench import works
from tests.bench.sides import OURS, Entrant, Host, Measured
from tests.bench.worker import Failed, Worker
from tests.bench.works import Work

Say = Callable[[str], None]


class Side(Protocol):
    """What is asked to do a work: a Worker, or a stand-in."""

    def ask(self, verb: str, *given: Any, limit: float | None = None) -> Any: ...

    def tell(self, verb: str, *given: Any) -> None: ...

    def wait(self, limit: float) -> None: ...

    def reply(self, limit: float | None = None) -> Any: ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Entered:
    """A side that is open and warm, and its runs so far."""

    side: Side
    share: float = 1.0
    setting: str = ""
    runs: list[Measured] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        """For one unit of the work, of each run."""
        return [run.seconds / run.amount for run in self.runs]


@dataclass(frozen=True, slots=True)
class Rules:
    """`limit`: seconds after which a side is given up; `make`: what starts a side's process."""

    repeats: int = 3
    limit: float = 600.0
    say: Say = lambda line: print(line, flush=True)
    make: Callable[[], Side] = lambda: Worker(Host)


def compared(
    work: Work, peers: Sequence[Entrant], rules: Rules, ceilings: dict[str, float]
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """A row for every peer, and {work, peer_name, reason} for those that could not run."""
    skipped = {peer.name: f"not installed: {', '.join(missing)}" for peer in peers
               if (missing := [one for one in peer.needs if not find_spec(one)])}
    entered: dict[str, Entered] = {}
    with ExitStack() as stack:
        begun = {peer: _begun(work, peer, peer.settings[0], rules, stack)
                 for peer in (Entrant(OURS), *peers) if peer.name not in skipped}
        for side in begun.values():  # they open side by side, and only then does one run
            side.wait(rules.limit)
        for peer, side in begun.items():
            try:
                entered[peer.name] = best(work, peer, side, rules, stack)
            except Failed as error:
                if peer.name == OURS:
                    raise
                skipped[peer.name] = str(error)
        skipped |= interleaved(entered, rules)
    ours = entered.pop(OURS)
    rows = [_row(work, ours, name, theirs, ceilings) for name, theirs in entered.items()
            if name not in skipped]
    for row in rows:
        rules.say("  {ours:9.2f} {unit}, {ratio:5.2f} times ({ratio_min:.2f} to {ratio_max:.2f}) "
                  "{peer_name} [{setting}]: {peer:.2f}; {agreement}".format(**row))
    for name, reason in skipped.items():
        rules.say(f"  skipped: {name}: {reason}")
    return rows, [{"work": work.name, "peer_name": name, "reason": reason}
                  for name, reason in skipped.items()]


def _begun(work: Work, peer: Entrant, setting: str, rules: Rules, stack: ExitStack) -> Side:
    side = rules.make()
    stack.callback(side.close)
    side.tell("open", work, peer.name, setting)
    return side


def best(
    work: Work, peer: Entrant, first: Side, rules: Rules, stack: ExitStack
) -> Entered:
    """The side at its fastest setting, warm; `first` is opening with the first one. A single
    setting is warmed on few items; of several, each does all that the peer will do.

    Raises Failed if none of the settings works."""
    found: tuple[float, Entered] | None = None
    failed = Failed("it has no settings")
    share = min(peer.warm, peer.share) if len(peer.settings) == 1 else peer.share
    for setting in peer.settings:
        side = first if setting == peer.settings[0] else _begun(work, peer, setting, rules, stack)
        loser: Side | None = side
        try:
            side.reply(rules.limit)
            tried = side.ask("run", share, limit=rules.limit)
        except Failed as error:
            failed = error
            rules.say(f"    {peer.name} [{setting}]: {error}")
        else:
            rate = tried.amount / tried.seconds
            rules.say(f"    {peer.name} [{setting}]: first {tried.seconds:.2f} s, {rate:.4g} "
                      f"{works.UNITS[work.kind]}")
            if found is None or rate > found[0]:
                loser = found[1].side if found else None
                found = rate, Entered(side, peer.share, setting)
        if loser:
            loser.close()
    if found is None:
        raise failed
    return found[1]


def interleaved(sides: dict[str, Entered], rules: Rules) -> dict[str, str]:
    """Every repeat runs all sides, so that a slow minute hits them all; each time another
    one goes first. Returns why a peer failed; ours may not."""
    names, failed = list(sides), dict[str, str]()
    for repeat in range(rules.repeats):
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            if name in failed:
                continue
            one = sides[name]
            try:
                one.runs.append(one.side.ask("run", one.share, limit=rules.limit))
            except Failed as error:
                if name == OURS:
                    raise
                failed[name] = str(error)
    return failed


def doubling(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """What twice the size costs, in the worst step between two sizes."""
    steps = zip(sizes, sizes[1:], seconds, seconds[1:], strict=False)
    return max(float((b / a) ** (1 / math.log2(n / m))) for m, n, a, b in steps)


def _row(
    work: Work, ours: Entered, name: str, theirs: Entered, ceilings: dict[str, float]
) -> dict[str, Any]:
    pairs = list(zip(ours.seconds, theirs.seconds, strict=True))
    ratios = sorted(b / a for a, b in pairs)
    output = ours.runs[-1].output
    same = output if work.kind == "tuning" else works.part(output, theirs.share)
    return {
        "work": work.name, "unit": works.UNITS[work.kind],
        "ours": 1 / statistics.median(ours.seconds),
        "peer": 1 / statistics.median(theirs.seconds), "peer_name": name,
        "ratio": statistics.median(ratios), "ratio_min": ratios[0], "ratio_max": ratios[-1],
        "n": len(ratios), "setting": theirs.setting, "share": theirs.share,
        "agreement": works.agreement(work, same, theirs.runs[-1].output),
        "seconds_ours": [run.seconds for run in ours.runs],
        "seconds_peer": [run.seconds for run in theirs.runs],
        "ceiling_gflops": ceilings[work.dtype],
        "ceiling_share_ours": _of_ceiling(ours, ceilings[work.dtype]),
        "ceiling_share_peer": _of_ceiling(theirs, ceilings[work.dtype]),
        "peak_mib_ours": max(run.peak_mib for run in ours.runs),
        "peak_mib_peer": max(run.peak_mib for run in theirs.runs),
        "others_busy": max((run.busy for run in (*ours.runs, *theirs.runs)
                            if not math.isnan(run.busy)), default=None),
    }


def _of_ceiling(side: Entered, ceiling: float) -> float:
    return statistics.median(run.flops / run.seconds for run in side.runs) / ceiling / 1e9
