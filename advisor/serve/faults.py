"""What goes wrong with a request, in the shape that OpenAI's API gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(eq=False)
class Refused(Exception):
    """A request that is not answered: its HTTP status and why.

    `param` names the field at fault, `code` is for programs; both may be empty.
    """

    status: int
    message: str
    param: str = ""
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> dict[str, object]:
        return {"error": {
            "message": self.message, "type": _kind(self.status),
            "param": self.param or None, "code": self.code or None,
        }}


def _kind(status: int) -> str:
    if status == 401:
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
