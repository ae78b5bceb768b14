"""A server that stands for the length of a test, on a real socket."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from advisor.cli.tools import Opener
from advisor.contenders.composed import Tools
from advisor.contenders.recipe import reopen
from advisor.engines.embedders import FakeEmbedder
from advisor.engines.fake import FakeEngine
from advisor.serve import app, server
from advisor.serve.desk import Desk
from advisor.serve.metrics import Metrics
from advisor.serve.service import Folder, Service, Source
from advisor.serve.tokens import Tokens
from advisor.ship.bundle import verify

OPEN, USUAL = Tokens(), app.Limits()


@dataclass(frozen=True, slots=True)
class Held(FakeEngine):
    """Answers nothing before `gate` is open; `asked` counts what it was asked."""

    gate: threading.Event = field(default_factory=threading.Event)
    asked: list[int] = field(default_factory=list)

    def generate(self, prompts: Sequence[Any], **options: Any) -> Any:
        self.asked.append(len(prompts))
        for said in FakeEngine.generate(self, prompts, **options):
            assert self.gate.wait(20)
            yield said

    def open(self, path: Path) -> Any:
        """In the place of `Opener.open`; reading its first question waits for nobody."""
        self.gate.set()
        return verify(path), reopen(path, Tools(self, FakeEmbedder()))[0]


@dataclass(slots=True)
class Standing:
    """Where a server stands, and its parts."""

    port: int
    server: server.Server
    service: Service
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def send(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request over a connection of its own: status, headers in lower case, body."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, raw, {"Content-Type": "application/json", **headers})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def ask(self, text: str, **more: Any) -> tuple[int, dict[str, Any]]:
        body = {"messages": [{"role": "user", "content": text}], **more}
        status, _, raw = self.send("POST", "/v1/chat/completions", body)
        return status, json.loads(raw)


@contextmanager
def standing(
    source: Source | Path, *, open: Any = None, tokens: Tokens = OPEN, queue: int = 128,
    limits: app.Limits = USUAL, history: Any = "refuse", poll: float = 0.05,
) -> Iterator[Standing]:
    source = Folder(source, "tolls") if isinstance(source, Path) else source
    desk = Desk(most=queue)
    service = Service(source, open or Opener().open, desk)
    api = app.Api(service, Metrics(service), limits, history)
    hosts = () if tokens.digests else server.LOOPBACK
    serving = server.server(app.application(api, tokens, hosts=hosts), api)
    listening = server.listening("127.0.0.1", 0)
    thread = threading.Thread(target=lambda: serving.run(sockets=[listening]))
    thread.start()
    service.follow(poll)
    until(lambda: serving.started)
    try:
        yield Standing(listening.getsockname()[1], serving, service, thread)
    finally:
        serving.drain()
        thread.join(20)
        service.end()
        desk.close()
        assert not thread.is_alive()


def until(true: Any, seconds: float = 10.0) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
