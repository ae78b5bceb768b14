"""The gate from two paths to a judgement: resolve, score what is missing, judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from advisor.config import TunedWeights
from advisor.core import Task
from advisor.errors import AdvisorError
from advisor.gate.judge import (
    Case,
    Judgement,
    Noise,
    credits,
    fails_already,
    judge,
    noise,
)
from advisor.gate.scores import Bench, Scored, score
from advisor.gate.sides import Side
from advisor.runner.journal import Journal, RunLock
from advisor.runner.plan import Plan, Watch
from advisor.runner.record import JOURNAL, Record, absent, is_run, open_record, read_trial
from advisor.trial import Trial
from advisor.verdict import Policy


@dataclass(frozen=True, slots=True)
class Gated:
    """A judgement with all that it was made from; `notes` must be read beside it."""

    task: Task
    policy: Policy
    candidate: Scored
    champion: Scored
    case: Case
    judgement: Judgement
    notes: tuple[str, ...]


def gate(candidate: Side, champion: Side, bench: Bench, watch: Watch) -> Gated:
    """Judge the candidate against the champion, measuring only what no journal holds.

    Raises AdvisorError for what cannot be measured, and Busy when another process works
    in the gate's folder. An interruption loses nothing: the same call continues.
    """
    bench.folder.mkdir(parents=True, exist_ok=True)
    policy = _policy(bench)
    sides = {"the champion": champion.recipe, "the candidate": candidate.recipe}
    watch.begin(sides, len(bench.task.test))
    with RunLock(bench.folder), Journal(bench.folder / JOURNAL) as journal:
        # The champion first: it is the one that a stored run most often holds whole.
        theirs = score(champion, bench, journal=journal, watch=watch, retention=lambda _: False)
        watch.finish("the champion", _how(theirs))
        floor = _noise(champion, theirs, bench.task, policy.alpha)
        twins = candidate.files == champion.files

        def open_still(answered: Trial) -> bool:
            """Whether what the candidate forgot could change anything, or is asked for."""
            seen = Case(answered, theirs.trial, None, twins, candidate.tuned, floor)
            return not (bench.fail_fast and fails_already(seen, policy))

        mine = score(candidate, bench, journal=journal, watch=watch, retention=open_still)
        watch.finish("the candidate", _how(mine))
    same = twins and mine.model == theirs.model
    case = Case(mine.trial, theirs.trial, mine.base, same, candidate.tuned, floor,
                unscored=candidate.tuned and mine.base is None)
    found = judge(case, policy, seed=bench.settings.seed)
    notes = _notes(mine, theirs, floor, bench)
    return Gated(bench.task, policy, mine, theirs, case, found, notes)


def _policy(bench: Bench) -> Policy:
    """The workspace's rules as they are now, for both sides."""
    nobody = {"name": "none", "digest": ""}
    plan = Plan(
        task=bench.task, recipes={}, settings=bench.settings, suites=bench.suites,
        tools=absent({"model": nobody, "embedder": nobody}), seed=bench.settings.seed,
        final=True, folder=bench.folder, data={}, code="",
    )
    return plan.policy


def _noise(champion: Side, measured: Scored, task: Task, alpha: float) -> Noise | None:
    """From the champion's other seeds, where runs with them lie beside its own."""
    if champion.record is None or not isinstance(champion.recipe.weights, TunedWeights):
        return None
    mine = credits(measured.trial)
    means = [_mean(mine)]
    for record, label in _other_seeds(champion, champion.record):
        try:
            with Journal(record.folder / JOURNAL) as journal:
                other = credits(read_trial(record, label, task=task, journal=journal))
        except AdvisorError:
            continue  # a run that is not whole says nothing of the spread
        if other.keys() == mine.keys():
            means.append(_mean(other))
    return noise(means, means[0], alpha)


def _mean(credits: dict[str, float]) -> float:
    return sum(credits.values()) / len(credits) if credits else 0.0


def _other_seeds(champion: Side, own: Record) -> Iterator[tuple[Record, str]]:
    """The champion's recipe, task and base at other seeds: in its own run, or beside it."""
    wanted, seen = own.recipe_digest(champion.name), {own.seed(champion.name)}
    for folder in [own.folder, *sorted(own.folder.resolve().parent.iterdir())]:
        if not is_run(folder):
            continue
        try:
            other = open_record(folder)
        except AdvisorError:
            continue
        if any(other.run[key]["digest"] != own.run[key]["digest"] for key in ("task", "model")):
            continue
        for label in other.measured:
            if other.recipe_digest(label) == wanted and other.seed(label) not in seen:
                seen.add(other.seed(label))
                yield other, label


def _notes(mine: Scored, theirs: Scored, floor: Noise | None, bench: Bench) -> tuple[str, ...]:
    made = [*mine.side.notes]
    if "fake" in (mine.side.base.model, theirs.side.base.model):
        made.append("The fake engine answered: this tries out the plumbing and supports no claim.")
    for one, role in ((theirs, "champion"), (mine, "candidate")):
        made.append(f"The {role} was {_how(one)}.")
    for one, role in ((theirs, "champion"), (mine, "candidate")):
        record = one.side.record
        if record is not None and record.run["task"]["digest"] != bench.task.digest:
            made.append(f"The {role}'s run was made on another version of the task; both sides "
                        "are compared on the task as it is now.")
    if mine.code != theirs.code:
        made.append("The two were measured by different versions of the software; --rescore "
                    "asks both again with this one.")
    if mine.side.base.model == theirs.side.base.model:
        if mine.model != theirs.model and mine.side.merged is None:
            made.append("The base was held in another precision, or was another version of it, "
                        "when the two were measured; --rescore asks both again here.")
    else:
        made.append(f"The base models differ: {mine.side.base.model} and {theirs.side.base.model}.")
    if floor is None and isinstance(mine.side.recipe.weights, TunedWeights):
        made.append("What training again alone does was not measured: it takes finished runs of "
                    "the champion's recipe with two other seeds beside the champion's run.")
    return tuple(made)


def _how(scored: Scored) -> str:
    return "read from its run, no model was called" if scored.read else "measured for this gate"


def default_folder(reports: Path, task: str) -> Path:
    """Where a task's gate keeps its journal and writes its report."""
    return reports / f"gate-{task}"
