"""What the page needs to decide again under other numbers, and the numbers it offers.

The rule itself stands twice: in decide/rule.py, and for the browser in templates/deciding.js.
What no number offered here can change is computed once and written down: differences of
contenders with their errors, bounds of forgetting, seconds and tokens. Numbers that would
change an interval (alpha, the redraws) are not offered; `advisor decide` takes those too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import inf
from typing import Any

from advisor.decide.changes import KEYS, PROTECT, Key
from advisor.decide.conclusion import Case, evidence_of
from advisor.decide.evidence import Contest, contest
from advisor.decide.rule import SAME_PRICE
from advisor.measures.cost import going_stale, renewal_months
from advisor.measures.forgetting import CLEARANCE, forgetting
from advisor.report.figures import words
from advisor.report.model import Report
from advisor.stats import expected_gain
from advisor.trial import SuiteScores
from advisor.verdict import Forgetting, Policy, Standing, SuiteChange

RETENTION = "retention_margin"
UNITS = {"acc": "points", "bits_per_byte": "bits per byte", "nats_per_token": "nats a token"}


@dataclass(frozen=True, slots=True)
class Knob:
    """One number that the page offers, under its name on the command line.

    The slider runs from `least` to `most`, in ratios where `ratio`. `percent` fields hold
    hundredths of the number; of `optional` ones the slider's right end says "none".
    """

    name: str
    label: str
    unit: str
    least: float
    most: float
    ratio: bool = False
    percent: bool = False

    @property
    def key(self) -> Key:
        """The values it may have; a protected suite's margin has no key of its own."""
        return KEYS.get(self.name) or Key("protect", 0.0, inf, True)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The numbers offered, and everything that `deciding.js` reads."""

    knobs: tuple[Knob, ...]
    data: Mapping[str, Any]


def what_if(report: Report) -> WhatIf | None:
    """None when the report does not know what its verdict was made from.

    Raises AdvisorError when standings and credits do not match.
    """
    if report.basis is None:
        return None
    case, policy = report.basis.case, report.basis.policy
    # Contenders in the order of their names, which is that of ties of price.
    standings = tuple(sorted(report.verdict.standings, key=lambda one: one.contender))
    held = contest(evidence_of(case, standings), alpha=policy.alpha)
    contenders = [_contender(one, case, policy) for one in standings]
    knobs = _knobs(contenders, policy)
    return WhatIf(knobs, {
        "task": report.task.name,
        "alpha": policy.alpha,
        "same_price": SAME_PRICE,
        "clearance": CLEARANCE,
        # Months until the share that may be stale is stale, were all facts to change in one.
        "renewal": renewal_months(1.0, policy.stale_share),
        "floor": case.floor,
        "outcome": report.verdict.outcome,
        "winner": report.verdict.winner,
        "rules": _rules(policy),
        "knobs": [{**asdict(one), "low": one.key.low,
                   "high": one.key.high if one.key.high < inf else None,
                   "at_low": one.key.at_low, "optional": one.key.optional} for one in knobs],
        "contenders": contenders,
        "pairs": _pairs(held, standings),
    })


def _rules(policy: Policy) -> dict[str, float | None]:
    """The policy by the names of the command line."""
    rules = {name: getattr(policy, key.field) for name, key in KEYS.items()}
    return rules | {PROTECT + suite: margin for suite, margin in policy.protect.items()}


def _contender(found: Standing, case: Case, policy: Policy) -> dict[str, Any]:
    cost = found.cost
    index, learnt = going_stale(cost, axes=found.axes)
    return {
        "name": found.contender,
        "quality": found.quality.value,
        "tuned": cost.tuning_seconds > 0,
        "stale_index": index,
        "stale_learnt": learnt,
        "seconds": cost.seconds_per_call,
        "usd_tokens": cost.usd_tokens,
        "prepare_seconds": cost.prepare_seconds,
        "tuning_seconds": cost.tuning_seconds,
        "rows_learnt": cost.rows_learnt,
        "usd_paid": cost.usd_paid,
        "p95": cost.p95_ms,
        "asked": found.counts.asked,
        "failed": found.counts.failed,
        "gates": _gates(found, case, policy),
    }


def _gates(found: Standing, case: Case, policy: Policy) -> list[dict[str, Any]]:
    """Every bound of forgetting that a margin is held to, the shipped seed's first."""
    if not isinstance(found.forgetting, Forgetting):
        return []
    assert case.base is not None, "what was forgotten is told from the base"
    made = _gates_of(found.forgetting, case.base, policy, seed=None)
    mine = [one for one in case.trials if one.contender == found.contender]
    for one in mine[1:]:
        assert one.retention is not None, "every seed of tuned weights is scored"
        seen = forgetting(case.base, one.retention, policy, seed=case.seed)
        made += _gates_of(seen, case.base, policy, seed=one.seed)
    return made


def _gates_of(
    found: Forgetting, base: Mapping[str, SuiteScores], policy: Policy, *, seed: int | None
) -> list[dict[str, Any]]:
    pooled = found.pooled
    gates = [{**_gate(pooled, RETENTION, seed=seed), "judged": pooled.state != "cannot_gate"}]
    for one in found.suites:
        if one.suite in policy.protect:
            gate = _gate(one, PROTECT + one.suite, seed=seed)
            if one.metric == "acc":  # whether it can be judged hangs on the margin
                gate |= {"low": one.base.low, "chance": base[one.suite].chance}
            gates.append(gate)
    return gates


def _gate(change: SuiteChange, rule: str, *, seed: int | None) -> dict[str, Any]:
    return {
        "rule": rule, "suite": change.suite, "unit": UNITS[change.metric],
        "seed": seed, "first": seed is None, "upper": change.upper, "lower": change.lower,
        "judged": True, "low": None, "chance": 0.0,
    }


def _pairs(held: Contest, standings: Sequence[Standing]) -> list[dict[str, Any]]:
    made = []
    for (at, one), (to, other) in combinations(enumerate(standings), 2):
        gap = held.gap(one, other)
        value = gap.interval.value
        made.append({
            "one": at, "other": to, "value": value, "n": gap.interval.n, "error": gap.error,
            "freedom": gap.freedom, "most": gap.most, "step": gap.step, "design": gap.design,
            "between": gap.between, "clusters": gap.clusters,
            # What following whoever is ahead risks on average.
            "gain": expected_gain(abs(value), gap.error),
        })
    return made


def _knobs(contenders: Sequence[Mapping[str, Any]], policy: Policy) -> tuple[Knob, ...]:
    """The numbers that can matter to these contenders, those asked for most first."""
    def some(name: str) -> bool:
        return any(one[name] for one in contenders)

    own = [one for one in contenders if one["usd_tokens"] is None]
    tuned, changing = some("tuned"), some("stale_index") or some("stale_learnt")
    usd, label, churn = policy.usd_per_machine_hour, policy.usd_per_label, policy.churn_per_month
    shown = [
        (True, Knob("volume", "Calls a month", "calls", policy.calls_per_month / 1e3,
                    policy.calls_per_month * 1e3, ratio=True)),
        (True, Knob("value", "A correct answer is worth", "USD", 1e-6, 100.0, ratio=True)),
        (True, Knob("margin", "Loss of quality that does not matter", "points", 0.0,
                    max(0.3, policy.quality_margin), percent=True)),
        (some("gates"), Knob(RETENTION, "Loss of retention that is allowed", "points", 0.0,
                             max(0.3, policy.retention_margin), percent=True)),
        *((some("gates"), _protected(suite, margin, contenders))
          for suite, margin in sorted(policy.protect.items())),
        (True, _latency(contenders, policy)),
        (some("failed"), Knob("max_failed", "Calls that may fail", "%", 0.0,
                              max(0.2, policy.max_failed), percent=True)),
        (any(one["seconds"] for one in own) or some("prepare_seconds"),
         Knob("price.machine_hour", "A machine costs", "USD an hour", usd / 100, usd * 100,
              ratio=True)),
        (any(one["seconds"] for one in own),
         Knob("price.utilisation", "Share of paid hours in which it answers", "%", 0.01, 1.0,
              percent=True)),
        (some("usd_tokens") or some("usd_paid"),
         Knob("price.tokens", "Endpoints' prices, times", "", 0.01, 100.0, ratio=True)),
        (some("rows_learnt"),
         Knob("price.label", "A labelled row costs", "USD", 0.0, max(10.0, label * 10))),
        (changing, Knob("churn", "Facts that change in a month", "%", 0.0, max(0.5, churn),
                        percent=True)),
        (tuned, Knob("base_replaced", "A new base model comes every", "months", 1.0,
                     max(60.0, policy.base_replaced_months or 0.0), ratio=True)),
        (True, Knob("horizon", "Preparation is paid for over", "months",
                    min(1.0, policy.horizon_months), max(60.0, policy.horizon_months))),
    ]
    return tuple(knob for matters, knob in shown if matters)


def _protected(suite: str, margin: float, contenders: Sequence[Mapping[str, Any]]) -> Knob:
    gates = [gate for one in contenders for gate in one["gates"] if gate["suite"] == suite]
    unit = gates[0]["unit"] if gates else UNITS["acc"]
    return Knob(PROTECT + suite, f"The same on {words(suite)}", unit, 0.0, max(0.3, margin),
                percent=unit == UNITS["acc"])


def _latency(contenders: Sequence[Mapping[str, Any]], policy: Policy) -> Knob:
    """From well below the fastest to well above the slowest, today's limit among them."""
    tried = [one["p95"] for one in contenders if one["p95"] > 0]
    tried += [policy.latency_limit_ms] if policy.latency_limit_ms else []
    return Knob("latency", "Limit of p95 latency", "ms", min(tried, default=1.0) / 4,
                max(tried, default=1.0) * 4, ratio=True)
