"""advisor.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from advisor.config.base import Count, Positive, Share, Strict, later


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
    factorial: dict[Literal["prompt", "retrieval", "weights", "decoding"], str] = later(
        {"prompt": "few-shot", "retrieval": "rag", "weights": "lora", "decoding": "zero-shot-json"},
        description="For --factorial: the file of baselines/ whose setting each factor takes.",
    )
    presets: dict[str, tuple[str, ...]] = later(
        {}, description="For --preset: files of baselines/ by the name of their set, in the order "
        "in which a time limit lets them take part."
    )
    endpoints: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")], EndpointFile] = Field(
        {}, description="Models that are served elsewhere, by the name recipes use."
    )
    policy: PolicyFile = PolicyFile()
    prices: PricesFile = PricesFile()
    governance: GovernanceFile = GovernanceFile()
