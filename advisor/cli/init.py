"""Make a folder a workspace that runs at once: advisor.yaml, evals/, baselines/, reports/.

With --from, a task is drafted from your own rows: their form, the columns, the groups, the
splits and the scorer are recognised, printed, and written as comments into task.yaml. In a
folder that is a workspace already, only the task is added.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.cli.tell import say
from advisor.config import Settings
from advisor.errors import AdvisorError
from advisor.workspace import SETTINGS, Workspace, scaffold

if TYPE_CHECKING:
    from advisor.intake.draft import Draft


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", nargs="?", default=".", help="default: this folder")
    add("--from", dest="source", metavar="DATA",
        help="JSONL, JSON, CSV, TSV or Parquet, or hf://OWNER/NAME[/CONFIG][@REVISION]")
    add("--docs", type=Path, metavar="DIR", help="a folder of .md and .txt files to retrieve from")
    add("--name", help="of the task; default: the name of the data")
    add("--dev", metavar="DATA", help="rows that stay dev, in the same form")
    add("--test", metavar="DATA", help="rows that stay test, in the same form")
    add("--input", action="append", default=[], metavar="COLUMN",
        help="the question (repeatable: read one after the other)")
    add("--target", default="", metavar="COLUMN", help="the answer")
    add("--group", default="", metavar="COLUMN",
        help="rows with the same value are never parted; default: by name, or by likeness")
    add("--choices", default="", metavar="COLUMN", help="lists of allowed answers")
    add("--sources", default="", metavar="COLUMN", help="the documents that hold the answer")
    add("--task-kind", choices=["exact", "json", "short_answer", "choice"],
        help="how answers are graded; default: by what they look like")
    add("--instruction", default="", metavar="TEXT", help="what the model is told")
    add("--dev-share", type=_share, default=0.15, metavar="SHARE", help="default: 0.15")
    add("--test-share", type=_share, default=0.35, metavar="SHARE", help="default: 0.35")
    add("--seed", type=int, default=0, help="of the split; default: 0")
    add("--encoding", default="utf-8", help="of text files; default: utf-8")
    add("--dry-run", action="store_true", help="say what was understood and write nothing")
    add("--json", action="store_true", help="print what was understood as JSON")


def execute(options: argparse.Namespace) -> int:
    target = Path(options.folder)
    if options.source is None:
        return _plain(target, options)
    return _from_data(target, options)


def _plain(target: Path, options: argparse.Namespace) -> int:
    needless = [name for name in ("docs", "name", "dev", "test", "target", "group", "choices",
                                  "sources", "task_kind", "dry_run", "input")
                if getattr(options, name)]
    if needless:
        raise AdvisorError(f"--{needless[0].replace('_', '-')} says something about data, but "
                           "there is no --from", fix="advisor init --from DATA")
    made = scaffold(target)
    where = "" if options.folder == "." else f"cd {target} && "
    if options.json:
        say(json.dumps({"folder": str(target), "files": [str(path) for path in made]}))
        return 0
    say(f"{len(made)} files written to {target}")
    say(f"next: {where}advisor run ticket-triage policy-qa")
    return 0


def _from_data(target: Path, options: argparse.Namespace) -> int:
    from advisor.intake.writing import task_name, write

    name = options.name or task_name(options.source)
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise AdvisorError(f"--name {name!r}: expected lower case letters, digits and hyphens",
                           fix=f"--name {task_name(name)}")
    if options.docs is not None and not options.docs.is_dir():
        raise AdvisorError(f"{options.docs}: no such folder", fix="--docs takes a folder of texts")
    made = _draft(target, name, options)
    folder = target / "evals" / name
    if not options.dry_run:
        if not (target / SETTINGS).is_file():
            scaffold(target, tasks=())
        write(made, folder, schema="../../schemas/task.json")
    if options.json:
        _as_json(made, folder, options)
        return 0
    width = max(len(what) for what, _ in made.said)
    for what, how in made.said:
        say(f"  {what:<{width}}  {how}")
    if options.dry_run:
        say("nothing was written (--dry-run)")
        return 0
    where = "" if options.folder == "." else f"cd {target} && "
    say(f"written: {folder}; look at the instruction in its task.yaml")
    say(f"next: {where}advisor check {name} && advisor run {name}")
    return 0


def _draft(target: Path, name: str, options: argparse.Namespace) -> Draft:
    from advisor.engines.tokens import counter
    from advisor.intake.columns import Told
    from advisor.intake.draft import Wish, draft
    from advisor.intake.records import read_records
    from advisor.intake.split import Shares

    is_workspace = (target / SETTINGS).is_file()
    settings = Workspace(target).settings() if is_workspace else Settings()
    given = {"": options.source, "dev": options.dev, "test": options.test}
    records = {key: read_records(source, encoding=options.encoding)
               for key, source in given.items() if source}
    told = Told(tuple(options.input), options.target, options.group, options.choices,
                options.sources)
    wish = Wish(name, told, options.task_kind, options.seed,
                Shares(options.dev_share, options.test_share), options.instruction)
    return draft(records, wish, documents=options.docs, tokens=counter(settings.model).count)


def _as_json(made: Draft, folder: Path, options: argparse.Namespace) -> None:
    say(json.dumps({
        "task": made.name, "folder": str(folder), "written": not options.dry_run,
        "understood": [list(line) for line in made.said], "scorer": made.guess.kind,
        "fields": list(made.guess.fields), "chance": made.chance,
        "rows": {split: len(rows) for split, rows in made.splits.items()},
    }, ensure_ascii=False, indent=2))


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 0.9:
        raise argparse.ArgumentTypeError(f"expected a share such as 0.2, found {text}")
    return value
