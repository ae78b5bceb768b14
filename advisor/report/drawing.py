"""Charts: a Vega-Lite spec as a plain dict, drawn as SVG that stands in the page.

Nothing here or in the page runs to draw it. Colours are the page's own custom properties,
so that a chart follows light, dark and print; every text of a spec stays text in the SVG.
Specs: https://vega.github.io/vega-lite/docs/
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from advisor.errors import AdvisorError
from advisor.report.figures import known
from advisor.report.labels import GLYPH
from advisor.report.model import Family, visible

Spec = dict[str, Any]

WIDE, NARROW = 900, 360  # px: of a picture for a desk, and of one that a phone holds
SOFT, INK, PAPER, FAINT = "var(--soft)", "var(--ink)", "var(--paper)", "var(--faint)"
# How an axis writes its numbers (Vega expressions): shares, shares as points, money, others.
PERCENT, POINTS = "format(datum.value, '.1~%')", "format(datum.value * 100, '.3~g')"
MONEY, PLAIN = "format(datum.value, '$,.2~r')", "format(datum.value, ',.3~f')"
INKS: Mapping[Family, str] = {
    "floor": "var(--floor)", "prompt": "var(--prompt)", "retrieval": "var(--retrieval)",
    "tuned": "var(--tuned)", "both": "var(--both)", "served": "var(--served)",
    "own": "var(--served)",
}
# Shapes as well as colours tell the families apart; the page writes the same as glyphs.
SHAPES: Mapping[Family, str] = {
    "floor": "cross", "prompt": "circle", "retrieval": "square", "tuned": "triangle-up",
    "both": "diamond", "served": "triangle-down", "own": "triangle-right",
}
# Areas in px that look alike.
SIZES: Mapping[Family, int] = {
    "floor": 110, "prompt": 75, "retrieval": 75, "tuned": 120, "both": 95, "served": 120,
    "own": 120,
}
GLYPHS: Mapping[Family, str] = {
    "floor": "\u271a", "prompt": "\u25cf", "retrieval": "\u25a0", "tuned": "\u25b2",
    "both": "\u25c6", "served": "\u25bc", "own": "\u25ba",
}
# https://www.w3.org/TR/xml/#charsets
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOOK: Spec = {
    "background": None,
    "font": "Arial",  # what widths are reckoned with; the page writes in its own font
    "view": {"stroke": None},
    "axis": {
        "labelColor": SOFT, "labelFontSize": 12, "titleColor": SOFT, "titleFontSize": 12,
        "titleFontWeight": "normal", "gridColor": "var(--grid)", "domainColor": FAINT,
        "tickColor": FAINT, "tickSize": 4, "labelOverlap": "greedy", "labelFlush": False,
    },
    # Only points speak: theirs are the values that all other marks repeat.
    "rule": {"aria": False, "color": SOFT},
    "tick": {"aria": False},
    "line": {"aria": False, "strokeWidth": 2},
    "area": {"aria": False, "opacity": 0.12},
    "text": {"aria": False, "fontSize": 12, "color": INK},
    "point": {"filled": True, "opacity": 1, "size": 70, "strokeWidth": 1, "stroke": PAPER},
}


@dataclass(frozen=True, slots=True)
class Frame:
    """The plotting area in px, and the room for text around it."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its heading and `keys`, which say what its signs mean; `narrow` stands in
    for `wide` where there is no room, and is None where one picture fits both."""

    heading: str
    note: str
    wide: Markup
    narrow: Markup | None = None
    keys: tuple[str, ...] = ()


def picture(layers: Sequence[Spec], frame: Frame, *, label: str) -> Markup:
    """The layers as one `<svg>` with its accessible name.

    Raises AdvisorError when the library that draws is not installed.
    """
    spec = {
        "width": frame.width, "height": frame.height, "autosize": "none",
        "padding": {"left": frame.left, "right": frame.right,
                    "top": frame.top, "bottom": frame.bottom},
        "config": _LOOK, "layer": list(layers),
    }
    text = json.dumps(_legal(spec), allow_nan=False)
    inside = _svg(text).partition(">")[2].removesuffix("</svg>")
    width, height = (frame.left + frame.width + frame.right,
                     frame.top + frame.height + frame.bottom)
    return Markup(
        '<svg class="figure" viewBox="0 0 {0:g} {1:g}" width="{0:g}" height="{1:g}" '
        'role="graphics-document" aria-label="{2}">{3}</svg>'
    ).format(width, height, visible(label), Markup(inside))


def _legal(value: Any) -> Any:
    """The spec without characters that XML cannot hold: vl-convert 1.9 measures text by way of
    XML, and one of them ends the process."""
    if isinstance(value, str):
        return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, Mapping):
        return {key: _legal(held) for key, held in value.items()}
    return [_legal(held) for held in value] if isinstance(value, list | tuple) else value


@lru_cache(maxsize=128)
def _svg(spec: str) -> str:
    """A picture takes some 30 ms, and a report is often written more than once."""
    try:
        import vl_convert
    except ModuleNotFoundError as missing:
        raise AdvisorError(
            "the charts of a report need vl-convert-python, which is not installed",
            fix="pip install vl-convert-python",
        ) from missing
    return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])


def layer(rows: Sequence[Spec], mark: str, look: Spec | None = None, **channels: Spec) -> Spec:
    """One kind of mark over rows of its own."""
    return {"data": {"values": list(rows)}, "mark": {"type": mark, **(look or {})},
            "encoding": channels}


def amount(field: str, **scale_and_axis: Any) -> Spec:
    """A channel that shows a number through a scale."""
    return {"field": field, "type": "quantitative", **scale_and_axis}


def upright(title: str, **axis: Any) -> Spec:
    """An axis without a line, its title above it so that it takes no room beside."""
    return {"title": title, "titleAngle": 0, "titleAlign": "left", "titleX": 4, "titleY": -8,
            "titleBaseline": "bottom", "domain": False, "ticks": False, **axis}


def given(field: str) -> Spec:
    """A channel whose field already holds the colour, the shape or the dashes."""
    return {"field": field, "scale": None}


def each(field: str) -> Spec:
    """A look that differs from row to row where Vega-Lite has no channel for it."""
    return {"expr": f"datum.{field}"}


def domain(values: Sequence[float | None], share: float = 0.06) -> list[float]:
    """The span of the known values with room at both ends, never empty."""
    found = [value for value in values if known(value)] or [0.0]
    low, high = min(found), max(found)
    room = (high - low) * share or max(abs(high) * share, 1e-6)
    return [low - room, high + room]


def decades(low: float, high: float, count: int) -> list[float]:
    """Round values of a logarithmic scale, as many as fit into about `count`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        marks = [factor * 10.0**power for power in powers for factor in factors]
        inside = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]
        if len(inside) <= count:
            break
    return inside or [low]


def room(texts: Sequence[str], most: int) -> float:
    """The px beside a plot for the longest of the texts, clipped at `most` characters."""
    return min(max(map(len, texts), default=0), most) * GLYPH + 22


def clipped(name: str, limit: int) -> str:
    """A name short enough for a chart."""
    text = visible(name)
    return text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def apart(places: Sequence[float], gap: float, least: float) -> list[float]:
    """Heights of labels in their order, moved so that `gap` lies between any two; the lowest
    stays at `least` or above."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    moved, floor = list(places), least
    for at in order:
        moved[at] = max(places[at], floor)
        floor = moved[at] + gap
    return moved
