"""What was settled before the first answer, with a hash that tells whether it still is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from advisor.data.digest import digest
from advisor.runner.journal import Journal
from advisor.verdict import Policy

if TYPE_CHECKING:  # `advisor decide` has a second, and reading YAML takes a quarter of it
    from advisor.runner.plan import Plan

STAGE = "registration"


@dataclass(frozen=True, slots=True)
class Registration:
    """The rules of a run, and whether they were there before its answers.

    `hash` is that of the rules first kept, `answers_before` how many answers the journal
    held then: 0, or the rules were late. `changed` maps what differs now, by dotted name,
    to (then, now).
    """

    hash: str
    answers_before: int
    changed: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


def register(plan: Plan, journal: Journal) -> Registration:
    """Keep the rules of this plan, unless rules were kept before; then compare with those."""
    rules = rules_of(plan)
    stored = journal.stage(STAGE)
    if stored is None:
        stored = {"hash": digest(rules), "rules": rules, "answers_before": journal.answered()}
        journal.put_stage(STAGE, STAGE, stored)
    # A rule that an earlier advisor did not know stood at what it now is by default.
    then = {**stored["rules"], "policy": {**_defaults(), **stored["rules"]["policy"]}}
    return Registration(stored["hash"], stored["answers_before"], differences(then, rules))


def rules_of(plan: Plan) -> dict[str, Any]:
    """Everything that could be bent afterwards to suit the answers, resolved."""
    task = plan.task
    return {
        "primary": task.primary,
        "chance": task.chance,
        "scorer": {"kind": task.scorer.kind, "fields": list(task.scorer.fields)},
        "policy": rules_of_policy(plan.policy),
        "seed": plan.seed,
        "dev": digest([one.question.id for one in task.material.dev]),
        "test": digest([one.question.id for one in task.test]),
        "targets": digest([one.targets for one in task.test]),
        "clusters": digest([one.group for one in task.test]),
        "slices": sorted(task.slices),
        "retention": {suite.name: suite.digest for suite in plan.suites},
    }


def rules_of_policy(policy: Policy) -> dict[str, Any]:
    """Margins, limits, prices and alpha as plain data."""
    return {**asdict(policy), "protect": dict(policy.protect)}


def _defaults() -> dict[str, Any]:
    return {one.name: one.default for one in fields(Policy) if one.default is not MISSING}


def differences(
    then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    """What differs, by dotted name, with both values; None for what is missing."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted(then.keys() | now.keys()):
        one, other = then.get(key), now.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found.update(differences(one, other, f"{prefix}{key}."))
        elif one != other:
            found[f"{prefix}{key}"] = (one, other)
    return found
