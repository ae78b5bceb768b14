"""Contenders that come out the same are asked once.

A search may settle on what another contender is, and preference tuning may keep the adapter it
began with. What was saved is then the same to the byte, and so is all that it would say: answers
and retention scores of the one are those of the other. Single calls are timed for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from advisor.data.digest import AnswerKey, digest
from advisor.runner.stages import Stages, retention_stage

KIND = "alike"


def first_alike(key: AnswerKey, recipe: Mapping[str, Any], stages: Stages) -> AnswerKey:
    """Whoever was measured first of those with these files, seed and settled `recipe`; `key` is
    the identity of one of them as prepared."""
    journal = stages.journal
    # Files are part of `engine`. In `material` those that search by grades also name the scorer.
    material = stages.plan.task.material.digest
    stage = replace(key, recipe=digest(recipe), material=material).stage(KIND)
    found = journal.stage(stage)
    if found is None:
        journal.put_stage(stage, KIND, asdict(key), contender=key.contender)
        return key
    return AnswerKey(**found)


def take_over(first: AnswerKey, key: AnswerKey, stages: Stages) -> None:
    """Put what the journal holds of `first` under `key` as well, where it has nothing yet."""
    plan, journal = stages.plan, stages.journal
    questions = [example.question for example in plan.task.test]
    own = journal.answers(key.key(question) for question in questions)
    theirs = journal.answers(first.key(question) for question in questions)
    journal.put_many(key, [(question, theirs[first.key(question)]) for question in questions
                           if first.key(question) in theirs and key.key(question) not in own])
    suites = [suite.digest for suite in plan.suites]
    stage, scores = retention_stage(key, suites), journal.stage(retention_stage(first, suites))
    if scores is not None and journal.stage(stage) is None:
        journal.put_stage(stage, "retention", scores, contender=key.contender)


def same_as(notes: Mapping[str, Mapping[str, Any]], names: Mapping[str, str]) -> dict[str, str]:
    """Which trials of a run, by label, are of the files of an earlier one under another name.

    `notes` is what was noted of each trial, in order, `names` the contender of each label.
    """
    firsts = dict[str, str]()
    found = {}
    for label, noted in notes.items():
        first = firsts.setdefault(digest(noted["files"]), names[label])
        if first != names[label]:
            found[label] = first
    return found
