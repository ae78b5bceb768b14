"""One contender's line in the table: quality, forgetting, cost, and what bars it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Literal

import numpy as np

from advisor.errors import AdvisorError
from advisor.measures.cost import Work, cost_of, priced
from advisor.measures.forgetting import forgetting, regated
from advisor.measures.marks import Marks, counts, marks
from advisor.stats import coded, measure_seeds
from advisor.stats.spread import Codes, Floats
from advisor.trial import PrepareCost, Reworded, SuiteScores, Trial
from advisor.verdict import (
    UNCHANGED,
    Cost,
    Counts,
    Forgetting,
    Measure,
    Policy,
    Standing,
    SuiteChange,
)


def standing(
    trial: Trial,
    policy: Policy,
    base_retention: Mapping[str, SuiteScores] | None,
    *,
    primary: str,
    seed: int,
) -> Standing:
    """What one trial amounts to under the policy; see `standing_of`."""
    _graded(trial.contender, counts(trial.rows))
    codes = coded([row.example.group for row in trial.rows])
    return standing_of([marks(trial)], codes, policy, base_retention, primary=primary, seed=seed)


def standing_of(
    trials: Sequence[Marks],
    codes: Codes,
    policy: Policy,
    base_retention: Mapping[str, SuiteScores] | None,
    *,
    primary: str,
    seed: int,
    reworded: Sequence[Reworded] = (),
) -> Standing:
    """What one contender amounts to under the policy, with every violated constraint named.

    `trials` are its seeds, the one that would ship first; `codes` numbers each item's
    cluster. Quality is the mean credit, 0..1, over the items graded at every seed; parts
    likewise. With several seeds the interval is that of the recipe: items and seeds are
    both drawn. Costs are means over the seeds, latencies those of all. Forgetting is that
    of the first seed, and a seed whose forgetting fails bars the contender too. A trial
    without retention scores has the base's weights: forgetting is "unchanged". `primary`
    names the grade part that is the credit; `seed` draws the bits-per-byte intervals;
    `reworded` is the base asked in other words.

    Raises AdvisorError when nothing was graded, when no grade has the part `primary`, or
    when there are retention scores but none of the base to pair them with.
    """
    first, total = trials[0], _total([one.counts for one in trials])
    _graded(first.contender, total)
    parts = {name: _mean([one.parts[name] for one in trials], codes, policy)
             for name in first.parts if all(name in one.parts for one in trials)}
    if primary not in parts:
        raise AdvisorError(
            f"{first.contender}: no grade has the primary metric {primary!r}, "
            f"found: {', '.join(sorted(parts)) or 'none'}",
            fix="name one of the found metrics as `primary` in task.yaml",
        )
    changed = [_changed(one, policy, base_retention, seed=seed, reworded=reworded)
               for one in trials]
    done = _work([one.work for one in trials])
    bare = Standing(
        contender=first.contender,
        quality=_mean([one.credits for one in trials], codes, policy),
        parts=parts,
        counts=total,
        forgetting=changed[0],
        cost=cost_of(first.contender, done, policy, axes=first.axes),
        axes=first.axes,
        barred_by=(),
    )
    others = [f"at seed {one.seed}, {bar}" for one, found in zip(trials[1:], changed[1:],
              strict=True) for bar in forgetting_bars(found) if bar.startswith("forgetting: ")]
    return replace(bare, barred_by=(*bars(bare, policy), *others))


def under(found: Standing, policy: Policy) -> Standing:
    """The same measurements under other prices, limits and margins.

    Intervals stay at the alpha they were made with; so does what another seed forgot.
    """
    changed = found.forgetting
    if isinstance(changed, Forgetting):
        changed = regated(changed, policy)
    cost = priced(found.cost, policy, axes=found.axes)
    again = replace(found, cost=cost, forgetting=changed)
    seeds = tuple(bar for bar in found.barred_by if bar.startswith("at seed "))
    return replace(again, barred_by=(*bars(again, policy), *seeds))


def bars(found: Standing, policy: Policy) -> tuple[str, ...]:
    """Each constraint that the contender violates, with its figures."""
    return (
        *forgetting_bars(found.forgetting),
        *_latency_bars(found.cost, policy),
        *_failure_bars(found.counts, policy),
    )


def _graded(name: str, total: Counts) -> None:
    if total.failed == total.asked:
        raise AdvisorError(
            f"{name}: none of {total.asked} answers could be graded",
            fix="look at the failures in the run's rows, then run it again",
        )


def _mean(values: Sequence[Floats], codes: Codes, policy: Policy) -> Measure:
    """The mean over the items that every seed has a value for."""
    table = np.stack(values)
    kept = np.isfinite(table).all(axis=0)
    if not kept.any():
        return Measure(float("nan"), float("nan"), float("nan"), 0)
    inside = table[:, kept]
    if inside.min() < 0 or inside.max() > 1:
        raise AdvisorError(
            f"credits run from {inside.min():g} to {inside.max():g}, expected 0..1",
            fix="make the scorer return credits between 0 and 1",
        )
    return measure_seeds(inside, codes[kept], alpha=policy.alpha)


def _total(found: Sequence[Counts]) -> Counts:
    return Counts(*(sum(getattr(one, field.name) for one in found) for field in fields(Counts)))


def _work(done: Sequence[Work]) -> Work:
    """What one seed takes on average, with the latencies of all."""
    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    prepares = [one.prepare for one in done]
    paid = [one.usd_tokens for one in done if one.usd_tokens is not None]
    return Work(
        usd_tokens=mean(paid) if paid else None,
        seconds=mean([one.seconds for one in done]),
        tokens_in=mean([one.tokens_in for one in done]),
        tokens_out=mean([one.tokens_out for one in done]),
        latencies_ms=tuple(value for one in done for value in one.latencies_ms),
        peak_memory_mib=max(one.peak_memory_mib for one in done),
        stale_before=done[0].stale_before,
        stale_after=done[0].stale_after,
        prepare=PrepareCost(
            seconds=mean([one.seconds for one in prepares]),
            tokens_trained=prepares[0].tokens_trained,
            artefact_bytes=prepares[0].artefact_bytes,
            tuning_seconds=mean([one.tuning_seconds for one in prepares]),
            rows_learnt=prepares[0].rows_learnt,
            usd_paid=mean([one.usd_paid for one in prepares]),
        ),
    )


def _changed(
    trial: Marks,
    policy: Policy,
    base_retention: Mapping[str, SuiteScores] | None,
    *,
    seed: int,
    reworded: Sequence[Reworded],
) -> Forgetting | Literal["unchanged"]:
    if trial.retention is None:
        return UNCHANGED
    if base_retention is None:
        raise AdvisorError(
            f"{trial.contender}: its weights were tuned, but the base's retention scores "
            "it is to be compared with are missing",
            fix="measure the base model on the same retention suites",
        )
    return forgetting(base_retention, trial.retention, policy, seed=seed, reworded=reworded)


def forgetting_bars(changed: Forgetting | Literal["unchanged"]) -> tuple[str, ...]:
    """What the pooled gate and the protected suites have against a contender."""
    if not isinstance(changed, Forgetting):
        return ()
    pooled = changed.pooled
    if pooled.state == "cannot_gate":
        found = ["forgetting cannot be judged: the base model is at chance on every suite"]
    else:
        found = _gate_bars(pooled, "retention accuracy")
    for one in changed.suites:
        if one.margin is not None:
            what = _MEASURED.get(one.metric, "accuracy on")
            found += _gate_bars(one, f"{what} the protected suite {one.suite}")
    return tuple(found)


_MEASURED = {"bits_per_byte": "bits per byte of", "nats_per_token": "nats for a token of"}


def _gate_bars(change: SuiteChange, what: str) -> list[str]:
    assert change.margin is not None, "a gate has a margin"
    if change.state == "cannot_gate":
        return [f"forgetting cannot be judged: {what}: the base model is too close to chance"]
    bits = change.metric != "acc"
    size, unit = (1.0, "") if bits else (100.0, " points")
    places = 3 if bits else 1
    moved = "fell" if (change.drop.value >= 0) != bits else "rose"
    figures = (
        f"{what} {moved} by {abs(change.drop.value) * size:.{places}f}{unit} "
        f"(95% upper bound {change.upper * size:.{places}f}, "
        f"margin {change.margin * size:.{places}f})"
    )
    if change.noise is not None and not change.noise.above:
        figures += "; rewording the prompts of the untouched base flips as many items"
    if change.state == "fail":
        return [f"forgetting: {figures}"]
    return [f"forgetting inconclusive: {figures}"] if change.state == "inconclusive" else []


def _latency_bars(cost: Cost, policy: Policy) -> tuple[str, ...]:
    limit = policy.latency_limit_ms
    if limit is None or cost.p95_ms <= limit:
        return ()
    return (f"p95 latency {cost.p95_ms:.0f} ms over the limit {limit:.0f} ms",)


def _failure_bars(total: Counts, policy: Policy) -> tuple[str, ...]:
    if total.failed <= policy.max_failed * total.asked:
        return ()
    return (
        f"{total.failed} of {total.asked} answers failed (limit {policy.max_failed * 100:g}%)",
    )
