"""Standings and paired credits in, a verdict out. Pure: no clock, no model, no files.

The rule, with alpha and the margin from the policy. Where the policy says what a correct
answer is worth, *net* quality is quality less what a call costs, all included, in correct
answers (cost per call / value of a correct answer); where it does not, net is quality.

1. In the running are the contenders that nothing bars, that are not the floor, and that
   beat the floor measurably in quality (one-sided, Holm-adjusted). If there is none:
   none_feasible.
2. A contender is *sound* when it is shown to lose less than the margin, net, to every other
   in the running: the largest of its one-sided p-values, Holm-adjusted over the finalists.
   Between two of the same price (within 10%) the one with the higher observed quality
   need show nothing, as long as the loss it risks on average is within the margin: one
   of the two must be bought, and neither choice saves money.
3. A contender is *measurably worse* when the best, net, is shown to be better at all
   (one-sided, Holm-adjusted) and it is not sound. The finalists are the others.
4. The winner is the cheapest sound contender, all costs included, or the best sound one
   of the same price. If a cheaper one is neither sound nor measurably worse, or if none
   is sound: cannot_tell, with the pair that has to be told apart.

With several seeds a contender, all of this is about the recipes: the differences hold the
luck of the seeds too. With one seed it is about the systems that were measured.

Answers that failed leave a pair of contenders with fewer shared rows; the policy's limit
on failures keeps that share small, and a contender beyond it is barred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advisor import reasons
from advisor.decide.evidence import Contest, Evidence, contest
from advisor.decide.flips import flips
from advisor.decide.outlook import outlook
from advisor.stats import Difference, detectable, expected_gain, holm, p_greater, p_less
from advisor.stats import rows_to_decide as rows_needed
from advisor.verdict import Comparison, Outcome, Outlook, Policy, Standing, Verdict

SAME_PRICE = 1.10  # measured seconds of repeated runs differ by about this much


@dataclass(frozen=True, slots=True)
class Choice:
    """Who leads, None when nobody may be used; `pair` is what has to be told apart, None
    when the choice is made. `able` are those in the running, ascending in price, and
    `allowed` those that nothing bars."""

    lead: Standing | None
    pair: tuple[Standing, Standing] | None
    able: tuple[Standing, ...]
    allowed: tuple[Standing, ...]

    @property
    def outcome(self) -> Outcome:
        if self.lead is None:
            return "none_feasible"
        return "cannot_tell" if self.pair else "recommend"

    @property
    def answer(self) -> str:
        """The winner's name, or the outcome without one."""
        return self.lead.contender if self.lead and not self.pair else self.outcome


def decide(evidence: Evidence, policy: Policy, *, seed: int) -> Verdict:
    """Which contender to use, whether the data can tell, and what to do next.

    `seed` draws the redraws of rows and seeds that say how stable a winner is; the outcome
    does not depend on it. Raises AdvisorError when standings and credits do not match.
    """
    held = contest(evidence, alpha=policy.alpha)
    choice = choose(held, policy)
    if choice.lead is None:
        return _infeasible(held, choice, policy)
    level = policy.alpha / max(1, len(choice.able) - 1)
    listed = _comparisons(held, choice.lead, choice.pair, policy, level=level)
    seen = outlook(
        held, choice.lead, choice.allowed, policy, seed=seed, more=_more(listed, choice),
        flips=flips(held, policy, lambda other, rules: choose(other, rules).answer),
    )
    if choice.pair:
        said = reasons.undecided(choice.lead, choice.pair, listed, policy, outlook=seen,
                                 able=choice.able)
        return _verdict(evidence, "cannot_tell", said, listed, seen)
    said = reasons.recommended(evidence.standings, choice.lead, listed, policy,
                               floor=evidence.floor, outlook=seen)
    return _verdict(evidence, "recommend", said, listed, seen)


def choose(held: Contest, policy: Policy) -> Choice:
    """The rule above, without the words."""
    evidence = held.evidence
    table = sorted(evidence.standings, key=_price)
    allowed = [one for one in table if not one.barred_by and one.contender != evidence.floor]
    able = _above_floor(held, allowed, policy)
    if not able:
        return Choice(None, None, (), tuple(allowed))
    lead, pair = _choose(held, able, policy)
    return Choice(lead, pair, tuple(able), tuple(allowed))


def _price(standing: Standing) -> tuple[float, str]:
    return standing.cost.usd_per_1k_all_in, standing.contender


def _saved(one: Standing, other: Standing, policy: Policy) -> float:
    """What a call of `one` saves against `other`, in correct answers (0..1 a call)."""
    if policy.value_per_correct is None:
        return 0.0
    per_call = (_price(other)[0] - _price(one)[0]) / 1000
    return per_call / policy.value_per_correct


def _net(one: Standing, policy: Policy) -> float:
    if policy.value_per_correct is None:
        return one.quality.value
    return one.quality.value - _price(one)[0] / 1000 / policy.value_per_correct


def _above_floor(
    held: Contest, allowed: Sequence[Standing], policy: Policy
) -> Sequence[Standing]:
    name = held.evidence.floor
    floor = next((one for one in held.evidence.standings if one.contender == name), None)
    if floor is None:
        return allowed
    chances = holm([held.p_greater(one, floor, 0.0) for one in allowed])
    return [one for one, chance in zip(allowed, chances, strict=True) if chance <= policy.alpha]


def _choose(
    held: Contest, able: Sequence[Standing], policy: Policy
) -> tuple[Standing, tuple[Standing, Standing] | None]:
    """Rules 2 to 4; `able` ascends in price."""
    best = max(able, key=lambda one: _net(one, policy))
    others = [one for one in able if one is not best]
    chances = holm([held.p_greater(best, one, -_saved(best, one, policy)) for one in others])
    worse = {
        one.contender for one, chance in zip(others, chances, strict=True) if chance <= policy.alpha
    }
    risks = {one.contender: _risk(held, one, able, policy) for one in able}
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
        return winner, None
    enough = _net(best, policy) - policy.quality_margin
    lead = _best_of_price([one for one in finalists if _net(one, policy) >= enough])
    stuck = max(unsettled, key=lambda one: _net(one, policy)) if unsettled else lead
    return lead, (stuck, risks[stuck.contender][1])


def _risk(
    held: Contest, one: Standing, able: Sequence[Standing], policy: Policy
) -> tuple[float, Standing]:
    """The p-value of "it loses the margin or more, net, to somebody", and to whom."""
    worst, rival, margin = 0.0, one, policy.quality_margin
    for other in able:
        if other is one:
            continue
        gap = held.gap(one, other)
        ahead = gap.interval.value >= 0 and _same_price(one, other)
        if ahead and expected_gain(gap.interval.value, gap.error) <= margin:
            chance = 0.0
        else:
            chance = held.p_greater(one, other, -margin - _saved(one, other, policy))
        if chance >= worst:
            worst, rival = chance, other
    return worst, rival


def _same_price(one: Standing, other: Standing) -> bool:
    low, high = sorted((_price(one)[0], _price(other)[0]))
    return high <= SAME_PRICE * low


def _best_of_price(ascending: Sequence[Standing]) -> Standing:
    peers = [one for one in ascending if _same_price(ascending[0], one)]
    return max(peers, key=lambda one: one.quality.value)


def _comparisons(
    held: Contest, lead: Standing, blocking: tuple[Standing, Standing] | None, policy: Policy,
    *, level: float,
) -> tuple[Comparison, ...]:
    """The lead against everyone else, and the pair that blocks."""
    pairs = [(lead, one) for one in held.evidence.standings if one is not lead]
    if blocking and lead not in blocking:
        pairs.append(blocking)
    return tuple(_comparison(held, pair, policy, level=level) for pair in pairs)


def _comparison(
    held: Contest, pair: tuple[Standing, Standing], policy: Policy, *, level: float
) -> Comparison:
    gap = held.gap(*pair)
    return Comparison(
        contender=pair[0].contender,
        against=pair[1].contender,
        difference=gap.interval,
        method=gap.method,
        p_value=gap.p_value,
        detectable=detectable(gap),
        rows_to_decide=_rows(gap, policy.quality_margin, _saved(*pair, policy), level),
    )


def _rows(gap: Difference, margin: float, saved: float, level: float) -> int | None:
    """Rows until it is shown either to lose less than the margin, net, or to be worse."""
    least = -margin - saved
    if p_greater(gap, least) <= level or p_less(gap, -saved) <= level:
        return None
    value = gap.interval.value
    ways = [rows_needed(gap, least, level=level)] if value > least else []
    ways += [rows_needed(gap, -saved, level=level)] if value < -saved else []
    return min((rows for rows in ways if rows is not None), default=None)


def _more(listed: Sequence[Comparison], choice: Choice) -> int | None:
    """How many rows more would settle what is open, None when nothing is."""
    if not choice.pair:
        return None
    sides = {one.contender for one in choice.pair}
    seen = next(one for one in listed if {one.contender, one.against} == sides)
    return None if seen.rows_to_decide is None else seen.rows_to_decide - seen.difference.n


def _infeasible(held: Contest, choice: Choice, policy: Policy) -> Verdict:
    """Nobody may be used: barred one and all, or no better than the floor."""
    evidence = held.evidence
    runners = [one for one in evidence.standings if one.contender != evidence.floor]
    best = max(choice.allowed or runners or evidence.standings,
               key=lambda one: one.quality.value)
    listed = _comparisons(held, best, None, policy, level=policy.alpha)
    beaten = next((one for one in listed if one.against == evidence.floor), None)
    said = reasons.infeasible(runners, best, beaten if choice.allowed else None)
    seen = outlook(
        held, best, choice.allowed, policy, seed=0, more=None,
        flips=flips(held, policy, lambda other, rules: choose(other, rules).answer),
    )
    return _verdict(evidence, "none_feasible", said, listed, seen)


def _verdict(
    evidence: Evidence,
    outcome: Outcome,
    said: reasons.Said,
    comparisons: tuple[Comparison, ...],
    seen: Outlook,
) -> Verdict:
    because, step = reasons.limited(said) if not evidence.final else said
    return Verdict(
        outcome=outcome,
        winner=seen.about if outcome == "recommend" else None,
        because=because[:reasons.SENTENCES],
        next_step=step,
        standings=evidence.standings,
        comparisons=comparisons,
        final=evidence.final,
        outlook=seen,
    )
