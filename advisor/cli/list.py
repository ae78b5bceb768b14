"""List the tasks, the contenders and the finished runs of this workspace."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from advisor.cli.tell import say, table
from advisor.config import TaskFile
from advisor.errors import AdvisorError
from advisor.runs import read_run, run_names
from advisor.workspace import Workspace
from advisor.yamlfiles import load


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--names", action="store_true", help="only the names of the tasks")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def execute(options: argparse.Namespace) -> int:
    workspace = Workspace.find(Path.cwd())
    if options.names:
        for name in workspace.tasks():
            say(name)
        return 0
    tasks = [_task(workspace, name) for name in workspace.tasks()]
    runs = [_run(workspace, name) for name in run_names(workspace)]
    contenders = list(workspace.recipes())
    if options.json:
        say(json.dumps({"tasks": tasks, "contenders": contenders, "runs": runs}, indent=2,
                       ensure_ascii=False))
        return 0
    say(f"{workspace.root}")
    table(["task", "graded", "train", "dev", "test", "documents"],
          [[one.get("error") or one["name"], *map(str, (one.get("scorer", ""), *(
              one.get(key, "") for key in ("train", "dev", "test", "documents"))))]
           for one in tasks])
    say(f"contenders: {', '.join(contenders) or 'none'}")
    if not runs:
        say("no run yet: advisor run TASK")
        return 0
    table(["run", "verdict", "quality", "rows", "final"],
          [[one["name"], one["verdict"], one["quality"], str(one["rows"]),
            "yes" if one["final"] else "no"] for one in runs])
    return 0


def _task(workspace: Workspace, name: str) -> dict[str, Any]:
    folder = workspace.task_folder(name)
    try:
        settings = load(folder / "task.yaml", TaskFile)
    except AdvisorError as error:
        return {"name": name, "error": f"{name}: {error.problem.splitlines()[0]}"}
    sizes = {split: _lines(folder / f"{split}.jsonl") for split in ("train", "dev", "test")}
    documents = sum(path.suffix in (".md", ".txt") for path in folder.rglob("corpus/**/*"))
    return {"name": name, "title": settings.title, "scorer": settings.scorer.kind,
            "primary": settings.primary, **sizes, "documents": documents}


def _lines(path: Path) -> int:
    if not path.is_file():
        return 0
    return sum(bool(line.strip()) for line in path.read_bytes().split(b"\n"))


def _run(workspace: Workspace, name: str) -> dict[str, Any]:
    try:
        run = read_run(workspace.reports / name)
    except AdvisorError as error:
        return {"name": name, "verdict": error.problem.splitlines()[0], "quality": "", "rows": 0,
                "final": False}
    best = run.standing(run.leader)["quality"]
    verdict = f"use {run.verdict['winner']}" if run.verdict["winner"] else run.verdict["outcome"]
    return {
        "name": name, "verdict": verdict, "rows": run.described["task"]["test_rows"],
        "quality": f"{best['value']:.3f} ({best['low']:.3f} to {best['high']:.3f})",
        "final": run.verdict["final"], "folder": str(run.folder),
    }
