"""Which contenders a command takes: the same options, and the same order, for run and plan."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from advisor.config import Recipe, Settings, TunedWeights
from advisor.errors import AdvisorError, did_you_mean
from advisor.workspace import SETTINGS, Workspace

if TYPE_CHECKING:
    from advisor.runner.plan import Plan


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose contenders."""
    add = parser.add_argument
    add("--contender", action="append", metavar="NAME",
        help="only this file of baselines/ (repeatable; default: all but the optional ones of "
        "advisor.yaml)")
    add("--all", action="store_true", help="the optional contenders too")
    add("--preset", metavar="NAME",
        help="the set of that name under `presets` in advisor.yaml: quick, standard, thorough")
    add("--factorial", action="store_true",
        help="every combination of the factors of advisor.yaml, and what each adds")


def chosen(
    workspace: Workspace, settings: Settings, options: argparse.Namespace
) -> dict[str, Recipe]:
    """The contenders that the options name, in the order in which they run.

    Raises AdvisorError for a name that is not there. Cells of a factorial come later, from
    `with_cells`, because they depend on the task.
    """
    recipes = {name: workspace.recipe(name) for name in _names(workspace, settings, options)}
    # The order of a preset says who goes first.
    return recipes if options.preset else dict(sorted(recipes.items(), key=_effort))


def _names(
    workspace: Workspace, settings: Settings, options: argparse.Namespace
) -> Sequence[str]:
    """The contenders by name: those asked for, or all that are not optional."""
    names = workspace.recipes()
    if unknown := sorted(set(settings.optional) - set(names)):
        raise AdvisorError(
            f"{workspace.root / SETTINGS}: optional: baselines/ has no {unknown[0]!r}"
            f"{did_you_mean(unknown[0], names)}",
            fix="correct or remove the name",
        )
    if options.preset:
        return _preset(workspace, settings, options.preset)
    if options.contender:
        return list(options.contender)
    if options.factorial:
        return []
    return [name for name in names if options.all or name not in settings.optional]


def _preset(workspace: Workspace, settings: Settings, name: str) -> Sequence[str]:
    if name not in settings.presets:
        raise AdvisorError(
            f"{workspace.root / SETTINGS}: presets: no {name!r}"
            f"{did_you_mean(name, settings.presets)}" if settings.presets else
            f"{workspace.root / SETTINGS} has no presets",
            fix=f"write `presets: {{{name}: [floor, few-shot, lora]}}` there",
        )
    return settings.presets[name]


def with_cells(plan: Plan, workspace: Workspace) -> Plan:
    """The plan with every cell of the factorial besides."""
    from advisor.contenders.factorial import cells, unfit

    sources: dict[str, Recipe] = {factor: workspace.recipe(name)
                                  for factor, name in plan.settings.factorial.items()}
    made = cells(sources, plan.task.material)
    recipes = {**plan.recipes, **{name: cell.recipe for name, cell in made.items()}}
    return replace(plan, recipes=dict(sorted(recipes.items(), key=_effort)),
                   cells={name: cell.on for name, cell in made.items()},
                   without=unfit(sources, plan.task.material))


def _effort(item: tuple[str, Recipe]) -> tuple[bool, bool, bool, int, str]:
    """What takes long comes late: whoever stops a run early has seen the most contenders."""
    name, recipe = item
    tuned, reads = isinstance(recipe.weights, TunedWeights), recipe.retrieval.kind != "none"
    return tuned, recipe.prompt.kind != "none", reads, recipe.prompt.shots, name
