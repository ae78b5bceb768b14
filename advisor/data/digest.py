"""Identity by content: the same data has the same digest on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from advisor.core import Question


def digest(obj: object) -> str:
    """The SHA-256 of `canonical(obj)`, as 64 hexadecimal digits.

    Raises TypeError for what JSON cannot hold and ValueError for NaN and infinity.
    """
    # A lone surrogate is no valid UTF-8, but text with one still needs an identity.
    return hashlib.sha256(canonical(obj).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(obj: object) -> str:
    """Compact JSON with sorted keys and unescaped characters; a dataclass is its fields."""
    return json.dumps(
        obj,
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
        default=_plain,
    )


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Everything but the question that can change an answer, by digest.

    `contender` is a label for people: it is stored, but it is not part of any key, so
    a renamed recipe keeps its answers.
    """

    contender: str
    seed: int
    recipe: str
    engine: str
    material: str
    code: str

    def key(self, question: Question) -> str:
        """The key of this contender's answer to `question`."""
        return digest([*self._identity(), "answer", question])

    def stage(self, kind: str) -> str:
        """The key of something done once for all questions, such as `prepare`."""
        return digest([*self._identity(), "stage", kind])

    def _identity(self) -> tuple[str | int, ...]:
        return (self.recipe, self.engine, self.material, self.seed, self.code)


def _plain(obj: Any) -> object:
    if is_dataclass(obj) and not isinstance(obj, type):
        return asdict(obj)
    if isinstance(obj, Mapping):
        return dict(obj)
    raise TypeError(f"{type(obj).__name__} has no canonical form; pass plain data")
