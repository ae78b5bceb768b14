"""A task folder drafted from somebody's rows, and everything that was guessed on the way."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from advisor.contenders.floor import floor
from advisor.core import Example, Question, ScorerSpec
from advisor.data.checks import same_item
from advisor.data.corpus import SUFFIXES
from advisor.data.rows import sample
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.intake.columns import Columns, Item, Told, find_columns, item
from advisor.intake.guess import Guess, Kind, guess
from advisor.intake.records import Records, as_text
from advisor.intake.split import SPLITS, Shares, near_groups, split
from advisor.intake.taskfile import task_yaml
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
    """A task that is not on disk yet. `said` holds (what, how it was understood)."""

    name: str
    splits: Mapping[str, tuple[Example, ...]]
    documents: Path | None
    guess: Guess
    chance: float
    said: tuple[tuple[str, str], ...]


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
    read = documents is not None
    instruction = wish.instruction or columns.instruction
    found = guess(
        [_targets(one) for _, one in kept], kind=wish.kind,
        own_choices=bool(columns.choices) and all(one.choices for _, one in kept), reads=read,
        instruction=instruction, tokens=tokens,
    )
    if wish.instruction:
        found = replace(found, why={**found.why, "instruction": "as told"})
    kept, same = _without_twins(kept)
    groups, grouped = _groups([one for _, one in kept], columns)
    kept, groups, near = _clear_of_given(kept, groups)
    homes = _homes(kept, groups, found, wish=wish)
    splits: dict[str, list[Example]] = {name: [] for name in SPLITS}
    for number, ((_, one), group, home) in enumerate(zip(kept, groups, homes, strict=True), 1):
        splits[home].append(_example(one, number, group=group, choices=found.choices))
    if empty := [name for name in SPLITS if not splits[name]]:
        raise AdvisorError(f"{empty[0]} would have no rows: {len(set(groups))} groups are too few "
                           "or too unequal to be dealt to three splits",
                           fix="choose another column with --group, or add rows")
    whole = {name: tuple(rows) for name, rows in splits.items()}
    chance = _chance(whole, found)
    said = _said(main, columns, found, splits=whole, chance=chance,
                 notes=[*_lost(lost), *same, *near, grouped, *_documents(documents)])
    return Draft(wish.name, whole, documents, found, chance, said)


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
        question = Question("", one.text, one.choices)
        key = same_item(Example(question, (), "")) + "\n" + "\n".join(sorted(_targets(one)))
        if key not in seen:
            seen[key] = None
            left.append((name, one))
    count = len(kept) - len(left)
    order = {id(one): index for index, (_, one) in enumerate(kept)}
    left.sort(key=lambda pair: order[id(pair[1])])
    return left, [f"{count} rows that repeat another one, answer and all"] if count else []


def _groups(items: Sequence[Item], columns: Columns) -> tuple[list[str], str]:
    """The group of each row, and how it was found. Rows that ask the same share one."""
    if columns.group:
        named = [one.group or one.where for one in items]
        told = f"column {columns.group}"
    else:
        homes, threshold = near_groups([one.text for one in items])
        named = [f"g{home + 1}" for home in homes]
        told = ("equal questions" if threshold == 1 else
                f"questions that are at least {threshold:.0%} alike")
    # Whatever the column says, one question must not stand in two splits.
    first: dict[str, str] = {}
    joined: dict[str, str] = {}
    for one, group in zip(items, named, strict=True):
        key = same_item(Example(Question("", one.text, one.choices), (), ""))
        joined[_root(joined, group)] = _root(joined, first.setdefault(key, group))
    final = [_root(joined, group) for group in named]
    return final, f"group: {told}; {len(set(final))} groups, each in one split"


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
    pairs = [(row, group) for row, group in zip(kept, groups, strict=True)
             if row[0] == home[group]]
    count = len(kept) - len(pairs)
    notes = [f"{count} rows of a group that stands in a given dev or test"] if count else []
    return [row for row, _ in pairs], [group for _, group in pairs], notes


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


def _example(one: Item, number: int, *, group: str, choices: tuple[str, ...]) -> Example:
    targets = tuple(
        json.dumps(target, ensure_ascii=False, separators=(",", ":"))
        if isinstance(target, dict) else as_text(target) for target in one.targets
    )
    question = Question(one.id or f"r{number}", one.text, one.choices or choices)
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


def _lost(lost: Sequence[str]) -> list[str]:
    if not lost:
        return []
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return [f"{len(lost)} rows: {', '.join(lost[:3])}{more}"]


def _documents(folder: Path | None) -> list[str]:
    if folder is None:
        return []
    files = _texts(folder)
    if not files:
        raise AdvisorError(f"{folder}: holds no {' or '.join(SUFFIXES)} file",
                           fix="give a folder of texts, or leave --docs out")
    others = sum(path.is_file() for path in folder.rglob("*")) - len(files)
    return [f"documents: {len(files)} from {folder}" + (f", {others} other files not read"
                                                        if others else "")]


def _texts(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix.lower() in SUFFIXES]


def _said(
    records: Records, columns: Columns, found: Guess, *, splits: Mapping[str, Sequence[Example]],
    chance: float, notes: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    sizes = ", ".join(f"{len(splits[name])} {name}" for name in SPLITS)
    lines = [
        ("read", f"{len(records.rows)} rows of {records.form}; "
                 f"columns {', '.join(records.columns)}"),
        ("question", f"{' + '.join(columns.question)} ({columns.shape}) [--input]"),
        ("answer", f"{columns.answer}{_answers(splits, found)} [--target]"),
    ]
    for name in ("choices", "sources", "id"):
        if column := getattr(columns, name):
            lines.append((name, column))
    for note in notes:
        head, _, rest = note.partition(": ")
        lines.append((head, f"{rest} [--group]") if head == "group" else
                     (head, rest) if head == "documents" else ("left out", note))
    graded = f"{found.kind}: {found.why['scorer']} [--task-kind]"
    lines += [
        ("graded", graded),
        ("primary", f"{found.primary}, {found.why['primary']}; {chance:g} for the majority answer"),
        ("max_tokens", f"{found.max_tokens}: {found.why['max_tokens']}"),
        ("split", f"{sizes} [--seed, --dev-share, --test-share]"),
        ("instruction", f"{found.why['instruction']}: {_short(found.instruction)}"),
    ]
    return tuple(lines)


def _answers(splits: Mapping[str, Sequence[Example]], found: Guess) -> str:
    firsts = Counter(e.targets[0] for rows in splits.values() for e in rows)
    if found.kind == "json":
        return f": JSON with {', '.join(found.fields)}"
    if found.kind in ("exact", "choice") and len(firsts) <= 60:
        ranked = sorted(firsts.items(), key=lambda one: (-one[1], one[0]))[:8]
        shown = ", ".join(f"{_short(label, 30)} {count}" for label, count in ranked)
        return f": {len(firsts)} labels ({shown}{', ...' if len(firsts) > 8 else ''})"
    return f": {len(firsts)} different answers"


def _short(text: str, width: int = 90) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 3]}..."


# ------------------------------------------------------------------- writing


def write(made: Draft, folder: Path, *, schema: str) -> list[Path]:
    """The files of the task in `folder`, which must not exist; all of them or none.

    `schema` is where task.yaml finds its schema. Raises AdvisorError when the folder is
    there, and Faults when what was drafted would not load.
    """
    if folder.exists():
        raise AdvisorError(f"{folder}: is already there, nothing was written",
                           fix=f"choose another name: --name {folder.name}-2")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        for name, rows in made.splits.items():
            with (staged / f"{name}.jsonl").open("x", encoding="utf-8") as stream:
                stream.writelines(_line(example) for example in rows)
        text = task_yaml(made.name, made.guess, chance=made.chance, said=made.said, schema=schema)
        (staged / "task.yaml").write_text(text, encoding="utf-8")
        for path in _texts(made.documents) if made.documents else ():
            target = staged / "corpus" / path.relative_to(made.documents or path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        load_task(staged)
        staged.chmod(0o755)  # a temporary folder is closed to others
        staged.rename(folder)
    except AdvisorError as error:
        shown = str(staged)
        raise AdvisorError(error.problem.replace(shown, str(folder)) + "\nnothing was written",
                           fix="correct these rows where they come from; a good row would "
                           f"become {sample(ScorerSpec(made.guess.kind, made.guess.fields))}"
                           ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _line(example: Example) -> str:
    question = example.question
    row: dict[str, Any] = {"id": question.id, "text": question.text,
                           "targets": list(example.targets), "group": example.group}
    if question.choices:
        row["choices"] = list(question.choices)
    if example.sources:
        row["sources"] = list(example.sources)
    return json.dumps(row, ensure_ascii=False) + "\n"


def task_name(source: str) -> str:
    """A name for the task from the file's or the data set's: lower case, hyphens."""
    stem = source.split("@")[0].rstrip("/").rsplit("/", 1)[-1]
    stem = stem.rsplit(".", 1)[0] if not source.startswith("hf://") else stem
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "task"
