"""Checks whose truth is built in: they must pass."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from advisor.checks.finding import Looked
from advisor.checks.rows import leakage as near_copies
from advisor.core import Example, Task
from advisor.data.digest import digest
from advisor.data.task import load_task
from advisor.errors import AdvisorError, Faults
from advisor.measures import leakage
from advisor.measures.forgetting import forgetting, suspicious
from advisor.measures.standing import forgetting_bars
from advisor.runner.leaks import BY_HEART, asked
from advisor.runner.plan import Plan
from advisor.stats import difference, p_greater, rows_to_decide
from advisor.trial import Leakage
from advisor.verdict import Forgetting, Measure, Policy

from .bench import Bench, Row, engine_of, files_of, taught, tuned_recipe

ACCURACY = ("general_knowledge", "everyday_physics", "grammar", "last_word")
SEEDS, DOSES = (0, 1, 2, 3), (1, 3, 10, 30)
REPLAYS = 200
LOST = 3  # wrong answers in a pilot: too few to tell, enough to compute from


def dosed(bench: Bench, dose: int, *, seed: int = 0, rehearsal: bool = True) -> str:
    """The name of the adapter tuned on ticket-triage at the recipe's rate times `dose`."""
    name = f"x{dose}" + (f"-seed{seed}" if seed else "") + ("" if rehearsal else "-unrehearsed")
    given = tuned_recipe(bench).weights
    weights = {"learning_rate": getattr(given, "learning_rate", 0.0) * dose}
    if not rehearsal:
        weights["rehearsal"] = 0.0
    bench.prepared(name, tuned_recipe(bench, **weights), bench.triage().material, seed)
    return name


def answered(bench: Bench, name: str, part: str) -> dict[str, float]:
    """One part of the grades of a system tuned on ticket-triage."""
    task = bench.triage()
    system = bench.prepared_again(name)
    rows = bench.credits(system, files_of(bench, name), task.test, task)
    return {row: parts.get(part, 0.0) for row, parts in rows.items()}


def same_twice(bench: Bench) -> Iterator[Row]:
    """A/A: one checkpoint, opened and measured twice."""
    name = dosed(bench, 1)
    task = bench.triage()
    rows = asked(task.material.dev, task.material.brief, 24)

    def make() -> dict[str, float]:
        losses = [leakage.losses(engine_of(bench.prepared_again(name)), rows) for _ in range(2)]
        first, again = losses
        return {"largest": max(abs(first[row] - again[row]) for row in first)}

    found = bench.kept("same twice", files_of(bench, name), make)["largest"]
    yield Row("A/A: one checkpoint opened twice", "every likelihood differs by exactly 0",
              f"largest difference {found:g}, on {len(rows)} rows", found == 0.0, True)


def seeds_alike(bench: Bench) -> Iterator[Row]:
    """A/A: four seeds of one recipe, dealt into two pairs over and over."""
    task = bench.triage()
    columns = [answered(bench, dosed(bench, 1, seed=seed), task.primary) for seed in SEEDS]
    ids = [one.question.id for one in task.test]
    table = np.array([[column[row] for row in ids] for column in columns])
    dice, won = np.random.default_rng(5), 0
    for _ in range(REPLAYS):
        order = dice.permutation(len(SEEDS))
        rows = dice.permutation(len(ids))[: len(ids) // 2]
        first, second = table[order[:2]][:, rows], table[order[2:]][:, rows]
        won += difference(first, second, np.arange(len(rows)), alpha=0.05).p_value <= 0.05
    means = ", ".join(f"{mean:.3f}" for mean in table.mean(axis=1))
    yield Row(
        "A/A: two seeds against two other seeds of one recipe",
        f"told apart in at most 6% of {REPLAYS} deals of seeds and half of the rows",
        f"{won / REPLAYS:.1%} (the seeds score {means} on {len(ids)} rows)",
        won / REPLAYS <= 0.06, True,
    )


def dose_response(bench: Bench) -> Iterator[Row]:
    """The learning rate times 1, 3, 10 and 30: more is forgotten, and the top is blocked."""
    found = {dose: forgotten(bench, dosed(bench, dose)) for dose in DOSES}
    policy = policy_of(bench, bench.triage())
    drops = [found[dose].pooled.drop.value for dose in DOSES]
    moved = [nats(found[dose]).value for dose in DOSES]
    said = "; ".join(
        f"x{dose}: {found[dose].pooled.drop.value * 100:+.1f} points lost, "
        f"{nats(found[dose]).value:.3f} nats" for dose in DOSES)
    rising = drops[-1] > drops[0] and drops[-1] == max(drops) and moved == sorted(moved)
    yield Row("dose response: learning rate x1, x3, x10, x30 on ticket-triage",
              "the divergence rises with every dose, and the top dose forgets most", said,
              rising, True)
    bars = forgetting_bars(found[30])
    yield Row("the top dose is blocked, for forgetting",
              "state fail, and the reason begins with `forgetting: `",
              f"{found[30].pooled.state}: {bars[0] if bars else 'not barred'}",
              bool(bars) and bars[0].startswith("forgetting: "), True)
    first = found[1].pooled
    yield Row(
        "dose x1 is not blocked, or its INCONCLUSIVE is explained",
        "pass; or inconclusive, and what these items could show is printed",
        f"{first.state}: {first.drop.value * 100:+.1f} points, upper bound "
        f"{first.upper * 100:.1f}, margin {policy.retention_margin * 100:.0f}, "
        f"{first.drop.n} items show no less than {(first.upper - first.drop.value) * 100:.1f}",
        first.state in ("pass", "inconclusive"), True,
    )
    yield Row("an adapter that was not applied raises the alarm",
              "the base against itself is suspicious, every dose is not",
              f"base: {suspicious(unmoved(bench))}; doses: "
              f"{[suspicious(found[dose]) for dose in DOSES]}",
              suspicious(unmoved(bench)) and not any(map(suspicious, found.values())), True)


def unmoved(bench: Bench) -> Forgetting:
    base = bench.scores(lambda: bench.tools.engine, ["base"], bench.suites(*ACCURACY, "own_text"))
    return forgetting(base, base, policy_of(bench, bench.triage()), seed=0)


def forgotten(bench: Bench, name: str) -> Forgetting:
    suites = bench.suites(*ACCURACY, "own_text")
    base = bench.scores(lambda: bench.tools.engine, ["base"], suites)
    tuned = bench.scores_of(name, suites)
    return forgetting(base, tuned, policy_of(bench, bench.triage()), seed=0)


def nats(found: Forgetting) -> Measure:
    [one] = [change.drop for change in found.suites if change.metric == "nats_per_token"]
    return one


def policy_of(bench: Bench, task: Task) -> Policy:
    return Plan(task=task, recipes={}, settings=bench.settings, suites=(), tools=bench.tools,
                seed=0, final=False, folder=bench.folder, data={}).policy


def shuffled_labels(bench: Bench) -> Iterator[Row]:
    """Answers dealt to the wrong questions teach the form of an answer, and nothing else."""
    task = bench.triage()
    train = list(task.material.train)
    answers = [one.targets for one in train]
    random.Random(11).shuffle(answers)
    wrong = tuple(replace(one, targets=answer)
                  for one, answer in zip(train, answers, strict=True))
    material = taught(task.material, wrong)
    bench.prepared("shuffled", tuned_recipe(bench), material)
    floor = bench.prepared("floor", bench.workspace.recipe("floor"), task.material)
    learnt = answered(bench, "shuffled", task.primary)
    rows = bench.credits(floor, ["floor", material.digest], task.test, task)
    majority = {row: parts[task.primary] for row, parts in rows.items()}
    gap = _gap(learnt, majority)
    yield Row(
        "shuffled labels on ticket-triage",
        "does not beat the majority answer (the base without examples does not write the form)",
        f"{_mean(learnt):.3f} against {_mean(majority):.3f}: {_points(gap.interval)}",
        gap.interval.low <= 0, True,
    )


def planted_row(bench: Bench) -> Iterator[Row]:
    """A test item that stands in train, word for word and with a word changed."""
    source = bench.workspace.task_folder("ticket-triage")
    first = (source / "test.jsonl").read_text("utf-8").splitlines()[0]
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "ticket-triage"
        shutil.copytree(source, copied)
        train = copied / "train.jsonl"
        clean = train.read_text("utf-8")
        exact = first.replace('"id": "', '"id": "planted-', 1).replace('"group": "',
                                                                       '"group": "planted-', 1)
        train.write_text(clean + exact + "\n", encoding="utf-8")
        try:
            load_task(copied)
            said = "nothing was found"
        except (Faults, AdvisorError) as fault:
            said = str(fault).splitlines()[1].strip(" -") if "\n" in str(fault) else str(fault)
        task = load_task(source)
    yield Row("a test item planted in train, word for word", "refused before anything is tuned",
              said, "train" in said and "test" in said, True)
    near = replace(task.test[0], question=replace(
        task.test[0].question, id="planted", text="Hello. " + task.test[0].question.text))
    planted = taught(task.material, (*task.material.train, near))
    looked = Looked(replace(task, material=planted), _places(task, near))
    [finding] = near_copies(looked)
    yield Row("a test item planted in train with a word more", "flagged by `advisor check`",
              finding.what, finding.severity in ("warn", "stop"), True)


def _places(task: Task, near: Example) -> dict[str, str]:
    rows = (*task.material.train, *task.material.dev, *task.test, near)
    return {one.question.id: one.question.id for one in rows}


def planted_effect(bench: Bench) -> Iterator[Row]:
    """A known share of real answers made wrong: found at the computed number of rows."""
    task = bench.triage()
    right = np.array(list(answered(bench, dosed(bench, 1), task.primary).values()))
    dice = np.random.default_rng(7)

    def pair(many: int, share: float) -> tuple[np.ndarray, np.ndarray]:
        rows = dice.integers(len(right), size=many)
        whole = right[rows]
        return whole[None], np.where(dice.random(many) < share, 0.0, whole)[None]

    for share in (0.05, 0.15):
        pilot = _exactly(right, round(LOST / share))
        gap = difference(*pilot, np.arange(pilot[0].shape[1]), alpha=0.05)
        wanted = rows_to_decide(gap, 0.0, level=0.025)
        assert wanted is not None, "the pilot is too small to tell"
        told = [p_greater(difference(*pair(wanted, share), np.arange(wanted), alpha=0.05), 0.0)
                <= 0.025 for _ in range(400)]
        yield Row(f"planted effect: {share:.0%} of real answers made wrong",
                  f"found in at least 78% of 400 draws of the computed {wanted} rows",
                  f"{np.mean(told):.1%}", float(np.mean(told)) >= 0.78, True)
    false = [difference(*pair(150, 0.0), np.arange(150), alpha=0.05).p_value <= 0.05
             for _ in range(400)]
    yield Row("no effect planted", "never told apart", f"{np.mean(false):.1%}",
              not any(false), True)


def _exactly(right: np.ndarray, many: int) -> tuple[np.ndarray, np.ndarray]:
    """A pilot of so many of the answers, of which LOST lost the mean credit of all."""
    whole = np.resize(right, many)[None]
    spoilt = whole.copy()
    whole[:, :LOST] = right[right > 0].mean()
    spoilt[:, :LOST] = 0.0
    return whole, spoilt


def by_heart(bench: Bench, train: Sequence[Example]) -> str:
    """An adapter of policy-qa that knows these rows by heart."""
    task = bench.task("policy-qa")
    recipe = tuned_recipe(bench)
    recipe = recipe.model_copy(update={"weights": BY_HEART})
    material = taught(task.material, tuple(train))
    bench.prepared("by-heart", recipe, replace(material, dev=tuple(train[:8]),
                                               digest=digest([material.digest, "by heart"])))
    return "by-heart"


def learnt_facts(bench: Bench) -> tuple[Example, ...]:
    """The changed facts that stand in train, as they were."""
    known = {one.question.id for one in bench.task("policy-qa").material.train}
    return tuple(one.before for one in bench.version("policy-qa").changed
                 if one.before.question.id in known)


def leaks_found(bench: Bench) -> Iterator[Row]:
    """Membership and extraction on an adapter that knows its rows, and on one that cannot."""
    task = bench.task("policy-qa")
    rows, others = learnt_facts(bench), task.material.dev
    learnt = _leak(bench, by_heart(bench, rows), rows, others)
    yield Row(f"leakage: an adapter that learnt {len(rows)} rows by heart is found",
              "membership above 50% and extraction above guessing, by their 95% intervals",
              f"membership {learnt.auc.value:.1%} [{learnt.auc.low:.1%}, {learnt.auc.high:.1%}], "
              f"extracted {learnt.extracted.value:.1%} against {learnt.guessed.value:.1%}",
              learnt.auc.low > 0.5 and learnt.excess.low > 0, True)
    strange = _leak(bench, dosed(bench, 1), rows, others)
    yield Row("leakage: an adapter of another task is not",
              "membership within its 95% interval of 50%",
              f"membership {strange.auc.value:.1%} [{strange.auc.low:.1%}, "
              f"{strange.auc.high:.1%}], {strange.state}", strange.state == "not found", True)


def _leak(
    bench: Bench, name: str, rows: Sequence[Example], others: Sequence[Example]
) -> leakage.Leak:
    brief = bench.task("policy-qa").material.brief
    sides = [asked(one, brief, 60) for one in (rows, others)]

    def make() -> dict[str, dict[str, float]]:
        engine = engine_of(bench.prepared_again(name))
        before = leakage.losses(bench.tools.engine, [*sides[0], *sides[1]])
        found = [leakage.side(engine, one, before) for one in sides]
        return {"tuned": dict(found[0].fall), "given": dict(found[0].given),
                "held": dict(found[1].fall), "guessed": dict(found[1].given)}

    kept = bench.kept(f"leakage of {name}", [files_of(bench, name), digest(sides)], make)
    return leakage.figures(Leakage(leakage.LeakSide(kept["tuned"], kept["given"]),
                                   leakage.LeakSide(kept["held"], kept["guessed"])))


def _gap(one: dict[str, float], other: dict[str, float]):  # type: ignore[no-untyped-def]
    ids = sorted(one)
    first, second = (np.array([[side[row] for row in ids]]) for side in (one, other))
    return difference(first, second, np.arange(len(ids)), alpha=0.05)


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)


def _points(found: Measure) -> str:
    return (f"{found.value * 100:+.1f} points [{found.low * 100:+.1f}, "
            f"{found.high * 100:+.1f}], n = {found.n}")
