"""Quality against cost: the trade-off in one picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

from advisor.report import labels
from advisor.report.drawing import (
    INKS,
    NARROW,
    PAPER,
    PERCENT,
    SHAPES,
    SIZES,
    SOFT,
    WIDE,
    Figure,
    Frame,
    Spec,
    amount,
    clipped,
    decades,
    domain,
    each,
    given,
    layer,
    picture,
    upright,
)
from advisor.report.figures import known, money, percent_measure, words
from advisor.report.labels import Box
from advisor.report.model import FAMILY_WORDS, Report, family, ranked, visible
from advisor.verdict import Standing

_HALO = 13.0  # px from the centre of a ringed point to its edge, 7 for any other


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where a cost and a quality stand: the two extents, and `free`, the cost (log scale)
    at which what costs nothing is drawn, below that of every other."""

    frame: Frame
    cost: tuple[float, float]
    quality: tuple[float, float]
    paid: tuple[float, float]
    free: float

    def usd(self, one: Standing) -> float:
        return one.cost.usd_per_1k if one.cost.usd_per_1k > 0 else self.free

    def spot(self, one: Standing) -> tuple[float, float]:
        """Its point in px of the plotting area, `y` downwards."""
        low, high = map(math.log, self.cost)
        across = (math.log(self.usd(one)) - low) / (high - low) * self.frame.width
        return across, self.height(one.quality.value)

    def values(self, x: float, y: float) -> tuple[float, float]:
        """The cost and the quality that stand at a point in px."""
        low, high = map(math.log, self.cost)
        bottom, top = self.quality
        return (math.exp(low + x / self.frame.width * (high - low)),
                top - y / self.frame.height * (top - bottom))

    def height(self, value: float) -> float:
        low, high = self.quality
        return (high - value) / (high - low) * self.frame.height


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


def scatter(report: Report) -> Figure | None:
    """Every measured contender with its interval, the front, and a name at each point."""
    shown, _ = drawable(report)
    if not shown:
        return None
    primary = words(report.task.primary)
    label = f"{primary} against serving cost in US dollars per 1,000 calls, {len(shown)} contenders"
    planes = [_plane(shown, Frame(width - 60, height - 64, 46, 14, 24, 40))
              for width, height in ((WIDE, 440), (NARROW, 400))]
    wide, narrow = (picture(_layers(report, shown, plane), plane.frame, label=label)
                    for plane in planes)
    return Figure("", "", wide, narrow)


def _plane(shown: list[Standing], frame: Frame) -> _Plane:
    usd = [one.cost.usd_per_1k for one in shown if one.cost.usd_per_1k > 0] or [1.0]
    low, high = min(usd) / 1.35, max(usd) * 1.35
    step = (high / low) ** (40 / (frame.width - 64))  # 40 px
    free = low / step
    start = free / step**0.6 if any(one.cost.usd_per_1k <= 0 for one in shown) else low
    ends = [end for one in shown for end in (one.quality.value, one.quality.low, one.quality.high)]
    bottom, top = domain(ends, 0.07)
    return _Plane(frame, (start, high), (max(bottom, -0.02), min(top, 1.02)), (low, high), free)


def _layers(report: Report, shown: list[Standing], plane: _Plane) -> list[Spec]:
    winner = report.verdict.winner
    rows = [_row(one, plane, one.contender == winner) for one in shown]
    named = _names(shown, plane, winner)
    x, y, ink = _cost_axis(plane), _quality_axis(report, plane), given("ink")
    steps = [{"usd": plane.usd(one), "value": one.quality.value} for one in front(shown)]
    steps += [{"usd": plane.cost[1], "value": step["value"]} for step in steps[-1:]]
    chance = [{"value": report.task.chance, "word": "guessing"}]
    if not plane.quality[0] < report.task.chance < plane.quality[1] or report.task.chance <= 0:
        chance = []
    return [
        layer(chance, "rule", {"strokeDash": [3, 3]}, y=y),
        layer(chance, "text", {"align": "right", "baseline": "bottom", "dy": -3, "color": SOFT},
              x={"value": plane.frame.width}, y=y, text={"field": "word"}),
        layer(steps, "line", {"interpolate": "step-after", "strokeWidth": 1.5, "opacity": 0.6,
                              "color": "var(--accent)"}, x=x, y=y),
        layer([row for row in rows if known(row["low"])], "rule",
              {"strokeWidth": 2, "opacity": 0.6}, x=x, y=y | {"field": "low"},
              y2={"field": "high"}, color=ink),
        layer([row for row in rows if row["won"]], "point",
              {"filled": False, "size": 380, "strokeWidth": 2, "stroke": "var(--accent)",
               "aria": False}, x=x, y=y),
        layer([row for row in named if row["far"]], "rule", {"color": "var(--faint)",
              "strokeWidth": 0.8}, x=x, y=y, x2={"field": "to_usd"}, y2={"field": "to_value"}),
        layer(rows, "point", {"strokeWidth": 1.4, "size": each("size")}, x=x, y=y,
              fill=given("fill"), stroke=given("edge"), shape=given("shape"),
              description={"field": "said"}),
        layer(named, "text", {"align": each("side"), "baseline": "middle",
                              "fontWeight": each("weight")},
              x=x | {"field": "to_usd"}, y=y | {"field": "to_value"}, text={"field": "name"}),
    ]


def _cost_axis(plane: _Plane) -> Spec:
    low, high = plane.paid
    ticks = decades(low, high, max(int(plane.frame.width / 70), 3))
    free = [plane.free] if plane.cost[0] < plane.free else []
    return amount(
        "usd", scale={"type": "log", "domain": list(plane.cost), "nice": False},
        axis={"title": "US dollars per 1,000 calls (log scale)", "values": free + ticks,
              "labelExpr": f"datum.value < {low!r} ? '$0' : format(datum.value, '$,.2~r')",
              "grid": False, "titleAnchor": "end", "labelBound": False},
    )


def _quality_axis(report: Report, plane: _Plane) -> Spec:
    return amount(
        "value", scale={"domain": list(plane.quality), "nice": False, "zero": False},
        axis=upright(words(report.task.primary), labelExpr=PERCENT, tickCount=6),
    )


def _row(one: Standing, plane: _Plane, won: bool) -> Spec:
    kind, quality = family(one.axes), one.quality
    whole = known(quality.low) and known(quality.high)
    said = (f"{one.contender}: {percent_measure(quality)}, {money(one.cost.usd_per_1k)} "
            f"per 1,000 calls, {FAMILY_WORDS[kind]}")
    said += ", recommended" if won else ", breaks a limit" if one.barred_by else ""
    return {
        "usd": plane.usd(one), "value": quality.value, "won": won, "said": visible(said),
        "low": quality.low if whole else None, "high": quality.high if whole else None,
        "ink": INKS[kind], "shape": SHAPES[kind],
        "size": SIZES[kind], "edge": INKS[kind] if one.barred_by else PAPER,
        "fill": PAPER if one.barred_by else INKS[kind],
    }


def _front_boxes(plane: _Plane, members: list[Standing]) -> list[Box]:
    """The front as thin boxes, for labels to keep off."""
    spots = [plane.spot(one) for one in members]
    made = []
    for at, (x, y) in enumerate(spots):
        ahead, above = spots[at + 1] if at + 1 < len(spots) else (plane.frame.width, y)
        made += [Box(x, y - 1.5, ahead, y + 1.5), Box(ahead - 1.5, above, ahead + 1.5, y)]
    return made


def _names(shown: list[Standing], plane: _Plane, winner: str | None) -> list[Spec]:
    """Where each name stands, in px. Vega would leave out a name that finds no room."""
    order = sorted(shown, key=lambda one: one.contender != winner)
    anchors = [(*plane.spot(one), clipped(one.contender, 22)) for one in order]
    solid = _front_boxes(plane, front(shown))
    for one, (x, y, _) in zip(order, anchors, strict=True):
        reach = _HALO if one.contender == winner else 7.0
        solid.append(Box(x - reach, y - reach, x + reach, y + reach))
        if known(one.quality.low) and known(one.quality.high):
            solid.append(Box(x - 1.5, plane.height(one.quality.high),
                             x + 1.5, plane.height(one.quality.low)))
    area = Box(0, 0, plane.frame.width, plane.frame.height)
    made = []
    placed = labels.place(anchors, obstacles=solid, frame=area)
    for one, (x, _, name), spot in zip(order, anchors, placed, strict=True):
        box = spot.box
        side = "left" if box.left > x else "right" if box.right < x else "center"
        at = {"left": box.left, "right": box.right, "center": (box.left + box.right) / 2}[side]
        usd, value = plane.values(at, (box.top + box.bottom) / 2)
        made.append({"usd": plane.usd(one), "value": one.quality.value, "to_usd": usd,
                     "to_value": value, "name": name, "side": side, "far": spot.far,
                     "weight": "bold" if one.contender == winner else "normal"})
    return made
