"""Lines on standard output, without the control characters that data may hold."""

from __future__ import annotations


def say(text: str = "") -> None:
    """Print `text`; characters that could steer a terminal become visible."""
    print("".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1]
                  for char in text).encode("utf-8", "replace").decode("utf-8"))
