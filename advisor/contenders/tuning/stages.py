"""From a recipe's `weights` to a folder of tuned ones, stage by stage.

    teacher -> pre-training on the corpus -> search -> train rows -> preferences

Each stage is one `Engine.tune` and starts from what the one before it wrote; all but
the train rows are options.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from advisor.config import DistilSpec, Recipe, TunedWeights
from advisor.contenders.composed import Composed
from advisor.contenders.search import scored, spread
from advisor.contenders.tuning import pairs, teaching
from advisor.contenders.tuning.kept import Kept
from advisor.contenders.tuning.lessons import course, lessons, read_with, texts
from advisor.core import Material, System
from advisor.data.digest import digest
from advisor.engines.protocol import Course, Engine, Lesson, Local, Pair, Text
from advisor.errors import AdvisorError
from advisor.trial import PrepareCost

# Makes the system of a teacher's recipe, says what that cost, and whose answers they are.
Teacher = Callable[[Recipe, Path], tuple[System, PrepareCost, str]]


@dataclass(slots=True)
class Stages:
    """The tuning of one contender: `untuned` is the system as it would answer without."""

    untuned: Composed
    material: Material
    base: Engine
    teacher: Teacher
    workdir: Path
    seed: int
    kept: Kept | None = None
    names: dict[Path, str] = field(default_factory=dict)
    costs: list[PrepareCost] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)

    def run(self, spec: TunedWeights) -> Tuned:
        """All stages that `spec` names."""
        learnt = self._course(spec)
        start = self._pretrained(spec)
        spec = self._searched(spec, learnt, start)
        folder = self.workdir / "tuned"
        lesson_cost = self._tune(learnt, spec, folder, start)
        if spec.prefer is not None:
            spec, folder = self._preferred(spec, folder)
        return Tuned(folder, self.base.with_weights(folder), spec, self._total(lesson_cost),
                     self.found)

    def _course(self, spec: TunedWeights) -> Course[Lesson]:
        """What train teaches, in the words of the teacher if there is one."""
        base = replace(self.untuned, speaker=Local(self.base))
        material = self.material
        if spec.teacher is not None:
            material = replace(material, train=self._taught(spec.teacher, material))
        if spec.reads == "found":
            return course(material, base.ask)
        if not material.train or not material.dev:
            return course(material, base.ask)  # says what is missing
        ask = read_with(base, material.train, reads=spec.reads, seed=self.seed)
        # Checked as it will be asked.
        return Course(lessons(material.train, ask), lessons(material.dev, base.ask))

    def _taught(self, spec: DistilSpec, material: Material) -> tuple[Any, ...]:
        teacher, cost, name = self.teacher(spec.recipe, self.workdir / "teacher")
        asked = teaching.questions(material, spec)
        if not asked:
            raise AdvisorError("the teacher has nothing to answer",
                               fix="add unlabelled.jsonl or train.jsonl to the task")
        notes = teaching.Notes(self.workdir / f"taught-{name[:16]}.jsonl")
        said = teaching.taught(teacher, asked, material, notes)
        self.costs.append(replace(
            cost, seconds=cost.seconds + said.seconds, tokens_asked=said.tokens_in,
            tokens_taught=said.tokens_out,
        ))
        self.found["teacher"] = {
            "recipe": spec.recipe.axes, "asked": len(asked), "silent": said.silent,
            "seconds": round(said.seconds, 1), "tokens_in": said.tokens_in,
            "tokens_out": said.tokens_out,
        }
        return (*said.rows, *material.train) if spec.labels == "both" else said.rows

    def _pretrained(self, spec: TunedWeights) -> Path | None:
        if spec.pretrain is None:
            return None
        stage = spec.model_copy(update={
            "learning_rate": spec.pretrain.learning_rate, "epochs": spec.pretrain.epochs,
            "batch_size": spec.pretrain.batch_size})
        folder = self.workdir / "pretrained"
        cost = self._tune(texts(self.material.corpus), stage, folder)
        self.found["pretrain"] = _curves(cost)
        return folder

    def _searched(
        self, spec: TunedWeights, learnt: Course[Lesson], start: Path | None
    ) -> TunedWeights:
        """`spec` with the learning rate and epochs that dev likes best."""
        if spec.tune is None:
            return spec
        few = max(spec.batch_size, round(len(learnt.train) * spec.tune.share))
        step = max(1, len(learnt.train) // few)
        part = Course(learnt.train[::step][:few], learnt.dev)
        tried: list[dict[str, float]] = []
        for rate, epochs in product(spec.tune.learning_rate or (spec.learning_rate,),
                                    spec.tune.epochs or (spec.epochs,)):
            one = {"learning_rate": rate, "epochs": epochs}
            folder = self.workdir / f"trial-{len(tried)}"
            cost = self._tune(part, spec.model_copy(update={**one, "tune": None}), folder, start)
            tried.append({**one, "dev_loss": min(cost.dev_loss), "rows": len(part.train)})
        best = min(tried, key=lambda one: one["dev_loss"])
        chosen = {name: best[name] for name in ("learning_rate", "epochs")}
        self.found["tuning"] = {"chosen": chosen, "by": "loss on dev", "tried": tried}
        return spec.model_copy(update={**chosen, "tune": None})

    def _preferred(self, spec: TunedWeights, start: Path) -> tuple[TunedWeights, Path]:
        """Weights that learnt preferences too; those of `start`, and `spec` without, where they
        do not answer dev better."""
        prefer = spec.prefer
        assert prefer is not None
        if self.material.preferences:
            own = pairs.given(self.material, self.untuned, prefer)
        else:
            said = self._found("answers", start, prefer.draws, lambda: pairs.drawn(
                self.material, self.untuned, self.base.with_weights(start), prefer,
                seed=self.seed))
            own = pairs.made(self.material, self.untuned, said, prefer)
        stage = spec.model_copy(update={
            "learning_rate": prefer.learning_rate, "epochs": prefer.epochs,
            "batch_size": prefer.batch_size})
        folder = self.workdir / "preferred"
        cost = self._tune(own, stage, folder, start)
        rows = prefer.rows
        before, after = (self._found("on dev", at, rows, partial(self._on_dev, at, rows))
                         for at in (start, folder))
        made = "preferences.jsonl" if self.material.preferences else "answers drawn on train"
        self.found["prefer"] = {
            "pairs": len(own.train) + len(own.dev), "from": made,
            "by": f"{self.material.primary} on dev", "without": before, "with": after,
            "kept": after > before, **_curves(cost)}
        if after > before:
            return spec, folder
        return spec.model_copy(update={"prefer": None}), start

    def _on_dev(self, folder: Path, rows: int) -> float:
        """What those weights earn on rows of dev, by the task's own metric."""
        system = replace(self.untuned, speaker=Local(self.base.with_weights(folder)))
        score: float = scored(system, spread(self.material.dev, rows), self.material)["score"]
        return score

    def _tune(
        self, learnt: Course[Any], spec: TunedWeights, folder: Path, start: Path | None = None
    ) -> PrepareCost:
        # Other stages' settings change nothing here.
        other = ["reads", "teacher", "tune"]
        other += [] if isinstance(learnt.train[0], Text) else ["pretrain"]
        other += [] if isinstance(learnt.train[0], Pair) else ["prefer"]
        fresh = {name: type(spec).model_fields[name].default for name in other}
        spec = spec.model_copy(update=fresh)
        name = digest([self.base.digest, spec.model_dump(mode="json"), self.seed, learnt,
                       self.names[start] if start else ""])
        self.names[folder] = name
        with self.kept.alone(name) if self.kept else nullcontext():
            cost = self.kept.take(name, folder) if self.kept else None
            if cost is None:
                cost = self.base.tune(learnt, spec, folder=folder, seed=self.seed, start=start)
                if self.kept:
                    self.kept.put(name, folder, cost)
        self.costs.append(cost)
        return cost

    def _found(self, what: str, weights: Path, much: int, find: Callable[[], Any]) -> Any:
        """What `find` finds out about `weights`, as plain data: once for all contenders that
        ask so much of the same weights in the same way."""
        untuned, material = self.untuned, self.material
        name = digest([what, much, self.names[weights], self.seed, untuned.manner,
                       untuned.recipe.model_dump(mode="json", exclude={"weights"}),
                       material.digest, material.scorer, material.primary])
        with self.kept.alone(name) if self.kept else nullcontext():
            started, known = time.perf_counter(), self.kept.told(name) if self.kept else None
            if known is None:
                found = find()
                seconds, earlier = time.perf_counter() - started, 0.0
                if self.kept:
                    self.kept.tell(name, found, seconds)
            else:
                found, seconds = known
                earlier = seconds
        self.costs.append(PrepareCost(seconds, 0, 0, earlier_seconds=earlier))
        return found

    def _total(self, main: PrepareCost) -> PrepareCost:
        """What all stages took, with the loss curves of the train rows."""
        each = self.costs
        return replace(
            main,
            seconds=sum(cost.seconds for cost in each),
            earlier_seconds=sum(cost.earlier_seconds for cost in each),
            tokens_trained=sum(cost.tokens_trained for cost in each),
            expected_memory_mib=max(cost.expected_memory_mib for cost in each),
            peak_memory_mib=max(cost.peak_memory_mib for cost in each),
            tokens_asked=sum(cost.tokens_asked for cost in each),
            tokens_taught=sum(cost.tokens_taught for cost in each),
        )


@dataclass(frozen=True, slots=True)
class Tuned:
    """The folder of the tuned weights, the engine that holds them, the settings as they were
    settled, what it took, and what was found on the way."""

    folder: Path
    engine: Engine
    spec: TunedWeights
    cost: PrepareCost
    found: Mapping[str, Any]


def _curves(cost: PrepareCost) -> dict[str, Sequence[float]]:
    return {"dev_loss": [round(loss, 4) for loss in cost.dev_loss],
            "train_loss": [round(loss, 4) for loss in cost.train_loss]}
