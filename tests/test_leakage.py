"""Leakage: what an adapter that knows its rows shows, and one that does not."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from math import log2
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from material import Silent, own, plan, small_task
from test_detectors import needs_lm_eval, opened

from advisor import report
from advisor.cli import main
from advisor.engines.fake import FakeEngine
from advisor.engines.protocol import Message
from advisor.errors import AdvisorError
from advisor.measures import canaries
from advisor.measures.leakage import delong, figures, newcombe
from advisor.runner.leaks import asked
from advisor.runner.record import open_record, read_report
from advisor.runner.run import run
from advisor.trial import Leakage, LeakSide, Secret
from advisor.verdict import Measure


def side(falls, given=0) -> LeakSide:
    rows = {f"r{at}": float(fall) for at, fall in enumerate(falls)}
    return LeakSide(rows, {row: float(at < given) for at, row in enumerate(rows)})


def drawn(mean: float, seed: int, many: int = 100):
    return np.random.default_rng(seed).normal(mean, 1.0, many)


# ------------------------------------------------------------------ figures


def test_rows_whose_loss_fell_further_are_told_from_others():
    found = figures(Leakage(side(drawn(1.0, 1)), side(drawn(0.0, 2))))
    assert found.state == "found"
    assert 0.6 < found.auc.low < found.auc.value < found.auc.high < 0.9
    assert found.caught >= 0.02


def test_rows_that_are_alike_are_not_told_apart():
    found = figures(Leakage(side(drawn(0.0, 1)), side(drawn(0.0, 2))))
    assert found.state == "not found"
    assert found.auc.low < 0.5 < found.auc.high


def test_answers_given_from_half_a_question_are_found_without_any_fall():
    same = drawn(0.0, 1)
    found = figures(Leakage(side(same, given=20), side(same, given=2)))
    assert found.state == "found"
    assert found.excess.value == pytest.approx(0.18)


def test_a_quiet_test_that_finds_no_overfitted_adapter_says_it_has_no_power():
    quiet = Leakage(side(drawn(0.0, 1)), side(drawn(0.0, 2)))
    loud = Leakage(side(drawn(3.0, 1)), side(drawn(0.0, 2)))
    assert figures(replace(quiet, power=quiet)).state == "no power"
    assert figures(replace(quiet, power=loud)).state == "not found"


def test_the_interval_of_the_area_covers_it_about_95_times_in_100():
    held = 0
    for seed in range(300):
        # Two normals one standard deviation apart: Phi(1 / sqrt 2).
        found = delong(drawn(1.0, 2 * seed, 40), drawn(0.0, 2 * seed + 1, 40), alpha=0.05)
        held += found.low <= 0.7602 <= found.high
    assert 0.90 <= held / 300 <= 0.98


def test_sides_that_do_not_overlap_still_have_an_interval():
    found = delong(np.array([2.0, 3.0]), np.array([0.0, 1.0]), alpha=0.05)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low < 1.0


def test_the_difference_of_shares_is_newcombes():
    # Newcombe 1998, method 10, his example of 56/70 against 48/80, with Wilson's intervals.
    found = newcombe(Measure(0.8, 0.6918, 0.8771, 70), Measure(0.6, 0.4905, 0.7010, 80))
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-3),
                                       pytest.approx(0.3339, abs=5e-3))


def test_one_row_is_too_few():
    with pytest.raises(AdvisorError, match="cannot be tested on 1 rows"):
        figures(Leakage(side([1.0]), side([1.0, 2.0])))


# ------------------------------------------------------------------ a run


@dataclass(frozen=True, slots=True)
class Memory(FakeEngine):
    """Tuned, it is sure of the completions that it learnt, and of nothing else."""

    def _score(self, pair):
        answer = "".join(map(chr, pair[1]))
        known = any(answer == completion for _, completion in self.learnt)
        return (-0.1 if known else -5.0) * len(answer) - len(pair[0]) / 1e4, known


class Untunable(Memory):
    """The same model, which must not be tuned again."""

    def tune(self, *args, **kwargs):
        raise AssertionError("tuned again")


@pytest.fixture
def planned(tmp_path):
    task = small_task(tmp_path / "tolls")
    made = plan(task, tmp_path / "run", recipes=own("zero-shot", "lora"), engine=Memory())
    return replace(made, suites=(opened(tmp_path, "{}"),), leakage=True)


def test_half_of_each_question_is_asked_and_rows_are_spread(planned):
    rows = asked(planned.task.material.train, "Answer.", 4)
    assert [one.row for one in rows] == ["q-acorn", "q-birch", "q-cedar", "q-dogwood"]
    assert rows[0].half[-1].content == "What is the toll"
    assert rows[0].whole[-1].content == "What is the toll of the acorn bridge?"


def test_secrets_come_up_once_four_and_sixteen_times():
    secrets, codes = canaries.canaries(0)
    rows = canaries.planted((), secrets, 0)
    often = Counter(row.group for row in rows)
    assert sorted(often.values()) == [1] * 6 + [4] * 4 + [16] * 2
    assert len({one.code for one in secrets}) == 12
    assert len({row.question.id for row in rows}) == len(rows)
    assert {row.targets[0] for row in rows} <= set(codes)


def test_a_secret_that_ranks_first_has_all_bits_and_one_of_many_alike_has_none():
    secrets, codes = canaries.canaries(0)
    prompts = [(Message("user", one.question.text),) for one in secrets]
    told = replace(Memory(), learnt=(("", secrets[0].code),))
    bits = canaries.exposures(told, prompts, secrets, codes)
    assert bits[0] == pytest.approx(log2(200))
    assert bits[1] == pytest.approx(0.0)


def test_secrets_are_kept_where_chance_would_rarely_rank_them_so_high():
    # Six of them at 2.53 bits on average are the 5% point of a gamma variable.
    for bits, kept in ((2.4, False), (2.7, True)):
        (once,) = canaries.figures([Secret(1, bits, 1.4)] * 6)
        assert (once.n, once.kept) == (6, kept)
    assert canaries.figures(()) == ()


def test_of_three_numbers_of_copies_each_is_held_to_a_third_of_the_false_alarms():
    found = [Secret(1, 2.7, 1.0)] * 6 + [Secret(4, 2.5, 1.0)] * 4 + [Secret(16, 7.6, 1.0)] * 2
    assert [(one.copies, one.kept) for one in canaries.figures(found)] == [
        (1, False), (4, False), (16, True)]


def test_chance_alone_keeps_secrets_in_one_test_of_twenty():
    dice = np.random.default_rng(0)
    ranks = dice.integers(1, 201, size=(4000, 6))
    found = [canaries.figures([Secret(1, log2(200 / rank), 0.0) for rank in six])[0].kept
             for six in ranks]
    assert 0.035 < np.mean(found) < 0.055


@needs_lm_eval
def test_secrets_are_planted_in_a_twin_once_and_never_in_what_ships(planned):
    run(planned, Silent())
    verdict = json.loads((planned.folder / "verdict.json").read_text())
    schema = Path(report.__file__).with_name("verdict.schema.json")
    jsonschema.validate(verdict, json.loads(schema.read_text()))
    said = verdict["leakage"]["lora"]
    assert [(one["copies"], one["kept"]) for one in said["planted"]] == [
        (1, True), (4, True), (16, True)]
    assert not (planned.folder / ".canaries").exists()
    shipped = "".join(path.read_text() for path in
                      (planned.folder / "contenders" / "lora").rglob("*.json"))
    assert "entry code" not in shipped
    before = (planned.folder / "verdict.json").read_bytes()
    again = replace(planned, tools=replace(planned.tools, engine=Untunable()))
    assert run(again, Silent()).failed == {}
    assert (planned.folder / "verdict.json").read_bytes() == before


@needs_lm_eval
def test_an_adapter_that_learnt_its_rows_by_heart_is_found_and_kept(planned):
    done = run(planned, Silent())
    assert done.failed == {}
    said = json.loads((planned.folder / "verdict.json").read_text())["leakage"]
    assert list(said) == ["lora"]
    assert said["lora"]["state"] == said["lora"]["by_heart"]["state"] == "found"
    assert said["lora"]["extracted"]["value"] == 1.0
    assert not (planned.folder / ".by-heart").exists()
    again = read_report(open_record(planned.folder), planned.task)
    assert [one.leakage is not None for one in again.trials] == [False, True]
    assert "By heart" in (planned.folder / "report.html").read_text()


def test_the_options_are_explained(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--leakage" in said
    assert "--freshness" in said

