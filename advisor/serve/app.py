"""The routes: what is let in, what is asked of the desk, and what goes back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from advisor.contenders.composed import TOO_LONG
from advisor.core import Answer
from advisor.errors import AdvisorError
from advisor.serve import chat
from advisor.serve.desk import Full, Ticket
from advisor.serve.door import Door
from advisor.serve.faults import Refused
from advisor.serve.metrics import Metrics
from advisor.serve.replies import Events, Reply, broken
from advisor.serve.service import Served, Service
from advisor.serve.streams import HEADERS, Pieces, Streamed
from advisor.serve.tokens import Tokens

log = logging.getLogger(__name__)
FAILED = "this request failed; the log says why"


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` from a request to its answer, `body` in bytes, of which the last must have
    come after `upload` seconds."""

    seconds: float = 30.0
    body: int = 1 << 20
    upload: float = 10.0


@dataclass(slots=True)
class Api:
    """The handlers. `inside` counts chat requests that were let in and are not answered;
    once `draining`, no more are."""

    service: Service
    metrics: Metrics
    limits: Limits
    history: chat.History
    inside: int = 0
    draining: bool = False
    last: float = field(default_factory=time.monotonic)

    async def chat(self, request: Request) -> Response:
        self._admit()
        started = time.monotonic()
        self.inside += 1
        response: Response | None = None
        try:
            async with asyncio.timeout(self.limits.seconds):
                response = await self._answered(request, started)
                return response
        except TimeoutError:
            raise self._too_late() from None
        finally:
            if not isinstance(response, Streamed):  # that says itself when it has ended
                self._out()

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": self._listed()})

    async def model(self, request: Request) -> Response:
        for one in self._listed():
            if one["id"] == request.path_params["name"]:
                return JSONResponse(one)
        raise _unknown(request.path_params["name"], self.service.current)

    async def health(self, _: Request) -> Response:
        """200 while questions are answered: for load balancers, so it needs no token."""
        why = "draining" if self.draining else "withdrawn" if self.service.withdrawn else ""
        status = {"status": why or "ok", "model": self.service.current.name}
        return JSONResponse(status, 503 if why else 200)

    async def figures(self, _: Request) -> Response:
        text = generate_latest(self.metrics.registry)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def _admit(self) -> None:
        if self.draining:
            raise Refused(503, "the server is being stopped", code="draining",
                          headers={"Retry-After": "1", "Connection": "close"})
        if self.service.withdrawn:
            raise Refused(503, f"{self.service.current.name} may not be used any more: "
                          f"{self.service.withdrawn}", code="withdrawn")

    async def _answered(self, request: Request, started: float) -> Response:
        raw = await self._body(request)
        served = self.service.current
        asked = chat.read(raw, served.abilities, self.history)
        if asked.model is not None and asked.model not in served.target.names:
            raise _unknown(asked.model, served)
        pieces = Pieces()
        try:
            ticket = self.service.desk.submit(asked.question, served.system,
                                              pieces.heard if asked.stream else None)
        except Full as full:
            raise Refused(429, full.problem, code="queue_full",
                          headers={"Retry-After": str(self.service.desk.patience())}) from None
        pieces.expect(ticket)
        exchange = _Exchange(served, asked, pieces, ticket, started)
        try:
            said = await self._waited(exchange, request)
        except AdvisorError as error:
            raise _fault(error, served) from error
        if isinstance(said, str):
            return Streamed(self._events(said, exchange), self._out)
        if said.failure:
            raise _failed(said)
        reply = self._reply(said, exchange)
        if asked.stream:
            whole = exchange.events.piece(said.text, first=True)
            return Response(whole + exchange.events.last(reply, usage=asked.usage),
                            headers=HEADERS, media_type="text/event-stream")
        return JSONResponse(reply.whole)

    async def _events(self, first: str, exchange: _Exchange) -> AsyncIterator[bytes]:
        """The answer as it is written; what goes wrong now can only be told in the stream."""
        sent, events = first, exchange.events
        yield events.piece(first, first=True)
        try:
            while True:
                # The loop's clock is the monotonic one.
                async with asyncio.timeout_at(exchange.started + self.limits.seconds):
                    said = await exchange.pieces.next()
                if not isinstance(said, str):
                    break
                sent += said
                yield events.piece(said)
            if said.failure:
                raise _failed(said)
            if not said.text.startswith(sent):
                raise Refused(500, "the answer became another while it was written",
                              code="answer_changed")
            reply = self._reply(said, exchange)
            if rest := said.text[len(sent):]:
                yield events.piece(rest)
            yield events.last(reply, usage=exchange.asked.usage)
        except TimeoutError:
            yield broken(self._too_late().body)
        except Refused as refused:
            yield broken(refused.body)
        except Exception as error:
            log.error("a request failed: %s", type(error).__name__)
            yield broken(_fault(error, exchange.served).body)
        finally:
            self._give_up(exchange)

    def _reply(self, answer: Answer, exchange: _Exchange) -> Reply:
        self.metrics.answered(answer.usage, time.monotonic() - exchange.started)
        served, most = exchange.served, exchange.served.abilities.max_tokens
        return Reply(answer, served.name, served.target.id, exchange.events.created,
                     0 < most <= answer.usage.tokens_out, exchange.asked.ignored)

    def _too_late(self) -> Refused:
        return Refused(504, f"no answer within {self.limits.seconds:g} seconds", code="timeout")

    def _out(self) -> None:
        self.inside -= 1
        self.last = time.monotonic()

    def _give_up(self, exchange: _Exchange) -> None:
        """Make room for others, if nobody has begun to answer."""
        if not exchange.ticket.answer.done():
            self.service.desk.leave(exchange.ticket)

    async def _body(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, "Content-Type: expected application/json")
        raw = bytearray()
        try:
            async with asyncio.timeout(self.limits.upload):
                async for part in request.stream():
                    raw += part
                    if len(raw) > self.limits.body:
                        raise Refused(413, f"the body is longer than {self.limits.body} bytes",
                                      headers={"Connection": "close"})
        except TimeoutError:
            raise Refused(408, f"the body did not come within {self.limits.upload:g} seconds",
                          headers={"Connection": "close"}) from None
        except ClientDisconnect:
            raise Refused(499, "the client left") from None
        return bytes(raw)

    async def _waited(self, exchange: _Exchange, request: Request) -> str | Answer:
        """The first piece of a streamed answer, or all of it; a request that is given up while
        it waits makes room for others."""
        said = asyncio.ensure_future(exchange.pieces.next())
        left = asyncio.ensure_future(_left(request))
        try:
            either: set[asyncio.Future[Any]] = {said, left}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if said.done():
                return said.result()
            raise Refused(499, "the client left")
        finally:
            left.cancel()
            if not said.done():
                said.cancel()
                self._give_up(exchange)

    def _listed(self) -> list[dict[str, object]]:
        served = self.service.current
        return [{"id": name, "object": "model", "created": 0, "owned_by": "advisor",
                 "version": served.target.id, "contender": served.manifest["contender"]}
                for name in dict.fromkeys(served.target.names)]


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A question that was let in, and how its answer is to be sent."""

    served: Served
    asked: chat.Request
    pieces: Pieces
    ticket: Ticket
    started: float
    events: Events = field(init=False)

    def __post_init__(self) -> None:
        events = Events(self.served.name, self.served.target.id, int(time.time()))
        object.__setattr__(self, "events", events)


def application(api: Api, tokens: Tokens, *, hosts: tuple[str, ...] = ()) -> Door:
    """The ASGI application; `hosts` are the names it may be called by, any if empty."""
    routes = [
        Route("/v1/chat/completions", api.chat, methods=["POST"]),
        Route("/v1/models", api.models, methods=["GET"]),
        Route("/v1/models/{name:path}", api.model, methods=["GET"]),
        Route("/healthz", api.health, methods=["GET"]),
        Route("/metrics", api.figures, methods=["GET"]),
    ]
    handlers: Mapping[type[Exception], Callable[..., Awaitable[Response]]] = {
        Refused: _refused, HTTPException: _http, Exception: _crashed}
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    return Door(app, tokens, api.metrics, hosts)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _failed(answer: Answer) -> Refused:
    if answer.failure.startswith(TOO_LONG):
        return Refused(400, answer.failure, "messages", code="context_length_exceeded")
    return Refused(502, f"the endpoint behind this system failed: {answer.failure}",
                   code="endpoint_failed")


def _fault(error: Exception, served: Served) -> Refused:
    """What is said of something that `answer` raised."""
    if isinstance(error, AdvisorError) and served.manifest.get("endpoint"):
        return Refused(502, "the endpoint behind this system does not answer; the log says why",
                       code="endpoint_failed")
    return Refused(500, FAILED)


def _unknown(name: str, served: Served) -> Refused:
    known = ", ".join(dict.fromkeys(served.target.names))
    return Refused(404, f"model {name[:80]!r} is not served here (there is: {known})", "model",
                   code="model_not_found")


async def _refused(_: Request, error: Refused) -> Response:
    return JSONResponse(error.body, error.status, headers=dict(error.headers))


async def _http(request: Request, error: HTTPException) -> Response:
    told = Refused(error.status_code, f"{request.method} {request.url.path[:80]!r}: "
                   f"{error.detail}", headers=error.headers or {})
    return await _refused(request, told)


async def _crashed(request: Request, error: Exception) -> Response:
    log.error("a request failed: %s", type(error).__name__)
    return await _refused(request, Refused(500, FAILED))
