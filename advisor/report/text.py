"""The report as Markdown, short enough for a comment on a pull request (65,536 characters)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from advisor.report.audit import audit
from advisor.report.detectors import detectors
from advisor.report.figures import MISSING, bounds, decimal, points, points_measure, words
from advisor.report.lookups import HEADS, lookups
from advisor.report.model import LONG, Report, level, ranked, visible
from advisor.report.outlook import Sheet, sheets
from advisor.report.tables import Cell, standings_table
from advisor.report.trust import trust
from advisor.report.wording import (
    GATE_WORDS,
    UNIT_WORDS,
    certainty,
    changes,
    contended,
    headline,
    limited_banner,
    next_step,
    unchanged_sentence,
)
from advisor.verdict import Forgetting, SuiteChange

# Columns of words, set left.
_WORDS = frozenset({"Contender", "Suite", "Gate", "Limits", "Mend", "Reading", "Leakage"})
_SIGNS = re.compile(r"([\\`*_\[\]<>|#~&])")


def markdown(report: Report) -> str:
    """The verdict, the standings, what was forgotten, and how it was measured."""
    parts = [
        f"## {safe(report.task.title)}",
        f"**{safe(headline(report))}**",
        *_opening(report),
        "### Standings",
        _standings(report),
        *_retrieved(report),
        *_outlook(report),
        "### Forgetting",
        *_forgetting(report),
        *_sheets(trust(report)),
        "### How it was measured",
        _measured(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def safe(text: str) -> str:
    """Text that stays inside its line and its table cell and starts no markup."""
    return _SIGNS.sub(r"\\\1", " ".join(visible(text).split()))


def _opening(report: Report) -> list[str]:
    verdict, banner = report.verdict, limited_banner(report)
    return [
        f"> **{banner}**" if banner else "",
        safe(certainty(report)),
        "\n".join(f"- {safe(reason)}" for reason in verdict.because),
        f"Would change it: {safe(told)}" if (told := changes(report)) else "",
        f"Next: {safe(step)}" if (step := next_step(report)) else "",
        safe(contended(report)),
    ]


def _table(heads: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    names = list(heads)
    rule = ["---" if name in _WORDS else "---:" for name in names]
    return "\n".join(f"| {' | '.join(line)} |" for line in [names, rule, *lines])


def _standings(report: Report) -> str:
    table = standings_table(report)
    heads = ["Contender", *(f"{safe(name)} ({safe(unit)})" for name, unit in table.heads)]
    lines = []
    for line in table.lines:
        name = f"**{safe(line.name)}** (recommended)" if line.won else safe(line.name)
        lines.append([name, *map(_cell, line.cells), safe(line.limits)])
    return _table([*heads, "Limits"], lines)


def _cell(cell: Cell) -> str:
    joint = " " if cell.note.startswith("[") or cell.text == "unchanged" else ", "
    return joint.join(part for part in (safe(cell.text), safe(cell.note)) if part)


def _outlook(report: Report) -> list[str]:
    return _sheets(sheets(report))


def _sheets(found: Iterable[Sheet]) -> list[str]:
    parts = []
    for sheet in found:
        heads = [safe(f"{name} ({unit})" if unit else name) for name, unit in sheet.heads]
        lines = [[safe(cell) for cell in line] for line in sheet.lines]
        parts += [f"### {safe(sheet.title)}", safe(sheet.lede), _table(heads, lines)]
    return parts


def _retrieved(report: Report) -> list[str]:
    lines = lookups(report)
    if not lines:
        return []
    heads = ["Contender", *(f"{safe(name)} ({safe(unit)})" for name, unit in HEADS), "Mend"]
    rows = [[safe(one.name), *map(_cell, one.cells), safe(one.advice)] for one in lines]
    return ["### What was found, and what was made of it", _table(heads, rows)]


def _forgetting(report: Report) -> list[str]:
    lines = []
    for one in ranked(report.verdict):
        if isinstance(one.forgetting, Forgetting):
            for change in (one.forgetting.pooled, *one.forgetting.suites):
                lines.append([safe(one.contender), *_change(change)])
    heads = ["Contender", "Suite", f"Lost ({level(report.run)})", "Upper bound", "Gate", "n"]
    return [_table(heads, lines) if lines else "", safe(unchanged_sentence(report)),
            *_sheets(detectors(report))]


def _change(change: SuiteChange) -> list[str]:
    if change.metric != "acc":
        size = f"{decimal(change.drop.value, 3)} {bounds(change.drop, scale=1, places=3)}"
        size, upper = f"{size} {UNIT_WORDS[change.metric]}", decimal(change.upper, 3)
    else:
        size, upper = f"{points_measure(change.drop)} points", points(change.upper, signed=False)
    state = GATE_WORDS[change.state]
    return [safe(words(change.suite)), safe(size), upper, state, f"{change.drop.n:,}"]


def _measured(report: Report) -> str:
    checks = [f"- {safe(check.title)}: {safe(check.finding)}" for check in audit(report)]
    long = [key for key, value in report.run.items() if _size(value) > LONG]
    short = {key: value for key, value in report.run.items() if key not in long}
    more = [f"- in run.yaml: {safe(', '.join(long))}"] if long else []
    return "\n".join([*checks, *_run_lines(short, ""), *more])


def _size(value: object) -> int:
    return sum(map(_size, value.values())) if isinstance(value, Mapping) else 1


def _run_lines(run: Mapping[str, object], prefix: str) -> list[str]:
    lines: list[str] = []
    for key, value in run.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            lines += _run_lines(value, f"{name}.")
        else:
            shown = MISSING if value is None or value != value else str(value)
            lines.append(f"- {safe(name)}: {safe(shown)}")
    return lines
