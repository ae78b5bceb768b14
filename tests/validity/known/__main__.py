"""`make validity`: the known answers on the real model; exits 1 when a built-in one is missed.

What was measured stays in reports/validity/: the same command continues and repeats nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from advisor.runner.journal import Journal, RunLock
from advisor.runner.plan import machine

from .bench import Bench, Row, opened
from .facts import (
    canaries,
    divergence_and_loss,
    noise_floor,
    right_passage,
    stale_facts,
    strict_form,
)
from .planted import (
    dose_response,
    leaks_found,
    planted_effect,
    planted_row,
    same_twice,
    seeds_alike,
    shuffled_labels,
)
from .writing import markdown

ROOT = Path(__file__).resolve().parents[3]
CHECKS: tuple[Callable[[Bench], Iterator[Row]], ...] = (
    planted_row, same_twice, planted_effect, dose_response, leaks_found, stale_facts,
    shuffled_labels, seeds_alike, right_passage, strict_form, noise_floor, canaries,
    divergence_and_loss,
)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.validity.known", description=__doc__)
    parser.add_argument("--only", action="append", metavar="CHECK",
                        choices=[one.__name__ for one in CHECKS],
                        help="only this one (repeatable); nothing is written then")
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "validity")
    given = parser.parse_args(arguments)
    chosen = [one for one in CHECKS if not given.only or one.__name__ in given.only]
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    commit = _commit()  # before this page is written anew
    with RunLock(given.out), Journal(given.out / "journal.db") as journal:
        bench = opened(ROOT, journal, given.out)
        for at, check in enumerate(chosen, start=1):
            for row in check(bench):
                print(row, flush=True)
                rows.append(row)
            if not given.only:  # a run that is stopped leaves what it found
                left = [one.__name__ for one in CHECKS[at:]]
                _write(rows, given.out, {"commit": commit, "not_run_yet": left})
    missed = sum(not row.passed for row in rows if row.built_in)
    print(f"{missed} of {sum(row.built_in for row in rows)} built-in checks missed")
    return 1 if missed else 0


def _write(rows: Sequence[Row], folder: Path, known: Mapping[str, object]) -> None:
    about = {**known, "machine": machine(), "date": time.strftime("%Y-%m-%d", time.gmtime())}
    lines = [{"check": row.check, "expected": row.expected, "found": row.found,
              "pass": row.passed, "built_in": row.built_in} for row in rows]
    text = json.dumps({**about, "rows": lines}, indent=2, ensure_ascii=False)
    (folder / "validity.json").write_text(text + "\n", encoding="utf-8")
    page = ROOT / "docs" / "validity.md"
    page.write_text(markdown(rows, about), encoding="utf-8")


def _commit() -> str:
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
