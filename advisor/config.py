"""What a user writes in YAML: advisor.yaml, task.yaml and the recipes.

Each model below is documented once; the same text becomes the JSON schema that
editors read (`advisor/schemas/*.json`). Unknown keys are errors; `yamlfiles.py`
reads a file into its model.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from advisor.errors import did_you_mean

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _later(default: Any, *, description: str) -> Any:
    """A field that came after recipes had been measured. Where it says nothing it is left out
    of the recipe's identity, so that what was measured before stays valid."""
    return Field(default, description=description, exclude_if=lambda value: value == default)


# ------------------------------------------------------------------- a recipe


Select = Literal["fixed", "diverse", "nearest", "random"]


class PromptSearch(Strict):
    """Every combination of these is asked `rows` rows of dev; the best is kept."""

    wording: tuple[str, ...] = Field(
        (), description="Instructions to try beside the task's own; empty text is the task's own."
    )
    shots: tuple[Count, ...] = Field((), description="Empty: as set above.")
    select: tuple[Select, ...] = Field((), description="Empty: as set above.")
    rows: Annotated[int, Field(ge=1)] = Field(
        24, description="Rows of dev, evenly spread, that each combination is asked."
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
        "", description="Replaces the task's instruction; empty keeps the task's own."
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


class BaseWeights(Strict):
    """The model as it came."""

    kind: Literal["base"] = "base"


class PretrainSpec(Strict):
    """Domain-adaptive pre-training (Gururangan et al., arXiv 2004.10964): next-token loss on the
    task's corpus, before anything is learnt from train."""

    learning_rate: Positive = Field(2e-4, description="Peak; warmed up, then linear to 0.")
    epochs: Positive = Field(2.0, description="Passes over the corpus.")
    batch_size: Annotated[int, Field(ge=1)] = Field(4, description="Blocks per update.")
    block_tokens: Annotated[int, Field(ge=16)] = Field(
        256, description="Length of the blocks that documents are cut into."
    )


class PreferSpec(Strict):
    """Preference tuning after train has been learnt, on the task's preferences.jsonl; a task
    without one gets pairs of the right answer and a wrong one that the tuned model gives on
    train."""

    method: Literal["dpo", "simpo"] = Field(
        "dpo",
        description="`dpo` (Rafailov et al., arXiv 2305.18290) is held to the model it starts "
        "from. `simpo` (Meng et al., arXiv 2405.14734) needs no reference.",
    )
    beta: Positive = Field(0.1, description="Strength; `simpo` wants about 2.")
    target_margin: Annotated[float, Field(ge=0.0)] = Field(
        1.0, description="Of `simpo`: by how much the better answer should lead, in nats a token "
        "times beta."
    )
    anchor: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="Weight of the next-token loss on the better answer beside it (RPO, "
        "arXiv 2404.19733): keeps it likely, not only likelier than the other."
    )
    learning_rate: Positive = Field(1e-4, description="Peak; warmed up, then linear to 0.")
    epochs: Positive = Field(1.0, description="Passes over the pairs.")
    batch_size: Annotated[int, Field(ge=1)] = Field(4, description="Pairs per update.")
    draws: Annotated[int, Field(ge=1)] = Field(
        2, description="Answers drawn for each row of train when pairs are made."
    )
    max_pairs: Annotated[int, Field(ge=2)] = Field(256, description="Pairs at most.")


class DistilSpec(Strict):
    """Distillation: a teacher answers the task's unlabelled.jsonl, or the questions of train
    where there is none; what it says is learnt. Its calls are part of the preparation's cost."""

    recipe: Recipe = Field(description="The teacher: any recipe, an endpoint's among them.")
    labels: Literal["teacher", "both"] = Field(
        "teacher", description="`both`: the labelled rows of train are learnt as well; otherwise "
        "the student sees no label of its own."
    )
    rows: Annotated[int, Field(ge=1)] = Field(1000, description="Questions asked at most.")


class TuningSearch(Strict):
    """Every combination of these is tuned on a part of train; the lowest dev loss is kept."""

    learning_rate: tuple[Positive, ...] = Field((), description="Empty: as set above.")
    epochs: tuple[Positive, ...] = Field((), description="Empty: as set above.")
    share: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.25, description="Share of train that each trial sees."
    )

    @model_validator(mode="after")
    def _something_to_choose(self) -> TuningSearch:
        if len(self.learning_rate) < 2 and len(self.epochs) < 2:
            raise ValueError("name at least two values of learning_rate or of epochs")
        return self


class TunedWeights(Strict):
    """What every way of changing weights has in common."""

    top_layers: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0,
        description="Share of the layers, counted from the output, that are changed. Below 1 "
        "an update is faster: nothing flows back through the lower layers.",
    )
    learning_rate: Positive = Field(5e-4, description="Peak; warmed up, then linear to 0.")
    epochs: Positive = Field(2.0, description="Passes over train.")
    batch_size: Annotated[int, Field(ge=1)] = Field(8, description="Rows per update.")
    warmup: Share = Field(0.1, description="Share of the updates spent warming up.")
    rehearsal: Annotated[float, Field(ge=0.0)] = Field(
        0.0,
        description="Weight of the divergence from the base on text that the base wrote itself: "
        "higher forgets less and learns more slowly.",
    )
    checks: Annotated[int, Field(ge=1)] = Field(
        2, description="How often dev loss is taken; the best checkpoint is kept."
    )
    check_rows: Annotated[int, Field(ge=1)] = Field(
        32, description="Rows of dev, evenly spread, that a check looks at."
    )
    reads: Literal["found", "none", "mixed"] = _later(
        "found",
        description="What a row is learnt with when the recipe retrieves. `found`: what the "
        "retriever finds. `none`: nothing; passages come only with the questions. `mixed` "
        "(RAFT, arXiv 2403.10131): the right passage among others, and for one row in five "
        "only others.",
    )
    pretrain: PretrainSpec | None = _later(None, description="On the corpus, before train.")
    teacher: DistilSpec | None = _later(None, description="Learn what a teacher says.")
    prefer: PreferSpec | None = _later(None, description="After train, from pairs of answers.")
    tune: TuningSearch | None = _later(None, description="Choose among these on dev.")

    @property
    def scheme(self) -> Literal["none", "nf4"]:
        """How the base is held."""
        return "none"

    @property
    def manner(self) -> str:
        """In a few words, for tables."""
        parts = [f"taught by {self.teacher.recipe.axes['prompt']}" if self.teacher else "",
                 "after the corpus" if self.pretrain else "",
                 f"then {self.prefer.method.upper()}" if self.prefer else "",
                 {"found": "", "none": "learnt without passages",
                  "mixed": "with distractors"}[self.reads]]
        return ", ".join([self._kind(), *filter(None, parts)])

    def _kind(self) -> str:
        raise NotImplementedError


class LoraWeights(TunedWeights):
    """A low-rank adapter (Hu et al., arXiv 2106.09685), tuned on the train split."""

    kind: Literal["lora"]
    quantise: Literal["none", "nf4"] = Field(
        "none", description="`nf4`: the base is held in 4 bits (QLoRA, arXiv 2305.14314)."
    )
    rank: Annotated[int, Field(ge=1)] = Field(16, description="Width of the update.")
    alpha: Positive = Field(32.0, description="The update is scaled by alpha / rank.")
    dropout: Share = Field(0.0, description="Dropout on the adapter's input while tuning.")
    targets: Literal["all-linear", "attention"] = Field(
        "all-linear", description="Which modules of a layer get an adapter."
    )
    variant: Literal["plain", "rslora", "dora"] = _later(
        "plain",
        description="`rslora` (arXiv 2312.03732): scaled by alpha / sqrt(rank), for large ranks. "
        "`dora` (arXiv 2402.09353): the length of each weight vector is learnt apart; slower.",
    )

    @property
    def scheme(self) -> Literal["none", "nf4"]:
        return self.quantise

    def _kind(self) -> str:
        name = {"plain": "LoRA", "rslora": "rsLoRA", "dora": "DoRA"}[self.variant]
        base = "" if self.quantise == "none" else f" on {self.quantise}"
        return f"{name} r={self.rank}{base}"


class FullWeights(TunedWeights):
    """Full fine-tuning: every weight of the layers is changed. Kept in float32 while tuned,
    multiplied and saved in the precision that answers."""

    kind: Literal["full"]
    learning_rate: Positive = Field(
        5e-5, description="Peak; about a tenth of what an adapter takes."
    )

    def _kind(self) -> str:
        return "full fine-tune"


class EndpointWeights(Strict):
    """A model behind an OpenAI-compatible endpoint: vLLM, Ollama, a hosted service."""

    kind: Literal["endpoint"]
    name: str = Field(description="One of `endpoints` in advisor.yaml.")


class OwnSystem(Strict):
    """A system of your own: anything with `answer`. Its code runs in this process."""

    kind: Literal["own"]
    system: Annotated[str, Field(pattern=r"^[^:]+\.py:[A-Za-z_]\w*$")] = Field(
        description="`./mine.py:System`, the path seen from the workspace. A class is made "
        "with the task's material if it takes an argument."
    )


WeightsSpec = Annotated[
    BaseWeights | LoraWeights | FullWeights | EndpointWeights | OwnSystem,
    Field(discriminator="kind")
]


# How a value of `weights.kind` is spelt in a fault's place.
WEIGHTS: dict[str, type[Strict]] = {
    "base": BaseWeights, "lora": LoraWeights, "full": FullWeights, "endpoint": EndpointWeights,
    "own": OwnSystem,
}


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


# --------------------------------------------------------------------- a task


class VoiceFile(Strict):
    """How every reply must sound; a rule that is left out asks for nothing."""

    opening: tuple[str, ...] = Field((), description="A reply begins with one of these.")
    sign_off: tuple[str, ...] = Field((), description="A reply ends with one of these.")
    sentence_words: Count = Field(0, description="Words of a sentence between them at most.")
    sentences: Count = Field(0, description="Sentences between them at most.")
    forbidden: tuple[str, ...] = Field((), description="Words and phrases no reply may hold.")
    units: dict[str, str] = Field(
        {}, description="After a number, what may not stand and what must: `litres: l`."
    )

    @model_validator(mode="after")
    def _has_a_rule(self) -> VoiceFile:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("`voice` needs at least one rule")
        return self


class ScorerFile(Strict):
    """How an answer is graded."""

    kind: Literal["exact", "json", "short_answer", "choice", "reply"]
    fields: tuple[str, ...] = Field((), description="For `json`: dotted paths, one point each.")
    voice: VoiceFile | None = Field(None, description="For `reply`: the rules of the voice.")

    @model_validator(mode="after")
    def _fields_belong_to_json(self) -> ScorerFile:
        if (self.kind == "json") != bool(self.fields):
            raise ValueError("`fields` is required for kind json, and only there")
        if (self.kind == "reply") != bool(self.voice):
            raise ValueError("`voice` is required for kind reply, and only there")
        return self


class ContextFile(Strict):
    """The circumstances that price the answer."""

    calls_per_month: Positive
    churn_per_month: Share = Field(0.0, description="Share of the facts that change in a month.")
    latency_limit_ms: Positive | None = Field(None, description="Limit of p95, one call at a time.")
    residency: str = Field("any", description="Where data may be processed.")


class TaskFile(Strict):
    """`evals/<task>/task.yaml`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    instruction: Annotated[str, Field(min_length=1)]
    brief: str = Field("", description="The instruction without the rules that examples teach.")
    scorer: ScorerFile
    primary: str = Field(description="The one metric the verdict is about.")
    chance: Share = Field(0.0, description="The primary metric of a contender that knows nothing.")
    max_tokens: Annotated[int, Field(ge=1)] = Field(64, description="Limit of an answer.")
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Strings before which an answer ends, once it has begun; a newline for "
        "one-line answers."
    )
    answer_schema: dict[str, Any] | None = Field(
        None, description="JSON schema that `decoding: {kind: json}` holds answers to; without "
        "one it is derived from the targets of train."
    )
    context: ContextFile
    slices: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description="Extra keys of the test rows; quality is told for each of their values too."
    )
    licence: str = ""
    source: str = ""
    legal_basis: str = Field(
        "", description="Why these data may be used, such as a contract or consent. Declared."
    )
    personal_data: Literal["unknown", "none", "some"] = Field(
        "unknown", description="Whether rows or documents are about living persons. Declared."
    )
    intended_use: str = Field("", description="What the adapted model is for, and what not.")

    @model_validator(mode="after")
    def _slices_are_extra_keys(self) -> TaskFile:
        taken = [name for name in self.slices if name in ROW_KEYS]
        if taken:
            raise ValueError(f"slices: {taken[0]!r} is a key that every row has; name another")
        return self

    @model_validator(mode="after")
    def _primary_is_measured(self) -> TaskFile:
        known = PRIMARY[self.scorer.kind]
        if self.primary not in known:
            raise ValueError(f"primary: {self.primary!r} is not measured by scorer "
                             f"{self.scorer.kind!r}{did_you_mean(self.primary, known)}")
        return self


# What a row may hold of its own; a slice column is some other key.
ROW_KEYS = ("id", "text", "targets", "group", "choices", "sources", "messages", "prompt",
            "completion", "input", "output", "question", "answer")

PRIMARY: dict[str, tuple[str, ...]] = {
    "exact": ("exact",),
    "choice": ("exact",),
    "short_answer": ("f1", "exact", "contains"),
    "json": ("field_accuracy", "exact", "valid"),
    "reply": ("both", "fact", "voice"),
}


# ---------------------------------------------------------------- advisor.yaml


class PolicyFile(Strict):
    """The rule book of the verdict."""

    quality_margin: Share = Field(0.05, description="A smaller loss of quality does not matter.")
    retention_margin: Share = Field(0.05, description="Allowed loss of retention accuracy.")
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    max_failed: Share = Field(0.01, description="Share of calls that may fail.")
    horizon_months: Positive = Field(12.0, description="Preparation is spread over these months.")
    protect: dict[str, Share] | tuple[str, ...] = Field(
        (), description="Retention suites that must each hold alone: a list (at retention_margin), "
        "or suite: margin (bits per byte for a suite in those)."
    )
    value_per_correct: Positive | None = Field(
        None, description="USD that one correct answer is worth. Said, quality is weighed against "
        "cost; unsaid, the cheapest within quality_margin of the best is taken."
    )
    stale_share: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.05, description="What holds facts (weights, index) is renewed before this share of them "
        "is stale on average; how fast they change is the task's churn_per_month."
    )
    base_replaced_months: Positive | None = Field(
        None, description="Tuned weights are tuned again this often, on a new base model."
    )


class PricesFile(Strict):
    """What a machine costs. Take yours from the invoice."""

    machine_hour: Positive = Field(0.10, description="USD an hour for the machine that measures.")
    utilisation: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        0.5, description="Share of the paid hours in which the machine answers."
    )
    label: Annotated[float, Field(ge=0.0)] = Field(
        0.0, description="USD for one labelled row; contenders pay for those they learn from."
    )


class GovernanceFile(Strict):
    """What only people know, for the documents of a shipped bundle."""

    provider: str = Field("", description="Who answers for the adapted model.")
    licence: str = Field("", description="Of what is shipped, as an SPDX identifier.")
    base_licence: str = Field("", description="Of the base model, as an SPDX identifier.")
    base_training_flops: Positive | None = Field(
        None, description="Compute the base model was trained with, from its own model card."
    )


class EndpointFile(Strict):
    """One OpenAI-compatible endpoint. Questions of a task are sent to it."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")] = Field(
        description="Up to and with the version: http://localhost:8000/v1"
    )
    model: Annotated[str, Field(min_length=1)] = Field(description="The name it is served under.")
    api_key_env: str = Field(
        "", description="The environment variable that holds the key; the key itself stands in "
        "no file. Empty: no key is sent."
    )
    residency: str = Field(
        "elsewhere",
        description="Where it processes data. A task whose context names a residency other than "
        "`any` is asked only there.",
    )
    context_length: Annotated[int, Field(ge=64)] = Field(8192, description="In its tokens.")
    concurrency: Annotated[int, Field(ge=1)] = Field(4, description="Calls in flight at a time.")
    timeout_seconds: Positive = Field(60.0, description="For one try of one call.")
    retries: Count = Field(
        4, description="After a time-out, a refused connection, 408, 409, 429 or 5xx; waits grow, "
        "and Retry-After is honoured up to two minutes."
    )
    usd_per_million_in: Annotated[float, Field(ge=0.0)] = Field(description="0 if it is yours.")
    usd_per_million_out: Annotated[float, Field(ge=0.0)]
    spend_limit_usd: Positive | None = Field(
        None, description="What one command may spend there; required where tokens cost."
    )

    @model_validator(mode="after")
    def _what_costs_is_capped(self) -> EndpointFile:
        if self.usd_per_million_in + self.usd_per_million_out > 0 and not self.spend_limit_usd:
            raise ValueError("spend_limit_usd is required where tokens have a price")
        return self


FACTORS = ("prompt", "retrieval", "weights", "decoding")


class Settings(Strict):
    """`advisor.yaml`, at the root of a workspace."""

    model: str = "smollm2-135m-instruct"
    embedder: str = "all-minilm-l6-v2"
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="`auto`: bfloat16 where the machine computes it natively."
    )
    seed: Count = 0
    latency_probe: Annotated[int, Field(ge=1)] = Field(
        5, description="Calls made one at a time to measure latency."
    )
    retention: tuple[str, ...] = Field(
        ("general_knowledge", "everyday_physics", "grammar", "last_word", "plain_text", "own_text"),
        description="Suites under evals/retention/, any lm-eval task name, or `own_text`: the "
        "KL divergence from the base, on text that the base writes.",
    )
    oracle_probe: Annotated[int, Field(ge=0)] = Field(
        60, description="Test rows, evenly spread, that contenders which read are asked again "
        "with the right passage, to tell the retriever's faults from the model's. 0: none."
    )
    optional: tuple[str, ...] = Field(
        (), description="Files of baselines/ that run only when named, or with --all."
    )
    factorial: dict[Literal["prompt", "retrieval", "weights", "decoding"], str] = _later(
        {"prompt": "few-shot", "retrieval": "rag", "weights": "lora", "decoding": "zero-shot-json"},
        description="For --factorial: the file of baselines/ whose setting each factor takes.",
    )
    presets: dict[str, tuple[str, ...]] = _later(
        {}, description="For --preset: files of baselines/ by the name of their set, in the order "
        "in which a time limit lets them take part."
    )
    endpoints: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")], EndpointFile] = Field(
        {}, description="Models that are served elsewhere, by the name recipes use."
    )
    policy: PolicyFile = PolicyFile()
    prices: PricesFile = PricesFile()
    governance: GovernanceFile = GovernanceFile()
