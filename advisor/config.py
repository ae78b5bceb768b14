"""What a user writes in YAML: advisor.yaml, task.yaml and the recipes.

Each model below is documented once; the same text becomes the JSON schema that
editors read (`advisor/schemas/*.json`). Unknown keys are errors, and all faults of
a file are reported together with their lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from advisor.errors import AdvisorError, Faults, did_you_mean

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# ------------------------------------------------------------------- a recipe


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
    select: Literal["fixed", "nearest"] = Field(
        "fixed",
        description="`fixed`: the same seeded examples for every question (cheap: the prompt is "
        "shared). `nearest`: the examples most similar to each question.",
    )


class RetrievalSpec(Strict):
    """What the contender reads before it answers."""

    kind: Literal["none", "dense"] = Field("none", description="`dense`: embeddings and faiss.")
    top_k: Annotated[int, Field(ge=1)] = Field(2, description="Passages put into the prompt.")
    chunk_words: Annotated[int, Field(ge=10)] = Field(
        90, description="Words in a passage at most; sections of a document are not mixed."
    )


class BaseWeights(Strict):
    """The model as it came."""

    kind: Literal["base"] = "base"


class LoraWeights(Strict):
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
    top_layers: Annotated[float, Field(gt=0.0, le=1.0)] = Field(
        1.0,
        description="Share of the layers, counted from the output, that get an adapter. Below 1 "
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


WeightsSpec = Annotated[BaseWeights | LoraWeights, Field(discriminator="kind")]


class DecodingSpec(Strict):
    """How the contender may speak. Greedy: every difference is the recipe's."""

    kind: Literal["free"] = "free"


class Recipe(Strict):
    """One contender: prompt x retrieval x weights x decoding."""

    prompt: PromptSpec = PromptSpec()
    retrieval: RetrievalSpec = RetrievalSpec()
    weights: WeightsSpec = BaseWeights()
    decoding: DecodingSpec = DecodingSpec()

    @property
    def axes(self) -> dict[str, str]:
        """The four choices in a few words each, for tables."""
        prompt, retrieval, weights = self.prompt, self.retrieval, self.weights
        if prompt.kind == "none":
            return {"prompt": "none", "retrieval": "-", "weights": "-", "decoding": "-"}
        shots = f"{prompt.shots} {prompt.select} shots" if prompt.shots else "zero-shot"
        if prompt.instruction == "brief":
            shots += ", brief"
        reads = "none" if retrieval.kind == "none" else f"{retrieval.kind} top {retrieval.top_k}"
        tuned = "base"
        if isinstance(weights, LoraWeights):
            base = "" if weights.quantise == "none" else f" on {weights.quantise}"
            tuned = f"LoRA r={weights.rank}{base}"
        return {
            "prompt": shots,
            "retrieval": reads,
            "weights": tuned,
            "decoding": self.decoding.kind,
        }


# --------------------------------------------------------------------- a task


class ScorerFile(Strict):
    """How an answer is graded."""

    kind: Literal["exact", "json", "short_answer", "choice"]
    fields: tuple[str, ...] = Field((), description="For `json`: dotted paths, one point each.")

    @model_validator(mode="after")
    def _fields_belong_to_json(self) -> ScorerFile:
        if (self.kind == "json") != bool(self.fields):
            raise ValueError("`fields` is required for kind json, and only there")
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
        ("general_knowledge", "everyday_physics", "grammar", "last_word", "plain_text"),
        description="Suites under evals/retention/, or any lm-eval task name.",
    )
    policy: PolicyFile = PolicyFile()
    prices: PricesFile = PricesFile()
    governance: GovernanceFile = GovernanceFile()


# -------------------------------------------------------------------- loading

Model = TypeVar("Model", bound=Strict)


def load(path: Path, model: type[Model]) -> Model:
    """Read one YAML file into `model`; all faults of the file in one error."""
    text = read_text(path)
    try:
        raw = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-02-31
        raise AdvisorError(f"{path}: not valid YAML: {error}", fix=f"edit {path}") from error
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise AdvisorError(f"{path}: expected keys and values, found {type(raw).__name__}",
                           fix=f"edit {path}")
    if twice := list(_twice(root)):
        raise Faults(str(path), twice, fix=f"edit {path}")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = [_explain(fault, model, root) for fault in error.errors()]
        raise Faults(str(path), faults, fix=f"edit {path}") from error


def read_text(path: Path) -> str:
    """The file as UTF-8; a missing or broken file is an AdvisorError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise AdvisorError(f"{path}: no such file", fix=f"create {path}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise AdvisorError(f"{path}:{line}: not UTF-8 (byte {error.start})",
                           fix=f"save {path} as UTF-8") from error


def _explain(fault: Any, model: type[Strict], root: yaml.Node | None) -> str:
    path = [part for part in fault["loc"] if part not in ("base", "lora")]
    where = ".".join(str(part) for part in path)
    line = _line(root, path)
    prefix = f"line {line}: {where}" if line else where
    if fault["type"] == "extra_forbidden":
        allowed = _keys_beside(model, fault["loc"])
        return f"{prefix}: unknown key{did_you_mean(str(path[-1]), allowed)}"
    if fault["type"] == "missing":
        return f"{prefix}: required key is missing"
    message = re.sub(r"^Value error, ", "", fault["msg"])
    return f"{prefix}: {message}, found {fault['input']!r}" if path else message


def _twice(node: yaml.Node | None) -> Iterator[str]:
    """Keys given more than once: YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                yield f"line {line}: {key.value}: given twice, first on line {seen[key.value]}"
            seen[key.value] = line
            yield from _twice(value)


def _line(node: yaml.Node | None, path: list[Any]) -> int | None:
    """The 1-based line of a key; of its nearest parent when the key is absent."""
    line = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
            if not pairs:
                return line
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _keys_beside(model: type[Strict], loc: tuple[Any, ...]) -> list[str]:
    """Keys allowed where the unknown key at `loc` stands."""
    unions: dict[str, type[Strict]] = {"base": BaseWeights, "lora": LoraWeights}
    for part in loc[:-1]:
        if part in unions:
            model = unions[str(part)]
            continue
        field = model.model_fields.get(str(part))  # none for a key of a mapping
        kinds = (field.annotation, *get_args(field.annotation)) if field else ()
        for kind in kinds:
            if isinstance(kind, type) and issubclass(kind, Strict):
                model = kind
    return list(model.model_fields)
