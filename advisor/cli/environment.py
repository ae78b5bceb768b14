"""Options from the environment: ADVISOR_LIMIT=20 is --limit 20, for every verb that has it.

What is typed goes before a variable, and a variable before `.env`, which stands beside
advisor.yaml and may hold keys of endpoints and of the hub as well.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from advisor.errors import AdvisorError

PREFIX = "ADVISOR_"
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def read_env_file(start: Path) -> None:
    """Take the variables of the workspace's `.env` that the environment does not have yet."""
    for folder in (start, *start.parents):
        if (folder / "advisor.yaml").is_file():
            if (folder / ".env").is_file():
                _take(folder / ".env")
            return


def _take(path: Path) -> None:
    try:
        from dotenv import dotenv_values
    except ModuleNotFoundError as missing:
        raise AdvisorError(f"reading {path} needs python-dotenv, which is not installed",
                           fix="pip install python-dotenv") from missing
    try:
        found = dotenv_values(path, interpolate=False, encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AdvisorError(f"{path}: not UTF-8 (byte {error.start})",
                           fix="save it as UTF-8, one NAME=value a line") from error
    for name, value in found.items():
        if value is not None:
            os.environ.setdefault(name, value)


def with_variables(
    parser: argparse.ArgumentParser, given: Sequence[str], environment: Mapping[str, str]
) -> list[str]:
    """The arguments, and before them the options that only the environment gives.

    A repeatable option takes a list with commas, a switch 1 or 0. Raises AdvisorError for a
    switch that is neither.
    """
    # argparse has no public list of its options.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = action.choices.get(given[0]) if given else None
            return [given[0], *with_variables(below, given[1:], environment)] if below else [*given]
    made: list[str] = []
    for action in parser._actions:
        option = next((one for one in action.option_strings if one.startswith("--")), "")
        name = PREFIX + option[2:].upper().replace("-", "_")
        value = environment.get(name, "")
        if option and option != "--help" and value and not _typed(action, given):
            made += _spelt(action, option, name, value)
    return [*made, *given]


def _typed(action: argparse.Action, given: Sequence[str]) -> bool:
    """Whether the option stands among the arguments, in full, shortened or as its letter."""
    names = [one.partition("=")[0] for one in given if one.startswith("-")]
    return any(
        option == name or (name.startswith("--") and len(name) > 2 and option.startswith(name))
        or (not option.startswith("--") and name.startswith(option) and name[:2] != "--")
        for option in action.option_strings for name in names
    )


def _spelt(action: argparse.Action, option: str, name: str, value: str) -> list[str]:
    if isinstance(action, argparse._AppendAction):
        return [f"{option}={one.strip()}" for one in value.split(",") if one.strip()]
    if action.nargs != 0:
        return [f"{option}={value}"]
    if value.lower() not in YES + NO:
        raise AdvisorError(f"{name}={value!r}: {option} is a switch, expected 1 or 0",
                           fix=f"{name}=1, or unset it")
    return [option] if value.lower() in YES else []
