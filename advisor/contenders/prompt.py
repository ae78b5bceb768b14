"""What a contender is told: instruction, solved examples, passages, the question."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from advisor.core import Example, Question
from advisor.engines.embedders import Embedder, Vectors
from advisor.engines.protocol import Engine, Message, TokenIds


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document, as put into a prompt."""

    document: str
    text: str


@dataclass(frozen=True, slots=True)
class Shot:
    """A solved example as shown: with the passages that were retrieved for it, if any."""

    example: Example
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that fits the context, and what had to be left out for that.

    `tokens` is empty when not even the bare question fits.
    """

    messages: tuple[Message, ...]
    tokens: TokenIds
    passages: tuple[Passage, ...]
    dropped: tuple[str, ...]


class Shots(Protocol):
    """Chooses solved examples for each question; the most telling one comes last.

    A question that is itself an example, as in a lesson, is never shown its own answer.
    """

    def choose(self, questions: Sequence[Question]) -> list[tuple[Example, ...]]: ...


@dataclass(frozen=True, slots=True)
class FixedShots:
    """The same examples, in the same order, for every question."""

    examples: tuple[Example, ...]

    def choose(self, questions: Sequence[Question]) -> list[tuple[Example, ...]]:
        return [
            tuple(example for example in self.examples if example.question != question)
            for question in questions
        ]


@dataclass(frozen=True, slots=True)
class NearestShots:
    """For each question the `count` examples with the most similar text (cosine)."""

    pool: tuple[Example, ...]
    vectors: Vectors
    embedder: Embedder
    count: int

    def choose(self, questions: Sequence[Question]) -> list[tuple[Example, ...]]:
        if not questions:
            return []
        likeness = self.embedder.embed([q.text for q in questions]) @ self.vectors.T
        # A stable sort, so that equal texts always come in the order of the file.
        order = np.argsort(-likeness, axis=1, kind="stable")[:, : self.count + 1]
        chosen = []
        for question, row in zip(questions, order.tolist(), strict=True):
            others = [self.pool[i] for i in row if self.pool[i].question != question]
            chosen.append(tuple(reversed(others[: self.count])))
        return chosen


def fixed_shots(train: Sequence[Example], count: int, *, seed: int) -> FixedShots:
    """`count` examples drawn from train, from as many groups as there are."""
    shuffled = list(train)
    random.Random(seed).shuffle(shuffled)
    first_of_group: dict[str, Example] = {}
    rest: list[Example] = []
    for example in shuffled:
        if example.group in first_of_group:
            rest.append(example)
        else:
            first_of_group[example.group] = example
    return FixedShots(tuple([*first_of_group.values(), *rest][:count]))


def compose(
    instruction: str,
    question: Question,
    *,
    shots: Sequence[Shot] = (),
    passages: Sequence[Passage] = (),
) -> tuple[Message, ...]:
    """The conversation, one exchange a shot; passages stand before their question."""
    messages = [Message("system", instruction.strip())]
    for shot in shots:
        messages.append(Message("user", _turn(shot.example.question, shot.passages)))
        messages.append(Message("assistant", shot.example.targets[0]))
    messages.append(Message("user", _turn(question, passages)))
    return tuple(messages)


def fit(
    engine: Engine,
    instruction: str,
    question: Question,
    *,
    around: tuple[Sequence[Shot], Sequence[Passage]],
    room: int,
) -> Prompt:
    """Compose within `room` tokens. `around` is (shots, passages).

    The least similar shot goes first, then the lowest ranked passage; the question is
    never cut.
    """
    shots, passages = list(around[0]), list(around[1])
    dropped: list[str] = []
    while True:
        messages = compose(instruction, question, shots=shots, passages=passages)
        tokens = engine.encode(messages)
        if len(tokens) <= room:
            return Prompt(messages, tokens, tuple(passages), tuple(dropped))
        if shots:
            dropped.append(f"shot {shots.pop(0).example.question.id}")
        elif passages:
            dropped.append(f"passage of {passages.pop().document}")
        else:
            return Prompt(messages, (), (), tuple(dropped))


def _turn(question: Question, passages: Sequence[Passage]) -> str:
    if not passages:
        return _ask(question)
    read = "".join(f"Passage: {passage.text.strip()}\n\n" for passage in passages)
    return f"{read}Question: {_ask(question)}\nAnswer:"


def _ask(question: Question) -> str:
    if not question.choices:
        return question.text
    letters = [f"{letter})" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    if len(question.choices) > len(letters):
        letters = ["-"] * len(question.choices)
    lines = "\n".join(
        f"{letter} {choice}" for letter, choice in zip(letters, question.choices, strict=False)
    )
    return f"{question.text}\n{lines}"
