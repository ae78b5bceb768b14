"""Changed facts put to a contender: nothing renewed, the index renewed, or both side by side.

The weights and the solved examples stay as they were; only what is read changes. The rows
that are asked may stand in train: what was learnt there is what goes stale. None of this
enters a contender's quality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from advisor.config import Recipe
from advisor.contenders import retrieval
from advisor.contenders.composed import Composed
from advisor.core import Answer, Document, Example, System
from advisor.data.digest import AnswerKey, digest
from advisor.data.versions import Version
from advisor.errors import AdvisorError
from advisor.measures.scorers import grade
from advisor.runner.journal import Journal
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan
from advisor.runner.stages import Stages
from advisor.trial import FreshAnswers, Freshness, IndexState


def freshness(
    key: AnswerKey, recipe: Recipe, opened: Opened, *, stages: Stages
) -> Freshness | None:
    """What the contender answers about the plan's version of the facts, from the journal or
    asked now; None without a version, and for the floor, which knows no fact.

    Raises AdvisorError when the contender stops answering.
    """
    version = stages.plan.version
    if version is None or recipe.prompt.kind == "none":
        return None
    stage = fresh_stage(key, stages.plan)
    if (kept := recalled(stage, stages.journal)) is not None:
        return kept
    asked = [*(one.before for one in version.changed), *version.same]
    found = []
    for index in _states(recipe, version):
        identity, documents = _identity(key, index, version, stages)
        answers = _answers(identity, asked, _Reading(opened, recipe, documents), stages=stages)
        found.append(_graded(index, answers, version, stages))
    groups = {one.question.id: one.group for one in asked}
    made = Freshness(version.date, tuple(found), groups)
    stages.journal.put_stage(stage, "fresh", asdict(made), contender=key.contender)
    return made


def changed_facts(plan: Plan) -> dict[str, dict[str, str]]:
    """The version as run.yaml names it; nothing without one."""
    if plan.version is None:
        return {}
    return {"changed_facts": {"date": plan.version.date, "digest": identity_of(plan) or ""}}


def identity_of(plan: Plan) -> str | None:
    """What is asked about changed facts, and how it is graded; None without a version."""
    if plan.version is None:
        return None
    return digest([plan.version.digest, plan.task.scorer, plan.task.primary])


def fresh_stage(key: AnswerKey, plan: Plan) -> str:
    """The key under which a contender's credits on changed facts are kept."""
    return stage_of(key, identity_of(plan) or "")


def stage_of(key: AnswerKey, identity: str) -> str:
    """The same by what run.yaml names."""
    return key.stage(f"fresh {identity}")


def recalled(stage: str, journal: Journal) -> Freshness | None:
    """What the journal holds of it."""
    stored = journal.stage(stage)
    if stored is None:
        return None
    answers = tuple(
        FreshAnswers(one["index"], {row: (new, old) for row, (new, old) in one["changed"].items()},
                     one["unchanged"]) for one in stored["answers"]
    )
    return Freshness(stored["date"], answers, stored["groups"])


def _states(recipe: Recipe, version: Version) -> tuple[IndexState, ...]:
    reads = recipe.retrieval.kind != "none" and version.documents
    return ("before", "after", "both") if reads else ("before",)


def _identity(
    key: AnswerKey, index: IndexState, version: Version, stages: Stages
) -> tuple[AnswerKey, tuple[Document, ...]]:
    """Whose answers these are, and what there is to read (nothing: the index as it was)."""
    if index == "before":
        return key, ()
    corpus = stages.plan.task.material.corpus
    documents = version.corpus(corpus) if index == "after" else version.both(corpus)
    label = f"{key.contender} (documents {index} {version.date})"
    return replace(key, contender=label, recipe=digest([key.recipe, "index", documents])), documents


class _Reading:
    """A system over other documents, opened and indexed only when it is asked."""

    def __init__(self, opened: Opened, recipe: Recipe, documents: tuple[Document, ...]) -> None:
        self.opened, self.recipe, self.documents = opened, recipe, documents

    def system(self) -> System:
        system = self.opened.system
        if not self.documents:
            return system
        assert isinstance(system, Composed), "only composed systems retrieve"
        assert system.index is not None
        old = system.index
        known = {} if old.vectors is None else dict(
            zip((one.text for one in old.passages), old.vectors, strict=True))
        index = retrieval.build(
            self.documents, self.recipe.retrieval, embedder=old.embedder, reranker=old.reranker,
            known=known,
        )
        return replace(system, index=index)


def _answers(
    identity: AnswerKey, asked: Sequence[Example], reading: _Reading, *, stages: Stages
) -> dict[str, Answer]:
    questions = {identity.key(example.question): example.question for example in asked}
    stored = stages.journal.answers(questions)
    answers = {answer.question_id: answer for answer in stored.values()}
    waiting = {question.id: question for k, question in questions.items() if k not in stored}
    stages.watch.stage(identity.contender, "answering", len(questions))
    stages.watch.advance(len(stored))
    if waiting:
        for answer in reading.system().answer(list(waiting.values())):
            stages.journal.put(identity, waiting[answer.question_id], answer)
            answers[answer.question_id] = answer
            stages.watch.advance()
    if silent := sorted(waiting.keys() - answers.keys()):
        raise AdvisorError(
            f"{identity.contender} gave no answer to {len(silent)} questions, {silent[0]!r} "
            "among them",
            fix="a system must yield one Answer for each question",
        )
    return answers


def _graded(
    index: IndexState, answers: Mapping[str, Answer], version: Version, stages: Stages
) -> FreshAnswers:
    task = stages.plan.task

    def credit(example: Example) -> float | None:
        answer = answers[example.question.id]
        return grade(answer, example, task.scorer, primary=task.primary).credit

    changed, unchanged = dict[str, tuple[float, float]](), dict[str, float]()
    for one in version.changed:
        new, old = credit(one.after), credit(one.before)
        if new is not None and old is not None:  # what failed earns nothing, and is not stale
            changed[one.before.question.id] = (new, old)
    for example in version.same:
        value = credit(example)
        if value is not None:
            unchanged[example.question.id] = value
    return FreshAnswers(index, changed, unchanged)
