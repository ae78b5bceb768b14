"""Print the JSON schema of advisor.yaml (settings), task.yaml (task), a recipe or trust.yaml."""

from __future__ import annotations

import argparse
import json

from advisor.config import Recipe, Settings, Strict, TaskFile
from advisor.ship.trust import TrustFile

MODELS: dict[str, type[Strict]] = {
    "settings": Settings, "task": TaskFile, "recipe": Recipe, "trust": TrustFile,
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=sorted(MODELS))


def execute(options: argparse.Namespace) -> int:
    print(text(options.name))
    return 0


def text(name: str) -> str:
    """The schema as committed under advisor/schemas/."""
    schema = MODELS[name].model_json_schema()
    if "$ref" in schema:  # a model that holds itself; editors want it at the top
        schema = {**schema["$defs"][MODELS[name].__name__], "$defs": schema["$defs"]}
    return json.dumps(schema, indent=2, ensure_ascii=False)
