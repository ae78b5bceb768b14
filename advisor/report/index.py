"""A workspace's runs on one page, any two of one task compared on the same items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from advisor.errors import AdvisorError
from advisor.report.figures import milliseconds, money, percent, percent_measure, points_measure
from advisor.report.model import Report, first_trials, lead, visible
from advisor.report.page import island, render
from advisor.report.wording import forgotten
from advisor.stats import compare
from advisor.verdict import Forgetting, Standing

OUTCOMES = {"recommend": "recommended", "cannot_tell": "cannot tell", "none_feasible": "none fits"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One run: its folder below reports/, and its report, or why it cannot be read."""

    folder: str
    report: Report | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One run as the table shows it; cells are text and the value to sort by."""

    folder: str
    task: str
    outcome: str
    about: str
    cells: tuple[tuple[str, float | str | None], ...]
    note: str


def index_page(runs: Sequence[Listed]) -> str:
    """The page; the same runs give the same bytes."""
    read = [one for one in runs if one.report is not None]
    lines = [_line(one.folder, one.report) for one in read if one.report is not None]
    compared = _pairs(read)
    return render(
        "index.html.j2", lines=lines, faults=[one for one in runs if one.report is None],
        data=island({"pairs": compared}), pairs=len(compared), outcomes=OUTCOMES,
    )


def _line(folder: str, report: Report) -> Line:
    chosen = lead(report.verdict)
    assert chosen is not None, "a run that was read has a contender"
    run = report.run
    model = run["model"]["name"] if isinstance(run.get("model"), Mapping) else ""  # type: ignore[index]
    return Line(
        folder=folder, task=visible(report.task.name), outcome=report.verdict.outcome,
        about=visible(chosen.contender), cells=(*_figures(chosen), (str(run.get("seed", "")), None),
                                                (visible(str(model)), str(model))),
        note="" if report.verdict.final else "not final",
    )


def _figures(one: Standing) -> tuple[tuple[str, float | str | None], ...]:
    lost, state = forgotten(one.forgetting)
    drop = one.forgetting.pooled.drop.value if isinstance(one.forgetting, Forgetting) else 0.0
    return (
        (percent_measure(one.quality), one.quality.value),
        (f"{lost}, {state}", drop),
        (money(one.cost.usd_per_1k_all_in), one.cost.usd_per_1k_all_in),
        (milliseconds(one.cost.p95_ms), one.cost.p95_ms),
        (f"{one.quality.n:,}", float(one.quality.n)),
    )


def _pairs(runs: Sequence[Listed]) -> list[dict[str, Any]]:
    """Every two runs whose tasks share test rows: contender by contender, newer folder first."""
    made = []
    for one, other in combinations(runs, 2):
        assert one.report is not None
        assert other.report is not None
        if one.report.task.name != other.report.task.name:
            continue
        lines = _compared(one.report, other.report)
        if lines:
            made.append({"a": one.folder, "b": other.folder, "task": one.report.task.name,
                         "lines": lines})
    return made


def _compared(one: Report, other: Report) -> list[dict[str, Any]]:
    alpha = one.run["policy"]["alpha"]  # type: ignore[index]
    mine, theirs = _credits(one), _credits(other)
    groups = {example.question.id: example.group for example in one.task.test}
    lines = []
    for name in [*mine, *(extra for extra in theirs if extra not in mine)]:
        first, second = mine.get(name), theirs.get(name)
        line: dict[str, Any] = {"name": name, "a": _mean(first), "b": _mean(second)}
        if first and second and (shared := first.keys() & second.keys()):
            gap = compare({key: second[key] for key in shared},
                          {key: first[key] for key in shared}, groups=groups, alpha=alpha)
            line |= {"difference": points_measure(gap.interval), "n": len(shared),
                     "worse": sum(second[key] < first[key] for key in shared),
                     "better": sum(second[key] > first[key] for key in shared),
                     "side": _side(gap.interval.low, gap.interval.high)}
        lines.append(line)
    return lines


def _side(low: float, high: float) -> str:
    return "worse" if high < 0 else "better" if low > 0 else "open"


def _credits(report: Report) -> dict[str, dict[str, float]]:
    return {
        name: {row.example.question.id: row.grade.credit for row in trial.rows
               if row.grade.credit is not None}
        for name, trial in first_trials(report).items()
    }


def _mean(credits: Mapping[str, float] | None) -> str:
    if not credits:
        return percent(None)
    return percent(sum(credits.values()) / len(credits))


def fault_of(error: AdvisorError) -> str:
    """Why a run cannot be listed, in one line."""
    return visible(" ".join(error.problem.split()), 300)
