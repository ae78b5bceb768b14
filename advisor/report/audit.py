"""What could make the figures mean less than they seem to, checked on the raw rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from advisor.report.conditions import Check, conditions
from advisor.report.figures import listed, milliseconds, plural, whole, words
from advisor.report.model import Report, first_trials, ranked
from advisor.verdict import Counts, Forgetting


def audit(report: Report) -> tuple[Check, ...]:
    """The checks in the order a reviewer would ask for them."""
    return (
        _final(report),
        *_registered(report),
        *_planned(report),
        _entered(report),
        _same_items(report),
        *conditions(report),
        _groups(report),
        _unread(report),
        _shortened(report),
        *_made_up(report),
        _probe(report),
        _same_text(report),
        _gates(report),
        _seeds(report),
    )


def _final(report: Report) -> Check:
    if report.verdict.final:
        return Check("ok", "Final", "Measured on the locked test split.")
    return Check("note", "Not final", "A limited or incomplete run: read it as a trial.")


def _planned(report: Report) -> tuple[Check, ...]:
    """What `advisor plan` foresaw, set against what was measured."""
    if not report.plan:
        return ()
    return (Check("note", "Foreseen", f"The plan that was made before the run: {report.plan}."),)


def _registered(report: Report) -> tuple[Check, ...]:
    """Whether the rules were settled before the first answer, and stand."""
    found = report.run.get("registration")
    if not isinstance(found, Mapping):
        return ()
    seal = "Margins, limits, prices, alpha, split and sources are registered as "
    seal += str(found["hash"])[:16]
    if found["answers_before"]:
        text = f"{seal}, but only after {plural(found['answers_before'], 'answer')}."
        return (Check("note", "Rules registered late", text),)
    if found["changed"]:
        moved = [f"{name} from {was} to {now}" for name, (was, now) in found["changed"].items()]
        text = f"{seal}; changed since: {listed(moved, 8)}."
        return (Check("note", "Rules changed since", text),)
    return (Check("ok", "Rules registered first", f"{seal}, before the first answer."),)


def _entered(report: Report) -> Check:
    failed, skipped = _reasons(report, "failed"), _reasons(report, "skipped")
    if failed:
        return Check("fault", "Contenders not measured", f"{listed(failed + skipped, 12)}.")
    if skipped:
        text = f"They do not fit the task: {listed(skipped, 12)}."
        return Check("note", "Contenders left out", text)
    return Check("ok", "Every contender was measured", "None failed and none was left out.")


def _reasons(report: Report, key: str) -> list[str]:
    found = report.run.get(key)
    if not isinstance(found, Mapping):
        return []
    alike: dict[str, list[str]] = {}
    for name, why in found.items():
        alike.setdefault(str(why).rstrip("."), []).append(name)
    return [f"{listed(names, 12)} ({why})" for why, names in alike.items()]


def _same_items(report: Report) -> Check:
    asked = Counter(example.question.id for example in report.task.test)
    wrong = []
    for trial in report.trials:
        given = Counter(row.example.question.id for row in trial.rows)
        lacking, extra = (asked - given).total(), (given - asked).total()
        if lacking or extra:
            wrong.append(f"{trial.contender} lacks {lacking:,} and has {extra:,} too many")
    if wrong:
        return Check("fault", "Not the same items", f"{listed(wrong)}.")
    count = plural(len(report.task.test), "item")
    return Check("ok", "Same items", f"All contenders answered the same {count}.")


def _groups(report: Report) -> Check:
    items, groups = len(report.task.test), len({example.group for example in report.task.test})
    text = f"{plural(items, 'item')} cut from {plural(groups, 'source')}"
    if groups < 30:
        return Check("note", "Few sources", f"{text}; an interval over so few is rough.")
    return Check("ok", "Enough sources", f"{text}, which are resampled together.")


def _counted(report: Report, kinds: tuple[str, ...]) -> list[str]:
    found = []
    for one in ranked(report.verdict):
        said = [
            f"{getattr(one.counts, kind):,} {words(kind)}"
            for kind in kinds
            if getattr(one.counts, kind)
        ]
        if said:
            found.append(f"{one.contender} {', '.join(said)}")
    return found


def _unread(report: Report) -> Check:
    found = _counted(report, ("failed", "unreadable", "empty"))
    if not found:
        return Check("ok", "Every answer was read", "None failed, was empty or unreadable.")
    text = f"{listed(found, 12)}. Empty and unreadable answers earn 0; failed ones are not graded."
    return Check("note", "Answers that could not be read", text)


def _shortened(report: Report) -> Check:
    found = [
        f"{one.contender} {_share(one.counts)}"
        for one in ranked(report.verdict)
        if one.counts.shortened_prompts
    ]
    if not found:
        return Check("ok", "No prompt was shortened", "Everything fitted into the context.")
    return Check("note", "Shortened prompts", f"Text was left out to fit: {listed(found, 12)}.")


def _made_up(report: Report) -> tuple[Check, ...]:
    """Told only where contenders must cite and cited what they never read."""
    found = []
    for name, trial in first_trials(report).items():
        if many := sum(bool(row.answer.made_up) for row in trial.rows):
            found.append(f"{name} {many:,} of {len(trial.rows):,}")
    if not found:
        return ()
    text = f"Answers that cite a passage that was not read: {listed(found, 12)}."
    return (Check("note", "Made-up citations", text),)


def _share(counts: Counts) -> str:
    return f"{counts.shortened_prompts:,} of {counts.asked:,}"


def _probe(report: Report) -> Check:
    sizes = sorted({one.cost.probe_n for one in report.verdict.standings})
    limit = report.task.context.latency_limit_ms
    bound = "no limit was set" if limit is None else f"limit of p95 {milliseconds(limit)}"
    span = " to ".join(whole(size) for size in dict.fromkeys((sizes or [0])[:1] + sizes[-1:]))
    text = f"Latency is from {span} calls a contender, made one at a time; {bound}."
    if not sizes or sizes[0] < 20:
        return Check("note", "Short latency probe", f"{text} Fewer than 20 cannot show a p95.")
    return Check("ok", "Latency probe", text)


def _same_text(report: Report) -> Check:
    found = []
    for name, trial in first_trials(report).items():
        calls = len(trial.probe.latencies_ms)
        if trial.probe.same_text < calls:
            found.append(f"{name} {trial.probe.same_text:,} of {calls:,}")
    if not found:
        return Check("ok", "Probe and batch agree", "Each probe call gave the batched run's text.")
    text = f"Equal to the batched run's text: {listed(found, 12)}; the others all."
    return Check("note", "Probe and batch differ", text)


def _gates(report: Report) -> Check:
    tuned = [one for one in report.verdict.standings if isinstance(one.forgetting, Forgetting)]
    if not tuned:
        return Check("ok", "Forgetting", "No weights were changed, so nothing can be forgotten.")
    weak = sorted(
        {
            words(change.suite)
            for one in tuned
            if isinstance(one.forgetting, Forgetting)
            for change in one.forgetting.suites
            if change.state == "cannot_gate"
        }
    )
    if not weak:
        return Check("ok", "Every suite can gate", "The base clears guessing on each of them.")
    text = f"{listed(weak, 12)}: the base is too close to guessing for a loss to show."
    return Check("note", "Suites that cannot gate", text)


def _seeds(report: Report) -> Check:
    seeds = Counter(trial.contender for trial in report.trials)
    most = max(seeds.values(), default=0)
    if most <= 1:
        text = "One seed a contender: the intervals hold item noise, not the luck of training."
        return Check("note", "One seed", text)
    text = f"Up to {whole(most)} seeds a contender; those that no seed can change have one."
    return Check("ok", "Seeds", text)
