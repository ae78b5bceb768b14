"""A model that is no model: deterministic, instant, for tests of everything else.

Never use it for a claim. Tokens are code points; an answer is taken from the prompt or
from the lessons it was tuned on, so that plumbing mistakes show in the text.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from advisor import stops
from advisor.config import LoraWeights, TunedWeights
from advisor.engines.protocol import (
    Constraint,
    Course,
    Followed,
    Generation,
    Lesson,
    Message,
    Pair,
    Sampling,
    TokenIds,
)
from advisor.errors import AdvisorError
from advisor.trial import PrepareCost

SECONDS = 0.001
_TURN = re.compile(r"<(system|user|assistant)>(.*?)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FakeEngine:
    """Says the last shot's answer, else the passage's first sentence, else the question.

    Tuned, it says what it learnt for the question most like this one.
    """

    name: str = "fake"
    context_length: int = 20_000
    scheme: Literal["none", "nf4"] = "none"
    learnt: tuple[tuple[str, str], ...] = ()
    end_of_text: int = 0

    @property
    def digest(self) -> str:
        parts = [self.name, self.context_length, self.scheme, self.learnt]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def encode(self, messages: Sequence[Message]) -> TokenIds:
        return self.tokenize("".join(f"<{m.role}>{m.content}</{m.role}>" for m in messages))

    def tokenize(self, text: str) -> TokenIds:
        return tuple(map(ord, text))

    def generate(
        self,
        prompts: Sequence[TokenIds],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        sampling: Sampling | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> Iterable[tuple[int, Generation]]:
        limits = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else max_tokens
        for index, (prompt, limit) in enumerate(zip(prompts, limits, strict=True)):
            text = "".join(map(chr, prompt))
            turns = _TURN.findall(text) or [("user", text)]
            text = stops.cut(self._say(turns)[: limit * 4], stop)
            if constraints:
                text = _held(text, constraints[index])
            if isinstance(prompts, Followed) and prompts.follows(index):
                for end in range(1, len(text)):
                    prompts.written(index, stops.settled(text[:end], stop))
            yield index, Generation(text, len(text.split()), SECONDS)

    def score(self, pairs: Sequence[tuple[TokenIds, TokenIds]]) -> list[tuple[float, bool]]:
        return [self._score(pair) for pair in pairs]

    def quantised(self, scheme: Literal["none", "nf4"]) -> FakeEngine:
        return replace(self, scheme=scheme)

    def tune(
        self,
        course: Course[Any],
        spec: TunedWeights,
        *,
        folder: Path,
        seed: int,
        start: Path | None = None,
    ) -> PrepareCost:
        learnt = [list(pair) for pair in self.with_weights(start).learnt] if start else []
        for item in course.train:
            if isinstance(item, Lesson):
                learnt.append([item.prompt[-1].content, item.completion])
            elif isinstance(item, Pair):
                learnt.append([item.prompt[-1].content, item.chosen])
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "fake_adapter.json"
        rank = spec.rank if isinstance(spec, LoraWeights) else 0
        path.write_text(json.dumps({"seed": seed, "rank": rank, "learnt": learnt}))
        tokens = sum(len(question) + len(answer) for question, answer in learnt)
        return PrepareCost(SECONDS, tokens, path.stat().st_size, (2.0, 1.0), (2.0, 1.0))

    def with_weights(self, folder: Path) -> FakeEngine:
        path = folder / "fake_adapter.json"
        if not path.is_file():
            raise AdvisorError(
                f"{folder} holds no adapter of the fake engine",
                fix="open it with the engine that made it: drop --engine fake",
            )
        learnt = json.loads(path.read_text())["learnt"]
        return replace(self, learnt=tuple((question, answer) for question, answer in learnt))

    def _say(self, turns: Sequence[tuple[str, str]]) -> str:
        asked = turns[-1][1]
        if self.learnt:
            words = set(asked.lower().split())
            return max(self.learnt, key=lambda pair: len(words & set(pair[0].lower().split())))[1]
        shots = [text for role, text in turns if role == "assistant"]
        if shots:
            return shots[-1]
        return re.split(r"(?<=[.!?])\s", asked)[0]

    def _score(self, pair: tuple[TokenIds, TokenIds]) -> tuple[float, bool]:
        seed = json.dumps([pair, len(self.learnt), self.scheme]).encode()
        draw = int.from_bytes(hashlib.sha256(seed).digest()[:4], "big") / 2**32
        return math.log(max(draw, 1e-9)) * max(1, len(pair[1])), draw > 0.4


def _held(text: str, constraint: Constraint) -> str:
    """The text if it keeps the constraint as far as is seen here, otherwise the first that
    does."""
    if constraint.choices:
        return text if text in constraint.choices else constraint.choices[0]
    try:
        if isinstance(json.loads(text), dict):
            return text
    except ValueError:
        pass
    return json.dumps(_instance(json.loads(constraint.schema)), separators=(",", ":"))


def _instance(schema: Any) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {key: _instance(inner) for key, inner in schema.get("properties", {}).items()}
    return {"string": "", "array": [], "boolean": False}.get(schema.get("type"), 0)
