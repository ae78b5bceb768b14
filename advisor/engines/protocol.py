"""What runs a model, as contenders and measures see it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from advisor.config import TunedWeights
from advisor.trial import PrepareCost

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
class Text:
    """Running text to go on from, token by token: what pre-training is made of."""

    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt, of which `chosen` is the better."""

    prompt: tuple[Message, ...]
    chosen: str
    rejected: str


Item = TypeVar("Item", Lesson, Text, Pair)


@dataclass(frozen=True, slots=True)
class Constraint:
    """What an answer must be: one of `choices`, or JSON of `schema` (JSON text) without
    blanks between its parts, its keys in the order of the schema. One of the two is given."""

    choices: tuple[str, ...] = ()
    schema: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """Text the model produced, its tokens, and its share of the batch's seconds.

    `tokens_in` is the length of the prompt where only the model's host knows it. `failure`
    is empty unless there is no text, and says why.
    """

    text: str
    tokens_out: int
    seconds: float
    tokens_in: int | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Course(Generic[Item]):
    """What is trained on, and what decides which checkpoint is kept: all of one kind.

    Lessons and texts are learnt by their next-token loss, pairs as `weights.prefer` says.
    """

    train: tuple[Item, ...]
    dev: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. A prompt's answer follows from the seed and its place among the
    prompts, not from which others are answered beside it."""

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages ready to be answered, and their length in tokens, or an upper estimate of it.

    `tokens` are the engine's ids; empty where the weights are elsewhere.
    """

    messages: tuple[Message, ...]
    length: int
    tokens: TokenIds = ()


class Speaker(Protocol):
    """What answers conversations, wherever its weights are: all that a contender which is
    only asked needs. An Engine becomes one through `Local`."""

    @property
    def digest(self) -> str: ...

    @property
    def context_length(self) -> int: ...

    def ready(self, messages: Sequence[Message]) -> Conversation: ...

    def speak(
        self,
        conversations: Sequence[Conversation],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        constraints: Sequence[Constraint] = (),
    ) -> Iterable[tuple[int, Generation]]:
        """Greedy answers as (index of the conversation, generation), as they finish.

        `constraints` is empty, or has one for each conversation. Raises AdvisorError when
        nothing more can be answered; what was yielded before stands.
        """
        ...


@runtime_checkable
class Arriving(Protocol):
    """Prompts of which more come while the first are being answered: a sequence that grows
    only when `take` is called."""

    def take(self, beginning: TokenIds, places: int) -> None:
        """Add at most `places` of those that wait, each of which begins with `beginning`."""
        ...


@runtime_checkable
class Followed(Protocol):
    """Prompts whose answers are followed while they are written."""

    def follows(self, index: int) -> bool:
        """Whether anybody waits for the answer of this prompt as it grows."""
        ...

    def written(self, index: int, text: str) -> None:
        """`text` begins the answer, and stays whatever follows; each call's begins with that
        of the call before."""
        ...


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
        constraints: Sequence[Constraint] = (),
    ) -> Iterable[tuple[int, Generation]]:
        """Answers as (index of the prompt, generation), as they finish; greedy unless
        `sampling` is given. `max_tokens` is one limit for all prompts or one for each.

        An answer ends before the first string of `stop` that follows any text of it.
        `constraints` is empty, or has one for each prompt; raises AdvisorError for one
        that cannot be kept. Where `prompts` are also `Arriving`, an engine that can answers
        the newcomers beside the others, under the last limit; one that cannot leaves them.
        Where they are `Followed`, an engine may tell of answers as it writes them.
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
        self,
        course: Course[Any],
        spec: TunedWeights,
        *,
        folder: Path,
        seed: int,
        start: Path | None = None,
    ) -> PrepareCost:
        """Train on the course and write the best weights to `folder`: an adapter, or the
        whole model, as `spec` says. `start` is a folder of such weights to go on from."""
        ...

    def with_weights(self, folder: Path) -> Engine:
        """The same base model with what `tune` wrote to `folder`."""
        ...


@dataclass(frozen=True, slots=True)
class Local:
    """An engine of this process as a Speaker."""

    engine: Engine

    @property
    def digest(self) -> str:
        return self.engine.digest

    @property
    def context_length(self) -> int:
        return self.engine.context_length

    def ready(self, messages: Sequence[Message]) -> Conversation:
        tokens = self.engine.encode(messages)
        return Conversation(tuple(messages), len(tokens), tokens)

    def speak(
        self,
        conversations: Sequence[Conversation],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        constraints: Sequence[Constraint] = (),
    ) -> Iterable[tuple[int, Generation]]:
        prompts = [conversation.tokens for conversation in conversations]
        if not constraints:
            return self.engine.generate(prompts, max_tokens=max_tokens, stop=stop)
        return self.engine.generate(
            prompts, max_tokens=max_tokens, stop=stop, constraints=constraints
        )
