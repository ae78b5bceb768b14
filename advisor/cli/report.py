"""Write a finished run's report again, in any format, without a model.

The format is that of the file's suffix: .html, .md, .json (the verdict and every row),
.csv (rows, or the standings with --table standings) or .xml (JUnit). Without -o the run's
own report.html, report.md and verdict.json are written anew. --index writes one page that
lists all runs of the workspace and compares any two of a task.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from advisor import report
from advisor.core import Task
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.report.exports import full_json, junit, rows_csv, standings_csv
from advisor.report.index import Listed, fault_of, index_page
from advisor.report.jsonform import dumps
from advisor.runner.record import Record, is_run, open_record, read_report
from advisor.workspace import Workspace

FORMATS: dict[str, Callable[[report.Report], str]] = {
    ".html": report.html,
    ".md": report.markdown,
    ".json": lambda one: dumps(full_json(one), indent=2),
    ".csv": rows_csv,
    ".xml": junit,
}
TABLES = {"rows": rows_csv, "standings": standings_csv}
INDEX = "index.html"


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", nargs="?", type=Path, metavar="RUN", help="a folder of reports/")
    add("-o", "--out", action="append", type=Path, default=[], metavar="FILE",
        help=f"repeatable; {' '.join(FORMATS)}")
    add("--table", choices=sorted(TABLES), default="rows", help="what a .csv holds")
    add("--index", action="store_true", help="one page of all runs (default: reports/index.html)")


def execute(options: argparse.Namespace) -> int:
    if options.index == (options.run is not None):
        raise AdvisorError("name a run, or give --index for a page of all runs",
                           fix="advisor report reports/TASK, or advisor report --index")
    if options.index:
        return _index(options)
    for path in options.out:
        if path.suffix.lower() not in FORMATS:
            raise AdvisorError(f"{path}: unknown format {path.suffix!r}",
                               fix=f"end the name in one of: {' '.join(FORMATS)}")
    workspace = Workspace.find(options.run)
    record = open_record(options.run)
    made = read_report(record, _task(workspace, record))
    if not options.out:
        report.write(made, options.run)
        print(options.run / "report.html")
    for path in options.out:
        formats = {**FORMATS, ".csv": TABLES[options.table]}
        path.parent.mkdir(parents=True, exist_ok=True)
        report.replace_file(path, formats[path.suffix.lower()](made))
        print(path)
    return 0


def _task(workspace: Workspace, record: Record) -> Task:
    """The task as the run saw it: a limited run had its first rows only."""
    folder = workspace.task_folder(record.task)
    task = load_task(folder)
    rows = int(record.run["task"]["test_rows"])
    return task if rows == len(task.test) else load_task(folder, limit=rows)


def _index(options: argparse.Namespace) -> int:
    workspace = Workspace.find(Path.cwd())
    if len(options.out) > 1 or any(path.suffix.lower() != ".html" for path in options.out):
        raise AdvisorError("the index is one HTML page", fix="advisor report --index -o FILE.html")
    path = options.out[0] if options.out else workspace.reports / INDEX
    folders = sorted(path for path in workspace.reports.glob("*") if is_run(path))
    if not folders:
        raise AdvisorError(f"{workspace.reports} holds no finished run", fix="advisor run TASK")
    path.parent.mkdir(parents=True, exist_ok=True)
    report.replace_file(path, index_page([_listed(workspace, folder) for folder in folders]))
    print(path)
    return 0


def _listed(workspace: Workspace, folder: Path) -> Listed:
    try:
        record = open_record(folder)
        return Listed(folder.name, read_report(record, _task(workspace, record)))
    except AdvisorError as error:
        return Listed(folder.name, None, fault_of(error))
