"""The rows worth reading: where contenders disagree, and where the chosen one fails."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from advisor.core import Example, Row
from advisor.report.bars import credit_strip
from advisor.report.figures import known, percent
from advisor.report.model import Report, first_trials, lead, visible

LIMIT = 25  # rows a person reads at one sitting
_QUESTION, _ANSWER, _PASSAGE = 1600, 500, 700  # characters kept; the journal has the rest


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
class WorstRow:
    """One test item with every contender's answer. `keys` are what the filter knows."""

    id: str
    question: str
    choices: tuple[str, ...]
    targets: tuple[str, ...]
    tags: tuple[str, ...]
    keys: tuple[str, ...]
    strip: Markup
    said: tuple[Said, ...]
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Worst:
    """The rows shown, of how many that qualify, and the contender they are about."""

    rows: tuple[WorstRow, ...]
    qualifying: int
    about: str
    contenders: tuple[str, ...]


def worst_rows(report: Report) -> Worst:
    """At most LIMIT rows: the chosen one's lost credit plus the spread among all."""
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
        weight = _weight(rows, about)
        if weight > 0:
            scored.append((-weight, example.question.id, example, rows))
    scored.sort(key=lambda one: one[:2])
    names = tuple(found)
    shown = tuple(_row(example, rows, names, about) for _, _, example, rows in scored[:LIMIT])
    return Worst(shown, len(scored), about, names)


def _credit(row: Row | None) -> float | None:
    """The credit when there is one; None for a missing row or a failed answer."""
    return row.grade.credit if row and known(row.grade.credit) else None


def _weight(rows: Mapping[str, Row], about: str) -> float:
    credits = [_credit(row) or 0.0 for row in rows.values()]
    if not credits:
        return 0.0
    lost = 1.0 - (_credit(rows[about]) or 0.0) if about in rows else 0.0
    mean = sum(credits) / len(credits)
    spread = math.sqrt(sum((credit - mean) ** 2 for credit in credits) / len(credits))
    return round(lost + 2 * spread, 9)


def _row(example: Example, rows: Mapping[str, Row], names: tuple[str, ...], about: str) -> WorstRow:
    question = example.question
    tags, keys = _tags(rows, names, about)
    strip = [(name, _credit(rows.get(name))) for name in names]
    return WorstRow(
        id=visible(question.id),
        question=visible(question.text, _QUESTION),
        choices=tuple(visible(choice, 200) for choice in question.choices),
        targets=tuple(visible(target, _ANSWER) for target in example.targets),
        tags=tags,
        keys=keys,
        strip=credit_strip(strip),
        said=tuple(_said(name, rows[name]) for name in names if name in rows),
        passages=_passages(rows),
    )


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
