"""Scorer `json`: the first JSON object in the answer, field by field."""

from __future__ import annotations

from typing import Any

from advisor.core import Example, ScorerSpec
from advisor.data.digest import canonical
from advisor.data.json_object import find_object, lookup, parse_object
from advisor.measures.scorers.reading import Reading, Unreadable, shown


def field_part(path: str) -> str:
    """The name of the part that grades the field at a dotted path."""
    return f"field:{path}"


def read_json(text: str, example: Example, spec: ScorerSpec) -> Reading:
    """Parts `field_accuracy`, `exact`, `valid`, and one for each field.

    `valid` is 1 when the answer is one JSON object and nothing else; the other parts
    read the first object in it. Values are equal when type and value are: 2 is
    neither 2.0 nor "2", and true is not 1. With several targets the one that agrees
    best counts. Raises Unreadable when there is no object.
    """
    try:
        found = find_object(text)
    except ValueError as error:
        raise Unreadable(str(error)) from error
    valid = float(_is_object(text))
    readings = [_against(found, parse_object(target), spec) for target in example.targets]
    best = max(readings, key=lambda parts: (parts[0]["exact"], parts[0]["field_accuracy"]))
    parts, why = best
    return Reading(canonical(found), {**parts, "valid": valid}, why)


def _against(
    found: dict[str, Any], target: dict[str, Any], spec: ScorerSpec
) -> tuple[dict[str, float], str]:
    fields: dict[str, float] = {}
    wrong = []
    for path in spec.fields:
        expected, value = _at(target, path), _at(found, path)
        fields[field_part(path)] = float(expected == value)
        if expected != value:
            wrong.append(f"{path}: expected {shown(expected)}, found {shown(value)}")
    exact = canonical(found) == canonical(target)
    agreed = "equal to the target" if exact else "all graded fields agree, the rest does not"
    parts = {
        "field_accuracy": sum(fields.values()) / len(fields),
        "exact": float(exact),
        **fields,
    }
    return parts, "; ".join(wrong) or agreed


def _at(obj: dict[str, Any], path: str) -> str:
    """The value as canonical JSON, in which different types never look the same."""
    try:
        return canonical(lookup(obj, path))
    except KeyError:
        return "nothing"


def _is_object(text: str) -> bool:
    try:
        parse_object(text)
    except ValueError:
        return False
    return True
