"""Two trials of one task in, checks out. Pure: no clock, no model, no files.

Each check has three states. It *passes* when it is shown that the limit is held, *fails*
when it is shown that it is not, and is *inconclusive* otherwise, one-sided at alpha both
ways. A candidate passes when every check does (an intersection-union test, so nothing is
corrected) and fails when one check does: the p-values of failing are Holm-adjusted over
the checks, so a candidate that is no worse than the limits allow fails with a probability
of at most alpha (docs/gate.md has the simulated rates).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from typing import Literal

import numpy as np
from scipy import stats as distributions

from advisor.errors import AdvisorError
from advisor.measures.forgetting import GATE_ALPHA, forgetting, suspicious
from advisor.stats import (
    Difference,
    compare,
    holm,
    lower_bound,
    p_greater,
    p_less,
    rows_to_decide,
)
from advisor.trial import Row, SuiteScores, Trial
from advisor.verdict import Forgetting, Policy

State = Literal["pass", "fail", "inconclusive"]

POWER = 0.80  # the usual convention
# Two runs always differ a little; the spread of two says next to nothing of the spread.
SEEDS_FOR_NOISE = 3


@dataclass(frozen=True, slots=True)
class Noise:
    """What training again, and nothing else, does to the champion's quality.

    `floor` (points, 0..1): a new seed of the same recipe falls this far below the
    champion or less, at 1 - alpha. `seeds` are how many were measured, the champion's too.
    """

    floor: float
    seeds: int


@dataclass(frozen=True, slots=True)
class Case:
    """The two trials; `base` are the scores that the candidate's are paired with.

    `same` is True when both are the very same files on the same base, `changed` when the
    candidate's weights are not those of the base, `unscored` when what these forgot was not
    measured because the task alone shows that the candidate fails.
    """

    candidate: Trial
    champion: Trial
    base: Mapping[str, SuiteScores] | None
    same: bool
    changed: bool
    noise: Noise | None
    unscored: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One finding in a sentence, with its figures (shares and points are 0..1)."""

    name: str
    state: State
    says: str
    figures: Mapping[str, float | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What comes out; `gap` is candidate minus champion, None if nothing could be paired."""

    result: State
    checks: tuple[Check, ...]
    gap: Difference | None
    forgetting: Forgetting | None


@dataclass(frozen=True, slots=True)
class _Tested:
    """A check before its chance of failing is adjusted for the others."""

    name: str
    says: str
    p_pass: float
    p_fail: float
    figures: Mapping[str, float | int | None]


def judge(case: Case, policy: Policy, *, seed: int) -> Judgement:
    """Every check of the gate and what they amount to.

    Raises AdvisorError when tuned weights score exactly as the base does everywhere,
    which means that they were not applied.
    """
    gap = _gap(case, policy)
    lost = _lost(case, policy, seed=seed)
    weighed = gap is not None and not case.same
    gates = lost is not None and lost.pooled.state != "cannot_gate"
    # Holm's first step: the power that is stated holds whichever check fails.
    level = policy.alpha / max(1, weighed + gates)
    tested = []
    if gap is not None and weighed:
        tested.append(_quality(gap, case.noise, policy, level=level))
    if lost is not None and gates:
        tested.append(_forgotten(lost, policy.alpha, level=level))
    checks = [_answered(case, policy)]
    if case.same:
        checks.append(Check("quality", "pass", "The very same files as the champion's."))
    elif gap is None:
        checks.append(Check("quality", "inconclusive", "No row was graded on both sides."))
    checks += _settled(tested, policy)
    if not case.changed:
        checks.append(Check("forgetting", "pass", "The weights are the untouched base."))
    elif case.unscored:
        checks.append(Check("forgetting", "inconclusive",
                            "Not scored: the task alone shows that the candidate fails."))
    elif not gates:
        checks.append(Check("forgetting", "inconclusive",
                            "The base is at chance on every suite, so no loss could show."))
    checks += _latency(case.candidate, policy)
    return Judgement(_result(checks), tuple(checks), gap, lost)


def fails_already(case: Case, policy: Policy) -> bool:
    """Whether the task alone shows a failure, whatever the retention suites would say.

    The chance of failing on quality is doubled, as Holm's adjustment would with forgetting
    beside it.
    """
    settled = [_answered(case, policy), *_latency(case.candidate, policy)]
    if any(check.state == "fail" for check in settled):
        return True
    gap = None if case.same else _gap(case, policy)
    return gap is not None and 2 * p_less(gap, -_allowed(case.noise, policy)) <= policy.alpha


def _allowed(floor: Noise | None, policy: Policy) -> float:
    """The loss that does not fail: the margin, or what training again alone may cost."""
    return max(policy.quality_margin, floor.floor if floor else 0.0)


def noise(means: Sequence[float], champion: float, alpha: float) -> Noise | None:
    """The noise floor from the mean credits of one recipe at several seeds, the champion's
    among them; None for fewer than three. A one-sided t prediction bound for one seed more.
    """
    seeds = len(means)
    if seeds < SEEDS_FOR_NOISE:
        return None
    mean = sum(means) / seeds
    spread = sqrt(sum((one - mean) ** 2 for one in means) / (seeds - 1))
    reach = float(distributions.t.ppf(1 - alpha, seeds - 1)) * spread * sqrt(1 + 1 / seeds)
    return Noise(max(0.0, champion - (mean - reach)), seeds)


def credits(trial: Trial) -> dict[str, float]:
    """Credit by question id; answers that failed are absent."""
    return {row.example.question.id: row.grade.credit for row in trial.rows
            if row.grade.credit is not None}


def _gap(case: Case, policy: Policy) -> Difference | None:
    mine, theirs = credits(case.candidate), credits(case.champion)
    shared = mine.keys() & theirs.keys()
    if not shared:
        return None
    groups = {row.example.question.id: row.example.group for row in case.champion.rows}
    return compare({key: mine[key] for key in shared}, {key: theirs[key] for key in shared},
                   groups=groups, alpha=policy.alpha)


def _lost(case: Case, policy: Policy, *, seed: int) -> Forgetting | None:
    if not case.changed or case.unscored:
        return None
    assert case.base is not None, "changed weights are scored beside their base"
    assert case.candidate.retention is not None, "changed weights are scored"
    found = forgetting(case.base, case.candidate.retention, policy, seed=seed)
    if suspicious(found):
        raise AdvisorError(
            f"{case.candidate.contender}: its weights score exactly as the base on every "
            "retention item; they were probably not applied",
            fix="check that the folder holds trained weights and that its base is the right one",
        )
    return found


def _quality(
    gap: Difference, floor: Noise | None, policy: Policy, *, level: float
) -> _Tested:
    margin = policy.quality_margin
    limit = _allowed(floor, policy)
    seen, worst = gap.interval, lower_bound(gap, policy.alpha)
    need = float(distributions.t.ppf(1 - level, gap.freedom) + distributions.norm.ppf(POWER))
    flips = gap.design * gap.step / seen.n
    fails_from = _fails_from(limit, max(0.0, -seen.value), gap.error, need=need, flips=flips)
    passes = _passes(gap, policy)
    more = rows_to_decide(gap, -margin, level=policy.alpha)
    says = (
        f"{_moved(seen.value)} than the champion on the same {seen.n} rows, at worst "
        f"{max(0.0, -worst) * 100:.1f} less ({1 - policy.alpha:.0%} one-sided); allowed "
        f"{margin * 100:.1f}. A true loss of {fails_from * 100:.1f} points or more would fail "
        f"four times in five; an equal candidate passes {passes:.0%} of the time."
    )
    if more is not None:
        says += f" About {more:,} rows would decide it at this difference."
    if floor:
        says += f" Training again alone costs up to {floor.floor * 100:.1f} ({floor.seeds} seeds)."
    figures = {
        "difference": seen.value, "low": seen.low, "high": seen.high, "n": seen.n,
        "worst": worst, "margin": margin, "noise_floor": floor.floor if floor else None,
        "fails_from": fails_from, "equal_passes": passes, "rows_to_decide": more,
    }
    p_pass, p_fail = p_greater(gap, -margin), p_less(gap, -limit)
    return _Tested("quality", says, p_pass, p_fail, figures)


def _fails_from(
    limit: float, lost: float, error: float, *, need: float, flips: float
) -> float:
    """The least true loss that is shown to be over the limit four times in five.

    More loss means more items that differ: beyond what is `lost` now, each point adds
    `flips` x a point to the squared error. So (loss - limit)^2 = need^2 (error^2 +
    flips (loss - lost)), solved for the loss.
    """
    beyond = max(0.0, limit - lost)
    square = need**2 * flips
    return limit + (square + sqrt(square**2 + 4 * need**2 * (error**2 + flips * beyond))) / 2


def _passes(gap: Difference, policy: Policy) -> float:
    """How often a candidate that equals the champion would be shown to lie in the margin."""
    equal = replace(gap, interval=replace(gap.interval, value=0.0))
    found = p_greater(equal, -policy.quality_margin)
    normal = distributions.norm
    return float(normal.cdf(normal.isf(found) - normal.isf(policy.alpha)))


def _forgotten(lost: Forgetting, alpha: float, *, level: float) -> _Tested:
    pooled = lost.pooled
    assert pooled.margin is not None, "the pooled gate has a margin"
    freedom = max(1, pooled.drop.n - 1)
    reach = distributions.t.ppf([1 - GATE_ALPHA, 1 - alpha, 1 - level], freedom)
    # What was measured holds its error in the one-sided bound at GATE_ALPHA.
    error = (pooled.upper - pooled.drop.value) / float(reach[0])
    over, worst = pooled.drop.value - pooled.margin, pooled.drop.value + float(reach[1]) * error
    p_fail = float(distributions.t.sf(over / error, freedom))
    need = float(reach[2] + distributions.norm.ppf(POWER))
    fails_from = _fails_from(pooled.margin, max(0.0, pooled.drop.value), error, need=need,
                             flips=1 / pooled.drop.n)
    moved = "loses" if pooled.drop.value >= 0 else "gains"
    says = (
        f"It {moved} {abs(pooled.drop.value) * 100:.1f} points of retention accuracy against "
        f"its base on {pooled.drop.n} items, at worst {max(0.0, worst) * 100:.1f} lost "
        f"({1 - alpha:.0%} one-sided); allowed {pooled.margin * 100:.1f}. A true loss of "
        f"{fails_from * 100:.1f} points or more would fail four times in five."
    )
    figures = {
        "lost": pooled.drop.value, "low": pooled.drop.low, "high": pooled.drop.high,
        "n": pooled.drop.n, "worst": worst, "margin": pooled.margin, "fails_from": fails_from,
    }
    return _Tested("forgetting", says, 1 - p_fail, p_fail, figures)


def _settled(tested: Sequence[_Tested], policy: Policy) -> list[Check]:
    """States of the statistical checks: passing is uncorrected, failing Holm-adjusted."""
    adjusted = holm([one.p_fail for one in tested])
    made = []
    for one, p_fail in zip(tested, adjusted, strict=True):
        state: State = "inconclusive"
        if one.p_pass <= policy.alpha:
            state = "pass"
        elif p_fail <= policy.alpha:
            state = "fail"
        figures = {**one.figures, "p_pass": one.p_pass, "p_fail": p_fail}
        made.append(Check(one.name, state, one.says, figures))
    return made


def _answered(case: Case, policy: Policy) -> Check:
    """No statistics: what failed did fail."""
    rows = case.candidate.rows
    failed = sum(row.grade.status == "failed" for row in rows)
    figures: dict[str, float | int | None] = {
        "failed": failed, "asked": len(rows), "limit": policy.max_failed,
    }
    if failed > policy.max_failed * len(rows):
        first = next(row.answer.failure for row in rows if row.grade.status == "failed")
        says = (f"{failed} of {len(rows)} calls gave no answer (allowed {policy.max_failed:.0%}); "
                f"the first: {first}")
        return Check("answers", "fail", says, figures)
    says = f"{len(rows) - failed} of {len(rows)} calls were answered."
    return Check("answers", "pass", says, figures)


def _latency(trial: Trial, policy: Policy) -> list[Check]:
    limit = policy.latency_limit_ms
    timed = trial.probe.latencies_ms
    if limit is None or not timed:
        return []
    p95 = float(np.percentile(timed, 95, method="median_unbiased"))  # as measures/cost.py
    says = (f"p95 of {len(timed)} calls, one at a time, is {p95:,.0f} ms; "
            f"allowed {limit:,.0f} ms.")
    state: State = "pass" if p95 <= limit else "fail"
    return [Check("latency", state, says, {"p95_ms": p95, "limit_ms": limit, "n": len(timed)})]


def _moved(value: float) -> str:
    return f"{abs(value) * 100:.1f} points {'less' if value < 0 else 'more'}"


def _result(checks: Sequence[Check]) -> State:
    states = {check.state for check in checks}
    if "fail" in states:
        return "fail"
    return "inconclusive" if "inconclusive" in states else "pass"


@dataclass(frozen=True, slots=True)
class Pair:
    """One test row as both dealt with it; `change` is in credit, what failed counting 0."""

    champion: Row
    candidate: Row
    change: float


def pairs(case: Case) -> tuple[Pair, ...]:
    """Every row, the worst regression first, then as in the test split."""
    theirs = {row.example.question.id: row for row in case.champion.rows}
    made = []
    for row in case.candidate.rows:
        other = theirs[row.example.question.id]
        made.append(Pair(other, row, (row.grade.credit or 0.0) - (other.grade.credit or 0.0)))
    return tuple(sorted(made, key=lambda one: one.change))
