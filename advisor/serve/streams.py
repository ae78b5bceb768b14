"""An answer sent while it is being written, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from advisor.core import Answer
from advisor.serve.desk import Ticket

# Proxies would gather pieces that are meant to be seen at once.
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class Pieces:
    """The pieces of one answer in their order, as they come to the loop of the server.

    `heard` may be called from any thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | asyncio.Future[Answer]] = asyncio.Queue()

    def heard(self, more: str) -> None:
        with suppress(RuntimeError):  # the loop has ended, and with it whoever listened
            self._loop.call_soon_threadsafe(self._queue.put_nowait, more)

    def expect(self, ticket: Ticket) -> None:
        """Let the answer of the ticket follow the pieces."""
        asyncio.wrap_future(ticket.answer).add_done_callback(self._last)

    def _last(self, answer: asyncio.Future[Answer]) -> None:
        if not answer.cancelled():
            answer.exception()  # asyncio would complain of one that nobody waited for
        self._queue.put_nowait(answer)

    async def next(self) -> str | Answer:
        """A piece, or the whole answer after all pieces; raises what the answer raised."""
        found = await self._queue.get()
        return found if isinstance(found, str) else found.result()


class Streamed(StreamingResponse):
    """Events as they come; `ended` is called once, however that ends."""

    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(events, headers=HEADERS, media_type="text/event-stream")
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()

