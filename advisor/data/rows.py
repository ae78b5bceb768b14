"""One split: a JSONL file read into examples, with every fault and its line.

A row is `{"id", "text", "targets": [...]}` with `group` (the id when absent), `choices`,
`sources`, `facts` and `subject` as options. Rows of other tools are read too, see `SHAPES`;
there `id` is an option, and the file's name and line number stand in for it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from advisor.core import Example, Question, ScorerSpec
from advisor.data.digest import canonical
from advisor.data.json_object import kind_of, lookup, parse, parse_object
from advisor.errors import did_you_mean

logger = logging.getLogger(__name__)

# `subject` names the person a row is about, for erasure; nothing learns it.
OPTIONS = ("id", "group", "choices", "sources", "facts", "subject")


@dataclass(frozen=True, slots=True)
class Shape:
    """Which keys of a row hold the text and the targets, and that in words."""

    text: str
    target: str
    mapping: str


NATIVE = Shape("text", "targets", "text, targets")
CHAT = Shape(
    "messages",
    "messages",
    "last user message -> text, last assistant message -> target, other messages are not read",
)
SHAPES = (
    NATIVE,
    Shape("prompt", "completion", "prompt -> text, completion -> target"),
    Shape("input", "output", "input -> text, output -> target"),
    Shape("question", "answer", "question -> text, answer -> target"),
    CHAT,
)


@dataclass(frozen=True, slots=True)
class Placed:
    """An example and where it stands, as `train.jsonl:3`; `extras` are the slice columns."""

    where: str
    example: Example
    extras: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rows:
    """One split as read; `mapping` says which keys were taken for what."""

    placed: tuple[Placed, ...]
    faults: tuple[str, ...]
    mapping: str


class RowFaults(Exception):
    """All that is wrong with one row; always caught in this module."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def read_rows(path: Path, spec: ScorerSpec, *, columns: Sequence[str] = ()) -> Rows:
    """All good rows of a JSONL file in file order, and all faults of the others.

    `columns` are further keys that a row may have: text, a number, true or false.
    Blank lines are skipped. A missing file and one without rows are faults. Never
    raises for what the file holds.
    """
    if not path.is_file():
        return Rows((), (f"{path.name}: no such file; it needs one row a line, "
                         f"such as {sample(spec)}",), "")
    placed: list[Placed] = []
    faults: list[str] = []
    mappings: dict[str, None] = {}
    lines = 0
    for number, line in lines_of(path):
        lines += 1
        where = f"{path.name}:{number}"
        try:
            raw = object_of(line)
            shape = shape_of(raw)
            mappings[shape.mapping] = None
            extras = _extras(raw, columns)
            rest = {key: value for key, value in raw.items() if key not in extras}
            example = _example(rest, shape, default_id=f"{path.stem}:{number}")
            check_targets(example, spec)
            placed.append(Placed(where, example, extras))
        except RowFaults as bad:
            faults.extend(f"{where}: {fault}" for fault in bad.faults)
    if not lines:
        faults.append(f"{path.name}: has no rows; it needs at least one, such as {sample(spec)}")
    mapping = "; ".join(mappings)
    logger.info("%s: %d rows, read as %s", path.name, len(placed), mapping)
    return Rows(tuple(placed), tuple(faults), mapping)


def sample(spec: ScorerSpec) -> str:
    """A row that could stand in a split of this scorer, to copy from a message."""
    row: dict[str, object] = {"id": "r1", "text": "...", "targets": ["..."]}
    if spec.kind == "choice":
        row = {"id": "r1", "text": "...", "choices": ["yes", "no"], "targets": ["yes"]}
    elif spec.kind == "json":
        target: dict[str, Any] = {}
        for path in spec.fields:
            *parents, leaf = path.split(".")
            inner = target
            for parent in parents:
                inner = inner.setdefault(parent, {})
            inner[leaf] = "..."
        row["targets"] = [target]
    elif spec.kind == "reply":
        row["facts"] = ["14 days"]
    return json.dumps(row)


def shape_of(raw: Mapping[str, Any]) -> Shape:
    """The shape with the most keys present; the first of `SHAPES` among equals."""
    return max(SHAPES, key=lambda shape: len({shape.text, shape.target} & raw.keys())
               + (shape is CHAT and "messages" in raw))


def check_targets(example: Example, spec: ScorerSpec) -> None:
    """Raise RowFaults for targets that the scorer could never find equal to an answer."""
    faults = []
    choices = example.question.choices
    if spec.kind == "choice" and not choices:
        faults.append("missing key 'choices' (scorer choice needs them)")
    if spec.kind == "reply" and not example.facts:
        faults.append("missing key 'facts' (scorer reply needs them)")
    for target in example.targets:
        if choices and target not in choices:
            faults.append(f"target {target!r} is not among the choices"
                          f"{did_you_mean(target, choices)}")
        if spec.kind == "json":
            faults.extend(_json_faults(target, spec.fields))
    if faults:
        raise RowFaults(faults)


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a JSONL file that are not blank, numbered from 1."""
    # Only \n ends a line of JSONL: U+2028 and its like may stand inside a string.
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield number, line


def object_of(line: bytes) -> dict[str, Any]:
    """The JSON object of a line; raises RowFaults."""
    try:
        raw = parse(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RowFaults([f"not UTF-8 (byte {error.start + 1} of the line)"]) from error
    except json.JSONDecodeError as error:
        raise RowFaults([f"not valid JSON at column {error.colno}: {error.msg}"]) from error
    except ValueError as error:
        raise RowFaults([f"not valid JSON: {error}"]) from error
    if not isinstance(raw, dict):
        raise RowFaults([f"a row must be an object, found {kind_of(raw)}"])
    return raw


def _extras(raw: Mapping[str, Any], columns: Sequence[str]) -> dict[str, str]:
    """The slice columns of a row as text; a column that a row lacks is left out."""
    found: dict[str, str] = {}
    faults = []
    for column in columns:
        if column not in raw:
            continue
        value = raw[column]
        if isinstance(value, bool | int | float) or (isinstance(value, str) and value.strip()):
            found[column] = value if isinstance(value, str) else json.dumps(value)
        else:
            faults.append(f"{column} must be text, a number, true or false, "
                          f"found {kind_of(value)}")
    if faults:
        raise RowFaults(faults)
    return found


def _example(raw: dict[str, Any], shape: Shape, *, default_id: str) -> Example:
    required = dict.fromkeys((shape.text, shape.target))
    if shape is NATIVE:
        required = {"id": None, **required}
    allowed = {**required, **dict.fromkeys(OPTIONS)}
    faults = [f"missing key {key!r}" for key in required if key not in raw]
    faults += [f"unknown key {key!r}{did_you_mean(key, allowed)}"
               for key in raw if key not in allowed]
    text, targets = _text_and_targets(raw, shape, faults)
    row_id = as_text(raw.get("id", default_id), "id", faults)
    example = Example(
        question=Question(row_id, text, _texts(raw, "choices", faults)),
        targets=targets,
        group=as_text(raw.get("group", row_id or default_id), "group", faults),
        sources=_texts(raw, "sources", faults),
        facts=_texts(raw, "facts", faults),
    )
    if "subject" in raw:
        as_text(raw["subject"], "subject", faults)
    choices = [choice.casefold().strip() for choice in example.question.choices]
    if "choices" in raw and choices and len(set(choices)) < max(len(choices), 2):
        faults.append("choices must be at least two different texts")
    if faults:
        raise RowFaults(faults)
    return example


def _text_and_targets(
    raw: dict[str, Any], shape: Shape, faults: list[str]
) -> tuple[str, tuple[str, ...]]:
    if shape is CHAT:
        return _chat(raw["messages"], faults)
    text = as_text(raw[shape.text], shape.text, faults) if shape.text in raw else ""
    if shape.target not in raw:
        return text, ()
    value = raw[shape.target]
    if shape is NATIVE and not isinstance(value, list):
        faults.append(f"targets must be a list, found {kind_of(value)}")
        return text, ()
    values = value if isinstance(value, list) else [value]
    if not values:
        faults.append(f"{shape.target} is empty: a row needs at least one target")
    return text, tuple(_target(value, shape.target, faults) for value in values)


def _chat(messages: object, faults: list[str]) -> tuple[str, tuple[str, ...]]:
    good = isinstance(messages, list) and all(
        isinstance(message, dict) and {"role", "content"} <= message.keys() for message in messages
    )
    if not isinstance(messages, list) or not good:
        faults.append("messages must be a list of objects with 'role' and 'content'")
        return "", ()
    last = {message["role"]: index for index, message in enumerate(messages)
            if message["role"] in ("user", "assistant")}
    if "user" not in last or last.get("assistant", -1) < last["user"]:
        faults.append("messages must end with a user message and the assistant's answer to it")
        return "", ()
    text = as_text(messages[last["user"]]["content"], "the last user message", faults)
    target = messages[last["assistant"]]["content"]
    return text, (_target(target, "the last assistant message", faults),)


def _target(value: object, key: str, faults: list[str]) -> str:
    """A target's text; an object becomes compact JSON with sorted keys."""
    return canonical(value) if isinstance(value, dict) else as_text(value, key, faults)


def as_text(value: object, key: str, faults: list[str]) -> str:
    """The value if it is good text; otherwise a fault is added."""
    if not isinstance(value, str):
        faults.append(f"{key} must be text, found {kind_of(value)}")
        return ""
    if not value.strip():
        faults.append(f"{key} is empty")
    if any("\ud800" <= char <= "\udfff" for char in value):
        faults.append(f"{key} holds half of a surrogate pair, which is no character")
    return value


def _texts(raw: dict[str, Any], key: str, faults: list[str]) -> tuple[str, ...]:
    values = raw.get(key, [])
    if not isinstance(values, list):
        faults.append(f"{key} must be a list, found {kind_of(values)}")
        return ()
    return tuple(as_text(value, f"{key}[{index}]", faults) for index, value in enumerate(values))


def _json_faults(target: str, fields: tuple[str, ...]) -> list[str]:
    try:
        obj = parse_object(target)
    except ValueError as error:
        return [f"target is not a JSON object: {error}"]
    faults = []
    for path in fields:
        try:
            lookup(obj, path)
        except KeyError:
            faults.append(f"target has no field {path!r}, which task.yaml grades")
    return faults
