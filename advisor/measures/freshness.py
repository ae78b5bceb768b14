"""What changed facts do to a contender: answered anew, answered as they were, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from advisor.stats import measure
from advisor.trial import FreshAnswers, Freshness, IndexState
from advisor.verdict import Measure


@dataclass(frozen=True, slots=True)
class Fresh:
    """One state of the index in figures.

    `anew` and `stale` are the shares of changed facts whose answer is nearer the new answers
    than the old ones, and nearer the old ones; what is right in neither way is in neither
    (credits alone would not do: a unit that did not change earns some). `unchanged` is the
    mean credit on the other facts, or None when none was asked.
    """

    index: IndexState
    anew: Measure
    stale: Measure
    unchanged: Measure | None


def figures(found: Freshness, *, alpha: float) -> tuple[Fresh, ...]:
    """Every state of the index, each figure with its interval, clustered by source."""
    return tuple(_figures(one, found.groups, alpha) for one in found.answers if one.changed)


def stale_share(found: Freshness | None, index: IndexState) -> float | None:
    """The share of changed facts answered as they were; None where it was not measured."""
    if found is None:
        return None
    for one in found.answers:
        if one.index == index and one.changed:
            return sum(map(is_stale, one.changed.values())) / len(one.changed)
    return None


def is_stale(credits: tuple[float, float]) -> bool:
    """Whether an answer is nearer the old answers than the new ones."""
    new, old = credits
    return old > new


def _figures(one: FreshAnswers, groups: Mapping[str, str], alpha: float) -> Fresh:
    def mean(values: Mapping[str, float]) -> Measure:
        return measure(list(values.values()), [groups[row] for row in values], seed=0,
                       alpha=alpha)

    return Fresh(
        one.index,
        anew=mean({row: float(is_stale((old, new))) for row, (new, old) in one.changed.items()}),
        stale=mean({row: float(is_stale(pair)) for row, pair in one.changed.items()}),
        unchanged=mean(one.unchanged) if one.unchanged else None,
    )
