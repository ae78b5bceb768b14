"""A short probe of the real engine: some seconds for each kind of work, on dev rows.

Two batches of different size tell what a batch costs and what a row adds; two short courses
tell what tuning costs and what a token adds. The test rows are never asked.
"""

from __future__ import annotations

import itertools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from advisor.config import BaseWeights, EndpointWeights, Recipe, TunedWeights
from advisor.config.weights import WeightsSpec
from advisor.contenders.composed import Composed
from advisor.contenders.recipe import prepare
from advisor.contenders.tuning import teaching
from advisor.contenders.tuning.lessons import course
from advisor.core import Example, Usage
from advisor.engines import memory
from advisor.engines.protocol import Course, Engine, Lesson, Local, Message, TokenIds
from advisor.errors import AdvisorError
from advisor.forecast.figures import Forecast, Planned, usd_per_1k
from advisor.measures import owntext, retention
from advisor.measures.cost import SECONDS_PER_HOUR
from advisor.measures.owntext import OwnText
from advisor.runner.plan import Plan, misfit

SMALL, LARGE = 6, 24  # rows of the two batches
BATCH = 64  # rows that the engine decodes at once
COURSES = (1, 4)  # updates of the two courses
ITEMS = (3, 10)  # items of each retention suite
REHEARSED = 70  # tokens of a rehearsed text (engines/rehearsal.py: 64 and an opening)
TEXTS = 64  # that are rehearsed
FORWARD = 1 / 3  # of a training token's time: there is no way back


@dataclass(frozen=True, slots=True)
class Answering:
    """Seconds of a batch and of each row in it, of a call alone, and tokens of a call."""

    batch: float
    row: float
    alone: float
    tokens_in: float
    tokens_out: float

    def seconds(self, rows: int) -> float:
        return math.ceil(rows / BATCH) * self.batch + rows * self.row


def forecast(plan: Plan, tell: Callable[[str], None]) -> Planned:
    """Every contender of the plan that fits the task. Takes a fraction of the run itself.

    `tell` hears what is being probed, and who is left out and why: what could not take part in
    the run either.
    """
    started = time.perf_counter()
    engine = plan.tools.engine
    engine.context_length  # noqa: B018 - reads the weights, which is no contender's time
    loading = time.perf_counter() - started
    why = {name: misfit(recipe, plan) for name, recipe in plan.recipes.items()}
    entered = {name: recipe for name, recipe in plan.recipes.items() if not why[name]}
    for name, reason in why.items():
        if reason:
            tell(f"{name}, left out: {reason}")
    remembered = 0.0
    if any(isinstance(recipe.weights, TunedWeights) for recipe in entered.values()):
        tell("retention")
        remembered = retention_seconds(plan)
    made = []
    for name, recipe in entered.items():
        tell(name)
        try:
            made.append(foresee(name, recipe, plan, remembered))
        except AdvisorError as error:
            tell(f"{name}, left out: {error.problem}")
    return Planned(
        plan.task.name, plan.task.digest, len(plan.task.test), loading + remembered,
        time.perf_counter() - started, tuple(made),
    )


def foresee(name: str, recipe: Recipe, plan: Plan, remembered: float) -> Forecast:
    """One contender; `remembered` are the seconds of the retention suites. Raises AdvisorError
    when it cannot be prepared."""
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(recipe.weights, TunedWeights):
            return _tuned(name, recipe, plan, Path(folder), remembered)
        return _untuned(name, recipe, plan, Path(folder))


def _untuned(name: str, recipe: Recipe, plan: Plan, folder: Path) -> Forecast:
    started = time.perf_counter()
    made = prepare(recipe, plan.task.material, tools=plan.tools, workdir=folder, seed=plan.seed)
    preparing = time.perf_counter() - started
    if recipe.prompt.kind == "none":  # the floor: no model, no time worth a figure
        return _figures(name, plan, Answering(0.0, 0.0, 0.0, 0.0, 0.0))
    memory.reset_peak()
    # What is paid for, or not ours, is asked little.
    rows = _spread(plan.task.material.dev, LARGE if made.engine else SMALL)
    used: list[Usage] = []

    def ask(some: Sequence[Example]) -> None:
        answers = made.system.answer([example.question for example in some])
        used.extend(answer.usage for answer in answers if not answer.failure)

    ask(rows[:1])  # whatever is done once is done now
    used.clear()
    answering = _two_batches(rows, ask)
    count = max(1, len(used))
    answering = replace(answering, tokens_in=sum(one.tokens_in for one in used) / count,
                        tokens_out=sum(one.tokens_out for one in used) / count)
    peak = memory.peak_mib() if made.engine else math.nan
    found = _figures(name, plan, answering, prepare_seconds=preparing, peak=peak)
    return _priced(found, recipe.weights, plan)


def _priced(found: Forecast, weights: WeightsSpec, plan: Plan) -> Forecast:
    """The figures of an endpoint's contender at the price of its tokens."""
    if not isinstance(weights, EndpointWeights):
        return found
    given = plan.settings.endpoints[weights.name]
    usd = (found.tokens_in * given.usd_per_million_in
           + found.tokens_out * given.usd_per_million_out) / 1e6
    calls = len(plan.task.test) + plan.settings.latency_probe
    return replace(found, run_usd=usd * calls, usd_per_1k=usd * 1000)


def _tuned(
    name: str, recipe: Recipe, plan: Plan, folder: Path, remembered: float
) -> Forecast:
    spec = recipe.weights
    assert isinstance(spec, TunedWeights)
    material = plan.task.material
    started = time.perf_counter()
    bare = prepare(recipe.model_copy(update={"weights": BaseWeights()}), material,
                   tools=plan.tools, workdir=folder, seed=plan.seed).system
    assert isinstance(bare, Composed)
    engine = plan.tools.engine.quantised(spec.scheme)
    lessons = course(material, replace(bare, speaker=Local(engine)).ask)
    reading = time.perf_counter() - started
    memory.reset_peak()
    learning = _learning(engine, spec, lessons, folder, seed=plan.seed)
    peak = memory.peak_mib()
    writing = _writing(engine) if spec.rehearsal else 0.0
    answering = _answering(engine, bare, plan)
    tuning, tokens = learning.all(spec, lessons)
    more, read = _stages(spec, plan, learning, lessons, answering)
    paid = 0.0
    if spec.teacher is not None:
        taught = foresee(f"teacher of {name}", spec.teacher.recipe, plan, 0.0)
        asked = len(teaching.questions(material, spec.teacher))
        more += taught.prepare_seconds + taught.seconds_per_call * asked
        if isinstance(spec.teacher.recipe.weights, EndpointWeights):
            paid = taught.usd_per_1k * asked / 1000
    found = _figures(name, plan, answering, prepare_seconds=reading + tuning + writing + more,
                     shared=writing, trained=tokens + read, remembered=remembered, peak=peak)
    return replace(found, run_usd=found.run_usd + paid)


@dataclass(frozen=True, slots=True)
class Learning:
    """Seconds of a tuning whatever its length, of each token, and the tokens of each lesson."""

    once: float
    each: float
    sizes: tuple[int, ...]

    @property
    def mean(self) -> float:
        return sum(self.sizes) / len(self.sizes)

    def all(self, spec: TunedWeights, lessons: Course[Lesson]) -> tuple[float, float]:
        """Seconds for the train rows without the writing of rehearsed texts, and tokens."""
        updates = max(1, round(math.ceil(len(self.sizes) / spec.batch_size) * spec.epochs))
        trained = sum(self.sizes) * spec.epochs
        rehearsed = updates * max(1, spec.batch_size // 4) * REHEARSED if spec.rehearsal else 0
        checked = spec.checks * min(spec.check_rows, len(lessons.dev)) * self.mean
        return self.once + self.each * (trained + rehearsed + FORWARD * checked), trained


def _learning(
    engine: Engine, spec: TunedWeights, lessons: Course[Lesson], folder: Path, *, seed: int
) -> Learning:
    sizes = [_tokens(engine, lesson) for lesson in lessons.train]
    shared = _shared([engine.encode(lesson.prompt) for lesson in lessons.train[:8]])
    short = spec.model_copy(update={"rehearsal": 0.0, "epochs": 1.0, "checks": 1,
                                    "check_rows": 1})
    points = []
    for number, updates in enumerate(COURSES):
        count = min(updates * spec.batch_size, len(sizes))
        some = Course(lessons.train[:count], lessons.dev[:1])
        seconds = engine.tune(some, short, folder=folder / str(number), seed=seed).seconds
        # Without rehearsal the engine reads the shared part once an update.
        points.append((sum(sizes[:count]) - shared * (count - math.ceil(count / spec.batch_size)),
                       seconds))
    return Learning(*_line(*points), tuple(sizes))


def _stages(
    spec: TunedWeights, plan: Plan, learning: Learning, lessons: Course[Lesson],
    answering: Answering,
) -> tuple[float, float]:
    """Seconds and trained tokens of what comes beside the train rows: the corpus, trials,
    and pairs with the answers that they are drawn from."""
    material, engine = plan.task.material, plan.tools.engine
    seconds, tokens = 0.0, 0.0
    if spec.pretrain is not None:
        corpus = sum(len(engine.tokenize(document.text)) for document in material.corpus)
        tokens += corpus * spec.pretrain.epochs
        seconds += learning.once + learning.each * corpus * spec.pretrain.epochs
    if spec.tune is not None:
        rates = spec.tune.learning_rate or (spec.learning_rate,)
        for epochs in spec.tune.epochs or (spec.epochs,):
            one = learning.all(spec.model_copy(update={"epochs": epochs}), lessons)
            seconds += len(rates) * one[0] * spec.tune.share
            tokens += len(rates) * one[1] * spec.tune.share
    if spec.prefer is not None:
        drawn = 0 if material.preferences else len(material.train) * spec.prefer.draws
        pairs = min(spec.prefer.max_pairs, len(material.preferences) or drawn)
        read = 2 * pairs * learning.mean * spec.prefer.epochs
        tokens += read
        # The model it starts from reads every pair once more.
        seconds += learning.once + learning.each * read * (1 + FORWARD)
        seconds += answering.seconds(drawn) if drawn else 0.0
        seconds += 2 * answering.seconds(min(spec.prefer.rows, len(material.dev)))
    return seconds, tokens


def _writing(engine: Engine) -> float:
    """Seconds for the texts that are rehearsed, by what a few tokens of as many rows take."""
    few = 6
    prompts = [engine.encode([Message("user", "The")])] * TEXTS
    seconds = _timed(lambda: list(engine.generate(prompts, max_tokens=few)))
    return seconds / few * (REHEARSED - few)


def _answering(engine: Engine, bare: Composed, plan: Plan) -> Answering:
    """A tuned contender's calls: its own prompts, and answers as long as the right ones."""
    rows = _spread(plan.task.material.dev, LARGE)
    prompts = {e.question.id: engine.encode(p) for e, p in
               zip(rows, bare.ask([e.question for e in rows]), strict=True)}
    said = [len(engine.tokenize(example.targets[0])) + 1 for example in rows]
    long = min(plan.task.material.max_tokens, round(sum(said) / len(said)))

    def ask(some: Sequence[Example]) -> None:
        asked = [prompts[example.question.id] for example in some]
        list(engine.generate(asked, max_tokens=max(1, long)))

    ask(rows[:1])
    found = _two_batches(rows, ask)
    return replace(found, tokens_in=sum(map(len, prompts.values())) / len(prompts),
                   tokens_out=float(long))


def _two_batches(
    rows: Sequence[Example], ask: Callable[[Sequence[Example]], None]
) -> Answering:
    alone = _timed(lambda: ask(rows[:1]))
    sizes = sorted({min(size, len(rows)) for size in (SMALL, LARGE)})
    points = [(float(size), _timed(partial(ask, rows[:size]))) for size in sizes]
    batch, row = _line(*points) if len(points) > 1 else (0.0, points[0][1] / points[0][0])
    return Answering(batch, row, alone, 0.0, 0.0)


def retention_seconds(plan: Plan) -> float:
    """Seconds for all suites, by a few items of each; suites of lm-eval itself not counted."""
    local = [suite for suite in plan.suites if suite.config is not None]
    divergence = _own_text(plan)
    if not local:
        return divergence
    points = []
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for items in ITEMS:
            short, count, total = [], 0, 0
            for suite in local:
                some, used, size = _shortened(suite, items, Path(folder))
                short.append(some)
                count, total = count + used, total + size
            seconds = _timed(partial(retention.measure, plan.tools.engine, short))
            points.append((float(count), seconds))
    once, each = _line(*points)
    return once + each * total + divergence


def _own_text(plan: Plan) -> float:
    """Seconds for the divergence, by a few texts of the length of those that the base writes."""
    if all(suite.name != owntext.NAME for suite in plan.suites):
        return 0.0
    few = [OwnText(opening, " and so on" * (owntext.TOKENS // 3))
           for opening in owntext.OPENINGS[:SMALL]]
    seconds = _timed(partial(owntext.measure, plan.tools.engine, few))
    return seconds * owntext.TEXTS / len(few)


def _shortened(
    suite: retention.Suite, items: int, folder: Path
) -> tuple[retention.Suite, int, int]:
    """The suite with its first items only; how many it has so, and in all."""
    assert suite.config is not None
    config = dict(suite.config)
    files = dict(config["dataset_kwargs"]["data_files"])
    split = config.get("test_split", "test")
    lines = [line for line in Path(files[split]).read_text("utf-8").split("\n") if line.strip()]
    file = folder / f"{suite.name}-{items}.jsonl"
    file.write_text("".join(f"{line}\n" for line in lines[:items]), encoding="utf-8")
    config["dataset_kwargs"] = {**config["dataset_kwargs"],
                                "data_files": {**files, split: str(file)}}
    name = f"{suite.name}-{items}"
    short = replace(suite, name=name, config={**config, "task": name}, digest=json.dumps(name))
    return short, min(items, len(lines)), len(lines)


def _figures(
    name: str, plan: Plan, answering: Answering, *, prepare_seconds: float = 0.0,
    shared: float = 0.0, trained: float = 0.0, remembered: float = 0.0, peak: float = math.nan,
) -> Forecast:
    rows, policy = len(plan.task.test), plan.policy
    answers = answering.seconds(rows)
    alone = plan.settings.latency_probe * answering.alone
    seconds = prepare_seconds + answers + alone + remembered
    return Forecast(
        contender=name, prepare_seconds=prepare_seconds, shared_seconds=shared,
        seconds_per_call=answers / rows, p50_ms=answering.alone * 1000,
        tokens_in=answering.tokens_in, tokens_out=answering.tokens_out, tokens_trained=trained,
        retention_seconds=remembered, peak_memory_mib=peak, run_seconds=seconds,
        run_usd=seconds * policy.usd_per_machine_hour / SECONDS_PER_HOUR,
        usd_per_1k=usd_per_1k(answers / rows, policy),
    )


def _line(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    """(once, each) of the line through two (size, seconds); never below zero, so that noise
    cannot foresee a negative time."""
    if second[0] <= first[0]:
        return 0.0, second[1] / max(1.0, second[0])
    each = max(0.0, (second[1] - first[1]) / (second[0] - first[0]))
    once = second[1] - each * second[0]
    return (once, each) if once >= 0 else (0.0, second[1] / second[0])


def _tokens(engine: Engine, lesson: Lesson) -> int:
    return len(engine.encode(lesson.prompt)) + len(engine.tokenize(lesson.completion)) + 1


def _shared(prompts: Sequence[TokenIds]) -> int:
    """How many tokens all prompts begin with."""
    same: Iterable[tuple[int, ...]] = itertools.takewhile(
        lambda column: len(set(column)) == 1, zip(*prompts, strict=False))
    return sum(1 for _ in same)


def _spread(rows: Sequence[Example], count: int) -> list[Example]:
    """Up to `count` rows, evenly over the file."""
    step = max(1, len(rows) // count)
    return list(rows[::step][:count])


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
