"""Recipe -> System: the four choices composed. No contender has a class of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from advisor.config import LoraWeights, Recipe
from advisor.contenders import composed, retrieval
from advisor.contenders.composed import Composed, Manner, Tools
from advisor.contenders.floor import Floor, floor
from advisor.contenders.prompt import FixedShots, NearestShots, Shots, fixed_shots
from advisor.contenders.tuning.lessons import course
from advisor.core import Example, Material, PrepareCost, System
from advisor.engines.protocol import Engine
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
    if recipe.prompt.shots > len(material.train):
        raise AdvisorError(
            f"prompt.shots is {recipe.prompt.shots}, but train has {len(material.train)} rows",
            fix="lower prompt.shots in the recipe",
        )
    if recipe.prompt.kind == "none":
        if not material.train:
            raise AdvisorError("the floor needs rows in train", fix="add train.jsonl to the task")
        return Prepared(floor(material.train), None, _free())
    brief = recipe.prompt.instruction == "brief"
    instruction = material.brief if brief else material.instruction
    index = _index(recipe, material, tools)
    pool = material.train if index is None else _answered(material.train, index, recipe)
    untuned = Composed(
        recipe,
        Manner(instruction, material.max_tokens, material.stop),
        tools.engine,
        _shots(recipe, pool, tools=tools, seed=seed),
        index,
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


def varies(recipe: Recipe) -> bool:
    """Whether the seed can change what the contender says."""
    chosen = recipe.prompt.shots > 0 and recipe.prompt.select == "fixed"
    return isinstance(recipe.weights, LoraWeights) or chosen


def rows_learnt(recipe: Recipe, material: Material) -> int:
    """How many labelled rows a contender could not do without."""
    if isinstance(recipe.weights, LoraWeights):
        return len(material.train) + len(material.dev)
    if recipe.prompt.kind == "none" or (recipe.prompt.shots and recipe.prompt.select == "nearest"):
        return len(material.train)
    return recipe.prompt.shots


def _free() -> PrepareCost:
    return PrepareCost(seconds=0.0, tokens_trained=0, artefact_bytes=0)


def _shots(
    recipe: Recipe, pool: Sequence[Example], *, tools: Tools, seed: int
) -> Shots:
    count = recipe.prompt.shots
    if not count:
        return FixedShots(())
    if recipe.prompt.select == "fixed":
        return fixed_shots(pool, count, seed=seed)
    vectors = tools.embedder.embed([example.question.text for example in pool])
    return NearestShots(tuple(pool), vectors, tools.embedder, count)


def _answered(
    train: Sequence[Example], index: retrieval.DenseIndex, recipe: Recipe
) -> Sequence[Example]:
    """The examples whose own retrieved passages hold the answer that a shot shows, or all if
    those are too few: a shot whose passages do not would teach to answer past them."""
    if not recipe.prompt.shots:
        return train
    found = index.search([e.question.text for e in train], recipe.retrieval.top_k)
    fit = [
        example
        for example, passages in zip(train, found, strict=True)
        if any(_holds(passage.text, example.targets[0]) for passage in passages)
    ]
    return fit if len(fit) >= recipe.prompt.shots else train


def _holds(text: str, answer: str) -> bool:
    """Whether `answer` stands in `text` as whole words."""
    words = r"\s+".join(re.escape(word) for word in answer.split())
    return re.search(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE) is not None


def _index(
    recipe: Recipe, material: Material, tools: Tools
) -> retrieval.DenseIndex | None:
    if recipe.retrieval.kind == "none":
        return None
    return retrieval.build(
        material.corpus, chunk_words=recipe.retrieval.chunk_words, embedder=tools.embedder
    )
