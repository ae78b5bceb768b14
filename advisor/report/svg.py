"""Drawing in SVG: elements, scales and ticks. Styling is by class only, for the CSP."""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup, escape

Child = Markup | str


def el(name: str, *children: Child, **attributes: object) -> Markup:
    """One element; text and attribute values are escaped, None leaves an attribute out.

    `class_` stands for class, and an underscore inside a name for a hyphen.
    """
    pairs = Markup("").join(
        Markup(' {}="{}"').format(_attribute(key), _number(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(escape(child) for child in children)
    tag = Markup(name)
    return Markup("<{}{}>{}</{}>").format(tag, pairs, inner, tag)


def _attribute(key: str) -> str:
    return key if key == "viewBox" else key.rstrip("_").replace("_", "-")


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def group(children: list[Markup], **attributes: object) -> Markup:
    """A `<g>` around the children."""
    return el("g", *children, **attributes)


def picture(children: list[Markup], *, width: float, height: float, label: str) -> Markup:
    """A whole figure with its accessible name, scaled down where there is no room."""
    return el(
        "svg",
        el("title", label),
        *children,
        class_="figure",
        viewBox=f"0 0 {width:g} {height:g}",
        width=float(width),
        height=float(height),
        role="img",
        aria_label=label,
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps the domain `low..high` to the pixels `start..end`, by logarithm if `log`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value; a value outside the domain lies outside the pixels."""
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the domain, about `count` of them."""
        return _decades(self.low, self.high, count) if self.log else self._steps(count)

    def _steps(self, count: int) -> list[float]:
        span = self.high - self.low
        size = 10.0 ** math.floor(math.log10(span / count))
        step = min(
            (size * factor for factor in (1, 2, 5, 10)), key=lambda one: abs(span / one - count)
        )
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]


def _decades(low: float, high: float, count: int) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        marks = [factor * 10.0**power for power in exponents for factor in factors]
        inside = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]
        if len(inside) <= count + 2:
            break
    return inside


def padded(values: list[float], share: float = 0.06) -> tuple[float, float]:
    """A domain around the values with room at both ends, never empty."""
    low, high = min(values), max(values)
    room = (high - low) * share or max(abs(high) * share, 1e-6)
    return low - room, high + room


def clipped(name: str, limit: int) -> str:
    """A name short enough for a chart."""
    return name if len(name) <= limit else f"{name[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"
