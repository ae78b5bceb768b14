"""One contender's line in the table: quality, forgetting, cost, and what bars it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from advisor.core import (
    UNCHANGED,
    Cost,
    Counts,
    Forgetting,
    Measure,
    Policy,
    Row,
    Standing,
    SuiteScores,
    Trial,
)
from advisor.errors import AdvisorError
from advisor.measures.cost import cost
from advisor.measures.forgetting import forgetting
from advisor.stats import measure


def standing(
    trial: Trial,
    policy: Policy,
    base_retention: Mapping[str, SuiteScores] | None,
    *,
    primary: str,
    seed: int,
) -> Standing:
    """What one trial amounts to under the policy, with every violated constraint named.

    Quality is the mean credit, 0..1, over the answers that could be graded, clustered by
    the rows' groups; parts likewise. `primary` names the grade part that is the credit.
    A trial without retention scores has the base's weights: forgetting is "unchanged".

    Raises AdvisorError when nothing was graded, when no grade has the part `primary`, or
    when there are retention scores but none of the base to pair them with.
    """
    graded = [row for row in trial.rows if row.grade.credit is not None]
    if not graded:
        raise AdvisorError(
            f"{trial.contender}: none of {len(trial.rows)} answers could be graded",
            fix="look at the failures in the run's rows, then run it again",
        )
    parts = _parts(graded, policy.alpha, seed=seed)
    if primary not in parts:
        raise AdvisorError(
            f"{trial.contender}: no grade has the primary metric {primary!r}, "
            f"found: {', '.join(sorted(parts)) or 'none'}",
            fix="name one of the found metrics as `primary` in task.yaml",
        )
    counts, priced = _counts(trial.rows), cost(trial, policy)
    changed = _changed(trial, policy, base_retention, seed=seed)
    credits = [row.grade.credit for row in graded if row.grade.credit is not None]
    return Standing(
        contender=trial.contender,
        quality=measure(credits, _groups(graded), seed=seed, alpha=policy.alpha),
        parts=parts,
        counts=counts,
        forgetting=changed,
        cost=priced,
        axes=trial.axes,
        barred_by=(
            *_forgetting_bars(changed),
            *_latency_bars(priced, policy),
            *_failure_bars(counts, policy),
        ),
    )


def _groups(rows: Sequence[Row]) -> list[str]:
    return [row.example.group for row in rows]


def _parts(graded: Sequence[Row], alpha: float, *, seed: int) -> dict[str, Measure]:
    found = {}
    for name in sorted({part for row in graded for part in row.grade.parts}):
        rows = [row for row in graded if name in row.grade.parts]
        values = [row.grade.parts[name] for row in rows]
        found[name] = measure(values, _groups(rows), seed=seed, alpha=alpha)
    return found


def _counts(rows: Sequence[Row]) -> Counts:
    statuses = [row.grade.status for row in rows]
    return Counts(
        asked=len(rows),
        read=statuses.count("read"),
        empty=statuses.count("empty"),
        unreadable=statuses.count("unreadable"),
        failed=statuses.count("failed"),
        shortened_prompts=sum(bool(row.answer.dropped) for row in rows),
    )


def _changed(
    trial: Trial,
    policy: Policy,
    base_retention: Mapping[str, SuiteScores] | None,
    *,
    seed: int,
) -> Forgetting | Literal["unchanged"]:
    if trial.retention is None:
        return UNCHANGED
    if base_retention is None:
        raise AdvisorError(
            f"{trial.contender}: its weights were tuned, but the base's retention scores "
            "it is to be compared with are missing",
            fix="measure the base model on the same retention suites",
        )
    return forgetting(base_retention, trial.retention, policy, seed=seed)


def _forgetting_bars(changed: Forgetting | Literal["unchanged"]) -> tuple[str, ...]:
    if not isinstance(changed, Forgetting):
        return ()
    pooled = changed.pooled
    if pooled.state == "cannot_gate":
        return ("forgetting cannot be judged: the base model is at chance on every suite",)
    assert pooled.margin is not None, "the pooled gate always has a margin"
    moved = "fell" if pooled.drop.value >= 0 else "rose"
    figures = (
        f"retention accuracy {moved} by {abs(pooled.drop.value) * 100:.1f} points "
        f"(95% upper bound {pooled.upper * 100:.1f}, margin {pooled.margin * 100:.1f})"
    )
    if pooled.state == "fail":
        return (f"forgetting: {figures}",)
    return (f"forgetting inconclusive: {figures}",) if pooled.state == "inconclusive" else ()


def _latency_bars(priced: Cost, policy: Policy) -> tuple[str, ...]:
    limit = policy.latency_limit_ms
    if limit is None or priced.p95_ms <= limit:
        return ()
    return (f"p95 latency {priced.p95_ms:.0f} ms over the limit {limit:.0f} ms",)


def _failure_bars(counts: Counts, policy: Policy) -> tuple[str, ...]:
    if counts.failed <= policy.max_failed * counts.asked:
        return ()
    return (
        f"{counts.failed} of {counts.asked} answers failed (limit {policy.max_failed * 100:g}%)",
    )
