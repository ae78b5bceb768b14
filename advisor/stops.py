"""Stop strings: where an answer ends, if the model does not end it itself."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, stops: Sequence[str], *, begun: bool = False) -> str:
    """`text` up to the first stop string in it, once there is something to keep: a stop
    at the very beginning, such as a newline before the answer, ends nothing unless `begun`."""
    start = 0 if begun else len(text) - len(text.lstrip())
    ends = [at for stop in stops if stop and (at := text.find(stop, start)) >= 0]
    return text[: min(ends)] if ends else text


def stopped(text: str, stops: Sequence[str]) -> bool:
    """Whether a stop string ends `text`."""
    return bool(stops) and cut(text, stops) != text


def settled(text: str, stops: Sequence[str]) -> str:
    """The beginning of an answer that stays, whatever is written after `text`, which no stop
    string has ended: what could become one is left off, and bytes that make no letter yet."""
    text = text.rstrip("\N{REPLACEMENT CHARACTER}")
    held = (n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n]))
    return text[: len(text) - max(held, default=0)]
