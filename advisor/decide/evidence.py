"""What a verdict is made from, and the paired differences that every question asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from advisor.errors import AdvisorError
from advisor.stats import Difference, difference, flipped, p_greater
from advisor.stats.spread import Codes, Floats
from advisor.verdict import Standing


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict is made from.

    `credits` maps each contender to an array, seeds x items, of credits 0..1, NaN where an
    answer failed; `codes` numbers each item's cluster. `floor` names the contender that any
    other must beat, or is None. `final` is False for a limited run and for one in which a
    contender could not be measured.
    """

    credits: Mapping[str, Floats]
    codes: Codes
    standings: tuple[Standing, ...]
    floor: str | None
    final: bool


@dataclass(frozen=True, slots=True)
class Contest:
    """The standings under one policy, with the difference of every two contenders.

    Differences rest on credits alone, so a contest under other prices or margins shares
    them, and the chances that were computed from them.
    """

    evidence: Evidence
    gaps: Mapping[tuple[str, str], Difference]
    chances: dict[tuple[str, str, float], float] = field(default_factory=dict)

    def gap(self, one: Standing, other: Standing) -> Difference:
        """`one` minus `other`, on the items that both have a credit for."""
        return self.gaps[one.contender, other.contender]

    def p_greater(self, one: Standing, other: Standing, than: float) -> float:
        """One-sided p-value against "`one` minus `other` is `than` or less"."""
        key = (one.contender, other.contender, than)
        if key not in self.chances:
            self.chances[key] = p_greater(self.gap(one, other), than)
        return self.chances[key]

    def again(self, standings: tuple[Standing, ...]) -> Contest:
        """The same differences between standings that were priced or barred anew."""
        return replace(self, evidence=replace(self.evidence, standings=standings))


def contest(evidence: Evidence, *, alpha: float) -> Contest:
    """Every difference of two contenders.

    Raises AdvisorError when standings and credits do not match, or when two contenders
    share no graded item.
    """
    _check(evidence)
    gaps = {}
    for one, other in combinations([one.contender for one in evidence.standings], 2):
        found = _gap(evidence, one, other, alpha)
        gaps[one, other], gaps[other, one] = found, flipped(found)
    return Contest(evidence, gaps)


def _gap(evidence: Evidence, one: str, other: str, alpha: float) -> Difference:
    first, second = evidence.credits[one], evidence.credits[other]
    shared = np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0)
    if not shared.any():
        raise AdvisorError(f"{one} and {other} share no graded item",
                           fix="run them on the same test rows")
    if shared.all():
        return difference(first, second, evidence.codes, alpha=alpha)
    return difference(first[:, shared], second[:, shared], evidence.codes[shared], alpha=alpha)


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
        credits = evidence.credits.get(one.contender)
        found = 0 if credits is None else int(np.isfinite(credits).sum())
        expected = one.counts.asked - one.counts.failed
        if found != expected or not found:
            raise AdvisorError(
                f"{one.contender}: credits for {found} rows, the table says {expected}",
                fix="take credits and standings from the same trials",
            )
