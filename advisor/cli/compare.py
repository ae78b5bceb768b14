"""Compare two runs of a task, paired by question: what got worse comes first.

RUN is a folder or a name below reports/, and may name a contender: RUN:CONTENDER. Without
one, all contenders of both runs are compared, and the rows shown are those of the two winners.
Both are graded by the task as it is now.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from advisor.cli.show import as_json, here
from advisor.cli.tell import brief, say, table
from advisor.core import Task
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.measures.paired import Paired, pair
from advisor.runs import Run, find_run, rows_of
from advisor.workspace import Workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("before", metavar="RUN_A")
    add("after", metavar="RUN_B")
    add("--rows", type=int, default=10, metavar="N", help="so many changed rows (10)")
    add("--alpha", type=float, default=0.05, help="of the intervals; default: 0.05")
    add("--json", action="store_true", help="print it as JSON, with all changed rows")


def execute(options: argparse.Namespace) -> int:
    workspace = here()
    before, first = _named(options.before, workspace)
    after, second = _named(options.after, workspace)
    if not 0 < options.alpha < 0.5:
        raise AdvisorError(f"--alpha: expected between 0 and 0.5, found {options.alpha}",
                           fix="--alpha 0.05")
    task = _task(before, after, workspace)
    pairs: dict[tuple[str, str], Paired] = {}
    if not first and not second:
        for name in after.contenders:
            if name in before.contenders:
                pairs[name, name] = _pair(before, name, after=(after, name), task=task,
                                          alpha=options.alpha)
    shown = (first or second or before.leader, second or first or after.leader)
    if shown not in pairs:
        pairs[shown] = _pair(before, shown[0], after=(after, shown[1]), task=task,
                             alpha=options.alpha)
    if options.json:
        say(json.dumps([_as_json(names, one) for names, one in pairs.items()], indent=2,
                       ensure_ascii=False))
        return 0
    say(f"{after.folder} minus {before.folder}, {task.primary}, the same questions")
    table(["contender", "difference", "p", "rows", "worse", "better", "on one side only"],
          [_line(names, one) for names, one in pairs.items()])
    _rows(shown, pairs[shown], options.rows)
    return 0


def _named(text: str, workspace: Workspace | None) -> tuple[Run, str]:
    """The run, and the contender named after a colon."""
    name, colon, contender = text.rpartition(":")
    if not colon:
        return find_run(text, workspace), ""
    run = find_run(name, workspace)
    run.standing(contender)
    return run, contender


def _task(before: Run, after: Run, workspace: Workspace | None) -> Task:
    names = [run.described["task"]["name"] for run in (before, after)]
    if names[0] != names[1]:
        raise AdvisorError(f"{before.folder} is a run of {names[0]}, {after.folder} of {names[1]}",
                           fix="compare two runs of one task")
    if workspace is None:
        raise AdvisorError("comparing needs the task, and this folder is in no workspace",
                           fix=f"go to the workspace that holds evals/{names[0]}")
    return load_task(workspace.task_folder(names[0]))


def _pair(
    before: Run, name: str, *, after: tuple[Run, str], task: Task, alpha: float
) -> Paired:
    return pair(rows_of(before, task, name), rows_of(after[0], task, after[1]), alpha=alpha)


def _line(names: tuple[str, str], one: Paired) -> list[str]:
    seen = one.difference.interval
    worse, better = _moved(one)
    return [names[1] if names[0] == names[1] else f"{names[0]} to {names[1]}",
            f"{seen.value:+.3f} ({seen.low:+.3f} to {seen.high:+.3f})",
            f"{one.difference.p_value:.3f}", str(seen.n), str(worse), str(better), str(one.alone)]


def _moved(one: Paired) -> tuple[int, int]:
    gaps = [(new.grade.credit or 0.0) - (old.grade.credit or 0.0) for old, new in one.changed]
    return sum(gap < 0 for gap in gaps), sum(gap > 0 for gap in gaps)


def _rows(names: tuple[str, str], one: Paired, count: int) -> None:
    if not one.changed:
        say(f"{' to '.join(dict.fromkeys(names))}: no row changed its credit")
        return
    say(f"{' to '.join(dict.fromkeys(names))}: {len(one.changed)} rows changed, the worst first")
    for old, new in one.changed[: max(0, count)]:
        question = old.example.question
        say(f"{old.grade.credit:.2f} to {new.grade.credit:.2f}  {question.id}: "
            f"{brief(question.text, 110)}")
        say(f"      wanted {brief(' | '.join(old.example.targets), 110)}")
        say(f"      before {brief(old.answer.text, 110)}")
        say(f"      after  {brief(new.answer.text, 110)}")


def _as_json(names: tuple[str, str], one: Paired) -> dict[str, Any]:
    seen = one.difference.interval
    worse, better = _moved(one)
    return {
        "before": names[0], "after": names[1], "difference": seen.value, "low": seen.low,
        "high": seen.high, "n": seen.n, "method": one.difference.method,
        "p_value": one.difference.p_value, "worse": worse, "better": better,
        "on_one_side_only": one.alone,
        "changed": [{"before": as_json(old), "after": as_json(new)} for old, new in one.changed],
    }
