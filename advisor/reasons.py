"""Why a verdict is what it is and what to do next, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from advisor.verdict import Comparison, Flip, Forgetting, Outlook, Policy, Standing

SENTENCES = 6
FINDS_ENOUGH = 0.8  # a retriever below this is told to be the thing to repair first

# The reasons, the most important first, and the next step.
Said = tuple[tuple[str, ...], str]


def limited(said: Said) -> Said:
    """The same about a run that was cut short."""
    because, step = said
    warning = "This run was limited or incomplete and is not final."
    return (*because[: SENTENCES - 1], warning), f"Run it in full before acting on it. {step}"


def _retrieval(standings: Sequence[Standing]) -> str:
    """What to repair first when the best reader is seldom given the right document."""
    readers = [one for one in standings if "retrieved" in one.parts]
    best = max(readers, key=lambda one: one.parts["retrieved"].value, default=None)
    if best is None or best.parts["retrieved"].high >= FINDS_ENOUGH:
        return ""
    share = best.parts["retrieved"].value
    return (f" {best.contender} is given a document that holds the answer for {share:.0%} of the "
            "rows: repair retrieval before tuning.")


def infeasible(
    runners: Sequence[Standing], best: Standing, beaten: Comparison | None
) -> Said:
    """`beaten`: the best that nothing bars, against the floor; None if all are barred."""
    barred = [one for one in runners if one.barred_by]
    because = [f"{one.contender} is barred: {'; '.join(one.barred_by)}." for one in barred]
    if len(because) > SENTENCES - 2:
        because = [*because[: SENTENCES - 3], f"{len(because) - SENTENCES + 3} more are barred."]
    if beaten is not None:
        because = [
            f"Nothing beats always answering as {beaten.against} does: "
            f"{beaten.difference.n} rows do not show a gain.",
            _told(beaten),
            *because,
        ]
        return tuple(because), _beat_step(beaten) + _retrieval(runners)
    if not runners:
        return ("Nothing but the floor was measured.",), "Add a contender and run again."
    first = f"The best of them, {_scored(best)}, may not be used either."
    return (first, *because), _bar_step(best) + _retrieval(runners)


def _beat_step(pair: Comparison) -> str:
    if pair.difference.value > 0 and pair.rows_to_decide:
        return f"Test on about {pair.rows_to_decide:,} rows, or try a stronger contender."
    return (
        "Check the instruction and the accepted answers, then try a larger model or more examples."
    )


def _bar_step(best: Standing) -> str:
    first = best.barred_by[0]
    if first.startswith("forgetting cannot be judged"):
        advice = "name retention suites that the base model answers better than by guessing"
    elif first.startswith("forgetting inconclusive"):
        advice = "measure retention on more items, or raise weights.rehearsal"
    elif first.startswith("forgetting"):
        advice = "raise weights.rehearsal, or tune more gently (lower learning rate, fewer steps)"
    elif first.startswith("p95"):
        advice = "shorten its prompt, use a faster machine, or raise the latency limit"
    else:
        advice = "look at its failures, repair their cause and run again"
    return f"Nearest is {best.contender}: {advice}."


def recommended(
    standings: Sequence[Standing],
    winner: Standing,
    listed: Sequence[Comparison],
    policy: Policy,
    *,
    floor: str | None,
    outlook: Outlook,
) -> Said:
    """Quality, runner-up, zero-shot and floor, forgetting, cost, barred: in that order; the
    next step says how near the advice is to another."""
    others = {one.against: one for one in listed}
    table = {one.contender: one for one in standings}
    free = [one for one in table.values() if not one.barred_by and one.contender in others]
    rivals = [one for one in free if one.contender != floor]
    second = max(rivals, key=lambda one: one.quality.value, default=None)
    plain = next((one for one in table.values() if _zero_shot(one) and one is not winner), None)
    names = [second.contender if second else None, plain.contender if plain else None]
    compared = [others[name] for name in dict.fromkeys([*names, floor]) if name]
    near = f"within {policy.quality_margin * 100:.1f} points of the best that may be used"
    kept = next(one.within for one in outlook.chances if one.contender == winner.contender)
    stable = f"; in {kept:.0%} of redraws of the rows it is {near}" if rivals else ""
    reasons = [f"{_scored(winner)}{stable}."]
    reasons += [_told(one) for one in compared[:1]]
    if compared[1:]:
        reasons.append(" ".join(_told(one) for one in compared[1:]))
    reasons.append(_forgotten(winner))
    rival = f", against {_usd(second)} for {second.contender}" if second else ""
    reasons.append(f"It costs {_usd(winner)} per 1,000 calls with preparation{rival}.")
    better = [one for one in table.values() if one.quality.value > winner.quality.value]
    for one in sorted(better, key=lambda one: -one.quality.value):
        if one.barred_by:
            reasons.append(f"{_scored(one)}, but is barred: {'; '.join(one.barred_by)}.")
    step = f"Ship {winner.contender}; measure again when questions, documents or prices change."
    step += _retrieval(standings)
    return tuple(reasons), step + first_change(outlook)


def first_change(outlook: Outlook) -> str:
    """The sentence about the nearest flip that ends a next step; empty where none is near."""
    found = nearest(outlook)
    return f" The advice changes first {flip_words(found)} ({found.parameter})." if found else ""


def nearest(outlook: Outlook) -> Flip | None:
    """The flip of least proportion within a factor of ten, or None."""
    found = [(abs(log(one.at / one.now)), one) for one in outlook.flips
             if one.now and one.at and one.now > 0 and one.at > 0]
    size, flip = min(found, key=lambda pair: pair[0], default=(log(10), None))
    return flip if size < log(10) else None


def flip_words(flip: Flip) -> str:
    """`below 1,200 calls a month: then rag`; for one that changes nothing, where it was tried."""
    if flip.at is None:
        low, high = (flip_number(flip, value) for value in flip.searched)
        return f"nowhere from {low} to {high} {flip.unit}"
    # Without a number of today's, the search came down from the largest.
    side = "below" if flip.now is None or flip.at < flip.now else "above"
    becomes = _BECOMES.get(flip.becomes, flip.becomes)
    return f"{side} {flip_number(flip, flip.at)} {flip.unit}: then {becomes}"


def flip_number(flip: Flip, value: float) -> str:
    """The number in the unit that it is told in: points for shares that are margins."""
    told = value * 100 if flip.unit.startswith("points") else value
    return f"{told:,.0f}" if told >= 1000 else f"{told:.3g}"


_BECOMES = {"cannot_tell": "the data cannot tell", "none_feasible": "none may be used"}


def undecided(
    lead: Standing,
    pair: tuple[Standing, Standing],
    listed: Sequence[Comparison],
    policy: Policy,
    *,
    outlook: Outlook,
    able: Sequence[Standing],
) -> Said:
    """Who leads, and what stands between `pair`, which has to be told apart."""
    one, other = pair
    sides = {one.contender, other.contender}
    seen = next(found for found in listed if {found.contender, found.against} == sides)
    margin = f"{policy.quality_margin * 100:.1f} points"
    because = [
        f"{_scored(lead)}, and leads: the cheapest within {margin} of the best so far.",
        f"Whether {one.contender} loses more than {margin} to {other.contender} is open.",
        _told(seen),
        f"These {seen.difference.n} rows would have shown a true difference of "
        f"{seen.detectable * 100:.1f} points or more, four times in five.",
        f"With preparation, 1,000 calls cost {_usd(one)} with {one.contender} and "
        f"{_usd(other)} with {other.contender}.",
    ]
    if seen.rows_to_decide is None:
        step = (
            f"More rows are not likely to decide it; choose {lead.contender} if the price matters, "
            "or set a wider quality_margin and run again."
        )
        return tuple(because), step + _retrieval(able)
    more = seen.rows_to_decide - seen.difference.n
    step = f"Add about {more:,} test rows to tell {' and '.join(sorted(sides))} apart, and run " \
           f"again; until then {lead.contender} leads."
    worth = outlook.more.worth_from if outlook.more else None
    if worth is not None and policy.usd_per_label:
        step = f"{step} They pay if a correct answer is worth USD {worth:.2g} or more."
    return tuple(because), step + _retrieval(able)


def _zero_shot(one: Standing) -> bool:
    """Whether it is the bare instruction, as the recipe's four choices spell it."""
    spelt = (one.axes.get("prompt"), one.axes.get("retrieval"), one.axes.get("weights"))
    return spelt == ("zero-shot", "none", "base")


def _scored(one: Standing) -> str:
    seen = one.quality
    figures = f"{seen.low * 100:.1f} to {seen.high * 100:.1f}, {seen.n} rows"
    return f"{one.contender} earns {seen.value * 100:.1f} of 100 points ({figures})"


def _told(pair: Comparison) -> str:
    seen = pair.difference
    return (
        f"On the same {seen.n} rows {pair.contender} earns {abs(seen.value) * 100:.1f} points "
        f"{'less' if seen.value < 0 else 'more'} than {pair.against} "
        f"(between {_side(seen.low)} and {_side(seen.high)})."
    )


def _side(value: float) -> str:
    return f"{abs(value) * 100:.1f} {'less' if value < 0 else 'more'}"


def _forgotten(one: Standing) -> str:
    if not isinstance(one.forgetting, Forgetting):
        return "Its weights are the untouched base, so it has forgotten nothing."
    pooled = one.forgetting.pooled
    limit = f", limit {pooled.margin * 100:.1f}" if pooled.margin is not None else ""
    moved = "loses" if pooled.drop.value >= 0 else "gains"
    return (
        f"Elsewhere it {moved} {abs(pooled.drop.value) * 100:.1f} points of accuracy "
        f"(at most {pooled.upper * 100:.1f} lost{limit})."
    )


def _usd(one: Standing) -> str:
    price = one.cost.usd_per_1k_all_in
    return f"USD {price:,.2f}" if price >= 1 else f"USD {price:.4f}"
