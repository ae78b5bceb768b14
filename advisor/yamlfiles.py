"""Reading a YAML file into its model: all faults at once, each with its line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from advisor.config import WEIGHTS, Strict
from advisor.errors import AdvisorError, Faults, did_you_mean

Model = TypeVar("Model", bound=Strict)


def load(path: Path, model: type[Model]) -> Model:
    """Read one YAML file into `model`; all faults of the file in one error."""
    text = read_text(path)
    try:
        raw = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-02-31
        raise AdvisorError(f"{path}: not valid YAML: {error}", fix=f"edit {path}") from error
    if raw is None:
        raw = {}
    if not isinstance(raw, dict):
        raise AdvisorError(f"{path}: expected keys and values, found {type(raw).__name__}",
                           fix=f"edit {path}")
    if twice := list(_twice(root)):
        raise Faults(str(path), twice, fix=f"edit {path}")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        faults = [_explain(fault, model, root) for fault in error.errors()]
        raise Faults(str(path), faults, fix=f"edit {path}") from error


def read_text(path: Path) -> str:
    """The file as UTF-8; a missing or broken file is an AdvisorError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise AdvisorError(f"{path}: no such file", fix=f"create {path}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise AdvisorError(f"{path}:{line}: not UTF-8 (byte {error.start})",
                           fix=f"save {path} as UTF-8") from error


def _explain(fault: Any, model: type[Strict], root: yaml.Node | None) -> str:
    path = [part for part in fault["loc"] if part not in WEIGHTS]
    where = ".".join(str(part) for part in path)
    line = _line(root, path)
    prefix = f"line {line}: {where}" if line else where
    if fault["type"] == "extra_forbidden":
        allowed = _keys_beside(model, fault["loc"])
        return f"{prefix}: unknown key{did_you_mean(str(path[-1]), allowed)}"
    if fault["type"] == "missing":
        return f"{prefix}: required key is missing"
    message = re.sub(r"^Value error, ", "", fault["msg"])
    return f"{prefix}: {message}, found {fault['input']!r}" if path else message


def _twice(node: yaml.Node | None) -> Iterator[str]:
    """Keys given more than once: YAML would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                yield f"line {line}: {key.value}: given twice, first on line {seen[key.value]}"
            seen[key.value] = line
            yield from _twice(value)


def _line(node: yaml.Node | None, path: list[Any]) -> int | None:
    """The 1-based line of a key; of its nearest parent when the key is absent."""
    line = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(part)]
            if not pairs:
                return line
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            return line
    return line


def _keys_beside(model: type[Strict], loc: tuple[Any, ...]) -> list[str]:
    """Keys allowed where the unknown key at `loc` stands."""
    for part in loc[:-1]:
        if part in WEIGHTS:
            model = WEIGHTS[str(part)]
            continue
        if str(part) not in model.model_fields:
            continue  # the name of an endpoint
        for inner in _models_in(model.model_fields[str(part)].annotation):
            model = inner
    return list(model.model_fields)


def _models_in(annotation: Any) -> Iterator[type[Strict]]:
    """The model behind `Model`, `Model | None` or `dict[str, Model]`; unions have several."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
