"""Values in a text that can be another value: numbers, dates, times, labels of a closed set.

A value says where it stands and what it means, so that `17 days` in a document, and `17` and
`seventeen days` among the accepted answers, change alike and each in its own form.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, Self

from advisor.changing.moments import dates, times
from advisor.changing.numbers import numbers


class Value(Protocol):
    """One value at `start:end` of a text."""

    kind: ClassVar[str]

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...

    def same(self, other: object) -> bool:
        """Whether both mean the same."""
        ...

    def others(self) -> Iterator[Self]:
        """Values that could stand in its place, the likeliest first; perhaps none."""
        ...

    def written(self, new: object) -> str:
        """What `new` means, in this one's form; empty where the form cannot say it."""
        ...


# What a label must not be: these stand in texts for other reasons.
COMMON = frozenset(("yes", "no", "true", "false", "none", "other", "and", "the", "for",
                    "not"))
SHORTEST = 3  # letters of a label; A, B and C are words of a text too
_ARTICLE = re.compile(r"\ban?\s+$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Label:
    """One of a closed set, `labels`, at `start:end`; `begins` are the letters another one may
    begin with, where `a` or `an` stands before it."""

    kind: ClassVar[str] = "label"
    start: int
    end: int
    text: str
    labels: tuple[str, ...]
    begins: str = ""

    def same(self, other: object) -> bool:
        return isinstance(other, Label) and other.text == self.text

    def others(self) -> Iterator[Label]:
        """The labels after this one, then those before it."""
        at = self.labels.index(self.text)
        for label in (*self.labels[at + 1 :], *self.labels[:at]):
            if _is_label(label) and (not self.begins or label[0].casefold() in self.begins):
                yield replace(self, text=label)

    def written(self, new: object) -> str:
        return new.text if isinstance(new, Label) else ""


def values(text: str, labels: Sequence[str] = ()) -> list[Value]:
    """Every value of `text` in its order, none within another. `labels` is the closed set that
    the row's answers come from; where there is one, only its labels are values."""
    found: list[Value] = []
    kinds: tuple[Iterator[Value], ...] = (dates(text), times(text), numbers(text))
    for one in (value for kind in ([_labels(text, labels)] if labels else kinds)
                for value in kind):
        if not any(one.start < other.end and other.start < one.end for other in found):
            found.append(one)
    return sorted(found, key=lambda one: one.start)


def whole(answer: str) -> re.Pattern[str]:
    """The answer where it stands by itself: not within a longer word, number or code."""
    words = r"\s+".join(map(re.escape, answer.split()))
    before, after = r"(?<!\w)(?<!\w-)", r"(?!\w)(?!-\w)"
    if answer[:1].isdigit():
        before += r"(?<!\w[.,:/\u2013\u2212])"
    if answer[-1:].isdigit():
        after += r"(?![.,:/\u2013\u2212]\d)"
    return re.compile(before + words + after)


def _labels(text: str, labels: Sequence[str]) -> Iterator[Label]:
    # Longest first: `dark green` is not `green`.
    for label in sorted(filter(_is_label, labels), key=len, reverse=True):
        for found in whole(label).finditer(text):
            begins = ""
            if _ARTICLE.search(text, max(0, found.start() - 4), found.start()):
                vowels = "aeiou"
                begins = vowels if label[0].casefold() in vowels else "bcdfgjklmnpqrstvwxyz"
            yield Label(found.start(), found.end(), label, tuple(labels), begins)


def _is_label(label: str) -> bool:
    return len(label) >= SHORTEST and label.casefold() not in COMMON and not label.isdigit()
