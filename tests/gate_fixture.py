"""A judgement of the gate on two contenders of the made-up report."""

from __future__ import annotations

from pathlib import Path

from advisor.config import Recipe
from advisor.gate.judge import Case, judge
from advisor.gate.run import Gated
from advisor.gate.scores import Scored
from advisor.gate.sides import Base, Side
from advisor.report import Report
from advisor.trial import Trial
from advisor.verdict import Policy

POLICY = Policy(
    quality_margin=0.05, retention_margin=0.05, alpha=0.05, latency_limit_ms=None,
    max_failed=0.01, horizon_months=12, calls_per_month=1000, usd_per_machine_hour=0.1,
    utilisation=0.5,
)


def build_gated(report: Report, candidate: str, champion: str) -> Gated:
    """Two contenders by name, as if both ran on the untouched base."""
    trials = {trial.contender: trial for trial in report.trials}
    mine, theirs = trials[candidate], trials[champion]
    case = Case(mine, theirs, None, same=False, changed=False, noise=None)
    found = judge(case, POLICY, seed=0)
    notes = ("The candidate was measured for this gate.",)
    return Gated(report.task, POLICY, _scored(mine), _scored(theirs), case, found, notes)


def _scored(trial: Trial) -> Scored:
    side = Side(
        kind="run", name=trial.contender, place=Path("reports/tickets"), recipe=Recipe(),
        base=Base("smollm2-135m-instruct", "all-minilm-l6-v2", "auto"), system=None,
        files={"system.json": trial.contender}, task="tickets",
    )
    return Scored(side, trial, None, code="c0de", model="0de1", read=False)
