"""Numbers in words and digits: the one place where a figure becomes text.

Every function takes None, NaN or an infinity for "not measured" and answers with an
em dash, never with a zero.
"""

from __future__ import annotations

import math
from typing import TypeGuard

from advisor.verdict import Measure

MISSING = "\N{EM DASH}"
MINUS = "\N{MINUS SIGN}"


def known(value: float | None) -> TypeGuard[float]:
    """Whether `value` is a finite number."""
    return value is not None and math.isfinite(value)


def decimal(value: float | None, places: int = 1, *, signed: bool = False) -> str:
    """`value` with grouped thousands and a true minus sign; a rounded zero has no sign."""
    if not known(value):
        return MISSING
    text = f"{abs(value):,.{places}f}"
    if float(text.replace(",", "")) == 0.0:
        return text
    return f"{MINUS if value < 0 else '+' if signed else ''}{text}"


def percent(share: float | None, places: int = 1) -> str:
    """A share 0..1 as `91.2%`."""
    return f"{decimal(share * 100, places)}%" if known(share) else MISSING


def points(share: float | None, *, signed: bool = True) -> str:
    """A difference of two shares in percentage points, `+31.0`, without the unit."""
    return decimal(share * 100, signed=signed) if known(share) else MISSING


def bounds(measure: Measure, *, scale: float = 100.0, places: int = 1) -> str:
    """The interval of a measure, `[88.9, 93.2]`, or nothing when it has none."""
    if not (known(measure.low) and known(measure.high)):
        return ""
    return f"[{decimal(measure.low * scale, places)}, {decimal(measure.high * scale, places)}]"


def percent_measure(measure: Measure) -> str:
    """`91.2% [88.9, 93.2]`."""
    return f"{percent(measure.value)} {bounds(measure)}".strip()


def points_measure(measure: Measure) -> str:
    """`+31.0 [24.8, 37.1]`."""
    return f"{points(measure.value)} {bounds(measure)}".strip()


def money(usd: float | None) -> str:
    """US dollars with the digits that matter: `$0`, `<$0.000001`, `$0.0021`, `$4.20`, `$1,240`."""
    if not known(usd):
        return MISSING
    size, sign = abs(usd), MINUS if usd < 0 else ""
    if size == 0:
        return "$0"
    if size < 0.000001:
        return "<$0.000001" if usd > 0 else f">{MINUS}$0.000001"
    if size >= 99.995:
        return f"{sign}${size:,.0f}"
    if size >= 0.995:
        return f"{sign}${size:.2f}"
    places = max(2, 1 - math.floor(math.log10(size)))
    text = f"{size:.{places}f}"
    return f"{sign}${text if places == 2 else text.rstrip('0')}"


def milliseconds(value: float | None) -> str:
    """A latency: `3.4 ms`, `1,240 ms`, `12.4 s`."""
    if not known(value):
        return MISSING
    if value >= 10_000:
        return f"{decimal(value / 1000)} s"
    return f"{decimal(value, 0 if value >= 9.95 else 1)} ms"


def mebibytes(value: float | None) -> str:
    """A memory size given in MiB: `0.4 MiB`, `812 MiB`, `5.9 GiB`."""
    if not known(value):
        return MISSING
    if value >= 1024:
        return f"{decimal(value / 1024)} GiB"
    return f"{decimal(value, 0 if value >= 9.95 or value == 0 else 1)} MiB"


def octets(value: float | None) -> str:
    """A file size given in bytes: `0 B`, `412 B`, `38 KiB`, `9.1 MiB`."""
    if not known(value):
        return MISSING
    if value < 1024:
        return f"{value:.0f} B"
    return f"{value / 1024:.0f} KiB" if value < 2**20 else mebibytes(value / 2**20)


def seconds(value: float | None) -> str:
    """A duration: `0 s`, `0.42 s`, `4.2 s`, `38 s`, `12 min`, `3.4 h`."""
    if not known(value):
        return MISSING
    if value >= 7200:
        return f"{decimal(value / 3600)} h"
    if value >= 120:
        return f"{value / 60:.0f} min"
    places = 0 if value >= 9.95 or value == 0 else 1 if value >= 1 else 2
    return f"{decimal(value, places)} s"


def whole(value: float | None) -> str:
    """A count with grouped thousands: `1,240`."""
    return decimal(value, 0)


def p_value(value: float | None) -> str:
    """`< 0.001`, `0.013`, `0.41`."""
    if not known(value):
        return MISSING
    if value < 0.001:
        return "< 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def plural(count: int, noun: str) -> str:
    """`1 row`, `25 rows`."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def listed(names: list[str], limit: int = 6) -> str:
    """`a, b and c`; past `limit` names, the rest is counted."""
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def words(key: str) -> str:
    """A key such as `field_accuracy` as words."""
    return key.replace("_", " ").strip()
