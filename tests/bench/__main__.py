"""Run every work on every side in turn, several times; print a table and write bench.json.

    python -m tests.bench [--quick] [--all] [--only WORK] [--peers NAME,...] [--repeats N]

With --only or --peers the rows that are there of the same engine stay.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from advisor.cli.tools import quiet
from advisor.engines.models import ModelFiles, resolve
from advisor.engines.transformers import TransformersEngine, engine
from advisor.runner.plan import machine
from tests.bench import ceiling, growth, table, works
from tests.bench.timing import Work, chosen_peers, compared

MODEL = "smollm2-135m-instruct"
OUT = works.ROOT / "reports" / "bench"
DOCS = works.ROOT / "docs" / "performance.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="less work: within 10 minutes")
    parser.add_argument("--all", action="store_true", help="every way to write answers")
    parser.add_argument("--only", metavar="NAME", default="", help="the part of this name")
    parser.add_argument("--peers", metavar="NAMES", default="", help="these peers, by comma")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="bench.json, or quick.json with --quick")
    parser.add_argument("--docs", action="store_true", help="put the table into the docs")
    options = parser.parse_args()
    options.out = options.out or OUT / ("quick.json" if options.quick else "bench.json")
    quiet()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    started, found = time.perf_counter(), _begun(options)
    wanted = [name for name in options.peers.split(",") if name]
    for name, step in _steps(options, found, wanted):
        print(f"{name}", flush=True)
        step()
        found["seconds"] += time.perf_counter() - started
        started = time.perf_counter()
        _write(found, options.out)
    if options.docs:
        DOCS.write_text(table.put(DOCS.read_text(encoding="utf-8"), table.rendered(found)),
                        encoding="utf-8")
    print(table.rendered(found))
    print(f"{found['seconds']:.0f} s in all; written: {options.out}")


def _begun(options: argparse.Namespace) -> dict[str, Any]:
    """What is there already of this engine, if only a part is asked for; else nothing."""
    found: dict[str, Any] = {
        "commit": _git("rev-parse", "HEAD"), "advisor": _git("rev-parse", "HEAD:advisor"),
        "changed": bool(_git("status", "--porcelain", "--", "advisor", "tests/bench")),
        "machine": machine(), "torch": torch.__version__, "model": MODEL,
        "quick": options.quick, "seconds": 0.0,
        "ceiling_gflops": {kind: round(ceiling.measured(kind))
                           for kind in ("bfloat16", "float32")},
        "works": [], "growth": [], "checks": [], "skipped": [],
    }
    if (options.only or options.peers) and options.out.exists():
        old = json.loads(options.out.read_text(encoding="utf-8"))
        same = all(old.get(key) == found[key] for key in ("advisor", "quick", "model"))
        if same:
            best = {kind: max(rate, old["ceiling_gflops"][kind])
                    for kind, rate in found["ceiling_gflops"].items()}
            changed = found["changed"] or old["changed"]
            return {**old, "ceiling_gflops": best, "changed": changed,
                    "commit": found["commit"]}
    return found


def _steps(
    options: argparse.Namespace, found: dict[str, Any], wanted: list[str]
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Steps by name, so that what one needs in memory is not there before its turn."""
    files = resolve(MODEL)
    ceilings = {kind: float(rate) for kind, rate in found["ceiling_gflops"].items()}

    def compare(make: Callable[[], Work]) -> Callable[[], None]:
        def step() -> None:
            work = chosen_peers(make(), wanted)
            rows, skipped = compared(work, repeats=options.repeats, ceilings=ceilings,
                                     say=lambda line: print(line, flush=True))
            rows = [{**row, "commit": found["commit"]} for row in rows]
            _replace(found["works"], rows, ("work", "peer_name"))
            ran = {(row["work"], row["peer_name"]) for row in rows}
            found["skipped"] = [one for one in found["skipped"]
                                if (one["work"], one["peer_name"]) not in ran]
            _replace(found["skipped"], skipped, ("work", "peer_name"))
        return step

    def check() -> None:
        done = works.identical(_opened(files, "float32"), 100, 8 if options.quick else 32)
        _replace(found["checks"], [done], ("check",))

    def grow() -> None:
        for row in growth.grown(
            _opened(files), single=_opened(files, "float32"),
            smallest=4 if options.quick else 16, repeats=1 if options.quick else 3,
        ):
            print(f"  {row}", flush=True)
            _replace(found["growth"], [row], ("growth",))

    made = {name: compare(make) for name, make in _works(files, options).items()}
    steps = {**made, "growth": grow, "checks": check}
    yield from ((name, step) for name, step in steps.items() if options.only in name)


def _works(files: ModelFiles, options: argparse.Namespace) -> dict[str, Callable[[], Work]]:
    quick = options.quick
    return {
        "multiple choice, nothing shared": lambda: works.multiple_choice(
            _opened(files, "float32"), 40 if quick else 120, [16] if quick else [8, 16, 32],
            all_of=options.all),
        "multiple choice behind shots": lambda: works.behind_shots(
            _opened(files, "float32"), 4 if quick else 16, [4] if quick else [1, 4, 16]),
        "generation, nothing shared": lambda: works.answers(
            _opened(files), 64, 16 if quick else 64, [32] if quick else [16, 32, 64],
            all_of=options.all),
        "generation behind a prefix": lambda: works.behind_prefix(
            _opened(files), 8 if quick else 24, 16 if quick else 64,
            [16] if quick else [8, 16, 32]),
        "LoRA tuning": lambda: works.tuning(_opened(files), 16 if quick else 24),
    }


def _opened(files: ModelFiles, dtype: str = "auto") -> TransformersEngine:
    return engine(files, dtype=dtype)


def _replace(rows: list[dict[str, Any]], new: list[dict[str, Any]], keys: tuple[str, ...]) -> None:
    """Put `new` in the place of the rows that they repeat."""
    said = [tuple(row[key] for key in keys) for row in new]
    rows[:] = [row for row in rows if tuple(row[key] for key in keys) not in said] + new


def _write(found: dict[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _git(*given: str) -> str:
    return subprocess.run(["git", *given], cwd=works.ROOT, capture_output=True, text=True,
                          check=False).stdout.strip()


if __name__ == "__main__":
    main()
