"""A causal language model through transformers, peft and bitsandbytes."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError

from advisor import stops
from advisor.config import TunedWeights
from advisor.engines import generation, layout, rehearsal, scoring, tuning
from advisor.engines.models import ModelFiles, file_digest, folder_digest
from advisor.engines.protocol import (
    Arriving,
    Constraint,
    Course,
    Followed,
    Generation,
    Message,
    Sampling,
    TokenIds,
)
from advisor.engines.weights import ADAPTER, Scheme, Weights, native_dtype, supported
from advisor.errors import AdvisorError
from advisor.trial import PrepareCost

# Raised when the same inputs would now give other answers; part of every answer's key.
ENGINE_VERSION = 6


@dataclass(frozen=True, slots=True)
class TransformersEngine:
    """A model, perhaps quantised, perhaps tuned.

    An adapter is merged into 16- or 32-bit weights, which makes it as fast as the base,
    and is applied beside 4-bit ones, where a merge would have to quantise again.
    """

    weights: Weights
    tuned_digest: str = ""

    @property
    def name(self) -> str:
        return self.weights.files.name

    @property
    def digest(self) -> str:
        weights = self.weights
        parts = [weights.files.digest, weights.dtype, weights.scheme, self.tuned_digest]
        return hashlib.sha256(json.dumps([*parts, ENGINE_VERSION]).encode()).hexdigest()

    @property
    def context_length(self) -> int:
        return int(self.weights.model.config.max_position_embeddings)

    @property
    def end_of_text(self) -> int:
        tokenizer = self.weights.tokenizer
        first = tokenizer.bos_token_id
        return int(first if first is not None else tokenizer.eos_token_id)

    def encode(self, messages: Sequence[Message]) -> TokenIds:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = self._templated(turns)
        except TemplateError:
            if turns[0]["role"] != "system":
                raise
            # Some templates know no system turn: the instruction then opens the first one.
            first = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
            text = self._templated([first, *turns[2:]])
        return tuple(self.weights.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _templated(self, turns: Sequence[dict[str, str]]) -> str:
        return str(self.weights.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True
        ))

    def tokenize(self, text: str) -> TokenIds:
        return tuple(self.weights.tokenizer(text, add_special_tokens=False)["input_ids"])

    def generate(
        self,
        prompts: Sequence[TokenIds],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        sampling: Sampling | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> Iterable[tuple[int, Generation]]:
        if not prompts:
            return
        limits = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else max_tokens
        parts: list[list[int]] = []
        # What is drawn follows from a prompt's place.
        if sampling is None and not isinstance(prompts, Arriving | Followed):
            parts = layout.families(self.weights.model, prompts)
        if len(parts) > 1:
            for part in parts:
                for at, answer in self.generate(
                    [prompts[place] for place in part],
                    max_tokens=[limits[place] for place in part], stop=stop,
                    constraints=[constraints[place] for place in part if constraints],
                ):
                    yield part[at], answer
            return

        def text(tokens: Sequence[int]) -> str:
            return str(self.weights.tokenizer.decode(tokens, skip_special_tokens=True))

        def ended(tokens: Sequence[int]) -> bool:
            return bool(stop) and stops.stopped(text(tokens), stop)

        started = time.perf_counter()
        beginning = self.weights.beginning(prompts)
        each = (time.perf_counter() - started) / len(prompts)
        choose = generation.drawn(sampling) if sampling else generation.most_likely
        ends = self._ends()
        steer = self.weights.grammars(ends).steer(constraints) if constraints else None
        told = None
        if isinstance(prompts, Followed) and self.weights.settles:
            def told(index: int, tokens: Sequence[int]) -> None:
                if prompts.follows(index):
                    prompts.written(index, stops.settled(text(tokens), stop))

        rules = generation.Rules(ends, ended, choose, steer, told)
        for index, decoded in generation.write(
            self.weights.model, prompts, limits, rules, beginning=beginning
        ):
            said = stops.cut(text(decoded.tokens), stop)
            yield index, Generation(said, len(decoded.tokens), decoded.seconds + each)

    def score(self, pairs: Sequence[tuple[TokenIds, TokenIds]]) -> list[tuple[float, bool]]:
        return scoring.score(self.weights.model, pairs, context_length=self.context_length)

    def quantised(self, scheme: Scheme) -> TransformersEngine:
        if scheme == self.weights.scheme:
            return self
        weights = self.weights
        whole = weights.whole or weights
        return TransformersEngine(Weights(weights.files, weights.dtype, scheme, whole=whole))

    def with_weights(self, folder: Path) -> TransformersEngine:
        base = self.weights
        weights = Weights(base.files, base.dtype, base.scheme, folder, base.whole or base)
        adapter = folder / ADAPTER
        identity = file_digest(adapter) if adapter.is_file() else folder_digest(folder)
        return TransformersEngine(weights, identity)

    def tune(
        self,
        course: Course[Any],
        spec: TunedWeights,
        *,
        folder: Path,
        seed: int,
        start: Path | None = None,
    ) -> PrepareCost:
        return tuning.tune(self, course, spec, folder=folder, seed=seed, start=start)

    def rehearsal(self, seed: int) -> tuple[rehearsal.Rehearsal, float]:
        """Plain texts, and conversations from where the user begins to speak."""
        mark = "\u241f"
        chat = self._templated([{"role": "user", "content": mark}]).partition(mark)[0]
        plain = [self.tokenize(opening) for opening in rehearsal.OPENINGS]
        chats = [self.tokenize(chat)] * len(plain)
        openings = [start for pair in zip(plain, chats, strict=True) for start in pair if start]
        return self.weights.rehearsal(openings, seed=seed)

    def _ends(self) -> frozenset[int]:
        ends = self.weights.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        given = {end for end in ends if end is not None}
        return frozenset(given | {self.weights.tokenizer.eos_token_id})


def engine(files: ModelFiles, *, dtype: str = "auto") -> TransformersEngine:
    """The model in `files`; `dtype` auto is bfloat16 where it is native.

    Raises AdvisorError for a model without a chat template.
    """
    chosen = native_dtype() if dtype == "auto" else dtype
    supported(files)
    weights = Weights(files, chosen, "none")
    if not weights.tokenizer.chat_template:
        raise AdvisorError(
            f"model {files.name!r} ({files.folder}) has no chat template",
            fix="choose an instruction-tuned model, or add chat_template.jinja to its folder",
        )
    return TransformersEngine(weights)
