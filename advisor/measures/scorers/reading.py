"""What a scorer hands back: what it read, or why it could read nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read out of an answer, what that is worth (0..1 a part), and why."""

    read_as: str
    parts: Mapping[str, float]
    why: str


# Two lines of a report table; the whole answer stands next to the reason there.
LONGEST_SHOWN = 120


class Unreadable(Exception):
    """Nothing, or nothing unambiguous, could be read out of an answer; says why."""


def shown(text: str) -> str:
    """`text` at a length that fits into a reason."""
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."
