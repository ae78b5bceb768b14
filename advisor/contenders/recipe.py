"""Recipe -> System: the four choices composed. No contender has a class of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from advisor.config import EndpointWeights, OwnSystem, PromptSpec, Recipe, TunedWeights
from advisor.contenders import composed, decoding, own, retrieval, search
from advisor.contenders.composed import Composed, Manner, Tools
from advisor.contenders.floor import Floor, floor
from advisor.contenders.prompt import (
    FixedShots,
    NearestShots,
    RandomShots,
    Shots,
    compose,
    diverse_shots,
    fixed_shots,
    holds,
)
from advisor.contenders.tuning.kept import Kept, Remembering
from advisor.contenders.tuning.stages import Stages
from advisor.core import Example, Material, System
from advisor.data.digest import digest
from advisor.engines.embedders import Embedder
from advisor.engines.protocol import Engine, Local, Speaker
from advisor.errors import AdvisorError, Unfit
from advisor.trial import PrepareCost


@dataclass(frozen=True, slots=True)
class Prepared:
    """A system ready to answer, the engine that answers (None: no model of this process),
    and its cost.

    `cost.seconds` covers tuning only; whoever calls `prepare` times the whole. `recipe` has
    in it what was chosen on dev, and `found` the figures it was chosen by.
    """

    system: System
    engine: Engine | None
    cost: PrepareCost
    recipe: Recipe
    found: Mapping[str, Any] = field(default_factory=dict)


def prepare(
    recipe: Recipe,
    material: Material,
    *,
    tools: Tools,
    workdir: Path,
    seed: int,
    earlier: Path | None = None,
    kept: Kept | None = None,
) -> Prepared:
    """Build everything the recipe needs from the material; adapters go to `workdir`, and to
    `kept` for others that need the same.

    `earlier` is the folder of a system made before: passages that it has embedded are not
    embedded again. Raises AdvisorError when the material cannot feed the recipe (no corpus,
    no train rows, fewer train rows than shots), and Unfit when no change of the material
    would help: the corpus is too long to be read whole.
    """
    if isinstance(recipe.weights, OwnSystem):
        made = own.opened(recipe.weights.system, tools.root, material)
        return Prepared(made, None, _free(), recipe)
    most = max((recipe.prompt.shots, *(recipe.prompt.tune.shots if recipe.prompt.tune else ())))
    if most > len(material.train):
        raise AdvisorError(
            f"prompt.shots is {most}, but train has {len(material.train)} rows",
            fix="lower prompt.shots in the recipe",
        )
    if recipe.prompt.kind == "none":
        if not material.train:
            raise AdvisorError("the floor needs rows in train", fix="add train.jsonl to the task")
        return Prepared(floor(material.train), None, _free(), recipe)
    remembering = Remembering(tools.embedder, kept) if kept else None
    maker = _Maker(material, tools, remembering or tools.embedder, seed, earlier)
    recipe, index, found = maker.reading(recipe)
    recipe, chosen = maker.prompting(recipe, index)
    found = {**found, **chosen}
    untuned = maker.composed(recipe, index)

    def ready(system: Composed, cost: PrepareCost, chosen: Mapping[str, Any]) -> Prepared:
        """`system` as it is to answer, charged with what others spent before."""
        if remembering:
            system = system.embedding_with(tools.embedder)
            cost = replace(cost, earlier_seconds=cost.earlier_seconds + remembering.spent)
        return Prepared(system, system.engine, cost, system.recipe, chosen)

    if not isinstance(recipe.weights, TunedWeights):
        return ready(untuned, _free(), found)

    def teacher(taught_by: Recipe, folder: Path) -> tuple[System, PrepareCost, str]:
        one = prepare(taught_by, material, tools=tools, workdir=folder, seed=seed,
                      kept=kept)
        who = one.engine.digest if one.engine else outside(one.recipe, tools)
        name = digest([one.recipe.model_dump(mode="json"), who, tools.embedder.digest,
                       material.digest, seed])
        return one.system, one.cost, name

    stages = Stages(untuned, material, tools.engine.quantised(recipe.weights.scheme), teacher,
                    workdir, seed, kept)
    tuned = stages.run(recipe.weights)
    recipe = recipe.model_copy(update={"weights": tuned.spec})
    system = replace(untuned, recipe=recipe, speaker=Local(tuned.engine), tuned=tuned.folder)
    return ready(system, tuned.cost, {**found, **tuned.found})


def reopen(
    folder: Path, tools: Tools, material: Material | None = None
) -> tuple[System, Engine | None]:
    """Open a saved system of any kind, and the engine it answers with.

    Systems of the user's own are opened only where `tools.root` says where they are.
    """
    if (folder / own.FILE).is_file():
        return own.reopened(folder, tools.root, material), None
    if (folder / "floor.json").is_file():
        text = (folder / "floor.json").read_text(encoding="utf-8")
        return Floor(json.loads(text)["majority"]), None
    system = composed.load(folder, tools)
    return system, system.engine


def fits(recipe: Recipe, material: Material) -> str:
    """Why the task cannot feed this recipe, or an empty string."""
    if recipe.retrieval.kind != "none" and not material.corpus:
        return "the task has no corpus to retrieve from"
    weights = recipe.weights
    if isinstance(weights, TunedWeights) and weights.pretrain and not material.corpus:
        return "the task has no corpus to pre-train on"
    if recipe.decoding.kind != "free":
        try:
            _held(recipe, material)
        except AdvisorError as error:
            return error.problem
    return ""


def varies(recipe: Recipe) -> bool:
    """Whether the seed can change what the contender says."""
    chosen = recipe.prompt.shots > 0 and recipe.prompt.select in ("fixed", "random")
    return isinstance(recipe.weights, TunedWeights) or chosen


def rows_learnt(recipe: Recipe, material: Material) -> int:
    """How many labelled rows a contender could not do without."""
    weights = recipe.weights
    if isinstance(weights, TunedWeights):
        compared = len(material.preferences) if weights.prefer else 0
        if weights.teacher and weights.teacher.labels == "teacher":
            taught = rows_learnt(weights.teacher.recipe, material)
            return max(taught, len(material.dev)) + compared
        return len(material.train) + len(material.dev) + compared
    if recipe.prompt.kind == "none" or (recipe.prompt.shots and recipe.prompt.select != "fixed"):
        return len(material.train)
    return recipe.prompt.shots


def outside(recipe: Recipe, tools: Tools) -> str:
    """The identity of what the recipe uses beside the base model and the embedder: the
    endpoint, the reranker, the user's own code. Empty when there is nothing."""
    parts = []
    if isinstance(recipe.weights, EndpointWeights):
        parts.append(tools.endpoint(recipe.weights.name).digest)
    if isinstance(recipe.weights, TunedWeights) and recipe.weights.teacher:
        parts += filter(None, [outside(recipe.weights.teacher.recipe, tools)])
    if recipe.retrieval.rerank:
        parts.append(tools.reranker(recipe.retrieval.rerank).digest)
    if isinstance(recipe.weights, OwnSystem) and tools.root is not None:
        path = own.file_of(recipe.weights.system, tools.root)
        if path.is_file():  # a missing file is told when the system is made
            parts.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return " ".join(parts)


@dataclass(slots=True)
class _Maker:
    """The parts of a system, made from the material with the tools."""

    material: Material
    tools: Tools
    embedder: Embedder
    seed: int
    earlier: Path | None

    def reading(
        self, recipe: Recipe
    ) -> tuple[Recipe, retrieval.Index | None, dict[str, search.Found]]:
        """The recipe with its passages settled, and the index over them."""
        spec = recipe.retrieval
        if spec.kind == "none":
            return recipe, None, {}
        embedder = self.embedder
        reranker = self.tools.reranker(spec.rerank) if spec.rerank else None
        folder = self.earlier / "index" if self.earlier else None
        known = retrieval.vectors_by_text(folder, embedder) if folder else {}

        def build(one: Any) -> retrieval.Index:
            return retrieval.build(
                self.material.corpus, one, embedder=embedder, reranker=reranker, known=known)

        found: dict[str, search.Found] = {}
        if spec.tune is not None:
            spec, found["retrieval"] = search.retrieval(spec, self.material, build)
        index = build(spec)
        recipe = recipe.model_copy(update={"retrieval": spec})
        if spec.kind == "everything":
            self._refuse_too_long(recipe, index)
        return recipe, index, found

    def prompting(
        self, recipe: Recipe, index: retrieval.Index | None
    ) -> tuple[Recipe, dict[str, search.Found]]:
        """The recipe with its prompt settled."""
        if recipe.prompt.tune is None:
            return recipe, {}

        def make(one: PromptSpec) -> System:
            return self.composed(recipe.model_copy(update={"prompt": one}), index)

        spec, found = search.prompt(recipe.prompt, self.material, make)
        return recipe.model_copy(update={"prompt": spec}), {"prompt": found}

    def composed(self, recipe: Recipe, index: retrieval.Index | None) -> Composed:
        """The system on untouched weights."""
        train = self.material.train
        pool = train if index is None else _answered(train, index, recipe)
        manner = _manner(recipe, self.material)
        return Composed(recipe, manner, self.speaker(recipe), self.shots(recipe, pool), index)

    def speaker(self, recipe: Recipe) -> Speaker:
        if isinstance(recipe.weights, EndpointWeights):
            return self.tools.endpoint(recipe.weights.name)
        return Local(self.tools.engine)

    def shots(self, recipe: Recipe, pool: Sequence[Example]) -> Shots:
        count, select = recipe.prompt.shots, recipe.prompt.select
        if not count:
            return FixedShots(())
        if select == "fixed":
            return fixed_shots(pool, count, seed=self.seed)
        if select == "random":
            return RandomShots(tuple(pool), count, self.seed)
        vectors = self.embedder.embed([example.question.text for example in pool])
        if select == "diverse":
            return diverse_shots(pool, count, vectors=vectors)
        return NearestShots(tuple(pool), vectors, self.embedder, count)

    def _refuse_too_long(self, recipe: Recipe, index: retrieval.Index) -> None:
        """Raise Unfit when the corpus leaves no room for the longest question we know."""
        speaker = self.speaker(recipe)
        known = [example.question for example in (*self.material.train, *self.material.dev)]
        if not known:
            return
        longest = max(known, key=lambda question: len(question.text))
        instruction = _manner(recipe, self.material).instruction
        asked = compose(instruction, longest, passages=index.passages)
        needed = speaker.ready(asked).length + self.material.max_tokens
        if needed > speaker.context_length:
            raise Unfit(
                f"the whole corpus needs {needed:,} tokens with its question and answer, the "
                f"model reads {speaker.context_length:,}",
                fix="use a contender that retrieves, or a model that reads more",
            )


def _manner(recipe: Recipe, material: Material) -> Manner:
    brief = recipe.prompt.instruction == "brief"
    instruction = material.brief if brief else material.instruction
    if recipe.prompt.wording:  # not str.format: braces of JSON stand in instructions
        instruction = recipe.prompt.wording.replace("{instruction}", instruction.strip())
    plain = Manner(instruction, material.max_tokens, material.stop)
    return replace(plain, **_held(recipe, material))


def _held(recipe: Recipe, material: Material) -> dict[str, Any]:
    """What decoding is held to, as fields of Manner."""
    if recipe.decoding.kind == "choices":
        return {"labels": decoding.labels(material)}
    if recipe.decoding.kind == "json":
        return {"schema": decoding.schema(material)}
    return {}


def _free() -> PrepareCost:
    return PrepareCost(seconds=0.0, tokens_trained=0, artefact_bytes=0)


def _answered(
    train: Sequence[Example], index: retrieval.Index, recipe: Recipe
) -> Sequence[Example]:
    """The examples whose own retrieved passages hold the answer that a shot shows, or all if
    those are too few: a shot whose passages do not would teach to answer past them."""
    if not recipe.prompt.shots or recipe.retrieval.kind == "everything":
        return train
    found = index.search([e.question.text for e in train], recipe.retrieval.top_k)
    fit = [
        example
        for example, passages in zip(train, found, strict=True)
        if any(holds(passage.text, answer) for passage in passages
               for answer in (example.facts or example.targets[:1]))
    ]
    return fit if len(fit) >= recipe.prompt.shots else train
