"""`make validity` without its model: what needs none, and what is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from material import ROOT
from validity.known.bench import Bench, Row
from validity.known.planted import LOST, _exactly, planted_row
from validity.known.writing import markdown

from advisor.cli.tools import fake
from advisor.config import Settings
from advisor.runner.journal import Journal
from advisor.stats import difference, rows_to_decide
from advisor.workspace import Workspace

ABOUT = {"commit": "abc", "date": "2027-01-01", "not_run_yet": [],
         "machine": {"system": "Linux", "processor": "one", "cores": 2}}


@pytest.fixture
def bench(tmp_path: Path):
    with Journal(tmp_path / "journal.db") as journal:
        yield Bench(Workspace(ROOT), Settings(), fake(), journal, tmp_path)


def test_a_planted_test_row_is_found_without_a_model(bench):
    assert [row.passed for row in planted_row(bench)] == [True, True]


def test_what_was_measured_is_not_measured_again(bench):
    made = []

    def make():
        made.append(1)
        return {"value": 3}

    first = bench.kept("something", [1], make)
    assert bench.kept("something", [1], make) == first
    assert len(made) == 1
    bench.kept("something", [2], make)
    assert len(made) == 2


@pytest.mark.parametrize("share", [0.05, 0.15])
def test_the_pilot_of_a_planted_effect_tells_nothing_by_itself(share):
    first, second = _exactly(np.array([0.0, 0.5, 1.0, 1.0]), round(LOST / share))
    assert int((first != second).sum()) == LOST
    gap = difference(first, second, np.arange(first.shape[1]), alpha=0.05)
    assert rows_to_decide(gap, 0.0, level=0.025)


def test_the_page_holds_every_row_and_says_what_is_missing():
    rows = [Row("one | two", "more", "less", False, True), Row("three", "a", "b", True, False)]
    page = markdown(rows, {**ABOUT, "not_run_yet": ["canaries"]})
    assert "| one \\| two | more | less | **missed** |" in page
    assert "| three | a | b | pass |" in page
    assert "Not run yet: canaries" in page
    assert "Stopped early" not in markdown(rows, ABOUT)
