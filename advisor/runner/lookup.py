"""The retriever measured apart from the model: a stage of its own in the journal.

Here the right passage of a test row is looked up, so it is done by the runner, and no
contender sees it: a contender is only asked with passages that were picked for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from advisor.config import Recipe
from advisor.contenders.composed import Composed
from advisor.contenders.tuning.kept import Kept, Remembering
from advisor.core import Answer, Example, Question
from advisor.data.digest import AnswerKey, digest
from advisor.measures.recall import rank, right_passages
from advisor.measures.scorers import grade
from advisor.runner.journal import Journal
from advisor.runner.opened import Opened
from advisor.runner.plan import Plan, Watch
from advisor.trial import Retrieved

# Deeper than any prompt here reads: shows whether the right passage is near, or nowhere.
DEPTH = 10


@dataclass(frozen=True, slots=True)
class _Asked:
    """A test question, the right passage for it, and the key of its answer."""

    question: Question
    passage: int
    identity: AnswerKey

    @property
    def key(self) -> str:
        return self.identity.key(self.question)


def retrieved(
    key: AnswerKey, opened: Opened, *, recipe: Recipe, plan: Plan, journal: Journal, watch: Watch
) -> Retrieved | None:
    """What the retriever found, and what the system makes of the right passage alone.

    None for a system that retrieves nothing, or for a task in which no passage is known to
    hold an answer. The answers to right passages are journalled as they come.
    """
    if recipe.retrieval.kind in ("none", "everything"):
        return None
    task = plan.task
    stage = key.stage(f"retrieved {DEPTH} {digest(task.test)}")
    stored = journal.stage(stage)
    if stored is None:
        # What is looked up is not timed, and the same for all contenders.
        embedder = Remembering(plan.tools.embedder, Kept(plan.folder / "tuned"))
        system = _composed(opened).embedding_with(embedder)
        stored = _looked_up(system, task.test, depth=max(DEPTH, recipe.retrieval.top_k))
        journal.put_stage(stage, "retrieved", stored, contender=key.contender)
    if not stored["right"]:
        return None
    asked = _asked(key, stored["right"], plan)
    answers = _answers(key, asked, opened, journal=journal, watch=watch)
    grades = {
        example.question.id: grade(answers[example.question.id], example, task.scorer,
                                   primary=task.primary).credit
        for example in task.test if example.question.id in answers
    }
    return Retrieved(
        depth=DEPTH, read=recipe.retrieval.top_k, ranks=stored["ranks"],
        oracle={name: credit for name, credit in grades.items() if credit is not None},
    )


def _looked_up(
    system: Composed, test: Sequence[Example], *, depth: int
) -> dict[str, dict[str, int]]:
    """By row: the rank of the first right passage found, and the passage that a perfect
    retriever would have put into the prompt, the one of the right ones that is found best."""
    assert system.index is not None
    index = system.index
    places = {passage: i for i, passage in enumerate(index.passages)}
    found = index.search([example.question.text for example in test], depth)
    ranks, right = dict[str, int](), dict[str, int]()
    for example, row in zip(test, found, strict=True):
        known = right_passages(example, index.passages)
        if not known:
            continue
        order = [places[passage] for passage in row]
        place = rank(known, order)
        ranks[example.question.id] = place
        right[example.question.id] = order[place - 1] if place else min(known)
    return {"ranks": ranks, "right": right}


def _asked(key: AnswerKey, right: Mapping[str, int], plan: Plan) -> list[_Asked]:
    """The probed rows, evenly spread over those that have a right passage."""
    known = [e.question for e in plan.task.test if e.question.id in right]
    wanted = plan.settings.oracle_probe
    if not wanted:
        return []
    step = max(1, len(known) // wanted)
    label = f"{key.contender} (right passage)"
    return [
        _Asked(question, right[question.id], replace(
            key, contender=label, recipe=digest([key.recipe, "oracle", right[question.id]])))
        for question in known[::step][:wanted]
    ]


def _answers(
    key: AnswerKey, asked: Sequence[_Asked], opened: Opened, *, journal: Journal, watch: Watch
) -> dict[str, Answer]:
    stored = journal.answers([one.key for one in asked])
    answers = {answer.question_id: answer for answer in stored.values()}
    waiting = {one.question.id: one for one in asked if one.key not in stored}
    watch.stage(key.contender, "answering", len(asked))
    watch.advance(len(stored))
    if not waiting:
        return answers
    system = _composed(opened)
    assert system.index is not None
    passages = system.index.passages
    given = [(passages[one.passage],) for one in waiting.values()]
    for answer in system.answer([one.question for one in waiting.values()], given=given):
        one = waiting[answer.question_id]
        journal.put(one.identity, one.question, answer)
        answers[answer.question_id] = answer
        watch.advance()
    return answers


def _composed(opened: Opened) -> Composed:
    system = opened.system
    assert isinstance(system, Composed), "only composed systems retrieve"
    return system
