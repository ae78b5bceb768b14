"""What every stage of a trial works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advisor.data.digest import AnswerKey, digest
from advisor.runner.journal import Journal
from advisor.runner.plan import Plan, Watch


@dataclass(frozen=True, slots=True)
class Stages:
    """The plan a stage belongs to, where it is kept, and who is told of it."""

    plan: Plan
    journal: Journal
    watch: Watch


def base_key(plan: Plan) -> AnswerKey:
    """The identity of the untouched base on suites: no task and no seed is part of it."""
    return AnswerKey("base", 0, "base", plan.tools.engine.digest, "none", plan.code)


def retention_stage(key: AnswerKey, suites: Sequence[str]) -> str:
    """The key of the scores on suites, given by digest and in order."""
    return key.stage("retention " + digest(list(suites)))
