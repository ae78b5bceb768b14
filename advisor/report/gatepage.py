"""A judgement of the gate as one HTML file, the rows that got worse first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from advisor.gate.judge import Pair, pairs
from advisor.gate.run import Gated
from advisor.report.drawing import Figure
from advisor.report.figures import MISSING, decimal, percent, plural, points, points_measure, words
from advisor.report.intervals import suites
from advisor.report.model import visible
from advisor.report.page import island, render
from advisor.report.rows import PAGE, WorstRow, row_view, rows_data
from advisor.report.wording import Tile
from advisor.trial import SuiteScores
from advisor.verdict import Forgetting, Measure

KINDS = (("worse", "rows that got worse"), ("better", "rows that got better"),
         ("same", "rows that stayed as they were"), ("unread", "an answer could not be read"))


@dataclass(frozen=True, slots=True)
class SuiteLine:
    """One retention suite: what the base, the champion and the candidate score on it."""

    name: str
    base: str
    champion: str
    candidate: str
    lost: str


def gate_page(gated: Gated, headline: str, *, at: str) -> str:
    """The page; the same judgement at the same time gives the same bytes."""
    names = _names(gated)
    rows = tuple(_row(pair, names) for pair in pairs(gated.case))
    return render(
        "gate.html.j2",
        gated=gated, judgement=gated.judgement, headline=headline, at=at, names=names,
        rows=rows[:PAGE], count=len(rows), kinds=KINDS,
        rows_data=island(rows_data(rows, names)), tiles=_tiles(gated), suites=_suites(gated),
        figures=_figures(gated), sides=_sides(gated, names),
    )


def _names(gated: Gated) -> tuple[str, str]:
    """Champion, then candidate, told apart even when both bear one name."""
    return (f"champion: {gated.champion.side.name}", f"candidate: {gated.candidate.side.name}")


def _row(pair: Pair, names: tuple[str, str]) -> WorstRow:
    both = dict(zip(names, (pair.champion, pair.candidate), strict=True))
    seen = row_view(pair.champion.example, both, names, "")
    kind = _change(pair)
    tag = f"{points(pair.change)} points" if pair.change else "no change"
    return replace(seen, tags=(tag, *seen.tags), keys=(kind, *seen.keys))


def _tiles(gated: Gated) -> tuple[Tile, ...]:
    changes = [_change(pair) for pair in pairs(gated.case)]
    worse, better = changes.count("worse"), changes.count("better")
    gap, found = gated.judgement.gap, gated.judgement.forgetting
    policy = gated.policy
    made = []
    if gap is not None:
        made.append(Tile(
            f"Candidate minus champion: {words(gated.task.primary)}",
            f"{points(gap.interval.value)} points",
            (f"{1 - policy.alpha:.0%} interval {points_measure(gap.interval).partition(' ')[2]}",
             f"a loss of {points(policy.quality_margin, signed=False)} is allowed"),
        ))
    made.append(Tile("Rows that got worse", f"{worse:,}",
                     (f"{better:,} got better", f"of {plural(len(changes), 'test row')}")))
    if found is not None:
        made.append(Tile(
            "Retention lost against the base", f"{points(found.pooled.drop.value)} points",
            (f"upper bound {points(found.pooled.upper, signed=False)}",
             f"a loss of {points(policy.retention_margin, signed=False)} is allowed"),
        ))
    elif not gated.case.changed:
        made.append(Tile("Retention lost", "nothing", ("the weights are the untouched base",)))
    return tuple(made)


def _change(pair: Pair) -> str:
    return "worse" if pair.change < 0 else "better" if pair.change > 0 else "same"


def _suites(gated: Gated) -> tuple[SuiteLine, ...]:
    found = gated.judgement.forgetting
    if not isinstance(found, Forgetting):
        return ()
    theirs = gated.champion.trial.retention or {}
    untouched = not gated.champion.side.tuned
    made = []
    for one in (found.pooled, *found.suites):
        champion = one.base if untouched else None
        made.append(SuiteLine(
            words(one.suite), _value(one.base, one.metric),
            _value(champion, one.metric) if champion else _mean(theirs.get(one.suite), one.metric),
            _value(one.tuned, one.metric),
            points_measure(one.drop) if one.metric == "acc" else decimal(one.drop.value, 3),
        ))
    return tuple(made)


def _figures(gated: Gated) -> tuple[Figure, ...]:
    found, name = gated.judgement.forgetting, gated.candidate.side.name
    if not isinstance(found, Forgetting):
        return ()
    return (Figure(f"Lost by {name}", "", suites(found, name=name)),)


def _value(measure: Measure, metric: str) -> str:
    return percent(measure.value) if metric == "acc" else decimal(measure.value, 3)


def _mean(scores: SuiteScores | None, metric: str) -> str:
    if scores is None or not scores.values:
        return MISSING
    mean = sum(scores.values.values()) / len(scores.values)
    return percent(mean) if metric == "acc" else decimal(mean, 3)


def _sides(gated: Gated, names: tuple[str, str]) -> tuple[tuple[str, Mapping[str, str]], ...]:
    made = []
    for name, scored in zip(names, (gated.champion, gated.candidate), strict=True):
        side = scored.side
        made.append((name, {
            "kind": side.kind, "path": visible(str(side.place)), "base": side.base.model,
            **{axis: visible(choice) for axis, choice in side.recipe.axes.items()},
            "files, sha256": side.sha, "model, sha256": scored.model, "software": scored.code,
        }))
    return tuple(made)
