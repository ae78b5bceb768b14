"""What the untouched base is asked besides the suites: text of its own, and other wordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from advisor.data.digest import digest
from advisor.locks import alone
from advisor.measures import owntext, rewording
from advisor.measures.owntext import OwnText
from advisor.measures.retention import Suite
from advisor.runner.journal import Journal
from advisor.runner.plan import Plan
from advisor.runner.stages import base_key
from advisor.trial import Reworded, SuiteScores


def own_text(plan: Plan, journal: Journal) -> tuple[OwnText, ...]:
    """What the base writes for the suite of that name; nothing where it is not measured."""
    if all(suite.name != owntext.NAME for suite in plan.suites):
        return ()
    stored = _of_base(
        f"own text {owntext.DIGEST}", "own text", plan=plan, journal=journal,
        make=lambda: {"texts": [asdict(one) for one in owntext.write(plan.tools.engine)]},
    )
    return tuple(OwnText(**one) for one in stored["texts"])


def base_reworded(
    plan: Plan, journal: Journal, known: Mapping[str, SuiteScores]
) -> tuple[Reworded, ...]:
    """The base asked in other words; `known` are its scores on the suites as they are."""
    stored = _of_base(
        reworded_stage(plan.suites), "reworded", plan=plan, journal=journal,
        make=lambda: {"reworded": [asdict(one) for one in rewording.reworded(
            plan.tools.engine, plan.suites, known)]},
    )
    return tuple(Reworded(**one) for one in stored["reworded"])


def reworded_stage(suites: Sequence[Suite]) -> str:
    """What `base_reworded` is kept as, among the stages of the base."""
    return "reworded " + digest([suite.digest for suite in suites])


def _of_base(
    kind: str, short: str, *, plan: Plan, journal: Journal,
    make: Callable[[], Mapping[str, Any]],
) -> Mapping[str, Any]:
    """A stage of the untouched base, the same for every task of a command."""
    stage = base_key(plan).stage(kind)
    stored = journal.stage(stage)
    if stored is None:
        with alone(plan.folder / "base.lock"):  # where several processes need it, one makes it
            stored = journal.stage(stage) or plan.shared.get(stage) or make()
            journal.put_stage(stage, short, stored, contender="base")
    plan.shared[stage] = stored
    return stored
