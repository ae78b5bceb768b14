"""What a contender reads: passages cut from the corpus, found by embedding.

Vectors are kept as .npy and the faiss index is built from them when opened: a flat
inner-product index has no state of its own, and a native parser never sees a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from advisor.contenders.prompt import Passage
from advisor.core import Document
from advisor.engines.embedders import Embedder, Vectors
from advisor.errors import AdvisorError


@dataclass(frozen=True)
class DenseIndex:
    """Exact nearest neighbours by cosine over all passages."""

    passages: tuple[Passage, ...]
    vectors: Vectors
    embedder: Embedder

    def search(self, texts: Sequence[str], top_k: int) -> list[tuple[Passage, ...]]:
        """For each text the `top_k` most similar passages, best first."""
        if not texts:
            return []
        wanted = min(top_k, len(self.passages))
        _, found = self._faiss.search(self.embedder.embed(texts), wanted)
        return [tuple(self.passages[i] for i in row) for row in found.tolist()]

    def save(self, folder: Path) -> None:
        """passages.jsonl and vectors.npy, row by row the same order."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "passages.jsonl").open("w", encoding="utf-8") as stream:
            for passage in self.passages:
                row = {"document": passage.document, "text": passage.text}
                stream.write(json.dumps(row) + "\n")  # ASCII: U+2028 would end a line
        np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)

    @cached_property
    def _faiss(self) -> Any:
        try:
            import faiss
        except ModuleNotFoundError as missing:
            raise AdvisorError(
                f"retrieval needs {missing.name}, which is not installed",
                fix="pip install 'adaptation-advisor[retrieval]'",
            ) from missing
        index = faiss.IndexFlatIP(self.vectors.shape[1])
        index.add(np.ascontiguousarray(self.vectors))
        return index


def build(corpus: Sequence[Document], *, chunk_words: int, embedder: Embedder) -> DenseIndex:
    """Cut and embed the corpus. An empty corpus is an AdvisorError."""
    passages = [passage for document in corpus for passage in cut(document, chunk_words)]
    if not passages:
        raise AdvisorError(
            "the recipe retrieves, but the task has no corpus",
            fix="put .md or .txt files into the task's corpus/ folder, or drop the contender",
        )
    return DenseIndex(tuple(passages), embedder.embed([p.text for p in passages]), embedder)


def load(folder: Path, embedder: Embedder) -> DenseIndex:
    """Open what `DenseIndex.save` wrote."""
    lines = (folder / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    passages = tuple(Passage(row["document"], row["text"]) for row in rows)
    return DenseIndex(passages, vectors, embedder)


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
