"""What a finished run measured of one contender, read back from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.config import Recipe
from advisor.core import Answer, Task
from advisor.errors import AdvisorError, Faults, did_you_mean
from advisor.runner.journal import Journal
from advisor.runner.record import JOURNAL, Record, open_record
from advisor.ship.bundle import digests
from advisor.trial import PrepareCost


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender of a finished run: `verdict` is verdict.json, `standing` its line in it."""

    record: Record
    contender: str
    verdict: Mapping[str, Any]
    standing: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        return self.record.folder

    @property
    def run(self) -> Mapping[str, Any]:
        """The content of run.yaml."""
        return self.record.run

    @property
    def recipe(self) -> Recipe:
        return self.record.recipe(self.contender)

    @property
    def system(self) -> Path:
        return self.folder / "contenders" / self.contender / "system"

    @property
    def files(self) -> Mapping[str, str]:
        """sha256 of each file of its system when it was measured."""
        return self.record.files(self.contender)

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
                         fix=f"advisor run {self.record.task}")

    def answers(self, task: Task) -> tuple[dict[str, Answer], PrepareCost]:
        """The journal's answers to the test questions by id, and what preparing took.

        Raises AdvisorError when any is not there.
        """
        key = self.record.key(self.contender)
        keys = {key.key(example.question): example.question.id for example in task.test}
        with Journal(self.folder / JOURNAL) as journal:
            prepared = journal.stage(self.record.unprepared(self.contender).stage("prepare"))
            stored = journal.answers(keys)
        if prepared is None or len(stored) < len(keys):
            raise AdvisorError(
                f"{self.folder / JOURNAL} holds {len(stored)} of {len(keys)} answers of "
                f"{self.contender}", fix=f"advisor run {self.record.task}")
        cost = prepared["cost"]
        curves = {name: tuple(cost[name]) for name in ("dev_loss", "train_loss")}
        return ({keys[k]: answer for k, answer in stored.items()},
                PrepareCost(**{**cost, **curves}))


def measured(folder: Path, contender: str | None) -> Measured:
    """A contender of the run in `folder`, by default the one that the verdict recommends.

    Raises AdvisorError when the folder holds no finished run, when the verdict recommends
    none, and for a contender that was not measured.
    """
    record = open_record(folder)
    verdict = _verdict(folder / "verdict.json")
    name = contender or verdict.get("winner")
    if name is None:
        raise AdvisorError(f"{folder}: the verdict is {verdict['outcome']}, so there is no winner",
                           fix="name what to ship: --contender NAME")
    standings = {one["contender"]: one for one in verdict["standings"]}
    known = standings.keys() & set(record.measured)
    if name not in known:
        raise AdvisorError(f"{folder}: {name!r} was not measured{did_you_mean(name, known)}",
                           fix=f"advisor run {record.task} --contender {name}")
    return Measured(record, name, verdict, standings[name])


def _verdict(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdvisorError(f"{path} cannot be read: {error}",
                           fix="give the run's command again") from error
    if not isinstance(found, dict):
        raise AdvisorError(f"{path} is not what a run writes", fix="give its command again")
    return found
