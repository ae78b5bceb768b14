"""The nouns, and what a contender is. Read this page as the glossary.

Everything here is frozen data. Text flows in one direction:

    evals/ -> Task ; baselines/*.yaml -> Recipe
    prepare(recipe, material, ...) -> System
    System.answer(questions) -> Answers -> Grades -> Trial -> Standing -> Verdict
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

# --------------------------------------------------------------- what is asked


@dataclass(frozen=True, slots=True)
class Question:
    """All that a contender is asked. It carries no answer.

    `choices` is empty unless the answer must be one of a closed set.
    """

    id: str
    text: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """A question with its accepted answers.

    `targets` are alternatives: the first is the canonical one that tuning learns.
    `group` names the source the row was cut from; rows of one group never stand in
    two splits and are resampled together. `sources` are the ids of the documents
    that hold the answer, when known. `facts` are the short texts one of which a long
    answer must contain, where the task's scorer asks for that.
    """

    question: Question
    targets: tuple[str, ...]
    group: str
    sources: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One text of the corpus; `valid_from` is an ISO date or empty when undated."""

    id: str
    text: str
    title: str = ""
    valid_from: str = ""


@dataclass(frozen=True, slots=True)
class Voice:
    """How every reply must sound; an empty rule asks for nothing.

    `opening` and `sign_off` are texts that a reply begins and ends with; `sentence_words`
    limits the words of each sentence between them, `sentences` their number (0: no limit);
    `forbidden` words and phrases may not occur, in any case; `units` maps a spelling that
    may not stand after a number to the one that must.
    """

    opening: tuple[str, ...] = ()
    sign_off: tuple[str, ...] = ()
    sentence_words: int = 0
    sentences: int = 0
    forbidden: tuple[str, ...] = ()
    units: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ScorerSpec:
    """How answers are graded; `fields` (dotted paths) only for kind `json`, `voice` only
    for kind `reply`."""

    kind: Literal["exact", "json", "short_answer", "choice", "reply"]
    fields: tuple[str, ...] = ()
    voice: Voice | None = None


@dataclass(frozen=True, slots=True)
class Preference:
    """Two answers to a question, of which people like `chosen` better."""

    question: Question
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Material:
    """All that a contender may learn from. There is no test field to reach for.

    `brief` is the instruction for a contender that learns the rules from examples; it
    equals `instruction` when the task gives none. An answer ends before a string of `stop`
    that follows any text of it, and after `max_tokens` tokens. `scorer` and `primary` grade
    rows of dev for contenders that choose by them, and are no part of `digest`.
    `answer_schema` is JSON text, empty when the task gives none. `unlabelled` are questions
    for a teacher to answer.
    """

    instruction: str
    brief: str
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    corpus: tuple[Document, ...]
    max_tokens: int
    stop: tuple[str, ...]
    digest: str
    scorer: ScorerSpec = ScorerSpec("exact")
    primary: str = "exact"
    answer_schema: str = ""
    unlabelled: tuple[Question, ...] = ()
    preferences: tuple[Preference, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """The circumstances the advice depends on; declared, never measured."""

    calls_per_month: float
    churn_per_month: float
    latency_limit_ms: float | None
    residency: str


@dataclass(frozen=True, slots=True)
class Task:
    """One job to be done: what may be learnt from, and what is asked at the end.

    `primary` names the one grade part that the verdict is about; `chance` is its
    value for a contender that knows nothing.
    """

    name: str
    title: str
    material: Material
    test: tuple[Example, ...]
    scorer: ScorerSpec
    primary: str
    chance: float
    context: Context
    digest: str
    # Column to question id to value: the user's own groups of test rows, to look at apart.
    slices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


# --------------------------------------------------------------- what is answered


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer used: tokens, and seconds of machine time.

    `seconds` is this answer's share of the batch that produced it, so the sum over
    answers is the wall time; it is throughput, not latency.
    """

    tokens_in: int
    tokens_out: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system said to one question.

    `sources` are document ids behind the answer, `passages` the texts it was given.
    `dropped` says what had to be left out of the prompt to fit the context. `failure` is
    empty unless no answer could be produced; a failure is never a wrong answer. `reasoning`
    is what a system wrote before its answer, `made_up` its citations of what it never read.
    """

    question_id: str
    text: str
    usage: Usage
    sources: tuple[str, ...] = ()
    passages: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    failure: str = ""
    reasoning: str = ""
    made_up: tuple[str, ...] = ()


GradeStatus = Literal["read", "empty", "unreadable", "failed"]


@dataclass(frozen=True, slots=True)
class Grade:
    """The credit of one answer, what was read out of it, and why.

    `parts` holds every metric of the scorer, 0..1 each, the primary among them;
    `credit` is the primary's value, or None when there was nothing to grade
    (`status` failed). An empty or unreadable answer earns 0 and is counted apart.
    """

    credit: float | None
    read_as: str
    why: str
    status: GradeStatus = "read"
    parts: Mapping[str, float] = field(default_factory=dict)


class System(Protocol):
    """A prepared contender: it answers, and it can be written to disk.

    `answer` yields one Answer per question as each finishes, in any order; an
    Answer names its question. `save` writes everything needed to answer again in
    another process, as safetensors and plain data, into an existing empty folder.
    """

    def answer(self, questions: Sequence[Question]) -> Iterable[Answer]: ...

    def save(self, folder: Path) -> None: ...
