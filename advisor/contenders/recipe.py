"""Recipe -> System: the four choices composed. No contender has a class of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from advisor.config import LoraWeights, Recipe
from advisor.contenders import composed, retrieval
from advisor.contenders.composed import Composed, Manner, Tools
from advisor.contenders.floor import Floor, floor
from advisor.contenders.prompt import FixedShots, NearestShots, Shots, fixed_shots
from advisor.contenders.tuning.lessons import course
from advisor.core import Engine, Material, PrepareCost, System
from advisor.errors import AdvisorError


@dataclass(frozen=True, slots=True)
class Prepared:
    """A system ready to answer, the engine that answers (None: no model), and its cost.

    `cost.seconds` covers tuning only; whoever calls `prepare` times the whole.
    """

    system: System
    engine: Engine | None
    cost: PrepareCost


def prepare(
    recipe: Recipe, material: Material, *, tools: Tools, workdir: Path, seed: int
) -> Prepared:
    """Build everything the recipe needs from the material; adapters go to `workdir`.

    Raises AdvisorError when the material cannot feed the recipe (no corpus, no train
    rows, fewer train rows than shots).
    """
    if recipe.prompt.kind == "none":
        if not material.train:
            raise AdvisorError("the floor needs rows in train", fix="add train.jsonl to the task")
        return Prepared(floor(material.train), None, _free())
    brief = recipe.prompt.instruction == "brief"
    instruction = material.brief if brief else material.instruction
    untuned = Composed(
        recipe,
        Manner(instruction, material.max_tokens),
        tools.engine,
        _shots(recipe, material, tools=tools, seed=seed),
        _index(recipe, material, tools),
    )
    if not isinstance(recipe.weights, LoraWeights):
        return Prepared(untuned, tools.engine, _free())
    base = tools.engine.quantised(recipe.weights.quantise)
    lessons = course(material, replace(untuned, engine=base).ask)
    folder = workdir / "adapter"
    cost = base.tune(lessons, recipe.weights, folder=folder, seed=seed)
    tuned = base.with_adapter(folder)
    return Prepared(replace(untuned, engine=tuned, adapter=folder), tuned, cost)


def reopen(folder: Path, tools: Tools) -> tuple[System, Engine | None]:
    """Open a saved system of any kind, and the engine it answers with."""
    if (folder / "floor.json").is_file():
        import json

        text = (folder / "floor.json").read_text(encoding="utf-8")
        return Floor(json.loads(text)["majority"]), None
    system = composed.load(folder, tools)
    return system, system.engine


def fits(recipe: Recipe, material: Material) -> str:
    """Why the task cannot feed this recipe, or an empty string."""
    if recipe.retrieval.kind != "none" and not material.corpus:
        return "the task has no corpus to retrieve from"
    return ""


def _free() -> PrepareCost:
    return PrepareCost(seconds=0.0, tokens_trained=0, artefact_bytes=0)


def _shots(recipe: Recipe, material: Material, *, tools: Tools, seed: int) -> Shots:
    count = recipe.prompt.shots
    if count > len(material.train):
        raise AdvisorError(
            f"prompt.shots is {count}, but train has {len(material.train)} rows",
            fix="lower prompt.shots in the recipe",
        )
    if not count:
        return FixedShots(())
    if recipe.prompt.select == "fixed":
        return fixed_shots(material.train, count, seed=seed)
    vectors = tools.embedder.embed([example.question.text for example in material.train])
    return NearestShots(material.train, vectors, tools.embedder, count)


def _index(
    recipe: Recipe, material: Material, tools: Tools
) -> retrieval.DenseIndex | None:
    if recipe.retrieval.kind == "none":
        return None
    return retrieval.build(
        material.corpus, chunk_words=recipe.retrieval.chunk_words, embedder=tools.embedder
    )
