"""What must hold between the splits of a task, so that a test score means something."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from advisor.core import Example
from advisor.data.rows import Placed
from advisor.errors import did_you_mean
from advisor.stops import cut

# A sign, point or slash before a digit is part of a number: 3-2 is not 3/2.
_NUMBER_SIGN = re.compile(r"[-/*.,:%]\s*(?=\d)")

# More names than this are no help in a message.
_LISTED = 12


def faults_between(
    splits: Mapping[str, Sequence[Placed]], document_ids: Sequence[str], stop: Sequence[str] = ()
) -> Iterator[str]:
    """Each fault that only shows when rows are seen together, one line each.

    `splits` has the keys train, dev and test. Faults: an id that stands twice, a group
    in two splits, a test item that also stands in train or dev, a source that is no
    document, and a target that no answer can reach, because a string of `stop` ends it.
    """
    yield from _twice(splits)
    yield from _groups(splits)
    yield from _leaks(splits)
    yield from _sources(splits, document_ids)
    yield from _unreachable(splits, stop)


def same_item(example: Example) -> str:
    """Two examples with the same value ask the same thing.

    Compared casefolded, without punctuation and with single spaces; a question with
    choices is the same only with the same set of choices, in any order.
    """
    choices = sorted(_plain(choice) for choice in example.question.choices)
    return "\n".join([_plain(example.question.text), *choices])


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = {match.start() for match in _NUMBER_SIGN.finditer(folded)}
    chars = [char if index in kept or not unicodedata.category(char).startswith("P") else " "
             for index, char in enumerate(folded)]
    # A text of nothing but punctuation is compared as it is.
    return " ".join("".join(chars).split()) or " ".join(folded.split())


def _twice(splits: Mapping[str, Sequence[Placed]]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for placed in _all(splits):
        row_id = placed.example.question.id
        if row_id in seen:
            yield f"{placed.where}: id {row_id!r} stands already at {seen[row_id]}"
        seen.setdefault(row_id, placed.where)


def _groups(splits: Mapping[str, Sequence[Placed]]) -> Iterator[str]:
    home: dict[str, tuple[str, Placed]] = {}
    told: set[tuple[str, str]] = set()
    for split, rows in splits.items():
        for placed in rows:
            group = placed.example.group
            first, other = home.setdefault(group, (split, placed))
            # A row without a group is its own group; `_twice` tells of one id in two splits.
            same_id = placed.example.question.id == other.example.question.id
            if first != split and not same_id and (group, split) not in told:
                told.add((group, split))
                yield (f"{placed.where}: group {group!r} stands in {split} and in {first} "
                       f"({other.where}); keep a group in one split")


def _leaks(splits: Mapping[str, Sequence[Placed]]) -> Iterator[str]:
    learnt: dict[str, Placed] = {}
    for split in ("train", "dev"):
        for placed in splits[split]:
            learnt.setdefault(same_item(placed.example), placed)
    for placed in splits["test"]:
        twin = learnt.get(same_item(placed.example))
        if twin:
            yield (f"{placed.where}: test row {placed.example.question.id!r} asks the same as "
                   f"row {twin.example.question.id!r} at {twin.where}; remove one of them")


def _sources(
    splits: Mapping[str, Sequence[Placed]], document_ids: Sequence[str]
) -> Iterator[str]:
    known = set(document_ids)
    for placed in _all(splits):
        for source in placed.example.sources:
            if source not in known:
                hint = _hint(source, known)
                yield f"{placed.where}: source {source!r} is not in the corpus{hint}"


def _unreachable(splits: Mapping[str, Sequence[Placed]], stop: Sequence[str]) -> Iterator[str]:
    for placed in _all(splits):
        if any(cut(target, stop) != target for target in placed.example.targets):
            yield f"{placed.where}: a target holds a string of `stop`, so no answer can be it"


def _hint(source: str, known: set[str]) -> str:
    if not known:
        return ", which has no documents"
    hint = did_you_mean(source, known)
    return hint if len(known) <= _LISTED or "did you mean" in hint else ""


def _all(splits: Mapping[str, Sequence[Placed]]) -> Iterator[Placed]:
    for rows in splits.values():
        yield from rows
