"""Print the JSON schema of advisor.yaml (settings), task.yaml (task) or a recipe."""

from __future__ import annotations

import argparse
import json

from advisor.config import Recipe, Settings, Strict, TaskFile

MODELS: dict[str, type[Strict]] = {"settings": Settings, "task": TaskFile, "recipe": Recipe}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", choices=sorted(MODELS))


def execute(options: argparse.Namespace) -> int:
    print(text(options.name))
    return 0


def text(name: str) -> str:
    """The schema as committed under advisor/schemas/."""
    return json.dumps(MODELS[name].model_json_schema(), indent=2, ensure_ascii=False)
