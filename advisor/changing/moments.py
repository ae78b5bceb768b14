"""Dates and clock times as they stand in a text, and others written the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

# English, German, French, Spanish, Italian, Dutch, Portuguese; only the day is ever changed,
# so a month needs to be known and not to be written.
_MONTHS = """\
january januar janvier enero gennaio januari janeiro jan
february februar février febrero febbraio februari fevereiro feb
march märz mars marzo maart março mar
april avril abril aprile apr
may mai mayo maggio mei maio
june juni juin junio giugno junho jun
july juli juillet julio luglio julho jul
august août agosto augustus aug
september septembre septiembre settembre setembro sep sept
october oktober octobre octubre ottobre outubro oct okt
november novembre noviembre novembro nov
december dezember décembre diciembre dicembre dezembro dec dez
"""
MONTHS = {name: at for at, line in enumerate(_MONTHS.splitlines(), start=1)
          for name in line.split()}
_DAYS = """\
monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun
montag dienstag mittwoch donnerstag freitag samstag sonnabend sonntag
lundi mardi mercredi jeudi vendredi samedi dimanche
lunes martes miércoles jueves viernes sábado domingo
lunedì martedì mercoledì giovedì venerdì sabato domenica
maandag dinsdag woensdag donderdag vrijdag zaterdag zondag
segunda-feira terça-feira quarta-feira quinta-feira sexta-feira
"""

_MONTH = "|".join(sorted(MONTHS, key=len, reverse=True))
# No part of a longer number, code or range; u2013 is the dash of ranges, u2212 the minus.
_BEFORE, _AFTER = r"(?<!\w)(?<![.,:/\u2013\u2212-])", r"(?!\w)(?![:/\u2013\u2212-]|[.,]\d)"
_DATES = tuple(re.compile(f"{_BEFORE}{form}{_AFTER}", re.IGNORECASE) for form in (
    r"(?P<year>\d{4})-(?P<number>\d{2})-(?P<day>\d{2})",
    r"(?P<day>\d{1,2})\.(?P<number>\d{1,2})\.(?P<year>\d{4})",
    r"(?P<one>\d{1,2})/(?P<two>\d{1,2})/(?P<year>\d{4})",
    rf"(?P<day>\d{{1,2}})(?P<th>st|nd|rd|th)?\.?\s+(?:(?:of|de)\s+)?(?P<month>{_MONTH})\b"
    r"(?:\.?,?\s+(?:de\s+)?(?P<year>\d{4}))?",
    rf"(?P<month>{_MONTH})\.?\s+(?P<day>\d{{1,2}})(?P<th>st|nd|rd|th)?(?:,?\s+(?P<year>\d{{4}}))?",
))
_WEEKDAY = re.compile(rf"\b(?:{'|'.join(_DAYS.split())})\b\.?,?\s+(?:the\s+|den\s+)?$",
                      re.IGNORECASE)
_CLOCK = re.compile(
    rf"{_BEFORE}(?P<hour>\d{{1,2}})"
    r"(?:(?P<mark>:)(?P<minute>\d{2})(?:\s?(?P<half>[ap]\.?m\b))?"
    r"|(?P<point>\.)(?P<minutes>\d{2})\s?(?P<halves>[ap]\.?m\b)"
    rf"|\s?(?P<whole>[ap]\.?m\b)){_AFTER}",
    re.IGNORECASE,
)
HALF_DAY = 12 * 60


@dataclass(frozen=True, slots=True)
class Day:
    """A date at `start:end`; `year` is 0 where none is said. `at` is where its day stands,
    from `start`; `th` says that it is an ordinal, `least` keeps 30/11 from becoming 3/11. A
    `fixed` one follows the name of a weekday, which another day would not fit."""

    kind: ClassVar[str] = "date"
    start: int
    end: int
    text: str
    year: int
    month: int
    day: int
    at: tuple[int, int]
    th: bool = False
    least: int = 1
    fixed: bool = False

    def same(self, other: object) -> bool:
        return (isinstance(other, Day) and (other.month, other.day) == (self.month, self.day)
                and (self.year == other.year or not (self.year and other.year)))

    def others(self) -> Iterator[Day]:
        """Other days of the same month, some days off."""
        for more in () if self.fixed else (9, -9, 5, -5, 2, -2):
            if self.least <= self.day + more <= 28:  # a day of every month
                yield replace(self, day=self.day + more)

    def written(self, new: object) -> str:
        """The day of `new` in this one's form; empty where the form cannot say it."""
        if not isinstance(new, Day) or new.day < self.least:
            return ""
        first, last = self.at
        old = self.text[first:last]
        day = f"{new.day:02d}" if old[0] == "0" or self.text[:4].isdigit() else str(new.day)
        if self.th:
            last += 2
            day += "th" if new.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(
                new.day % 10, "th")
        return self.text[:first] + day + self.text[last:]


@dataclass(frozen=True, slots=True)
class Clock:
    """A time at `start:end`, in minutes from midnight; `mark` stands between hours and minutes
    (empty: only the hour is said), `half` is what follows them, such as ` am`."""

    kind: ClassVar[str] = "time"
    start: int
    end: int
    minutes: int
    mark: str
    half: str
    padded: bool

    def same(self, other: object) -> bool:
        return isinstance(other, Clock) and other.minutes == self.minutes

    def others(self) -> Iterator[Clock]:
        """Other times of the same half of the day."""
        for more in (30, 60, -30, -60, 90, 120):
            if 0 <= self.minutes + more < 2 * HALF_DAY and (
                    (self.minutes + more) // HALF_DAY == self.minutes // HALF_DAY):
                yield replace(self, minutes=self.minutes + more)

    def written(self, new: object) -> str:
        """The time of `new` in this one's form; empty where the form cannot say it."""
        if not isinstance(new, Clock):
            return ""
        hour, minute = divmod(new.minutes, 60)
        if not self.mark and minute:
            return ""
        if self.half:
            hour = hour % 12 or 12
        hours = f"{hour:02d}" if self.padded else str(hour)
        return hours + (f"{self.mark}{minute:02d}" if self.mark else "") + self.half


def dates(text: str) -> Iterator[Day]:
    """Every date of `text`; 3/4/2027 is none, because it is two."""
    for form in _DATES:
        for found in form.finditer(text):
            day = _date(found)
            if day.month in range(1, 13) and day.day in range(1, 32):
                named = _WEEKDAY.search(text, max(0, found.start() - 24), found.start())
                yield replace(day, fixed=named is not None)


def _date(found: re.Match[str]) -> Day:
    """The date of a match; one that cannot be told has month 0."""
    said = found.groupdict()
    name, least = "day", 1
    if said.get("one"):
        one, two = int(said["one"]), int(said["two"])
        name, month = ("one", two) if one > 12 else ("two", one)
        if (one > 12) == (two > 12):
            month = 0
        least = 13
    elif said.get("number"):
        month = int(said["number"])
    else:  # "12 may be taken", "2 march on"
        month = 0 if said["month"] in ("may", "march") else MONTHS[said["month"].casefold()]
    start = found.start()
    at = (found.start(name) - start, found.end(name) - start)
    return Day(start, found.end(), found.group(), int(said.get("year") or 0), month,
               int(said[name]), at, bool(said.get("th")), least)


def times(text: str) -> Iterator[Clock]:
    """Every clock time of `text`: 8:25, 20:40, 8:25 am, 8.25pm, 6 p.m."""
    for found in _CLOCK.finditer(text):
        half = found["half"] or found["halves"] or found["whole"] or ""
        hour, minute = int(found["hour"]), int(found["minute"] or found["minutes"] or 0)
        if minute > 59 or hour > (12 if half else 23) or (half and not hour):
            continue
        if half:
            hour = hour % 12 + (12 if half[0] in "pP" else 0)
        mark = found["mark"] or found["point"] or ""
        said = found.end("minute" if found["minute"] else "minutes" if mark else "hour")
        yield Clock(found.start(), found.end(), hour * 60 + minute, mark,
                    text[said : found.end()], found["hour"][0] == "0")
