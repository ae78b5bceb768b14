"""Every combination of a few settings, what each adds, and runs with a time limit."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from material import ROOT, Listening, Silent, own, plan, small_task

from advisor.cli.run import duration
from advisor.contenders.factorial import cells, unfit
from advisor.core import Task
from advisor.errors import AdvisorError
from advisor.measures.factorial import effects
from advisor.report import verdict_json
from advisor.runner.limit import Limit
from advisor.runner.record import open_record, read_report
from advisor.runner.run import run

ON = {"plain": (), "retrieval": ("retrieval",), "weights": ("weights",),
      "retrieval+weights": ("retrieval", "weights")}


def credits(*shares: float, rows: int = 200) -> dict[str, Any]:
    """Cells in the order of ON that answer that share of the same rows right."""
    return {name: (np.arange(rows) < round(share * rows)).astype(float)[None]
            for name, share in zip(ON, shares, strict=True)}


def found(*shares: float, margin: float = 0.05) -> Any:
    return effects(ON, credits(*shares), np.arange(200), alpha=0.05, margin=margin)


def test_effects_are_differences_of_cells():
    seen = found(0.2, 0.5, 0.3, 0.55)
    first, second = seen.factors
    assert first.factor == "retrieval"
    assert first.alone.value == pytest.approx(0.30)
    assert first.average.value == pytest.approx((0.30 + 0.25) / 2)
    assert second.average.value == pytest.approx((0.10 + 0.05) / 2)
    [both] = seen.interactions
    assert both.together.value == pytest.approx(0.35)
    assert both.beyond.value == pytest.approx(0.35 - 0.30 - 0.10)
    assert both.beyond.low < both.beyond.value < both.beyond.high


@pytest.mark.parametrize(("shares", "reading"), [
    ((0.2, 0.5, 0.5, 0.5), "they overlap"),
    ((0.2, 0.3, 0.3, 0.9), "they strengthen each other"),
    ((0.2, 0.2, 0.2, 0.2), "they add up"),
])
def test_what_factors_do_together_is_said_in_words(shares, reading):
    [both] = found(*shares).interactions
    assert both.reading == reading


def test_the_interval_of_an_interaction_covers_the_truth():
    drawn, inside = np.random.default_rng(7), 0
    for _ in range(400):
        chances = (0.3, 0.55, 0.45, 0.6)
        table = {name: (drawn.random(150) < chance).astype(float)[None]
                 for name, chance in zip(ON, chances, strict=True)}
        seen = effects(ON, table, np.arange(150), alpha=0.05, margin=0.05)
        assert seen is not None
        [both] = seen.interactions
        inside += both.beyond.low <= -0.10 <= both.beyond.high
    assert 0.92 <= inside / 400 <= 0.98


def test_a_missing_cell_leaves_no_effects():
    table = credits(0.1, 0.2, 0.3, 0.4)
    del table["weights"]
    assert effects(ON, table, np.arange(200), alpha=0.05, margin=0.05) is None


def test_rows_that_one_cell_failed_on_count_for_none():
    table = credits(0.2, 0.5, 0.3, 0.55)
    table["plain"][0, :50] = np.nan
    seen = effects(ON, table, np.arange(200), alpha=0.05, margin=0.05)
    assert seen is not None
    assert seen.rows == 150


# ------------------------------------------------------------------------ a run of cells


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


SOURCES = {"prompt": "few-shot", "retrieval": "rag", "weights": "lora"}


def sources() -> Any:
    recipes = own(*SOURCES.values())
    return {factor: recipes[name] for factor, name in SOURCES.items()}


def test_cells_differ_in_their_factors_only(task):
    made = cells(sources(), task.material)
    assert len(made) == 8
    assert made["plain"].recipe == own("zero-shot")["zero-shot"]
    whole = made["prompt+retrieval+weights"].recipe
    assert whole.prompt.shots == 4
    assert whole.retrieval.kind == "dense"
    assert whole.weights.kind == "lora"
    assert made["prompt"].recipe.weights.kind == "base"


def test_a_factor_the_task_has_nothing_for_is_left_out(task):
    bare = replace(task.material, corpus=())
    assert set(cells(sources(), bare)) == {"plain", "prompt", "weights", "prompt+weights"}


def test_one_factor_is_no_factorial(task):
    with pytest.raises(AdvisorError, match="at least two factors"):
        cells({"prompt": sources()["prompt"]}, task.material)


def test_a_factor_that_is_left_out_is_told_with_the_reason(task):
    bare = replace(task.material, corpus=())
    assert unfit(sources(), bare) == {"retrieval": "the task has no corpus to retrieve from"}
    assert unfit(sources(), task.material) == {}


def test_a_factorial_run_says_what_each_factor_adds(task, tmp_path):
    made = cells({k: v for k, v in sources().items() if k != "weights"}, task.material)
    planned = replace(plan(task, tmp_path / "run", engine=Listening(), recipes={
        name: cell.recipe for name, cell in made.items()}),
        cells={name: cell.on for name, cell in made.items()},
        without={"decoding": "the targets are no <objects>"})
    done = run(planned, Silent())
    assert done.verdict.effects is not None
    assert [one.factor for one in done.verdict.effects.factors] == [
        "prompt", "retrieval"]
    again = read_report(open_record(tmp_path / "run"), task)
    assert again.verdict.effects == done.verdict.effects
    schema = json.loads((ROOT / "advisor/report/verdict.schema.json").read_text())
    Draft202012Validator(schema).validate(json.loads(json.dumps(verdict_json(again))))
    page = (tmp_path / "run" / "report.html").read_text()
    assert "What each factor adds" in page
    assert "What factors add together" in page
    assert "Left out: decoding (the targets are no &lt;objects&gt;)." in page


# ------------------------------------------------------------------------ a time limit


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limited(task: Task, folder: Path, seconds: float) -> Any:
    planned = plan(task, folder, recipes=own("floor", "zero-shot", "few-shot"), engine=Listening())
    return run(planned, Silent(), Limit(seconds, Clock()))


def test_who_would_not_end_in_time_does_not_begin(task, tmp_path):
    done = limited(task, tmp_path / "run", 5.0)
    assert [one.contender for one in done.verdict.standings] == ["floor"]
    assert set(done.skipped) == {"zero-shot", "few-shot"}
    assert "time limit" in done.skipped["few-shot"]


def test_time_enough_leaves_nobody_out(task, tmp_path):
    done = limited(task, tmp_path / "run", 3600.0)
    assert not done.skipped
    assert len(done.verdict.standings) == 3


def test_what_was_measured_before_stays_in_a_run_without_time(task, tmp_path):
    limited(task, tmp_path / "run", 3600.0)
    assert not limited(task, tmp_path / "run", 0.0).skipped


def test_what_took_longer_than_foreseen_corrects_what_is_foreseen_next(task, tmp_path):
    clock = Clock()
    limit = Limit(1000.0, clock)
    limit._foreseen, limit._taken = 100.0, 1e12
    planned = plan(task, tmp_path / "run", recipes=own("zero-shot"), engine=Listening())
    [(name, one)] = planned.recipes.items()
    assert "it would take about" in limit.refuses(name, one, planned)


@pytest.mark.parametrize(("text", "seconds"), [("30m", 1800), ("2h", 7200), ("1.5m", 90),
                                               ("45s", 45)])
def test_times_are_read(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "0m", "-5m", "30 minutes"])
def test_other_texts_are_no_times(text):
    with pytest.raises(argparse.ArgumentTypeError, match="expected a time such as 30m"):
        duration(text)
