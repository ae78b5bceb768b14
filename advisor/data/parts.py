"""Nested parts of the train rows, for learning curves: groups stay whole, seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from advisor.core import Example

SHARES = (0.25, 0.5)
# With fewer, a quarter is a row or two, or a single source: no size of anything.
LEAST_ROWS = 8
LEAST_GROUPS = 4


def too_few(rows: Sequence[Example]) -> str:
    """Why there is nothing to divide, or an empty string."""
    groups = len({one.group for one in rows})
    if len(rows) >= LEAST_ROWS and groups >= LEAST_GROUPS:
        return ""
    return (f"train has {len(rows)} rows in {groups} groups; a learning curve needs at least "
            f"{LEAST_ROWS} in {LEAST_GROUPS}")


def nested(rows: Sequence[Example], *, seed: int) -> tuple[tuple[Example, ...], ...]:
    """Parts of `SHARES` of the rows, smallest first, each within the next; rows keep their order.

    Groups are taken in an order drawn from `seed`; one that would go beyond the share is passed
    over. Where that makes two shares the same part, it is given once.
    """
    sizes = Counter(one.group for one in rows)
    order = sorted(sizes)
    Random(seed).shuffle(order)
    taken, count, parts = set[str](), 0, {}
    for share in SHARES:
        for group in order:
            if group not in taken and count + sizes[group] <= share * len(rows):
                taken.add(group)
                count += sizes[group]
        parts[count] = tuple(one for one in rows if one.group in taken)
    return tuple(part for count, part in parts.items() if count)
