"""Whether the base model can do the task already: a few dev rows, asked for real."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from advisor.checks.finding import Finding, Looked
from advisor.config import PromptSpec, Recipe
from advisor.contenders.composed import Tools
from advisor.contenders.recipe import prepare
from advisor.core import Example
from advisor.measures.scorers import grade
from advisor.stats import measure

SHOTS = 4
KNOWN = 0.90  # there is then little left to gain
LOST = 0.05  # points above chance: below it the base shows no trace of the skill


def already_known(looked: Looked, tools: Tools, *, rows: int, seed: int) -> Iterator[Finding]:
    """The base's score on the first `rows` of dev, without and with solved examples."""
    material = looked.task.material
    asked = material.dev[:rows]
    best = 0.0
    said = []
    for shots in (0, min(SHOTS, len(material.train))):
        credits = _credits(looked, tools, asked, shots=shots, seed=seed)
        found = measure(credits, [e.group for e in asked], seed=seed)
        best = max(best, found.value)
        said.append(f"{found.value:.2f} with {shots} examples "
                    f"({found.low:.2f} to {found.high:.2f})")
    what = (f"the base earns {', '.join(said)} on {len(asked)} dev rows; "
            f"chance {looked.task.chance:g}")
    if best >= KNOWN:
        yield Finding("base", "warn", f"already known: {what}", (),
                      "prompting may be all you need; try harder rows before paying for tuning")
    elif best <= looked.task.chance + LOST:
        yield Finding("base", "note", f"no trace of the skill: {what}", (),
                      "a larger base may pay more than any way of adapting this one")
    else:
        yield Finding("base", "ok", what)


def _credits(
    looked: Looked, tools: Tools, asked: Sequence[Example], *, shots: int, seed: int
) -> list[float]:
    recipe = Recipe(prompt=PromptSpec(shots=shots))
    task = looked.task
    by_id = {example.question.id: example for example in asked}
    with tempfile.TemporaryDirectory() as folder:
        made = prepare(recipe, task.material, tools=tools, workdir=Path(folder), seed=seed)
        answers = list(made.system.answer([example.question for example in asked]))
    grades = [grade(answer, by_id[answer.question_id], task.scorer, primary=task.primary)
              for answer in answers]
    return [one.credit or 0.0 for one in grades]
