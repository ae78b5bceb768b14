"""Texts that are nearly the same: exact Jaccard likeness, found without comparing all pairs.

A task has thousands of rows, not millions, so there is no need for MinHash, which finds
each pair only with some probability: two texts that are alike enough must share one of their
rarest shingles (prefix filtering: Chaudhuri, Ganti and Kaushik 2006; Bayardo et al. 2007).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SHINGLE = 5  # characters: short texts have enough of them, and a changed word costs about ten
ALIKE = 0.8  # above it the sentences of the shipped tasks differ in a letter, a name or a number


@dataclass(frozen=True, slots=True)
class Pair:
    """Positions of two texts, the first being the lower, and their likeness 0..1."""

    first: int
    second: int
    likeness: float


def pairs(texts: Sequence[str], threshold: float = ALIKE) -> list[Pair]:
    """All pairs whose shingles overlap by at least `threshold` (Jaccard), in order.

    Case, punctuation and spacing do not count. Texts without any letter or digit are like
    no other. Raises ValueError for a threshold outside 0..1, 0 excluded.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold: expected above 0 and up to 1, found {threshold}")
    bags = [_shingles(text) for text in texts]
    often = Counter(shingle for bag in bags for shingle in bag)
    known: dict[str, list[int]] = defaultdict(list)
    found = []
    for index, bag in enumerate(bags):
        rare = sorted(bag, key=lambda shingle: (often[shingle], shingle))
        # Of |bag| shingles, at most |bag| - ceil(threshold x |bag|) may be missing elsewhere.
        prefix = rare[: len(bag) - math.ceil(threshold * len(bag)) + 1] if bag else []
        seen = {other for shingle in prefix for other in known[shingle]}
        for other in sorted(seen):
            likeness = _jaccard(bags[other], bag)
            if likeness >= threshold:
                found.append(Pair(other, index, likeness))
        for shingle in prefix:
            known[shingle].append(index)
    return sorted(found, key=lambda pair: (pair.first, pair.second))


def clusters(count: int, linked: Sequence[Pair]) -> list[int]:
    """For each of `count` positions the lowest one that it is linked to, over any steps."""
    home = list(range(count))

    def root(index: int) -> int:
        while home[index] != index:
            home[index] = home[home[index]]
            index = home[index]
        return index

    for pair in linked:
        one, other = sorted((root(pair.first), root(pair.second)))
        home[other] = one
    return [root(index) for index in range(count)]


def _shingles(text: str) -> frozenset[str]:
    plain = " ".join(re.findall(r"\w+", text.casefold()))
    if not plain:
        return frozenset()
    return frozenset(_windows(plain)) if len(plain) > SHINGLE else frozenset([plain])


def _windows(text: str) -> Iterator[str]:
    return (text[start : start + SHINGLE] for start in range(len(text) - SHINGLE + 1))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
