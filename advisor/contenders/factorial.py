"""The cells of a factorial: every combination of a few settings of one recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from advisor.config import FACTORS, Recipe
from advisor.contenders.recipe import fits
from advisor.core import Material
from advisor.errors import AdvisorError

# What the cell without any factor is called, and what stands between those of another.
PLAIN, AND = "plain", "+"


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination: the factors that are on, and the recipe they make."""

    on: tuple[str, ...]
    recipe: Recipe


def unfit(sources: Mapping[str, Recipe], material: Material) -> dict[str, str]:
    """The factors that the task has nothing for, and why."""
    why = {factor: fits(_made((factor,), sources), material)
           for factor in FACTORS if factor in sources}
    return {factor: reason for factor, reason in why.items() if reason}


def cells(sources: Mapping[str, Recipe], material: Material) -> dict[str, Cell]:
    """Every combination of the factors that the task can feed, by name.

    `sources` maps a factor (`prompt`, `retrieval`, `weights`, `decoding`) to the recipe whose
    setting it takes when it is on; off, it is at its default. A factor that the task has
    nothing for is left out (`unfit` says why).
    """
    out = unfit(sources, material)
    usable = [factor for factor in FACTORS if factor in sources and factor not in out]
    if len(usable) < 2:
        raise AdvisorError(
            f"a factorial needs at least two factors that the task can feed, found {len(usable)}",
            fix="name more of prompt, retrieval, weights and decoding under `factorial` in "
            "advisor.yaml",
        )
    found = {}
    for count in range(len(usable) + 1):
        for on in combinations(usable, count):
            found[AND.join(on) or PLAIN] = Cell(on, _made(on, sources))
    return found


def _made(on: tuple[str, ...], sources: Mapping[str, Recipe]) -> Recipe:
    given = {factor: getattr(sources[factor], factor).model_dump() for factor in on}
    return Recipe.model_validate(given)
