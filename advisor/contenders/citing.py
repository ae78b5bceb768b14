"""Citations: numbers of passages that an answer ends with, checked against what was read."""

from __future__ import annotations

import re
from collections.abc import Sequence

from advisor.contenders.prompt import Passage

_MARK = re.compile(r"\s*\[(\d{1,4})\]")


def checked(
    text: str, passages: Sequence[Passage]
) -> tuple[str, tuple[Passage, ...], tuple[str, ...]]:
    """The answer without its marks, the passages it cites, and what it made up.

    A number that no passage had is made up, and cites nothing.
    """
    numbers = [int(mark) for mark in dict.fromkeys(_MARK.findall(text))]
    cited = tuple(passages[n - 1] for n in numbers if 1 <= n <= len(passages))
    made_up = tuple(f"citation [{n}]: only {len(passages)} passages were read"
                    for n in numbers if not 1 <= n <= len(passages))
    return _MARK.sub("", text), cited, made_up
