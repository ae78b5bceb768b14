"""Judge a candidate against a champion on the same items, for CI.

CANDIDATE and CHAMPION are each a run folder (its winner, or another contender), or a bundle;
CANDIDATE may also be a LoRA adapter folder of any trainer, or the folder of a merged model:
these answer with the champion's prompt and retrieval. A bundle may be named as it stands in
the registry: NAME@NUMBER, or NAME@ALIAS. What a journal holds is not asked
again. Writes gate.json, gate.md, gate.junit.xml and gate.html.

Exit codes: 0 pass, 3 fail, 4 inconclusive, 1 crash, 2 usage or bad input, 75 busy.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from advisor.cli.progress import progress
from advisor.cli.tools import fake, real
from advisor.contenders.composed import Tools
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.gate import outputs
from advisor.gate.run import Gated, default_folder, gate
from advisor.gate.scores import Bench
from advisor.gate.sides import Base, Side, finished, kind_of
from advisor.gate.strangers import stranger
from advisor.measures import owntext
from advisor.measures.retention import load_suites
from advisor.workspace import Workspace

CODES = {"pass": 0, "fail": 3, "inconclusive": 4}


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("candidate", type=Path, metavar="CANDIDATE",
        help="a run, a bundle, an adapter folder or a merged model folder")
    add("--against", type=Path, required=True, metavar="CHAMPION", help="a run or a bundle")
    add("--contender", metavar="NAME", help="of the candidate's run (default: its winner)")
    add("--against-contender", metavar="NAME", help="of the champion's run (default: its winner)")
    add("--task", metavar="TASK", help="default: the task of the champion")
    add("--suite", action="append", metavar="NAME",
        help="only this retention suite (repeatable; default: those of advisor.yaml)")
    add("--any-base", action="store_true",
        help="take an adapter or a model even if its base cannot be shown to be the champion's")
    add("--rescore", action="store_true",
        help="ask again what was measured by another version of the software or precision")
    add("--fail-fast", action="store_true",
        help="once the task alone shows that the candidate fails, do not score what it forgot")
    add("--out", type=Path, metavar="DIR", help="default: reports/gate-TASK/")
    add("--json", action="store_true", help="print gate.json on standard output")
    add("--no-input", action="store_true", help="never ask and draw no progress bar (for CI)")


def execute(options: argparse.Namespace) -> int:
    workspace = Workspace.find(Path.cwd())
    settings = workspace.settings()
    options.candidate, options.against = map(_placed, (options.candidate, options.against))
    champion = _champion(options)
    task = load_task(workspace.task_folder(options.task or champion.task))
    folder = options.out or default_folder(workspace.reports, task.name)
    candidate = _candidate(options, champion, folder)
    if owntext.NAME in (options.suite or ()):
        raise AdvisorError(
            f"--suite {owntext.NAME}: how far weights moved from the base is no score to compare",
            fix="name other suites; the report of a run has it",
        )
    names = tuple(options.suite or (one for one in settings.retention if one != owntext.NAME))
    bench = Bench(
        task=task, settings=settings, suites=load_suites(names, workspace.retention_file),
        folder=folder, tools=_opener(), rescore=options.rescore,
        fail_fast=options.fail_fast,
    )
    console = Console(stderr=options.json, highlight=False)
    with progress(console, live=not options.no_input, task=task.name) as watch:
        gated = gate(candidate, champion, bench, watch)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    written = outputs.write(gated, folder, at=at)
    outputs.append_summary(outputs.markdown(gated))
    _tell(console, gated, written["gate.html"])
    if options.json:
        print(json.dumps(outputs.gate_json(gated, at=at), indent=2))
    return CODES[gated.judgement.result]


def _placed(path: Path) -> Path:
    """The bundle of a registered version, NAME@NUMBER or NAME@ALIAS; any other path as it is."""
    from advisor.ship.registry import registered

    return registered(str(path)) if "@" in path.name and not path.exists() else path


def _champion(options: argparse.Namespace) -> Side:
    kind = kind_of(options.against)
    if kind in ("adapter", "merged"):
        raise AdvisorError(
            f"{options.against} is {'an adapter' if kind == 'adapter' else 'a model'}: it has no "
            "prompt, so it cannot be the champion",
            fix="name a run or a bundle as the champion",
        )
    return finished(options.against, options.against_contender)


def _candidate(options: argparse.Namespace, champion: Side, folder: Path) -> Side:
    if kind_of(options.candidate) in ("run", "bundle"):
        candidate = finished(options.candidate, options.contender)
        if candidate.task != champion.task and options.task is None:
            raise AdvisorError(
                f"{options.candidate} was made for task {candidate.task!r}, the champion for "
                f"{champion.task!r}",
                fix="name two of one task, or the task that both are to be judged on: --task TASK",
            )
        return candidate
    if options.contender is not None:
        raise AdvisorError(f"{options.candidate} is no run, so it has no contenders",
                           fix=f"drop --contender {options.contender}")
    return stranger(options.candidate, champion, any_base=options.any_base, workdir=folder)


def _opener() -> Callable[[Base], Tools]:
    """Opens the models that a side names, each once; none before it is needed."""
    known: dict[Base, Tools] = {}

    def opened(base: Base) -> Tools:
        if base not in known:
            known[base] = fake() if base.model == "fake" else real(
                base.model, base.embedder, precision=base.precision
            )
        return known[base]

    return opened


def _tell(console: Console, gated: Gated, page: Path) -> None:
    judgement = gated.judgement
    console.print(f"\n[bold]{gated.task.name}[/bold]: {outputs.HEADLINES[judgement.result]}")
    lines = [f"{check.state:<12} {check.name}: {check.says}" for check in judgement.checks]
    lines += [f"note: {note}" for note in gated.notes]
    for line in [*lines, f"report: {page}"]:
        console.print(f"  {line}", markup=False, soft_wrap=True)
