"""Run every work on every side in turn, several times; print a table and write bench.json.

    python -m tests.bench [--quick] [--only NAME] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from advisor.cli.tools import quiet
from advisor.data.digest import digest
from advisor.engines.memory import peak_mib, reset_peak
from advisor.engines.models import resolve
from advisor.engines.transformers import TransformersEngine, engine
from advisor.runner.plan import machine
from tests.bench import works
from tests.bench.works import ROOT, Side, Work

MODEL = "smollm2-135m-instruct"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="less work: within 10 minutes")
    parser.add_argument("--only", metavar="NAME", default="", help="works whose name holds this")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "bench" / "bench.json")
    options = parser.parse_args()
    quiet()
    found = {
        "commit": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain")),
        "machine": machine(), "torch": torch.__version__, "model": MODEL,
        "ceiling_gflops": {str(kind).removeprefix("torch."): round(_ceiling(kind))
                           for kind in (torch.bfloat16, torch.float32)},
        "works": [],
    }
    for make in _works(quick=options.quick, only=options.only):
        work = make()
        print(f"{work.name} ({work.amount:g} {work.unit.removesuffix('/s')})", flush=True)
        found["works"] += _measured(work, repeats=3)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"written: {options.out} ({digest(found)[:12]})")


def _works(*, quick: bool, only: str) -> Iterator[Callable[[], Work]]:
    """Makers, so that what a work needs in memory is not there before its turn."""
    files = resolve(MODEL)

    def opened(dtype: str) -> TransformersEngine:
        return engine(files, dtype=dtype)

    few = [16] if quick else [8, 16, 32]
    made: dict[str, Callable[[], Work]] = {
        "multiple choice": lambda: works.multiple_choice(
            opened("float32"), 24 if quick else 120, few),
        "multiple choice behind": lambda: works.behind_shots(
            opened("float32"), 4 if quick else 24, [4] if quick else [1, 4, 8]),
        "generation": lambda: works.answers(
            opened("auto"), 32 if quick else 64, few),
        "generation behind": lambda: works.behind_prefix(
            opened("auto"), 16 if quick else 64, few),
        "LoRA tuning": lambda: works.tuning(opened("auto"), 24 if quick else 96),
    }
    yield from (make for name, make in made.items() if only in name)


def _measured(work: Work, *, repeats: int) -> list[dict[str, Any]]:
    """One row a peer. Every repeat runs all sides, so that a slow minute hits them all."""
    sides: dict[str, Side] = {"ours": work.ours, **work.peers}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    peaks: dict[str, float] = {}
    outputs: dict[str, Any] = {}
    for repeat in range(repeats):
        names = list(sides)
        turn = repeat % len(names)
        for name in names[turn:] + names[:turn]:
            reset_peak()
            started = time.perf_counter()
            outputs[name] = sides[name]()
            seconds[name].append(time.perf_counter() - started)
            peaks[name] = max(peaks.get(name, 0.0), peak_mib())
    rows = []
    for name in work.peers:
        pairs = zip(seconds["ours"], seconds[name], strict=True)
        ratios = sorted(theirs / ours for ours, theirs in pairs)
        rows.append({
            "work": work.name, "unit": work.unit,
            "ours": work.amount / statistics.median(seconds["ours"]),
            "peer": work.amount / statistics.median(seconds[name]), "peer_name": name,
            "ratio": statistics.median(ratios), "ratio_min": ratios[0], "ratio_max": ratios[-1],
            "n": repeats, "agreement": work.agreement(outputs["ours"], outputs[name]),
            "peak_mib_ours": peaks["ours"], "peak_mib_peer": peaks[name],
        })
        print("  {ours:9.2f} {unit}, {ratio:5.2f} times ({ratio_min:.2f} to {ratio_max:.2f}) "
              "{peer_name}: {peer:.2f}; {agreement}".format(**rows[-1]), flush=True)
    return rows


def _ceiling(kind: torch.dtype, size: int = 2048) -> float:
    """GFLOP/s of a square matrix product, the best of five."""
    left, right = torch.randn(size, size).to(kind), torch.randn(size, size).to(kind)
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e9


def _git(*given: str) -> str:
    return subprocess.run(["git", *given], cwd=ROOT, capture_output=True, text=True,
                          check=False).stdout.strip()


if __name__ == "__main__":
    main()
