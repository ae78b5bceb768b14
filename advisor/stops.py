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
