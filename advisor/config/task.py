"""task.yaml."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from advisor.config.base import Count, Positive, Share, Strict
from advisor.errors import did_you_mean


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
