"""Slices: the user's own columns, from the rows of test to a table of groups."""

from __future__ import annotations

import json

import numpy as np
import pytest
from material import TASK, write_task

from advisor.data.task import load_task
from advisor.errors import AdvisorError, Faults
from advisor.measures.slices import slices


def found(credits, values, *, codes=None):
    codes = np.arange(len(credits)) if codes is None else codes
    return slices("lora", np.array([credits], dtype=float), codes, {"region": tuple(values)},
                  alpha=0.05)


def test_each_value_has_its_quality_and_its_distance_from_the_rest():
    credits, values = [1] * 40 + [0] * 30 + [1] * 30, ["north"] * 40 + ["south"] * 60
    north, south = found(credits, values)
    assert (north.value, north.quality.value, north.quality.n) == ("north", 1.0, 40)
    assert south.gap.value == pytest.approx(-0.5)
    assert south.stands_out
    assert south.gap.high < 0


def test_values_drawn_by_lot_seldom_stand_out():
    generator = np.random.default_rng(2)
    claimed = 0
    for _ in range(300):
        credits = (generator.random(120) < 0.7) * 1.0
        values = [f"v{k}" for k in generator.integers(0, 6, 120)]
        claimed += any(one.stands_out for one in found(credits, values))
    assert claimed / 300 <= 0.08


def test_rows_of_one_source_count_together():
    credits, values = [1] * 20 + [0] * 20 + [1] * 20, ["a"] * 30 + ["b"] * 30
    apart = found(credits, values)[0]
    together = found(credits, values, codes=np.arange(60) // 10)[0]
    assert together.gap.high - together.gap.low > apart.gap.high - apart.gap.low
    assert together.gap.high <= 1


def test_a_column_with_one_value_and_values_never_graded_are_left_out():
    assert found([1, 0, 1], ["x"] * 3) == ()
    only = found([1, 0, np.nan], ["x", "y", "z"])
    assert [one.value for one in only] == ["x", "y"]


@pytest.fixture
def folder(tmp_path):
    made = write_task(tmp_path / "tolls")
    (made / "task.yaml").write_text(TASK + "slices: [side]\n", encoding="utf-8")
    rows = [json.loads(line) for line in (made / "test.jsonl").read_text().splitlines()]
    for at, row in enumerate(rows):
        row["side"] = "north" if at % 2 else 7
    (made / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def test_a_task_reads_its_columns_from_test_and_asks_nothing_anew(folder, tmp_path):
    sliced, plain = load_task(folder), load_task(write_task(tmp_path / "plain" / "tolls"))
    assert set(sliced.slices["side"].values()) == {"north", "7"}
    assert sliced.digest == plain.digest
    assert sliced.material.digest == plain.material.digest


def test_a_test_row_without_the_column_is_named_with_its_line(folder):
    text = (folder / "test.jsonl").read_text().replace('"side": 7', '"side": null', 1)
    (folder / "test.jsonl").write_text(text.replace(', "side": "north"', "", 1))
    with pytest.raises(Faults) as caught:
        load_task(folder)
    assert "test.jsonl:1: side must be text, a number, true or false" in str(caught.value)
    assert "test.jsonl:2: lacks 'side', which `slices` of task.yaml names" in str(caught.value)


def test_a_column_that_is_a_key_of_every_row_is_refused(folder):
    (folder / "task.yaml").write_text(TASK + "slices: [group]\n", encoding="utf-8")
    with pytest.raises(AdvisorError, match="'group' is a key that every row has"):
        load_task(folder)
