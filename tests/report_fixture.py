"""A made-up but plausible report, the same for the same seed: 8 contenders, 4 of them tuned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from math import sqrt

from advisor.core import (
    Answer,
    Context,
    Example,
    Grade,
    Material,
    Question,
    ScorerSpec,
    Task,
    Usage,
)
from advisor.report import Report
from advisor.trial import (
    FreshAnswers,
    Freshness,
    IndexState,
    Leakage,
    LeakSide,
    PrepareCost,
    Probe,
    Row,
    SuiteScores,
    Trial,
)
from advisor.verdict import (
    UNCHANGED,
    BreakEven,
    Chance,
    Comparison,
    Cost,
    Counts,
    Flip,
    Forgetting,
    GateState,
    Measure,
    MoreRows,
    Noise,
    Outcome,
    Outlook,
    SeedSpread,
    Slice,
    Standing,
    SuiteChange,
    Verdict,
)

PRODUCTS = ("router", "mesh node", "set-top box", "modem", "SIM card", "fibre socket")
TROUBLES = (
    "drops the line every evening",
    "shows a red light",
    "was billed twice",
    "arrived without a power supply",
    "cannot be registered",
    "is slower than ordered",
)
QUEUES = ("network", "hardware", "billing", "delivery", "account")
SUITES = ("general_knowledge", "everyday_physics", "grammar", "last_word")


@dataclass(frozen=True)
class Kind:
    """What a made-up contender is like: its skill 0..1, its cost, and what it forgets."""

    name: str
    axes: tuple[str, str, str, str]
    skill: float
    usd: float
    ms: float
    tokens: int
    drop: float | None = None
    barred: tuple[str, ...] = ()


KINDS = (
    Kind("majority", ("none", "-", "-", "-"), 0.20, 0.0, 0.1, 0),
    Kind("zero-shot", ("zero-shot", "none", "base", "free"), 0.38, 0.041, 212, 148),
    Kind("few-shot-8", ("8 fixed shots", "none", "base", "free"), 0.58, 0.088, 264, 902),
    Kind("nearest-8", ("8 nearest shots", "none", "base", "free"), 0.66, 0.147, 391, 918),
    Kind("rag", ("zero-shot", "dense top 3", "base", "free"), 0.55, 0.093, 318, 644),
    Kind("lora", ("zero-shot", "none", "LoRA r=16", "free"), 0.89, 0.044, 221, 148, 0.008),
    Kind(
        "qlora",
        ("zero-shot", "none", "LoRA r=16 on nf4", "free"),
        0.87,
        0.121,
        508,
        148,
        0.021,
        ("forgetting is inconclusive: upper bound 5.6 points over the margin of 5.0",),
    ),
    Kind(
        "rag-lora",
        ("zero-shot", "dense top 3", "LoRA r=16", "free"),
        0.90,
        0.099,
        655,
        644,
        0.011,
        ("p95 latency 983 ms is over the limit of 800 ms",),
    ),
)


def build_report(
    seed: int = 0,
    *,
    rows: int = 150,
    outcome: Outcome = "recommend",
    final: bool = True,
    hostile: tuple[str, ...] = (),
) -> Report:
    """The report; `hostile` texts are dealt out wherever a model or a user can write."""
    dice = random.Random(seed)
    task = _task(dice, rows, hostile)
    trials = tuple(_trial(kind, task, dice, hostile) for kind in KINDS)
    standings = tuple(
        _standing(kind, trial, outcome) for kind, trial in zip(KINDS, trials, strict=True)
    )
    winner = "lora" if outcome == "recommend" else None
    best = next(trial for trial in trials if trial.contender == "lora")
    comparisons = tuple(_comparison(best, trial) for trial in trials if trial is not best)
    because = _because(outcome) + hostile[:2]
    verdict = Verdict(
        outcome, winner, because, _next_step(outcome), standings, comparisons, final,
        outlook=_outlook(outcome), seeds=(_seeds(rows),), slices=_slices(rows, hostile),
    )
    return Report(task, trials, verdict, _run(seed, hostile))


def _outlook(outcome: Outcome) -> Outlook:
    becomes = "zero-shot" if outcome == "recommend" else "lora"
    return Outlook(
        about="lora",
        chances=(Chance("lora", 0.93, 1.0, None), Chance("nearest-8", 0.07, 0.2, None)),
        regret=0.0012,
        regret_usd=None,
        more=MoreRows(150, 0.0008, None, 18.0, 0.0094),
        front=("majority", "zero-shot", "lora"),
        break_even=(BreakEven("lora", "nearest-8", None), BreakEven("rag", "lora", 2100.4)),
        flips=(
            Flip("volume", "calls a month", 200_000.0, 3100.0, becomes, (20.0, 2e9)),
            Flip("margin", "points of quality", 0.05, 0.31, "none_feasible", (0.0, 0.5)),
            Flip("churn", "of the facts a month", 0.02, None, "lora", (0.0, 1.0)),
            Flip("value", "USD a correct answer", None, 0.00012, "cannot_tell", (1e-9, 1e3)),
        ),
    )


def _seeds(rows: int) -> SeedSpread:
    checkpoint, recipe = Measure(0.89, 0.85, 0.92, rows), Measure(0.89, 0.82, 0.94, rows)
    return SeedSpread("lora", (0, 1, 2), (0.89, 0.87, 0.91), 0.02, checkpoint, recipe)


def _slices(rows: int, hostile: tuple[str, ...]) -> tuple[Slice, ...]:
    values = ("gold", "trade", *hostile[:2])
    return tuple(
        Slice("lora", "customer_tier", value, Measure(0.9 - 0.1 * at, 0.7 - 0.1 * at, 0.95, rows),
              Measure(0.05 - 0.1 * at, -0.2, 0.1, rows), 0.03, 0.04, at == 0)
        for at, value in enumerate(values)
    )


def _because(outcome: Outcome) -> tuple[str, ...]:
    if outcome == "recommend":
        return (
            "It holds every limit: p95 latency under 800 ms, pooled forgetting within 5.0 "
            "points, no failed call.",
            "rag-lora is not better by the margin of 5.0 points, and breaks the latency limit.",
            "Preparation is done once; it has paid for itself after 2,100 calls.",
        )
    if outcome == "cannot_tell":
        return ("The interval of the difference reaches over the margin of 5.0 points.",)
    return ("Every contender breaks the latency limit or the quality floor.",)


def _next_step(outcome: Outcome) -> str:
    return {
        "recommend": "advisor ship reports/tickets --contender lora",
        "cannot_tell": "Add about 420 test rows, then: advisor run tickets --resume",
        "none_feasible": "Add training rows, or lower the floor in evals/tickets/task.yaml.",
    }[outcome]


def _task(dice: random.Random, rows: int, hostile: tuple[str, ...]) -> Task:
    poison = cycle(hostile) if hostile else None
    test = []
    for index in range(rows):
        product, trouble = dice.choice(PRODUCTS), dice.choice(TROUBLES)
        text = f"My {product} {trouble} since {dice.randint(2, 28)} March, contract "
        text += f"{dice.randint(10_000, 99_999)}. {'Please call me back. ' * dice.randint(0, 4)}"
        if poison:
            text += next(poison)
        target = f'{{"product": "{product}", "queue": "{dice.choice(QUEUES)}", "urgent": false}}'
        question = Question(f"tickets-{index:04d}", text)
        test.append(Example(question, (target,), f"mail-{index * 2 // 5:03d}"))
    material = Material("File the ticket as JSON.", "File it.", (), (), (), 64, (), "sha256:5e1f")
    context = Context(200_000, 0.02, 800.0, "eu")
    spec = ScorerSpec("json", ("product", "queue", "urgent"))
    title = "File support tickets" + (hostile[0] if hostile else "")
    return Task(
        "tickets",
        title,
        material,
        tuple(test),
        spec,
        "field_accuracy",
        0.2,
        context,
        "sha256:91be22c07d",
    )


def _trial(kind: Kind, task: Task, dice: random.Random, hostile: tuple[str, ...]) -> Trial:
    poison = cycle(hostile) if hostile else None
    made = []
    for example in task.test:
        made.append(_row(kind, example, dice, next(poison) if poison else ""))
    tuned = kind.drop is not None
    losses = [2.1 * 0.55**step + 0.34 + dice.uniform(0, 0.03) for step in range(8)]
    losses[-1] += 0.05
    train = [loss * 0.93 - 0.012 * at for at, loss in enumerate(losses)]
    prepare = PrepareCost(
        seconds=dice.uniform(300, 700) if tuned else dice.uniform(0.2, 9),
        tokens_trained=1_204_224 if tuned else 0,
        artefact_bytes=9_700_000 if tuned else 2_100 if kind.tokens else 120,
        dev_loss=tuple(losses) if tuned else (),
        train_loss=tuple(train) if tuned else (),
    )
    probe = Probe(
        tuple(kind.ms * dice.uniform(0.9, 1.5) for _ in range(24)),
        24 if kind.name != "qlora" else 22,
        812.0 if kind.tokens else float("nan"),
    )
    axes = dict(zip(("prompt", "retrieval", "weights", "decoding"), kind.axes, strict=True))
    scores = SuiteScores("grammar", "acc", 0.5, {"g1": 1.0}) if tuned else None
    retention = {"grammar": scores} if scores else None
    trial = Trial(kind.name, 0, "sha256:77aa", tuple(made), retention, prepare, probe, axes)
    leakage = _leakage(random.Random(kind.name)) if tuned else None
    return replace(trial, leakage=leakage, fresh=_fresh(kind, made))


def _leakage(dice: random.Random) -> Leakage:
    def side(fall: float, given: int) -> LeakSide:
        return LeakSide({f"r{at}": dice.gauss(fall, 1.0) for at in range(40)},
                        {f"r{at}": float(at < given) for at in range(40)})

    heart = Leakage(side(4.0, 30), side(0.0, 1))
    return Leakage(side(0.4, 3), side(0.0, 1), power=heart)


def _fresh(kind: Kind, rows: Sequence[Row]) -> Freshness | None:
    if not kind.tokens:
        return None
    ids = [row.example.question.id for row in rows[:40]]
    states: tuple[IndexState, ...] = ("before",)
    if "dense" in kind.axes[1]:
        states = ("before", "after", "both")
    answers = tuple(FreshAnswers(
        state, {row: (float(state == "after"), float(state == "before")) for row in ids[:20]},
        dict.fromkeys(ids[20:], 1.0)) for state in states)
    return Freshness("2027-01-01", answers, {row: row for row in ids})


def _row(kind: Kind, example: Example, dice: random.Random, poison: str) -> Row:
    usage = Usage(kind.tokens, 31, kind.ms / 4000)
    passages: tuple[str, ...] = ()
    if "dense" in kind.axes[1]:
        passages = (
            f"Section 4.2: tickets about a {PRODUCTS[0]} go to network. {poison}",
            "Section 1.1: a ticket is urgent when a line is down for more than a day.",
        )
    if kind.name == "qlora" and dice.random() < 0.01:
        answer = Answer(example.question.id, "", usage, failure=f"out of memory {poison}")
        return Row(example, answer, Grade(None, "", "no answer was produced", "failed"))
    if kind.name == "zero-shot" and dice.random() < 0.12:
        answer = Answer(example.question.id, f"Sure! Here is your ticket: {poison}", usage)
        grade = Grade(0.0, "", f"no JSON object found {poison}", "unreadable", {"valid": 0.0})
        return Row(example, answer, grade)
    hard = (int(example.question.id[-4:]) * 7919 % 97) / 97
    right = sum(dice.random() < min(0.999, kind.skill * (1.18 - 0.36 * hard)) for _ in range(3))
    text = example.targets[0]
    if right < 3:
        text = text.replace("false", "true").replace("network", "billing")
    answer = Answer(
        example.question.id,
        text + poison,
        usage,
        ("guide.md",),
        passages,
        ("shot 8",) if kind.name == "nearest-8" and hard > 0.97 else (),
    )
    why = f"{right} of 3 fields equal" + ("" if right == 3 else "; queue: wanted network")
    parts = {"field_accuracy": right / 3, "exact": float(right == 3), "valid": 1.0}
    return Row(example, answer, Grade(right / 3, text + poison, why, "read", parts))


def _measure(values: list[float]) -> Measure:
    n = len(values)
    mean = sum(values) / n
    half = 1.96 * sqrt(sum((one - mean) ** 2 for one in values) / n / n)
    return Measure(mean, max(mean - half, 0.0), min(mean + half, 1.0), n)


def _standing(kind: Kind, trial: Trial, outcome: Outcome) -> Standing:
    grades = [row.grade for row in trial.rows]
    quality = _measure([grade.credit for grade in grades if grade.credit is not None])
    parts = {
        part: _measure([grade.parts.get(part, 0.0) for grade in grades if grade.status != "failed"])
        for part in ("field_accuracy", "exact", "valid")
    }
    status = [grade.status for grade in grades]
    counts = Counts(
        len(grades),
        status.count("read"),
        status.count("empty"),
        status.count("unreadable"),
        status.count("failed"),
        sum(bool(row.answer.dropped) for row in trial.rows),
    )
    latencies = sorted(trial.probe.latencies_ms)
    cost = Cost(
        kind.usd,
        kind.usd + (0.021 if kind.drop is not None else 0.0),
        latencies[12],
        latencies[22],
        24,
        float(kind.tokens),
        31.0,
        kind.ms / 4000,
        trial.probe.peak_memory_mib,
        trial.prepare.seconds,
        trial.prepare.artefact_bytes,
    )
    barred = () if outcome == "cannot_tell" else kind.barred
    if outcome == "none_feasible" and not barred:
        barred = ("field accuracy is under the required 95.0%",)
    forgetting = _forgetting(kind.drop) if kind.drop is not None else UNCHANGED
    return Standing(kind.name, quality, parts, counts, forgetting, cost, trial.axes, barred)


def _forgetting(drop: float) -> Forgetting:
    def change(suite: str, size: float, half: float, *, state: GateState, n: int) -> SuiteChange:
        base, lost = 0.61, round(n * (0.04 + size))
        return SuiteChange(
            suite,
            "acc",
            Measure(base, base - half, base + half, n),
            Measure(base - size, base - size - half, base - size + half, n),
            Measure(size, size - half, size + half, n),
            size + 0.84 * half,
            0.05 if state != "shown" else None,
            state,
            lost,
            round(n * 0.04),
        )

    pooled_state: GateState = "inconclusive" if drop > 0.02 else "pass"
    pooled = change("pooled", drop, 0.022 if drop < 0.02 else 0.041, state=pooled_state, n=800)
    states: tuple[GateState, ...] = ("pass", "cannot_gate", "pass", pooled_state)
    suites = [
        change(suite, drop * factor, 0.028, state=state, n=200)
        for suite, factor, state in zip(SUITES, (0.9, -0.4, 0.6, 1.9), states, strict=True)
    ]
    bits = SuiteChange(
        "plain_text",
        "bits_per_byte",
        Measure(0.911, 0.88, 0.94, 120),
        Measure(0.911 + drop, 0.88 + drop, 0.94 + drop, 120),
        Measure(drop, drop * 0.6, drop * 1.5, 120),
        drop * 1.4,
        None,
        "shown",
        0,
        0,
    )
    nats = replace(bits, suite="own_text", metric="nats_per_token")
    floor = Noise(0.024, 0.031, Measure(-0.007, -0.02, 0.006, 800),
                  Measure(drop - 0.024, drop - 0.05, drop, 800), above=drop > 0.05)
    return Forgetting(replace(pooled, noise=floor), (*suites, bits, nats))


def _comparison(best: Trial, other: Trial) -> Comparison:
    pairs = [
        (one.grade.credit or 0.0) - (two.grade.credit or 0.0)
        for one, two in zip(best.rows, other.rows, strict=True)
    ]
    n, mean = len(pairs), sum(pairs) / len(pairs)
    error = sqrt(sum((one - mean) ** 2 for one in pairs)) / n
    size = Measure(mean, mean - 1.96 * error, mean + 1.96 * error, n)
    close = size.low <= 0 <= size.high
    return Comparison(
        "lora",
        other.contender,
        size,
        "paired, cluster-robust t",
        0.34 if close else 0.0004,
        2.8 * error,
        1240 if close else None,
    )


def _run(seed: int, hostile: tuple[str, ...]) -> dict[str, object]:
    return {
        "started": "2025-11-21T08:14:09Z",
        "seed": seed,
        "registration": {"hash": "5b1d" * 16, "answers_before": 0, "changed": {}},
        "contention": hostile[-1] if hostile else "none seen: load stayed under 0.4 a core",
        "policy": {
            "alpha": 0.05,
            "quality_margin": 0.05,
            "retention_margin": 0.05,
            "horizon_months": 12,
            "max_failed": 0.01,
        },
        "prices": {"machine_hour": 0.1, "utilisation": 0.5, "invoice": None},
        "machine": {
            "processor": "AMD EPYC 9354P",
            "cores": 8,
            "memory": "31 GiB",
            "accelerator": None,
            "precision": "bfloat16",
        },
        "versions": {
            "advisor": "0.1.0",
            "python": "3.11.7",
            "torch": "2.9.1",
            "transformers": "4.57.1",
            "peft": "0.18.0",
        },
        "digests": {
            "task": "sha256:91be22c07d114f6b8c1d2b9c02b4fd2e",
            "base": {
                "model": "smollm2-135m-instruct",
                "weights": "sha256:5af571cbf074e6d21a03528d2330792e",
            },
        },
        "settings": {
            "precision": "auto",
            "latency_probe": 24,
            "retention": [*SUITES, "plain_text"],
        },
    }


def unmeasured(report: Report) -> Report:
    """The same report with the first contender's figures not measured."""
    nan = float("nan")
    first, *rest = report.verdict.standings
    blank = replace(
        first,
        quality=Measure(nan, nan, nan, 0),
        cost=Cost(nan, nan, nan, nan, 0, nan, nan, nan, nan, nan, 0),
    )
    return replace(report, verdict=replace(report.verdict, standings=(blank, *rest)))
