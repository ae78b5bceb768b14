"""Made-up credits whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NEAR = 0.03  # "near .97" is a true score drawn from .94 to 1.00


@dataclass(frozen=True, slots=True)
class Setting:
    """What a journal is like: `together` rows of a source, which share their luck.

    `alike` is how much: within a source the true score is Beta(alike x m, alike x (1 - m)),
    an intraclass correlation of 1 / (1 + alike).
    """

    kind: Literal["binary", "graded"]
    score: float
    rows: int
    together: int = 1
    alike: float = 3.0

    @property
    def codes(self) -> NDArray[np.intp]:
        return np.arange(self.rows) // self.together

    def near(self, generator: np.random.Generator) -> float:
        """A true score: at one exact score, counts of few rows jump past any level."""
        return float(generator.uniform(self.score - NEAR, self.score + NEAR))

    def credits(self, mean: float, generator: np.random.Generator) -> Floats:
        """One system's credits, their expectation `mean`."""
        share = np.full(self.rows, mean)
        if self.together > 1:
            sources = int(self.codes[-1]) + 1
            alike = generator.beta(self.alike * mean, self.alike * (1 - mean), sources)
            share = alike[self.codes]
        luck = generator.random(self.rows)
        if self.kind == "binary":
            return (luck < share).astype(np.float64)
        # Partial credit 0.25..0.75, else full or none, so that the mean stays `share`.
        partial = np.minimum(share, 1 - share)
        part = generator.choice([0.25, 0.5, 0.75], self.rows)
        whole = luck < (share - partial / 2) / (1 - partial)
        some = generator.random(self.rows) < partial
        return np.where(some, part, whole.astype(np.float64))

    def __str__(self) -> str:
        sources = f", {self.together} rows a source" if self.together > 1 else ""
        return f"{self.kind} near {self.score}, {self.rows} rows{sources}"


SETTINGS = tuple(
    Setting(kind, score, rows, together)
    for kind in ("binary", "graded") for score in (0.5, 0.97)
    for together in (1, 4) for rows in (50, 150, 500)
)


def seeded(
    means: Floats, rows: int, generator: np.random.Generator, *, hard: Floats | None = None
) -> Floats:
    """Seeds x rows of 0/1 credits; `hard` (mean 0) makes rows easier or harder for all."""
    shift = np.zeros(rows) if hard is None else hard
    share = np.clip(means[:, None] + shift, 0.0, 1.0)
    return (generator.random((len(means), rows)) < share).astype(np.float64)
