"""Finished runs, read again: what was decided, and each answer with its grade.

Answers lie in the journal under content keys; run.yaml holds everything that those keys are
made of. They are graded by the task as it is now, so that two runs are graded alike.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from advisor.core import Task
from advisor.data.digest import AnswerKey, digest
from advisor.errors import AdvisorError, did_you_mean
from advisor.measures.scorers import grade
from advisor.runner.journal import Journal
from advisor.trial import Row
from advisor.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Run:
    """`described` is run.yaml and `verdict` verdict.json, as they were written."""

    folder: Path
    described: Mapping[str, Any]
    verdict: Mapping[str, Any]

    @property
    def contenders(self) -> tuple[str, ...]:
        """Those that were measured, best quality first."""
        return tuple(one["contender"] for one in self.verdict["standings"])

    def standing(self, contender: str) -> Mapping[str, Any]:
        """One line of the table; raises AdvisorError for a name that was not measured."""
        for one in self.verdict["standings"]:
            if one["contender"] == contender:
                found: Mapping[str, Any] = one
                return found
        raise AdvisorError(
            f"{self.folder}: no contender {contender!r}{did_you_mean(contender, self.contenders)}",
            fix=f"advisor show {self.folder}")

    @property
    def leader(self) -> str:
        """The winner, or the best of a run without one."""
        return str(self.verdict["winner"] or self.contenders[0])


def find_run(name: str, workspace: Workspace | None) -> Run:
    """A run by the path of its folder, or by its name below reports/.

    Raises AdvisorError when there is none, or when it has not finished.
    """
    places = [Path(name)] + ([workspace.reports / name] if workspace else [])
    for place in places:
        if (place / "run.yaml").is_file():
            return read_run(place)
    for place in places:
        if (place / "journal.db").is_file():
            raise AdvisorError(f"{place}: this run has not finished",
                               fix="give its `advisor run` command again; it continues")
    known = run_names(workspace) if workspace else ()
    hint = did_you_mean(name, known) if known else ""
    raise AdvisorError(f"no run {name!r}{hint}", fix="advisor list shows the runs; advisor run "
                       "TASK makes one")


def run_names(workspace: Workspace) -> tuple[str, ...]:
    """The finished runs below reports/, the newest first."""
    found = workspace.reports.glob("*/run.yaml")
    return tuple(path.parent.name for path in
                 sorted(found, key=lambda path: (-path.stat().st_mtime, path)))


def read_run(folder: Path) -> Run:
    """The run in `folder`; raises AdvisorError when a file of it is missing or broken."""
    try:
        described = yaml.safe_load((folder / "run.yaml").read_text(encoding="utf-8"))
        verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
        verdict["standings"], verdict["winner"], described["contenders"]  # what is used below
    except FileNotFoundError as error:
        raise AdvisorError(f"{error.filename}: no such file",
                           fix="give the `advisor run` command again") from error
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise AdvisorError(f"{folder}: run.yaml or verdict.json is broken: {error}",
                           fix="give the `advisor run` command again") from error
    return Run(folder, described, verdict)


def rows_of(run: Run, task: Task, contender: str) -> dict[str, Row]:
    """Each question of `task` that this contender was asked in just these words, graded.

    Raises AdvisorError for a contender that was not measured, and when no question of the
    task as it is now was asked.
    """
    run.standing(contender)
    key = _key(run, contender)
    questions = {key.key(example.question): example for example in task.test}
    with Journal(run.folder / "journal.db") as journal:
        answers = journal.answers(questions)
    if not answers:
        raise AdvisorError(
            f"{run.folder}: its journal holds no answer of {contender} to a question of "
            f"{task.name} as it is now", fix="run the task again; or take back what was changed "
            "in its test.jsonl")
    return {
        example.question.id: Row(example, answers[at], grade(
            answers[at], example, task.scorer, primary=task.primary))
        for at, example in questions.items() if at in answers
    }


def _key(run: Run, contender: str) -> AnswerKey:
    """The identity under which the runner stored the answers (runner/trial.py)."""
    said = run.described
    libraries = {name: found for name, found in said["versions"].items() if name != "python"}
    models = digest([said["model"]["digest"], said["embedder"]["digest"]])
    return AnswerKey(
        contender=contender,
        seed=said["seed"],
        recipe=said["contenders"][contender]["digest"],
        engine=digest([models, said["measured"][contender]["files"]]),
        material=said["task"]["material"],
        code=digest({"advisor": said["advisor"], **libraries}),
    )
