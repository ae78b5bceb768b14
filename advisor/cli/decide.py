"""Decide a finished run again, from its journal: other prices, volumes, margins or limits.

Nothing is run and nothing is written. What was changed is named beside the verdict: rules
that are set after the answers are known prove less than those that were set before.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from advisor.decide import conclude
from advisor.decide.changes import KEYS, changed
from advisor.reasons import flip_words
from advisor.runner.ledger import Ledger, recall
from advisor.runner.registration import differences, rules_of_policy
from advisor.verdict import Flip, Standing, Verdict


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a run folder, such as reports/TASK")
    add("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
        help=f"repeatable; KEY is one of {', '.join(KEYS)}, protect.SUITE")
    add("--checkpoint", action="store_true",
        help="with several seeds: about the systems of the first seed, which ship, instead of "
        "about the recipes")
    add("--json", action="store_true", help="print both verdicts as JSON")


def execute(options: argparse.Namespace) -> int:
    ledger = recall(options.run)
    policy = changed(ledger.policy, options.changes, suites=sorted(ledger.case.base or ()))
    before = conclude(ledger.case, ledger.policy)
    case = ledger.case.first_seeds() if options.checkpoint else ledger.case
    after = conclude(case, policy) if options.changes or options.checkpoint else before
    changes = differences(rules_of_policy(ledger.policy), rules_of_policy(policy))
    if options.json:
        print(json.dumps(_as_json(ledger, before, after, changes), indent=2, allow_nan=False))
        return 0
    for line in _told(ledger, before, after, changes):
        print(line)
    return 0


def _told(
    ledger: Ledger, before: Verdict, after: Verdict, changes: dict[str, tuple[Any, Any]]
) -> list[str]:
    lines = [f"{ledger.task}: {_headline(after)}"]
    if (after.outcome, after.winner) != (before.outcome, before.winner):
        lines.append(f"  it was: {_headline(before)}")
        if before.winner and after.winner:
            lines.append(f"  winner/ still holds {before.winner}; a run with these settings in "
                         f"advisor.yaml and task.yaml would ship {after.winner}")
    elif changes:
        lines.append("  the advice is the same as before")
    most = max((len(one.seeds) for one in after.seeds), default=1)
    about = f"the recipes, at up to {most} seeds" if most > 1 else "the systems that were measured"
    lines.append(f"  about: {about}")
    lines += [f"  - {sentence}" for sentence in after.because]
    lines.append(f"  next: {after.next_step}")
    names = {key.field: name for name, key in KEYS.items()}
    for key, (was, now) in changes.items():
        lines.append(f"  set: {names.get(key, key)} {_shown(was)} -> {_shown(now)}, "
                     "after the answers were known")
    lines += [f"  not as registered: {key} {_shown(was)} -> {_shown(now)}"
              for key, (was, now) in ledger.registration.changed.items()]
    lines += ["", *_standings(before, after)]
    if after.outlook:
        lines += ["", "what would change the advice, each alone:"]
        lines += [f"  {_flip(flip)}" for flip in after.outlook.flips]
    lines += ["", f"rules registered as {ledger.registration.hash[:16]}"]
    return lines


def _headline(verdict: Verdict) -> str:
    if verdict.winner is not None:
        return f"use {verdict.winner}"
    return "no contender is acceptable" if verdict.outcome == "none_feasible" else "cannot tell yet"


def _flip(flip: Flip) -> str:
    return f"{flip.parameter}: {flip_words(flip)}"


def _standings(before: Verdict, after: Verdict) -> list[str]:
    """One line a contender, cheapest first; what was else before stands in brackets."""
    earlier = {one.contender: one for one in before.standings}
    best = {one.contender: one.best for one in after.outlook.chances} if after.outlook else {}
    width = max(len(one.contender) for one in after.standings)
    lines = [f"{'':{width}}  quality            USD/1,000 all in   P(best)  limits"]
    for one in sorted(after.standings, key=lambda one: one.cost.usd_per_1k_all_in):
        seen = one.quality
        quality = f"{seen.value:.3f} [{seen.low:.3f}, {seen.high:.3f}]"
        chance = f"{best[one.contender]:7.2f}" if one.contender in best else "      -"
        lines.append(f"{one.contender:{width}}  {quality}  {_price(one, earlier[one.contender]):17}"
                     f"  {chance}  {'; '.join(one.barred_by) or 'within all'}")
    return lines


def _price(now: Standing, then: Standing) -> str:
    price, earlier = now.cost.usd_per_1k_all_in, then.cost.usd_per_1k_all_in
    return f"{price:.4g}" if price == earlier else f"{price:.4g} ({earlier:.4g})"


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _as_json(
    ledger: Ledger, before: Verdict, after: Verdict, changes: dict[str, tuple[Any, Any]]
) -> dict[str, Any]:
    from advisor.report.jsonform import verdict_data

    return {
        "task": ledger.task,
        "registration": ledger.registration.hash,
        "set": {key: {"was": was, "now": now} for key, (was, now) in changes.items()},
        "not_as_registered": {key: {"was": was, "now": now} for key, (was, now)
                              in ledger.registration.changed.items()},
        "before": verdict_data(before),
        "after": verdict_data(after),
    }
