"""A recipe: one contender as four choices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from advisor.config.base import Count, Strict
from advisor.config.weights import (
    BaseWeights,
    DistilSpec,
    EndpointWeights,
    FullWeights,
    LoraWeights,
    OwnSystem,
    TunedWeights,
    WeightsSpec,
)

Select = Literal["fixed", "diverse", "nearest", "random"]


class PromptSearch(Strict):
    """Every number and choice of shots is asked `rows` rows of dev, then every wording with the
    best of them; what answers best is kept, less a small charge for each token that is read."""

    wording: tuple[str, ...] = Field(
        (), description="Instructions to try beside the recipe's own, with `{instruction}` for the "
        "task's; empty text is the task's own."
    )
    shots: tuple[Count, ...] = Field((), description="Empty: as set above.")
    select: tuple[Select, ...] = Field((), description="Empty: as set above.")
    rows: Annotated[int, Field(ge=1)] = Field(
        24, description="Rows of dev, evenly spread, that each combination is asked."
    )
    charge_per_100_tokens: Annotated[float, Field(ge=0.0)] = Field(
        0.005,
        description="Quality (0..1) that 100 more tokens in the prompt must bring, to be worth "
        "reading in every call: on so few rows the longest would often be ahead by chance.",
    )

    @model_validator(mode="after")
    def _something_to_choose(self) -> PromptSearch:
        if not (self.wording or len(self.shots) > 1 or len(self.select) > 1):
            raise ValueError("name at least two values of shots or select, or one wording")
        return self


class PromptSpec(Strict):
    """What the contender is told."""

    kind: Literal["instruct", "none"] = Field(
        "instruct", description="`none` calls no model: the majority answer, or the first choice."
    )
    instruction: Literal["full", "brief"] = Field(
        "full",
        description="`brief`: the task's short instruction, for weights taught the rules.",
    )
    shots: Count = Field(0, description="Solved examples from train shown before the question.")
    select: Select = Field(
        "fixed",
        description="`fixed`: the same seeded examples for every question (cheap: the prompt is "
        "shared). `diverse`: the same for every question, as unlike each other as possible. "
        "`nearest`: the examples most similar to each question. `random`: drawn anew for each.",
    )
    reasoning: Literal["none", "steps"] = Field(
        "none",
        description="`steps`: reason first (chain of thought); only what follows the last "
        "`Answer:` is the answer.",
    )
    reasoning_tokens: Annotated[int, Field(ge=1)] = Field(
        192, description="Tokens added to the task's limit for `reasoning: steps`."
    )
    wording: str = Field(
        "", description="Replaces the task's instruction, which stands where `{instruction}` does; "
        "empty keeps it alone."
    )
    tune: PromptSearch | None = Field(
        None, description="Choose among these on dev, by the task's primary metric."
    )


class RetrievalSearch(Strict):
    """What to choose among on dev, by recall: how often a passage in the prompt holds the
    answer, less a small charge for each word that is read."""

    top_k: tuple[Annotated[int, Field(ge=1)], ...] = Field((), description="Empty: as set above.")
    chunk_words: tuple[Annotated[int, Field(ge=10)], ...] = Field(
        (), description="Empty: as set above."
    )
    charge_per_100_words: Annotated[float, Field(ge=0.0)] = Field(
        0.05,
        description="Recall (0..1) that 100 more words in the prompt must bring, to be worth "
        "reading: without it, more passages would always be chosen.",
    )

    @model_validator(mode="after")
    def _something_to_choose(self) -> RetrievalSearch:
        if len(self.top_k) < 2 and len(self.chunk_words) < 2:
            raise ValueError("name at least two values of top_k or of chunk_words to choose from")
        return self


class RetrievalSpec(Strict):
    """What the contender reads before it answers."""

    kind: Literal["none", "lexical", "dense", "hybrid", "everything"] = Field(
        "none",
        description="`lexical`: BM25. `dense`: embeddings and faiss. `hybrid`: both, joined by "
        "reciprocal rank. `everything`: the whole corpus, where it fits into the context.",
    )
    top_k: Annotated[int, Field(ge=1)] = Field(2, description="Passages put into the prompt.")
    chunk_words: Annotated[int, Field(ge=10)] = Field(
        90, description="Words in a passage at most; sections of a document are not mixed."
    )
    rerank: str = Field(
        "",
        description="A cross-encoder (local folder or hub id) that orders the best `rerank_from` "
        "passages again. Empty: no reranking.",
    )
    rerank_from: Annotated[int, Field(ge=1)] = Field(20, description="Passages it looks at.")
    cite: bool = Field(
        False,
        description="Passages are numbered and the answer must end with the number it is from; "
        "numbers that were not read are noted, and sources are those cited.",
    )
    tune: RetrievalSearch | None = Field(None, description="Choose top_k and chunk_words on dev.")

    @model_validator(mode="after")
    def _fits_together(self) -> RetrievalSpec:
        if self.cite and self.kind == "none":
            raise ValueError("`cite` needs something to read: set retrieval.kind")
        if (self.rerank or self.tune) and self.kind in ("none", "everything"):
            named = "rerank" if self.rerank else "tune"
            raise ValueError(f"`{named}` needs kind lexical, dense or hybrid, not {self.kind}")
        return self


class DecodingSpec(Strict):
    """How the contender may speak. Greedy: every difference is the recipe's."""

    kind: Literal["free", "choices", "json"] = Field(
        "free",
        description="`choices`: one of the question's choices, or of the labels in train. "
        "`json`: text of the task's `answer_schema`, or of one derived from train.",
    )


class Recipe(Strict):
    """One contender: prompt x retrieval x weights x decoding."""

    prompt: PromptSpec = PromptSpec()
    retrieval: RetrievalSpec = RetrievalSpec()
    weights: WeightsSpec = BaseWeights()
    decoding: DecodingSpec = DecodingSpec()

    @model_validator(mode="after")
    def _own_systems_choose_for_themselves(self) -> Recipe:
        others = {"prompt": PromptSpec(), "retrieval": RetrievalSpec(), "decoding": DecodingSpec()}
        set_here = [name for name, default in others.items() if getattr(self, name) != default]
        if isinstance(self.weights, OwnSystem) and set_here:
            raise ValueError(f"`{set_here[0]}` does nothing for a system of your own: remove it")
        if self.decoding.kind != "free" and self.prompt.reasoning != "none":
            raise ValueError("`prompt.reasoning: steps` needs `decoding.kind: free`")
        if self.prompt.tune and isinstance(self.weights, TunedWeights):
            raise ValueError("`prompt.tune` asks the model as it is; set the prompt of tuned "
                             "weights by hand")
        return self

    @model_validator(mode="after")
    def _lessons_fit_together(self) -> Recipe:
        weights = self.weights
        if not isinstance(weights, TunedWeights):
            return self
        if weights.reads != "found" and self.retrieval.kind in ("none", "everything"):
            raise ValueError(f"`weights.reads: {weights.reads}` needs a recipe that retrieves: "
                             "set retrieval.kind to lexical, dense or hybrid")
        if weights.teacher and weights.teacher.recipe.prompt.kind == "none":
            raise ValueError("`weights.teacher`: the floor teaches nothing; give a teacher that "
                             "calls a model")
        return self

    @property
    def axes(self) -> dict[str, str]:
        """The four choices in a few words each, for tables."""
        prompt, retrieval, weights = self.prompt, self.retrieval, self.weights
        if isinstance(weights, OwnSystem):
            own = weights.system.rpartition("/")[2]
            return {"prompt": "own", "retrieval": "-", "weights": own, "decoding": "own"}
        if prompt.kind == "none":
            return {"prompt": "none", "retrieval": "-", "weights": "-", "decoding": "-"}
        shots = f"{prompt.shots} {prompt.select} shots" if prompt.shots else "zero-shot"
        if prompt.instruction == "brief":
            shots += ", brief"
        if prompt.wording:
            shots += ", own wording"
        if prompt.reasoning == "steps":
            shots += ", reasons first"
        reads: str = retrieval.kind
        if reads not in ("none", "everything"):
            reads += f" top {retrieval.top_k}{', reranked' if retrieval.rerank else ''}"
        tuned = "base"
        if isinstance(weights, EndpointWeights):
            tuned = f"endpoint {weights.name}"
        if isinstance(weights, TunedWeights):
            tuned = weights.manner
        return {
            "prompt": shots,
            "retrieval": reads,
            "weights": tuned,
            "decoding": self.decoding.kind,
        }


# A teacher is a recipe, so the models of weights are whole only now.
for _model in (DistilSpec, LoraWeights, FullWeights, Recipe):
    _model.model_rebuild(_types_namespace={"Recipe": Recipe})
