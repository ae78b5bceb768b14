"""Scorer `exact`: the whole answer is one of the targets."""

from __future__ import annotations

import unicodedata

from advisor.core import Example, ScorerSpec
from advisor.measures.scorers.reading import Reading, Unreadable, shown


def normalise(text: str) -> str:
    """NFC, casefolded, single spaces, one trailing full stop dropped."""
    folded = unicodedata.normalize("NFC", text.casefold())
    return " ".join(folded.split()).removesuffix(".").rstrip()


def read_exact(text: str, example: Example, spec: ScorerSpec) -> Reading:
    """Part `exact`: 1 when the normalised answer equals a normalised target."""
    read_as = normalise(text)
    if not read_as:
        raise Unreadable("the answer is only a full stop")
    hit = any(read_as == normalise(target) for target in example.targets)
    expected = shown(" | ".join(example.targets))
    why = "equals a target" if hit else f"expected {expected!r}, found {shown(read_as)!r}"
    return Reading(read_as, {"exact": float(hit)}, why)
