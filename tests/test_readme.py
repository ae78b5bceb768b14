"""The README promises only what is there."""

from __future__ import annotations

import argparse
import csv
import json
import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from advisor.cli import VERBS, main
from advisor.config import Settings

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


def test_its_settings_for_a_gpu_are_settings() -> None:
    [block] = re.findall(r"^```yaml\n(model: .*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    found = Settings.model_validate(yaml.safe_load(block))
    assert found.prices.machine_hour > Settings().prices.machine_hour


def own_data(folder: Path) -> None:
    """300 labelled rows and a folder of texts, as the chapter says one has."""
    things = ["filter", "sensor", "valve", "hub", "tap", "gauge", "pump"]
    labels = {"billing": "Charged twice for the", "technical": "No light on the",
              "delivery": "Still waiting for the"}
    rows = [[f"c-{n % 140}", f"{text} {thing}, case {n * 7919 % 9973}, since {n % 31} May", label]
            for n, (thing, (label, text)) in enumerate(
                (things[i % 7], list(labels.items())[i % 3]) for i in range(300))]
    with (folder / "tickets.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["customer", "message", "queue"], *rows])
    (folder / "manuals").mkdir()
    for thing in things:
        text = f"# {thing}\n\nThe {thing} is repaired by its own desk.\n"
        (folder / "manuals" / f"{thing}.md").write_text(text, encoding="utf-8")


def test_the_commands_for_ones_own_data_lead_from_a_csv_to_a_verdict(
    tmp_path, monkeypatch, capsys
):
    """Each command of the chapter in its order, on the stand-in for a model."""
    chapter = README.partition("## Your own data")[2].partition("\n## ")[0]
    commands = [shlex.split(line)[1:] for line in re.findall(r"^    (advisor .*)$", chapter,
                                                             flags=re.MULTILINE)]
    assert [command[0] for command in commands[:3]] == ["init", "check", "run"]
    monkeypatch.chdir(tmp_path)
    own_data(tmp_path)
    fake = {verb: ["--engine", "fake"] for verb in ("check", "plan", "run")}
    for command in commands:
        ended = main([*command, *fake.get(command[0], [])])
        assert ended == 0 or command[0] == "doctor", command  # it says what this machine lacks
        for path in [*tmp_path.glob("reports/*-fake*")]:
            path.rename(path.with_name(path.name.replace("-fake", "")))
    said = capsys.readouterr().out
    assert "3 labels (billing 100, delivery 100, technical 100)" in said
    assert "group: column customer" in (tmp_path / "evals/tickets/task.yaml").read_text()
    assert (tmp_path / "reports" / "tickets" / "report.html").is_file()


# Commands that other tests run as they stand: tests/test_gate.py and test_ship.py (`gate`, and
# what follows from one), test_export.py (what needs weights), test_serve.py (a server),
# test_cli.py (the stand-in makes no mistakes on train, of which `thorough` would learn).
ELSEWHERE = re.compile(
    r"advisor (gate|serve)\b|--gate |rollback|--as (merged|gguf)|--preset thorough")


def test_the_commands_after_a_demo_can_be_given_in_their_order(tmp_path, monkeypatch):
    """Each as it stands in the README, on the stand-in for a model and fewer rows."""
    root = tmp_path / "home"
    assert main(["init", str(root)]) == 0
    shorten(root)
    monkeypatch.chdir(root)
    chapter = README.partition("## Your own data")[2].partition("\n## ")[0]
    others = [one for one in COMMANDS if one not in chapter and not ELSEWHERE.search(one)]
    assert len(others) > 15
    for command in ["advisor run ticket-triage policy-qa", *others]:
        given = shlex.split(command)[1:]
        stand_in = ["--engine", "fake", "--no-input"] if given[0] == "run" else []
        assert main([*given, *stand_in]) == 0, command
        for path in root.glob("reports/*-fake*"):
            target = path.with_name(path.name.replace("-fake", ""))
            shutil.rmtree(target, ignore_errors=True)
            path.rename(target)


def shorten(root: Path) -> None:
    """Fewer test rows and suites: what is told here is that the commands work. And a row of the
    person whom the README erases."""
    policies = root / "evals" / "policy-qa" / "train.jsonl"
    first, rest = policies.read_text(encoding="utf-8").split("\n", 1)
    row = json.dumps({**json.loads(first), "subject": "customer-1207"})
    policies.write_text(f"{row}\n{rest}", encoding="utf-8")
    tickets = root / "evals" / "ticket-triage" / "test.jsonl"
    lines = tickets.read_text(encoding="utf-8").splitlines(keepends=True)
    tickets.write_text("".join(lines[:40]), encoding="utf-8")
    settings = root / "advisor.yaml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(re.sub(r"^retention:.*$", "retention: [grammar]", text,
                               flags=re.MULTILINE), encoding="utf-8")
