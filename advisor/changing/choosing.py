"""Which facts change and to what: a share of those behind train and of those behind test.

Every change is checked against what it could spoil: the rest of its document, the other
questions put to that, and other documents that may state the same.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from advisor.changing.facts import (
    ABOUT,
    SPLITS,
    TWICE,
    Asked,
    Fact,
    Left,
    bare,
    facts_of,
    long_words,
    renewed,
    value_in,
)
from advisor.changing.values import Value, whole
from advisor.core import Document, Example, Task
from advisor.errors import AdvisorError

OTHERS = "another question about the document needs the old value"
ELSEWHERE = "another document may state the same"
NOTHING_NEW = "no other value is plainly possible that does not stand in the document yet"

_SECTION = re.compile(r"\n(?=#)")


@dataclass(frozen=True, slots=True)
class Change:
    """One fact: what stood in the document, what stands there now, and its rows from now on."""

    fact: Fact
    old: str
    new: str
    rows: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What was chosen, of how much. `bodies` are the new texts of the documents that changed,
    `able` the facts that can change at all by kind, `left` why the others cannot, `total` and
    `asked` the facts there are and those that were to change, by split."""

    chosen: tuple[Change, ...]
    bodies: Mapping[str, str]
    able: Counter[str]
    left: Counter[str]
    total: Counter[str]
    asked: Counter[str]


@dataclass(frozen=True, slots=True)
class State:
    """The documents, and the rows that need each, as after some changes."""

    documents: Mapping[str, Document]
    rows: Mapping[str, tuple[Asked, ...]]

    def after(self, change: Change, body: str) -> State:
        name = change.fact.document
        new = {one.question.id: one for one in change.rows}
        rows = tuple(replace(row, example=new.get(row.example.question.id, row.example))
                     for row in self.rows[name])
        return State({**self.documents, name: replace(self.documents[name], text=body)},
                     {**self.rows, name: rows})


def choose(task: Task, *, share: float, seed: int) -> Changes:
    """Change `share` (above 0, at most 1) of the facts behind train, and of those behind test.

    The same seed changes the same facts. They are spread over the documents: each gives one
    before any gives a second. Raises AdvisorError without documents, and where not one fact
    can change, with the reasons.
    """
    if not task.material.corpus:
        raise AdvisorError(f"{task.name} has no documents, so no fact of it stands anywhere",
                           fix="put the texts that hold the answers into corpus/ of the task")
    facts = facts_of(task)
    start = State({one.id: one for one in task.material.corpus}, facts.rows)
    able, left = [], Counter(facts.left)
    for fact in facts.found:
        try:
            change(fact, start)
            able.append(fact)
        except Left as why:
            left[str(why)] += 1
    if not able:
        raise _none(task, left)
    asked = Counter({split: max(1, round(share * facts.total[split])) for split in SPLITS
                     if facts.total[split]})
    chosen, state = _chosen(_spread(able, seed), asked, start)
    changed = {one.fact.document for one in chosen}
    return Changes(tuple(chosen), {name: state.documents[name].text for name in sorted(changed)},
                   Counter(fact.kind for fact in able), left, facts.total, asked)


def change(fact: Fact, state: State) -> tuple[Change, str]:
    """The fact with another value, and its document's new text; raises Left."""
    body = state.documents[fact.document].text
    old = value_in(body, fact.answer, fact.rows[0].labels)
    mine = {row.example.question.id for row in fact.rows}
    others = [row for row in state.rows[fact.document] if row.example.question.id not in mine]
    _check_alone(fact, old, body, [*others, *fact.rows])
    if _elsewhere(fact, state.documents):
        raise Left(ELSEWHERE)
    [place] = whole(fact.answer).finditer(body)
    why = NOTHING_NEW
    for new in old.others():
        said = old.written(new)
        try:
            rows = tuple(renewed(row, old, new) for row in fact.rows) if said else ()
        except Left as unlike:
            why = str(unlike)
            continue
        if not said or not _is_new(rows, old, body, others):
            continue
        text = body[: old.start] + said + body[old.end :]
        if any(_standing(row, body) - _standing(row, text) for row in others):
            raise Left(OTHERS)
        end = place.end() + len(text) - len(body)
        return Change(fact, place.group(), text[place.start() : end], rows), text
    raise Left(why)


def _check_alone(fact: Fact, old: Value, body: str, rows: Sequence[Asked]) -> None:
    """Raise Left where the document says the fact again in other words, or a question does."""
    answers = {answer for row in fact.rows for answer in row.answers if not bare(answer, old)}
    for pattern in map(whole, {fact.answer, *answers}):
        if any(old.start < found.start() or found.end() < old.end
               for found in pattern.finditer(body)):
            raise Left(TWICE)
        if any(pattern.search(row.example.question.text) for row in rows):
            raise Left(OTHERS)


def _is_new(
    rows: Sequence[Example], old: Value, body: str, others: Sequence[Asked]
) -> bool:
    """Whether the new answers stand nowhere in the document and answer nothing else of it."""
    taken = {answer for row in others for answer in row.answers}
    for answer in (answer for row in rows for answer in row.facts or row.targets):
        alone = old.kind == "number" and len(answer.split()) == 1 and answer.isalnum()
        if answer in taken or (not alone and whole(answer).search(body)):
            return False
    return True


def _standing(row: Asked, text: str) -> frozenset[str]:
    return frozenset(answer for answer in row.answers if whole(answer).search(text))


def _elsewhere(fact: Fact, documents: Mapping[str, Document]) -> bool:
    """Whether another document may state the same: a section of it holds the answer and most
    of the question's longer words, and the question does not name this document alone."""
    pattern, start = whole(fact.answer), fact.answer.split()[0]
    own = documents[fact.document]
    title = long_words(f"{own.title} {own.id}")
    for other in documents.values():
        alike = start in other.text and pattern.search(other.text)  # the first is only quick
        if other.id == fact.document or not alike:
            continue
        there = long_words(f"{other.title} {other.id} {other.text}")
        for row in fact.rows:
            said = long_words(row.example.question.text)
            if (said & title) - there:
                continue
            if any(len(said & long_words(section)) > ABOUT * len(said)
                   for section in _SECTION.split(other.text) if pattern.search(section)):
                return True
    return False


def _spread(facts: Sequence[Fact], seed: int) -> list[Fact]:
    """The facts in an order that depends on the seed: of each document one, then a second."""
    order = sorted(facts, key=lambda one: hashlib.sha256(f"{seed} {one.name}".encode()).digest())
    seen = Counter[str]()
    ranked = []
    for fact in order:
        ranked.append((seen[fact.document], fact))
        seen[fact.document] += 1
    return [fact for _, fact in sorted(ranked, key=lambda one: one[0])]


def _chosen(
    order: Sequence[Fact], asked: Mapping[str, int], state: State
) -> tuple[list[Change], State]:
    """The first facts of each split that can change one after another."""
    chosen: list[Change] = []
    done = Counter[str]()
    for fact in order:
        if done[fact.split] == asked[fact.split]:
            continue
        try:
            found, body = change(fact, state)
        except Left:
            continue  # an earlier change of the document took its place
        state = state.after(found, body)
        chosen.append(found)
        done[fact.split] += 1
    return chosen, state


def _none(task: Task, left: Counter[str]) -> AdvisorError:
    looked = len(task.material.train) + len(task.test)
    reasons = "".join(f"\n  - {count}: {why}" for why, count in left.most_common())
    return AdvisorError(
        f"{task.name}: not one fact behind the {looked} rows of train and test can be changed"
        f"{reasons}",
        fix="rows need `sources`, and short answers copied from these documents; or write "
        f"versions/DATE/ of {task.name} by hand (docs/verdict.md)",
    )
