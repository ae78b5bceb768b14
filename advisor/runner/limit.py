"""A time limit for a run: who would not end in time does not begin."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from advisor.config import Recipe
from advisor.forecast.probe import foresee, retention_seconds
from advisor.runner.plan import Plan

# A probe is some seconds of work: below this nothing is worth being foreseen.
LEAST = 15.0


@dataclass(slots=True)
class Limit:
    """`until` is a time of `clock`, in seconds. What contenders took against what was foreseen
    of them corrects what is foreseen of the next."""

    until: float
    clock: Callable[[], float] = time.monotonic
    _retention: float | None = None
    _foreseen: float = 0.0
    _taken: float = 0.0
    _begun: dict[str, tuple[float, float]] = field(default_factory=dict)

    def refuses(self, name: str, recipe: Recipe, plan: Plan) -> str:
        """Why the contender does not begin, or an empty string."""
        left = self.until - self.clock()
        if recipe.prompt.kind == "none":
            return ""
        if left < LEAST:
            return "the time limit is reached"
        if self._retention is None:
            self._retention = retention_seconds(plan)
        needed = foresee(name, recipe, plan, self._retention).run_seconds
        ratio = self._taken / self._foreseen if self._foreseen > LEAST else 1.0
        left = self.until - self.clock()
        if needed * ratio > left:
            return (f"it would take about {needed * ratio / 60:.1f} min, and {left / 60:.1f} min "
                    "of the time limit are left")
        self._begun[name] = (self.clock(), needed)
        return ""

    def left(self) -> float:
        """Seconds until the limit, 0 or more."""
        return max(0.0, self.until - self.clock())

    def ended(self, name: str) -> None:
        """The contender is through."""
        if name in self._begun:
            started, needed = self._begun.pop(name)
            self._taken += self.clock() - started
            self._foreseen += needed
