"""Numbers as they stand in a text, and other numbers written the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import chain
from typing import ClassVar

# Letters that may follow a number at once (`61km`): units of SI and beside it, ISO 4217.
# Not `D`, `x` or `th`: 3D, 2x and 27th are no amounts.
UNITS = (
    "mm", "cm", "dm", "km", "m", "mg", "kg", "g", "t", "ml", "cl", "l", "ms", "s", "min", "h", "d",
    "W", "kW", "MW", "Wh", "kWh", "V", "kV", "A", "mA", "Ah", "mAh", "Hz", "kHz", "MHz", "GHz",
    "kB", "KB", "MB", "GB", "TB", "N", "Nm", "Pa", "kPa", "bar", "dB", "ppm", "px", "EUR", "USD",
    "GBP", "CHF",
)  # fmt: skip

_SPACE = "\u00a0\u202f'\u2019"  # between groups of thousands, beside the comma and the point
_DIGITS = re.compile(
    # Nothing before that makes it the end of something longer: A4, 3-5, 1/2, +44, #7, 10 000,
    # 3 of 5.
    r"(?<!\w)(?<![.,:/+#\u2013\u2212-])(?<!\d )(?<!\d of )(?<!\d out of )"
    rf"(?:[1-9]\d{{0,2}}(?:,\d{{3}})+(?:\.\d+)?|[1-9]\d{{0,2}}(?:\.\d{{3}})+,\d+"
    rf"|[1-9]\d{{0,2}}(?:[{_SPACE}]\d{{3}})+(?:[.,]\d+)?|\d+,\d{{1,2}}|\d+\.\d+|\d+)"
    rf"(?:(?=(?:{'|'.join(UNITS)})(?!\w))|(?!\w))"
    # Nor after it: 8:25, 5-7, T-3-A, 10 000, 3 of 5, 8 o'clock.
    r"(?![.,:/\u2013\u2212-]?\d)(?!-[A-Z])(?! \d{3}(?!\d))"
    r"(?!\s+(?:out\s+)?of\s+\d)(?!\s+o['\u2019]clock)"
)
_PERCENT = re.compile(r"\s?(?:%|per ?cent\b)")
# What counts on from one and ends somewhere: no week 58, no quarter 5.
_BOUNDED = re.compile(r"\b(?:week|weeks|day|month|quarter|year|hour)\s+$", re.IGNORECASE)
LONGEST = 6  # digits without separators; more are a telephone or customer number

_ONES = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
         "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
         "nineteen")  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# "one" is as often no number as it is one.
WORDS = dict(zip(chain(_ONES, (
    ten + one for ten in _TENS for one in ("", "-one", *(f"-{word}" for word in _ONES[:8]))
)), map(Decimal, range(2, 100)), strict=True))
_IN_WORDS = {amount: word for word, amount in WORDS.items()}
_WORD = re.compile(rf"(?<![\w-])(?:{'|'.join(sorted(WORDS, key=len, reverse=True))})(?![\w-])")

YEARS = range(1900, 2100)


@dataclass(frozen=True, slots=True)
class Number:
    """An amount at `start:end` of a text. `group` stands between thousands, `mark` before
    the `places` decimals; `word` says that it is spelt out; `most` bounds a share."""

    kind: ClassVar[str] = "number"
    start: int
    end: int
    amount: Decimal
    group: str = ""
    mark: str = ""
    places: int = 0
    word: bool = False
    most: Decimal = Decimal("Infinity")

    def same(self, other: object) -> bool:
        return isinstance(other, Number) and other.amount == self.amount

    def others(self) -> Iterator[Number]:
        """Other amounts, the likeliest first: about a tenth more, in steps as round as this."""
        if self.amount < 2 and not self.places:
            return  # 1 day becomes 2 days
        if self._may_be_year():
            step = Decimal(3 if self.amount % 10 else 10)
            steps = [-step, -2 * step, -3 * step]
        else:
            step = self._step()
            steps = [*(step * times for times in range(1, 6)), -step, -2 * step]
        least = Decimal(0) if self.places else Decimal(1)
        for more in steps:
            if least < self.amount + more <= self.most:
                yield replace(self, amount=self.amount + more)

    def written(self, new: object) -> str:
        """The amount of `new` in this one's form; empty where the form cannot say it."""
        if not isinstance(new, Number):
            return ""
        if self.word:
            return _IN_WORDS.get(new.amount, "")
        text = f"{new.amount:,.{self.places}f}"
        if Decimal(text.replace(",", "")) != new.amount:
            return ""
        whole, _, rest = text.partition(".")
        return whole.replace(",", self.group) + (self.mark + rest if rest else "")

    def _step(self) -> Decimal:
        grain = Decimal(1).scaleb(-self.places)
        while self.amount % (grain * 10) == 0 and grain * 100 <= self.amount:
            grain *= 10
        tenth = (self.amount / 10 / grain).quantize(Decimal(1), ROUND_HALF_UP) * grain
        return max(grain, tenth)

    def _may_be_year(self) -> bool:
        plain = not (self.group or self.places or self.word or self.most.is_finite())
        return plain and int(self.amount) in YEARS


def numbers(text: str) -> Iterator[Number]:
    """Every number of `text` that stands by itself; codes, ranges and fractions are none."""
    for found in _DIGITS.finditer(text):
        digits = found.group()
        leading_zero = len(digits) > 1 and digits[0] == "0" and digits[1] not in ".,"
        bounded = _BOUNDED.search(text, max(0, found.start() - 12), found.start())
        if not (leading_zero or bounded or re.fullmatch(rf"\d{{{LONGEST + 1},}}", digits)):
            yield _read(found, _PERCENT.match(text, found.end()) is not None)
    for found in _WORD.finditer(text):
        yield Number(found.start(), found.end(), WORDS[found.group()], word=True)


def _read(found: re.Match[str], percent: bool) -> Number:
    digits = found.group()
    marks = re.findall(r"\D", digits)
    whole, mark, rest = digits, "", ""
    grouped = re.fullmatch(rf"\d{{1,3}}(?:[,{_SPACE}]\d{{3}})+", digits)
    if marks and not grouped:
        mark = marks[-1]
        whole, _, rest = digits.rpartition(mark)
    group = marks[0] if marks and (grouped or len(marks) > 1) else ""
    amount = Decimal(re.sub(r"\D", "", whole) + (f".{rest}" if rest else ""))
    most = Decimal(100) if percent and amount <= 100 else Decimal("Infinity")
    return Number(found.start(), found.end(), amount, group, mark, len(rest), False, most)
