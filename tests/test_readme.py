"""The README promises only what is there."""

from __future__ import annotations

import argparse
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from advisor.cli import VERBS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (advisor .*)$", README, flags=re.MULTILINE)


def test_its_first_code_block_is_the_demo_and_the_tests() -> None:
    blocks = re.findall(r"(?:^    .*\n)+", README, flags=re.MULTILINE)
    assert [line.split("#")[0].strip() for line in blocks[0].splitlines()] == [
        "make demo",
        "make test",
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_it_is_one_that_the_program_understands(command: str) -> None:
    _, verb, *given = shlex.split(command)
    assert verb in VERBS
    module = import_module(f"advisor.cli.{verb}")
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.arguments(parser)
    parser.parse_args(given)


def test_it_names_every_shipped_contender() -> None:
    for path in (ROOT / "baselines").glob("*.yaml"):
        assert f"`{path.stem}`" in README
