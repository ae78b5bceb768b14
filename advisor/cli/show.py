"""Show a finished run, or one contender of it with its worst rows.

RUN is a folder, or a name below reports/.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.cli.tell import brief, say, table
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.runs import Run, find_run, rows_of
from advisor.trial import Row
from advisor.workspace import Workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN")
    add("contender", nargs="?", metavar="CONTENDER", help="its figures and its worst rows")
    add("--rows", type=int, default=5, metavar="N", help="so many of its worst rows (5)")
    add("--json", action="store_true", help="print it as JSON")


def execute(options: argparse.Namespace) -> int:
    workspace = here()
    run = find_run(options.run, workspace)
    if options.contender is None:
        if options.json:
            say(json.dumps({"folder": str(run.folder), **run.verdict}, indent=2,
                           ensure_ascii=False))
        else:
            _run(run)
        return 0
    standing = run.standing(options.contender)
    rows = _rows(run, workspace, options.contender)
    rows.sort(key=lambda row: (row.grade.credit is not None, row.grade.credit or 0.0))
    worst = rows[: max(0, options.rows)]
    if options.json:
        say(json.dumps({**standing, "rows": [as_json(row) for row in worst]}, indent=2,
                       ensure_ascii=False))
        return 0
    _contender(run, standing, worst, len(rows))
    return 0


def here() -> Workspace | None:
    """The workspace around the current folder, if there is one."""
    try:
        return Workspace.find(Path.cwd())
    except AdvisorError:
        return None


def as_json(row: Row) -> dict[str, Any]:
    """One graded row as plain data."""
    return {
        "id": row.example.question.id, "text": row.example.question.text,
        "targets": list(row.example.targets), "answer": row.answer.text,
        "credit": row.grade.credit, "status": row.grade.status, "why": row.grade.why,
    }


def _rows(run: Run, workspace: Workspace | None, contender: str) -> list[Row]:
    """None when the task is not at hand: the figures can be shown without its rows."""
    if workspace is None:
        return []
    name = run.described["task"]["name"]
    if name not in workspace.tasks():
        return []
    task = load_task(workspace.task_folder(name))
    return list(rows_of(run, task, contender).values())


def _run(run: Run) -> None:
    verdict = run.verdict
    decided = f"use {verdict['winner']}" if verdict["winner"] else verdict["outcome"]
    final = "" if verdict["final"] else " (not final: rows or contenders were left out)"
    say(f"{verdict['task']['name']}: {decided}{final}")
    for sentence in verdict["because"]:
        say(f"  - {sentence}")
    say(f"  next: {verdict['next_step']}")
    table(["contender", verdict["task"]["primary"], "retention lost", "USD per 1,000", "p95 ms",
           "barred by"], [_line(one) for one in verdict["standings"]])
    if curves := verdict.get("curves"):
        table(["contender", "train rows", verdict["task"]["primary"], "learning curve"],
              [line for one in curves for line in _curve(one)])
    for name, why in run.described.get("learning_curves", {}).get("without", {}).items():
        say(f"no learning curve of {name}: {why}")


def _curve(one: Mapping[str, Any]) -> list[list[str]]:
    """A line a size; what follows from all of them stands beside the last."""
    last = one["points"][-1]
    return [[one["contender"], str(point["rows"]), _between(point["quality"]),
             one["reading"] if point is last else ""] for point in one["points"]]


def _between(found: Mapping[str, Any]) -> str:
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _line(one: Mapping[str, Any]) -> list[str]:
    quality, forgetting, cost = one["quality"], one["forgetting"], one["cost"]
    lost = forgetting if isinstance(forgetting, str) else (
        f"{forgetting['pooled']['drop']['value'] * 100:.1f} "
        f"(at most {forgetting['pooled']['upper'] * 100:.1f})")
    return [one["contender"],
            _between(quality), lost,
            f"{cost['usd_per_1k_all_in'] or 0:.4f}", f"{cost['p95_ms'] or 0:.0f}",
            brief("; ".join(one["barred_by"]), 50)]


def _contender(
    run: Run, standing: Mapping[str, Any], worst: list[Row], total: int
) -> None:
    say(f"{standing['contender']} in {run.folder}")
    table(["figure", "value"], [
        *[[name, f"{part['value']:.3f} ({part['low']:.3f} to {part['high']:.3f}, n={part['n']})"]
          for name, part in standing["parts"].items()],
        *[[name, str(value)] for name, value in standing["axes"].items()],
        *[[name, f"{value:g}" if value is not None else "not measured"]
          for name, value in standing["cost"].items()],
        *[[name, str(value)] for name, value in standing["counts"].items()],
    ])
    if not total:
        say("its rows are not shown: the task is not in this workspace")
    for row in worst:
        credit = "failed" if row.grade.credit is None else f"{row.grade.credit:.2f}"
        say(f"{credit}  {row.example.question.id}: {brief(row.example.question.text, 120)}")
        say(f"      wanted {brief(' | '.join(row.example.targets), 120)}")
        say(f"      said   {brief(row.answer.text or row.answer.failure, 120)}")
