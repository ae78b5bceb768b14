"""What a report is made from, and the questions every part of it asks of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from advisor.core import Task
from advisor.decide import Case
from advisor.report.figures import decimal, known
from advisor.trial import Trial
from advisor.verdict import Comparison, Measure, Policy, Standing, Verdict

Family = Literal["floor", "prompt", "retrieval", "tuned", "both", "served", "own"]

FAMILY_WORDS: Mapping[Family, str] = {
    "floor": "no model called",
    "prompt": "prompt only",
    "retrieval": "retrieval",
    "tuned": "tuned weights",
    "both": "retrieval and tuned weights",
    "served": "another model, behind an endpoint",
    "own": "a system of your own",
}
AXES = ("prompt", "retrieval", "weights", "decoding")
_UNSET = frozenset({"", "-", "none"})
LONG = 24  # values in a part of run.yaml; of longer parts a reader sees the name first


@dataclass(frozen=True, slots=True)
class Basis:
    """What a verdict was made from, and under which rules."""

    case: Case
    policy: Policy


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the three files are written from; they add no fact to it.

    `run` is the content of run.yaml and is shown as it is. Of its keys only
    `policy.alpha` is read, to name the level of the intervals. With a `basis` the page can
    decide again under other numbers. `plan` says how true the plan made before the run was,
    empty when none was made.
    """

    task: Task
    trials: tuple[Trial, ...]
    verdict: Verdict
    run: Mapping[str, object]
    basis: Basis | None = None
    plan: str = ""


def family(axes: Mapping[str, str]) -> Family:
    """Which kind of adaptation the four choices amount to."""
    if axes.get("prompt", "").lower() in _UNSET and axes.get("weights", "").lower() in _UNSET:
        return "floor"
    if axes.get("prompt") == "own":
        return "own"
    if axes.get("weights", "").startswith("endpoint "):
        return "served"
    reads = axes.get("retrieval", "").lower() not in _UNSET
    tuned = axes.get("weights", "").lower() not in _UNSET | {"base"}
    if reads and tuned:
        return "both"
    return "retrieval" if reads else "tuned" if tuned else "prompt"


def ranked(verdict: Verdict) -> tuple[Standing, ...]:
    """The standings, best measured quality first, unmeasured last, ties by name."""

    def rank(standing: Standing) -> tuple[float, str]:
        value = standing.quality.value
        return (-value if known(value) else float("inf"), standing.contender)

    return tuple(sorted(verdict.standings, key=rank))


def lead(verdict: Verdict) -> Standing | None:
    """Whom the report is about: the winner, else the best with fewest limits broken."""
    order = ranked(verdict)
    for standing in order:
        if standing.contender == verdict.winner:
            return standing
    return min(order, key=lambda standing: len(standing.barred_by), default=None)


def compared(verdict: Verdict, contender: str, against: str) -> Comparison | None:
    """The recorded comparison of the two, turned so that `contender` comes first."""
    for found in verdict.comparisons:
        if (found.contender, found.against) == (contender, against):
            return found
        if (found.contender, found.against) == (against, contender):
            size = found.difference
            return Comparison(
                contender=contender,
                against=against,
                difference=Measure(-size.value, -size.high, -size.low, size.n),
                method=found.method,
                p_value=found.p_value,
                detectable=found.detectable,
                rows_to_decide=found.rows_to_decide,
            )
    return None


def reference(verdict: Verdict, chosen: Standing) -> tuple[Standing, str] | None:
    """Whom to measure the chosen one against, and why that one.

    The best prompt alone, for a contender that is more than a prompt; otherwise the
    best of the others that may be used, or of all if none may. None when there is no other.
    """
    others = [one for one in ranked(verdict) if one.contender != chosen.contender]
    prompts = [one for one in others if family(one.axes) == "prompt"]
    if prompts and family(chosen.axes) != "prompt":
        return prompts[0], "the best prompt alone"
    free = [one for one in others if not one.barred_by]
    if free and free[0] is not others[0]:
        return free[0], "the best other within all limits"
    return (others[0], "the best of the others") if others else None


def first_trials(report: Report) -> dict[str, Trial]:
    """Each contender's trial at its lowest seed, in the order of the standings."""
    found: dict[str, Trial] = {}
    for trial in sorted(report.trials, key=lambda one: (one.contender, one.seed)):
        found.setdefault(trial.contender, trial)
    names = [standing.contender for standing in ranked(report.verdict)]
    rest = [name for name in found if name not in names]
    return {name: found[name] for name in [*names, *rest] if name in found}


def level(run: Mapping[str, object]) -> str:
    """`95% interval` when the run says its alpha, otherwise `interval`."""
    policy = run.get("policy")
    alpha = policy.get("alpha") if isinstance(policy, Mapping) else None
    if isinstance(alpha, int | float) and known(alpha) and 0 < alpha < 1:
        return f"{decimal((1 - alpha) * 100, 0 if round(alpha * 100, 6) % 1 == 0 else 1)}% interval"
    return "interval"


def visible(text: str, limit: int | None = None) -> str:
    """Text as it may be shown: no control characters or lone surrogates, cut at `limit`."""
    clean = "".join(map(_shown, text))
    if limit is None or len(clean) <= limit:
        return clean
    return f"{clean[:limit]}\N{HORIZONTAL ELLIPSIS} ({len(clean) - limit:,} more characters)"


def _shown(character: str) -> str:
    code = ord(character)
    hidden = (code < 32 and character not in "\n\t") or 127 <= code < 160
    return "\N{REPLACEMENT CHARACTER}" if hidden or 0xD800 <= code < 0xE000 else character
