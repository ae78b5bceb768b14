"""One JSON object: strict parsing, finding it in prose, and reading a field of it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

# Python's parser and serialiser recurse; this is far below the interpreter's limit
# of 1,000 frames, so whether a text can be read never depends on who calls.
MAX_DEPTH = 64

_STRING = r'"(?:\\.|[^"\\])*+"'
# A string without its closing quote is one token up to the end of the text; otherwise
# each later quote would start the search anew, in quadratic time.
_TOKEN = re.compile(rf'{_STRING}|".*|[{{}}\[\]]', re.DOTALL)
# A brace in prose or LaTeX opens no object; `{"key":` and `{}` do.
_OPENING = re.compile(rf"\{{\s*+(?:\}}|{_STRING}\s*+:)", re.DOTALL)


def parse_object(text: str) -> dict[str, Any]:
    """The object that `text` is, by RFC 8259 and nothing looser.

    Refused as well, because readers disagree about them: a key that stands twice,
    NaN and numbers out of range. Raises ValueError saying what is wrong.
    """
    value = parse(text)
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, found {kind_of(value)}")
    return value


def parse(text: str) -> Any:
    """Any one JSON value, with the refusals of `parse_object`; raises ValueError."""
    if _depth(text) > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return json.loads(
        text,
        object_pairs_hook=_unique,
        parse_constant=_refuse_constant,
        parse_float=_finite,
    )


def find_object(text: str) -> dict[str, Any]:
    """The first balanced JSON object in `text`, in a code fence or after prose.

    Braces inside strings do not count. An object that is cut off is not searched for
    smaller ones: reading a part as the whole would be a misreading. Takes time linear
    in the length of `text`. Raises ValueError saying why none was found.
    """
    position, reason = 0, "no JSON object in it"
    while opening := _OPENING.search(text, position):
        try:
            position = _end(text, opening.start())
            return parse_object(text[opening.start() : position])
        except _CutOff:
            raise ValueError("the JSON object is cut off") from None
        except ValueError as error:
            reason = f"the JSON object is broken: {error}"
    raise ValueError(reason)


def lookup(obj: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path such as `customer.city`; raises KeyError."""
    value: Any = obj
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            raise KeyError(path)
        value = value[key]
    return value


def kind_of(value: object) -> str:
    """What JSON calls the type of `value`, for messages."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "null" if value is None else "a number")


class _CutOff(ValueError):
    """The text ends before the object does."""


def _end(text: str, start: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth == 0 and token.group() == "}":
            return token.end()
    raise _CutOff


def _depth(text: str) -> int:
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        if token.group() in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif token.group() in "}]":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    obj = dict(pairs)
    if len(obj) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {twice!r} stands twice")
    return obj


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number out of range: {text[:20]}")
    return value
