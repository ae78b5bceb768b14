"""The check of what ships: its rows, its exit code, and what it leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from shipping import measured
from test_ship import journalled

from advisor.ship.bundle import digests

pytest.importorskip("openai")

from tests.bench import shipping


@pytest.fixture(scope="module")
def measured_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured(tmp_path_factory.mktemp("once") / "home", "floor", "few-shot", "lora")


@pytest.fixture
def run(measured_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(measured_once, tmp_path / "home")
    monkeypatch.chdir(root)
    return root / "reports" / "tolls-fake"


def rows(run: Path) -> dict:
    return json.loads((run / "ship-check.json").read_text())


def test_every_contender_ships_is_asked_anew_and_served(run, capsys):
    before = digests(run)
    assert shipping.main([str(run), "--items", "10"]) == 0
    found = rows(run)
    assert list(found) == ["floor", "few-shot", "lora"]
    for row in found.values():
        assert (row["packed"], row["fresh"], row["served"]) == ([24, 24], [10, 10], 2)
    assert "the engine fake has no weights" in found["lora"]["merged_note"]
    assert "10 of 10" in capsys.readouterr().out
    assert {**digests(run), **before} == digests(run)
    assert not (run.parents[1] / "registry").exists()


def test_one_that_answers_otherwise_than_the_journal_fails_the_check_and_others_stay(run, capsys):
    assert shipping.main([str(run), "--contender", "floor", "--items", "2"]) == 0
    journalled(run, 1, "few-shot")
    assert shipping.main([str(run), "--contender", "few-shot"]) == 1
    assert "differs from what was measured on 1 of 24" in rows(run)["few-shot"]["wrong"][0]
    assert "DIVERGED" in capsys.readouterr().out
    assert list(rows(run)) == ["floor", "few-shot"]


def test_what_cannot_be_shipped_says_why_and_is_no_divergence(run):
    (run / "contenders" / "floor" / "system" / "floor.json").write_text("{}")
    assert shipping.main([str(run), "--contender", "floor"]) == 0
    assert "is not the system that was measured" in rows(run)["floor"]["refused"]


def test_an_unknown_contender_is_said(run, capsys):
    assert shipping.main([str(run), "--contender", "lorra"]) == 2
    assert "did you mean 'lora'" in capsys.readouterr().err
