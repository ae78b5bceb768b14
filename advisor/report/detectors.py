"""Signs of forgetting beside the gate: the noise floor, and how far the weights moved."""

from __future__ import annotations

from advisor.report.figures import MISSING, bounds, decimal, percent, points_measure, words
from advisor.report.model import Report, level, ranked
from advisor.report.outlook import Sheet
from advisor.verdict import Forgetting, Measure, Noise, SuiteChange

_FLOOR = (
    "Items of the accuracy suites that were right and became wrong, and the other way round. "
    "The floor is the untouched base against itself, asked in other words or with the options in "
    "another order: what flips there is no forgetting. Beyond the floor is the share lost less "
    "the floor's, paired by item."
)
_MOVED = (
    "On text that the untouched base drew itself, begun otherwise and with another seed than what "
    "tuning rehearses: the KL divergence of the tuned model from the base, and its soft "
    "cross-entropy. Near the base it does not rank contenders by what they forgot."
)


def detectors(report: Report) -> tuple[Sheet, ...]:
    """The sheets that have something to show."""
    return tuple(one for one in (_floor(report), _moved(report)) if one.lines)


def _tuned(report: Report) -> list[tuple[str, Forgetting]]:
    return [(one.contender, one.forgetting) for one in ranked(report.verdict)
            if isinstance(one.forgetting, Forgetting)]


def _floor(report: Report) -> Sheet:
    lines = [
        _line(name, change, change.noise)
        for name, found in _tuned(report)
        for change in (found.pooled, *found.suites) if change.noise is not None
    ]
    heads = (
        ("Contender", ""), ("Suite", ""), ("Lost", "1 to 0"), ("Gained", "0 to 1"),
        ("Floor lost", "base, reworded"), ("Floor gained", "base, reworded"),
        ("Floor, accuracy lost", f"points, {level(report.run)}"),
        ("Beyond the floor", f"points lost, {level(report.run)}"), ("Reading", ""),
    )
    return Sheet("Beside the noise floor", _FLOOR, heads, tuple(lines))


def _line(name: str, change: SuiteChange, noise: Noise) -> tuple[str, ...]:
    # The pooled shares weigh items alike; what is gated weighs suites alike.
    many = change.drop.n
    return (
        name, words(change.suite), percent(change.lost / many), percent(change.gained / many),
        percent(noise.lost), percent(noise.gained), points_measure(noise.drop),
        points_measure(noise.excess), "above the floor" if noise.above else "within the floor",
    )


def _moved(report: Report) -> Sheet:
    lines = [
        (name, _nats(change.drop), _nats(change.tuned), decimal(change.base.value, 3))
        for name, found in _tuned(report)
        for change in found.suites if change.metric == "nats_per_token"
    ]
    unit = f"nats per token, {level(report.run)}"
    heads = (("Contender", ""), ("KL(base, tuned)", unit), ("Soft cross-entropy", unit),
             ("The base's entropy", "nats per token"))
    return Sheet("How far the weights moved", _MOVED, heads, tuple(lines))


def _nats(found: Measure) -> str:
    shown = decimal(found.value, 3)
    return shown if shown == MISSING else f"{shown} {bounds(found, scale=1, places=3)}"
