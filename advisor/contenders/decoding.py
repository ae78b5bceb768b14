"""What answers are held to: the task's JSON schema or one derived from train, or labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from advisor.core import Example, Material
from advisor.data.json_object import parse_object
from advisor.errors import AdvisorError

# A field with more different values than this in train is text, not a choice; so is one
# whose values hardly ever repeat.
MOST_VALUES = 64
# Room for a text longer than any in train.
SLACK = 1.5


def labels(material: Material) -> tuple[str, ...]:
    """The different first targets of train, for questions that bring no choices.

    Empty when every row brings its own. Raises AdvisorError when the targets are no labels:
    more than 64, or none that stands twice.
    """
    bare = [example for example in material.train if not example.question.choices]
    if material.train and not bare:
        return ()
    found = tuple(sorted({example.targets[0] for example in bare}))
    if not found or len(found) > MOST_VALUES or len(found) == len(bare) > 1:
        raise AdvisorError(
            f"decoding.kind: choices needs rows with `choices`, or labels that repeat in train "
            f"(at most {MOST_VALUES}); train has {len(found)} different targets in "
            f"{len(bare)} rows without choices",
            fix="add `choices` to the rows, or drop the contender",
        )
    return found


def schema(material: Material) -> str:
    """The task's `answer_schema`, else one derived from train, as JSON text.

    Derived: the keys of the first target in their order; a field with at most 64 values,
    most of which repeat, is an enumeration of them; other texts are bounded at half as long
    again as the longest seen, other numbers and lists by their type. A key that some targets
    lack is optional. Raises AdvisorError when the targets of train are not JSON objects.
    """
    if material.answer_schema:
        return material.answer_schema
    return json.dumps(_of([_object(example) for example in material.train]))


def _object(example: Example) -> dict[str, Any]:
    try:
        return parse_object(example.targets[0])
    except ValueError as error:
        raise AdvisorError(
            f"decoding.kind: json needs a JSON schema, and none can be derived: target of train "
            f"row {example.question.id!r} is no JSON object ({error})",
            fix="give `answer_schema` in task.yaml, or drop the contender",
        ) from error


def _of(values: Sequence[Any]) -> dict[str, Any]:
    """A schema that every value fits."""
    if not values:
        raise AdvisorError("decoding.kind: json derives a schema from train, which has no rows",
                           fix="give `answer_schema` in task.yaml, or add train.jsonl")
    kinds = {_kind(value) for value in values}
    if kinds == {"object"}:
        keys = dict.fromkeys(key for value in values for key in value)
        held = {key: [value[key] for value in values if key in value] for key in keys}
        return {
            "type": "object",
            "properties": {key: _of(inner) for key, inner in held.items()},
            "required": [key for key, inner in held.items() if len(inner) == len(values)],
            "additionalProperties": False,
        }
    if kinds == {"array"}:
        items = [item for value in values for item in value]
        most = max(len(value) for value in values)
        return {"type": "array", "maxItems": most, **({"items": _of(items)} if items else {})}
    distinct = {json.dumps(value): value for value in values}
    if len(distinct) <= MOST_VALUES and (len(distinct) <= len(values) // 2 or len(distinct) <= 2):
        return {"enum": [distinct[key] for key in sorted(distinct)]}
    if kinds == {"string"}:
        longest = max(len(value) for value in values)
        return {"type": "string", "maxLength": max(1, round(longest * SLACK))}
    return {"type": sorted(kinds)[0]} if len(kinds) == 1 else {
        "anyOf": [_of([value for value in values if _kind(value) == kind])
                  for kind in sorted(kinds)]
    }


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    for python, kind in ((dict, "object"), (list, "array"), (str, "string"), (int, "integer"),
                         (float, "number")):
        if isinstance(value, python):
            return kind
    return "null"
