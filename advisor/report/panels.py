"""Small multiples: what each tuned contender forgot, and how its loss fell."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from advisor.core import PrepareCost
from advisor.report.figures import decimal, known, points, words
from advisor.report.model import Report, ranked
from advisor.report.svg import Scale, clipped, el, group, padded, picture
from advisor.report.wording import GATE_WORDS, UNIT_WORDS
from advisor.verdict import Forgetting, SuiteChange

_WIDTH = 384.0
_ROW = 24.0
_LEFT, _RIGHT = 128.0, 286.0


@dataclass(frozen=True, slots=True)
class Panel:
    """One small picture and its heading."""

    heading: str
    note: str
    picture: Markup


def _changes(found: Forgetting) -> list[SuiteChange]:
    return [one for one in found.suites if one.metric == "acc"]


def forgetting_panels(report: Report) -> tuple[Panel, ...]:
    """A panel a tuned contender, all on one scale: the pooled gate, then each suite."""
    tuned = [
        (one.contender, one.forgetting)
        for one in ranked(report.verdict)
        if isinstance(one.forgetting, Forgetting)
    ]
    everything = [row for _, found in tuned for row in (found.pooled, *_changes(found))]
    domain = _domain(everything)
    made = []
    for name, found in tuned:
        rows = [found.pooled, *_changes(found)]
        label = f"{name}: accuracy lost on {len(rows) - 1} suites and pooled, in points"
        pooled = found.pooled
        note = f"{pooled.lost} items lost, {pooled.gained} gained of {pooled.drop.n:,}"
        made.append(Panel(name, note, _dots(rows, domain, label=label, unit="points lost")))
    return tuple(made)


def bits_panels(report: Report) -> tuple[Panel, ...]:
    """A panel a suite of bits or nats with one line a tuned contender; its unit is its own."""
    by_suite: dict[str, list[tuple[str, SuiteChange]]] = {}
    for one in ranked(report.verdict):
        if isinstance(one.forgetting, Forgetting):
            for change in one.forgetting.suites:
                if change.metric != "acc":
                    by_suite.setdefault(change.suite, []).append((one.contender, change))
    made = []
    for suite, found in by_suite.items():
        rows = [change for _, change in found]
        unit = UNIT_WORDS[rows[0].metric]
        label = f"{suite}: {unit} lost by each tuned contender"
        drawn = _dots(
            rows, _domain(rows), label=label, unit=f"{unit} lost", names=[n for n, _ in found]
        )
        base = decimal(rows[0].base.value, 3)
        made.append(Panel(words(suite), f"untouched base: {base} {unit}", drawn))
    return tuple(made)


def _domain(rows: list[SuiteChange]) -> tuple[float, float]:
    values = [0.0]
    for row in rows:
        values += [row.drop.value, row.drop.low, row.drop.high, row.upper, row.margin or 0.0]
    return padded([value for value in values if known(value)], 0.05)


def _dots(
    rows: list[SuiteChange],
    domain: tuple[float, float],
    *,
    label: str,
    unit: str,
    names: list[str] | None = None,
) -> Markup:
    scale = Scale(*domain, _LEFT, _RIGHT)
    bottom = 20 + _ROW * len(rows)
    shares = unit.startswith("points")
    parts = [_ground(scale, bottom, unit=unit)]
    margins = {row.margin for row in rows if row.margin is not None}
    for margin in sorted(margins):
        x = scale(margin)
        parts.append(el("line", x1=x, x2=x, y1=16, y2=bottom, class_="margin"))
        parts.append(el("text", "margin", x=x, y=10, class_="tick middle"))
    for index, row in enumerate(rows):
        name = names[index] if names else words(row.suite)
        pooled = names is None and index == 0
        parts.append(_dot(row, scale, 20 + _ROW * (index + 0.5), name=name, pooled=pooled))
        if pooled:
            y = 20 + _ROW
            parts.append(el("line", x1=0, x2=_WIDTH, y1=y, y2=y, class_="grid"))
    for tick in scale.ticks(4):
        text = points(tick, signed=False) if shares else decimal(tick, 3)
        text = text.removesuffix(".0") if shares else text
        parts.append(el("text", text, x=scale(tick), y=bottom + 15, class_="tick middle"))
    return picture(parts, width=_WIDTH, height=bottom + 36, label=label)


def _ground(scale: Scale, bottom: float, *, unit: str) -> Markup:
    parts = [
        el("line", x1=scale(tick), x2=scale(tick), y1=16, y2=bottom, class_="grid")
        for tick in scale.ticks(4)
    ]
    zero = scale(0.0)
    parts.append(el("line", x1=zero, x2=zero, y1=16, y2=bottom, class_="zero"))
    middle = (_LEFT + _RIGHT) / 2
    parts.append(el("text", unit, x=middle, y=bottom + 31, class_="name middle"))
    return group(parts)


def _dot(row: SuiteChange, scale: Scale, y: float, *, name: str, pooled: bool) -> Markup:
    weight = " pooled" if pooled else ""
    state = GATE_WORDS[row.state]
    shares = row.metric == "acc"
    drop = points(row.drop.value) if shares else decimal(row.drop.value, 3, signed=True)
    parts = [
        el("title", f"{name}: {drop}, {state}, n = {row.drop.n}"),
        el("text", clipped(name, 18), x=_LEFT - 10, y=y + 4, class_=f"label end{weight}"),
    ]
    if known(row.drop.low) and known(row.drop.high):
        ends = {"x1": scale(row.drop.low), "x2": scale(row.drop.high)}
        parts.append(el("line", y1=y, y2=y, class_="whisker", **ends))
    if known(row.upper) and row.margin is not None:
        x = scale(row.upper)
        parts.append(el("line", x1=x, x2=x, y1=y - 5, y2=y + 5, class_="bound"))
    if known(row.drop.value):
        parts.append(
            el("circle", cx=scale(row.drop.value), cy=y, r=5.0 if pooled else 3.8, class_="mark")
        )
    parts.append(el("text", state, x=_RIGHT + 12, y=y + 4, class_=f"state {row.state}{weight}"))
    return group(parts, class_="dot")


def loss_panels(report: Report) -> tuple[Panel, ...]:
    """A panel a tuned trial: dev loss at each check, train loss behind it, one scale."""
    trials = [trial for trial in report.trials if any(map(known, trial.prepare.dev_loss))]
    seeds = dict.fromkeys({trial.contender for trial in trials}, 0)
    for trial in trials:
        seeds[trial.contender] += 1
    shown = [
        value
        for trial in trials
        for value in (*trial.prepare.dev_loss, *trial.prepare.train_loss)
        if known(value)
    ]
    made = []
    for trial in sorted(trials, key=lambda one: (one.contender, one.seed)):
        heading = trial.contender
        if seeds[trial.contender] > 1:
            heading += f", seed {trial.seed}"
        note = f"{trial.prepare.tokens_trained:,} tokens trained"
        made.append(Panel(heading, note, _loss(trial.prepare, padded(shown), heading)))
    return tuple(made)


def _loss(prepare: PrepareCost, domain: tuple[float, float], heading: str) -> Markup:
    width, height = 280.0, 150.0
    scale = Scale(max(domain[0], 0.0), domain[1], height - 34, 12.0)
    parts = []
    for tick in scale.ticks(4):
        y = scale(tick)
        parts.append(el("line", x1=36, x2=width - 48, y1=y, y2=y, class_="grid"))
        parts.append(
            el(
                "text",
                decimal(tick, 1 if domain[1] - domain[0] > 0.6 else 2),
                x=30,
                y=y + 4,
                class_="tick end",
            )
        )
    lines = [("train", prepare.train_loss), ("dev", prepare.dev_loss)]
    parts += [_line(losses, scale, width, kind) for kind, losses in lines]
    parts += _ends([(kind, losses[-1]) for kind, losses in lines if losses], scale, width)
    best = min((value, at) for at, value in enumerate(prepare.dev_loss) if known(value))
    x, y = _step(best[1], len(prepare.dev_loss), width), scale(best[0])
    parts.append(el("circle", cx=x, cy=y, r=4, class_="mark"))
    parts.append(el("text", decimal(best[0], 2), x=x, y=y - 9, class_="label middle"))
    caption = f"{len(prepare.dev_loss)} checks, start to end"
    parts.append(el("text", caption, x=(width - 8) / 2, y=height - 8, class_="name middle"))
    label = f"{heading}: dev loss by check, lowest {decimal(best[0], 3)} at check {best[1] + 1}"
    return picture(parts, width=width, height=height, label=label)


def _step(index: int, count: int, width: float) -> float:
    """Check `index` of `count` stands at the end of its share of the training."""
    return 36 + (index + 1) / count * (width - 84)


def _line(losses: tuple[float, ...], scale: Scale, width: float, kind: str) -> Markup:
    spots = [
        (_step(at, len(losses), width), scale(value))
        for at, value in enumerate(losses)
        if known(value)
    ]
    if not spots:
        return Markup("")
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    return el("path", d=path, class_=f"loss {kind}")


def _ends(ends: list[tuple[str, float]], scale: Scale, width: float) -> list[Markup]:
    """The lines' names at their right ends, kept a line of text apart, higher loss above."""
    drawn, last = [], -math.inf
    for kind, value in sorted(ends, key=lambda end: -end[1]):
        if known(value):
            last = max(scale(value) + 2, last + 12)
            drawn.append(el("text", kind, x=width - 43, y=last, class_=f"tick {kind}"))
    return drawn
