"""The documents of a task: `corpus/**/*.md` and `.txt`, with optional front matter."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path

import yaml

from advisor.core import Document

logger = logging.getLogger(__name__)

SUFFIXES = (".md", ".txt")
FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Corpus:
    """The good documents, ordered by id, the faults of the others, and the ids of all."""

    documents: tuple[Document, ...] = ()
    faults: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()


class DocumentFault(Exception):
    """What is wrong with one document; always caught in this module."""


def read_corpus(folder: Path) -> Corpus:
    """Every document below `folder`; its id is its path relative to `folder`.

    A task without a corpus has no such folder; an empty folder is a fault. Never
    raises for what a file holds.
    """
    if not folder.exists():
        return Corpus()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = [path for path in files if path.suffix.lower() in SUFFIXES]
    skipped = [path for path in files if path not in set(texts) and path.name[0] != "."]
    if skipped:
        logger.warning("%s: %d files are neither .md nor .txt and are not read, such as %s",
                       folder, len(skipped), skipped[0].name)
    if not texts:
        fault = f"{folder.name}: holds no .md or .txt document; add one, or delete the folder"
        return Corpus(faults=(fault,))
    documents, faults = [], []
    ids = sorted(path.relative_to(folder).as_posix() for path in texts)
    for name in ids:
        try:
            documents.append(parse_document(name, (folder / name).read_bytes()))
        except DocumentFault as bad:
            faults.append(f"{folder.name}/{name}{bad}")
    return Corpus(tuple(documents), tuple(faults), tuple(ids))


def parse_document(name: str, content: bytes) -> Document:
    """A document from its bytes; front matter may set `title` and `valid_from`.

    Other keys of the front matter belong to other tools and are left alone. Raises
    DocumentFault, whose text begins with the line (`:3: ...`) where there is one.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DocumentFault(f":{line}: not UTF-8 (byte {error.start})") from error
    title = valid_from = ""
    if matter := FRONT_MATTER.match(text):
        text = text[matter.end() :]
        title, valid_from = _front_matter(matter.group(1))
    if not text.strip():
        raise DocumentFault(": the document is empty")
    return Document(name, text.strip(), title, valid_from)


def _front_matter(text: str) -> tuple[str, str]:
    try:
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        # The opening `---` is line 1, so line 0 of the front matter is line 2 of the file.
        line = error.problem_mark.line + 2 if error.problem_mark else 2
        raise DocumentFault(f":{line}: front matter is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-02-31
        raise DocumentFault(f":2: front matter is not YAML: {error}") from error
    if values is None:
        return "", ""
    if not isinstance(values, dict):
        raise DocumentFault(":2: front matter must be keys and values, such as `title: Refunds`")
    for key in values:
        known = get_close_matches(str(key), ("title", "valid_from"), n=1, cutoff=0.8)
        if known and key != known[0]:
            raise DocumentFault(f":2: unknown key {key!r} (did you mean {known[0]!r}?)")
    title = values.get("title") or ""
    if not isinstance(title, str):
        raise DocumentFault(f":2: title must be text, found {title!r}; put it in quotes")
    return title, _iso_date(values.get("valid_from") or "")


def _iso_date(value: object) -> str:
    if value == "":
        return ""
    try:
        if isinstance(value, date) and not isinstance(value, datetime):
            return value.isoformat()
        return date.fromisoformat(str(value)).isoformat()
    except ValueError as error:
        raise DocumentFault(f":2: valid_from must be a date such as 2025-01-31, "
                            f"found {str(value)!r}") from error
