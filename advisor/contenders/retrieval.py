"""What a contender reads: passages cut from the corpus, and how they are found.

Kept on disk are passages and vectors as plain data; BM25's counts and the faiss index are
built from them when opened, so that a native parser never sees a file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from advisor.config import RetrievalSpec
from advisor.contenders.passages import cut, whole
from advisor.contenders.prompt import Passage
from advisor.core import Document
from advisor.engines.embedders import Embedder, Vectors
from advisor.engines.rerankers import Reranker
from advisor.errors import AdvisorError

# Cormack, Clarke and Buettcher 2009, "Reciprocal Rank Fusion outperforms Condorcet": 60.
FUSION = 60
# Either ranking adds next to nothing below this rank: 1 / (60 + 50) against 1 / 61.
FUSED = 50

Ranked = list[list[int]]


@dataclass(frozen=True)
class Index:
    """All passages of a corpus, found by words, by meaning or by both (`spec.kind`)."""

    spec: RetrievalSpec
    passages: tuple[Passage, ...]
    vectors: Vectors | None
    embedder: Embedder
    reranker: Reranker | None = None

    def search(self, texts: Sequence[str], top_k: int) -> list[tuple[Passage, ...]]:
        """For each text the `top_k` best passages, best first; of `everything` all, in the
        order of the corpus."""
        if not texts:
            return []
        if self.spec.kind == "everything":
            return [self.passages] * len(texts)
        deep = max(top_k, self.spec.rerank_from) if self.reranker else top_k
        ranked = self._ranked(texts, min(deep, len(self.passages)))
        if self.reranker:
            ranked = [self._again(text, row) for text, row in zip(texts, ranked, strict=True)]
        return [tuple(self.passages[i] for i in row[:top_k]) for row in ranked]

    def search_once(self, texts: Sequence[str], top_k: int) -> list[tuple[Passage, ...]]:
        """The same as `search`, remembered: for texts that come again with every question."""
        new = [text for text in dict.fromkeys(texts) if (text, top_k) not in self._found]
        for text, found in zip(new, self.search(new, top_k), strict=True):
            self._found[text, top_k] = found
        return [self._found[text, top_k] for text in texts]

    def save(self, folder: Path) -> None:
        """passages.jsonl, vectors.npy row by row the same, and index.json about them."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "passages.jsonl").open("w", encoding="utf-8") as stream:
            for passage in self.passages:
                row = {"document": passage.document, "text": passage.text}
                stream.write(json.dumps(row) + "\n")  # ASCII: U+2028 would end a line
        about = {"embedder": self.embedder.digest,
                 "reranker": self.reranker.digest if self.reranker else ""}
        if self.vectors is not None:
            np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)
            about["vectors"] = _sha256(folder / "vectors.npy")
        (folder / "index.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")

    def _ranked(self, texts: Sequence[str], count: int) -> Ranked:
        if self.spec.kind == "lexical":
            return self._by_words(texts, count)
        if self.spec.kind == "dense":
            return self._by_meaning(texts, count)
        deep = min(max(count, FUSED), len(self.passages))
        both = zip(self._by_words(texts, deep), self._by_meaning(texts, deep), strict=True)
        return [fuse(one, other)[:count] for one, other in both]

    def _by_meaning(self, texts: Sequence[str], count: int) -> Ranked:
        _, found = self._faiss.search(self.embedder.embed(texts), count)
        rows: Ranked = found.tolist()
        return rows

    def _by_words(self, texts: Sequence[str], count: int) -> Ranked:
        """Passages that share a word with the text; in a corpus that shares none, none."""
        rows = []
        for text in texts:
            scores = self._word_scores(words(text))
            order = np.argsort(-scores, kind="stable")[:count]  # ties: the order of the corpus
            rows.append([int(i) for i in order if scores[i] > 0])
        return rows

    def _word_scores(self, said: list[str]) -> npt.NDArray[np.float32]:
        bm25, vocabulary = self._bm25
        known = [word for word in said if word in vocabulary]
        if not known:
            return np.zeros(len(self.passages), dtype=np.float32)
        return np.asarray(bm25.get_scores(known), dtype=np.float32)

    def _again(self, text: str, row: list[int]) -> list[int]:
        assert self.reranker is not None
        scores = self.reranker.score([(text, self.passages[i].text) for i in row])
        order = np.argsort(-np.asarray(scores), kind="stable")
        return [row[i] for i in order]

    @cached_property
    def _found(self) -> dict[tuple[str, int], tuple[Passage, ...]]:
        return {}

    @cached_property
    def _bm25(self) -> tuple[Any, frozenset[str]]:
        said = [words(passage.text) for passage in self.passages]
        vocabulary = frozenset(word for one in said for word in one)
        index = _imported("bm25s").BM25()
        if vocabulary:  # it divides by the mean length
            index.index(said, show_progress=False)
        return index, vocabulary

    @cached_property
    def _faiss(self) -> Any:
        assert self.vectors is not None, "an index that searches by meaning has vectors"
        index = _imported("faiss").IndexFlatIP(self.vectors.shape[1])
        index.add(np.ascontiguousarray(self.vectors))
        return index


def words(text: str) -> list[str]:
    """The words that BM25 compares: casefolded, numbers and single letters included, a
    plural's last s left off, so that `hours` finds `hour`."""
    found = re.findall(r"\w+", text.casefold())
    return [re.sub(r"(?<=[^s\d]{3})s$", "", word) for word in found]


def fuse(*rankings: Sequence[int]) -> list[int]:
    """Reciprocal rank fusion: best first by the sum of 1 / (60 + rank), ties by the first."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, item in enumerate(ranking, start=1):
            scores[item] = scores.get(item, 0.0) + 1 / (FUSION + rank)
    return sorted(scores, key=lambda item: -scores[item])


def build(
    corpus: Sequence[Document],
    spec: RetrievalSpec,
    *,
    embedder: Embedder,
    reranker: Reranker | None = None,
    known: dict[str, Vectors] | None = None,
) -> Index:
    """Cut and embed the corpus; texts in `known` keep the vectors they have there, and the
    others are added to it.

    An empty corpus is an AdvisorError.
    """
    if spec.kind == "everything":
        passages = [whole(document) for document in corpus]
    else:
        passages = [one for document in corpus for one in cut(document, spec.chunk_words)]
    if not passages:
        raise AdvisorError(
            "the recipe retrieves, but the task has no corpus",
            fix="put .md or .txt files into the task's corpus/ folder, or drop the contender",
        )
    vectors = None
    if spec.kind in ("dense", "hybrid"):
        texts = [one.text for one in passages]
        vectors = _embedded(texts, embedder, {} if known is None else known)
    return Index(spec, tuple(passages), vectors, embedder, reranker)


def vectors_by_text(folder: Path, embedder: Embedder) -> dict[str, Vectors]:
    """What an index on disk has embedded; nothing if it is not whole, or of another embedder.

    Given to `build`, a changed document costs the embedding of its own new passages only.
    """
    try:
        about = _about(folder)
        if about["embedder"] != embedder.digest:
            return {}
        if about["vectors"] != _sha256(folder / "vectors.npy"):
            return {}
        vectors = np.load(folder / "vectors.npy", allow_pickle=False)
        return dict(zip((one.text for one in _passages(folder)), vectors, strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # only ever a saving: what cannot be read is embedded again


def load(
    folder: Path, spec: RetrievalSpec, *, embedder: Embedder, reranker: Reranker | None = None
) -> Index:
    """Open what `Index.save` wrote; a reranker that is not the saved one is an AdvisorError."""
    if reranker is not None and _about(folder)["reranker"] != reranker.digest:
        raise AdvisorError(
            f"{folder}: the reranker {spec.rerank!r} found here is not the one it was made with",
            fix="put the reranker back that was measured, or run the task again",
        )
    vectors = None
    if (folder / "vectors.npy").is_file():
        vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    return Index(spec, _passages(folder), vectors, embedder, reranker)


def without(folder: Path, documents: Collection[str]) -> int:
    """Take the passages of `documents` out of what `Index.save` wrote; how many are left.

    Nothing is embedded again: the other passages keep their vectors.
    """
    lines = (folder / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    keep = [i for i, line in enumerate(lines) if json.loads(line)["document"] not in documents]
    about = _about(folder)
    (folder / "passages.jsonl").write_text("".join(f"{lines[i]}\n" for i in keep), "utf-8")
    if (folder / "vectors.npy").is_file():
        vectors = np.load(folder / "vectors.npy", allow_pickle=False)
        np.save(folder / "vectors.npy", vectors[keep], allow_pickle=False)
        about["vectors"] = _sha256(folder / "vectors.npy")
    (folder / "index.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return len(keep)


def _embedded(texts: list[str], embedder: Embedder, known: dict[str, Vectors]) -> Vectors:
    new = [text for text in dict.fromkeys(texts) if text not in known]
    if new:
        known.update(zip(new, embedder.embed(new), strict=True))
    return np.stack([known[text] for text in texts])


def _passages(folder: Path) -> tuple[Passage, ...]:
    lines = (folder / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return tuple(Passage(row["document"], row["text"]) for row in rows)


def _about(folder: Path) -> dict[str, str]:
    about: dict[str, str] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return about


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _imported(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        raise AdvisorError(
            f"retrieval needs {missing.name}, which is not installed",
            fix="pip install 'adaptation-advisor[retrieval]'",
        ) from missing
