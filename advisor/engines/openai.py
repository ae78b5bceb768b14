"""Models behind an OpenAI-compatible endpoint: vLLM, Ollama, a hosted service.

The client library retries and waits (it honours Retry-After); here is what a run needs
beyond that: calls in flight at a time, what may be spent, and what a failure means.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from advisor import stops
from advisor.config import EndpointFile
from advisor.engines.protocol import Constraint, Conversation, Generation, Message
from advisor.errors import AdvisorError

# So many calls failed in a row, with no answer between them, mean that the endpoint is at
# fault and not the questions.
ROW_OF_FAILURES = 3
# A token of English is about four letters; three, and a few for the turn's frame, is an
# estimate from above that holds for most languages of Latin script.
LETTERS_PER_TOKEN = 3
FRAME_TOKENS = 8
# Raised when the same conversations would now be sent in another form.
ENGINE_VERSION = 1


class Unanswered(Exception):
    """One conversation could not be answered. `refused` says that the endpoint looked at it
    and would not; otherwise the endpoint itself may be at fault. `tries` may have been billed.
    """

    def __init__(self, reason: str, *, refused: bool = False, tries: int = 0) -> None:
        super().__init__(reason)
        self.refused = refused
        self.tries = tries


@dataclass(slots=True)
class Purse:
    """What has been spent, and what calls in flight may still cost, in USD."""

    limit: float | None
    spent: float = 0.0
    promised: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def promise(self, usd: float) -> bool:
        """Whether a call that costs at most `usd` may be made; if so, it is reckoned with."""
        with self.lock:
            if self.limit is not None and self.spent + self.promised + usd > self.limit:
                return False
            self.promised += usd
            return True

    def settle(self, promised: float, usd: float) -> None:
        with self.lock:
            self.promised -= promised
            self.spent += usd


@dataclass(frozen=True)
class Endpoint:
    """One served model as a Speaker; `name` is its name in advisor.yaml.

    The purse is that of this object: what one command may spend. `answered` collects which
    model its answers said they were from, and that model's `system_fingerprint` if any.
    """

    name: str
    given: EndpointFile
    purse: Purse
    answered: set[tuple[str, str]] = field(default_factory=set)

    @property
    def digest(self) -> str:
        """Where it is and which model: what could answer differently. No weights are seen, so
        a service that changes its model under one name is not noticed."""
        parts = [self.given.url, self.given.model, self.given.context_length, ENGINE_VERSION]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def context_length(self) -> int:
        return self.given.context_length

    def ready(self, messages: Sequence[Message]) -> Conversation:
        letters = sum(len(message.content) for message in messages)
        estimate = letters // LETTERS_PER_TOKEN + FRAME_TOKENS * (len(messages) + 1)
        return Conversation(tuple(messages), estimate)

    def speak(
        self,
        conversations: Sequence[Conversation],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        constraints: Sequence[Constraint | None] = (),
    ) -> Iterable[tuple[int, Generation]]:
        """Answers as they come. A call that fails for good while others are answered is a
        Generation with a failure; three in a row are the endpoint's fault, and end it.

        Raises AdvisorError then, for a refused key or model, and when the next call could
        pass the spending limit. Failures that came just before are not yielded: they are
        asked again when the run is continued.
        """
        if not conversations:
            return
        asked = constraints or [None] * len(conversations)
        calls = [_body(self.given.model, one, max_tokens, constraint)
                 for one, constraint in zip(conversations, asked, strict=True)]
        most = [self._usd(one.length, max_tokens) for one in conversations]
        held: list[tuple[int, Generation]] = []
        answered = False
        halt: list[AdvisorError] = []
        started = time.perf_counter()
        for index, said in self._in_turn(calls, most, halt):
            now = time.perf_counter()
            took, started = now - started, now
            if isinstance(said, Unanswered):
                held.append((index, Generation("", 0, took, 0, str(said))))
                if len(held) == ROW_OF_FAILURES and not (answered and said.refused):
                    halt.append(self._silent(str(said)))
                continue
            # An answer shows that the endpoint works: the failures before it were their own.
            answered = True
            if not halt:
                yield from held
                held = []
            text = _text(said.text, constraints[index] if constraints else None)
            yield index, Generation(stops.cut(text, stop), said.tokens_out, took, said.tokens_in)
        if held and not answered:
            halt.append(self._silent(held[-1][1].failure))
        if halt:
            raise halt[0]
        yield from held

    def _in_turn(
        self, calls: list[dict[str, Any]], most: list[float], halt: list[AdvisorError]
    ) -> Iterator[tuple[int, Generation | Unanswered]]:
        """What each call gave, as it comes, with so many in flight as the endpoint allows.

        Once `halt` holds a reason nothing more is sent, and what is in flight is waited for.
        """
        client, waiting = self._client, list(reversed(range(len(calls))))
        running: dict[Future[Generation], int] = {}
        with ThreadPoolExecutor(self.given.concurrency) as pool:
            while running or (waiting and not halt):
                while waiting and not halt and len(running) < self.given.concurrency:
                    index = waiting[-1]
                    if not self.purse.promise(most[index]):
                        break
                    waiting.pop()
                    running[pool.submit(self._call, client, calls[index], most[index])] = index
                if not running:
                    halt.append(self._over())
                    return
                for done in wait(running, return_when=FIRST_COMPLETED).done:
                    index = running.pop(done)
                    try:
                        yield index, done.result()
                    except Unanswered as reason:
                        yield index, reason
                    except AdvisorError as reason:
                        halt.append(reason)

    def _call(self, client: Any, body: dict[str, Any], most: float) -> Generation:
        usd = 0.0
        try:
            response = self._sent(client, body)
            said = _read(response)
            self.answered.add((_told(response, "model"), _told(response, "system_fingerprint")))
            usd = self._usd(said.tokens_in or 0, said.tokens_out)
            return said
        except Unanswered as reason:
            usd = most * reason.tries
            raise
        finally:
            self.purse.settle(most, usd)

    def _sent(self, client: Any, body: dict[str, Any]) -> Any:
        import openai

        try:
            return client.chat.completions.create(**body)
        except openai.APITimeoutError as error:
            tries = self.given.retries + 1
            limit = f"{self.given.timeout_seconds:g} s"
            raise Unanswered(f"no answer within {limit}, tried {tries} times",
                             tries=tries) from error
        except openai.APIConnectionError as error:
            raise self._unusable(f"no connection: {error.__cause__ or error}",
                                 "see that it runs and that its url is right") from error
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            where = self.given.api_key_env or "api_key_env in advisor.yaml, which is not set"
            raise self._unusable(f"it refuses the key (HTTP {error.status_code})",
                                 f"correct {where}") from error
        except openai.NotFoundError as error:
            raise self._unusable(
                f"it knows no model {self.given.model!r} at this url (HTTP 404)",
                "correct url and model of the endpoint in advisor.yaml") from error
        except openai.RateLimitError as error:
            raise self._unusable(
                f"it still limits our rate after {self.given.retries + 1} tries (HTTP 429)",
                "lower concurrency, or wait; then the same command continues") from error
        except openai.APIStatusError as error:
            raise Unanswered(f"HTTP {error.status_code}: {_shown(error.message)}",
                             refused=error.status_code < 500) from error
        except (openai.APIError, ValueError, RecursionError) as error:
            raise Unanswered(f"its response cannot be read: {_shown(str(error))}",
                             tries=1) from error

    def _silent(self, reason: str) -> AdvisorError:
        return AdvisorError(
            f"endpoint {self.name!r} ({self.given.url}) answers nothing: {reason}",
            fix=f"see that it runs and serves {self.given.model!r}, then give the command "
            "again: it continues",
        )

    def _unusable(self, what: str, fix: str) -> AdvisorError:
        return AdvisorError(f"endpoint {self.name!r} ({self.given.url}): {_shown(what)}", fix=fix)

    def _over(self) -> AdvisorError:
        return AdvisorError(
            f"endpoint {self.name!r}: USD {self.purse.spent:.4f} spent, and the next call could "
            f"pass the limit of USD {self.given.spend_limit_usd:g}; every answer so far is kept",
            fix=f"raise endpoints.{self.name}.spend_limit_usd in advisor.yaml, then give the "
            "command again: it continues",
        )

    def _usd(self, tokens_in: int, tokens_out: int) -> float:
        given = self.given
        return (tokens_in * given.usd_per_million_in
                + tokens_out * given.usd_per_million_out) / 1e6

    @cached_property
    def _client(self) -> Any:
        try:
            import openai

            from advisor.engines import deadline
        except ModuleNotFoundError as missing:
            raise AdvisorError(
                f"endpoint {self.name!r} needs {missing.name}, which is not installed",
                fix="pip install 'adaptation-advisor[endpoints]'",
            ) from missing
        variable = self.given.api_key_env
        if variable and not os.environ.get(variable):
            raise AdvisorError(
                f"endpoint {self.name!r}: the environment variable {variable} is not set",
                fix=f"export {variable}=..., or remove api_key_env from advisor.yaml",
            )
        # A key is always given: without one the library would take OPENAI_API_KEY from the
        # environment, and send it to whatever url stands here.
        return openai.OpenAI(
            api_key=os.environ[variable] if variable else "none",
            base_url=self.given.url,
            organization="",
            project="",
            timeout=self.given.timeout_seconds,
            max_retries=self.given.retries,
            http_client=openai.DefaultHttpxClient(
                timeout=self.given.timeout_seconds,
                event_hooks=deadline.hooks(self.given.timeout_seconds)),
        )


def endpoint(name: str, given: EndpointFile) -> Endpoint:
    """The endpoint of advisor.yaml; nothing is sent before it is asked something."""
    return Endpoint(name, given, Purse(given.spend_limit_usd))


def _body(
    model: str, conversation: Conversation, max_tokens: int, constraint: Constraint | None
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": m.role, "content": m.content} for m in conversation.messages],
        "max_tokens": max_tokens,
        "temperature": 0.0,
        "seed": 0,
    }
    # No stop strings: with them a server ends an answer at once whose first sign is one.
    if constraint is not None:
        schema = json.loads(constraint.schema) if constraint.schema else _choosing(constraint)
        held = {"name": "answer", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": held}
    return body


def _choosing(constraint: Constraint) -> dict[str, Any]:
    """Choices as an object with one key: the one form that all such servers know."""
    return {
        "type": "object",
        "properties": {"answer": {"enum": list(constraint.choices)}},
        "required": ["answer"],
        "additionalProperties": False,
    }


def _text(text: str, constraint: Constraint | None) -> str:
    """The answer as it is graded: a choice is taken out of its object."""
    if constraint is None or not constraint.choices:
        return text
    try:
        return str(json.loads(text)["answer"])
    except (ValueError, KeyError, TypeError):
        return text  # the server does not hold answers to a schema: graded as it is


def _read(response: Any) -> Generation:
    """The answer and its tokens; raises Unanswered for what is no chat completion."""
    try:
        text = response.choices[0].message.content
        used = response.usage
        tokens_in, tokens_out = used.prompt_tokens, used.completion_tokens
    except (AttributeError, IndexError, TypeError):
        raise Unanswered(
            f"its response is no chat completion with choices and usage: {_shown(str(response))}",
            tries=1,
        ) from None
    counted = isinstance(tokens_in, int) and isinstance(tokens_out, int)
    if not counted or not isinstance(text, str | None):
        raise Unanswered(f"its response is no chat completion: {_shown(str(response))}", tries=1)
    return Generation(text or "", tokens_out, math.nan, tokens_in)


def _told(response: Any, name: str) -> str:
    value = getattr(response, name, None)
    return _shown(value) if isinstance(value, str) else ""


def _shown(text: str) -> str:
    """One line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else f"{line[:200]}..."
