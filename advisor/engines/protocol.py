"""What runs a model, as contenders and measures see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from advisor.config import LoraWeights
from advisor.core import PrepareCost

TokenIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing to learn: after `prompt`, say `completion`. Only that is trained on."""

    prompt: tuple[Message, ...]
    completion: str


@dataclass(frozen=True, slots=True)
class Generation:
    """Text the model produced, its tokens, and its share of the batch's seconds."""

    text: str
    tokens_out: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Course:
    """What is trained on, and what decides which checkpoint is kept."""

    train: tuple[Lesson, ...]
    dev: tuple[Lesson, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. A prompt's answer follows from the seed and its place among the
    prompts, not from which others are answered beside it."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


class Engine(Protocol):
    """One language model, perhaps with an adapter, behind four verbs.

    `digest` identifies weights, adapter, quantisation, precision and template; two
    engines that could answer differently never share it. Token ids are the engine's.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def context_length(self) -> int: ...

    @property
    def end_of_text(self) -> int: ...

    def encode(self, messages: Sequence[Message]) -> TokenIds:
        """The conversation in the model's chat template, ready for its answer."""
        ...

    def tokenize(self, text: str) -> TokenIds:
        """Plain text without special tokens."""
        ...

    def generate(
        self,
        prompts: Sequence[TokenIds],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        sampling: Sampling | None = None,
    ) -> Iterable[tuple[int, Generation]]:
        """Answers as (index of the prompt, generation), as they finish; greedy unless
        `sampling` is given. `max_tokens` is one limit for all prompts or one for each.

        An answer ends before the first string of `stop` that follows any text of it.
        """
        ...

    def score(self, pairs: Sequence[tuple[TokenIds, TokenIds]]) -> list[tuple[float, bool]]:
        """For each (context, continuation): sum of natural-log probabilities of the
        continuation, and whether greedy decoding would produce it. Single precision."""
        ...

    def quantised(self, scheme: Literal["none", "nf4"]) -> Engine:
        """The same base model, its weights held as `scheme`."""
        ...

    def tune(
        self, course: Course, spec: LoraWeights, *, folder: Path, seed: int
    ) -> PrepareCost:
        """Train an adapter on the course and write the best one to `folder`."""
        ...

    def with_adapter(self, folder: Path) -> Engine:
        """The same base model with the adapter in `folder`."""
        ...
