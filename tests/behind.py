"""An endpoint of somebody else's, on a real socket: what it answers is the test's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]


def said(text: str, *, tokens: tuple[int, int] = (12, 3)) -> Reply:
    body = {
        "id": "c", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1],
                  "total_tokens": sum(tokens)},
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def refused(status: int, *, headers: dict[str, str] | None = None) -> Reply:
    body = json.dumps({"error": {"message": f"status {status}"}}).encode()
    return status, {"Content-Type": "application/json", **(headers or {})}, body


@dataclass
class Server:
    """A server on a free port; `reply` answers the n-th request, counted from 0."""

    reply: Callable[[int, dict[str, Any]], Reply]
    seen: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def take(self, body: dict[str, Any], key: str) -> Reply:
        with self._lock:
            number = len(self.seen)
            self.seen.append(body)
            self.keys.append(key)
            self.at.append(time.perf_counter())
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            return self.reply(number, body)
        finally:
            with self._lock:
                self._now -= 1


@contextmanager
def behind(
    reply: Callable[[int, dict[str, Any]], Reply], *, pause: float = 0.0
) -> Iterator[Server]:
    """A server that answers so, a byte and a `pause` (seconds) at a time if there is one, and is
    gone afterwards."""
    server = Server(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(size))
            status, headers, content = server.take(body, self.headers.get("Authorization", ""))
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for part in [content] if not pause else [bytes([one]) for one in content]:
                    self.wfile.write(part)
                    self.wfile.flush()
                    time.sleep(pause)
            except OSError:
                pass  # the client gave up waiting

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}/v1"
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02},
                     daemon=True).start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
