"""What the advice is worth: the odds, the regret, the front, and where costs cross."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from advisor.decide.evidence import Contest
from advisor.stats import gain_of_more, redrawn_means
from advisor.verdict import BreakEven, Chance, Flip, MoreRows, Outlook, Policy, Standing


def outlook(
    held: Contest,
    lead: Standing,
    allowed: Sequence[Standing],
    policy: Policy,
    *,
    seed: int,
    more: int | None,
    flips: tuple[Flip, ...],
) -> Outlook:
    """Everything of `Outlook`; `allowed` are the contenders that may be used.

    `more`: the rows that would settle an open verdict; None asks what as many rows again
    would be worth. Means are redrawn `policy.bootstrap` times, from `seed`.
    """
    evidence = held.evidence
    running = list(allowed) if lead in allowed else [*allowed, lead]
    means = redrawn_means([evidence.credits[one.contender] for one in running], evidence.codes,
                          seed=seed, draws=policy.bootstrap)
    net = means - np.array([_price_in_answers(one, policy) for one in running])
    regret = float((net.max(axis=1) - net[:, running.index(lead)]).mean())
    best = np.bincount(net.argmax(axis=1), minlength=len(running)) / len(net)
    within = (net >= net.max(axis=1, keepdims=True) - policy.quality_margin).mean(axis=0)
    return Outlook(
        about=lead.contender,
        chances=tuple(sorted(
            (Chance(one.contender, float(share), float(near), utility(one, policy))
             for one, share, near in zip(running, best, within, strict=True)),
            key=lambda one: (-one.best, one.contender),
        )) if allowed else (),
        regret=regret,
        regret_usd=_in_usd(regret, policy),
        more=_more_rows(held, allowed, policy, more),
        front=front(allowed),
        break_even=tuple(break_even(one, other, policy)
                         for one, other in combinations(_by_price(allowed), 2)),
        flips=flips,
    )


def utility(one: Standing, policy: Policy) -> float | None:
    """Value of the correct answers less all costs over the horizon, in USD; None when the
    value of a correct answer was not said."""
    if policy.value_per_correct is None:
        return None
    calls = policy.calls_per_month * policy.horizon_months
    earned = policy.value_per_correct * one.quality.value
    return calls * (earned - one.cost.usd_per_1k_all_in / 1000)


def front(standings: Sequence[Standing]) -> tuple[str, ...]:
    """Those that nobody beats in both quality and all-in cost, cheapest first."""
    kept: list[Standing] = []
    for one in _by_price(standings):
        if not kept or one.quality.value > kept[-1].quality.value:
            kept.append(one)
    return tuple(one.contender for one in kept)


def break_even(one: Standing, other: Standing, policy: Policy) -> BreakEven:
    """From how many calls a month the one that is dearer at first is cheaper in all.

    (F_A - F_B) / (c_B - c_A) calls over the horizon, F being what does not grow with the
    calls and c the serving cost of a call. What F buys anew follows churn, not volume.
    """
    first, later = sorted((one, other), key=lambda who: (who.cost.fixed_usd, who.cost.usd_per_1k))
    saved = (first.cost.usd_per_1k - later.cost.usd_per_1k) / 1000
    if saved <= 0:
        return BreakEven(first.contender, later.contender, None)
    calls = (later.cost.fixed_usd - first.cost.fixed_usd) / saved
    return BreakEven(first.contender, later.contender, calls / policy.horizon_months)


def _by_price(standings: Sequence[Standing]) -> list[Standing]:
    return sorted(standings, key=lambda one: (one.cost.usd_per_1k_all_in, -one.quality.value,
                                              one.contender))


def _price_in_answers(one: Standing, policy: Policy) -> float:
    if policy.value_per_correct is None:
        return 0.0
    return one.cost.usd_per_1k_all_in / 1000 / policy.value_per_correct


def _in_usd(points: float, policy: Policy) -> float | None:
    if policy.value_per_correct is None:
        return None
    return points * policy.value_per_correct * policy.calls_per_month * policy.horizon_months


def _more_rows(
    held: Contest, allowed: Sequence[Standing], policy: Policy, more: int | None
) -> MoreRows | None:
    """What more rows are worth for telling the two best apart, net."""
    order = sorted(allowed, key=lambda one: _price_in_answers(one, policy) - one.quality.value)
    if len(order) < 2:
        return None
    first, second = order[:2]
    gap = held.gap(first, second)
    ahead = gap.interval.value - _price_in_answers(first, policy)
    ahead += _price_in_answers(second, policy)
    rows = more or gap.interval.n
    # Rows take away the doubt of the items; that of the seeds stays.
    items = float(np.sqrt(max(0.0, gap.error**2 - gap.between**2)))
    points = gain_of_more(ahead, items, rows=gap.interval.n, more=rows)
    seconds = sum(one.cost.seconds_per_call for one in held.evidence.standings)
    price = rows * (policy.usd_per_label + seconds * policy.usd_per_machine_hour / 3600)
    calls = policy.calls_per_month * policy.horizon_months
    return MoreRows(
        rows=rows,
        points=points,
        usd=_in_usd(points, policy),
        price_usd=price,
        worth_from=price / (points * calls) if points > 1e-9 else None,
    )
