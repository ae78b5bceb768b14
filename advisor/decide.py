"""Standings and paired credits in, a verdict out. Pure: no clock, no model, no files.

The rule, with alpha and the margin from the policy:

1. In the running are the contenders that nothing bars, that are not the floor, and that
   beat the floor measurably (one-sided, Holm-adjusted). If there is none: none_feasible.
2. A contender is *sound* when it is shown to lose less than the margin to every other in
   the running: the largest of its one-sided p-values, Holm-adjusted over the finalists.
   Between two of the same price (within 10%) the one with the higher observed quality
   need show nothing, as long as the loss it risks on average is within the margin: one
   of the two must be bought, and neither choice saves money.
3. A contender is *measurably worse* when the best is shown to be better at all (one-sided,
   Holm-adjusted) and it is not sound: what it saves is paid for with quality really lost.
4. The winner is the cheapest sound contender, all costs included, or the best sound one
   of the same price. If a cheaper one is neither sound nor measurably worse, or if none
   is sound: cannot_tell, with the pair that has to be told apart.

Answers that failed leave a pair of contenders with fewer shared rows; the policy's limit
on failures keeps that share small, and a contender beyond it is barred.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from scipy.stats import norm

from advisor import reasons
from advisor.core import Comparison, Outcome, Policy, Standing, Verdict
from advisor.errors import AdvisorError
from advisor.stats import (
    Difference,
    compare,
    detectable,
    holm,
    p_greater,
    p_less,
    redrawn_means,
    rows_to_decide,
)

SAME_PRICE = 1.10  # measured seconds of repeated runs differ by about this much


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict is made from.

    `credits` maps each contender to question id and credit (0..1; failed answers are
    absent), `groups` a question id to its source. `floor` names the contender that any
    other must beat, or is None. `final` is False for a limited run and
    for one in which a contender could not be measured.
    """

    credits: Mapping[str, Mapping[str, float]]
    groups: Mapping[str, str]
    standings: tuple[Standing, ...]
    floor: str | None
    final: bool


Gaps = Mapping[tuple[str, str], Difference]


@dataclass(frozen=True, slots=True)
class _Choice:
    """Who leads; `pair` is what has to be told apart, None when the choice is made."""

    lead: Standing
    pair: tuple[Standing, Standing] | None


def decide(evidence: Evidence, policy: Policy, *, seed: int) -> Verdict:
    """Which contender to use, whether the data can tell, and what to do next.

    `seed` draws the redraws of the test rows that say how stable a winner is; the outcome
    does not depend on it. Raises AdvisorError when standings and credits do not match.
    """
    _check(evidence)
    table = sorted(evidence.standings, key=_price)
    allowed = [one for one in table if not one.barred_by and one.contender != evidence.floor]
    able = _above_floor(evidence, allowed, policy)
    if not able:
        return _infeasible(evidence, allowed, policy)
    gaps = {
        (one.contender, other.contender): _gap(evidence, one, other, policy)
        for one, other in permutations(able, 2)
    }
    choice = _choose(able, gaps, policy)
    level = policy.alpha / max(1, len(able) - 1)
    listed = _comparisons(evidence, choice, policy, level=level)
    if choice.pair:
        said = reasons.undecided(choice.lead, choice.pair, listed, policy)
        return _verdict(evidence, "cannot_tell", said, listed)
    means = redrawn_means(
        [evidence.credits[one.contender] for one in able],
        evidence.groups,
        seed=seed,
        draws=policy.bootstrap,
    )
    mine = means[:, able.index(choice.lead)]
    kept = float((mine >= means.max(axis=1) - policy.quality_margin).mean())
    said = reasons.recommended(evidence.standings, choice.lead, listed, policy,
                               floor=evidence.floor, kept=kept)
    return _verdict(evidence, "recommend", said, listed, winner=choice.lead.contender)


def _price(standing: Standing) -> tuple[float, str]:
    return standing.cost.usd_per_1k_all_in, standing.contender


def _check(evidence: Evidence) -> None:
    names = [one.contender for one in evidence.standings]
    if not names or len(set(names)) != len(names):
        raise AdvisorError(
            f"a verdict needs each contender once, found: {', '.join(names) or 'none'}",
            fix="pass one standing a contender",
        )
    if evidence.floor is not None and evidence.floor not in names:
        raise AdvisorError(
            f"the floor {evidence.floor!r} is not among {', '.join(names)}",
            fix="run the floor too, or name none",
        )
    for one in evidence.standings:
        found = len(evidence.credits.get(one.contender, {}))
        expected = one.counts.asked - one.counts.failed
        if found != expected or not found:
            raise AdvisorError(
                f"{one.contender}: credits for {found} rows, the table says {expected}",
                fix="take credits and standings from the same trials",
            )


def _gap(evidence: Evidence, one: Standing, other: Standing, policy: Policy) -> Difference:
    mine, theirs = evidence.credits[one.contender], evidence.credits[other.contender]
    shared = mine.keys() & theirs.keys()
    return compare(
        {key: mine[key] for key in shared},
        {key: theirs[key] for key in shared},
        groups=evidence.groups,
        alpha=policy.alpha,
    )


def _above_floor(
    evidence: Evidence, allowed: Sequence[Standing], policy: Policy
) -> Sequence[Standing]:
    floor = next((one for one in evidence.standings if one.contender == evidence.floor), None)
    if floor is None:
        return allowed
    chances = holm([p_greater(_gap(evidence, one, floor, policy), 0) for one in allowed])
    return [one for one, chance in zip(allowed, chances, strict=True) if chance <= policy.alpha]


def _choose(able: Sequence[Standing], gaps: Gaps, policy: Policy) -> _Choice:
    """Rules 2 to 4; `able` ascends in price."""
    best = max(able, key=lambda one: one.quality.value)
    others = [one for one in able if one is not best]
    chances = holm([p_greater(gaps[best.contender, one.contender], 0) for one in others])
    worse = {
        one.contender for one, chance in zip(others, chances, strict=True) if chance <= policy.alpha
    }
    risks = {one.contender: _risk(one, able, gaps, policy.quality_margin) for one in able}
    finalists = [
        one for one in able if one.contender not in worse or risks[one.contender][0] <= policy.alpha
    ]
    adjusted = holm([risks[one.contender][0] for one in finalists])
    sound = [one for one, p in zip(finalists, adjusted, strict=True) if p <= policy.alpha]
    winner = _best_of_price(sound) if sound else None
    unsettled = [
        one
        for one in finalists
        if winner and one not in sound and one.contender not in worse
        if _price(one) < _price(winner) and not _same_price(one, winner)
    ]
    if winner and not unsettled:
        return _Choice(winner, None)
    enough = best.quality.value - policy.quality_margin
    lead = _best_of_price([one for one in finalists if one.quality.value >= enough])
    stuck = max(unsettled, key=lambda one: one.quality.value) if unsettled else lead
    return _Choice(lead, (stuck, risks[stuck.contender][1]))


def _risk(
    one: Standing, able: Sequence[Standing], gaps: Gaps, margin: float
) -> tuple[float, Standing]:
    """The p-value of "it loses the margin or more to somebody", and to whom."""
    worst, rival = 0.0, one
    for other in able:
        if other is one:
            continue
        gap = gaps[one.contender, other.contender]
        ahead = gap.interval.value >= 0 and _same_price(one, other)
        chance = 0.0 if ahead and _expected_loss(gap) <= margin else p_greater(gap, -margin)
        if chance >= worst:
            worst, rival = chance, other
    return worst, rival


def _expected_loss(gap: Difference) -> float:
    """What is lost on average if the other is better after all: s phi(m/s) - m Phi(-m/s)."""
    if gap.error == 0:
        return 0.0
    ratio = gap.interval.value / gap.error
    return float(gap.error * norm.pdf(ratio) - gap.interval.value * norm.cdf(-ratio))


def _same_price(one: Standing, other: Standing) -> bool:
    low, high = sorted((_price(one)[0], _price(other)[0]))
    return high <= SAME_PRICE * low


def _best_of_price(ascending: Sequence[Standing]) -> Standing:
    peers = [one for one in ascending if _same_price(ascending[0], one)]
    return max(peers, key=lambda one: one.quality.value)


def _comparisons(
    evidence: Evidence, choice: _Choice, policy: Policy, *, level: float
) -> tuple[Comparison, ...]:
    """The lead against everyone else, and the pair that blocks."""
    pairs = [(choice.lead, one) for one in evidence.standings if one is not choice.lead]
    if choice.pair and choice.lead not in choice.pair:
        pairs.append(choice.pair)
    return tuple(_comparison(evidence, pair, policy, level=level) for pair in pairs)


def _comparison(
    evidence: Evidence, pair: tuple[Standing, Standing], policy: Policy, *, level: float
) -> Comparison:
    gap = _gap(evidence, *pair, policy)
    return Comparison(
        contender=pair[0].contender,
        against=pair[1].contender,
        difference=gap.interval,
        method=gap.method,
        p_value=gap.p_value,
        detectable=detectable(gap),
        rows_to_decide=_rows(gap, policy.quality_margin, level),
    )


def _rows(gap: Difference, margin: float, level: float) -> int | None:
    """Rows until it is shown either to lose less than the margin or to be worse at all."""
    if p_greater(gap, -margin) <= level or p_less(gap, 0) <= level:
        return None
    ways = [rows_to_decide(gap, -margin, level=level)] if gap.interval.value > -margin else []
    ways += [rows_to_decide(gap, 0, level=level)] if gap.interval.value < 0 else []
    return min((rows for rows in ways if rows is not None), default=None)


def _infeasible(evidence: Evidence, allowed: Sequence[Standing], policy: Policy) -> Verdict:
    """Nobody may be used: barred one and all, or no better than the floor."""
    runners = [one for one in evidence.standings if one.contender != evidence.floor]
    best = max(allowed or runners or evidence.standings, key=lambda one: one.quality.value)
    listed = _comparisons(evidence, _Choice(best, None), policy, level=policy.alpha)
    beaten = next((one for one in listed if one.against == evidence.floor), None)
    said = reasons.infeasible(runners, best, beaten if allowed else None)
    return _verdict(evidence, "none_feasible", said, listed)


def _verdict(
    evidence: Evidence,
    outcome: Outcome,
    said: reasons.Said,
    comparisons: tuple[Comparison, ...],
    *,
    winner: str | None = None,
) -> Verdict:
    because, step = reasons.limited(said) if not evidence.final else said
    return Verdict(
        outcome=outcome,
        winner=winner,
        because=because[:reasons.SENTENCES],
        next_step=step,
        standings=evidence.standings,
        comparisons=comparisons,
        final=evidence.final,
    )
