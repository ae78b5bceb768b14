"""Rows beside each other: leakage, conflicting answers, balance of the labels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from advisor.checks.finding import Finding, Looked, ok
from advisor.core import Example
from advisor.data.checks import same_item
from advisor.data.near import ALIKE, pairs
from advisor.measures.scorers.exact import normalise

LEAKY = 0.10  # of the test rows: more, and a score tells of memory rather than of skill
CONTRADICTED = 0.05  # of the rows: more, and the margins of a verdict are below the noise
LOPSIDED = 0.90  # of the rows: the majority answer is then nearly unbeatable
FEW = 5  # rows of a label in test: fewer say nothing of it
LABELS = 60  # more different answers than this are no labels


def leakage(looked: Looked) -> Iterator[Finding]:
    """Test rows that nearly equal one of train or dev. Equal ones never load."""
    rows = looked.examples
    learnt = len(rows) - len(looked.task.test)
    found: dict[int, tuple[int, float]] = {}
    for pair in pairs([example.question.text for example in rows], ALIKE):
        other = found.get(pair.second, (0, 0.0))
        if pair.first < learnt <= pair.second and pair.likeness > other[1]:
            found[pair.second] = (pair.first, pair.likeness)
    if not found:
        yield ok("leakage", f"no test row is {ALIKE:.0%} like one of train or dev")
        return
    total = len(looked.task.test)
    bad = len(found) > LEAKY * total
    worst = sorted(found.items(), key=lambda one: -one[1][1])
    places = [f"{looked.place(rows[second])} like {looked.place(rows[first])} ({likeness:.0%})"
              for second, (first, likeness) in worst]
    yield Finding(
        "leakage", "stop" if bad else "warn",
        f"{len(found)} of {total} test rows are at least {ALIKE:.0%} like a row of train or dev",
        tuple(places),
        "give such rows the same group and split again, or delete them from train and dev",
    )


def near_dev(looked: Looked) -> Iterator[Finding]:
    """Dev rows that nearly equal one of train. Equal ones never load."""
    train, dev = looked.splits["train"], looked.splits["dev"]
    rows = [*train, *dev]
    found = {pair.second: pair for pair in pairs([one.question.text for one in rows], ALIKE)
             if pair.first < len(train) <= pair.second}
    if not found:
        yield ok("leakage", f"no dev row is {ALIKE:.0%} like one of train")
        return
    places = [f"{looked.place(rows[second])} like {looked.place(rows[pair.first])} "
              f"({pair.likeness:.0%})" for second, pair in found.items()]
    yield Finding(
        "leakage", "warn" if len(found) > LEAKY * len(dev) else "note",
        f"{len(found)} of {len(dev)} dev rows are at least {ALIKE:.0%} like a row of train: what "
        "is chosen on dev will look better there than it is", tuple(places),
        "give such rows the same group and split again, or delete them from train",
    )


def repeats(looked: Looked) -> Iterator[Finding]:
    """Test rows that ask the same as another one: fewer independent rows than it seems."""
    first: dict[str, Example] = {}
    twins = []
    for example in looked.task.test:
        other = first.setdefault(same_item(example), example)
        if other is not example and other.group != example.group:
            twins.append(f"{looked.place(example)} = {looked.place(other)}")
    if not twins:
        yield ok("repeats", "no test row asks the same as another one of another group")
        return
    yield Finding(
        "repeats", "warn",
        f"{len(twins)} test rows ask the same as another one but stand in another group, so "
        "intervals come out too narrow", tuple(twins), "give them one `group`, or delete them",
    )


def conflicts(looked: Looked) -> Iterator[Finding]:
    """Rows that ask the same and share no accepted answer."""
    asked: dict[str, list[Example]] = defaultdict(list)
    for example in looked.examples:
        asked[same_item(example)].append(example)
    clashing = [rows for rows in asked.values() if len(rows) > 1 and not set.intersection(
        *({normalise(target) for target in one.targets} for one in rows))]
    if not clashing:
        yield ok("conflicts", "no two rows ask the same and want different answers")
        return
    count = sum(map(len, clashing))
    bad = count > CONTRADICTED * len(looked.examples)
    places = [" / ".join(looked.place(one) for one in rows) for rows in clashing]
    yield Finding(
        "conflicts", "stop" if bad else "warn",
        f"{count} rows ask the same as another one and want a different answer",
        tuple(places), "decide which answer is right, or list both as `targets` of one row",
    )


def balance(looked: Looked) -> Iterator[Finding]:
    """Labels that cannot be learnt, cannot be measured, or make the task trivial."""
    splits = {name: Counter(example.targets[0] for example in rows)
              for name, rows in looked.splits.items()}
    labels = splits["train"].keys() | splits["test"].keys()
    if looked.task.scorer.kind not in ("exact", "choice") or len(labels) > LABELS:
        yield Finding("balance", "skipped", "the answers are no closed set of labels")
        return
    found = list(_lopsided(splits["test"]))
    unseen = sorted(splits["test"].keys() - splits["train"].keys())
    if unseen:
        rows = [looked.place(e) for e in looked.task.test if e.targets[0] in unseen]
        found.append(Finding(
            "balance", "warn", f"{len(unseen)} labels stand in test but never in train: "
            f"{', '.join(unseen[:5])}", tuple(rows),
            "add rows of these labels to train, or no contender can learn them from examples"))
    thin = sorted(label for label, count in splits["test"].items() if count < FEW)
    if thin:
        found.append(Finding(
            "balance", "note", f"{len(thin)} labels have fewer than {FEW} test rows: "
            f"{', '.join(thin[:5])}", (), "collect more of them if they matter to you"))
    yield from found or [ok("balance", f"{len(labels)} labels, the largest "
                            f"{_share(splits['test']):.0%} of test")]


def _lopsided(test: Counter[str]) -> Iterator[Finding]:
    [(label, count)] = test.most_common(1)
    if _share(test) >= LOPSIDED:
        yield Finding(
            "balance", "warn", f"{label!r} is the answer to {count} of {test.total()} test rows: "
            "saying it always is hard to beat", (),
            "test on a balanced sample, or grade something that the majority answer fails")


def _share(labels: Counter[str]) -> float:
    return labels.most_common(1)[0][1] / labels.total()
