"""What each factor of a factorial run adds, alone and beside the others.

A cell is a contender that is made of some of the factors; a factorial has every combination.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from advisor.stats import difference
from advisor.stats.spread import Codes, Floats
from advisor.verdict import Effect, Effects, Interaction, Measure

Cells = Mapping[frozenset[str], Floats]


def effects(
    cells: Mapping[str, tuple[str, ...]], credits: Mapping[str, Floats], codes: Codes, *,
    alpha: float, margin: float,
) -> Effects | None:
    """Main effects and interactions over the items that every cell answered; None where a
    combination is missing.

    `cells` maps contenders to their factors, `credits` to seeds x items; several seeds count
    as their mean. Differences smaller than `margin` (0..1) do not matter.
    """
    found = {frozenset(on): credits[name].mean(axis=0) for name, on in cells.items()
             if name in credits}
    factors = sorted(frozenset().union(*found)) if found else []
    if not factors or len(found) < 2 ** len(factors):
        return None
    kept = np.isfinite(np.stack(list(found.values()))).all(axis=0)
    if not kept.any():
        return None
    table = {on: values[kept] for on, values in found.items()}
    numbers: Codes = np.unique(codes[kept], return_inverse=True)[1]

    def apart(more: Floats, less: Floats) -> Measure:
        return difference(more[None], less[None], numbers, alpha=alpha).interval

    none = table[frozenset()]
    return Effects(
        factors=tuple(
            Effect(one, apart(table[frozenset([one])], none),
                   apart(_mean(table, factors, one, on=True), _mean(table, factors, one, on=False)))
            for one in factors
        ),
        interactions=tuple(_interaction(table, pair, numbers, alpha=alpha, margin=margin)
                           for pair in combinations(factors, 2)),
        rows=int(kept.sum()),
    )


def _mean(table: Cells, factors: Sequence[str], factor: str, *, on: bool) -> Floats:
    """The mean over all combinations of the other factors."""
    assert factor in factors
    mean: Floats = np.mean([values for made, values in table.items() if (factor in made) == on],
                           axis=0)
    return mean


def _interaction(
    table: Cells, pair: tuple[str, str], codes: Codes, *, alpha: float, margin: float
) -> Interaction:
    one, other = pair
    none, first, second, both = (
        table[frozenset(on)] for on in ((), (one,), (other,), (one, other)))

    def apart(more: Floats, less: Floats) -> Measure:
        return difference(more[None], less[None], codes, alpha=alpha).interval

    # Halved, so that an item's difference stays within -1 and 1 as the interval supposes.
    half = apart((both + none) / 2, (first + second) / 2)
    beyond = replace(half, value=2 * half.value, low=2 * half.low, high=2 * half.high)
    return Interaction(pair, apart(first, none), apart(second, none), apart(both, none), beyond,
                       _reading(beyond, margin))


def _reading(beyond: Measure, margin: float) -> str:
    if beyond.high < 0:
        return "they overlap"
    if beyond.low > 0:
        return "they strengthen each other"
    if -margin <= beyond.low and beyond.high <= margin:
        return "they add up"
    return "too few rows to tell whether they add up"
