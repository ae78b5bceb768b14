"""What a contender costs over the horizon, from the seconds the run itself took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, exp, inf

import numpy as np

from advisor.core import Answer
from advisor.errors import AdvisorError
from advisor.measures.freshness import stale_share
from advisor.trial import PrepareCost, Trial
from advisor.verdict import Cost, Policy

SECONDS_PER_HOUR = 3600.0
READS_NOTHING = ("none", "-", "")  # words of the retrieval axis
_FACTS_A_MONTH = 1e9  # past this interval, in months x rate, nothing is left to go stale


@dataclass(frozen=True, slots=True)
class Work:
    """What answering took, before any price: means over the answers that did not fail.

    Seconds are machine time a call, `latencies_ms` those of the calls made one at a time.
    `usd_tokens` is what 1,000 calls cost where tokens are paid for, None where machine time
    is; its seconds are then waiting, not machine time. `stale_before` and `stale_after` are
    as in Cost.
    """

    seconds: float
    tokens_in: float
    tokens_out: float
    latencies_ms: tuple[float, ...]
    peak_memory_mib: float
    prepare: PrepareCost
    usd_tokens: float | None = None
    stale_before: float | None = None
    stale_after: float | None = None


def work(trial: Trial) -> Work:
    """What one trial took; raises AdvisorError when it has no row or no answer."""
    usage = [one.usage for one in _answered(trial)]
    tokens_in = float(np.mean([one.tokens_in for one in usage]))
    tokens_out = float(np.mean([one.tokens_out for one in usage]))
    paid = None
    if trial.prices is not None:
        paid = (tokens_in * trial.prices.usd_per_million_in
                + tokens_out * trial.prices.usd_per_million_out) / 1e6 * 1000
    return Work(
        seconds=float(np.mean([one.seconds for one in usage])),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        usd_tokens=paid,
        latencies_ms=trial.probe.latencies_ms,
        peak_memory_mib=trial.probe.peak_memory_mib,
        prepare=trial.prepare,
        stale_before=stale_share(trial.fresh, "before"),
        stale_after=stale_share(trial.fresh, "after"),
    )


def cost(trial: Trial, policy: Policy) -> Cost:
    """What 1,000 calls of a trial cost, and how long one takes; see `cost_of`."""
    return cost_of(trial.contender, work(trial), policy, axes=trial.axes)


def cost_of(name: str, done: Work, policy: Policy, *, axes: Mapping[str, str]) -> Cost:
    """What 1,000 calls cost at the measured throughput, and how long one call takes.

    Percentiles of the one-at-a-time calls are milliseconds, by Hyndman and Fan's type 8.
    Raises AdvisorError when no call was timed, or when the policy leaves nothing to
    divide by.
    """
    latencies = np.asarray(done.latencies_ms, dtype=np.float64)
    if not latencies.size:
        raise AdvisorError(
            f"{name}: no call was timed, so its latency is unknown",
            fix="set latency_probe to 1 or more in advisor.yaml and run again",
        )
    # Hyndman and Fan (1996), type 8: unbiased in the median whatever the distribution.
    p50, p95 = np.percentile(latencies, [50, 95], method="median_unbiased")
    bare = Cost(
        usd_per_1k=0.0,
        usd_per_1k_all_in=0.0,
        p50_ms=float(p50),
        p95_ms=float(p95),
        probe_n=latencies.size,
        tokens_in=done.tokens_in,
        tokens_out=done.tokens_out,
        seconds_per_call=done.seconds,
        peak_memory_mib=done.peak_memory_mib,
        prepare_seconds=done.prepare.seconds,
        artefact_bytes=done.prepare.artefact_bytes,
        tuning_seconds=done.prepare.tuning_seconds,
        rows_learnt=done.prepare.rows_learnt,
        usd_tokens=done.usd_tokens,
        usd_paid=done.prepare.usd_paid,
        stale_before=done.stale_before,
        stale_after=done.stale_after,
    )
    return priced(bare, policy, axes=axes)


def priced(measured: Cost, policy: Policy, *, axes: Mapping[str, str]) -> Cost:
    """The same measurements at this policy's prices, volume, churn and horizon.

    USD per 1,000 calls is price per hour / 3600 x seconds / utilisation x 1000, or what its
    tokens cost, times `token_price`, where they are paid for. All-in adds
    what does not grow with the calls, spread over calls per month x months of the horizon:

        rows learnt x price of a label x (1 + retunes x share of the facts that changed)
        + price per second x (tuning x (1 + retunes) + other preparation x (1 + reindexes))
        + what a paid teacher took x token_price x (1 + retunes)

    What holds facts is renewed before `stale_share` of the answers are stale on average:
    the index of a contender that reads, the weights of a tuned one that does not. Where it
    was measured how many changed facts are answered as they were, answers go stale at that
    share of the churn: with the old index that share is what a new index mends, and with the
    new index what only new weights or new examples do. Tuned weights are also tuned again
    when the base model is replaced.
    Raises AdvisorError when the policy leaves nothing to divide by.
    """
    calls = policy.calls_per_month * policy.horizon_months
    if calls <= 0 or policy.utilisation <= 0:
        raise AdvisorError(
            f"calls per month x months is {calls:g} and utilisation {policy.utilisation:g}; "
            "both must be above 0",
            fix="correct calls_per_month, horizon_months or utilisation in advisor.yaml",
        )
    tuned = measured.tuning_seconds > 0
    by_index, by_learning = going_stale(measured, axes=axes)
    months = renewal_months(policy.churn_per_month * by_learning, policy.stale_share)
    by_facts = _again(policy.horizon_months, months)
    retunes = by_facts + _again(policy.horizon_months, policy.base_replaced_months or inf)
    if not tuned:
        retunes = 0
    reindexes = _again(policy.horizon_months, renewal_months(
        policy.churn_per_month * by_index, policy.stale_share))
    changed = 1 - exp(-policy.churn_per_month * months) if by_facts else 0.0
    per_second = policy.usd_per_machine_hour / SECONDS_PER_HOUR
    other = max(0.0, measured.prepare_seconds - measured.tuning_seconds)
    fixed = policy.usd_per_label * measured.rows_learnt * (1 + by_facts * changed)
    fixed += per_second * (measured.tuning_seconds * (1 + retunes) + other * (1 + reindexes))
    fixed += measured.usd_paid * policy.token_price * (1 + retunes)
    serving = measured.usd_tokens
    if serving is None:
        serving = per_second * measured.seconds_per_call / policy.utilisation * 1000
    else:
        serving *= policy.token_price
    return replace(
        measured, usd_per_1k=serving, usd_per_1k_all_in=serving + fixed / calls * 1000,
        fixed_usd=fixed, retunes=retunes, reindexes=reindexes,
    )


def going_stale(measured: Cost, *, axes: Mapping[str, str]) -> tuple[float, float]:
    """The shares of changed facts that go stale in an index, and in what was learnt."""
    tuned = measured.tuning_seconds > 0
    reads = axes.get("retrieval", "none") not in READS_NOTHING
    before, after = measured.stale_before, measured.stale_after
    if reads:
        index = 1.0 if before is None else before
        return index, after if after is not None and measured.rows_learnt else 0.0
    if before is not None:
        return 0.0, before if measured.rows_learnt else 0.0
    return 0.0, 1.0 if tuned else 0.0


def stale(rate: float, months: float) -> float:
    """The mean share of stale facts when facts change at `rate` a month and what holds them
    is renewed every `months`: 1 - (1 - e^-lt) / (lt)."""
    spent = rate * months
    return 0.0 if spent < 1e-12 else 1 - (1 - exp(-spent)) / spent


@cache
def renewal_months(rate: float, share: float) -> float:
    """The longest interval of renewal at which no more than `share` is stale on average."""
    if rate <= 0:
        return inf
    low, high = 0.0, _FACTS_A_MONTH
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if stale(1.0, middle) <= share else (low, middle)
    return low / rate


def _again(horizon: float, months: float) -> int:
    """How often something is renewed within the horizon, the first time not counted."""
    if months == inf:
        return 0
    return max(0, ceil(horizon / months - 1e-9) - 1)


def _answered(trial: Trial) -> list[Answer]:
    answers = [row.answer for row in trial.rows if not row.answer.failure]
    if not answers:
        what = "all of them failed" if trial.rows else "it was asked nothing"
        raise AdvisorError(
            f"{trial.contender}: no answer of {len(trial.rows)} can be priced, {what}",
            fix="look at the failures in the run's rows, then run it again",
        )
    return answers
