"""Train, dev and test from one heap: groups stay whole, labels stay balanced, seeded."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from advisor.data.near import clusters, pairs

# Alike enough that a model which saw one row has as good as seen the other.
SAME_GROUP = 0.7
# A heap of rows from one template would end as one group, and with it in one split.
LARGEST = 0.2

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Shares:
    """Which part of the rows dev and test get, and the most that each needs."""

    dev: float = 0.15
    test: float = 0.35
    most_dev: int = 200
    most_test: int = 500

    def wanted(self, rows: int) -> dict[str, int]:
        """Rows of each split; at least one of dev and test unless none at most is needed."""
        test = min(self.most_test, max(1, round(rows * self.test)))
        dev = min(self.most_dev, max(1, round(rows * self.dev)))
        return {"train": rows - dev - test, "dev": dev, "test": test}


def near_groups(texts: Sequence[str]) -> tuple[list[int], float]:
    """A group for each text by likeness, and the threshold (1: only equal texts).

    Nearly equal texts share a group, unless that would put more than a fifth of the rows
    into one: then only ever more alike ones do.
    """
    for threshold in (SAME_GROUP, 0.8, 0.9):
        homes = clusters(len(texts), pairs(texts, threshold))
        if max(Counter(homes).values()) <= max(3, LARGEST * len(texts)):
            return homes, threshold
    return clusters(len(texts), pairs(texts, 1.0)), 1.0


def split(
    groups: Sequence[str], labels: Sequence[str], *, shares: Shares, seed: int
) -> list[str]:
    """The split of each row; rows of one group are never parted.

    Groups are dealt in a seeded order, large ones first, each to the split that lacks its
    labels most (iterative stratification, Sechidis et al. 2011, on whole groups).
    """
    members: dict[str, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))
    sizes = shares.wanted(len(groups))
    totals = Counter(labels)
    lacking = {
        name: {label: size * count / len(groups) for label, count in totals.items()}
        for name, size in sizes.items()
    }
    left = dict(sizes)
    placed = [""] * len(groups)
    for group in order:
        rows = members[group]
        here = Counter(labels[index] for index in rows)

        def need(name: str, here: Counter[str] = here) -> tuple[float, float]:
            short = sum(lacking[name][label] * count for label, count in here.items())
            share = left[name] / sizes[name] if sizes[name] else float("-inf")
            return (short if left[name] > 0 else -1.0, share)

        home = max(SPLITS, key=need)
        left[home] -= len(rows)
        for index in rows:
            placed[index] = home
            lacking[home][labels[index]] -= 1
    return placed
