"""What tuning cost elsewhere: retention suites, paired by item, and one pooled gate.

No suite here is large enough to show a margin of a few points by itself, so the suites
are shown one by one and gated together; those that the policy protects must hold alone too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt

from advisor.errors import AdvisorError
from advisor.measures import noise
from advisor.stats import Difference, compare, lower_bound, measure, upper_bound
from advisor.stats.spread import t
from advisor.trial import Reworded, SuiteScores
from advisor.verdict import Forgetting, GateState, Measure, Noise, Policy, SuiteChange

GATE_ALPHA = 0.05  # one-sided; the procedure fixes 95% whatever the report's alpha is
CLEARANCE = 2.0  # margins above chance before a suite could show a loss of one margin


def forgetting(
    base: Mapping[str, SuiteScores],
    tuned: Mapping[str, SuiteScores],
    policy: Policy,
    *,
    seed: int,
    reworded: Sequence[Reworded] = (),
) -> Forgetting:
    """The pooled drop of retention accuracy against its margin, and every suite's drop.

    Pooled are the `acc` suites on which the base's lower bound clears chance, each
    weighing the same: the mean of the drops, with SE = sqrt(sum of se^2) / k plus, as
    for one lost and one gained item more (Bonett and Price 2012), enough that it is
    never 0. State `pass`: the one-sided 95% upper bound is within the margin; `fail`:
    the lower bound is above it; else `inconclusive`; `cannot_gate` when the base clears
    chance nowhere (all suites are then pooled, to be shown).

    Suites are `shown`, or `cannot_gate` when the base does not clear chance by two
    margins. One that the policy protects is gated alone, at its own margin and by its own
    bounds. Accuracies are 0..1, losses are positive; bits per byte are in bits. `reworded`
    is the base asked in other words: what flips then is shown beside what tuning flipped.

    Raises AdvisorError when suites or items are missing on one side, when there is no
    accuracy suite, or when a protected suite was not measured.
    """
    _same_suites(base, tuned)
    if missing := sorted(policy.protect.keys() - base.keys()):
        raise AdvisorError(
            f"policy.protect names {', '.join(missing)}, which was not measured",
            fix="list it under `retention` in advisor.yaml, or protect it no more",
        )
    suites: list[SuiteChange] = []
    gated: list[_Part] = []
    shown: list[_Part] = []
    for name in sorted(base):
        if base[name].metric != "acc":
            suites.append(_bits(base[name], tuned[name], policy, seed=seed))
            continue
        change, drop = _accuracy(base[name], tuned[name], policy, seed=seed)
        floor = noise.noise(reworded, base[name], tuned[name], alpha=policy.alpha)
        change = replace(change, noise=floor[0] if floor else None)
        suites.append(change)
        clears = change.base.low > base[name].chance
        (gated if clears else shown).append((change, drop, floor))
    if not gated and not shown:
        raise AdvisorError(
            "retention has no accuracy suite, so there is nothing to hold to a margin",
            fix="add a suite with metric acc under `retention` in advisor.yaml",
        )
    return Forgetting(_pooled(gated or shown, policy, gates=bool(gated)), tuple(suites))


_Part = tuple[SuiteChange, Difference, tuple[Noise, Difference] | None]


def regated(found: Forgetting, policy: Policy) -> Forgetting:
    """The same drops under other margins; the bounds stay those that were measured."""
    pooled = found.pooled
    if pooled.state != "cannot_gate":
        state = _state(pooled.upper, pooled.lower, policy.retention_margin)
        pooled = replace(pooled, state=state)
    pooled = replace(pooled, margin=policy.retention_margin)
    return Forgetting(pooled, tuple(_protected(one, policy) for one in found.suites))


def _protected(change: SuiteChange, policy: Policy) -> SuiteChange:
    """The suite's own gate, when the policy protects it."""
    margin = policy.protect.get(change.suite)
    if change.state == "cannot_gate":
        return replace(change, margin=margin)
    state = "shown" if margin is None else _state(change.upper, change.lower, margin)
    return replace(change, margin=margin, state=state)


def suspicious(change: Forgetting) -> bool:
    """Whether the tuned model gave the base's value on every item: probably not applied.

    Equal bits per byte or nats on every item is the sign, so without such a suite the answer
    is False: a light adapter may well flip no item of a small accuracy suite.
    """
    bits = [one for one in change.suites if one.metric != "acc"]
    still = all(one.drop.low == one.drop.value == one.drop.high == 0.0 for one in bits)
    return bool(bits) and still and all(one.lost == one.gained == 0 for one in change.suites)


def _same_suites(base: Mapping[str, SuiteScores], tuned: Mapping[str, SuiteScores]) -> None:
    odd = sorted(base.keys() ^ tuned.keys())
    if odd:
        raise AdvisorError(
            f"retention suites measured on one side only: {', '.join(odd)}",
            fix="measure the base and the tuned model on the same suites",
        )
    for name in sorted(base):
        missing = sorted(base[name].values.keys() ^ tuned[name].values.keys())
        if missing or not base[name].values:
            ids = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            what = f"{len(missing)} items on one side only: {ids}" if missing else "no items"
            raise AdvisorError(
                f"retention suite {name}: {what}",
                fix="measure the base and the tuned model on the same items of the suite",
            )


def _accuracy(
    base: SuiteScores, tuned: SuiteScores, policy: Policy, *, seed: int
) -> tuple[SuiteChange, Difference]:
    ids = sorted(base.values)
    drop = compare(base.values, tuned.values, groups={one: one for one in ids}, alpha=policy.alpha)
    before = measure([base.values[one] for one in ids], ids, seed=seed, alpha=policy.alpha)
    after = measure([tuned.values[one] for one in ids], ids, seed=seed, alpha=policy.alpha)
    margin = policy.protect.get(base.suite, policy.retention_margin)
    clear = before.low > base.chance + CLEARANCE * margin
    change = SuiteChange(
        suite=base.suite,
        metric=base.metric,
        base=before,
        tuned=after,
        drop=drop.interval,
        upper=upper_bound(drop, GATE_ALPHA),
        margin=None,
        state="shown" if clear else "cannot_gate",
        lost=sum(base.values[one] > tuned.values[one] for one in ids),
        gained=sum(base.values[one] < tuned.values[one] for one in ids),
        lower=lower_bound(drop, GATE_ALPHA),
    )
    return _protected(change, policy), drop


def _bits(base: SuiteScores, tuned: SuiteScores, policy: Policy, *, seed: int) -> SuiteChange:
    ids = sorted(base.values)

    def shown(values: Sequence[float], alpha: float) -> Measure:
        return measure(values, ids, seed=seed, alpha=alpha, bounded=False)

    rises = [tuned.values[one] - base.values[one] for one in ids]
    bounds = shown(rises, 2 * GATE_ALPHA)
    change = SuiteChange(
        suite=base.suite,
        metric=base.metric,
        base=shown([base.values[one] for one in ids], policy.alpha),
        tuned=shown([tuned.values[one] for one in ids], policy.alpha),
        drop=shown(rises, policy.alpha),
        upper=bounds.high,
        margin=None,
        state="shown",
        lost=0,
        gained=0,
        lower=bounds.low,
    )
    return _protected(change, policy)


def _pooled(
    parts: Sequence[_Part], policy: Policy, *, gates: bool
) -> SuiteChange:
    changes = [change for change, *_ in parts]
    many = len(parts)
    # Two items more, one lost and one gained, in a suite of average size.
    spare = 2 * sum(1 / change.drop.n**2 for change in changes) / many
    error = sqrt(sum(drop.error**2 for _, drop, _ in parts) + spare) / many
    freedom = max(1, sum(change.drop.n - 1 for change in changes))
    drop = sum(change.drop.value for change in changes) / many
    items = sum(change.drop.n for change in changes)
    reach = t(1 - GATE_ALPHA, freedom) * error
    half = t(1 - policy.alpha / 2, freedom) * error
    floors = [floor for *_, floor in parts if floor is not None]
    quantiles = t(1 - policy.alpha / 2, freedom), t(1 - GATE_ALPHA, freedom)
    return SuiteChange(
        suite="pooled",
        metric="acc",
        base=_mean([change.base for change in changes]),
        tuned=_mean([change.tuned for change in changes]),
        drop=Measure(drop, drop - half, drop + half, items),
        upper=drop + reach,
        margin=policy.retention_margin,
        state=_state(drop + reach, drop - reach, policy.retention_margin)
        if gates else "cannot_gate",
        lost=sum(change.lost for change in changes),
        gained=sum(change.gained for change in changes),
        lower=drop - reach,
        noise=noise.pooled(floors, reach=quantiles) if len(floors) == many else None,
    )


def _state(upper: float, lower: float, margin: float) -> GateState:
    if upper <= margin:
        return "pass"
    return "fail" if lower > margin else "inconclusive"


def _mean(measures: Sequence[Measure]) -> Measure:
    """The mean of independent figures; each arm of the interval adds up in squares."""
    many = len(measures)
    value = sum(one.value for one in measures) / many
    below = sqrt(sum((one.value - one.low) ** 2 for one in measures)) / many
    above = sqrt(sum((one.high - one.value) ** 2 for one in measures)) / many
    return Measure(value, value - below, value + above, sum(one.n for one in measures))
