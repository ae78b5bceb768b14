"""What every check works with: the model, a journal of what was measured, adapters on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from advisor.cli.tools import real
from advisor.config import LoraWeights, Recipe, Settings
from advisor.contenders.composed import Composed, Tools
from advisor.contenders.recipe import prepare, reopen
from advisor.core import Example, Material, System, Task
from advisor.data.digest import digest
from advisor.data.task import load_task
from advisor.data.versions import Version, need_version
from advisor.engines.protocol import Engine
from advisor.measures import owntext, retention
from advisor.measures.owntext import OwnText
from advisor.measures.retention import Suite, load_suites
from advisor.measures.scorers import grade
from advisor.runner.journal import Journal
from advisor.runner.plan import code_digest
from advisor.ship.bundle import digests
from advisor.trial import SuiteScores
from advisor.workspace import Workspace

ROWS, DEV, TEST = 60, 24, 60  # of ticket-triage: to learn from, to choose by, to be asked


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `built_in`: the truth is planted here, not borrowed."""

    check: str
    expected: str
    found: str
    passed: bool
    built_in: bool

    def __str__(self) -> str:
        return (f"{'ok  ' if self.passed else 'MISS'} {self.check}\n"
                f"       expected {self.expected}\n       found    {self.found}")


@dataclass(slots=True)
class Bench:
    """The tools and the journal; what stands in it is not measured again."""

    workspace: Workspace
    settings: Settings
    tools: Tools
    journal: Journal
    folder: Path

    def kept(
        self, what: str, parts: object, make: Callable[[], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        """What `make` gives for these parts, from the journal or made now."""
        stored = self.journal.stage(self._key(what, parts))
        return self._made(what, parts, make) if stored is None else stored

    def _made(
        self, what: str, parts: object, make: Callable[[], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        started = time.perf_counter()
        stored = {**make(), "seconds": time.perf_counter() - started}
        self.journal.put_stage(self._key(what, parts), "validity", stored, contender=what)
        print(f"       ({what}: {stored['seconds']:.0f} s)", flush=True)
        return stored

    def _key(self, what: str, parts: object) -> str:
        return digest([what, parts, self.tools.engine.digest, self.tools.embedder.digest,
                       code_digest()])

    def task(self, name: str) -> Task:
        return load_task(self.workspace.task_folder(name))

    def version(self, name: str) -> Version:
        return need_version(self.workspace.task_folder(name), self.task(name))

    def triage(self) -> Task:
        """ticket-triage with fewer rows."""
        task = self.task("ticket-triage")
        material = _fewer(task.material, task.material.train[:ROWS], task.material.dev[:DEV])
        return replace(task, material=material, test=task.test[:TEST])

    def prepared(self, name: str, recipe: Recipe, material: Material, seed: int = 0) -> System:
        """A system made once; its files are checked before they are used again."""
        folder = self.folder / "systems" / name
        parts = [recipe.model_dump(mode="json"), material.digest, seed]

        def make() -> dict[str, Any]:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            work = self.folder / "work" / name
            made = prepare(recipe, material, tools=self.tools, workdir=work, seed=seed)
            made.system.save(folder)
            shutil.rmtree(work, ignore_errors=True)
            return {"files": digests(folder), "cost": asdict(made.cost)}

        stored = self.kept(f"tuned {name}", parts, make)
        if not folder.is_dir() or digests(folder) != stored["files"]:
            self._made(f"tuned {name}", parts, make)
        system, _ = reopen(folder, self.tools, material)
        return system

    def prepared_again(self, name: str) -> System:
        """A system that was prepared, opened from its files once more."""
        system, _ = reopen(self.folder / "systems" / name, self.tools)
        return system

    def scores_of(self, name: str, suites: Sequence[Suite]) -> dict[str, SuiteScores]:
        """Retention scores of a prepared system's weights."""
        return self.scores(lambda: engine_of(self.prepared_again(name)), files_of(self, name),
                           suites)

    def credits(
        self, system: System, identity: object, rows: Sequence[Example], task: Task
    ) -> dict[str, dict[str, float]]:
        """Every part of each row's grade."""
        def make() -> dict[str, Any]:
            by_id = {one.question.id: one for one in rows}
            found: dict[str, Any] = {}
            for answer in system.answer([one.question for one in rows]):
                graded = grade(answer, by_id[answer.question_id], task.scorer,
                               primary=task.primary)
                found[answer.question_id] = dict(graded.parts)
            return {"rows": {one.question.id: found[one.question.id] for one in rows}}

        asked = digest([one.question for one in rows])
        stored = self.kept(f"answers {name_of(identity)}", [identity, asked, task.digest], make)
        rows_found: dict[str, dict[str, float]] = dict(stored["rows"])
        return rows_found

    def suites(self, *names: str) -> tuple[Suite, ...]:
        return load_suites(names, self.workspace.retention_file)

    def own_text(self) -> tuple[OwnText, ...]:
        stored = self.kept("own text", owntext.DIGEST, lambda: {
            "texts": [asdict(one) for one in owntext.write(self.tools.engine)]})
        return tuple(OwnText(**one) for one in stored["texts"])

    def scores(
        self, engine: Callable[[], Engine], identity: object, suites: Sequence[Suite]
    ) -> dict[str, SuiteScores]:
        """Retention scores, suite by suite, each of them kept."""
        found = {}
        for suite in suites:
            own = self.own_text() if suite.name == owntext.NAME else ()

            def make(suite: Suite = suite, own: Sequence[OwnText] = own) -> dict[str, Any]:
                [scores] = retention.measure(engine(), [suite], own_text=own).values()
                return asdict(scores)

            stored = dict(self.kept(f"{suite.name} of {name_of(identity)}",
                                    [identity, suite.digest], make))
            stored.pop("seconds")
            found[suite.name] = SuiteScores(**stored)
        return found


def name_of(identity: object) -> str:
    """The first word of an identity, for people."""
    return str(identity[0]) if isinstance(identity, list | tuple) else str(identity)


def files_of(bench: Bench, name: str) -> list[object]:
    """The identity of a prepared system: its very files."""
    return [name, digests(bench.folder / "systems" / name)]


def engine_of(system: System) -> Engine:
    assert isinstance(system, Composed), "tuned systems are composed"
    assert system.engine is not None, "and run here"
    return system.engine


def tuned_recipe(bench: Bench, **weights: Any) -> Recipe:
    """The shipped lora, with some of its numbers changed."""
    recipe = bench.workspace.recipe("lora")
    assert isinstance(recipe.weights, LoraWeights), "lora tunes"
    return recipe.model_copy(update={"weights": recipe.weights.model_copy(update=weights)})


def _fewer(
    material: Material, train: tuple[Example, ...], dev: tuple[Example, ...]
) -> Material:
    return replace(material, train=train, dev=dev,
                   digest=digest([material.digest, train, dev]))


def taught(material: Material, train: tuple[Example, ...]) -> Material:
    """The material with other rows to learn from."""
    return _fewer(material, train, material.dev)


def opened(root: Path, journal: Journal, folder: Path) -> Bench:
    """The shipped workspace with its own model."""
    workspace = Workspace(root)
    settings = workspace.settings()
    tools = real(settings.model, settings.embedder, precision=settings.precision)
    return Bench(workspace, settings, replace(tools, root=root), journal, folder)
