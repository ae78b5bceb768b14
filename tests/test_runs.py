"""Finished runs read again: list, show, compare; and what doctor and completion say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from material import ROOT, TEST, row, write_rows, write_task

from advisor.cli import VERBS, main
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.runs import find_run, read_run, rows_of
from advisor.workspace import Workspace

FAKE = ("--engine", "fake", "--no-input")
RECIPES = {"zero-shot": "{}\n", "rag": "retrieval: {kind: dense}\n"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two runs: a good one, and one whose `rag` reads nothing useful."""
    root = tmp_path_factory.mktemp("home")
    write_task(root / "evals" / "tolls")
    (root / "advisor.yaml").write_text("latency_probe: 1\n", encoding="utf-8")
    (root / "baselines").mkdir()
    for name, text in RECIPES.items():
        (root / "baselines" / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["run", "tolls", *FAKE]) == 0
        (root / "baselines" / "rag.yaml").write_text("prompt: {shots: 2}\n", encoding="utf-8")
        assert main(["run", "tolls", *FAKE, "--seed", "1"]) == 0
    return root


@pytest.fixture
def home(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(finished)
    return finished


def test_list_shows_tasks_and_runs(home, capsys):
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tasks"][0] == {"name": "tolls", "title": "Tolls of made-up bridges",
                                 "scorer": "short_answer", "primary": "contains", "train": 12,
                                 "dev": 4, "test": 24, "documents": 40}
    assert {one["name"] for one in found["runs"]} == {"tolls-fake", "tolls-fake-seed-1"}
    assert main(["list"]) == 0
    assert "use rag" in capsys.readouterr().out
    assert home.name


@pytest.mark.usefixtures("home")
def test_show_tells_the_verdict_and_every_contender(capsys):
    assert main(["show", "tolls-fake"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("tolls: use rag")
    assert "zero-shot  0.000" in said


@pytest.mark.usefixtures("home")
def test_show_of_a_contender_ends_with_its_worst_rows(capsys):
    assert main(["show", "tolls-fake", "zero-shot", "--rows", "1"]) == 0
    said = capsys.readouterr().out
    assert f"wanted {row(TEST[0])['targets'][0]}" in said


@pytest.mark.usefixtures("home")
def test_an_unknown_contender_gets_a_near_one(capsys):
    assert main(["show", "tolls-fake", "ragg"]) == 2
    assert "no contender 'ragg' (did you mean 'rag'?)" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_an_unknown_run_gets_a_near_one(capsys):
    assert main(["show", "tolls-fak"]) == 2
    assert "no run 'tolls-fak' (did you mean 'tolls-fake'?)" in capsys.readouterr().err


def test_compare_pairs_by_question_and_shows_what_got_worse(home, capsys):
    del home
    assert main(["compare", "tolls-fake", "tolls-fake-seed-1", "--json"]) == 0
    by_name = {(one["before"], one["after"]): one for one in json.loads(capsys.readouterr().out)}
    lost = by_name["rag", "rag"]
    assert (lost["n"], lost["better"]) == (24, 0)
    assert lost["worse"] == round(-lost["difference"] * 24) > 0
    assert lost["low"] <= lost["difference"] < lost["high"] < 0
    assert by_name["zero-shot", "zero-shot"]["difference"] == 0.0


@pytest.mark.usefixtures("home")
def test_compare_takes_two_contenders_of_one_run(capsys):
    assert main(["compare", "tolls-fake:rag", "tolls-fake:zero-shot", "--rows", "1"]) == 0
    said = capsys.readouterr().out
    assert "rag to zero-shot" in said
    assert "1.00 to 0.00" in said


def test_a_row_that_was_reworded_since_is_not_compared(home, tmp_path):
    folder = write_task(tmp_path / "tolls")
    write_rows(folder / "test.jsonl", [row(TEST[0], text="And now?"), row(TEST[1])])
    run = find_run("tolls-fake", Workspace(home))
    assert list(rows_of(run, load_task(folder), "rag")) == [f"q-{TEST[1]}"]


def test_a_task_that_was_wholly_changed_is_refused(home, tmp_path):
    folder = write_task(tmp_path / "tolls")
    write_rows(folder / "test.jsonl", [row(TEST[0], text="And now?")])
    with pytest.raises(AdvisorError, match="holds no answer of rag to a question of tolls"):
        rows_of(find_run("tolls-fake", Workspace(home)), load_task(folder), "rag")


def test_a_broken_run_says_which_file(tmp_path):
    (tmp_path / "run.yaml").write_text("contenders: {}\n")
    (tmp_path / "verdict.json").write_text("{")
    with pytest.raises(AdvisorError, match=r"run\.yaml or verdict\.json is broken"):
        read_run(tmp_path)


def test_a_run_that_was_stopped_is_told_from_none(tmp_path):
    (tmp_path / "journal.db").write_bytes(b"")
    with pytest.raises(AdvisorError, match="has not finished"):
        find_run(str(tmp_path), None)


@pytest.mark.usefixtures("home")
def test_doctor_names_what_a_run_needs(capsys):
    main(["doctor", "--json"])
    signs = {one["what"]: one for one in json.loads(capsys.readouterr().out)}
    assert {"python", "cores", "memory", "bfloat16", "GPU", "cache", "torch", "model",
            "embedder", "workspace"} <= signs.keys()
    assert all(one["fix"] for one in signs.values() if one["state"] == "missing")


def test_doctor_tells_a_version_that_is_not_the_pinned_one(home, capsys):
    (home / "constraints.txt").write_text("torch==0.0.1\n")
    try:
        main(["doctor"])
    finally:
        (home / "constraints.txt").unlink()
    assert "constraints.txt says 0.0.1" in capsys.readouterr().out


@pytest.mark.parametrize("verb", ["list", "doctor", "show tolls-fake", "compare tolls-fake "
                                  "tolls-fake-seed-1", "check tolls --no-embed"])
def test_reading_verbs_never_import_torch(home, verb):
    script = ("import sys\nfrom advisor.cli import main\n"
              f"main({verb.split()!r})\nassert 'torch' not in sys.modules\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=home, capture_output=True, text=True,
                          env={"PYTHONPATH": str(ROOT), "PATH": ""}, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_verb(shell, capsys):
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in VERBS)


def test_the_bash_completion_is_bash(capsys):
    main(["completion", "bash"])
    done = subprocess.run(["bash", "-n"], input=capsys.readouterr().out, text=True,
                          capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
