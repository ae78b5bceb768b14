"""Flips: for each number the advice rests on, where the advice becomes another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log

from advisor.decide.evidence import Contest
from advisor.measures.standing import under
from advisor.verdict import Flip, Policy

Answer = Callable[[Contest, Policy], str]
STEPS = 24  # to each side; a change that is undone between two steps is not seen
HALVINGS = 14  # a change is then known to better than 0.1% of the searched range's step


@dataclass(frozen=True, slots=True)
class Knob:
    """One number of the policy: its name on the command line, and where it is searched.

    `ratio` searches in proportion (`low` and `high` are factors of the present value);
    otherwise `low` to `high` is the range itself.
    """

    name: str
    unit: str
    field: str
    low: float
    high: float
    ratio: bool


KNOBS = (
    Knob("price.machine_hour", "USD", "usd_per_machine_hour", 1e-3, 1e3, True),
    Knob("price.tokens", "times the endpoints' prices", "token_price", 1e-3, 1e3, True),
    Knob("volume", "calls a month", "calls_per_month", 1e-4, 1e4, True),
    Knob("churn", "of the facts a month", "churn_per_month", 0.0, 1.0, False),
    Knob("margin", "points of quality", "quality_margin", 0.0, 0.5, False),
    Knob("retention_margin", "points of retention", "retention_margin", 0.0, 0.5, False),
    Knob("latency", "ms", "latency_limit_ms", 0.0, inf, False),
    Knob("value", "USD a correct answer", "value_per_correct", 1e-9, 1e3, False),
)


def flips(held: Contest, policy: Policy, answer: Answer) -> tuple[Flip, ...]:
    """For each knob the nearest value at which `answer` differs from today's; for the price
    of tokens only where somebody pays it.

    All other numbers stay. The search is by steps and halving, so a change that is undone
    within one step is missed; the limit of latency is tried at every measured p95.
    """
    today = answer(held, policy)
    by_token = any(one.cost.usd_tokens for one in held.evidence.standings)
    return tuple(_flip(held, policy, knob, answer, today) for knob in KNOBS
                 if by_token or knob.field != "token_price")


def rules(policy: Policy, knob: Knob, value: float) -> Policy:
    """The policy with this one number changed."""
    changes: dict[str, float] = {knob.field: value}
    return replace(policy, **changes)  # type: ignore[arg-type]


def _flip(held: Contest, policy: Policy, knob: Knob, answer: Answer, today: str) -> Flip:
    now: float | None = getattr(policy, knob.field)

    def at(value: float) -> str:
        other = rules(policy, knob, value)
        standings = tuple(under(one, other) for one in held.evidence.standings)
        return answer(held.again(standings), other)

    paths = _paths(held, knob, now)
    exact = knob.name == "latency"
    found = [hit for path in paths if (hit := _first(path, at, today, exact=exact))]
    span = [value for path in paths for value in path]
    searched = (min(span, default=0.0), max(span, default=0.0))
    if not found:
        return Flip(knob.name, knob.unit, now, None, today, searched)
    reference = now if now is not None else searched[1]
    value, becomes = min(found, key=lambda hit: _distance(hit[0], reference))
    return Flip(knob.name, knob.unit, now, value, becomes, searched)


def _paths(held: Contest, knob: Knob, now: float | None) -> list[Sequence[float]]:
    """The values to try, from today's outwards, downwards and upwards."""
    if knob.name == "latency":
        tried = sorted({one.cost.p95_ms for one in held.evidence.standings})
        limit = inf if now is None else now
        # A limit a hair below a p95 bars it; one at it admits it.
        return [[value * (1 - 1e-9) for value in reversed(tried) if value <= limit],
                [value for value in tried if value > limit]]
    if knob.ratio:
        assert now is not None, "a number that is searched in proportion is always said"
        return [_geometric(now, now * end) for end in (knob.low, knob.high)]
    if knob.name == "value":
        if now is None:
            return [_geometric(knob.high, knob.low)]
        return [_geometric(now, knob.low), _geometric(now, knob.high)]
    assert now is not None, "a share is always said"
    return [_even(now, knob.low), _even(now, knob.high)]


def _geometric(start: float, end: float) -> list[float]:
    return [*(start * exp(log(end / start) * step / STEPS) for step in range(STEPS)), end]


def _even(start: float, end: float) -> list[float]:
    return [*(start + (end - start) * step / STEPS for step in range(STEPS)), end]


def _first(
    path: Sequence[float], at: Callable[[float], str], today: str, *, exact: bool
) -> tuple[float, str] | None:
    """The first value along the path with another answer, narrowed down by halving."""
    before = path[0] if path else 0.0
    for value in path:
        became = at(value)
        if became == today:
            before = value
            continue
        if exact or value == before:
            return value, became
        for _ in range(HALVINGS):
            middle = (before + value) / 2
            seen = at(middle)
            if seen == today:
                before = middle
            else:
                value, became = middle, seen
        return value, became
    return None


def _distance(value: float, reference: float) -> float:
    if value <= 0 or reference <= 0:
        return abs(value - reference)
    return abs(log(value / reference))
