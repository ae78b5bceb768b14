"""Lines: loss while training, cost over volume, quality over train rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from advisor.report.drawing import (
    FAINT,
    INKS,
    MONEY,
    NARROW,
    PERCENT,
    PLAIN,
    SOFT,
    WIDE,
    Figure,
    Frame,
    Spec,
    amount,
    apart,
    clipped,
    decades,
    domain,
    given,
    layer,
    picture,
    room,
    upright,
)
from advisor.report.figures import decimal, known, money, percent_measure, plural, whole, words
from advisor.report.model import Report, family, level, visible
from advisor.trial import PrepareCost, Trial
from advisor.verdict import LearningCurve, Measure, Policy, Standing

_LINE = 13.0  # px from one label to the next
_STEPS = 40  # points of a cost line; between them it is drawn straight
_APIECE: dict[str, Spec] = {
    "color": given("ink"), "strokeDash": given("dash"), "detail": {"field": "name"},
}
_LINES = 8  # more cost lines than this cannot be told apart
_LONGEST = 16  # characters of a name beside a line
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])  # tell lines of one family apart


def losses(report: Report) -> tuple[Figure, ...]:
    """A picture a tuned trial: dev loss at each check, train loss behind it, one scale."""
    trials = sorted((trial for trial in report.trials if any(map(known, trial.prepare.dev_loss))),
                    key=lambda one: (one.contender, one.seed))
    names = [trial.contender for trial in trials]
    extent = domain([value for trial in trials
                     for value in (*trial.prepare.dev_loss, *trial.prepare.train_loss)])
    return tuple(_training(trial, (max(extent[0], 0.0), extent[1]),
                           names.count(trial.contender) > 1) for trial in trials)


def _training(trial: Trial, extent: Sequence[float], several: bool) -> Figure:
    name = f"{trial.contender}, seed {trial.seed}" if several else trial.contender
    note = f"{trial.prepare.tokens_trained:,} tokens trained"
    return Figure(name, note, _loss(trial.prepare, extent, name))


def _loss(prepare: PrepareCost, extent: Sequence[float], name: str) -> Markup:
    frame = Frame(NARROW - 96, 116, 40, 56, 24, 40)
    ink = INKS["tuned"]
    lines = {"train": (prepare.train_loss, FAINT), "dev": (prepare.dev_loss, ink)}
    # Check `at` of a line stands at the end of its share of the training.
    rows: list[Spec] = [
        {"name": kind, "ink": hue, "part": (at + 1) / len(values), "loss": value,
         "said": f"{kind} loss {decimal(value, 3)} at check {at + 1} of {len(values)}"}
        for kind, (values, hue) in lines.items()
        for at, value in enumerate(values) if known(value)
    ]
    dev = [row for row in rows if row["name"] == "dev"]
    best = min(dev, key=lambda row: (row["loss"], row["part"]))
    x = amount("part", scale={"domain": [0, 1], "nice": False},
               axis={"title": f"{plural(len(prepare.dev_loss), 'check')}, start to end",
                     "grid": False, "labels": False, "ticks": False})
    y = amount("loss", scale={"domain": list(extent), "nice": False, "zero": False},
               axis=upright("loss", labelExpr=PLAIN, tickCount=4))
    layers = [
        layer(rows, "line", x=x, y=y, color=given("ink"), detail={"field": "name"}),
        layer(dev, "point", {"size": 18, "strokeWidth": 0, "color": ink}, x=x, y=y,
              description={"field": "said"}),
        layer([best], "point", {"aria": False, "color": ink}, x=x, y=y),
        layer([{**best, "text": decimal(best["loss"], 2)}], "text", {"dy": -12},
              x=x, y=y, text={"field": "text"}),
        _ends(list({row["name"]: row for row in rows}.values()), frame, y),
    ]
    label = f"{name}: dev loss by check, lowest {best['said'].removeprefix('dev loss ')}"
    return picture(layers, frame, label=label)


def _ends(ends: Sequence[Spec], frame: Frame, y: Spec) -> Spec:
    """The names of lines beside the last row of each, a line of text apart."""
    log = y["scale"].get("type") == "log"
    size, back = (math.log, math.exp) if log else (float, float)
    low, high = map(size, y["scale"]["domain"])
    a_line = _LINE / frame.height * (high - low)
    heights = apart([size(one[y["field"]]) for one in ends], a_line, low)
    if max(heights) > high:  # then from the top down: names stay in the frame
        heights = [-one for one in apart([-one for one in heights], a_line, -high)]
    rows = [{"name": clipped(one["name"], _LONGEST), "ink": one["ink"], y["field"]: back(height)}
            for one, height in zip(ends, heights, strict=True)]
    return layer(rows, "text", {"align": "left", "baseline": "middle"},
                 x={"value": frame.width + 8}, y=y, text={"field": "name"}, color=given("ink"))


def costs(report: Report) -> Figure | None:
    """What contenders cost a month at each volume, all in, and where that of the advised
    one crosses another's: its line and those of the best of each kind. None without the rules,
    with nobody to compare, or where the advised one costs nothing, which no logarithm
    shows."""
    seen, basis = report.verdict.outlook, report.basis
    if seen is None or basis is None:
        return None
    pairs = [one for one in seen.break_even if seen.about in (one.first, one.later)]
    names = {name for one in pairs for name in (one.first, one.later)}
    shown = sorted((one for one in report.verdict.standings if one.contender in names
                    and known(one.cost.usd_per_1k) and one.cost.usd_per_1k > 0),
                   key=lambda one: (one.contender != seen.about, -one.quality.value,
                                    one.contender))
    able, shown = len(shown), _mixed(shown)[:_LINES]
    if len(shown) < 2 or shown[0].contender != seen.about:
        return None
    crossings = {one.contender: pair.calls_per_month for one in shown for pair in pairs
                 if one.contender != seen.about and one.contender in (pair.first, pair.later)
                 and pair.calls_per_month}
    looks = _looks(report, [one.contender for one in shown])
    some = f"{len(shown)} of {able}" if able > len(shown) else f"{able}"
    label = (f"Cost a month, all in, against calls a month for {some} contenders; "
             f"{plural(len(crossings), 'crossing')} with {seen.about}")
    wide, narrow = (picture(_cost_layers(shown, crossings, basis.policy, frame=frame, looks=looks),
                            frame, label=label) for frame in _frames(list(looks)))
    keys: tuple[str, ...] = ("dot: both cost the same",)
    if able > len(shown):
        keys += ("the best of each kind; the others are in the table",)
    return Figure("", "", wide, narrow, keys)


def _mixed(ranked: Sequence[Standing]) -> list[Standing]:
    """The best of every family, then the second best of each, and so on."""
    seen: dict[str, int] = {}
    places = []
    for one in ranked:
        kind = family(one.axes)
        places.append((seen.get(kind, 0), one))
        seen[kind] = seen.get(kind, 0) + 1
    return [one for _, one in sorted(places, key=lambda pair: pair[0])]


def _frames(names: Sequence[str]) -> tuple[Frame, Frame]:
    """For a wide and a narrow screen, with room for the names at the lines' ends."""
    right = room(names, _LONGEST)
    return (Frame(WIDE - 60 - right, 320, 60, right, 24, 40),
            Frame(NARROW - 60 - right, 300, 60, right, 24, 40))


def _looks(report: Report, names: Sequence[str]) -> dict[str, Spec]:
    """The colour of each contender's family, and dashes where several are of one."""
    kinds = {one.contender: family(one.axes) for one in report.verdict.standings}
    used: dict[str, int] = {}
    made = {}
    for name in names:
        ink = INKS[kinds.get(name, "tuned")]
        made[name] = {"name": name, "ink": ink, "dash": _DASHES[used.get(ink, 0) % len(_DASHES)]}
        used[ink] = used.get(ink, 0) + 1
    return made


def _volumes(now: float, crossings: Sequence[float]) -> tuple[float, float]:
    """From a tenth of the smallest to ten times the largest volume that matters."""
    near = [one for one in crossings if now / 1e4 <= one <= now * 1e4]
    return min(now, *near, now) / 10, max(now, *near, now) * 10


def _monthly(one: Standing, policy: Policy, calls: float) -> float:
    return one.cost.fixed_usd / policy.horizon_months + one.cost.usd_per_1k * calls / 1000


def _cost_layers(shown: Sequence[Standing], crossings: dict[str, float], policy: Policy, *,
                 frame: Frame, looks: dict[str, Spec]) -> list[Spec]:
    low, high = _volumes(policy.calls_per_month, list(crossings.values()))
    volumes = [low * (high / low) ** (at / _STEPS) for at in range(_STEPS + 1)]
    rows = [{**looks[one.contender], "calls": calls, "usd": _monthly(one, policy, calls)}
            for one in shown for calls in volumes]
    about = shown[0]
    points = [{**looks[name], "calls": calls, "usd": _monthly(about, policy, calls),
               "said": visible(f"{about.contender} and {name} cost the same, "
                               f"{money(_monthly(about, policy, calls))} a month, "
                               f"at {whole(calls)} calls a month")}
              for name, calls in crossings.items() if low <= calls <= high]
    usd = [row["usd"] for row in rows]
    span = [min(usd) / 1.2, max(usd) * 1.2]
    x = amount("calls", scale={"type": "log", "domain": [low, high], "nice": False},
               axis={"title": "calls a month (log scale)", "grid": False,
                     "values": decades(low, high, max(int(frame.width / 60), 3)),
                     "labelExpr": "format(datum.value, '.2~s')"})
    y = amount("usd", scale={"type": "log", "domain": span, "nice": False},
               axis=upright("US dollars a month, all in (log scale)", labelExpr=MONEY,
                            values=decades(span[0], span[1], 6)))
    today = [{"calls": policy.calls_per_month, "word": "today"}]
    return [
        layer(today, "rule", {"strokeDash": [3, 3]}, x=x),
        layer(today, "text", {"dx": 5, "align": "left", "baseline": "bottom", "color": SOFT},
              x=x, y={"value": frame.height - 4}, text={"field": "word"}),
        layer(rows, "line", x=x, y=y, **_APIECE),
        layer(points, "point", {"size": 90}, x=x, y=y, fill=given("ink"),
              description={"field": "said"}),
        _ends(rows[_STEPS :: _STEPS + 1], frame, y),
    ]


def learning(report: Report) -> Figure | None:
    """Quality with its interval against train rows, a line a contender; None without any."""
    curves = [one for one in report.verdict.curves if _known_points(one)]
    if not curves:
        return None
    primary = words(report.task.primary)
    label = f"{primary} against train rows for {plural(len(curves), 'contender')}"
    names = [curve.contender for curve in curves]
    looks = _looks(report, names)
    wide, narrow = (picture(_curve_layers(curves, frame, primary, looks), frame, label=label)
                    for frame in _frames(names))
    return Figure("", "", wide, narrow, (f"bar and band: {level(report.run)}",))


def _known_points(curve: LearningCurve) -> list[tuple[int, Measure]]:
    return [(rows, measure) for rows, measure in curve.points if known(measure.value)]


def _curve_layers(curves: Sequence[LearningCurve], frame: Frame, primary: str,
                  looks: dict[str, Spec]) -> list[Spec]:
    rows = [{**looks[curve.contender], "rows": count, "value": measure.value,
             "low": measure.low if known(measure.low) else measure.value,
             "high": measure.high if known(measure.high) else measure.value,
             "said": visible(f"{curve.contender} with {plural(count, 'train row')}: "
                             f"{percent_measure(measure)}")}
            for curve in curves for count, measure in _known_points(curve)]
    low, high = domain([row[end] for row in rows for end in ("low", "high")])
    counts = sorted({row["rows"] for row in rows})
    kind = "log" if counts[0] > 0 and counts[-1] > counts[0] else "linear"
    x = amount("rows", scale={"type": kind, "nice": False, "padding": 8},
               axis={"title": f"train rows ({kind} scale)", "values": counts, "grid": False,
                     "labelExpr": "format(datum.value, ',')"})
    y = amount("value", scale={"domain": [max(low, -0.02), min(high, 1.02)], "nice": False,
                               "zero": False},
               axis=upright(primary, labelExpr=PERCENT, tickCount=6))
    between = {"y": y | {"field": "low"}, "y2": {"field": "high"}}
    return [
        layer(rows, "area", x=x, color=given("ink"), detail={"field": "name"}, **between),
        layer(rows, "line", x=x, y=y, **_APIECE),
        layer(rows, "rule", {"opacity": 0.6}, x=x, color=given("ink"), **between),
        layer(rows, "point", x=x, y=y, fill=given("ink"), description={"field": "said"}),
        _ends(list({row["name"]: row for row in rows}.values()), frame, y),
    ]
