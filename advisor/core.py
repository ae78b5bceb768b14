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


# --------------------------------------------------------------- what is measured


@dataclass(frozen=True, slots=True)
class Row:
    """One test item as one contender dealt with it."""

    example: Example
    answer: Answer
    grade: Grade


@dataclass(frozen=True, slots=True)
class SuiteScores:
    """One retention suite, item by item.

    `values` maps item id to its value: 0/1 for `acc`, bits per byte for
    `bits_per_byte`, nats for each token of a text that the base wrote for `nats_per_token`.
    `chance` is the accuracy of guessing (0 when not applicable).
    """

    suite: str
    metric: Literal["acc", "bits_per_byte", "nats_per_token"]
    chance: float
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Reworded:
    """The untouched base on the items of one suite, asked in two ways that should not matter.

    Both map item id to 0/1; `how` says what was changed between them.
    """

    suite: str
    how: str
    before: Mapping[str, float]
    after: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What the retriever found for the test rows, apart from what the model made of it.

    `ranks` maps a row to the rank (from 1) of the first passage that holds the answer
    among the first `depth`, 0 when it is not there; rows for which no passage of the corpus
    does are absent. `read` is how many passages stand in a prompt. `oracle` maps the probed
    rows to their credit when the prompt held the right passage and no other.
    """

    depth: int
    read: int
    ranks: Mapping[str, int]
    oracle: Mapping[str, float]


IndexState = Literal["before", "after", "both"]


@dataclass(frozen=True, slots=True)
class FreshAnswers:
    """What a contender answers once facts have changed, with its index in one state.

    `index`: the documents before the change, after it, or both beside each other. `changed`
    maps a changed row to (credit against the new answers, credit against the old ones),
    `unchanged` a row whose fact is the same to its credit.
    """

    index: IndexState
    changed: Mapping[str, tuple[float, float]]
    unchanged: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Freshness:
    """Answers about facts of which some changed on `date`; the weights are as they were.

    A contender that reads nothing has answers of one state, `before`. `groups` maps each
    row to its source.
    """

    date: str
    answers: tuple[FreshAnswers, ...]
    groups: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LeakSide:
    """Rows put to tuned weights by somebody who holds the question and, to test it, the answer.

    `fall` maps a row to the base's loss on its answer less the tuned model's, in nats per
    token. `given` maps it to 1 when greedy decoding from the first half of the question
    gives the whole answer, and 0 otherwise.
    """

    fall: Mapping[str, float]
    given: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Secret:
    """A made-up fact planted `copies` times among the train rows of a second tuning, and its
    exposure in bits, in the weights of that tuning and in the untouched base."""

    copies: int
    bits: float
    base_bits: float


@dataclass(frozen=True, slots=True)
class Leakage:
    """What tuned weights give away: rows they were tuned on beside rows they were not.

    `power` is the same for an adapter that was made to learn its rows by heart: a test that
    does not find that one finds nothing. `secrets` are of a twin, tuned by the same recipe
    on the same rows with secrets among them; empty where the labels are a teacher's.
    """

    tuned_on: LeakSide
    held_out: LeakSide
    power: Leakage | None = None
    secrets: tuple[Secret, ...] = ()


@dataclass(frozen=True, slots=True)
class Learning:
    """What the same recipe earns when it is tuned on parts of the train rows.

    `rows` are all of them, which the trial's own answers rest on. `parts` maps a smaller number
    (0: the same recipe, untuned) to each test row's credit, None where the answer failed.
    """

    rows: int
    parts: Mapping[int, Mapping[str, float | None]]


@dataclass(frozen=True, slots=True)
class TokenPrices:
    """USD for a million tokens of a model that is paid by the token."""

    usd_per_million_in: float
    usd_per_million_out: float


@dataclass(frozen=True, slots=True)
class PrepareCost:
    """What it took to make the system once: wall seconds, and bytes on disk.

    `earlier_seconds` are those of `seconds` that were spent before, on something that
    several contenders of a run need and each would need alone, or by a tuning that was
    interrupted.
    """

    seconds: float
    tokens_trained: int
    artefact_bytes: int
    dev_loss: tuple[float, ...] = ()
    train_loss: tuple[float, ...] = ()
    earlier_seconds: float = 0.0
    # Those of `seconds` that went into weights, and the labelled rows that were learnt from.
    tuning_seconds: float = 0.0
    rows_learnt: int = 0
    # Resident memory of the process while tuning: foretold, and as it was (0: not tuned).
    expected_memory_mib: float = 0.0
    peak_memory_mib: float = 0.0
    # What a teacher behind an endpoint was sent and said, in tokens, and its price.
    tokens_asked: int = 0
    tokens_taught: int = 0
    usd_paid: float = 0.0


@dataclass(frozen=True, slots=True)
class Probe:
    """Calls made one at a time: latencies in milliseconds; `same_text` counts those
    whose text equals the batched run's; `peak_memory_mib` is the highest resident memory of
    the whole measuring process meanwhile, the shared base model included."""

    latencies_ms: tuple[float, ...]
    same_text: int
    peak_memory_mib: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One contender at one seed: raw rows and what they cost.

    `retention` is None when the weights are the untouched base ("unchanged by
    construction"); otherwise suite name to scores. `prices` is None for what runs on the
    measuring machine, `retrieved` None for what retrieves nothing, `fresh` None where no
    facts were changed, `leakage` None where it was not tested, `learning` None where nothing was
    tuned on parts of train.
    """

    contender: str
    seed: int
    digest: str
    rows: tuple[Row, ...]
    retention: Mapping[str, SuiteScores] | None
    prepare: PrepareCost
    probe: Probe
    axes: Mapping[str, str]
    prices: TokenPrices | None = None
    retrieved: Retrieved | None = None
    fresh: Freshness | None = None
    leakage: Leakage | None = None
    learning: Learning | None = None
