"""A system that calls a model: shots x passages x weights x decoding, as its recipe says."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from advisor import stops
from advisor.config import EndpointWeights, FullWeights, Recipe, TunedWeights
from advisor.contenders import citing, retrieval, shelf
from advisor.contenders.prompt import (
    NearestShots,
    Passage,
    Prompt,
    Shot,
    Shots,
    Style,
    concluded,
    fit,
)
from advisor.core import Answer, Example, Question, Usage
from advisor.engines import rerankers
from advisor.engines.embedders import Embedder
from advisor.engines.protocol import Constraint, Engine, Generation, Local, Message, Speaker
from advisor.engines.rerankers import Reranker
from advisor.errors import AdvisorError, did_you_mean

NOTHING = Usage(tokens_in=0, tokens_out=0, seconds=0.0)
# How the failure of a question begins that no prompt has room for.
TOO_LONG = "prompt too long"


@dataclass(frozen=True, slots=True)
class Tools:
    """What a contender may use: the base model, an embedder, endpoints by name, rerankers.

    `root` is the workspace, below which systems of the user's own are found; None where
    nothing may be run that a file names, as when a bundle is opened.
    """

    engine: Engine
    embedder: Embedder
    endpoints: Mapping[str, Speaker] = field(default_factory=dict)
    reranker: Callable[[str], Reranker] = rerankers.reranker
    root: Path | None = None

    def endpoint(self, name: str) -> Speaker:
        """The endpoint of that name; an unknown one is an AdvisorError."""
        if name in self.endpoints:
            return self.endpoints[name]
        hint = did_you_mean(name, self.endpoints) if self.endpoints else ""
        raise AdvisorError(f"weights.name: advisor.yaml has no endpoint {name!r}{hint}",
                           fix=f"add `{name}:` under `endpoints:` in advisor.yaml")


@dataclass(frozen=True, slots=True)
class Manner:
    """What the contenders of a task have in common: the instruction, when to end, and what
    an answer must be if decoding is held to something (`labels`, or `schema` as JSON)."""

    instruction: str
    max_tokens: int
    stop: tuple[str, ...]
    labels: tuple[str, ...] = ()
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the prompt it became, and its share of the seconds that this took."""

    question: Question
    prompt: Prompt
    seconds: float


@dataclass(frozen=True, slots=True)
class Composed:
    """Answers with `speaker`, which already holds the recipe's weights.

    `tuned` is the folder of an adapter or of whole weights, None for base weights.
    """

    recipe: Recipe
    manner: Manner
    speaker: Speaker
    shots: Shots
    index: retrieval.Index | None
    tuned: Path | None = None

    @property
    def engine(self) -> Engine | None:
        """The engine of this process that answers; None when an endpoint does."""
        return self.speaker.engine if isinstance(self.speaker, Local) else None

    def embedding_with(self, embedder: Embedder) -> Composed:
        """The same system with another embedder of the same vectors."""
        index = replace(self.index, embedder=embedder) if self.index else None
        shots = self.shots
        if isinstance(shots, NearestShots):
            shots = replace(shots, embedder=embedder)
        return replace(self, index=index, shots=shots)

    @property
    def _style(self) -> Style:
        reading = self.recipe.retrieval
        return Style(self.recipe.prompt.reasoning != "none", reading.cite,
                     first=reading.kind == "everything")

    def prompts(
        self,
        questions: Sequence[Question],
        *,
        room: int,
        given: Sequence[tuple[Passage, ...]] | None = None,
    ) -> list[Prompt]:
        """The prompt of each question within `room` tokens, around the passages that are
        found, or the `given` ones."""
        chosen = self._shown(self.shots.choose(questions))
        read: Sequence[tuple[Passage, ...]] = [()] * len(questions)
        if self.index is not None:
            texts = [question.text for question in questions]
            read = given or self.index.search(texts, self.recipe.retrieval.top_k)
        instruction = self.manner.instruction
        return [
            fit(self.speaker, instruction, question, around=around, room=room,
                style=self._style)
            for question, around in zip(questions, zip(chosen, read, strict=True), strict=True)
        ]

    def _shown(self, chosen: list[tuple[Example, ...]]) -> list[tuple[Shot, ...]]:
        """Shots as they are shown: a contender that reads is shown how to use passages,
        except where that would repeat the whole corpus."""
        unique = {example.question.id: example for row in chosen for example in row}
        read: dict[str, tuple[Passage, ...]] = {}
        if self.index is not None and unique and self.recipe.retrieval.kind != "everything":
            texts = [example.question.text for example in unique.values()]
            found = self.index.search_once(texts, self.recipe.retrieval.top_k)
            read = dict(zip(unique, found, strict=True))
        return [
            tuple(Shot(example, read.get(example.question.id, ())) for example in row)
            for row in chosen
        ]

    def ask(
        self,
        questions: Sequence[Question],
        *,
        given: Sequence[tuple[Passage, ...]] | None = None,
    ) -> list[tuple[Message, ...]]:
        """The conversations of `questions`, for tuning on what will be asked; around `given`
        passages instead of those that would be found."""
        prompts = self.prompts(questions, room=self._room(), given=given)
        return [prompt.conversation.messages for prompt in prompts]

    def answer(
        self,
        questions: Sequence[Question],
        *,
        given: Sequence[tuple[Passage, ...]] | None = None,
    ) -> Iterable[Answer]:
        """One answer a question; `given` passages stand in for those that would be found."""
        asked = self.asked(questions, given=given)
        for one in asked:
            if not one.prompt.fits:
                yield self.refused(one)
        fitting = [one for one in asked if one.prompt.fits]
        generated = self.speaker.speak(
            [one.prompt.conversation for one in fitting],
            max_tokens=self.max_tokens,
            stop=self.stop,
            constraints=self.constraints([one.question for one in fitting]),
        )
        for position, said in generated:
            yield self.answered(fitting[position], said)

    def asked(
        self,
        questions: Sequence[Question],
        *,
        given: Sequence[tuple[Passage, ...]] | None = None,
    ) -> list[Asked]:
        """The questions with their prompts; those that do not fit are to be refused."""
        room = self._room()  # reads the weights if nobody has: no part of a call
        started = time.perf_counter()
        prompts = self.prompts(questions, room=room, given=given)
        # Retrieval and templating belong to every call's time.
        each = (time.perf_counter() - started) / max(1, len(questions))
        return [Asked(question, prompt, each)
                for question, prompt in zip(questions, prompts, strict=True)]

    @property
    def verbatim(self) -> bool:
        """Whether an answer is what the model writes, with nothing read out of it."""
        return not (self._style.reasons or self.recipe.retrieval.cite)

    @property
    def max_tokens(self) -> int:
        """The limit of an answer, its reasoning included."""
        return self.manner.max_tokens + (
            self.recipe.prompt.reasoning_tokens if self._style.reasons else 0)

    @property
    def stop(self) -> tuple[str, ...]:
        """The strings that end what the model writes."""
        return () if self._style.reasons else self.manner.stop

    def save(self, folder: Path) -> None:
        described = {
            "recipe": self.recipe.model_dump(mode="json"),
            "manner": asdict(self.manner),
        }
        if isinstance(self.recipe.weights, EndpointWeights):
            described["endpoint"] = {"digest": self.speaker.digest}
        text = json.dumps(described, indent=2)
        (folder / "system.json").write_text(text + "\n", encoding="utf-8")
        shelf.save(self.shots, folder)
        if self.index is not None:
            self.index.save(folder / "index")
        if self.tuned is not None:
            shutil.copytree(self.tuned, folder / weights_folder(self.recipe))

    def constraints(self, questions: Sequence[Question]) -> list[Constraint]:
        """What each answer is held to; empty where decoding is free."""
        kind, manner = self.recipe.decoding.kind, self.manner
        if kind == "json":
            return [Constraint(schema=manner.schema)] * len(questions)
        if kind == "choices":
            return [Constraint(question.choices or manner.labels) for question in questions]
        return []

    def _room(self) -> int:
        return self.speaker.context_length - self.max_tokens

    def refused(self, asked: Asked) -> Answer:
        """The failure of a question whose prompt does not fit."""
        prompt = asked.prompt
        failure = (
            f"{TOO_LONG}: {prompt.conversation.length} tokens without shots or passages, "
            f"{self._room()} fit beside {self.max_tokens} for the answer"
        )
        return Answer(asked.question.id, "", NOTHING, dropped=prompt.dropped, failure=failure)

    def answered(self, asked: Asked, said: Generation) -> Answer:
        """The answer, read out of what the model said."""
        prompt = asked.prompt
        text, reasoning = said.text, ""
        if self._style.reasons and not said.failure:
            text, reasoning = concluded(said.text)
            text = stops.cut(text, self.manner.stop)
        read, made_up = prompt.passages, tuple[str, ...]()
        if self.recipe.retrieval.cite:
            text, read, made_up = citing.checked(text, prompt.passages)
        length = prompt.conversation.length if said.tokens_in is None else said.tokens_in
        return Answer(
            asked.question.id,
            text,
            Usage(length, said.tokens_out, said.seconds + asked.seconds),
            sources=tuple(dict.fromkeys(passage.document for passage in read)),
            passages=tuple(passage.text for passage in prompt.passages),
            dropped=prompt.dropped,
            failure=said.failure,
            reasoning=reasoning,
            made_up=made_up,
        )


def weights_folder(recipe: Recipe) -> str:
    """Where a saved system keeps its tuned weights."""
    return "weights" if isinstance(recipe.weights, FullWeights) else "adapter"


def load(folder: Path, tools: Tools) -> Composed:
    """Open what `Composed.save` wrote, on the models in `tools`."""
    described = json.loads((folder / "system.json").read_text(encoding="utf-8"))
    recipe = Recipe.model_validate(described["recipe"])
    tuned = None
    speaker: Speaker
    if isinstance(recipe.weights, EndpointWeights):
        speaker = tools.endpoint(recipe.weights.name)
        if speaker.digest != described["endpoint"]["digest"]:
            raise AdvisorError(
                f"{folder}: endpoint {recipe.weights.name!r} of advisor.yaml is not the one that "
                "was measured: its url, model or settings differ",
                fix="set it back, or run the task again",
            )
    elif isinstance(recipe.weights, TunedWeights):
        tuned = folder / weights_folder(recipe)
        base = tools.engine.quantised(recipe.weights.scheme)
        speaker = Local(base.with_weights(tuned))
    else:
        speaker = Local(tools.engine)
    index = None
    if recipe.retrieval.kind != "none":
        reranker = tools.reranker(recipe.retrieval.rerank) if recipe.retrieval.rerank else None
        index = retrieval.load(
            folder / "index", recipe.retrieval, embedder=tools.embedder, reranker=reranker
        )
    shots = shelf.load(folder, recipe.prompt, embedder=tools.embedder)
    manner = described["manner"]
    lists = {name: tuple(manner[name]) for name in ("stop", "labels") if name in manner}
    return Composed(recipe, Manner(**{**manner, **lists}), speaker, shots, index, tuned)
