"""A task folder drafted from somebody's rows, and everything that was guessed on the way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from advisor.contenders.floor import floor
from advisor.core import Example, Preference, Question, ScorerSpec
from advisor.data.checks import same_item
from advisor.data.near import ALIKE, pairs
from advisor.errors import AdvisorError
from advisor.intake import wording
from advisor.intake.columns import Columns, Item, Told, find_columns, item
from advisor.intake.guess import Guess, Kind, guess
from advisor.intake.records import Records, as_text
from advisor.intake.split import LARGEST, SPLITS, Shares, near_groups, split
from advisor.measures.scorers import grade

FEWEST = 9  # rows: three for each split, below which not even a trial run makes sense


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user said outright; None, empty or the default leaves it to the data."""

    name: str
    told: Told = field(default_factory=Told)
    kind: Kind | None = None
    seed: int = 0
    shares: Shares = field(default_factory=Shares)
    instruction: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A task that is not on disk yet. `said` holds (what, how it was understood);
    `preferences` are pairs of train rows alone."""

    name: str
    splits: Mapping[str, tuple[Example, ...]]
    documents: Path | None
    guess: Guess
    chance: float
    said: tuple[tuple[str, str], ...]
    preferences: tuple[Preference, ...] = ()


def draft(
    records: Mapping[str, Records], wish: Wish, *, documents: Path | None,
    tokens: Callable[[str], int],
) -> Draft:
    """The task in `records`, whose key "" is split here; "dev" and "test" are kept as given.

    Raises AdvisorError when too few rows are whole, or no column can be told from another.
    """
    main = records[""]
    columns = find_columns(main, wish.told)
    kept, lost = _items(records, columns)
    if len(kept) < FEWEST:
        raise AdvisorError(
            f"{len(kept)} rows have both a question and an answer, at least {FEWEST} are needed"
            + (f"; {lost[0]}" if lost else ""),
            fix="add rows, or name the columns: --input COLUMN --target COLUMN")
    found = guess(
        [_targets(one) for _, one in kept], kind=wish.kind,
        own_choices=all(one.choices for _, one in kept), reads=documents is not None,
        instruction=wish.instruction or columns.instruction, tokens=tokens,
    )
    if wish.instruction:
        found = replace(found, why={**found.why, "instruction": "as told"})
    kept, same = _without_twins(kept)
    groups, grouped = _groups([one for _, one in kept], columns)
    kept, groups, near = _clear_of_given(kept, groups)
    homes = _homes(kept, groups, found, wish=wish)
    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    preferences: list[Preference] = []
    for number, ((given, one), group, home) in enumerate(zip(kept, groups, homes, strict=True), 1):
        name = f"{given}-{one.id}" if given and one.id else one.id or f"r{number}"
        made = _example(one, name, group=group, choices=found.choices)
        splits[home].append(made)
        if home == "train" and one.rejected not in ("", *made.targets):
            preferences.append(Preference(made.question, made.targets[0], one.rejected))
    if empty := [name for name in SPLITS if not splits[name]]:
        raise AdvisorError(f"{empty[0]} would have no rows: {len(set(groups))} groups are too few "
                           "or too unequal to be dealt to three splits",
                           fix="choose another column with --group, or add rows")
    whole = {name: tuple(rows) for name, rows in splits.items()}
    chance = _chance(whole, found)
    notes = [*wording.lost_rows(lost), *same, *near, grouped, *wording.documents(documents),
             *wording.preferred(columns, len(preferences))]
    told = wording.said(main, columns, found, splits=whole, chance=chance, notes=notes)
    return Draft(wish.name, whole, documents, found, chance, told, tuple(preferences))


def _items(
    records: Mapping[str, Records], columns: Columns
) -> tuple[list[tuple[str, Item]], list[str]]:
    """(given split, item) of every whole row, and where the others stand."""
    kept, lost = [], []
    for name, part in records.items():
        for row in part.rows:
            one = item(row, columns)
            if one.text and one.targets and _fits(one):
                kept.append((name, one))
            else:
                what = "no question" if not one.text else "no answer"
                what = what if not one.text or not one.targets else "an answer that is no choice"
                lost.append(f"{row.where} has {what}")
    return kept, lost


def _fits(one: Item) -> bool:
    return not one.choices or all(as_text(target) in one.choices for target in one.targets)


def _targets(one: Item) -> list[str]:
    return [as_text(target) for target in one.targets]


def _without_twins(kept: Sequence[tuple[str, Item]]) -> tuple[list[tuple[str, Item]], list[str]]:
    """One of each set of rows that ask and answer the same; test keeps its own."""
    seen: dict[str, None] = {}
    left = []
    for name, one in sorted(kept, key=lambda pair: {"test": 0, "dev": 1}.get(pair[0], 2)):
        key = _question(one) + "\n" + "\n".join(sorted(_targets(one)))
        if key not in seen:
            seen[key] = None
            left.append((name, one))
    count = len(kept) - len(left)
    order = {id(one): index for index, (_, one) in enumerate(kept)}
    left.sort(key=lambda pair: order[id(pair[1])])
    return left, [f"{count} rows that repeat another one, answer and all"] if count else []


def _groups(items: Sequence[Item], columns: Columns) -> tuple[list[str], str]:
    """The group of each row, and how it was found.

    Whatever a column says, questions that are the same, or nearly, share a group; the latter
    only while no group becomes too large for one split.
    """
    texts = [one.text for one in items]
    if not columns.group:
        homes, threshold = near_groups(texts)
        told = ("equal questions" if threshold == 1 else
                f"questions that are at least {threshold:.0%} alike")
        named = [f"g{home + 1}" for home in homes]
    else:
        told = f"column {columns.group}"
        named = [one.group or one.where for one in items]
        alike = _joined(named, [(pair.first, pair.second) for pair in pairs(texts)])
        if max(Counter(alike).values()) <= max(3, LARGEST * len(items), _largest(named)):
            if len(set(alike)) < len(set(named)):
                told += f", and questions that are at least {ALIKE:.0%} alike"
            named = alike
    first: dict[str, int] = {}
    same = [(index, first.setdefault(_question(one), index)) for index, one in enumerate(items)]
    final = _joined(named, same)
    return final, f"group: {told}; {len(set(final))} groups, each in one split"


def _question(one: Item) -> str:
    return same_item(Example(Question("", one.text, one.choices), (), ""))


def _largest(groups: Sequence[str]) -> int:
    return max(Counter(groups).values())


def _joined(groups: Sequence[str], same: Sequence[tuple[int, int]]) -> list[str]:
    """The groups with those of each pair of rows made one."""
    joined: dict[str, str] = {}
    for one, other in same:
        joined[_root(joined, groups[one])] = _root(joined, groups[other])
    return [_root(joined, group) for group in groups]


def _root(joined: dict[str, str], group: str) -> str:
    while joined.get(group, group) != group:
        group = joined[group]
    return group


def _clear_of_given(
    kept: Sequence[tuple[str, Item]], groups: Sequence[str]
) -> tuple[list[tuple[str, Item]], list[str], list[str]]:
    """Without the rows whose group stands in a test or dev that was given: those stay as
    they are, and nothing else may be like them."""
    order = {"": 0, "dev": 1, "test": 2}
    home: dict[str, str] = {}
    for (name, _), group in zip(kept, groups, strict=True):
        home[group] = max(name, home.get(group, ""), key=order.__getitem__)
    clear = [(row, group) for row, group in zip(kept, groups, strict=True)
             if row[0] == home[group]]
    count = len(kept) - len(clear)
    notes = [f"{count} rows of a group that stands in a given dev or test"] if count else []
    return [row for row, _ in clear], [group for _, group in clear], notes


def _homes(
    kept: Sequence[tuple[str, Item]], groups: Sequence[str], found: Guess, *, wish: Wish
) -> list[str]:
    """The split of each row: the given one, or one that it is dealt to."""
    labelled = found.kind in ("choice", "exact")
    free = [index for index, (name, _) in enumerate(kept) if not name]
    labels = [_targets(kept[index][1])[0] if labelled else "" for index in free]
    shares = wish.shares
    names = {name for name, _ in kept}
    if "test" in names:
        shares = replace(shares, test=0.0, most_test=0)
    if "dev" in names:
        shares = replace(shares, dev=0.0, most_dev=0)
    dealt = split([groups[index] for index in free], labels, shares=shares, seed=wish.seed) \
        if free else []
    homes = dict(zip(free, dealt, strict=True))
    return [homes.get(index) or name for index, (name, _) in enumerate(kept)]


def _example(one: Item, name: str, *, group: str, choices: tuple[str, ...]) -> Example:
    targets = tuple(
        json.dumps(target, ensure_ascii=False, separators=(",", ":"))
        if isinstance(target, dict) else as_text(target) for target in one.targets
    )
    question = Question(name, one.text, one.choices or choices)
    return Example(question, targets, group, one.sources)


def _chance(splits: Mapping[str, Sequence[Example]], found: Guess) -> float:
    """The score on dev of the majority answer of train."""
    spec = ScorerSpec(found.kind, found.fields)
    rows = {example.question: example for example in splits["dev"]}
    grades = [
        grade(answer, example, spec, primary=found.primary)
        for answer, example in zip(floor(splits["train"]).answer(list(rows)), rows.values(),
                                   strict=True)
    ]
    return round(sum(one.credit or 0.0 for one in grades) / len(grades), 3)
