"""Changed facts (built in), and checks borrowed from larger models: what is found is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from advisor.contenders.composed import Composed
from advisor.contenders.prompt import Passage, compose
from advisor.contenders.retrieval import build
from advisor.core import Example
from advisor.data.digest import digest
from advisor.engines.protocol import Engine
from advisor.measures import canaries as planting
from advisor.measures.forgetting import forgetting
from advisor.measures.freshness import is_stale
from advisor.measures.recall import right_passages
from advisor.measures.rewording import reworded
from advisor.stats import measure
from advisor.trial import FreshAnswers, Reworded, Secret

from .bench import Bench, Row, engine_of, files_of, taught, tuned_recipe
from .planted import ACCURACY, answered, by_heart, dosed, learnt_facts, policy_of

EVERY = 3  # of the changed facts one in so many is put to the contender that reads


def stale_facts(bench: Bench) -> Iterator[Row]:
    """Facts that changed: weights that knew them stay with the old, what reads follows."""
    task, version = bench.task("policy-qa"), bench.version("policy-qa")
    after = {one.before.question.id: one.after for one in version.changed}
    rows = learnt_facts(bench)
    name = by_heart(bench, rows)
    tuned = _pairs(bench, name, files_of(bench, name), rows, after)
    stale, anew = _shares(tuned)
    yield Row("stale facts: weights that know the old ones",
              "at least half of the changed facts answered as they were, at most 1 in 10 anew",
              f"stale {stale:.1%}, anew {anew:.1%} of {len(rows)}",
              stale >= 0.5 and anew <= 0.1, True)
    recipe = bench.workspace.recipe("rag")
    asked = [one.before for one in version.changed][::EVERY]
    bench.prepared("rag", recipe, task.material)
    system = bench.prepared_again("rag")
    assert isinstance(system, Composed), "rag is composed"
    assert system.index is not None
    found = {}
    for state, documents in (("before", task.material.corpus),
                             ("after", version.corpus(task.material.corpus)),
                             ("both", version.both(task.material.corpus))):
        def index(documents: Sequence[object] = documents) -> Composed:
            made = build(documents, recipe.retrieval, embedder=bench.tools.embedder)  # type: ignore[arg-type]
            return replace(system, index=made)

        found[state] = _shares(_graded(bench, index, [f"rag {state}", files_of(bench, "rag"),
                                                      digest(documents)], asked, after))
    said = "; ".join(f"{state}: anew {anew:.1%}, stale {stale:.1%}"
                     for state, (stale, anew) in found.items())
    yield Row("stale facts: what reads follows its documents",
              "with the new documents more is answered anew, and less is stale, than with the old",
              f"{said}, of {len(asked)}",
              found["after"][1] > found["before"][1] and found["after"][0] < found["before"][0],
              True)


def _pairs(
    bench: Bench, name: str, identity: object, rows: Sequence[Example],
    after: Mapping[str, Example],
) -> FreshAnswers:
    return _graded(bench, lambda: bench.prepared_again(name), [name, identity], rows, after)


def _graded(bench, make, identity, rows, after) -> FreshAnswers:  # type: ignore[no-untyped-def]
    """Each answer against the old and the new targets; the system is made when it is needed."""
    from advisor.measures.scorers import grade

    task = bench.task("policy-qa")

    def ask() -> dict[str, object]:
        by_id = {one.question.id: one for one in rows}
        found = {}
        for answer in make().answer([one.question for one in rows]):
            before = by_id[answer.question_id]
            credits = [grade(answer, one, task.scorer, primary=task.primary).credit
                       for one in (after[answer.question_id], before)]
            found[answer.question_id] = credits
        return {"pairs": found}

    stored = bench.kept(f"changed facts, {identity[0]}", [identity, digest(list(rows))], ask)
    return FreshAnswers("before", {row: (new, old) for row, (new, old) in
                                   stored["pairs"].items()}, {})


def _shares(found: FreshAnswers) -> tuple[float, float]:
    """The share that is stale, and the share answered anew."""
    pairs = list(found.changed.values())
    return (sum(map(is_stale, pairs)) / len(pairs),
            sum(is_stale((old, new)) for new, old in pairs) / len(pairs))


def right_passage(bench: Bench) -> Iterator[Row]:
    """Invented facts: with the passage that holds the answer, and closed book."""
    task = bench.task("policy-qa")
    rows = task.test[::4]
    recipe = bench.workspace.recipe("zero-shot")
    spec = bench.workspace.recipe("rag").retrieval
    bench.prepared("closed-book", recipe, task.material)

    def closed() -> Composed:
        system = bench.prepared_again("closed-book")
        assert isinstance(system, Composed), "it is composed"
        return system

    def given() -> dict[str, object]:
        index = build(task.material.corpus, spec, embedder=bench.tools.embedder)
        passages: list[tuple[Passage, ...]] = []
        for one in rows:
            passages.append((index.passages[min(right_passages(one, index.passages))],))
        from advisor.measures.scorers import grade

        system = replace(closed(), index=index)
        by_id = {one.question.id: one for one in rows}
        found = {}
        for answer in system.answer([one.question for one in rows], given=passages):
            found[answer.question_id] = grade(
                answer, by_id[answer.question_id], task.scorer, primary=task.primary).credit
        return {"credits": found}

    oracle = bench.kept("right passage", digest(list(rows)), given)["credits"]
    book = bench.credits(closed(), ["closed book", task.material.digest], rows, task)
    gain = np.array([oracle[row] - parts[task.primary] for row, parts in book.items()])
    found = measure(list(gain), list(book), seed=0, bounded=False)
    yield Row("invented facts: the right passage against closed book", "at least 25 points more",
              f"{found.value * 100:+.1f} points [{found.low * 100:+.1f}, {found.high * 100:+.1f}], "
              f"n = {found.n}", found.value >= 0.25, False)


def strict_form(bench: Bench) -> Iterator[Row]:
    """A strict format: a few tuned rows against solved examples in the prompt."""
    task = bench.triage()
    tuned = answered(bench, dosed(bench, 1), "valid")
    bench.prepared("few-shot", bench.workspace.recipe("few-shot"), task.material)
    shots = answered(bench, "few-shot", "valid")
    one, other = (sum(side.values()) / len(side) for side in (tuned, shots))
    yield Row(f"strict form: {len(task.material.train)} tuned rows against 4 solved examples",
              "at least 95% valid, and 20 points more (of 100 to 300 rows, in larger models)",
              f"{one:.1%} against {other:.1%} of {len(tuned)}",
              one >= 0.95 and one - other >= 0.2, False)


def noise_floor(bench: Bench) -> Iterator[Row]:
    """The untouched base asked in other words, beside what the shipped recipe flips."""
    suites = bench.suites(*ACCURACY)
    base = bench.scores(lambda: bench.tools.engine, ["base"], suites)
    stored = bench.kept("reworded", [suite.digest for suite in suites], lambda: {
        "reworded": [asdict(one) for one in reworded(bench.tools.engine, suites, base)]})
    found = [Reworded(**one) for one in stored["reworded"]]
    said = []
    for dose in (1, 30):
        tuned = bench.scores_of(dosed(bench, dose), suites)
        pooled = forgetting(base, tuned, policy_of(bench, bench.triage()), seed=0,
                            reworded=found).pooled
        assert pooled.noise is not None, "every shipped suite names rewordings"
        said.append((pooled, pooled.noise))
    (light, floor), (_, heavy) = said
    yield Row(
        "noise floor: the base in other words, and tuning at x1 and x30",
        "5 to 13% of answers change at flat accuracy; x30 is above the floor",
        f"{floor.lost + floor.gained:.1%} change (lost {floor.lost:.1%}, gained "
        f"{floor.gained:.1%}, {len(found)} rewordings); beyond the floor x1 "
        f"{floor.excess.value * 100:+.1f} points [{floor.excess.low * 100:+.1f}, "
        f"{floor.excess.high * 100:+.1f}] of {light.drop.n}, x30 "
        f"{heavy.excess.value * 100:+.1f}",
        heavy.above and 0.05 <= floor.lost + floor.gained <= 0.13, False,
    )


def divergence_and_loss(bench: Bench) -> Iterator[Row]:
    """Whether the divergence on the base's own text foretells the loss on other prose."""
    names = [dosed(bench, dose) for dose in (1, 3, 10, 30)]
    names += [dosed(bench, 1, seed=seed) for seed in (1, 2, 3)]
    names += [dosed(bench, dose, rehearsal=False) for dose in (1, 3, 10, 30)]
    names += ["shuffled", "by-heart"]
    suites = bench.suites("own_text", "plain_text")
    base = {name: _mean(scores.values) for name, scores in
            bench.scores(lambda: bench.tools.engine, ["base"], suites).items()}
    points = []
    for name in names:
        tuned = {suite: _mean(scores.values) for suite, scores in
                 bench.scores_of(name, suites).items()}
        points.append([tuned[suite] - base[suite] for suite in ("own_text", "plain_text")])
    table = np.array(points)
    r2 = float(np.corrcoef(table[:, 0], table[:, 1])[0, 1] ** 2)
    near = table[table[:, 0] < np.median(table[:, 0])]
    r2_near = float(np.corrcoef(near[:, 0], near[:, 1])[0, 1] ** 2)
    yield Row(f"KL to the base against the loss on plain text, {len(names)} adapters",
              "R2 at least .5, and no ranking claimed near the base",
              f"R2 {r2:.2f}; {r2_near:.2f} among the {len(near)} nearest (KL below "
              f"{np.median(table[:, 0]):.3f})", r2 >= 0.5, False)


def canaries(bench: Bench) -> Iterator[Row]:
    """Secrets planted in train once, 4 and 16 times: how far up they come among as many."""
    task = bench.task("policy-qa")
    secrets, codes = planting.canaries(13)
    rows = planting.planted(task.material.train[:40], secrets, 13)
    name = "canaries"
    bench.prepared(name, tuned_recipe(bench, epochs=3), taught(task.material, rows))
    prompts = [compose(task.material.brief, one.question) for one in secrets]
    identity = [digest(secrets), digest(codes)]

    def bits(make: Callable[[], Engine]) -> Callable[[], dict[str, object]]:
        return lambda: {"bits": planting.exposures(make(), prompts, secrets, codes)}

    tuned = bench.kept("canaries of tuned", [files_of(bench, name), identity],
                       bits(lambda: engine_of(bench.prepared_again(name))))["bits"]
    base = bench.kept("canaries of base", identity, bits(lambda: bench.tools.engine))["bits"]
    found = planting.figures([Secret(one.copies, *both) for one, *both in
                              zip(secrets, tuned, base, strict=True)])
    plain = float(np.mean(base))
    said = ", ".join(f"{one.copies}x {one.bits:.1f}" for one in found)
    yield Row(
        f"canaries, {len(secrets)} planted 1, 4 or 16 times, among {planting.CODES} codes",
        "exposure rises with the copies; about 1.44 bits in the base",
        f"{said} bits; base {plain:.1f} ({len(secrets)} canaries: 95% of such means lie within "
        "0.7 to 2.3)",
        found[-1].bits > found[0].bits and 0.7 <= plain <= 2.3, False)


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)
