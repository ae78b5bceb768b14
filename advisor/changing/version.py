"""A later version as files: `versions/DATE/` of a task, the whole of it or nothing."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from advisor.changing.choosing import Changes
from advisor.core import Task
from advisor.data.corpus import FRONT_MATTER, parse_document
from advisor.data.versions import read_version
from advisor.errors import AdvisorError

_VALID_FROM = re.compile(r"^(valid_from:[ \t]*)[^\r\n]*", re.MULTILINE)


def dated(folder: Path, task: Task, given: str) -> str:
    """The version's date: `given`, else that of the task's last version, else the first of
    January after the newest document (documents without dates: next year's).

    Raises AdvisorError for what is no date, and for one that is not after the documents.
    """
    newest = max((one.valid_from for one in task.material.corpus), default="")
    there = sorted(path.name for path in (folder / "versions").glob("*") if path.is_dir())
    if not given:
        year = int(newest[:4]) if newest else date.today().year
        return there[-1] if there else f"{year + 1}-01-01"
    try:
        if date.fromisoformat(given).isoformat() != given:
            raise ValueError
    except ValueError:
        raise AdvisorError(f"--date {given!r}: expected a date such as 2027-01-31",
                           fix="--date 2027-01-31") from None
    if given <= newest:
        raise AdvisorError(
            f"--date {given}: must be after the newest document, which is valid from {newest}",
            fix=f"--date {int(newest[:4]) + 1}-01-01")
    if there and given < there[-1]:
        raise AdvisorError(
            f"--date {given}: {folder.name} has versions/{there[-1]} already, and the last version "
            "is the one that is compared", fix=f"--date {int(there[-1][:4]) + 1}-01-01")
    return given


def files(changes: Changes, folder: Path, when: str) -> dict[str, bytes]:
    """The files of the version by their path in its folder."""
    lines = []
    for one in changes.chosen:
        for row, old in zip(one.rows, one.fact.rows, strict=True):
            line = {"id": row.question.id, "targets": list(row.targets)}
            if old.example.facts:
                line["facts"] = list(row.facts)
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    made = {"changed.jsonl": "".join(sorted(lines)).encode()}
    for name, body in changes.bodies.items():
        made[f"corpus/{name}"] = _document(folder / "corpus" / name, name, body, when)
    return made


def stale(made: Mapping[str, bytes], place: Path) -> list[str]:
    """The files of `place` that are not as they would be made, by name."""
    there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    return sorted(name for name in there | made.keys()
                  if name not in there or made.get(name) != (place / name).read_bytes())


def write(made: Mapping[str, bytes], place: Path, task: Task, *, force: bool) -> None:
    """The files in `place`, all of them or none; what was there is replaced with `force`.

    Raises AdvisorError when the folder is there and `force` is not given.
    """
    if place.exists() and not force:
        raise AdvisorError(
            f"{place}: is already there, nothing was written",
            fix=f"--force to make it anew, or --date {int(place.name[:4]) + 1}-01-01")
    place.parent.mkdir(exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=place.parents[1], prefix=".versions-"))
    try:
        new, old = staged / place.name, staged / "old"
        for name, content in made.items():
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        read_version(new, task)  # what cannot be read back is not written
        if place.exists():
            place.rename(old)
        try:
            new.rename(place)
        except OSError:
            if old.exists():
                old.rename(place)
            raise
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _document(path: Path, name: str, body: str, when: str) -> bytes:
    """The document with its new text; a `valid_from` in its front matter says the new date."""
    text = path.read_bytes().decode("utf-8-sig")
    matter = FRONT_MATTER.match(text)
    head, rest = (text[: matter.end()], text[matter.end() :]) if matter else ("", text)
    made = _VALID_FROM.sub(rf"\g<1>{when}", head) + rest.replace(rest.strip(), body, 1)
    content = made.encode()
    assert parse_document(name, content).text == body, f"{name} was put together wrongly"
    return content
