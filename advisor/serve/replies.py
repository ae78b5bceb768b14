"""Answers in the shape of OpenAI's chat completions, whole or as server-sent events.

Beside its fields stand `sources`, `passages`, `made_up`, `dropped` and `reasoning` of the
answer and `version`, which the openai client shows in `model_extra`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from advisor.core import Answer

NOTHING: Mapping[str, Any] = MappingProxyType({})

@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, who gave it (`model`, and `version`: the sha256 of its manifest), and when
    (seconds since 1970). `cut` says that it ended at the limit of tokens."""

    answer: Answer
    model: str
    version: str
    created: int
    cut: bool
    ignored: int = 0

    @property
    def whole(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.answer.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.end}
        return {**_head("chat.completion", self), "choices": [choice], "usage": self.usage,
                **self.more}

    @property
    def end(self) -> str:
        return "length" if self.cut else "stop"

    @property
    def usage(self) -> dict[str, int]:
        used = self.answer.usage
        return {"prompt_tokens": used.tokens_in, "completion_tokens": used.tokens_out,
                "total_tokens": used.tokens_in + used.tokens_out}

    @property
    def more(self) -> dict[str, Any]:
        told: dict[str, Any] = {"sources": self.answer.sources, "passages": self.answer.passages}
        for name in ("made_up", "dropped", "reasoning"):
            if value := getattr(self.answer, name):
                told[name] = value
        if self.ignored:
            told["ignored_messages"] = self.ignored
        return told


@dataclass(frozen=True, slots=True)
class Events:
    """A stream of events, told apart by one id; `created` in seconds since 1970."""

    model: str
    version: str
    created: int
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")

    def piece(self, text: str, *, first: bool = False) -> bytes:
        """Some of the answer's text."""
        role = {"role": "assistant"} if first else {}
        return self._event([_delta({**role, "content": text})])

    def last(self, reply: Reply, *, usage: bool) -> bytes:
        """Why the answer ended, what it is from, what it used (if wanted), the end."""
        end = self._event([_delta({}, reply.end)], reply.more)
        used = self._event([], {"usage": reply.usage}) if usage else b""
        return end + used + b"data: [DONE]\n\n"

    def _event(self, choices: list[dict[str, Any]], more: Mapping[str, Any] = NOTHING) -> bytes:
        head = _head("chat.completion.chunk", self)
        return _event({**head, "id": self.id, "choices": choices, **more})


def broken(body: Mapping[str, Any]) -> bytes:
    """The event that ends a stream whose answer did not come to its end; clients raise it."""
    return _event(body)


def _head(kind: str, reply: Reply | Events) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": reply.created,
            "model": reply.model, "system_fingerprint": f"fp_{reply.version[:12]}",
            "version": reply.version}


def _delta(delta: Mapping[str, Any], end: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": end}


def _event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"
