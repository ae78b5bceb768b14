"""What a contender is told: instruction, solved examples, passages, the question."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from advisor.core import Example, Question
from advisor.engines.embedders import Embedder, Vectors
from advisor.engines.protocol import Conversation, Message, Speaker


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

    `fits` is False when not even the bare question does.
    """

    conversation: Conversation
    passages: tuple[Passage, ...]
    dropped: tuple[str, ...]
    fits: bool = True


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


@dataclass(frozen=True, slots=True)
class RandomShots:
    """For each question `count` examples drawn anew, by the seed and the question's text: its id
    is another where it is served than where it was measured."""

    pool: tuple[Example, ...]
    count: int
    seed: int

    def choose(self, questions: Sequence[Question]) -> list[tuple[Example, ...]]:
        chosen = []
        for question in questions:
            others = [example for example in self.pool if example.question != question]
            drawn = random.Random(f"{self.seed} {question.text!a}")
            chosen.append(tuple(drawn.sample(others, min(self.count, len(others)))))
        return chosen


def diverse_shots(train: Sequence[Example], count: int, *, vectors: Vectors) -> FixedShots:
    """`count` examples, each the least like those chosen before it (farthest first, Gonzalez
    1985, by cosine); the first is the one most like all others."""
    likeness = vectors @ vectors.T
    chosen = [int(likeness.sum(axis=1).argmax())]
    while len(chosen) < min(count, len(train)):
        nearest = likeness[:, chosen].max(axis=1)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return FixedShots(tuple(train[i] for i in chosen))


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


@dataclass(frozen=True, slots=True)
class Style:
    """What the form of an answer adds to a prompt: reasoning first, numbered passages. `first`:
    passages stand behind the instruction, before the shots, which then stay near the question."""

    reasons: bool = False
    cite: bool = False
    first: bool = False


# What `cite: true` adds to the instruction.
CITE = "End the answer with the number of the passage it is taken from in brackets, as in [1]."
# What `reasoning: steps` adds to the instruction, and what its answer stands behind.
REASON_FIRST = (
    "First think step by step, in a few short sentences. Then write a last line that begins "
    "with `Answer:` and holds the answer in the form asked for above, and nothing else."
)
_ANSWER = re.compile(r"^\W*(?:final )?answer\W*?:[ \t*]*", re.IGNORECASE | re.MULTILINE)


def concluded(text: str) -> tuple[str, str]:
    """What follows the last `Answer:` of a text, and what stands before it; without one
    there is no answer, and all of it is reasoning."""
    marks = list(_ANSWER.finditer(text))
    if not marks:
        return "", text
    last = marks[-1]
    return text[last.end() :].strip(), text[: last.start()].strip()


def compose(
    instruction: str,
    question: Question,
    *,
    shots: Sequence[Shot] = (),
    passages: Sequence[Passage] = (),
    style: Style = Style(),
) -> tuple[Message, ...]:
    """The conversation, one exchange a shot; passages stand before their question, or `first`."""
    asked = [instruction.strip()]
    if style.cite:
        asked.append(CITE)
    if style.reasons:
        asked.append(REASON_FIRST)
    if style.first and passages:
        asked.append(f"\n{_read(passages, style).strip()}")
        passages = ()
    messages = [Message("system", "\n".join(asked))]
    for shot in shots:
        messages.append(Message("user", _turn(shot.example.question, shot.passages, style)))
        messages.append(Message("assistant", _shown(shot, style)))
    messages.append(Message("user", _turn(question, passages, style)))
    return tuple(messages)


def fit(
    speaker: Speaker,
    instruction: str,
    question: Question,
    *,
    around: tuple[Sequence[Shot], Sequence[Passage]],
    room: int,
    style: Style = Style(),
) -> Prompt:
    """Compose within `room` tokens. `around` is (shots, passages).

    The least similar shot goes first, then the lowest ranked passage; the question is
    never cut.
    """
    shots, passages = list(around[0]), list(around[1])
    dropped: list[str] = []
    while True:
        messages = compose(instruction, question, shots=shots, passages=passages, style=style)
        ready = speaker.ready(messages)
        if ready.length <= room:
            return Prompt(ready, tuple(passages), tuple(dropped))
        if shots:
            dropped.append(f"shot {shots.pop(0).example.question.id}")
        elif passages:
            dropped.append(f"passage of {passages.pop().document}")
        else:
            return Prompt(ready, (), tuple(dropped), fits=False)


def holds(text: str, answer: str) -> bool:
    """Whether `answer` stands in `text` as whole words."""
    wanted = r"\s+".join(re.escape(word) for word in answer.split())
    return bool(wanted) and re.search(rf"(?<!\w){wanted}(?!\w)", text, re.IGNORECASE) is not None


def _shown(shot: Shot, style: Style) -> str:
    """The answer of a shot in the form that is asked for; it cites the first passage that
    holds it."""
    text = shot.example.targets[0]
    if style.cite:
        holding = [n for n, one in enumerate(shot.passages, start=1) if holds(one.text, text)]
        text += f" [{holding[0]}]" if holding else ""
    return f"Answer: {text}" if style.reasons else text


def _turn(question: Question, passages: Sequence[Passage], style: Style) -> str:
    if not passages:
        return _ask(question)
    end = "" if style.reasons else "\nAnswer:"
    return f"{_read(passages, style)}Question: {_ask(question)}{end}"


def _read(passages: Sequence[Passage], style: Style) -> str:
    numbers = [f" [{n}]" if style.cite else "" for n in range(1, len(passages) + 1)]
    return "".join(
        f"Passage{number}: {passage.text.strip()}\n\n"
        for number, passage in zip(numbers, passages, strict=True)
    )


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
