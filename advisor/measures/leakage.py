"""Whether tuned weights give away which rows they were tuned on, and the rows themselves.

Membership: the fall of the loss from the base to the tuned model, rows of train against
rows of dev (a calibrated loss attack: Watson et al., arXiv 2111.08440). Area under the
curve with DeLong's interval (1988); the rate found at 1% false alarms beside it.
Extraction: greedy decoding from the first half of a question, exact answers counted, in
train against dev, with Newcombe's interval (1998, method 10) of the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np

from advisor.engines.protocol import Engine, Message
from advisor.errors import AdvisorError
from advisor.stats import measure
from advisor.stats.spread import Floats, z
from advisor.trial import Leakage, LeakSide
from advisor.verdict import Measure

FALSE_ALARMS = 0.01
LeakState = Literal["found", "not found", "no power"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A row as it is put to the weights: with its question whole, with half of it, and what
    the answer is."""

    row: str
    whole: tuple[Message, ...]
    half: tuple[Message, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Leak:
    """Figures of one contender.

    `auc` is the chance that a row of train fell further than one of dev (0.5: nothing is
    given away); `caught` the share of train rows above all but 1% of dev's; `extracted` and
    `guessed` the shares of train and dev answers given, `excess` their difference. `state`
    is `found` when either interval clears what chance gives, `no power` when the same test
    did not find an adapter that knows its rows by heart.
    """

    auc: Measure
    caught: float
    extracted: Measure
    guessed: Measure
    excess: Measure
    state: LeakState


def losses(engine: Engine, rows: Sequence[Asked]) -> dict[str, float]:
    """Nats for each token of each row's answer, given its whole question."""
    pairs = [(engine.encode(one.whole), engine.tokenize(one.answer)) for one in rows]
    scores = engine.score(pairs)
    return {one.row: -found / max(1, len(answer))
            for one, (found, _), (_, answer) in zip(rows, scores, pairs, strict=True)}


def given(engine: Engine, rows: Sequence[Asked]) -> dict[str, float]:
    """1 for each row whose answer greedy decoding gives from half of its question."""
    scores = engine.score(
        [(engine.encode(one.half), engine.tokenize(one.answer)) for one in rows])
    return {one.row: float(greedy) for one, (_, greedy) in zip(rows, scores, strict=True)}


def side(engine: Engine, rows: Sequence[Asked], base: Mapping[str, float]) -> LeakSide:
    """The tuned engine on rows, beside the base's losses on them."""
    after = losses(engine, rows)
    return LeakSide({one.row: base[one.row] - after[one.row] for one in rows},
                    given(engine, rows))


def figures(found: Leakage, *, alpha: float = 0.05) -> Leak:
    """What the two sides amount to; raises AdvisorError when one has fewer than 2 rows."""
    few = min(len(found.tuned_on.fall), len(found.held_out.fall))
    if few < 2:
        raise AdvisorError(f"leakage cannot be tested on {few} rows",
                           fix="add rows to train and to dev")
    tuned = np.array(list(found.tuned_on.fall.values()))
    other = np.array(list(found.held_out.fall.values()))
    extracted, guessed = (_share(one.given, alpha) for one in (found.tuned_on, found.held_out))
    excess = newcombe(extracted, guessed)
    auc = delong(tuned, other, alpha=alpha)
    known = auc.low > 0.5 or excess.low > 0
    blind = found.power is not None and figures(found.power, alpha=alpha).state != "found"
    limit = np.quantile(other, 1 - FALSE_ALARMS, method="higher")
    return Leak(auc, float((tuned > limit).mean()), extracted, guessed, excess,
                "found" if known else "no power" if blind else "not found")


def delong(higher: Floats, lower: Floats, *, alpha: float) -> Measure:
    """The chance that one of `higher` exceeds one of `lower`, ties half, with its interval."""
    wins = (higher[:, None] > lower) + 0.5 * (higher[:, None] == lower)
    value = float(wins.mean())
    error = sqrt(wins.mean(axis=1).var(ddof=1) / len(higher)
                 + wins.mean(axis=0).var(ddof=1) / len(lower))
    # When one side is wholly above the other the variance is 0, the knowledge is not.
    error = max(error, 0.5 / min(len(higher), len(lower)))
    reach = z(1 - alpha / 2) * error
    return Measure(value, max(0.0, value - reach), min(1.0, value + reach),
                   len(higher) + len(lower))


def newcombe(one: Measure, other: Measure) -> Measure:
    """The difference of two independent shares, from their own intervals."""
    value = one.value - other.value
    below = sqrt((one.value - one.low) ** 2 + (other.high - other.value) ** 2)
    above = sqrt((one.high - one.value) ** 2 + (other.value - other.low) ** 2)
    return Measure(value, value - below, value + above, one.n + other.n)


def _share(values: Mapping[str, float], alpha: float) -> Measure:
    return measure(list(values.values()), list(values), seed=0, alpha=alpha)
