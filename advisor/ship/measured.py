"""What a finished run measured of one contender, read back from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from advisor.config import Recipe
from advisor.core import Answer, PrepareCost, Task
from advisor.data.digest import AnswerKey, digest
from advisor.errors import AdvisorError, Faults, did_you_mean
from advisor.runner.journal import Journal
from advisor.ship.bundle import digests


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender of a run: `run` is run.yaml, `verdict` verdict.json, `standing` the
    contender's line in it, `files` the sha256 of each file of its system when measured."""

    folder: Path
    contender: str
    run: Mapping[str, Any]
    verdict: Mapping[str, Any]
    standing: Mapping[str, Any]
    recipe: Recipe

    @property
    def system(self) -> Path:
        return self.folder / "contenders" / self.contender / "system"

    @property
    def files(self) -> Mapping[str, str]:
        files: Mapping[str, str] = self.run["measured"][self.contender]["files"]
        return files

    @property
    def code(self) -> dict[str, str]:
        """Everything that computed in the run, by version."""
        versions = {k: v for k, v in self.run["versions"].items() if k != "python"}
        return {"advisor": self.run["advisor"], **versions}

    def check_files(self) -> None:
        """Raise Faults when the system on disk is not the one that was measured."""
        found = digests(self.system)
        faults = [f"{self.system / name}: "
                  + ("missing" if name not in found else "not what was measured"
                     if name in self.files else "was not there when it was measured")
                  for name in sorted(found.keys() | self.files.keys())
                  if found.get(name) != self.files.get(name)]
        if faults:
            raise Faults(f"{self.contender} is not the system that was measured", faults,
                         fix=f"advisor run {self.run['task']['name']}")

    def answers(self, task: Task) -> tuple[dict[str, Answer], PrepareCost]:
        """The journal's answers to the test questions by id, and what preparing took.

        Raises AdvisorError when any is not there.
        """
        run = self.run
        key = AnswerKey(
            contender=self.contender, seed=run["seed"],
            recipe=run["contenders"][self.contender]["digest"],
            engine=digest([run["model"]["digest"], run["embedder"]["digest"]]),
            material=run["task"]["material"], code=digest(self.code),
        )
        with Journal(self.folder / "journal.db") as journal:
            prepared = journal.stage(key.stage("prepare"))
            whole = replace(key, engine=digest([key.engine, dict(self.files)]))
            keys = {whole.key(e.question): e.question.id for e in task.test}
            stored = journal.answers(keys)
        if prepared is None or len(stored) < len(keys):
            raise AdvisorError(
                f"{self.folder / 'journal.db'} holds {len(stored)} of {len(keys)} answers of "
                f"{self.contender}", fix=f"advisor run {run['task']['name']}")
        cost = prepared["cost"]
        curves = {name: tuple(cost[name]) for name in ("dev_loss", "train_loss")}
        return ({keys[k]: answer for k, answer in stored.items()},
                PrepareCost(**{**cost, **curves}))


def measured(folder: Path, contender: str | None) -> Measured:
    """A contender of the run in `folder`, by default the one that the verdict recommends.

    Raises AdvisorError when the folder holds no finished run, when the verdict recommends
    none, and for a contender that was not measured.
    """
    run = _read(folder / "run.yaml", yaml.safe_load)
    verdict = _read(folder / "verdict.json", json.loads)
    name = contender or verdict.get("winner")
    if name is None:
        raise AdvisorError(f"{folder}: the verdict is {verdict['outcome']}, so there is no winner",
                           fix="name what to ship: --contender NAME")
    standings = {one["contender"]: one for one in verdict["standings"]}
    known = standings.keys() & run["measured"].keys()
    if name not in known:
        raise AdvisorError(f"{folder}: {name!r} was not measured{did_you_mean(name, known)}",
                           fix=f"advisor run {run['task']['name']} --contender {name}")
    spec = {k: v for k, v in run["contenders"][name].items() if k != "digest"}
    try:
        recipe = Recipe.model_validate(spec)
    except ValidationError as error:
        raise AdvisorError(f"{folder / 'run.yaml'}: {name} was measured by another version of "
                           "advisor, whose recipes this one does not read",
                           fix=f"advisor run {run['task']['name']}") from error
    return Measured(folder, name, run, verdict, standings[name], recipe)


def _read(path: Path, parse: Any) -> Mapping[str, Any]:
    try:
        found = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AdvisorError(f"{path.parent} holds no finished run: it has no {path.name}",
                           fix="advisor run TASK, then name its folder below reports/") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise AdvisorError(f"{path} cannot be read: {error}",
                           fix="give the run's command again") from error
    if not isinstance(found, dict):
        raise AdvisorError(f"{path} is not what a run writes", fix="give its command again")
    return found
