"""Check a task before any money is spent: leakage, conflicts, balance, lengths, size,
personal data, encoding, and what retrieval could give.

Exit codes: 0 go; 3 no-go: something would make the result worthless. Only --probe asks the
language model.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from advisor.checks import reading, rows, size, texts
from advisor.checks.finding import ORDER, Finding, Looked
from advisor.checks.personal import personal
from advisor.cli.tell import say
from advisor.config import Settings
from advisor.contenders.composed import Tools
from advisor.core import ScorerSpec
from advisor.data.rows import read_rows
from advisor.data.task import SPLITS, load_task
from advisor.engines.tokens import counter
from advisor.errors import AdvisorError, Faults
from advisor.workspace import Workspace

NO_GO = 3
SHOWN = 3  # places of a finding; --json has them all


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("tasks", nargs="*", metavar="TASK", help="a folder of evals/, or a path to a task")
    add("--all", action="store_true", help="every task of the workspace")
    add("--probe", type=int, nargs="?", const=24, default=0, metavar="ROWS",
        help="ask the base model so many dev rows (24), without and with examples")
    add("--no-embed", action="store_true", help="do not embed the documents (saves seconds)")
    add("--region", metavar="CC", help="a country such as GB: find its telephone numbers too")
    add("--model", help="default: model of advisor.yaml")
    add("--engine", choices=["transformers", "fake"], default="transformers",
        help="fake: a stand-in for trying out the plumbing, never for a claim")
    add("--json", action="store_true", help="print all findings with all rows as JSON")


def execute(options: argparse.Namespace) -> int:
    workspace = Workspace.find(Path.cwd())
    settings = workspace.settings()
    if options.model is not None:
        settings = settings.model_copy(update={"model": options.model})
    if options.probe < 0:
        raise AdvisorError(f"--probe: expected 1 row or more, found {options.probe}",
                           fix="--probe 24")
    names = [*options.tasks, *(workspace.tasks() if options.all else ())]
    if not names:
        raise AdvisorError("no task is named", fix="advisor check TASK, or advisor check --all")
    results = []
    for name in names:
        folder = workspace.task_folder(name)
        findings = sorted(_findings(folder, workspace, settings, options),
                          key=lambda one: ORDER.index(one.severity))
        results.append((folder.name, findings))
        if not options.json:
            _tell(folder.name, findings)
    if options.json:
        say(json.dumps([_as_json(name, found) for name, found in results], indent=2,
                       ensure_ascii=False))
    return NO_GO if any(_stops(found) for _, found in results) else 0


def _findings(
    folder: Path, workspace: Workspace, settings: Settings, options: argparse.Namespace
) -> Iterator[Finding]:
    try:
        task = load_task(folder)
    except Faults as bad:
        for fault in bad.faults:
            yield Finding("files", "stop", fault, (), bad.fix)
        return
    spec = ScorerSpec(task.scorer.kind, task.scorer.fields)
    where = {placed.example.question.id: placed.where for split in SPLITS
             for placed in read_rows(folder / f"{split}.jsonl", spec).placed}
    looked = Looked(task, where)
    policy = settings.policy
    yield from rows.leakage(looked)
    yield from rows.near_dev(looked)
    yield from rows.repeats(looked)
    yield from rows.conflicts(looked)
    yield from rows.balance(looked)
    yield from texts.lengths(looked, counter(settings.model), max_failed=policy.max_failed)
    yield from texts.encoding(looked)
    yield from personal(looked, region=options.region)
    yield from size.size(looked, alpha=policy.alpha, margin=policy.quality_margin,
                         seed=settings.seed)
    yield from reading.ceiling(looked)
    yield from _modelled(looked, workspace, settings, options)


def _modelled(
    looked: Looked, workspace: Workspace, settings: Settings, options: argparse.Namespace
) -> Iterator[Finding]:
    """What needs the embedder, or the language model."""
    recipes = {name: workspace.recipe(name) for name in workspace.recipes()}
    if not reading.silent(looked) and not options.no_embed:
        try:
            yield from reading.recall(looked, recipes, _tools(settings, options).embedder)
        except AdvisorError as missing:
            yield Finding("retrieval", "skipped", missing.problem, (), missing.fix)
    if options.probe:
        from advisor.checks.probe import already_known

        yield from already_known(looked, _tools(settings, options), rows=options.probe,
                                 seed=settings.seed)


def _tools(settings: Settings, options: argparse.Namespace) -> Tools:
    from advisor.cli.tools import fake, real

    if options.engine == "fake":
        return fake()
    return real(settings.model, settings.embedder, precision=settings.precision)


def _stops(findings: Sequence[Finding]) -> bool:
    return any(one.severity == "stop" for one in findings)


def _tell(name: str, findings: Sequence[Finding]) -> None:
    say(f"{name}:")
    for one in findings:
        say(f"  {one.severity:<7} {one.check}: {one.what}")
        if one.rows and one.severity != "ok":
            more = f", and {len(one.rows) - SHOWN} more" if len(one.rows) > SHOWN else ""
            say(f"          {', '.join(one.rows[:SHOWN])}{more}")
        if one.fix:
            say(f"          do: {one.fix}")
    warned = sum(one.severity == "warn" for one in findings)
    warnings = f"{warned} warning{'' if warned == 1 else 's'}"
    say(f"{'no-go' if _stops(findings) else 'go'} ({warnings})")


def _as_json(name: str, findings: Sequence[Finding]) -> dict[str, Any]:
    return {"task": name, "go": not _stops(findings),
            "findings": [asdict(one) for one in findings]}
