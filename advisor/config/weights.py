"""How a contender's weights come about: as they came, tuned in stages, or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from advisor.config.base import Positive, Share, Strict, later

if TYPE_CHECKING:
    from advisor.config.recipe import Recipe


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
    train. What answers dev no better than before is not kept."""

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
    rows: Annotated[int, Field(ge=1)] = Field(
        100, description="Rows of dev, evenly spread, that are asked before and after; unless "
        "more is earned after, the weights from before are kept."
    )


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
    rows_at_once: Annotated[int, Field(ge=1)] | None = later(
        None,
        description="Rows of an update that are computed at once; gradients of the parts are "
        "added up (gradient accumulation), so the update is the same in less memory.",
    )
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
    reads: Literal["found", "none", "mixed"] = later(
        "found",
        description="What a row is learnt with when the recipe retrieves. `found`: what the "
        "retriever finds. `none`: nothing; passages come only with the questions. `mixed` "
        "(RAFT, arXiv 2403.10131): the right passage among others, and for one row in five "
        "only others.",
    )
    pretrain: PretrainSpec | None = later(None, description="On the corpus, before train.")
    teacher: DistilSpec | None = later(None, description="Learn what a teacher says.")
    prefer: PreferSpec | None = later(None, description="After train, from pairs of answers.")
    tune: TuningSearch | None = later(None, description="Choose among these on dev.")

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
    variant: Literal["plain", "rslora", "dora"] = later(
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
