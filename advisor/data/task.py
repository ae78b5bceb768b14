"""A task from its folder: task.yaml, three splits, a corpus; or all that is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

from advisor.config import TaskFile
from advisor.core import (
    Context,
    Document,
    Example,
    Material,
    Preference,
    Question,
    ScorerSpec,
    Task,
    Voice,
)
from advisor.data.beside import read_beside
from advisor.data.checks import faults_between
from advisor.data.corpus import read_corpus
from advisor.data.digest import digest
from advisor.data.rows import Placed, read_rows, sample
from advisor.errors import AdvisorError, Faults
from advisor.yamlfiles import load

SPLITS = ("train", "dev", "test")


def load_task(folder: Path, *, limit: int | None = None) -> Task:
    """The task in `folder`, checked; `limit` keeps the first rows of test, in file order.

    All rows are read and checked whatever the limit. The limit changes the digest of
    the task, but not that of its material.
    Raises AdvisorError for task.yaml and for a limit below 1, and Faults with every
    fault of the splits and the corpus, each with its file and line.
    """
    if limit is not None and limit < 1:
        raise AdvisorError(f"limit: expected at least 1 test row, found {limit}",
                           fix="use a limit of 1 or more, or none for all rows")
    settings = load(folder / "task.yaml", TaskFile)
    scorer = scorer_spec(settings)
    splits = {split: read_rows(folder / f"{split}.jsonl", scorer, columns=settings.slices)
              for split in SPLITS}
    corpus = read_corpus(folder / "corpus")
    beside = read_beside(folder, splits["test"].placed)
    placed = {split: rows.placed for split, rows in splits.items()}
    faults = [fault for rows in splits.values() for fault in rows.faults]
    faults += [*corpus.faults, *beside.faults]
    faults += faults_between(placed, corpus.ids, settings.stop)
    faults += [f"{row.where}: lacks {column!r}, which `slices` of task.yaml names"
               for row in placed["test"] for column in settings.slices
               if column not in row.extras]
    if faults:
        raise Faults(str(folder), faults,
                     fix=f"correct these under {folder}; a good row is {sample(scorer)}")
    material = build_material(
        settings,
        train=_examples(placed["train"]),
        dev=_examples(placed["dev"]),
        corpus=corpus.documents,
        unlabelled=beside.unlabelled,
        preferences=beside.preferences,
    )
    return _task(settings, material, placed["test"][:limit])


def build_material(
    settings: TaskFile,
    *,
    train: tuple[Example, ...],
    dev: tuple[Example, ...],
    corpus: tuple[Document, ...],
    unlabelled: tuple[Question, ...] = (),
    preferences: tuple[Preference, ...] = (),
) -> Material:
    """All that a contender may learn from, with its digest; test rows are no argument."""
    schema = "" if settings.answer_schema is None else json.dumps(settings.answer_schema)
    parts = {
        "instruction": settings.instruction,
        "brief": settings.brief or settings.instruction,
        "train": train,
        "dev": dev,
        "corpus": corpus,
        "max_tokens": settings.max_tokens,
        "stop": settings.stop,
        # What came later is no part of the identity of tasks without it.
        **({"answer_schema": schema} if schema else {}),
        **({"unlabelled": unlabelled} if unlabelled else {}),
        **({"preferences": preferences} if preferences else {}),
    }
    return Material(
        instruction=settings.instruction,
        brief=settings.brief or settings.instruction,
        train=train,
        dev=dev,
        corpus=corpus,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        digest=digest(parts),
        scorer=scorer_spec(settings),
        primary=settings.primary,
        answer_schema=schema,
        unlabelled=unlabelled,
        preferences=preferences,
    )


def scorer_spec(settings: TaskFile) -> ScorerSpec:
    """How the task's answers are graded."""
    given = settings.scorer.voice
    voice = None if given is None else Voice(
        opening=given.opening,
        sign_off=given.sign_off,
        sentence_words=given.sentence_words,
        sentences=given.sentences,
        forbidden=given.forbidden,
        units=tuple(sorted(given.units.items())),
    )
    return ScorerSpec(settings.scorer.kind, settings.scorer.fields, voice)


def _task(settings: TaskFile, material: Material, rows: tuple[Placed, ...]) -> Task:
    test = _examples(rows)
    scorer = scorer_spec(settings)
    context = Context(
        calls_per_month=settings.context.calls_per_month,
        churn_per_month=settings.context.churn_per_month,
        latency_limit_ms=settings.context.latency_limit_ms,
        residency=settings.context.residency,
    )
    # Name, title, licence and source change neither a grade nor a verdict.
    identity = {
        "material": material.digest,
        "test": test,
        "scorer": scorer,
        "primary": settings.primary,
        "chance": settings.chance,
        "context": context,
    }
    return Task(
        name=settings.name,
        title=settings.title,
        material=material,
        test=test,
        scorer=scorer,
        primary=settings.primary,
        chance=settings.chance,
        context=context,
        digest=digest(identity),
        # Like title and source, these change no grade and no comparison.
        slices={column: {row.example.question.id: row.extras[column] for row in rows}
                for column in settings.slices},
    )


def _examples(rows: tuple[Placed, ...]) -> tuple[Example, ...]:
    return tuple(placed.example for placed in rows)
