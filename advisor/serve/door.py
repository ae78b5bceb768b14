"""What stands before every route: the token, the host's name, and the count of responses."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from advisor.serve.faults import Refused
from advisor.serve.metrics import Metrics
from advisor.serve.tokens import Tokens

OPEN = "/healthz"
_ROUTES = ("/v1/chat/completions", "/v1/models", "/healthz", "/metrics")


class Door:
    """Lets in who has a token; without tokens, who calls the server by one of `hosts`.

    A page in a browser can reach this machine under a name of its own, so a server that asks
    for no token answers to its own names only.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, metrics: Metrics,
                 hosts: tuple[str, ...]) -> None:
        self.app, self.tokens, self.metrics, self.hosts = app, tokens, metrics, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        route = path if path in _ROUTES else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.metrics.responses.labels(route, str(message["status"])).inc()
            await send(message)

        headers = Headers(scope=scope)
        refused = None if path == OPEN else self._refusal(headers)
        if refused is None:
            await self.app(scope, receive, counted)
        else:
            told = JSONResponse(refused.body, refused.status, headers=dict(refused.headers))
            await told(scope, receive, counted)

    def _refusal(self, headers: Headers) -> Refused | None:
        if not self.tokens.allow(headers.get("authorization", "")):
            return Refused(401, "a bearer token of this server is needed", code="invalid_api_key",
                           headers={"WWW-Authenticate": "Bearer"})
        if self.hosts and _name(headers.get("host", "")) not in self.hosts:
            return Refused(421, "the server does not answer to this name; start it with a token "
                           "to be reached from elsewhere")
        return None


def _name(host: str) -> str:
    """The host without its port: `[::1]:8000` is `[::1]`."""
    return (host if host.endswith("]") else host.rpartition(":")[0] or host).lower()
