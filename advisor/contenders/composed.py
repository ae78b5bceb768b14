"""A system that calls a model: shots x passages x weights, as its recipe says."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from advisor.config import LoraWeights, Recipe
from advisor.contenders import retrieval
from advisor.contenders.prompt import FixedShots, NearestShots, Passage, Prompt, Shot, Shots, fit
from advisor.core import Answer, Example, Question, Usage
from advisor.engines.embedders import Embedder
from advisor.engines.protocol import Engine, Message
from advisor.errors import AdvisorError

NOTHING = Usage(tokens_in=0, tokens_out=0, seconds=0.0)


@dataclass(frozen=True, slots=True)
class Tools:
    """What the machine offers a contender: the base model, and an embedder."""

    engine: Engine
    embedder: Embedder


@dataclass(frozen=True, slots=True)
class Manner:
    """What every contender of a task has in common: the instruction, and when to end."""

    instruction: str
    max_tokens: int
    stop: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Composed:
    """Answers with `engine`, which already holds the recipe's weights.

    `adapter` is the folder of the adapter, None for base weights.
    """

    recipe: Recipe
    manner: Manner
    engine: Engine
    shots: Shots
    index: retrieval.DenseIndex | None
    adapter: Path | None = None

    def prompts(self, questions: Sequence[Question], *, room: int) -> list[Prompt]:
        """The prompt of each question within `room` tokens."""
        chosen = self._shown(self.shots.choose(questions))
        read: list[tuple[Passage, ...]] = [()] * len(questions)
        if self.index is not None:
            texts = [question.text for question in questions]
            read = self.index.search(texts, self.recipe.retrieval.top_k)
        return [
            fit(self.engine, self.manner.instruction, question, around=around, room=room)
            for question, around in zip(questions, zip(chosen, read, strict=True), strict=True)
        ]

    def _shown(self, chosen: list[tuple[Example, ...]]) -> list[tuple[Shot, ...]]:
        """Shots as they are shown: a contender that reads is shown how to use passages."""
        unique = {example.question.id: example for row in chosen for example in row}
        read: dict[str, tuple[Passage, ...]] = {}
        if self.index is not None and unique:
            texts = [example.question.text for example in unique.values()]
            found = self.index.search(texts, self.recipe.retrieval.top_k)
            read = dict(zip(unique, found, strict=True))
        return [
            tuple(Shot(example, read.get(example.question.id, ())) for example in row)
            for row in chosen
        ]

    def ask(self, questions: Sequence[Question]) -> list[tuple[Message, ...]]:
        """The conversations of `questions`, for tuning on what will be asked."""
        return [prompt.messages for prompt in self.prompts(questions, room=self._room())]

    def answer(self, questions: Sequence[Question]) -> Iterable[Answer]:
        room = self._room()  # reads the weights if nobody has: no part of a call
        started = time.perf_counter()
        prompts = self.prompts(questions, room=room)
        # Retrieval and templating belong to every call's time.
        overhead = (time.perf_counter() - started) / max(1, len(questions))
        fitting = [i for i, prompt in enumerate(prompts) if prompt.tokens]
        for i in sorted(set(range(len(prompts))) - set(fitting)):
            yield Answer(
                questions[i].id, "", NOTHING,
                dropped=prompts[i].dropped, failure=self._too_long(prompts[i]),
            )
        generated = self.engine.generate(
            [prompts[i].tokens for i in fitting],
            max_tokens=self.manner.max_tokens,
            stop=self.manner.stop,
        )
        for position, said in generated:
            i = fitting[position]
            usage = Usage(len(prompts[i].tokens), said.tokens_out, said.seconds + overhead)
            yield _answer(questions[i], prompts[i], text=said.text, usage=usage)

    def save(self, folder: Path) -> None:
        described = {
            "recipe": self.recipe.model_dump(mode="json"),
            "manner": asdict(self.manner),
        }
        text = json.dumps(described, indent=2)
        (folder / "system.json").write_text(text + "\n", encoding="utf-8")
        _save_shots(self.shots, folder)
        if self.index is not None:
            self.index.save(folder / "index")
        if self.adapter is not None:
            shutil.copytree(self.adapter, folder / "adapter")

    def _room(self) -> int:
        return self.engine.context_length - self.manner.max_tokens

    def _too_long(self, prompt: Prompt) -> str:
        needed = len(self.engine.encode(prompt.messages))
        return (
            f"prompt too long: {needed} tokens without shots or passages, {self._room()} fit "
            f"beside {self.manner.max_tokens} for the answer"
        )


def load(folder: Path, tools: Tools) -> Composed:
    """Open what `Composed.save` wrote, on the base model in `tools`."""
    described = json.loads((folder / "system.json").read_text(encoding="utf-8"))
    recipe = Recipe.model_validate(described["recipe"])
    engine = tools.engine
    adapter = None
    if isinstance(recipe.weights, LoraWeights):
        adapter = folder / "adapter"
        engine = engine.quantised(recipe.weights.quantise).with_adapter(adapter)
    index = None
    if recipe.retrieval.kind != "none":
        index = retrieval.load(folder / "index", tools.embedder)
    shots = _load_shots(recipe, folder, tools.embedder)
    manner = described["manner"]
    manner = Manner(manner["instruction"], manner["max_tokens"], tuple(manner["stop"]))
    return Composed(recipe, manner, engine, shots, index, adapter)


def _answer(question: Question, prompt: Prompt, *, text: str, usage: Usage) -> Answer:
    return Answer(
        question.id,
        text,
        usage,
        sources=tuple(dict.fromkeys(passage.document for passage in prompt.passages)),
        passages=tuple(passage.text for passage in prompt.passages),
        dropped=prompt.dropped,
    )


def _save_shots(shots: Shots, folder: Path) -> None:
    examples: tuple[Example, ...]
    if isinstance(shots, NearestShots):
        examples = shots.pool
        np.save(folder / "shots.npy", shots.vectors, allow_pickle=False)
    elif isinstance(shots, FixedShots):
        examples = shots.examples
    else:
        raise AdvisorError(
            f"shots of kind {type(shots).__name__} cannot be saved",
            fix="use prompt.select: fixed or nearest",
        )
    with (folder / "shots.jsonl").open("w", encoding="utf-8") as stream:
        for example in examples:
            stream.write(json.dumps(asdict(example)) + "\n")  # ASCII: U+2028 would end a line


def _load_shots(recipe: Recipe, folder: Path, embedder: Embedder) -> Shots:
    lines = (folder / "shots.jsonl").read_text(encoding="utf-8").splitlines()
    examples = tuple(_example(json.loads(line)) for line in lines)
    if recipe.prompt.shots and recipe.prompt.select == "nearest":
        vectors = np.load(folder / "shots.npy", allow_pickle=False)
        return NearestShots(examples, vectors, embedder, recipe.prompt.shots)
    return FixedShots(examples)


def _example(row: dict[str, object]) -> Example:
    question = row["question"]
    assert isinstance(question, dict)
    return Example(
        Question(question["id"], question["text"], tuple(question["choices"])),
        targets=_strings(row["targets"]),
        group=str(row["group"]),
        sources=_strings(row["sources"]),
    )


def _strings(value: object) -> tuple[str, ...]:
    assert isinstance(value, list)
    return tuple(str(item) for item in value)
