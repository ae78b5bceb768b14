"""Whether the right passage was found: what a retriever is worth, apart from the model."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.contenders.prompt import Passage, holds
from advisor.core import Example


def right_passages(example: Example, passages: Sequence[Passage]) -> frozenset[int]:
    """The passages, by index, that hold the answer to the row; empty when none is known to.

    Of the row's source documents, where it names any, those in which one of its facts (or
    else targets) stands as whole words; if it stands in none of them, as with answers that
    are not copied, every passage of those documents.
    """
    wanted = example.facts or example.targets
    sources = set(example.sources)
    here = [i for i, passage in enumerate(passages) if not sources or passage.document in sources]
    found = frozenset(
        i for i in here if any(_holds(passages[i].text, answer) for answer in wanted)
    )
    return found or (frozenset(here) if sources else frozenset())


def rank(right: frozenset[int], found: Sequence[int]) -> int:
    """The rank, from 1, of the first right passage among those found; 0 when there is none."""
    return next((place for place, i in enumerate(found, start=1) if i in right), 0)


def recall(ranks: Sequence[int], depth: int) -> float:
    """The share of rows with a right passage among the first `depth`; rows is not empty."""
    return sum(1 <= place <= depth for place in ranks) / len(ranks)


def _holds(text: str, answer: str) -> bool:
    # The plain comparison first: it is a hundred times faster, and mostly says no.
    first = answer.split()[0].casefold() if answer.split() else ""
    return bool(first) and first in text.casefold() and holds(text, answer)
