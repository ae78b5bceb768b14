"""Answers in the shape of OpenAI's chat completions, whole or as server-sent events.

Beside its fields stand `sources`, `passages`, `made_up`, `dropped` and `reasoning` of the
answer and `version`, which the openai client shows in `model_extra`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from advisor.core import Answer


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
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._end}
        return {**_head("chat.completion", self), "choices": [choice], "usage": self._usage,
                **self._more}

    def events(self, *, usage: bool) -> Iterator[bytes]:
        """The text, why it ended, what it used (if wanted), the end.

        The text comes in one piece: only a finished answer is cut at its stop string and has
        its citations checked.
        """
        head = _head("chat.completion.chunk", self)
        yield _event({**head, "choices": [_delta({"content": self.answer.text})]})
        yield _event({**head, "choices": [_delta({}, self._end)], **self._more})
        if usage:
            yield _event({**head, "choices": [], "usage": self._usage})
        yield b"data: [DONE]\n\n"

    @property
    def _end(self) -> str:
        return "length" if self.cut else "stop"

    @property
    def _usage(self) -> dict[str, int]:
        used = self.answer.usage
        return {"prompt_tokens": used.tokens_in, "completion_tokens": used.tokens_out,
                "total_tokens": used.tokens_in + used.tokens_out}

    @property
    def _more(self) -> dict[str, Any]:
        told: dict[str, Any] = {"sources": self.answer.sources, "passages": self.answer.passages}
        for name in ("made_up", "dropped", "reasoning"):
            if value := getattr(self.answer, name):
                told[name] = value
        if self.ignored:
            told["ignored_messages"] = self.ignored
        return told


def _head(kind: str, reply: Reply) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": reply.created,
            "model": reply.model, "system_fingerprint": f"fp_{reply.version[:12]}",
            "version": reply.version}


def _delta(delta: Mapping[str, Any], end: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"role": "assistant", **delta} if "content" in delta else delta,
            "logprobs": None, "finish_reason": end}


def _event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"
