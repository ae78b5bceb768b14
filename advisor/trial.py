"""The nouns of measuring: one contender at one seed, row by row, and what it cost.

Everything here is frozen data; `advisor.core` holds what is asked and answered,
`advisor.verdict` what is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from advisor.core import Answer, Example, Grade


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
