"""Responses that end: within the time of a try, and before they fill the memory.

The client library's time-out is that of each read, so a server that sends a byte now and then,
or goes on for ever, would hold a run up without end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2

# A chat completion is some kilobytes; what is longer is none, and is cut to be told as such.
MOST_BYTES = 4 * 2**20
_BEGUN = "advisor.begun"


@dataclass(frozen=True, slots=True)
class Bounded(httpx2.SyncByteStream):
    """The bytes of `stream` until `until`, seconds of time.monotonic(); ReadTimeout then."""

    stream: httpx2.SyncByteStream
    until: float

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self.stream:
            if time.monotonic() > self.until:
                raise httpx2.ReadTimeout("the response did not end in time")
            size += len(part)
            if size > MOST_BYTES:
                return
            yield part

    def close(self) -> None:
        self.stream.close()


def hooks(seconds: float) -> dict[str, list[Any]]:
    """Event hooks for a client: each try has `seconds` from being sent to the last byte."""

    def sent(request: httpx2.Request) -> None:
        request.extensions[_BEGUN] = time.monotonic()

    def answered(response: httpx2.Response) -> None:
        begun = response.request.extensions[_BEGUN]
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = Bounded(response.stream, begun + seconds)

    return {"request": [sent], "response": [answered]}
