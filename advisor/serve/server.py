"""The process: its socket, its signals, and how it stops without losing a request."""

from __future__ import annotations

import errno
import ipaddress
import logging
import signal
import socket
import time
from types import FrameType
from typing import Any

import uvicorn

from advisor.errors import AdvisorError
from advisor.serve.app import Api
from advisor.serve.service import Service

log = logging.getLogger(__name__)

# Seconds without a request after which nobody is taken to be on the way any more.
QUIET = 0.5
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Server(uvicorn.Server):
    """SIGTERM and SIGINT let no more requests in (503), and end the process once all that
    were let in have their answer, which the time-out of requests bounds. A second signal ends
    it at once."""

    def __init__(self, config: uvicorn.Config, api: Api) -> None:
        super().__init__(config)
        self.api = api

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.api.draining:
            self.should_exit = self.force_exit = True
        self.drain()

    def drain(self) -> None:
        self.api.draining = True
        self.api.last = time.monotonic()

    async def on_tick(self, counter: int) -> bool:
        api = self.api
        if api.draining and not api.inside and time.monotonic() - api.last > QUIET:
            self.should_exit = True
        return await super().on_tick(counter)


def server(app: Any, api: Api) -> Server:
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, access_log=False, server_header=False, ws="none",
        timeout_graceful_shutdown=5, http="h11", loop="asyncio",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    return Server(config, api)


def heed_hangup(service: Service) -> None:
    """Let SIGHUP look where the alias points, where there is such a signal."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: service.look())


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; raises AdvisorError where there can be none."""
    try:
        [family, *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.create_server((host, port), family=family, backlog=1024)
        # asyncio does this for sockets of its own making; without it a reply's body waits
        # some 40 ms for the client to acknowledge its head.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AdvisorError(f"port {port} of {host} is in use",
                               fix=f"--port {port + 1}, or --port 0 for any free one") from error
        raise AdvisorError(f"{host}:{port} cannot be listened on: {error.strerror or error}",
                           fix="--host 127.0.0.1 --port 8000") from error
    except OverflowError as error:
        raise AdvisorError(f"--port {port}: expected 0 to 65535", fix="--port 8000") from error


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
