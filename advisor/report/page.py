"""The report as one HTML file that needs nothing from the network and runs nothing else.

Model output is hostile text: every template autoescapes, and the Content-Security-Policy
admits only the one style and the one script whose hashes it names.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from advisor.report.audit import audit
from advisor.report.curves import costs, learning, losses
from advisor.report.detectors import detectors
from advisor.report.drawing import GLYPHS
from advisor.report.figures import MISSING, known, listed, plural
from advisor.report.intervals import bits, differences, forgetting, quality
from advisor.report.jsonform import dumps, page_data
from advisor.report.lookups import HEADS, lookups
from advisor.report.model import (
    FAMILY_WORDS,
    LONG,
    Report,
    family,
    lead,
    level,
    ranked,
    visible,
)
from advisor.report.outlook import COSTS, LEARNT, sheets
from advisor.report.rows import rows_data, worst_rows
from advisor.report.scatter import drawable, front, scatter
from advisor.report.tables import contrasts, fields_table, shared_method, standings_table
from advisor.report.trust import trust
from advisor.report.whatif import what_if
from advisor.report.wording import (
    certainty,
    changes,
    contended,
    headline,
    limited_banner,
    next_step,
    tiles,
    unchanged_sentence,
)
from advisor.verdict import Forgetting

_INTERVAL = re.compile(r"\[([^\[\], ]+), ([^\[\], ]+)\]")
SCRIPTS = ("report.js", "charts.js")
_OPENING = {"recommend": "Recommended", "cannot_tell": "Undecided", "none_feasible": "None fits"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of run.yaml: its text, or the entries below it."""

    key: str
    text: str
    below: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """How many texts stand in it."""
        return sum(one.size for one in self.below) if self.below else 1


def html(report: Report) -> str:
    """The page; the same report gives the same bytes."""
    again = what_if(report)
    return render(
        "report.html.j2",
        scripts=(*SCRIPTS, "deciding.js", "whatif.js") if again else SCRIPTS,
        what_if=again,
        what_if_data=island(again.data) if again else "",
        data=island(page_data(report)),
        task=report.task,
        verdict=report.verdict,
        **_first_screen(report),
        **_evidence(report),
    )


def render(template: str, *, scripts: Sequence[str] = SCRIPTS, **values: object) -> str:
    """A page from its template, with the one style and script and the policy that admits them.

    `scripts` are the files that the script is put together from.
    """
    style, script = _resource("report.css"), "".join(map(_resource, scripts))
    return _environment().get_template(template).render(
        style=Markup(style), script=Markup(script), policy=_policy(style, script), **values
    )


def _first_screen(report: Report) -> dict[str, object]:
    return {
        "opening": _OPENING[report.verdict.outcome],
        "headline": visible(tight(headline(report))),
        "certainty": visible(tight(certainty(report))),
        "next_step": next_step(report),
        "changes": changes(report),
        "contended": contended(report),
        "banner": limited_banner(report),
        "tiles": tiles(report),
        "about": lead(report.verdict),
        "level": level(report.run),
    }


def tight(text: str) -> str:
    """The text with its intervals kept on one line."""
    return _INTERVAL.sub("[\\1,\N{NO-BREAK SPACE}\\2]", text)


def _evidence(report: Report) -> dict[str, object]:
    standings = report.verdict.standings
    shown, left_out = drawable(report)
    worst = worst_rows(report)
    kinds = [kind for kind in FAMILY_WORDS if kind in {family(one.axes) for one in standings}]
    return {
        "table": standings_table(report),
        "fields": fields_table(report),
        "sheets": sheets(report),
        "pictures": {COSTS: costs(report), LEARNT: learning(report)},
        "glyphs": GLYPHS,
        "legend": [(kind, FAMILY_WORDS[kind]) for kind in kinds],
        "quality": quality(report),
        "scatter": scatter(report),
        "differences": differences(report),
        "front": listed([one.contender for one in front(shown)] or ["nobody"], 12),
        "left_out": listed(left_out, 12) if left_out else "",
        "unchanged": unchanged_sentence(report),
        "forgetting": forgetting(report),
        "bits": bits(report),
        "detectors": detectors(report),
        "trust": trust(report),
        "tuned": sum(isinstance(one.forgetting, Forgetting) for one in ranked(report.verdict)),
        "contrasts": contrasts(report),
        "method": shared_method(report),
        "worst": worst,
        "rows_data": island(rows_data(worst.rows, worst.contenders)),
        "losses": losses(report),
        "lookups": lookups(report),
        "lookup_heads": HEADS,
        "checks": audit(report),
        "entries": _entries(report.run),
        "long": LONG,
    }


def _entries(run: Mapping[str, object]) -> tuple[Entry, ...]:
    return tuple(_entry(str(key), value) for key, value in run.items())


def _entry(key: str, value: object) -> Entry:
    if isinstance(value, Mapping) and value:
        return Entry(visible(key), "", _entries(value))
    if isinstance(value, list | tuple) and any(isinstance(one, Mapping | list) for one in value):
        below = tuple(_entry(str(at + 1), one) for at, one in enumerate(value))
        return Entry(visible(key), "", below)
    return Entry(visible(key), _plain(value), ())


def _plain(value: object) -> str:
    """A scalar or a flat list of run.yaml as text; nothing at all is an em dash."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if known(value) else MISSING
    if isinstance(value, list | tuple):
        return ", ".join(_plain(one) for one in value) or "none"
    return visible(str(value), 2000) if value not in (None, "", {}) else MISSING


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def island(data: Mapping[str, Any]) -> Markup:
    """JSON that no HTML parser can leave early: `<`, `>` and `&` only as escapes."""
    text = dumps(data)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _resource(name: str) -> str:
    place = files("advisor.report") / "templates" / name
    return place.read_text(encoding="utf-8").replace("\r\n", "\n")


@cache
def _environment() -> Environment:
    made = Environment(
        autoescape=True,
        loader=FunctionLoader(_resource),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plural"] = plural
    made.filters["visible"] = visible
    made.filters["tight"] = tight
    return made
