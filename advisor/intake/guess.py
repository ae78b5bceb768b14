"""What task.yaml should say about rows that were understood: scorer, limits, instruction."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from advisor.config import PRIMARY
from advisor.data.json_object import parse_object
from advisor.errors import AdvisorError

Kind = Literal["exact", "json", "short_answer", "choice"]

FEW_CHOICES = 12  # more would make every prompt longer than most questions
FEW_LABELS = 60  # more do not fit an instruction
ROWS_A_LABEL = 4  # with fewer rows a label is hardly one
LABEL_LENGTH = 60  # characters
SHORT_WORDS = 12  # an answer of more words is not graded fairly by its words
SLACK = 4  # tokens beyond the longest answer seen
SHORTEST = 16  # tokens: room for "The answer is ..." of a model that was not tuned
LONGEST = 512  # tokens: more would make one answer cost as much as a hundred short ones


@dataclass(frozen=True, slots=True)
class Guess:
    """Keys of task.yaml, and for each the reason in a few words."""

    kind: Kind
    fields: tuple[str, ...]
    primary: str
    max_tokens: int
    stop: tuple[str, ...]
    instruction: str
    brief: str
    choices: tuple[str, ...]
    why: Mapping[str, str]


def guess(
    targets: Sequence[Sequence[str]], *, kind: Kind | None, own_choices: bool, reads: bool,
    instruction: str, tokens: Callable[[str], int],
) -> Guess:
    """The task that these answers look like; `kind` and `instruction` are kept when given.

    `own_choices`: the rows bring their choices. `reads`: there are documents. `tokens`
    counts those of a text. Raises AdvisorError when `kind` does not fit the answers.
    """
    first = [row[0] for row in targets]
    why: dict[str, str] = {}
    found, why["scorer"] = (kind, "as told") if kind else _kind(first, own_choices)
    objects = _objects(first) if found == "json" else []
    if found == "json" and not objects:
        raise AdvisorError("kind json: not every answer is a JSON object with the same keys",
                           fix="leave --task-kind out, or mend the answers")
    labels = tuple(sorted(set(first)))  # by name: an order by frequency would tell something
    choices = labels if found == "choice" and not own_choices else ()
    if found == "choice" and not own_choices and not 2 <= len(choices) <= len(first) // 2:
        raise AdvisorError(f"kind choice: {len(choices)} different answers in {len(first)} rows",
                           fix="--task-kind short_answer, or --choices COLUMN")
    longest = max(tokens(text) for row in targets for text in row)
    why["max_tokens"] = f"the longest answer has about {longest} tokens"
    why["primary"] = {"json": "the share of fields that are right",
                      "short_answer": "the overlap of words with the nearest right answer",
                      }.get(found, "the share of answers that are right")
    told, brief = _instructions(found, first, objects, labels=labels, reads=reads)
    why["instruction"] = "from the data" if instruction else "plain, from the answers; improve it"
    return Guess(
        kind=found,
        fields=_fields(objects),
        primary=PRIMARY[found][0],
        max_tokens=max(SHORTEST, min(LONGEST, longest + SLACK + longest // 8)),
        stop=() if any("\n" in text for row in targets for text in row) else ("\n",),
        instruction=instruction or told,
        brief="" if instruction else brief,
        choices=choices,
        why=why,
    )


def _kind(first: Sequence[str], own_choices: bool) -> tuple[Kind, str]:
    if own_choices:
        return "choice", "each row brings its choices"
    if _objects(first):
        return "json", "every answer is a JSON object with these keys"
    labels = Counter(first)
    few = 2 <= len(labels) <= len(first) / ROWS_A_LABEL and max(map(len, labels)) <= LABEL_LENGTH
    if few and len(labels) <= FEW_CHOICES:
        return "choice", f"only {len(labels)} different answers, offered with each question"
    if few and len(labels) <= FEW_LABELS:
        return "exact", f"only {len(labels)} different answers, named in the instruction"
    words = statistics.median(len(text.split()) for text in first)
    if words <= SHORT_WORDS:
        return "short_answer", f"answers of {words:g} words (median), mostly different"
    return "short_answer", (f"answers of {words:g} words (median): overlap of words grades such "
                            "long ones poorly; shorten them if you can")


def _objects(first: Sequence[str]) -> list[dict[str, Any]]:
    """The answers as objects, or nothing unless all are and they share a field."""
    found = []
    for text in first:
        try:
            found.append(parse_object(text))
        except ValueError:
            return []
    return found if _fields(found) else []


def _fields(objects: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Dotted paths of the values that every object has, in the order of the first."""
    paths = [dict.fromkeys(_paths(one)) for one in objects]
    return tuple(path for path in paths[0] if all(path in other for other in paths)) \
        if paths else ()


def _paths(value: Mapping[str, Any], above: str = "") -> list[str]:
    found = []
    for key, inner in value.items():
        if "." in key:
            continue  # a path could not name it
        nested = isinstance(inner, dict) and inner
        found += _paths(inner, f"{above}{key}.") if nested else [above + key]
    return found


def _instructions(
    kind: Kind, first: Sequence[str], objects: Sequence[Mapping[str, Any]], *,
    labels: Sequence[str], reads: bool,
) -> tuple[str, str]:
    """The instruction, and a brief where tuning makes some of it superfluous."""
    passages = " When there are passages, take the answer from them." if reads else ""
    if kind == "choice":
        aid = " When there are passages, let them help." if reads else ""
        return f"Choose the one answer that fits.{aid} Write it and nothing else.", ""
    if kind == "exact":
        named = f" These are the labels: {', '.join(labels)}." if len(labels) <= FEW_LABELS else ""
        brief = "Answer with the label that fits the text, and write nothing else."
        return f"{brief}{named}{passages}", brief
    if kind == "json":
        brief = "Reply with one line of JSON and nothing else."
        return "\n".join([f"{brief[:-1]}, keys in this order:", first[0],
                          *_closed(objects), *([passages.strip()] if passages else [])]), brief
    words = statistics.median(len(text.split()) for text in first)
    if words > SHORT_WORDS:
        return f"Answer in about {words:g} words, and write nothing but the answer.{passages}", ""
    return ("Answer with the shortest possible phrase." + passages +
            " Write nothing else: no sentence and no explanation."), ""


def _closed(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each field that takes few values."""
    lines = []
    for path in _fields(objects):
        values: Counter[str] = Counter()
        for one in objects:
            inner: Any = one
            for key in path.split("."):
                inner = inner[key]
            values[json.dumps(inner, ensure_ascii=False)] += 1
        if len(values) <= min(FEW_CHOICES, len(objects) // ROWS_A_LABEL):
            lines.append(f"{path}: one of {', '.join(sorted(values))}")
    return lines
