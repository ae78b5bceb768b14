"""What retrieval could give at best, and what it gives: no language model is asked."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

from advisor.checks.finding import Finding, Looked
from advisor.config import Recipe
from advisor.contenders import retrieval
from advisor.core import Example
from advisor.engines.embedders import Embedder
from advisor.measures.scorers.exact import normalise

ASKED = 200  # rows of train and dev; the test rows are not looked at
POOR_CORPUS = 0.30  # below this share the documents are not where the answers are
POOR_SEARCH = 0.60  # of what the documents hold: below it retrieval is what to mend first


def ceiling(looked: Looked) -> Iterator[Finding]:
    """The share of answers that stand anywhere in the corpus."""
    if reason := silent(looked):
        yield Finding("retrieval", "skipped", reason)
        return
    rows = _rows(looked)
    corpus = " \n ".join(_words(document.text) for document in looked.task.material.corpus)
    missing = [example for example in rows if not _holds(corpus, example)]
    share = 1 - len(missing) / len(rows)
    said = (f"oracle ceiling: {share:.0%} of {len(rows)} answers of train and dev stand "
            "in the documents")
    if share < POOR_CORPUS:
        yield Finding("retrieval", "warn", said, tuple(map(looked.place, missing)),
                      "add the documents that hold the answers, or expect nothing of retrieval")
    else:
        yield Finding("retrieval", "ok", said, tuple(map(looked.place, missing)))


def recall(
    looked: Looked, recipes: Mapping[str, Recipe], embedder: Embedder
) -> Iterator[Finding]:
    """The share of answers that each recipe's retrieved passages hold."""
    rows = _rows(looked)
    possible = _held(looked, rows)
    done: dict[str, str] = {}
    for name, recipe in recipes.items():
        if recipe.retrieval.kind == "none":
            continue
        same = recipe.retrieval.model_dump_json()
        if same in done:
            continue
        done[same] = name
        found = _found(looked, rows, recipe, embedder)
        share = sum(found) / len(rows)
        said = (f"recall floor of {name}: {share:.0%} of {len(rows)} answers stand in the "
                f"{recipe.retrieval.top_k} passages retrieved, {possible:.0%} stand anywhere")
        lost = [looked.place(e) for e, held in zip(rows, found, strict=True) if not held]
        if possible >= POOR_CORPUS and share < POOR_SEARCH * possible:
            yield Finding("retrieval", "warn", said, tuple(lost),
                          "mend retrieval first: longer passages, more of them, other documents")
        else:
            yield Finding("retrieval", "ok", said)


def silent(looked: Looked) -> str:
    """Why retrieval cannot be judged without a language model; empty where it can."""
    if not looked.task.material.corpus:
        return "the task has no documents"
    if looked.task.scorer.kind != "short_answer":
        return f"answers of kind {looked.task.scorer.kind} are not copied from documents"
    return ""


def _rows(looked: Looked) -> list[Example]:
    rows = [*looked.task.material.train, *looked.task.material.dev]
    return random.Random(0).sample(rows, min(ASKED, len(rows)))


def _held(looked: Looked, rows: Sequence[Example]) -> float:
    corpus = " \n ".join(_words(document.text) for document in looked.task.material.corpus)
    return sum(_holds(corpus, example) for example in rows) / len(rows)


def _found(
    looked: Looked, rows: Sequence[Example], recipe: Recipe, embedder: Embedder
) -> list[bool]:
    wanted = recipe.retrieval
    index = retrieval.build(looked.task.material.corpus, wanted, embedder=embedder)
    read = index.search([example.question.text for example in rows], wanted.top_k)
    return [any(_holds(_words(passage.text), example) for passage in passages)
            for example, passages in zip(rows, read, strict=True)]


def _words(text: str) -> str:
    return f" {normalise(text)} "


def _holds(plain: str, example: Example) -> bool:
    """Whether any accepted answer stands in the text as whole words."""
    for target in example.targets:
        said = normalise(target)
        start = plain.find(said)
        while start >= 0:
            before, after = plain[start - 1 : start], plain[start + len(said) :][:1]
            if not before.isalnum() and not after.isalnum():
                return True
            start = plain.find(said, start + 1)
    return False
