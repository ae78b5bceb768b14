"""Rows side by side: where contenders disagree, and where the chosen one fails, come first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from advisor.core import Example
from advisor.report.figures import known, percent
from advisor.report.jsonform import dumps
from advisor.report.model import Report, first_trials, lead, visible
from advisor.trial import Row

PAGE = 25  # rows a person reads at one sitting
_QUESTION, _ANSWER, _PASSAGE = 1600, 500, 700  # characters kept; the journal has the rest
# A page is to stay under 3 MB; where its rows would not, their texts are cut shorter.
_ROOM = 1_900_000  # bytes of texts
_SHORTER = (400, 240, 140, 80)


@dataclass(frozen=True, slots=True)
class Said:
    """What one contender answered to the row, and what that earned."""

    contender: str
    credit: str
    verdict: str
    text: str
    read_as: str
    why: str
    dropped: str


@dataclass(frozen=True, slots=True)
class Passage:
    """One retrieved text and who was given it."""

    text: str
    readers: str


@dataclass(frozen=True, slots=True)
class Strip:
    """The credits of a row at a glance: all of it in words, and a cell a contender with how
    full it is, `c0` to `c4`, or `cx` for no answer."""

    words: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorstRow:
    """One test item with every contender's answer. `keys` are what the filter knows,
    `spread` (0..0.5) is how far the contenders' credits lie apart."""

    id: str
    question: str
    choices: tuple[str, ...]
    targets: tuple[str, ...]
    tags: tuple[str, ...]
    keys: tuple[str, ...]
    spread: float
    credits: tuple[float | None, ...]
    strip: Strip
    said: tuple[Said, ...]
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Worst:
    """All rows, worst first; on `qualifying` of them `about` loses credit or some differ."""

    rows: tuple[WorstRow, ...]
    qualifying: int
    about: str
    contenders: tuple[str, ...]

    @property
    def page(self) -> tuple[WorstRow, ...]:
        """The rows that stand in the page itself; the script turns to the others."""
        return self.rows[:PAGE]


def worst_rows(report: Report) -> Worst:
    """Every row by the chosen one's lost credit plus twice the spread among all."""
    found = {
        name: {row.example.question.id: row for row in trial.rows}
        for name, trial in first_trials(report).items()
    }
    chosen = lead(report.verdict)
    about = chosen.contender if chosen else ""
    scored = []
    for example in report.task.test:
        rows = {
            name: by_id[example.question.id]
            for name, by_id in found.items()
            if example.question.id in by_id
        }
        if rows:
            scored.append((-_weight(rows, about), example.question.id, example, rows))
    scored.sort(key=lambda one: one[:2])
    names = tuple(found)
    shown = tuple(row_view(example, rows, names, about) for _, _, example, rows in scored)
    return Worst(shown, sum(weight < 0 for weight, *_ in scored), about, names)


@dataclass(slots=True)
class _Texts:
    """Each text once: answers of ten contenders are often the same."""

    known: dict[str, int] = field(default_factory=dict)

    def at(self, text: str) -> int:
        return self.known.setdefault(text, len(self.known))


def rows_data(rows: Sequence[WorstRow], names: Sequence[str]) -> dict[str, Any]:
    """The rows for the page's script: texts by their place in `texts`."""
    texts = _Texts()
    packed = [_packed(row, names, texts) for row in rows]
    return {
        "names": [visible(name) for name in names],
        "page": PAGE,
        "rows": packed,
        "texts": _fitted(list(texts.known)),
    }


def _fitted(texts: list[str]) -> list[str]:
    """The texts, all cut at the longest length at which they fit into the page."""
    fitted = texts
    for limit in _SHORTER:
        if sum(len(dumps({"": text}).encode()) for text in fitted) <= _ROOM:
            break
        fitted = [visible(text, limit) for text in texts]
    return fitted


def _packed(row: WorstRow, names: Sequence[str], texts: _Texts) -> dict[str, Any]:
    return {
        "id": row.id,
        "question": texts.at(row.question),
        "choices": list(row.choices),
        "targets": [texts.at(target) for target in row.targets],
        "tags": list(row.tags),
        "keys": list(row.keys),
        "spread": round(row.spread, 4),
        "credits": [None if one is None else round(one, 4) for one in row.credits],
        "said": [
            [names.index(one.contender), *map(texts.at, (one.verdict, one.credit, one.text,
                                                         one.read_as, one.why, one.dropped))]
            for one in row.said
        ],
        "passages": [[texts.at(one.text), texts.at(one.readers)] for one in row.passages],
    }


def _credit(row: Row | None) -> float | None:
    """The credit when there is one; None for a missing row or a failed answer."""
    return row.grade.credit if row and known(row.grade.credit) else None


def _weight(rows: Mapping[str, Row], about: str) -> float:
    credits = [_credit(row) or 0.0 for row in rows.values()]
    if not credits:
        return 0.0
    lost = 1.0 - (_credit(rows[about]) or 0.0) if about in rows else 0.0
    return round(lost + 2 * _spread(credits), 9)


def _spread(credits: Sequence[float]) -> float:
    mean = sum(credits) / len(credits)
    return math.sqrt(sum((credit - mean) ** 2 for credit in credits) / len(credits))


def row_view(
    example: Example, rows: Mapping[str, Row], names: tuple[str, ...], about: str
) -> WorstRow:
    """One row as it is shown: texts cut to what a page can hold, nothing hidden in them."""
    question = example.question
    tags, keys = _tags(rows, names, about)
    credits = tuple(_credit(rows.get(name)) for name in names)
    return WorstRow(
        id=visible(question.id),
        question=visible(question.text, _QUESTION),
        choices=tuple(visible(choice, 200) for choice in question.choices),
        targets=tuple(visible(target, _ANSWER) for target in example.targets),
        tags=tags,
        keys=keys,
        spread=_spread([_credit(row) or 0.0 for row in rows.values()]),
        credits=credits,
        strip=_strip(names, credits),
        said=tuple(_said(name, rows[name]) for name in names if name in rows),
        passages=_passages(rows),
    )


def _strip(names: tuple[str, ...], credits: tuple[float | None, ...]) -> Strip:
    said = ", ".join(f"{name} {'no answer' if credit is None else percent(credit, 0)}"
                     for name, credit in zip(names, credits, strict=True))
    return Strip(visible(f"Credit: {said}"), tuple(map(_fill, credits)))


def _fill(credit: float | None) -> str:
    """Some credit shows as some, and only all of it as all."""
    if credit is None:
        return "cx"
    return f"c{4 if credit >= 1 else max(1, int(credit * 4)) if credit > 0 else 0}"


def _tags(
    rows: Mapping[str, Row], names: tuple[str, ...], about: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    credits = {name: _credit(row) or 0.0 for name, row in rows.items()}
    tags, keys = [], []
    if about in credits and credits[about] < 1:
        tags.append(f"{about} {percent(_credit(rows[about]), 0)}")
        keys.append("lead")
    if max(credits.values()) - min(credits.values()) >= 0.5:
        keys.append("disagree")
    if max(credits.values()) < 1:
        tags.append("nobody fully right")
        keys.append("nobody")
    if any(row.grade.status != "read" for row in rows.values()):
        tags.append("unreadable or failed")
        keys.append("unread")
    keys += [f"c{at}" for at, name in enumerate(names) if credits.get(name, 1.0) < 1]
    return tuple(tags), tuple(keys)


def _said(name: str, row: Row) -> Said:
    grade, answer = row.grade, row.answer
    credit = _credit(row)
    verdict = "failed"
    if credit is not None:
        verdict = "right" if credit >= 1 else "part" if credit else "wrong"
    text = answer.text if not answer.failure else f"no answer: {answer.failure}"
    return Said(
        contender=name,
        credit=percent(credit, 0),
        verdict=verdict,
        text=visible(text, _ANSWER),
        read_as=visible(grade.read_as, _ANSWER) if grade.status == "read" else grade.status,
        why=visible(grade.why, 300),
        dropped=visible(", ".join(answer.dropped), 200),
    )


def _passages(rows: Mapping[str, Row]) -> tuple[Passage, ...]:
    readers: dict[str, list[str]] = {}
    for name, row in rows.items():
        for passage in row.answer.passages:
            names = readers.setdefault(passage, [])
            if name not in names:
                names.append(name)
    return tuple(
        Passage(visible(text, _PASSAGE), ", ".join(names)) for text, names in readers.items()
    )
