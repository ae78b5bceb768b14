"""One run as three files: a page for people, Markdown for a comment, JSON for programs.

All three are pure functions of the report; only `write` touches the disk.
"""

from __future__ import annotations

import os
from pathlib import Path

from advisor.report.jsonform import dumps, verdict_json
from advisor.report.model import Basis, Report
from advisor.report.page import html
from advisor.report.text import markdown

__all__ = ["Basis", "Report", "html", "markdown", "replace_file", "verdict_json", "write"]


def write(report: Report, folder: Path) -> None:
    """Write report.html, report.md and verdict.json into `folder`, each whole or not at all.

    The folder is made when absent. verdict.json comes last: where it is new, all are.
    """
    contents = {
        "report.html": html(report),
        "report.md": markdown(report),
        "verdict.json": dumps(verdict_json(report), indent=2),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        replace_file(folder / name, text)


def replace_file(path: Path, text: str) -> None:
    """Write beside `path`, then rename over it, so that no reader sees half a file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as stream:
            stream.write(text.encode("utf-8"))
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
