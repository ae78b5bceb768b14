"""Say what a run will take before it starts: time, memory, tokens and dollars per contender.

The engine is probed for some seconds per contender, on dev rows. The plan is kept beside the
run as plan.json; once the run is done, --truth sets it against what was measured.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from advisor.cli import selection
from advisor.cli.tell import say, table
from advisor.data.task import load_task
from advisor.engines.openai import endpoint
from advisor.errors import AdvisorError
from advisor.forecast.figures import CLOSE, Check, Planned, against, as_json, read, save, told
from advisor.runs import read_run
from advisor.workspace import Workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("tasks", nargs=1, metavar="TASK", help="a folder of evals/, or a path to a task")
    selection.arguments(parser)
    add("--truth", nargs="?", const="", metavar="RUN",
        help="set the kept plan against what that run measured (default: reports/TASK)")
    add("--model", help="default: model of advisor.yaml")
    add("--out", type=Path, metavar="DIR", help="default: reports/")
    add("--engine", choices=["transformers", "fake"], default="transformers",
        help="fake: a stand-in for trying out the plumbing, never for a claim")
    add("--json", action="store_true", help="print it as JSON")


def execute(options: argparse.Namespace) -> int:
    workspace = Workspace.find(Path.cwd())
    folder = workspace.task_folder(options.tasks[0])
    # Where `advisor run` with the same options leaves its report.
    name = f"{folder.name}-factorial" if options.factorial else folder.name
    run = (options.out or workspace.reports) / name
    if options.truth is not None:
        where = Path(options.truth) if options.truth else run
        if not where.is_dir():
            where = workspace.reports / options.truth
        kept = read(run)
        _truth(kept, against(kept, read_run(where).verdict), as_data=options.json)
        return 0
    planned = _forecast(workspace, folder, run, options)
    path = save(planned, run)
    if options.json:
        say(json.dumps(as_json(planned), indent=2))
        return 0
    _tell(planned)
    again = " --factorial" if options.factorial else ""
    say(f"kept in {path}; after the run: advisor plan {folder.name}{again} --truth")
    return 0


def _forecast(
    workspace: Workspace, folder: Path, run: Path, options: argparse.Namespace
) -> Planned:
    from advisor.cli.tools import fake, real
    from advisor.engines.silence import quiet

    quiet()
    from advisor.forecast.probe import forecast
    from advisor.measures.retention import load_suites
    from advisor.runner.plan import Plan

    settings = workspace.settings()
    if options.model is not None:
        settings = settings.model_copy(update={"model": options.model})
    task = load_task(folder)
    recipes = selection.chosen(workspace, settings, options)
    if not recipes and not options.factorial:
        raise AdvisorError("there is no contender to plan", fix="put recipes into baselines/")
    tools = fake() if options.engine == "fake" else real(
        settings.model, settings.embedder, precision=settings.precision)
    served = {name: endpoint(name, given) for name, given in settings.endpoints.items()}
    tools = replace(tools, endpoints=served, root=workspace.root)
    suites = load_suites(settings.retention, workspace.retention_file)
    plan = Plan(task=task, recipes=recipes, settings=settings, suites=suites, tools=tools,
                seed=settings.seed, final=False, folder=run, data={})
    if options.factorial:
        plan = selection.with_cells(plan, workspace)
        for name, reason in plan.without.items():
            print(f"without the factor {name}: {reason}", file=sys.stderr)
    return forecast(plan, lambda what: print(f"probing {what}", file=sys.stderr))


def _tell(planned: Planned) -> None:
    table(
        ["contender", "prepare s", "s a call", "one call ms", "tokens in", "out", "trained",
         "memory MiB", "run", "USD", "USD per 1,000"],
        [[one.contender, f"{one.prepare_seconds:.0f}", f"{one.seconds_per_call:.3f}",
          f"{one.p50_ms:.0f}", f"{one.tokens_in:.0f}", f"{one.tokens_out:.0f}",
          f"{one.tokens_trained:.0f}", _known(one.peak_memory_mib), clock(one.run_seconds),
          f"{one.run_usd:.4f}", f"{one.usd_per_1k:.4f}"] for one in planned.contenders])
    say(f"{planned.task}: {planned.rows} test rows, about {clock(planned.seconds)} in all "
        f"(the probe took {clock(planned.probe_seconds)})")


def _truth(planned: Planned, checks: Sequence[Check], *, as_data: bool) -> None:
    if not checks:
        raise AdvisorError("the plan and the run share no contender",
                           fix=f"advisor plan {planned.task}, then advisor run {planned.task}")
    if as_data:
        say(json.dumps([{"contender": one.contender, "figure": one.figure,
                         "foreseen": one.foreseen, "measured": one.measured,
                         "ratio": one.ratio, "close": one.close} for one in checks], indent=2))
        return
    table(["contender", "figure", "foreseen", "measured", "ratio", f"within {CLOSE:.0%}"],
          [[one.contender, one.figure, f"{one.foreseen:.4g}", f"{one.measured:.4g}",
            f"{one.ratio:.2f}", "yes" if one.close else "no"] for one in checks])
    say(told(checks))


def clock(seconds: float) -> str:
    """Seconds as people read them."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _known(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "-"
