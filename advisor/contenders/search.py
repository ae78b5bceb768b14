"""Choosing on dev: passages by recall, prompts by the task's own metric. Test stays unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from statistics import fmean
from typing import Any

from advisor.config import PromptSpec, RetrievalSpec
from advisor.contenders.retrieval import Index
from advisor.core import Example, Material, System
from advisor.errors import AdvisorError
from advisor.measures.recall import rank, recall, right_passages
from advisor.measures.scorers import grade

Found = Mapping[str, Any]
Build = Callable[[RetrievalSpec], Index]


def retrieval(spec: RetrievalSpec, material: Material, build: Build) -> tuple[RetrievalSpec, Found]:
    """`spec` with the top_k and chunk_words that dev likes best, and every trial's figures.

    The best has the highest recall less its charge for the words it puts into a prompt;
    among equals the fewest words. Raises AdvisorError when no row of dev has a passage that
    is known to hold its answer.
    """
    search = spec.tune
    assert search is not None, "asked only of a recipe that searches"
    sizes = search.chunk_words or (spec.chunk_words,)
    depths = search.top_k or (spec.top_k,)
    tried: list[dict[str, Any]] = []
    for size in sizes:
        index = build(spec.model_copy(update={"chunk_words": size}))
        tried += _measured(index, material.dev, depths, size=size)
    per_word = search.charge_per_100_words / 100

    def worth(one: Mapping[str, Any]) -> tuple[float, float]:
        return one["recall"] - per_word * one["words"], -one["words"]

    best = max(tried, key=worth)
    chosen = {name: best[name] for name in ("top_k", "chunk_words")}
    found = {"chosen": chosen, "by": "recall on dev less a charge a word", "tried": tried}
    return spec.model_copy(update={**chosen, "tune": None}), found


def _measured(
    index: Index, dev: Sequence[Example], depths: Sequence[int], *, size: int
) -> Iterator[dict[str, Any]]:
    known = [(example, right_passages(example, index.passages)) for example in dev]
    known = [(example, right) for example, right in known if right]
    if not known:
        raise AdvisorError(
            "retrieval.tune: no row of dev names a source, and no passage holds a target of one",
            fix="add `sources` to the rows of dev, or set top_k and chunk_words by hand",
        )
    places = {passage: i for i, passage in enumerate(index.passages)}
    found = index.search([example.question.text for example, _ in known], max(depths))
    ranks = [rank(right, [places[passage] for passage in row])
             for (_, right), row in zip(known, found, strict=True)]
    for depth in depths:
        read = fmean(sum(len(one.text.split()) for one in row[:depth]) for row in found)
        yield {"top_k": depth, "chunk_words": size, "recall": round(recall(ranks, depth), 4),
               "words": round(read, 1), "rows": len(known)}


def prompt(
    spec: PromptSpec, material: Material, make: Callable[[PromptSpec], System]
) -> tuple[PromptSpec, Found]:
    """`spec` with the shots, selection and wording that answer dev best, and all scores.

    Every number and choice of shots is asked the same rows, then every other wording with the
    best of them: all combinations would be three times as many. The best has the highest score
    less its charge for the tokens of a prompt; among equals the fewest. Raises AdvisorError
    without rows in dev.
    """
    search = spec.tune
    assert search is not None, "asked only of a recipe that searches"
    if not material.dev:
        raise AdvisorError("prompt.tune chooses on dev, which has no rows",
                           fix="add dev.jsonl to the task, or set the prompt by hand")
    rows = spread(material.dev, search.rows)
    bare = spec.model_copy(update={"tune": None})
    tried = list[dict[str, Any]]()
    per_token = search.charge_per_100_tokens / 100

    def worth(one: Mapping[str, Any]) -> tuple[float, float]:
        return one["score"] - per_token * one["tokens_in"], -one["tokens_in"]

    def best_of(choices: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        for one in choices:
            system = make(bare.model_copy(update=one))
            tried.append({**one, **scored(system, rows, material), "rows": len(rows)})
        best = max(tried, key=worth)
        return {name: best[name] for name in ("wording", "shots", "select")}

    shown = best_of(_shown(spec))
    others = [wording for wording in dict.fromkeys(search.wording) if wording != spec.wording]
    chosen = best_of({**shown, "wording": wording} for wording in others)
    found = {"chosen": chosen, "by": f"{material.primary} on dev less a charge a token",
             "tried": tried}
    return bare.model_copy(update=chosen), found


def _shown(spec: PromptSpec) -> Iterator[dict[str, Any]]:
    """Every number and choice of examples, under the wording that the recipe has."""
    search = spec.tune
    assert search is not None
    # Without shots there is nothing to select.
    both = product(search.shots or (spec.shots,), search.select or (spec.select,))
    for shots, select in dict.fromkeys((n, how if n else "fixed") for n, how in both):
        yield {"wording": spec.wording, "shots": shots, "select": select}


def spread(dev: Sequence[Example], count: int) -> Sequence[Example]:
    """At most `count` rows, evenly spread."""
    return dev[:: max(1, len(dev) // count)][:count]


def scored(system: System, rows: Sequence[Example], material: Material) -> dict[str, Any]:
    """The mean of the task's metric (0..1) over `rows`, what cannot be graded earning nothing,
    and the mean tokens of a prompt."""
    by_id = {example.question.id: example for example in rows}
    credits, tokens = [], []
    for answer in system.answer([example.question for example in rows]):
        graded = grade(answer, by_id[answer.question_id], material.scorer,
                       primary=material.primary)
        credits.append(graded.credit or 0.0)
        tokens.append(answer.usage.tokens_in)
    return {"score": round(fmean(credits), 4), "tokens_in": round(fmean(tokens), 1)}
