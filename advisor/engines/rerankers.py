"""Cross-encoders: question and passage read together, for ordering what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from advisor.engines.models import ModelFiles, resolve
from advisor.errors import AdvisorError


class Reranker(Protocol):
    """`score` returns one number for each (question, passage): higher is the better match."""

    @property
    def digest(self) -> str: ...

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]: ...


@dataclass(frozen=True)
class CrossEncoderReranker:
    """A sentence-transformers cross-encoder; its weights are read at the first use."""

    files: ModelFiles

    @property
    def digest(self) -> str:
        return self.files.digest

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        if not pairs:
            return []
        scores = self._model.predict(list(pairs), batch_size=32, show_progress_bar=False)
        if scores.ndim != 1:
            raise AdvisorError(
                f"reranker {self.files.name!r} gives {scores.shape[1]} figures a pair, not one",
                fix="name a cross-encoder for ranking in retrieval.rerank",
            )
        return [float(score) for score in scores]

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import CrossEncoder
        except ModuleNotFoundError as missing:
            raise AdvisorError(
                f"retrieval.rerank needs {missing.name}, which is not installed",
                fix="pip install 'adaptation-advisor[retrieval]'",
            ) from missing
        try:
            return CrossEncoder(str(self.files.folder), local_files_only=True)
        except (OSError, ValueError) as error:
            raise AdvisorError(
                f"reranker {self.files.name!r} ({self.files.folder}) cannot be loaded: {error}",
                fix="name a cross-encoder, as a local folder or hub id, in retrieval.rerank",
            ) from error


@dataclass(frozen=True, slots=True)
class FakeReranker:
    """The share of the question's words that stand in the passage. For tests."""

    digest: str = "fake-reranker"

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [_shared(question, passage) for question, passage in pairs]


def _shared(question: str, passage: str) -> float:
    asked = set(question.casefold().split())
    return len(asked & set(passage.casefold().split())) / max(1, len(asked))


def reranker(name: str) -> Reranker:
    """The cross-encoder of that name: a local folder, or a hub id.

    Raises AdvisorError when it cannot be found.
    """
    try:
        return CrossEncoderReranker(resolve(name))
    except AdvisorError as error:
        raise AdvisorError(
            error.problem.replace("model", "reranker", 1),
            fix="name a cross-encoder, as a local folder or hub id, in retrieval.rerank",
        ) from error
