"""Changed facts and leakage: what may go wrong after the verdict, as sheets."""

from __future__ import annotations

from advisor.measures import canaries, freshness, leakage
from advisor.report.figures import (
    MISSING,
    bounds,
    decimal,
    percent,
    percent_measure,
    points_measure,
)
from advisor.report.jsonform import ALPHA
from advisor.report.model import Report, first_trials, level
from advisor.report.outlook import Sheet
from advisor.trial import IndexState, Secret, Trial
from advisor.verdict import Measure

INDEX_WORDS: dict[IndexState, str] = {
    "before": "as it was", "after": "new documents", "both": "old and new documents",
}
_FRESH = (
    "Some facts were changed, in the documents and in the accepted answers; the weights and the "
    "solved examples stayed as they were. Anew: the answer is nearer the new answers than the old "
    "ones; stale: nearer the old ones. Rows of train are asked as well, for what was "
    "learnt there is what goes stale, so this is not the quality above. The cost of renewing "
    "follows the stale share."
)
_LEAKS = (
    "Rows of train beside rows of dev, put to the tuned weights. Membership: how often the loss on "
    "a train row fell further than on a dev row (50%: nothing shows who was there). Extracted: the "
    "whole answer, greedily, from the first half of the question; dev shows what can be guessed. "
    "By heart: the same for an adapter that was made to learn its rows by heart, without which a "
    "quiet test says nothing. Planted secrets: made-up codes among the train rows of a twin, tuned "
    "alike; bits of exposure, by how often each was planted, beside the untouched base (chance: "
    "1.4 on average), and from how many copies on it is beyond chance. No limit is held against "
    "these figures."
)


def trust(report: Report) -> tuple[Sheet, ...]:
    """The sheets that have something to show."""
    return tuple(one for one in (_fresh(report), _leaks(report)) if one.lines)


def _fresh(report: Report) -> Sheet:
    trials = first_trials(report)
    lines = [line for name, trial in trials.items() for line in _states(name, trial)]
    dates = {trial.fresh.date for trial in trials.values() if trial.fresh is not None}
    shown = level(report.run)
    heads = (("Contender", ""), ("Documents", "read"), ("Anew", f"changed facts, {shown}"),
             ("Stale", f"changed facts, {shown}"), ("Unchanged facts", f"credit, {shown}"),
             ("n", "changed"))
    return Sheet(f"Facts as of {', '.join(sorted(dates))}", _FRESH, heads, tuple(lines))


def _states(name: str, trial: Trial) -> list[tuple[str, ...]]:
    if trial.fresh is None:
        return []
    reads = len(trial.fresh.answers) > 1
    return [
        (name, INDEX_WORDS[one.index] if reads else "none", percent_measure(one.anew),
         percent_measure(one.stale), _or_missing(one.unchanged), str(one.anew.n))
        for one in freshness.figures(trial.fresh, alpha=ALPHA)
    ]


def _or_missing(found: Measure | None) -> str:
    return MISSING if found is None else percent_measure(found)


def _leaks(report: Report) -> Sheet:
    lines = []
    for name, trial in first_trials(report).items():
        if trial.leakage is None:
            continue
        found, power = leakage.figures(trial.leakage), trial.leakage.power
        heart = leakage.figures(power) if power is not None else None
        lines.append((
            name, _share(found.auc), percent(found.caught), _share(found.extracted),
            _share(found.guessed), points_measure(found.excess),
            MISSING if heart is None else f"{decimal(heart.auc.value * 100)}%, "
            f"{percent(heart.extracted.value)}",
            _secrets(trial.leakage.secrets), found.state,
        ))
    shown = level(report.run)
    heads = (("Contender", ""), ("Membership", shown), ("Caught", "at 1% false alarms"),
             ("Extracted", f"train, {shown}"), ("Guessed", f"dev, {shown}"),
             ("Beyond guessing", "points"), ("By heart", "membership, extracted"),
             ("Planted secrets", "bits by copies"), ("Leakage", ""))
    return Sheet("Leakage", _LEAKS, heads, tuple(lines))


def _secrets(found: tuple[Secret, ...]) -> str:
    """How far up planted secrets come, and how often one must be planted to be kept."""
    if not found:
        return MISSING
    shown = canaries.figures(found)
    base = sum(one.base_bits for one in found) / len(found)
    bits = ", ".join(f"{one.copies}x {decimal(one.bits)}" for one in shown)
    kept = [one.copies for one in shown if one.kept]
    reading = f"kept from {min(kept)} on" if kept else "none kept"
    return f"{bits}; base {decimal(base)}: {reading}"


def _share(found: Measure) -> str:
    return f"{percent(found.value)} {bounds(found)}"
