"""A document cut into the passages that a contender reads."""

from __future__ import annotations

import re
from itertools import groupby

from advisor.contenders.prompt import Passage
from advisor.core import Document


def whole(document: Document) -> Passage:
    """A document as one passage, its title first."""
    return Passage(document.id, f"{document.title}\n{document.text}".strip())


def cut(document: Document, chunk_words: int) -> list[Passage]:
    """Passages of at most `chunk_words` words, cut at sections, then at sentences.

    Each passage starts with the document's title and the section's heading, so that it
    can be found and understood alone. A table is kept whole: a row without its header
    says nothing.
    """
    passages = []
    for heading, body in _sections(document.text):
        label = " - ".join(part for part in (document.title, heading) if part)
        for piece in _pieces(body, chunk_words):
            passages.append(Passage(document.id, f"{label}\n{piece}" if label else piece))
    return passages


def _sections(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^#{1,6}[ \t]+(.+)$", text, flags=re.MULTILINE)
    bodies = [("", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    return [(heading.strip(), body.strip()) for heading, body in bodies if body.strip()]


def _pieces(body: str, limit: int) -> list[str]:
    pieces: list[str] = []
    current: list[str] = []
    size = 0
    for unit in _units(body):
        words = len(unit.split())
        if current and size + words > limit:
            pieces.append("\n".join(current))
            current, size = [], 0
        current.append(unit)
        size += words
    return [*pieces, "\n".join(current)] if current else pieces


def _units(body: str) -> list[str]:
    """Sentences, list items and whole tables."""
    units: list[str] = []
    for block in re.split(r"\n\s*\n", body):
        # A caption may stand right above a table, or a note right below it.
        for table, lines in groupby(block.split("\n"), lambda line: line.lstrip()[:1] == "|"):
            text = "\n".join(lines).strip()
            if table:
                units.append(text)
            elif re.match(r"([-*]|\d+\.)\s", text):
                units += [line.strip() for line in text.splitlines() if line.strip()]
            else:
                flat = " ".join(text.split())
                units += [unit for unit in re.split(r"(?<=[.!?])\s+(?=[A-Z0-9\"'])", flat) if unit]
    return units
