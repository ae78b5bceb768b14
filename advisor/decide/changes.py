"""`--set KEY=VALUE`: a policy with some of its numbers replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

from advisor.errors import Faults, did_you_mean
from advisor.verdict import Policy

NONE = ("none", "null", "")


@dataclass(frozen=True, slots=True)
class Key:
    """A name on the command line: the policy's field, and the values it may have.

    `low` itself is allowed only where `at_low` says so, `high` always; `optional` values
    may be `none`.
    """

    field: str
    low: float
    high: float
    at_low: bool
    optional: bool = False


# Beyond these nothing is meant, and sums of money run out of floating point.
MOST_CALLS, MOST_MONTHS, MOST_USD = 1e12, 1200.0, 1e9

KEYS = {
    "volume": Key("calls_per_month", 0, MOST_CALLS, False),
    "horizon": Key("horizon_months", 0, MOST_MONTHS, False),
    "churn": Key("churn_per_month", 0, 1, True),
    "stale": Key("stale_share", 0, 0.99, False),
    "base_replaced": Key("base_replaced_months", 0.1, inf, True, optional=True),
    "margin": Key("quality_margin", 0, 1, True),
    "retention_margin": Key("retention_margin", 0, 1, True),
    "latency": Key("latency_limit_ms", 0, inf, False, optional=True),
    "value": Key("value_per_correct", 0, MOST_USD, False, optional=True),
    "alpha": Key("alpha", 0, 0.49, False),
    "max_failed": Key("max_failed", 0, 1, True),
    "price.machine_hour": Key("usd_per_machine_hour", 0, MOST_USD, False),
    "price.utilisation": Key("utilisation", 0, 1, False),
    "price.label": Key("usd_per_label", 0, MOST_USD, True),
    "price.tokens": Key("token_price", 0, MOST_USD, False),
}
ALIASES = {"price.gpu_hour": "price.machine_hour", "quality_margin": "margin"}
PROTECT = "protect."


def changed(policy: Policy, given: Sequence[str], *, suites: Sequence[str] = ()) -> Policy:
    """The policy with every `KEY=VALUE` of `given` in it; a later one wins.

    `protect.SUITE=MARGIN` protects one of `suites`, `protect.SUITE=none` no longer. Raises
    Faults with every unknown key and every value that is no number or out of its range.
    """
    faults: list[str] = []
    fields: dict[str, Any] = {}
    protect = dict(policy.protect)
    for text in given:
        name, sign, value = text.partition("=")
        name = ALIASES.get(name.strip(), name.strip())
        if not sign:
            faults.append(f"{text!r}: expected KEY=VALUE")
        elif name.startswith(PROTECT):
            _protect(name.removeprefix(PROTECT), value, suites, protect, faults)
        elif name in KEYS:
            _number(name, value, KEYS[name], fields, faults)
        else:
            faults.append(f"{text!r}: unknown key{did_you_mean(name, [*KEYS, 'protect.SUITE'])}")
    if faults:
        raise Faults("--set", faults, fix="advisor decide RUN --set volume=2e6 --set margin=0.03")
    return replace(policy, protect=protect, **fields)


def _protect(
    suite: str, value: str, suites: Sequence[str], protect: dict[str, float], faults: list[str]
) -> None:
    if suite not in suites:
        faults.append(f"protect.{suite}: not a measured suite{did_you_mean(suite, suites)}")
        return
    fields: dict[str, Any] = {}
    key = Key("margin", 0, inf, True, optional=True)
    _number(f"protect.{suite}", value, key, fields, faults)
    protect.pop(suite, None)
    if fields.get("margin") is not None:
        protect[suite] = fields["margin"]


def _number(
    name: str, text: str, key: Key, fields: dict[str, Any], faults: list[str]
) -> None:
    if key.optional and text.strip().lower() in NONE:
        fields[key.field] = None
        return
    try:
        value = float(text.replace("_", ""))
    except ValueError:
        value = float("nan")
    inside = key.low < value <= key.high or (key.at_low and value == key.low)
    if not isfinite(value) or not inside:
        least = f"{key.low:g} or more" if key.at_low else f"more than {key.low:g}"
        most = "" if key.high == inf else f" and at most {key.high:g}"
        none = ", or none" if key.optional else ""
        faults.append(f"{name}: expected a number of {least}{most}{none}, found {text!r}")
        return
    fields[key.field] = value
