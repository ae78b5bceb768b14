"""Text to vectors, for finding similar examples and passages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from advisor.engines.models import ModelFiles
from advisor.errors import AdvisorError

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """`embed` returns one unit-length row of float32 for each text: [texts, dimensions]."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    def embed(self, texts: Sequence[str]) -> Vectors: ...


@dataclass(frozen=True)
class SentenceEmbedder:
    """A sentence-transformers model; its weights are read at the first use."""

    files: ModelFiles

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads its copy anew."""
        return SentenceEmbedder, (self.files,)

    @property
    def name(self) -> str:
        return self.files.name

    @property
    def digest(self) -> str:
        return self.files.digest

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = self._model.encode(
            list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    @cached_property
    def _model(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as missing:
            raise AdvisorError(
                f"retrieval needs {missing.name}, which is not installed",
                fix="pip install 'adaptation-advisor[retrieval]'",
            ) from missing
        return SentenceTransformer(str(self.files.folder))


@dataclass(frozen=True, slots=True)
class FakeEmbedder:
    """Hashed bags of words: deterministic, needs no model. For tests of the plumbing."""

    dimensions: int = 256

    @property
    def name(self) -> str:
        return "fake"

    @property
    def digest(self) -> str:
        return f"fake-embedder-{self.dimensions}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        out = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                bucket = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
                out[row, bucket % self.dimensions] += 1.0
        norms = np.linalg.norm(out, axis=1, keepdims=True)
        return np.asarray(out / np.maximum(norms, 1e-9), dtype=np.float32)
