"""Lessons: the prompt a contender would see at the end, and the answer it should give."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from advisor.contenders.composed import Composed
from advisor.contenders.prompt import Passage
from advisor.core import Document, Example, Material, Question
from advisor.engines.protocol import Course, Lesson, Message, Text
from advisor.errors import AdvisorError
from advisor.measures.recall import right_passages

Ask = Callable[[Sequence[Question]], list[tuple[Message, ...]]]

# RAFT (Zhang et al., arXiv 2403.10131) leaves the right passage out of some prompts, so that
# the model also learns to do without.
WITHOUT = 0.2
# Texts of the corpus on which pre-training is checked: the last of every so many.
HELD = 8


def course(material: Material, ask: Ask) -> Course[Lesson]:
    """Every train and dev example as a lesson, prompted exactly as at answering time.

    `ask` composes the prompts of questions; with retrieval they hold the retrieved
    passages, right ones and distractors alike. There is no way from here to test rows.
    """
    if not material.train or not material.dev:
        raise AdvisorError(
            "tuning needs rows in train and in dev",
            fix="add train.jsonl and dev.jsonl to the task, or drop the tuned contenders",
        )
    return Course(lessons(material.train, ask), lessons(material.dev, ask))


def lessons(examples: Sequence[Example], ask: Ask) -> tuple[Lesson, ...]:
    """One lesson for each example."""
    prompts = ask([example.question for example in examples])
    return tuple(
        Lesson(prompt, example.targets[0])
        for prompt, example in zip(prompts, examples, strict=True)
    )


def read_with(untuned: Composed, examples: Sequence[Example], *, reads: str, seed: int) -> Ask:
    """How the prompts of `examples` are composed for learning; see `TunedWeights.reads`."""
    if reads == "none":
        return replace(untuned, index=None).ask
    if reads == "mixed":
        among = dict(zip((e.question.id for e in examples),
                         _among_others(untuned, examples, seed=seed), strict=True))
        return lambda questions: untuned.ask(
            questions, given=[among[question.id] for question in questions])
    return untuned.ask


def _among_others(
    untuned: Composed, examples: Sequence[Example], *, seed: int
) -> list[tuple[Passage, ...]]:
    """For each example `top_k` passages: the right one, where it is known and not left out,
    at any place among the wrong ones that are found first."""
    index, size = untuned.index, untuned.recipe.retrieval.top_k
    assert index is not None, "asked only of a recipe that retrieves"
    order = {passage: i for i, passage in enumerate(index.passages)}
    found = index.search([example.question.text for example in examples], size + HELD)
    chance = random.Random(seed)
    rows = []
    for example, passages in zip(examples, found, strict=True):
        right = right_passages(example, index.passages)
        wrong = [passage for passage in passages if order[passage] not in right][:size]
        if right and chance.random() >= WITHOUT:
            known = [passage for passage in passages if order[passage] in right]
            best = known[0] if known else index.passages[min(right)]
            wrong = wrong[: size - 1]
            wrong.insert(chance.randint(0, len(wrong)), best)
        rows.append(tuple(wrong))
    return rows


def texts(corpus: Sequence[Document]) -> Course[Text]:
    """The corpus to read on from. All of it is learnt, so what is checked is learnt too: the
    loss there tells a tuning that diverges, not how well it carries over."""
    whole = tuple(Text(f"{document.title}\n{document.text}".strip()) for document in corpus)
    return Course(whole, whole[-1::-HELD])
