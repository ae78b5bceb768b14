"""Options and keys from the environment and from .env."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from advisor.cli import main
from advisor.cli.environment import read_env_file, with_variables
from advisor.cli.registry import arguments as registry
from advisor.cli.run import arguments as run
from advisor.errors import AdvisorError


def parsed(given: list[str], **environment: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    run(parser)
    return parser.parse_args(with_variables(parser, given, environment))


def test_a_variable_is_an_option_of_its_type():
    assert parsed(["tickets"], ADVISOR_LIMIT="20", ADVISOR_TIME_LIMIT="2m").limit == 20


def test_what_is_typed_goes_before_a_variable():
    assert parsed(["tickets", "--limit=5"], ADVISOR_LIMIT="20").limit == 5
    assert parsed(["tickets", "--lim", "5"], ADVISOR_LIMIT="20").limit == 5


def test_a_repeatable_option_takes_a_list_and_typing_one_replaces_it():
    assert parsed(["t"], ADVISOR_CONTENDER="rag, lora").contender == ["rag", "lora"]
    assert parsed(["t", "--contender", "qlora"], ADVISOR_CONTENDER="rag").contender == ["qlora"]


@pytest.mark.parametrize(("value", "on"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_a_switch_is_on_or_off(value, on):
    assert parsed(["t"], ADVISOR_NO_INPUT=value).no_input is on


def test_a_switch_that_is_neither_is_told_with_its_variable():
    with pytest.raises(AdvisorError, match="ADVISOR_JSON='maybe': --json is a switch"):
        parsed(["t"], ADVISOR_JSON="maybe")


def test_a_verb_below_a_verb_takes_its_own_options():
    parser = argparse.ArgumentParser()
    registry(parser)
    given = with_variables(parser, ["verify"], {"ADVISOR_JSON": "1"})
    assert parser.parse_args(given).json is True


def test_other_variables_of_ours_are_no_options():
    assert vars(parsed(["t"], ADVISOR_CACHE="/x", ADVISOR_HELP="1")) == vars(parsed(["t"]))


@pytest.mark.usefixtures("home")
def test_a_wrong_value_is_a_usage_error(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["run", "tickets"])
    assert "argument --limit: invalid int value: 'many'" in capsys.readouterr().err


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a .env; no variable outlives its test."""
    (tmp_path / "advisor.yaml").write_text("")
    (tmp_path / ".env").write_text(
        "# keys\nexport MY_KEY='s3cret $HOME'\nADVISOR_LIMIT=many\nHF_TOKEN=mine\n")
    monkeypatch.setattr(os, "environ", {**os.environ, "HF_TOKEN": "outer"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_env_file_adds_what_the_environment_lacks(home):
    (home / "evals").mkdir()
    read_env_file(home / "evals")
    found = {name: os.environ.get(name) for name in ("MY_KEY", "ADVISOR_LIMIT", "HF_TOKEN")}
    assert found == {"MY_KEY": "s3cret $HOME", "ADVISOR_LIMIT": "many", "HF_TOKEN": "outer"}


def test_an_env_file_outside_of_a_workspace_is_left_alone(home):
    (home / "advisor.yaml").unlink()
    read_env_file(home)
    assert "MY_KEY" not in os.environ


def test_an_env_file_that_is_not_text_is_named(home):
    (home / ".env").write_bytes(b"A=\xff\xfe")
    with pytest.raises(AdvisorError, match="not UTF-8"):
        read_env_file(home)
