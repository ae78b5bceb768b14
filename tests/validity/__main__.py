"""`make validity-sim`: the simulated checks in full; exits 1 when one misses its bar."""

from __future__ import annotations

import argparse
import sys
import time

from .checks import everything


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.validity", description=__doc__)
    parser.add_argument("--journals", type=int, default=5000, help="made-up runs a coverage")
    parser.add_argument("--replays", type=int, default=1000, help="made-up runs a check else")
    given = parser.parse_args()
    started, missed = time.perf_counter(), 0
    print("       found     expected  check")
    for found in everything(given.journals, given.replays):
        print(found, flush=True)
        missed += not found.passed
    print(f"{missed} missed; {time.perf_counter() - started:.0f} s")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
