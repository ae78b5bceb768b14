"""A chat completion request: what it asks of the system that is served, or why it is refused.

What is served is what was measured: one question, the system's own instruction, greedy
decoding. A request for anything else is refused rather than answered in another way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from advisor.core import Question
from advisor.serve.faults import Refused

MOST_CHOICES = 26
History = Literal["refuse", "ignore"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")
    type: str
    text: str = ""


class _Message(BaseModel):
    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[_Part] | None = None


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    include_usage: bool | None = None


class _Body(BaseModel):
    """The fields that matter here; all others are looked at one by one, or harmless."""

    model_config = ConfigDict(extra="ignore")
    messages: list[_Message]
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    choices: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the served system does beside answering a question.

    `max_tokens` is the limit that its answers were measured with, 0 where it has none;
    `needs_choices` whether a question must say what may be answered.
    """

    max_tokens: int
    needs_choices: bool


@dataclass(frozen=True, slots=True)
class Request:
    """One question, and how its answer is to be sent. `ignored` messages were not read."""

    question: Question
    model: str | None
    stream: bool
    usage: bool
    ignored: int


def read(raw: bytes, abilities: Abilities, history: History) -> Request:
    """The request in the body `raw`; raises Refused with status 400, saying why."""
    given = _json(raw)
    try:
        body = _Body.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Refused(400, f"{where or 'body'}: {first['msg']}", where) from None
    _refuse_other_decoding(given)
    _refuse_lower_limit(body, abilities)
    text, ignored = _question(body.messages, history)
    choices = tuple(body.choices or ())
    if abilities.needs_choices and not choices:
        raise Refused(400, "choices: this system answers with one of the texts that a question "
                      'allows; send them as `choices` (openai: extra_body={"choices": [...]})',
                      "choices")
    if len(choices) > MOST_CHOICES or not all(choice.strip() for choice in choices):
        raise Refused(400, f"choices: expected 1 to {MOST_CHOICES} texts, none of them empty",
                      "choices")
    usage = bool(body.stream_options and body.stream_options.include_usage)
    return Request(Question("", text, choices), body.model, bool(body.stream), usage, ignored)


def _json(raw: bytes) -> Mapping[str, Any]:
    try:
        given = json.loads(raw.decode("utf-8"))
        # Half of a surrogate pair passes for text until somebody encodes it.
        json.dumps(given, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is no JSON in UTF-8: {_plain(error)}") from None
    if not isinstance(given, dict):
        raise Refused(400, "the body is no JSON object")
    return given


def _plain(error: Exception) -> str:
    return str(error).encode("ascii", "replace").decode()[:200]


def _question(messages: Sequence[_Message], history: History) -> tuple[str, int]:
    """The text of the one user message, and how many others were left out."""
    asked = [message for message in messages if message.role == "user"]
    if not asked or messages[-1].role != "user":
        raise Refused(400, "messages: the last one must be the user's question", "messages")
    if len(messages) > 1 and history == "refuse":
        other = next(message.role for message in messages[:-1])
        why = ("the system has the instruction that it was measured with"
               if other in ("system", "developer")
               else "the system was measured on single questions")
        raise Refused(400, f"messages: {why}, so only one user message is answered; start the "
                      "server with --history ignore to have the others left out", "messages",
                      code="single_question_only")
    text = _text(asked[-1])
    if not text.strip():
        raise Refused(400, "messages: the question is empty", "messages")
    return text, len(messages) - 1


def _text(message: _Message) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    if other := [part.type for part in message.content if part.type != "text"]:
        raise Refused(400, f"messages: the system reads text only, not {other[0][:40]!r}",
                      "messages")
    return "".join(part.text for part in message.content)


def _refuse_lower_limit(body: _Body, abilities: Abilities) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        limit = getattr(body, name)
        if limit is not None and limit < max(1, abilities.max_tokens):
            raise Refused(400, f"{name}: answers were measured with up to "
                          f"{max(1, abilities.max_tokens)} tokens, and a lower limit would cut "
                          "them; send that or more, or leave it out", name)


def _nothing(value: Any) -> bool:
    return value in (None, False, 0, "", [], {})


def _one(value: Any) -> bool:
    return value is None or value == 1


_NOT_MEASURED = "the system was measured without it"
_GREEDY = "answers are the most likely ones, as measured; leave it out, or send temperature 0"
# Field -> the values that ask for nothing else than what is done, and why others are refused.
_DECODING: dict[str, tuple[Callable[[Any], bool], str]] = {
    "n": (_one, "one answer is given, the most likely one"),
    "best_of": (_one, "one answer is given, the most likely one"),
    "temperature": (_nothing, _GREEDY),
    "tool_choice": (lambda value: value in (None, "none", "auto"), _NOT_MEASURED),
    "function_call": (lambda value: value in (None, "none", "auto"), _NOT_MEASURED),
    "response_format": (
        lambda value: value is None or value == {"type": "text"},
        "the form of an answer is part of the system (a contender with decoding.kind: json)"),
    "modalities": (lambda value: value in (None, ["text"]), "the system writes text only"),
    "repetition_penalty": (_one, _GREEDY),
    "stop": (_nothing, "what ends an answer is part of the system"),
    **dict.fromkeys(
        ("tools", "functions", "web_search_options", "prediction", "logit_bias", "audio"),
        (_nothing, _NOT_MEASURED)),
    **dict.fromkeys(("logprobs", "top_logprobs", "prompt_logprobs", "echo"),
                    (_nothing, "probabilities and prompts are not given out")),
    **dict.fromkeys(("presence_penalty", "frequency_penalty", "min_p", "use_beam_search"),
                    (_nothing, _GREEDY)),
    **dict.fromkeys(("guided_json", "guided_choice", "guided_regex", "guided_grammar",
                     "structured_outputs"),
                    (_nothing, "the form of an answer is part of the system")),
}


def _refuse_other_decoding(given: Mapping[str, Any]) -> None:
    for name, (harmless, why) in _DECODING.items():
        if not harmless(given.get(name)):
            raise Refused(400, f"{name}: {why}", name, code="not_measured")
    # At temperature 0 the first of any set is the most likely one.
    if given.get("temperature") != 0 and not _one(given.get("top_p")):
        raise Refused(400, f"top_p: {_GREEDY}", "top_p", code="not_measured")
