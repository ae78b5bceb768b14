"""docs/validity.md, written from the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .bench import DEV, ROWS, TEST, Row

HEAD = f"""\
# What the harness finds where the answer is known

`make validity` runs these checks on the embedded model and writes this page. What it measured
stays in `reports/validity/`; the same command continues after a stop and repeats nothing.
The simulated checks (coverage of every interval, false wins, power, calibration) are `make
validity-sim`, and in the tests.

Sizes are small, so that all of it takes about half an hour on two cores: adapters are tuned on
{ROWS} rows of ticket-triage (checked on {DEV} of dev, asked {TEST} of test) with the shipped
recipe of `lora`, those that learn by heart on the changed facts of policy-qa that stand in
train. Retention is scored on all items of the accuracy suites.
"""


def markdown(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The page: built-in checks first, then borrowed ones, each with what was found."""
    machine = about["machine"]
    parts = [
        HEAD,
        f"Found at {about['commit']} on {about['date']}, {machine['processor']}, "
        f"{machine['cores']} cores, {machine['system']}.",
        *([f"\n**Stopped early.** Not run yet: {', '.join(about['not_run_yet'])}."]
          if about["not_run_yet"] else []),
        "\n## The truth is built in: these must pass\n",
        _table([row for row in rows if row.built_in]),
        "\n## Borrowed from larger models: what is found here\n",
        _table([row for row in rows if not row.built_in]),
    ]
    return "\n".join(parts) + "\n"


def _table(rows: Sequence[Row]) -> str:
    lines = ["| check | expected | found | |", "|---|---|---|---|"]
    lines += [f"| {_safe(row.check)} | {_safe(row.expected)} | {_safe(row.found)} | "
              f"{'pass' if row.passed else '**missed**'} |" for row in rows]
    return "\n".join(lines)


def _safe(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
