"""What answering costs, from the seconds the run itself took."""

from __future__ import annotations

import numpy as np

from advisor.core import Answer, Cost, Policy, Trial
from advisor.errors import AdvisorError

SECONDS_PER_HOUR = 3600.0


def cost(trial: Trial, policy: Policy) -> Cost:
    """What 1,000 calls cost at the measured throughput, and how long one call takes.

    Means are over the answers that did not fail: tokens, and seconds of machine time.
    USD per 1,000 calls is price per hour / 3600 x seconds / utilisation x 1000; all-in
    adds the preparation's seconds at the same hourly price, spread over calls per month
    x months of the horizon. What is paid by the token costs its mean tokens in and out at
    their prices; its seconds are waiting, not machine time. Percentiles of the
    one-at-a-time calls are milliseconds, by Hyndman and Fan's type 8.

    Raises AdvisorError when there is no row, no answer, no timed call, or when the
    policy leaves nothing to divide by.
    """
    answers = _answered(trial)
    latencies = np.asarray(trial.probe.latencies_ms, dtype=np.float64)
    if not latencies.size:
        raise AdvisorError(
            f"{trial.contender}: no call was timed, so its latency is unknown",
            fix="set latency_probe to 1 or more in advisor.yaml and run again",
        )
    calls = policy.calls_per_month * policy.horizon_months
    if calls <= 0 or policy.utilisation <= 0:
        raise AdvisorError(
            f"calls per month x months is {calls:g} and utilisation {policy.utilisation:g}; "
            "both must be above 0",
            fix="correct calls_per_month, horizon_months or utilisation in advisor.yaml",
        )
    seconds = float(np.mean([one.usage.seconds for one in answers]))
    per_second = policy.usd_per_machine_hour / SECONDS_PER_HOUR
    serving = per_second * seconds / policy.utilisation * 1000
    tokens_in = float(np.mean([one.usage.tokens_in for one in answers]))
    tokens_out = float(np.mean([one.usage.tokens_out for one in answers]))
    if trial.prices is not None:
        serving = (tokens_in * trial.prices.usd_per_million_in
                   + tokens_out * trial.prices.usd_per_million_out) / 1e6 * 1000
    preparing = per_second * trial.prepare.seconds / calls * 1000
    # Hyndman and Fan (1996), type 8: unbiased in the median whatever the distribution.
    p50, p95 = np.percentile(latencies, [50, 95], method="median_unbiased")
    return Cost(
        usd_per_1k=serving,
        usd_per_1k_all_in=serving + preparing,
        p50_ms=float(p50),
        p95_ms=float(p95),
        probe_n=latencies.size,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        seconds_per_call=seconds,
        peak_memory_mib=trial.probe.peak_memory_mib,
        prepare_seconds=trial.prepare.seconds,
        artefact_bytes=trial.prepare.artefact_bytes,
    )


def _answered(trial: Trial) -> list[Answer]:
    answers = [row.answer for row in trial.rows if not row.answer.failure]
    if not answers:
        what = "all of them failed" if trial.rows else "it was asked nothing"
        raise AdvisorError(
            f"{trial.contender}: no answer of {len(trial.rows)} can be priced, {what}",
            fix="look at the failures in the run's rows, then run it again",
        )
    return answers
