"""The nouns of the decision: figures of a contender, and what follows from them.

Everything here is frozen data; `advisor.core` holds what is asked and answered,
`advisor.trial` what is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure with its interval and the number of items behind it."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Measured in the run itself. Prices come from the price sheet.

    `usd_per_1k` is the serving cost of 1,000 calls at the measured throughput;
    `usd_per_1k_all_in` adds `fixed_usd`, spread over the calls of the horizon: labelling,
    preparing, and doing it again `retunes` and `reindexes` times. `stale_before` is the
    measured share of changed facts that are answered as they were, nothing renewed, and
    `stale_after` that with a renewed index; None where it was not measured.
    """

    usd_per_1k: float
    usd_per_1k_all_in: float
    p50_ms: float
    p95_ms: float
    probe_n: int
    tokens_in: float
    tokens_out: float
    seconds_per_call: float
    peak_memory_mib: float
    prepare_seconds: float
    artefact_bytes: int
    tuning_seconds: float = 0.0
    rows_learnt: int = 0
    fixed_usd: float = 0.0
    retunes: int = 0
    reindexes: int = 0
    usd_tokens: float | None = None
    usd_paid: float = 0.0
    stale_before: float | None = None
    stale_after: float | None = None


GateState = Literal["pass", "fail", "inconclusive", "cannot_gate", "shown"]


@dataclass(frozen=True, slots=True)
class Noise:
    """What rewording alone does to the untouched base on a suite, beside what tuning did.

    `lost` and `gained` are the shares of items that go 1 -> 0 and 0 -> 1 when the base is
    asked in other words, means over the rewordings; `drop` is the accuracy that this costs
    it (positive: lost). `excess` is the tuned model's share of lost items less that floor,
    paired by item, and `above` whether its one-sided 95% lower bound is above 0.
    """

    lost: float
    gained: float
    drop: Measure
    excess: Measure
    above: bool


@dataclass(frozen=True, slots=True)
class SuiteChange:
    """Base minus tuned on one suite, paired by item (positive: something was lost).

    For `bits_per_byte` and `nats_per_token` the drop is tuned minus base, so positive is
    again a loss; in nats it is the KL divergence of the tuned model from the base.
    `lost` and `gained` count items that went 1 -> 0 and 0 -> 1. `upper` and `lower` are
    one-sided 95% bounds of the drop; a suite without a `margin` is not gated alone.
    """

    suite: str
    metric: str
    base: Measure
    tuned: Measure
    drop: Measure
    upper: float
    margin: float | None
    state: GateState
    lost: int
    gained: int
    lower: float = float("nan")
    noise: Noise | None = None


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What tuning cost elsewhere: the pooled gate and every suite."""

    pooled: SuiteChange
    suites: tuple[SuiteChange, ...]


UNCHANGED: Literal["unchanged"] = "unchanged"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many answers could be read, and why the others could not."""

    asked: int
    read: int
    empty: int
    unreadable: int
    failed: int
    shortened_prompts: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`contender` minus `against` on the same items, with what n could show.

    `detectable` is the smallest true difference that this n would have found with
    80% power; `rows_to_decide` the number of rows at which the interval would
    exclude the margin if the observed difference were true, or None when already so
    or when no number would (difference at the margin).
    """

    contender: str
    against: str
    difference: Measure
    method: str
    p_value: float
    detectable: float
    rows_to_decide: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """One contender in the table. `barred_by` names each violated constraint."""

    contender: str
    quality: Measure
    parts: Mapping[str, Measure]
    counts: Counts
    forgetting: Forgetting | Literal["unchanged"]
    cost: Cost
    axes: Mapping[str, str]
    barred_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """The rule book, fixed before the first answer.

    `quality_margin` (points of the primary metric, 0..1): a loss smaller than this
    does not matter. `retention_margin`: likewise for the pooled retention accuracy, and
    `protect` maps a suite that must hold by itself to its own margin.
    `latency_limit_ms` bounds p95; `max_failed` bounds the share of failed answers.
    `value_per_correct` is what one correct answer is worth in USD, None when not said.
    `churn_per_month` is the rate at which facts change; what holds them is renewed before
    `stale_share` of its facts are stale on average. `base_replaced_months`: tuned weights
    are tuned again on a new base that often; None for never. `token_price` multiplies what
    tokens cost at endpoints: 1 at the prices of the run.
    """

    quality_margin: float
    retention_margin: float
    alpha: float
    latency_limit_ms: float | None
    max_failed: float
    horizon_months: float
    calls_per_month: float
    usd_per_machine_hour: float
    utilisation: float
    bootstrap: int = 2000
    protect: Mapping[str, float] = field(default_factory=dict)
    value_per_correct: float | None = None
    churn_per_month: float = 0.0
    stale_share: float = 0.05
    base_replaced_months: float | None = None
    usd_per_label: float = 0.0
    token_price: float = 1.0


@dataclass(frozen=True, slots=True)
class Flip:
    """The nearest value of one number at which the advice becomes another.

    `now` is what was decided with (None: not said), `at` where it changes (None: nowhere
    in `searched`), `becomes` the new winner, or the outcome without one.
    """

    parameter: str
    unit: str
    now: float | None
    at: float | None
    becomes: str
    searched: tuple[float, float]


@dataclass(frozen=True, slots=True)
class BreakEven:
    """`later` is cheaper than `first` above `calls_per_month`; None: `first` always is."""

    first: str
    later: str
    calls_per_month: float | None


@dataclass(frozen=True, slots=True)
class Chance:
    """How often a contender is the best that may be used, over redraws of rows and seeds,
    and how often it is within the quality margin of the best.

    `utility_usd`: value of its correct answers less all costs over the horizon; None when
    the value of a correct answer was not said.
    """

    contender: str
    best: float
    within: float
    utility_usd: float | None


@dataclass(frozen=True, slots=True)
class MoreRows:
    """What `rows` more test rows are worth before they are asked.

    `points` is the mean gain of quality (0..1) from choosing better with them; `usd` that
    over the horizon, None when the value of a correct answer was not said; `price_usd`
    what labelling and answering them costs. `worth_from` is the value of a correct answer
    (USD) from which they pay.
    """

    rows: int
    points: float
    usd: float | None
    price_usd: float
    worth_from: float | None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would change the advice, and what it costs if it is wrong.

    `about` is the winner, or who leads; `regret` the mean loss of quality (0..1) against
    the best that may be used, `regret_usd` that over the horizon. `front` names those that
    nobody beats in both quality and cost, cheapest first.
    """

    about: str
    chances: tuple[Chance, ...]
    regret: float
    regret_usd: float | None
    more: MoreRows | None
    front: tuple[str, ...]
    break_even: tuple[BreakEven, ...]
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """One recipe at several seeds: each seed's mean, their standard deviation, and the two
    questions: `checkpoint` (the first seed's system, which ships) holds the luck of the
    items only, `recipe` that of the seeds too."""

    contender: str
    seeds: tuple[int, ...]
    means: tuple[float, ...]
    deviation: float
    checkpoint: Measure
    recipe: Measure


@dataclass(frozen=True, slots=True)
class Slice:
    """One contender on the rows whose `column` is `value`, and against all its other rows.

    `adjusted` is the p-value of `gap` after Benjamini and Hochberg over all slices of the
    contender; `stands_out` whether it is at most alpha.
    """

    contender: str
    column: str
    value: str
    quality: Measure
    gap: Measure
    p_value: float
    adjusted: float
    stands_out: bool


@dataclass(frozen=True, slots=True)
class Effect:
    """What one factor adds to quality: to the plain cell, and on average over every
    combination of the others."""

    factor: str
    alone: Measure
    average: Measure


@dataclass(frozen=True, slots=True)
class Interaction:
    """Two factors on the plain cell, each alone and both; `beyond` is what both add less what
    the two add alone, and `reading` says what follows from it."""

    pair: tuple[str, str]
    first: Measure
    second: Measure
    together: Measure
    beyond: Measure
    reading: str


@dataclass(frozen=True, slots=True)
class Effects:
    """A factorial run read factor by factor, on `rows` items."""

    factors: tuple[Effect, ...]
    interactions: tuple[Interaction, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """One recipe tuned on growing, nested parts of the train rows, scored on the same test
    rows: `points` are (train rows, quality), fewest rows first; `reading` says what follows."""

    contender: str
    points: tuple[tuple[int, Measure], ...]
    reading: str


Outcome = Literal["recommend", "cannot_tell", "none_feasible"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, how sure that is, and what would have to be known to be surer."""

    outcome: Outcome
    winner: str | None
    because: tuple[str, ...]
    next_step: str
    standings: tuple[Standing, ...]
    comparisons: tuple[Comparison, ...]
    final: bool
    outlook: Outlook | None = None
    seeds: tuple[SeedSpread, ...] = ()
    slices: tuple[Slice, ...] = ()
    effects: Effects | None = None
    curves: tuple[LearningCurve, ...] = ()
