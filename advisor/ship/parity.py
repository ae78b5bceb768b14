"""Whether what is packed still answers as it did when it was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.contenders.composed import Tools
from advisor.contenders.recipe import reopen
from advisor.core import Answer, Task
from advisor.data.digest import digest
from advisor.engines.protocol import Engine, Message
from advisor.errors import AdvisorError, Faults
from advisor.measures.scorers import grade

SHOWN = 20
# Long enough to show every kind of turn; what a template makes of it tells templates apart.
CONVERSATION = (
    Message("system", "Be brief."), Message("user", "One?"), Message("assistant", "1"),
    Message("user", "Two?"),
)


class Diverged(Faults):
    """What is packed is not what was measured."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Difference:
    """One test item answered otherwise than it was; credits are None for a failed answer."""

    id: str
    was: str
    now: str
    credit_was: float | None
    credit_now: float | None


@dataclass(frozen=True, slots=True)
class Parity:
    """`value` is the mean credit of the packed artefact over the `rows` that were graded."""

    rows: int
    same: int
    value: float
    value_was: float
    differences: tuple[Difference, ...]
    template: str


def rescore(
    system: Path, task: Task, *, journal: Mapping[str, Answer], tools: Tools,
    allowed: float = 0.0, margin: float = 0.0,
) -> Parity:
    """Open the saved system, ask it every test question, and compare with the journal.

    Decoding is greedy, so every text should be the same; `allowed` is the share of rows
    whose text may differ, for artefacts that are computed otherwise. The sources of an
    answer count as its text. Raises Diverged naming the rows when more differ, or when those
    that do cost more of the mean credit than `margin`.
    """
    opened, engine = reopen(system, tools, task.material)
    now = {answer.question_id: answer
           for answer in opened.answer([example.question for example in task.test])}
    differences = []
    credits: list[tuple[float | None, float | None]] = []
    for example in task.test:
        key = example.question.id
        if key not in now:
            raise AdvisorError(f"the packed system gave no answer to {key!r}",
                               fix="report this as a bug")
        was, said = (grade(one, example, task.scorer, primary=task.primary).credit
                     for one in (journal[key], now[key]))
        credits.append((was, said))
        if _said(journal[key]) != _said(now[key]):
            differences.append(
                Difference(key, journal[key].text, now[key].text, was, said))
    value_was, value = (_mean([pair[i] for pair in credits]) for i in (0, 1))
    if len(differences) > allowed * len(task.test):
        raise Diverged(
            f"what is packed differs from what was measured on {len(differences)} of "
            f"{len(task.test)} test rows (allowed: {allowed:.1%}) and earns {value:.3f}, not "
            f"{value_was:.3f}; nothing was shipped",
            [_line(one) for one in differences[:SHOWN]],
            fix=f"advisor run {task.name} on this machine, then ship again; --tolerance SHARE "
            "allows some rows to differ, and the bundle says so")
    # A failure is no answer to grade, but what its row had earned is lost.
    kept = _mean([said or 0.0 for was, said in credits if was is not None])
    if kept < value_was - margin:
        raise Diverged(
            f"what is packed earns {kept:.3f} on the {len(task.test)} test rows, {value_was:.3f} "
            f"was measured: it loses more than the quality margin of the run ({margin:g}); nothing "
            "was shipped",
            [_line(one) for one in differences
             if (one.credit_now or 0.0) < (one.credit_was or 0.0)][:SHOWN],
            fix="look for what is computed otherwise there; a wider policy.quality_margin in "
            f"advisor.yaml and `advisor run {task.name}` would let it pass")
    if math.isnan(value) or math.isnan(value_was):
        raise AdvisorError(f"none of {len(credits)} answers could be graded",
                           fix="run the task again and look at its failures")
    return Parity(len(task.test), len(task.test) - len(differences), value, value_was,
                  tuple(differences), template_of(engine))


def told(parity: Parity) -> dict[str, Any]:
    """What a bundle says of it: rows by id and credit, none of their text."""
    return {
        "rows": parity.rows, "same": parity.same, "value": parity.value,
        "value_was": parity.value_was, "template": parity.template,
        "differences": [{"id": one.id, "credit_was": one.credit_was, "credit": one.credit_now}
                        for one in parity.differences],
    }


def template_of(engine: Engine | None) -> str:
    """What the chat template makes of a fixed conversation, by digest; empty: no model."""
    return digest(engine.encode(CONVERSATION)) if engine else ""


def _said(answer: Answer) -> tuple[object, ...]:
    return answer.text, answer.sources, bool(answer.failure)


def _line(one: Difference) -> str:
    return f"{one.id}: was {_short(one.was)}, is {_short(one.now)}"


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def _mean(credits: list[float | None]) -> float:
    """NaN if there are none."""
    graded = [credit for credit in credits if credit is not None]
    return sum(graded) / len(graded) if graded else math.nan
