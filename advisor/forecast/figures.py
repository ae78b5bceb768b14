"""The figures of a forecast: kept beside the run, and set against what was measured."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from advisor.errors import AdvisorError
from advisor.measures.cost import SECONDS_PER_HOUR
from advisor.verdict import Policy

FILE = "plan.json"
VERSION = 1
CLOSE = 0.25  # of the measured figure: nearer than this counts as foreseen
# Figures of a forecast, and where verdict.json holds the same for a contender.
MEASURED = ("prepare_seconds", "seconds_per_call", "tokens_in", "tokens_out", "p50_ms",
            "usd_per_1k", "peak_memory_mib")
# Below these a figure is noise, and a ratio of two says nothing.
FLOOR = {"prepare_seconds": 5.0, "seconds_per_call": 0.005, "p50_ms": 5.0}


@dataclass(frozen=True, slots=True)
class Forecast:
    """One contender. `run_seconds` is its whole share of the run, preparation, answers,
    latency calls and retention together; `shared_seconds` of `prepare_seconds` are spent once
    for several contenders. Memory is the highest that the probe saw, NaN where unknown."""

    contender: str
    prepare_seconds: float
    shared_seconds: float
    seconds_per_call: float
    p50_ms: float
    tokens_in: float
    tokens_out: float
    tokens_trained: float
    retention_seconds: float
    peak_memory_mib: float
    run_seconds: float
    run_usd: float
    usd_per_1k: float


@dataclass(frozen=True, slots=True)
class Planned:
    """All contenders of a task; `rows` test rows; base retention and loading once."""

    task: str
    digest: str
    rows: int
    once_seconds: float
    probe_seconds: float
    contenders: tuple[Forecast, ...]

    @property
    def seconds(self) -> float:
        """The whole run; what contenders share is counted once."""
        shared = [one.shared_seconds for one in self.contenders]
        return (self.once_seconds + sum(one.run_seconds for one in self.contenders)
                - sum(shared) + max(shared, default=0.0))


@dataclass(frozen=True, slots=True)
class Check:
    """A foreseen figure beside the measured one; `ratio` is foreseen / measured."""

    contender: str
    figure: str
    foreseen: float
    measured: float

    @property
    def ratio(self) -> float:
        return self.foreseen / self.measured

    @property
    def close(self) -> bool:
        return abs(self.ratio - 1) <= CLOSE


def usd_per_1k(seconds_per_call: float, policy: Policy) -> float:
    """As `measures.cost` has it: price per second x seconds / utilisation x 1000."""
    per_second = policy.usd_per_machine_hour / SECONDS_PER_HOUR
    return per_second * seconds_per_call / policy.utilisation * 1000


def save(planned: Planned, folder: Path) -> Path:
    """Write plan.json into the run's folder, in place of an older one."""
    folder.mkdir(parents=True, exist_ok=True)
    staged = folder / f".{FILE}.new"
    staged.write_text(json.dumps(as_json(planned), indent=2) + "\n", encoding="utf-8")
    os.replace(staged, folder / FILE)
    return folder / FILE


def as_json(planned: Planned) -> dict[str, Any]:
    """Plain data; what is not known is null."""
    found = {"version": VERSION, "seconds": planned.seconds, **asdict(planned)}
    for one in found["contenders"]:
        for key, value in one.items():
            if isinstance(value, float) and not math.isfinite(value):
                one[key] = None
    return found


def read(folder: Path) -> Planned:
    """The plan kept in a run's folder; raises AdvisorError when there is none, or a bad one."""
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows: list[dict[str, Any]] = found["contenders"]
        made = [Forecast(**_known(one)) for one in rows]
        keys = ("task", "digest", "rows", "once_seconds", "probe_seconds")
        return Planned(**{key: found[key] for key in keys}, contenders=tuple(made))
    except FileNotFoundError as error:
        raise AdvisorError(f"{path}: no such file", fix="advisor plan TASK, before the run") \
            from error
    except (ValueError, KeyError, TypeError) as error:
        raise AdvisorError(f"{path}: is no plan: {error}", fix=f"delete {path} and plan again") \
            from error


def _known(one: Mapping[str, Any]) -> dict[str, Any]:
    return {key: math.nan if value is None else value for key, value in one.items()}


def against(planned: Planned, verdict: Mapping[str, Any]) -> Sequence[Check]:
    """Each foreseen figure of each contender that was measured, beside the measured one."""
    costs = {one["contender"]: one["cost"] for one in verdict["standings"]}
    checks = []
    for one in planned.contenders:
        cost: Mapping[str, Any] = costs.get(one.contender) or {}
        for figure in MEASURED if cost else ():
            measured, foreseen = cost[figure], getattr(one, figure)
            known = measured is not None and math.isfinite(foreseen)
            if known and measured > FLOOR.get(figure, 0.0):
                checks.append(Check(one.contender, figure, foreseen, measured))
    return checks


def summary(folder: Path) -> str:
    """How true the kept plan of a finished run was, in one line; empty without a plan."""
    try:
        verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return f"cannot be read ({str(error).splitlines()[0]})"
    return how_true(folder, verdict)


def how_true(folder: Path, verdict: Mapping[str, Any]) -> str:
    """The same for a verdict, as verdict.json has it, that is not written yet."""
    if not (folder / FILE).is_file():
        return ""
    try:
        return told(against(read(folder), verdict))
    except AdvisorError as error:
        return f"cannot be read ({str(error).splitlines()[0]})"


def told(checks: Sequence[Check]) -> str:
    """How many figures came near, and the median ratio, which a slower machine shifts."""
    if not checks:
        return "it foresaw none of these contenders"
    good = sum(one.close for one in checks)
    middle = statistics.median(one.ratio for one in checks)
    return (f"{good} of {len(checks)} figures within {CLOSE:.0%} of what was measured, median "
            f"ratio {middle:.2f}")
