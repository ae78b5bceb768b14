"""How small a difference this many test rows can show, before any was measured."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

from advisor.checks.finding import Finding, Looked, ok
from advisor.stats import compare, detectable

# Two contenders worth comparing differ on about this share of the rows (5 to 13% of answers
# change even where accuracy stays the same, arXiv 2407.09141).
DIFFERING = 0.20
COARSE = 0.15  # a difference that only 15 points or more would show is seldom what is asked
FEWEST = 20  # test rows: below this hardly any difference can be shown


def size(looked: Looked, *, alpha: float, margin: float, seed: int) -> Iterator[Finding]:
    """The smallest difference that test would show with 80% power, and what the margin needs."""
    test = looked.task.test
    groups = {example.question.id: example.group for example in test}
    clusters = len(set(groups.values()))
    shows = _detectable(list(groups), groups, alpha=alpha, seed=seed)
    rows = math.ceil(len(test) * (shows / margin) ** 2) if margin else None
    said = (f"{len(test)} test rows in {clusters} groups show at best differences of "
            f"{shows * 100:.0f} points (if contenders differ on {DIFFERING:.0%} of rows)")
    wants = f"; the margin of {margin * 100:g} points needs about {rows}" if rows else ""
    fix = "add test rows of new groups, or widen quality_margin in advisor.yaml"
    if len(test) < FEWEST or clusters < 3:
        yield Finding("size", "stop", said + wants, (), fix)
    elif shows > COARSE:
        yield Finding("size", "warn", said + wants, (), fix)
    elif rows and rows > len(test):
        yield Finding("size", "note", said + wants, (), fix)
    else:
        yield ok("size", said)


def _detectable(
    ids: list[str], groups: dict[str, str], *, alpha: float, seed: int
) -> float:
    """By `stats` itself, on made-up credits that differ on a fifth of the rows, evenly."""
    shuffled = list(ids)
    random.Random(seed).shuffle(shuffled)
    differ = shuffled[: max(2, round(DIFFERING * len(ids)))]
    better, worse = set(differ[::2]), set(differ[1::2])
    one = {name: 1.0 if name in better else 0.0 for name in ids}
    other = {name: 1.0 if name in worse else 0.0 for name in ids}
    return detectable(compare(one, other, groups=groups, alpha=alpha))
