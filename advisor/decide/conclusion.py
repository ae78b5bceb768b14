"""A whole run in figures, and the verdict with everything that is told beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np

from advisor.decide.evidence import Evidence
from advisor.decide.rule import decide
from advisor.errors import AdvisorError
from advisor.measures.curves import curve, more_rows_help
from advisor.measures.factorial import effects
from advisor.measures.forgetting import suspicious
from advisor.measures.marks import Marks
from advisor.measures.slices import slices
from advisor.measures.standing import standing_of
from advisor.stats import coded, measure_seeds
from advisor.stats.spread import Codes
from advisor.trial import Reworded, SuiteScores
from advisor.verdict import LearningCurve, Policy, SeedSpread, Standing, Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a verdict rests on but the policy. No text of the task is in it.

    `groups` gives each item's source, in the order of every trial's credits; `slices` maps
    a column to each item's value. Trials of one contender stand together, the seed that
    ships first. `cells` gives the factors of contenders that are cells of a factorial. `base`
    are the untouched base's retention scores, `reworded` the same asked in other words, `seed`
    draws redraws.
    """

    primary: str
    groups: tuple[str, ...]
    slices: Mapping[str, tuple[str, ...]]
    trials: tuple[Marks, ...]
    base: Mapping[str, SuiteScores] | None
    floor: str | None
    final: bool
    seed: int
    cells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reworded: tuple[Reworded, ...] = ()

    def first_seeds(self) -> Case:
        """The same case with one system a contender: the one that would ship."""
        names: dict[str, Marks] = {}
        for one in self.trials:
            names.setdefault(one.contender, one)
        return replace(self, trials=tuple(names.values()))


def conclude(case: Case, policy: Policy) -> Verdict:
    """The verdict of a case under a policy, with all that is told beside it.

    Raises AdvisorError when a contender cannot be placed, or when tuned weights score
    exactly as the base does.
    """
    codes = coded(case.groups)
    by_name = {name: list(found) for name, found in
               groupby(case.trials, key=lambda one: one.contender)}
    standings = tuple(
        standing_of(found, codes, policy, case.base, primary=case.primary, seed=case.seed,
                    reworded=case.reworded)
        for found in by_name.values()
    )
    for place in standings:
        if place.forgetting != "unchanged" and suspicious(place.forgetting):
            raise AdvisorError(
                f"{place.contender}: its tuned weights score exactly as the base on every "
                "retention item; the adapter was probably not applied",
                fix="delete the run folder and run again; if it stays, report it as a bug",
            )
    evidence = evidence_of(case, standings)
    credits = evidence.credits
    verdict = decide(evidence, policy, seed=case.seed)
    curves = tuple(one for name, found in by_name.items() if (one := curve(
        name, [each.learning for each in found if each.learning], codes,
        alpha=policy.alpha, margin=policy.quality_margin)) is not None)
    return replace(
        verdict,
        next_step=verdict.next_step + _label_more(curves, verdict.winner),
        seeds=tuple(_spread(found, codes, policy) for found in by_name.values()
                    if len(found) > 1),
        slices=tuple(one for found in by_name.values()
                     for one in slices(found[0].contender, credits[found[0].contender], codes,
                                       case.slices, alpha=policy.alpha)),
        effects=effects(case.cells, credits, codes, alpha=policy.alpha,
                        margin=policy.quality_margin),
        curves=curves,
    )


def _label_more(curves: Sequence[LearningCurve], winner: str | None) -> str:
    if winner is None or not more_rows_help(curves, winner):
        return ""
    return f" {winner} still gains from labelled rows: label more of them and run again."


def evidence_of(case: Case, standings: tuple[Standing, ...]) -> Evidence:
    """The case's credits beside the standings that were made of it."""
    credits = {name: np.stack([one.credits for one in found])
               for name, found in groupby(case.trials, key=lambda one: one.contender)}
    return Evidence(credits, coded(case.groups), standings, case.floor, case.final)


def _spread(trials: Sequence[Marks], codes: Codes, policy: Policy) -> SeedSpread:
    """The two questions about one recipe, each with its own interval."""
    table = np.stack([one.credits for one in trials])
    kept = np.isfinite(table).all(axis=0)
    inside = table[:, kept]
    means = inside.mean(axis=1)
    return SeedSpread(
        contender=trials[0].contender,
        seeds=tuple(one.seed for one in trials),
        means=tuple(float(mean) for mean in means),
        deviation=float(means.std(ddof=1)),
        checkpoint=measure_seeds(inside[:1], codes[kept], alpha=policy.alpha),
        recipe=measure_seeds(inside, codes[kept], alpha=policy.alpha),
    )
