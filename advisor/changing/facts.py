"""The facts of a task: what rows ask for, and the one value in a document that answers them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from advisor.changing.values import Value, values, whole
from advisor.core import Document, Example, Task

SPLITS = ("train", "test")  # dev only chooses; what is asked of it says nothing more
ABOUT = 0.5  # share of a question's longer words in a text that may be about the same
MOST_LABELS = 64  # as contenders/decoding.py: more different answers are no closed set
LONGER = 4  # letters: words that are not longer are in most texts

# Why a fact is left as it is; the counts of these are what a user is told.
ABSENT = "no accepted answer stands in a document of the row"
ANYWHERE = "no `sources`, and not exactly one document holds the answer and the question's words"
TWICE = "the answer stands more than once in its document"
WORDS = "the answer holds no number, date, time or label of a closed set that stands by itself"
SEVERAL = "the answer holds several numbers"
UNLIKE = "not every accepted answer says the same value"


class Left(Exception):
    """Why a fact is left as it is; always caught in this package."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A row, its split, and the closed set that its answers are from (or nothing)."""

    split: str
    example: Example
    labels: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[str, ...]:
        """The short texts that are looked for in the documents."""
        return self.example.facts or self.example.targets


@dataclass(frozen=True, slots=True)
class Fact:
    """The rows that one value of a document answers; `answer` is as it stands there."""

    document: str
    answer: str
    kind: str
    rows: tuple[Asked, ...]

    @property
    def split(self) -> str:
        """Where it counts: test before train before dev."""
        return min((row.split for row in self.rows), key=("test", "train", "dev").index)

    @property
    def name(self) -> str:
        """What it is ordered by: the same for the same row and document."""
        return f"{self.document} {self.rows[0].example.question.id}"


@dataclass(frozen=True, slots=True)
class Facts:
    """Those with a value that can be another, and of the others how many for what reason.

    `rows` are by document: all that need it to answer. `total` counts facts by split.
    """

    found: tuple[Fact, ...]
    left: Counter[str]
    rows: Mapping[str, tuple[Asked, ...]]
    total: Counter[str]


def facts_of(task: Task) -> Facts:
    """Every fact behind train and test; rows of dev that ask for one of these belong to it."""
    documents = {document.id: document for document in task.material.corpus}
    locate = _locator(documents)
    places: dict[tuple[str, int, int], list[tuple[Asked, str, Value]]] = defaultdict(list)
    left: dict[tuple[object, ...], tuple[str, str]] = {}
    needed: dict[str, list[Asked]] = defaultdict(list)
    for row in _rows(task):
        for name in row.example.sources:
            needed[name].append(row)
        try:
            name, answer = locate(row)
            if not row.example.sources:
                needed[name].append(row)
            value = value_in(documents[name].text, answer, row.labels)
            places[name, value.start, value.end].append((row, answer, value))
        except Left as why:
            key = (row.example.sources or row.example.group, row.answers[0])
            # Of a fact asked in two splits the one that is told first counts.
            left.setdefault(key, (row.split, str(why)))
    found = tuple(Fact(name, rows[0][1], rows[0][2].kind, tuple(row for row, _, _ in rows))
                  for (name, _, _), rows in places.items())
    mine = [fact for fact in found if fact.split in SPLITS]
    others = [(split, why) for split, why in left.values() if split in SPLITS]
    return Facts(
        tuple(mine), Counter(why for _, why in others),
        {name: tuple(rows) for name, rows in needed.items()},
        Counter([*(fact.split for fact in mine), *(split for split, _ in others)]),
    )


def value_in(text: str, answer: str, labels: Sequence[str]) -> Value:
    """The one value of the answer, where it stands in the text; raises Left."""
    places = list(whole(answer).finditer(text))
    if len(places) != 1:
        raise Left(TWICE if places else ABSENT)
    first, last = places[0].span()
    touched = [one for one in values(text, labels) if one.start < last and first < one.end]
    inside = [one for one in touched if first <= one.start and one.end <= last]
    if len(touched) > 1 or (touched and not labels and re.search(
            r"\d", text[first : touched[0].start] + text[touched[0].end : last])):
        raise Left(SEVERAL)
    if not inside or (labels and inside[0].start != first):
        raise Left(WORDS)
    return inside[0]


def renewed(row: Asked, old: Value, new: Value) -> Example:
    """The row with every accepted answer saying the new value in its own form.

    Raises Left where an answer does not say the old value exactly once, or cannot say the
    new one.
    """
    def turn(text: str) -> str:
        found = [one for one in values(text, row.labels) if one.same(old)]
        if len(found) != 1 or not (said := found[0].written(new)):
            raise Left(UNLIKE)
        return text[: found[0].start] + said + text[found[0].end :]

    example = row.example
    choices = example.question.choices
    targets = tuple(map(turn, example.targets))
    if choices and not set(targets) <= set(choices):
        raise Left(UNLIKE)
    return replace(example, targets=targets, facts=tuple(map(turn, example.facts)))


def bare(answer: str, value: Value) -> bool:
    """Whether a number is all there is: `9`, which may stand in a text for anything."""
    said = [one for one in values(answer) if one.same(value)]
    return value.kind == "number" and len(said) == 1 and said[0].end - said[0].start == len(answer)


def long_words(text: str) -> frozenset[str]:
    """The longer words of a text, lower case; how alike two texts are is seen from these."""
    return frozenset(word for word in re.findall(r"\w+", text.casefold()) if len(word) > LONGER)


def _rows(task: Task) -> Iterator[Asked]:
    closed = _closed(task)
    for split, examples in (("train", task.material.train), ("test", task.test),
                            ("dev", task.material.dev)):
        for example in examples:
            yield Asked(split, example, example.question.choices or closed)


def _closed(task: Task) -> tuple[str, ...]:
    """The answers of train where most of them repeat; nothing where they are texts."""
    if task.scorer.kind not in ("exact", "choice", "short_answer"):
        return ()
    first = [example.targets[0] for example in task.material.train]
    found = sorted(set(first))
    return tuple(found) if len(found) <= min(MOST_LABELS, len(first) // 2) else ()


def _locator(documents: Mapping[str, Document]) -> Callable[[Asked], tuple[str, str]]:
    """Where the answer of a row stands, and which of its answers; raises Left."""
    words = {name: long_words(f"{one.title} {one.text}") for name, one in documents.items()}

    def standing(row: Asked, names: Sequence[str]) -> list[tuple[str, str]]:
        for answer in row.answers:
            start = answer.split()[0]  # the rest may be on another line; this is only to be quick
            found = [(name, answer) for name in names if start in documents[name].text
                     and whole(answer).search(documents[name].text)]
            if found:
                return found
        raise Left(ABSENT)

    def locate(row: Asked) -> tuple[str, str]:
        if sources := row.example.sources:
            found = standing(row, sources)
            if len(found) > 1:
                raise Left(TWICE)
            return found[0]
        said = long_words(row.example.question.text)
        found = standing(row, tuple(documents))
        if len(found) > 1 or len(said & words[found[0][0]]) <= ABOUT * len(said):
            raise Left(ANYWHERE)
        return found[0]

    return locate
