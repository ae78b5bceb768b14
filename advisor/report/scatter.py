"""Quality against cost: the trade-off in one picture."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from advisor.report import labels
from advisor.report.figures import known, money, percent, percent_measure, words
from advisor.report.labels import Box
from advisor.report.model import FAMILY_WORDS, Report, family, ranked
from advisor.report.svg import Scale, clipped, el, group, padded, picture
from advisor.verdict import Standing

_RADIUS = 5.0


@dataclass(frozen=True, slots=True)
class _Frame:
    """The plotting area in px, and the two scales over it; `free` is where $0 stands."""

    area: Box
    cost: Scale
    quality: Scale
    free: float | None

    def x(self, usd: float) -> float:
        return self.free if usd <= 0 and self.free is not None else self.cost(usd)


def drawable(report: Report) -> tuple[list[Standing], list[str]]:
    """The contenders with a measured quality and cost, and the names of the others."""
    found, left_out = [], []
    for one in ranked(report.verdict):
        if known(one.quality.value) and known(one.cost.usd_per_1k):
            found.append(one)
        else:
            left_out.append(one.contender)
    return found, left_out


def front(standings: list[Standing]) -> list[Standing]:
    """Those within all limits that no other such contender beats on both, cheapest first."""
    fit = [one for one in standings if not one.barred_by]
    order = sorted(fit, key=lambda one: (one.cost.usd_per_1k, -one.quality.value, one.contender))
    kept: list[Standing] = []
    for one in order:
        if not kept or one.quality.value > kept[-1].quality.value:
            kept.append(one)
    return kept


def scatter(report: Report, *, width: float, height: float) -> Markup:
    """The scatter with intervals, the front and a name at each point."""
    shown, _ = drawable(report)
    if not shown:
        return Markup("")
    frame = _frame(shown, width, height)
    primary = words(report.task.primary)
    parts = [
        _axes(frame, primary),
        _chance(frame, report.task.chance),
        _front_line(frame, front(shown)),
        *(_point(frame, one, one.contender == report.verdict.winner) for one in shown),
        *_names(frame, shown, report.verdict.winner),
    ]
    label = f"{primary} against serving cost in US dollars per 1,000 calls, {len(shown)} contenders"
    return picture(parts, width=width, height=height, label=label)


def _frame(shown: list[Standing], width: float, height: float) -> _Frame:
    area = Box(46, 14, width - 12, height - 44)
    paid = [one.cost.usd_per_1k for one in shown if one.cost.usd_per_1k > 0] or [1.0]
    free = area.left + 24 if len(paid) < len(shown) or paid == [1.0] else None
    low, high = min(paid) / 1.35, max(paid) * 1.35
    start = area.left if free is None else free + 30
    values = [
        value
        for one in shown
        for value in (one.quality.value, one.quality.low, one.quality.high)
        if known(value)
    ]
    bottom, top = padded(values, 0.07)
    quality = Scale(max(bottom, -0.02), min(top, 1.02), area.bottom, area.top)
    return _Frame(area, Scale(low, high, start, area.right, log=True), quality, free)


def _axes(frame: _Frame, primary: str) -> Markup:
    area, parts = frame.area, []
    for value in frame.quality.ticks(6):
        y = frame.quality(value)
        parts.append(el("line", x1=area.left, x2=area.right, y1=y, y2=y, class_="grid"))
        parts.append(el("text", percent(value, 0), x=area.left - 7, y=y + 4, class_="tick end"))
    room = max(int((area.right - area.left) / 90), 2)
    for value in frame.cost.ticks(room):
        x = frame.cost(value)
        parts.append(el("line", x1=x, x2=x, y1=area.bottom, y2=area.bottom + 4, class_="axis"))
        parts.append(el("text", money(value), x=x, y=area.bottom + 17, class_="tick middle"))
    if frame.free is not None:
        x = frame.free
        parts.append(el("text", "$0", x=x, y=area.bottom + 17, class_="tick middle"))
        gap = x + 20
        parts.append(el("line", x1=gap, x2=gap, y1=area.top, y2=area.bottom, class_="break"))
    parts.append(
        el("line", x1=area.left, x2=area.right, y1=area.bottom, y2=area.bottom, class_="axis")
    )
    caption = "US dollars per 1,000 calls (log scale)"
    parts.append(el("text", caption, x=area.right, y=area.bottom + 36, class_="name end"))
    parts.append(el("text", f"{primary}, %", x=area.left + 6, y=area.top - 2, class_="name"))
    return group(parts)


def _chance(frame: _Frame, chance: float) -> Markup:
    if not frame.quality.low < chance < frame.quality.high or chance <= 0:
        return Markup("")
    y, area = frame.quality(chance), frame.area
    return group(
        [
            el("line", x1=area.left, x2=area.right, y1=y, y2=y, class_="chance"),
            el("text", "guessing", x=area.right, y=y - 4, class_="tick end"),
        ]
    )


def _front_line(frame: _Frame, members: list[Standing]) -> Markup:
    if not members:
        return Markup("")
    first = members[0]
    path = f"M{frame.x(first.cost.usd_per_1k):.1f},{frame.quality(first.quality.value):.1f}"
    for one in members[1:]:
        path += f"H{frame.x(one.cost.usd_per_1k):.1f}V{frame.quality(one.quality.value):.1f}"
    return el("path", d=f"{path}H{frame.area.right:.1f}", class_="front")


def _front_boxes(frame: _Frame, members: list[Standing]) -> list[Box]:
    """The front as thin boxes, for labels to keep off."""
    spots = [(frame.x(one.cost.usd_per_1k), frame.quality(one.quality.value)) for one in members]
    made = []
    for at, (x, y) in enumerate(spots):
        ahead, above = spots[at + 1] if at + 1 < len(spots) else (frame.area.right, y)
        made += [Box(x, y - 1.5, ahead, y + 1.5), Box(ahead - 1.5, above, ahead + 1.5, y)]
    return made


def _point(frame: _Frame, one: Standing, won: bool) -> Markup:
    x, y = frame.x(one.cost.usd_per_1k), frame.quality(one.quality.value)
    kind = family(one.axes)
    tip = (
        f"{one.contender}: {percent_measure(one.quality)}, {money(one.cost.usd_per_1k)} "
        f"per 1,000 calls, {FAMILY_WORDS[kind]}"
    )
    parts = [el("title", tip + (", breaks a limit" if one.barred_by else ""))]
    if known(one.quality.low) and known(one.quality.high):
        low, high = frame.quality(one.quality.low), frame.quality(one.quality.high)
        parts.append(el("line", x1=x, x2=x, y1=low, y2=high, class_="whisker"))
    if won:
        parts.append(el("circle", cx=x, cy=y, r=_RADIUS + 5, class_="halo"))
    parts.append(marker(x, y, kind))
    return group(parts, class_=f"point {kind}{' barred' if one.barred_by else ''}")


def marker(x: float, y: float, kind: str, radius: float = _RADIUS) -> Markup:
    """The shape of a family, so that it does not hang on colour alone."""
    reach = radius * 1.2
    if kind == "retrieval":
        side = radius * 1.8
        return el("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, class_="mark")
    corners = {
        "tuned": f"{x:.1f},{y - reach:.1f} {x + reach:.1f},{y + radius:.1f} "
        f"{x - reach:.1f},{y + radius:.1f}",
        "both": f"{x:.1f},{y - reach - 1:.1f} {x + reach + 1:.1f},{y:.1f} "
        f"{x:.1f},{y + reach + 1:.1f} {x - reach - 1:.1f},{y:.1f}",
    }
    if kind in corners:
        return el("polygon", points=corners[kind], class_="mark")
    return el("circle", cx=x, cy=y, r=radius if kind == "prompt" else radius - 1.5, class_="mark")


def _names(frame: _Frame, shown: list[Standing], winner: str | None) -> list[Markup]:
    order = sorted(shown, key=lambda one: one.contender != winner)
    anchors = [
        (frame.x(one.cost.usd_per_1k), frame.quality(one.quality.value), clipped(one.contender, 22))
        for one in order
    ]
    solid = [Box(x - 7, y - 7, x + 7, y + 7) for x, y, _ in anchors]
    if winner in {one.contender for one in order}:
        x, y, _ = anchors[0]
        solid[0] = Box(x - 13, y - 13, x + 13, y + 13)
    solid += _front_boxes(frame, front(shown))
    bars = [
        Box(x - 1.5, frame.quality(one.quality.high), x + 1.5, frame.quality(one.quality.low))
        for one, (x, _, _) in zip(order, anchors, strict=True)
        if known(one.quality.low) and known(one.quality.high)
    ]
    drawn = []
    placed = labels.place(anchors, obstacles=solid + bars, frame=frame.area)
    for one, (x, y, name), spot in zip(order, anchors, placed, strict=True):
        box = spot.box
        middle = (box.top + box.bottom) / 2
        side = "start" if box.left > x else "end" if box.right < x else "middle"
        at = {"start": box.left, "end": box.right, "middle": (box.left + box.right) / 2}[side]
        if spot.far:
            drawn.append(el("line", x1=x, y1=y, x2=at, y2=middle, class_="leader"))
        look = f"label {side}{' won' if one.contender == winner else ''}"
        drawn.append(el("text", name, x=at, y=middle + 4, class_=look))
    return drawn
