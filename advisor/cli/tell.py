"""Lines and tables on standard output, without the control characters that data may hold."""

from __future__ import annotations

from collections.abc import Sequence


def say(text: str = "") -> None:
    """Print `text`; characters that could steer a terminal become visible."""
    print("".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1]
                  for char in text).encode("utf-8", "replace").decode("utf-8"))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need; the last is not padded."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        say("  ".join(cells).rstrip())


def brief(text: str, width: int) -> str:
    """One line of at most `width` characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 3]}..."
