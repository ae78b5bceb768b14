"""Measure contenders on tasks, decide, write the report and the winner.

The same command again continues a run that was stopped and re-runs only what changed.
Results are in reports/TASK/: report.html, report.md, verdict.json, run.yaml, winner/.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from advisor.cli import INTERRUPTED, selection
from advisor.cli.progress import progress
from advisor.cli.tools import fake, real
from advisor.config import Recipe, Settings, TunedWeights
from advisor.core import Task
from advisor.data.task import load_task
from advisor.data.versions import need_version
from advisor.engines.openai import endpoint
from advisor.errors import AdvisorError
from advisor.forecast.figures import FILE as PLAN
from advisor.forecast.figures import summary
from advisor.measures.retention import load_suites
from advisor.report import Report, verdict_json
from advisor.runner.ahead import cores
from advisor.runner.limit import Limit
from advisor.runner.plan import Plan
from advisor.runner.run import Finished, run
from advisor.ship.bundle import digests
from advisor.verdict import Verdict
from advisor.workspace import Workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("tasks", nargs="+", metavar="TASK", help="a folder of evals/, or a path to a task")
    selection.arguments(parser)
    add("--time-limit", metavar="TIME", type=duration,
        help="30m, 2h or 90s, shared evenly by the tasks: who would not end in time is left out")
    add("--jobs", type=int, default=1, metavar="N",
        help="measure N contenders at the same time, each by a process with its own copy of the "
             "model and its share of the cores (default: 1)")
    add("--limit", type=int, metavar="N",
        help="only the first N test rows; the run is marked as not final")
    add("--seed", type=int, help="default: seed of advisor.yaml")
    add("--seeds", type=int, default=1, metavar="N",
        help="measure contenders that the seed can change at N seeds (default: 1)")
    add("--freshness", action="store_true",
        help="ask about facts that changed too (versions/ of the task), with old and new documents")
    add("--leakage", action="store_true",
        help="test tuned contenders for membership and extraction of their training rows")
    add("--learning-curve", action="store_true",
        help="tune on a quarter and on half of the train rows too: would more rows help?")
    add("--model", help="default: model of advisor.yaml")
    add("--out", type=Path, metavar="DIR", help="default: reports/; one folder a task in it")
    add("--engine", choices=["transformers", "fake"], default="transformers",
        help="fake: a stand-in for trying out the plumbing, never for a claim")
    add("--json", action="store_true", help="print the verdicts as JSON on standard output")
    add("--no-input", action="store_true", help="never ask and draw no progress bar (for CI)")


def execute(options: argparse.Namespace) -> int:
    workspace = Workspace.find(Path.cwd())
    settings = _settings(workspace, options)
    # Everything a user may have got wrong is found before anything costs time.
    started = time.monotonic()
    _check_jobs(options)
    recipes = selection.chosen(workspace, settings, options)
    folders = [workspace.task_folder(name) for name in options.tasks]
    tasks = [load_task(folder, limit=options.limit) for folder in folders]
    for task, folder in zip(tasks, folders, strict=True):
        if task.name != folder.name:
            raise AdvisorError(
                f"{folder / 'task.yaml'}: name is {task.name!r}, but the folder is {folder.name!r}",
                fix=f"write `name: {folder.name}`, or rename the folder",
            )
    shared: dict[str, Any] = {}
    # One purse an endpoint, however many tasks and contenders ask it.
    served = {name: endpoint(name, given) for name, given in settings.endpoints.items()}
    plans = []
    for task, folder in zip(tasks, folders, strict=True):
        plan = _plan(workspace, settings, recipes, (task, folder), options)
        if options.factorial:
            plan = selection.with_cells(plan, workspace)
        if plan.learning_curve:
            _need_tuned(plan)
        tools = replace(plan.tools, endpoints=served)
        plans.append(replace(plan, shared=shared, tools=tools))
    console = Console(stderr=options.json, highlight=False)
    finished = []
    for number, plan in enumerate(plans, start=1):
        until = started + (options.time_limit or 0.0) * number / len(plans)
        limit = Limit(until) if options.time_limit else None
        try:
            with progress(console, live=not options.no_input, task=plan.task.name) as watch:
                finished.append((plan, run(plan, watch, limit, jobs=options.jobs)))
        except KeyboardInterrupt:
            console.print("\ninterrupted; every answer so far is kept. To continue:")
            command = shlex.join(["advisor", *sys.argv[1:]])
            console.print(f"  {command}", markup=False, soft_wrap=True)
            return INTERRUPTED
        _tell(console, plan, finished[-1][1])
    if options.json:
        print(json.dumps([_as_json(plan, done) for plan, done in finished], indent=2))
    return 1 if any(done.failed for _, done in finished) else 0


def _check_jobs(options: argparse.Namespace) -> None:
    if options.jobs > 1 and options.time_limit:
        raise AdvisorError(
            "--jobs and --time-limit: what a contender would take is foreseen for one at a time",
            fix="drop one of the two",
        )
    if not 1 <= options.jobs <= cores():
        raise AdvisorError(f"jobs: expected 1 to {cores()}, the cores there are, found "
                           f"{options.jobs}", fix="--jobs 1")


def _need_tuned(plan: Plan) -> None:
    if not any(isinstance(one.weights, TunedWeights) for one in plan.recipes.values()):
        raise AdvisorError(
            "--learning-curve: none of the contenders is tuned on train rows",
            fix="add --contender lora, or drop --learning-curve",
        )


def duration(text: str) -> float:
    """Seconds of `30m`, `2h` or `90s`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"expected a time such as 30m, 2h or 90s, found {text!r}")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def _settings(workspace: Workspace, options: argparse.Namespace) -> Settings:
    if options.seed is not None and options.seed < 0:
        raise AdvisorError(f"seed: expected 0 or more, found {options.seed}", fix="--seed 0")
    if options.seeds < 1:
        raise AdvisorError(f"seeds: expected 1 or more, found {options.seeds}", fix="--seeds 3")
    given = {"seed": options.seed, "model": options.model}
    changes = {key: value for key, value in given.items() if value is not None}
    return workspace.settings().model_copy(update=changes)


def _plan(
    workspace: Workspace, settings: Settings, recipes: dict[str, Recipe],
    chosen: tuple[Task, Path], options: argparse.Namespace,
) -> Plan:
    task, folder = chosen
    return Plan(
        task=task,
        recipes=recipes,
        settings=settings,
        suites=load_suites(settings.retention, workspace.retention_file),
        tools=replace(_tools(settings, options.engine), root=workspace.root),
        seed=settings.seed,
        final=options.limit is None and options.engine != "fake",
        folder=(options.out or workspace.reports) / _folder_name(task, options),
        data={name: sha for name, sha in digests(folder).items()
              if name.endswith((".jsonl", ".yaml", ".md", ".txt"))},
        seeds=options.seeds,
        # Its rows are named by id, whatever the limit leaves out.
        version=need_version(folder, load_task(folder)) if options.freshness else None,
        leakage=options.leakage,
        learning_curve=options.learning_curve,
    )


_OPEN: dict[tuple[str, ...], Any] = {}


def _tools(settings: Settings, engine: str) -> Any:
    """One model in memory, however many tasks are run."""
    key = (engine, settings.model, settings.embedder, settings.precision)
    if key not in _OPEN:
        _OPEN[key] = fake() if engine == "fake" else real(
            settings.model, settings.embedder, precision=settings.precision
        )
    return _OPEN[key]


def _folder_name(task: Task, options: argparse.Namespace) -> str:
    # A run with other settings never overwrites the report and adapters of this one.
    parts = [task.name, *(["fake"] if options.engine == "fake" else [])]
    if options.seed is not None:
        parts.append(f"seed-{options.seed}")
    if options.factorial:
        parts.append("factorial")
    if options.model is not None:
        parts.append(re.sub(r"[^a-z0-9]+", "-", options.model.lower()).strip("-"))
    if options.limit is not None:
        parts.append(f"limit-{options.limit}")
    return "-".join(parts)


def _tell(console: Console, plan: Plan, done: Finished) -> None:
    verdict = done.verdict
    console.print(f"\n[bold]{plan.task.name}[/bold]: {_headline(verdict)}")
    for sentence in verdict.because:
        console.print(f"  - {sentence}", markup=False)
    console.print(f"  next: {verdict.next_step}", markup=False)
    for name, reason in plan.without.items():
        console.print(f"  without the factor {name}: {reason}", markup=False)
    for name, reason in done.skipped.items():
        console.print(f"  skipped {name}: {reason}", markup=False)
    for name, reason in done.failed.items():
        console.print(f"  failed {name}: {reason}", markup=False)
    for curve in verdict.curves:
        console.print(f"  learning curve of {curve.contender}: {curve.reading}", markup=False)
    for name, reason in done.without_curve.items():
        console.print(f"  no learning curve of {name}: {reason}", markup=False)
    if (done.folder / PLAN).is_file():
        console.print(f"  plan: {summary(done.folder)}", markup=False)
    console.print(f"  report: {done.folder / 'report.html'}", markup=False)
    if verdict.winner is not None:
        console.print(f'  try it: advisor ask {done.folder} "..."', markup=False)


def _headline(verdict: Verdict) -> str:
    if verdict.winner is not None:
        return f"use [bold]{verdict.winner}[/bold]"
    return "no contender is acceptable" if verdict.outcome == "none_feasible" else "cannot tell yet"


def _as_json(plan: Plan, done: Finished) -> dict[str, Any]:
    found = verdict_json(Report(plan.task, (), done.verdict, {}))
    return {**found, "folder": str(done.folder), "failed": dict(done.failed),
            "skipped": dict(done.skipped)}
