"""Run every work on every side in turn, several times; print tables and write bench.json.

    python -m tests.bench [--quick] [--all] [--docs] [--only PART] [--peers NAME,...]

Parts are the works, growth, held, identity, precision and candidates (--all). What is not run
keeps its rows in bench.json, each of which names its commit.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench import growth, held, identity, sides, table, works
from tests.bench.timing import Rules, compared
from tests.bench.worker import Failed, Worker

OUT = works.ROOT / "reports" / "bench" / "bench.json"
DOCS = works.ROOT / "docs" / "performance.md"
QUICK = 600.0  # seconds; a part that would not fit any more is left out
EMPTY: dict[str, Any] = {"works": [], "growth": [], "held": [], "identity": [], "precision": [],
                         "candidates": [], "skipped": []}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="within 10 minutes on two cores")
    parser.add_argument("--all", action="store_true", help="candidates too")
    parser.add_argument("--only", metavar="PART", default="", help="parts that begin so")
    parser.add_argument("--peers", metavar="NAMES", default="", help="these peers, by comma")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="less of every work, to try it")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--docs", action="store_true", help="put the tables into the docs")
    options = parser.parse_args()
    started, found = time.perf_counter(), _begun(options)
    for name, seconds, step in _parts(options, found):
        if options.quick and time.perf_counter() - started + seconds > QUICK:
            print(f"{name}: left out, {QUICK:.0f} s would not be enough", flush=True)
            continue
        print(name, flush=True)
        step()
        found["seconds"] = round(time.perf_counter() - started)
        _write(found, options.out)
    if options.docs:
        DOCS.write_text(table.put(DOCS.read_text(encoding="utf-8"), table.rendered(found)),
                        encoding="utf-8")
    print(table.rendered(found))
    print(f"{time.perf_counter() - started:.0f} s in all; written: {options.out}")


def _begun(options: argparse.Namespace) -> dict[str, Any]:
    """The file as it was; what is measured now replaces its own rows in it."""
    old = EMPTY
    if options.out.exists():
        old = json.loads(options.out.read_text(encoding="utf-8"))
    changed = bool(_git("status", "--porcelain", "--", "advisor", "tests/bench"))
    return {**EMPTY, **old, "commit": _git("rev-parse", "HEAD")[:12] + ("+" if changed else ""),
            "model": works.MODEL}


def _parts(
    options: argparse.Namespace, found: dict[str, Any]
) -> Iterator[tuple[str, float, Callable[[], None]]]:
    """(name, seconds that must be left for it, what to do); what has a bar comes first."""
    wanted = [name for name in options.peers.split(",") if name]
    about: dict[str, Any] = {}

    def compare(work: works.Work, kind: str, peers: list[sides.Entrant]) -> None:
        if "threads" not in about:  # measured once, and not for parts that need it not
            with Worker(sides.Host) as worker:
                about.update(worker.ask("about"))
        peers = [one for one in peers if not wanted or one.name in wanted]
        rules = Rules(repeats=options.repeats, limit=150 if options.quick else 900)
        rows, skipped = compared(work, peers, rules, about["ceiling_gflops"])
        found["machine"] = about["machine"]
        said = {"commit": found["commit"], "quick": options.quick, "threads": about["threads"],
                "torch": about["torch"]}
        _put(found[kind], [{**row, **said} for row in rows])
        ran = {(row["work"], row["peer_name"]) for row in rows}
        found["skipped"] = [one for one in found["skipped"]
                            if (one["work"], one["peer_name"]) not in ran]
        _put(found["skipped"], skipped)

    def alone(kind: str, host: Callable[[], Any], *asked: tuple[Any, ...]) -> None:
        with Worker(host) as worker:
            for verb, *given in asked:
                try:
                    row = worker.ask(verb, *given)
                except Failed as error:
                    print(f"  failed: {error}", flush=True)
                    continue
                print(f"  {row}", flush=True)
                _put(found[kind], [{**row, "commit": found["commit"], "quick": options.quick}])
                _write(found, options.out)

    for work in works.WORKS:
        work = replace(work, count=max(8, round(work.count * options.scale)))
        if work.name.startswith(options.only):
            peers = sides.entrants(work, quick=options.quick)
            yield work.name, 0, lambda w=work, p=peers: compare(w, "works", p)
    if "growth".startswith(options.only):
        repeats = 1 if options.quick else options.repeats
        grown = [("grown", what, smallest, repeats)
                 for what, (whole, less) in growth.GROWS.items()
                 if (smallest := less if options.quick else whole)]
        yield "growth", 45, lambda: alone("growth", growth.Host, *grown)
    if "candidates".startswith(options.only) and (options.all or options.only):
        for work, tried in sides.CANDIDATES:
            work = replace(work, count=max(8, round(work.count * options.scale)))
            yield (f"candidates: {work.name}", 120,
                   lambda w=work, p=tried: compare(w, "candidates", list(p)))
    if "held".startswith(options.only) and (options.only or not options.quick):
        yield "held", 0, lambda: alone("held", held.Host, ("held",))
    asked: dict[str, list[tuple[Any, ...]]] = {
        "identity": [("identity", name) for name in identity.IDENTITIES],
        "precision": [("precision",)],
    }
    for kind, given in asked.items():
        if kind.startswith(options.only) and (options.only or not options.quick):
            yield kind, 0, lambda k=kind, g=given: alone(k, identity.Host, *g)


def _put(rows: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    """Put `new` in the place of the rows that they repeat."""
    def said(row: dict[str, Any]) -> tuple[Any, ...]:
        keys = ("work", "peer_name", "growth", "held", "identity", "precision")
        return tuple(row.get(key) for key in keys)

    rows[:] = [row for row in rows if said(row) not in map(said, new)] + new


def _write(found: dict[str, Any], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _git(*given: str) -> str:
    return subprocess.run(["git", *given], cwd=works.ROOT, capture_output=True, text=True,
                          check=False).stdout.strip()


if __name__ == "__main__":
    main()
