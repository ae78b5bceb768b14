"""Pairs of answers for preference tuning: the task's own, or a tuned model's mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from advisor.config import PreferSpec
from advisor.contenders.composed import NOTHING, Composed
from advisor.core import Answer, Example, Material
from advisor.engines.protocol import Course, Engine, Local, Pair, Sampling
from advisor.errors import AdvisorError
from advisor.measures.scorers import grade

HELD = 8  # one pair in so many is for checks


def given(material: Material, untuned: Composed, spec: PreferSpec) -> Course[Pair]:
    """The task's preferences.jsonl, prompted as at answering time."""
    chosen = material.preferences[: spec.max_pairs]
    prompts = untuned.ask([one.question for one in chosen])
    return _split([Pair(prompt, one.chosen, one.rejected)
                   for prompt, one in zip(prompts, chosen, strict=True)])


def drawn(
    material: Material, untuned: Composed, tuned: Engine, spec: PreferSpec, *, seed: int
) -> list[list[str]]:
    """The different answers that `tuned` gives each train row at temperature 1, sorted."""
    system = replace(untuned, speaker=Local(tuned))
    prompts = system.ask([example.question for example in material.train])
    tokens = [tuned.encode(prompt) for prompt in prompts for _ in range(spec.draws)]
    said = dict(tuned.generate(tokens, max_tokens=material.max_tokens, stop=material.stop,
                               sampling=Sampling(seed=seed)))
    return [sorted({said[at].text for at in range(row * spec.draws, (row + 1) * spec.draws)})
            for row in range(len(prompts))]


def made(
    material: Material, untuned: Composed, answers: Sequence[Sequence[str]], spec: PreferSpec
) -> Course[Pair]:
    """The right answer of a train row against the worst of the `answers` that were drawn for
    it, where one of them is wrong.

    Raises AdvisorError when too few are wrong to learn anything from.
    """
    prompts = untuned.ask([example.question for example in material.train])
    pairs = []
    for prompt, example, texts in zip(prompts, material.train, answers, strict=True):
        graded = sorted((_credit(text, example, material), text) for text in texts)
        if graded and graded[0][0] < 1.0 and graded[0][1] != example.targets[0]:
            pairs.append(Pair(prompt, example.targets[0], graded[0][1]))
    return _split(pairs[: spec.max_pairs])


def _credit(text: str, example: Example, material: Material) -> float:
    answer = Answer(example.question.id, text, NOTHING)
    return grade(answer, example, material.scorer, primary=material.primary).credit or 0.0


def _split(pairs: Sequence[Pair]) -> Course[Pair]:
    if len(pairs) < 2:
        raise AdvisorError(
            f"preference tuning found {len(pairs)} pairs of a better and a worse answer; it needs "
            "at least 2",
            fix="add preferences.jsonl to the task, raise weights.prefer.draws, or drop the "
            "contender: what answers train right has nothing to prefer",
        )
    held = tuple(pairs[-1::-HELD])
    return Course(tuple(pair for pair in pairs if pair not in held), held)
