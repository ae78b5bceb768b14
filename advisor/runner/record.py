"""A finished run, read again without a model: what run.yaml names, the journal holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from advisor.config import Recipe, Settings, TunedWeights
from advisor.contenders.composed import Tools
from advisor.core import Task
from advisor.data.digest import AnswerKey, digest
from advisor.decide import conclude
from advisor.engines.protocol import (
    Constraint,
    Course,
    Engine,
    Generation,
    Message,
    Sampling,
    TokenIds,
)
from advisor.errors import AdvisorError, did_you_mean
from advisor.forecast.figures import how_true
from advisor.measures.retention import Suite
from advisor.report.jsonform import verdict_data
from advisor.report.model import Basis, Report
from advisor.runner import curves, leaks
from advisor.runner.detectors import base_reworded, reworded_stage
from advisor.runner.fresh import recalled, stage_of
from advisor.runner.journal import Journal
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan, code_digest_of
from advisor.runner.run import Base, case_of
from advisor.runner.stages import Stages, base_key, retention_stage
from advisor.runner.trial import (
    as_prepared,
    base_retention,
    looked_up,
    scored,
    trial_of,
)
from advisor.trial import PrepareCost, Trial
from advisor.yamlfiles import read_text

RUN_FILE = "run.yaml"
JOURNAL = "journal.db"


class Missing(AdvisorError):
    """The journal lacks something that only a model could add."""


@dataclass(frozen=True, slots=True)
class Record:
    """The run in `folder`; `run` is the content of its run.yaml."""

    folder: Path
    run: Mapping[str, Any]
    recipes: Mapping[str, Recipe]
    settings: Settings

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.run["task"]["name"])

    @property
    def measured(self) -> tuple[str, ...]:
        """The contenders that were measured, by label and in the order of the run."""
        return tuple(self.run["measured"])

    @property
    def code(self) -> str:
        """The identity of the software that measured."""
        return code_digest_of(self.run["advisor"], self.run["versions"])

    def contender(self, label: str) -> str:
        """The contender of a label: `lora`, and `lora@2` for the same at another seed."""
        return label if label in self.recipes else label.rpartition("@")[0]

    def seed(self, label: str) -> int:
        """The seed at which it was prepared."""
        named = label != self.contender(label)
        return int(label.rpartition("@")[2]) if named else int(self.run["seed"])

    def recipe(self, label: str) -> Recipe:
        """What it is made of."""
        return self.recipes[self.contender(label)]

    def recipe_digest(self, label: str) -> str:
        """The identity of its recipe."""
        return str(self.run["contenders"][self.contender(label)]["digest"])

    def files(self, label: str) -> Mapping[str, str]:
        """sha256 of every file of a prepared contender; AdvisorError for an unknown one."""
        if label not in self.measured:
            raise AdvisorError(
                f"{self.folder} did not measure {label!r}{did_you_mean(label, self.measured)}",
                fix="name a contender that its report shows",
            )
        found: Mapping[str, str] = self.run["measured"][label]["files"]
        return found

    def unprepared(self, label: str) -> AnswerKey:
        """The identity of a contender before it was prepared, as the run noted it."""
        noted = self.run["measured"][label].get("made_from") or {
            # Runs that did not note it: every contender is made of the same.
            "engine": digest([self.run["model"]["digest"], self.run["embedder"]["digest"]]),
            "material": self.run["task"]["material"],
        }
        return AnswerKey(
            contender=self.contender(label), seed=self.seed(label), code=self.code,
            recipe=self.recipe_digest(label), **noted,
        )

    def key(self, label: str) -> AnswerKey:
        """The identity under which the contender's answers are kept."""
        return as_prepared(self.unprepared(label), self.files(label))

    def suites(self) -> tuple[Suite, ...]:
        """The retention suites by name and digest; only a reader can use them."""
        return tuple(Suite(name, None, 0.0, sha) for name, sha in self.run["retention"].items())

    def plan(self, task: Task) -> Plan:
        """The plan of the run, with tools that cannot compute."""
        return Plan(
            task=task, recipes=self.recipes, settings=self.settings, suites=self.suites(),
            tools=absent(self.run), seed=self.run["seed"], final=self.run["final"],
            folder=self.folder, data=self.run["data"], code=self.code,
            cells={name: tuple(on) for name, on in self.run.get("factorial", {}).items()},
        )


def is_run(folder: Path) -> bool:
    """Whether the folder holds a finished run with its journal."""
    return (folder / RUN_FILE).is_file() and (folder / JOURNAL).is_file()


def open_record(folder: Path) -> Record:
    """Read run.yaml of a finished run; AdvisorError for what is none, or of another version."""
    path = folder / RUN_FILE
    if not is_run(folder):
        lacking = JOURNAL if path.is_file() else RUN_FILE
        raise AdvisorError(f"{folder} is no finished run: it has no {lacking}",
                           fix="name a folder of reports/, or run the task: advisor run TASK")
    try:
        run = yaml.safe_load(read_text(path))
        described = run["contenders"]
        recipes = {
            name: Recipe.model_validate({k: v for k, v in one.items() if k != "digest"})
            for name, one in described.items()
        }
        return Record(folder, run, recipes, Settings.model_validate(run["settings"]))
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise AdvisorError(f"{path} is not as this advisor writes it: {reason}",
                           fix=f"run the task again: it continues {folder}") from error


def read_trial(record: Record, label: str, *, task: Task, journal: Journal) -> Trial:
    """One contender's trial out of the journal; Missing when the journal lacks a part."""
    key = record.unprepared(label)
    stored = journal.stage(key.stage("prepare"))
    if stored is None:
        raise _missing(record.folder, label)
    stages = Stages(record.plan(task), journal, Mute())
    opened = nothing_to_open(record, label)
    identity, recipe = record.key(label), Recipe.model_validate(stored["recipe"])
    trial, _ = trial_of(identity, recipe, opened, stored["cost"], stages=stages)
    trial = replace(trial, retrieved=looked_up(identity, recipe, opened, stages=stages))
    if isinstance(recipe.weights, TunedWeights):
        trial = replace(trial, retention=scored(identity, opened, stages=stages))
    if changed := record.run.get("changed_facts"):
        stage = stage_of(identity, changed["digest"])
        trial = replace(trial, fresh=recalled(stage, journal))
    if record.run.get("leakage"):
        trial = replace(trial, leakage=leaks.leaks_kept(identity, stages.plan, journal))
    return trial


def read_base(record: Record, *, task: Task, journal: Journal) -> Base:
    """The untouched base on the run's suites; Missing when the journal lacks it.

    A run of an advisor that did not ask the base in other words has no such answers.
    """
    plan = record.plan(task)
    stage = retention_stage(base_key(plan), [suite.digest for suite in plan.suites])
    if journal.stage(stage) is None:
        raise _missing(record.folder, "the base's retention")
    scores = base_retention(plan, journal)
    if journal.stage(base_key(plan).stage(reworded_stage(plan.suites))) is None:
        return Base(scores)
    return Base(scores, base_reworded(plan, journal, scores))


def read_report(record: Record, task: Task) -> Report:
    """The report of a finished run, decided again from its journal."""
    if task.digest != record.run["task"]["digest"]:
        raise AdvisorError(
            f"the task {task.name} has changed since {record.folder} was measured",
            fix=f"advisor run {task.name}; it re-runs only what changed",
        )
    plan = record.plan(task)
    with Journal(record.folder / JOURNAL) as journal:
        trials = tuple(
            read_trial(record, label, task=task, journal=journal) for label in record.measured
        )
        if record.run.get("learning_curves"):
            stages = Stages(plan, journal, Mute())
            trials = curves.recalled(trials, record.unprepared, stages=stages)
        tuned = any(trial.retention is not None for trial in trials)
        base = read_base(record, task=task, journal=journal) if tuned else None
    case = case_of(plan, trials, base, whole=not record.run["failed"])
    verdict = conclude(case, plan.policy)
    foreseen = how_true(record.folder, verdict_data(verdict))
    return Report(task, trials, verdict, record.run, Basis(case, plan.policy), foreseen)


def nothing_to_open(record: Record, label: str) -> Opened:
    """Stands where a system would be opened: raises Missing instead."""

    def refuse() -> Any:
        raise _missing(record.folder, label)

    return Opened(refuse)


def _missing(folder: Path, what: str) -> Missing:
    return Missing(f"{folder}: its journal does not hold all of {what}",
                   fix="give the command that made the run again: it measures what is missing")


class Mute:
    """A watch that nobody looks at."""

    def begin(self, contenders: Mapping[str, Recipe], rows: int) -> None: ...

    def stage(self, contender: str, stage: str, total: int) -> None: ...

    def advance(self, amount: int = 1) -> None: ...

    def finish(self, contender: str, note: str) -> None: ...

    def beside(self) -> Mute:
        return self


def absent(run: Mapping[str, Any]) -> Tools:
    """The model and the embedder of a run by name and digest; neither can compute."""
    model, embedder = run["model"], run["embedder"]
    return Tools(
        _AbsentEngine(model["name"], model["digest"]),
        _AbsentEmbedder(embedder["name"], embedder["digest"]),
    )


@dataclass(frozen=True, slots=True)
class _AbsentEmbedder:
    name: str
    digest: str

    def embed(self, texts: Sequence[str]) -> Any:
        raise _unreachable(self.name)


@dataclass(frozen=True, slots=True)
class _AbsentEngine:
    name: str
    digest: str

    @property
    def context_length(self) -> int:
        raise _unreachable(self.name)

    @property
    def end_of_text(self) -> int:
        raise _unreachable(self.name)

    def encode(self, messages: Sequence[Message]) -> TokenIds:
        raise _unreachable(self.name)

    def tokenize(self, text: str) -> TokenIds:
        raise _unreachable(self.name)

    def generate(
        self,
        prompts: Sequence[TokenIds],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        sampling: Sampling | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> Iterable[tuple[int, Generation]]:
        raise _unreachable(self.name)

    def score(self, pairs: Sequence[tuple[TokenIds, TokenIds]]) -> list[tuple[float, bool]]:
        raise _unreachable(self.name)

    def quantised(self, scheme: Literal["none", "nf4"]) -> Engine:
        raise _unreachable(self.name)

    def tune(
        self, course: Course[Any], spec: TunedWeights, *, folder: Path, seed: int,
        start: Path | None = None,
    ) -> PrepareCost:
        raise _unreachable(self.name)

    def with_weights(self, folder: Path) -> Engine:
        raise _unreachable(self.name)


def _unreachable(name: str) -> Missing:
    return Missing(f"{name} is needed, but a run that is only read has no model",
                   fix="give the command that made the run again: it measures what is missing")
