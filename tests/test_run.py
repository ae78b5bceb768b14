"""A run on fakes: what it writes, what it never does twice, and what a failure costs."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from material import ROOT, Listening, Silent, own, plan, recipe, small_task

from advisor.config import Settings, TunedWeights
from advisor.core import Task
from advisor.engines.fake import FakeEngine
from advisor.engines.protocol import Course
from advisor.errors import AdvisorError, Busy
from advisor.measures import owntext
from advisor.measures.retention import load_suites
from advisor.runner.journal import RunLock
from advisor.runner.plan import Plan
from advisor.runner.run import Finished, run
from advisor.trial import PrepareCost
from advisor.workspace import Workspace

NAMES = ("floor", "zero-shot", "few-shot", "rag")
TEST_ROWS = 24
PROBED = 2  # `latency_probe` of the plan; one more where nothing was answered before
ALL = len(NAMES[1:]) * (TEST_ROWS + PROBED)

Go = Callable[..., Finished]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


@pytest.fixture
def planned(task: Task, tmp_path: Path) -> Plan:
    return plan(task, tmp_path / "run", recipes=own(*NAMES), engine=Listening())


def go(planned: Plan) -> Finished:
    return run(planned, Silent())


def using(planned: Plan, engine: FakeEngine) -> Plan:
    return replace(planned, tools=replace(planned.tools, engine=engine))


def calls(planned: Plan) -> int:
    """How many answers this plan's engine gives in one run of it."""
    engine = planned.tools.engine
    assert isinstance(engine, Listening)
    before = len(engine.asked)
    go(planned)
    return len(engine.asked) - before


def verdict(folder: Path) -> bytes:
    return (folder / "verdict.json").read_bytes()


def untimed(folder: Path) -> list[dict[str, Any]]:
    """The standings without what a clock measured."""
    standings = json.loads(verdict(folder))["standings"]
    for standing in standings:
        del standing["cost"]
    return sorted(standings, key=lambda one: str(one["contender"]))


def answers(folder: Path) -> dict[tuple[str, str], str]:
    """(contender, question) to the text in the journal; one row each, or it is a fault."""
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        rows = connection.execute("SELECT contender, question_id, payload FROM answers").fetchall()
    found = {(one, question): json.loads(payload)["text"] for one, question, payload in rows}
    assert len(found) == len(rows)
    return found


# ------------------------------------------------------------------ a whole run


def test_a_run_writes_its_report_its_verdict_and_all_it_was_made_from(planned):
    done = go(planned)
    written = {path.name for path in done.folder.iterdir()}
    assert {"report.html", "report.md", "verdict.json", "run.yaml", "journal.db"} <= written
    described = yaml.safe_load((done.folder / "run.yaml").read_text(encoding="utf-8"))
    assert described["task"]["digest"] == planned.task.digest
    assert list(described["contenders"]) == list(NAMES)
    assert [path.name for path in done.folder.iterdir() if path.name.startswith(".")] == []


def test_the_contender_that_reads_the_answer_wins(planned):
    done = go(planned)
    assert (done.verdict.outcome, done.verdict.winner) == ("recommend", "rag")
    quality = {one.contender: one.quality.value for one in done.verdict.standings}
    assert quality == {"floor": 0.0, "zero-shot": 0.0, "few-shot": 0.0, "rag": 1.0}


def test_every_contender_is_asked_every_row_once(planned):
    assert calls(planned) == ALL
    assert len(answers(planned.folder)) == len(NAMES) * TEST_ROWS


def test_a_contender_that_does_not_fit_is_skipped_with_its_reason(planned):
    bare = replace(planned.task, material=replace(planned.task.material, corpus=()))
    done = go(replace(planned, task=bare))
    assert done.skipped == {"rag": "the task has no corpus to retrieve from"}
    assert "rag" not in [one.contender for one in done.verdict.standings]


# ------------------------------------------------------------------ the same again


def test_a_second_identical_run_asks_nothing_and_decides_the_same_bytes(planned):
    go(planned)
    first = verdict(planned.folder)
    assert calls(planned) == 0
    assert verdict(planned.folder) == first


def test_a_changed_recipe_runs_that_contender_only(planned, tmp_path):
    go(planned)
    before = answers(planned.folder)
    changed = {**planned.recipes, "few-shot": recipe("prompt: {shots: 2}", tmp_path)}
    again = replace(planned, recipes=changed)
    assert calls(again) == TEST_ROWS + PROBED
    others = {key: text for key, text in before.items() if key[0] != "few-shot"}
    with closing(sqlite3.connect(planned.folder / "journal.db")) as connection:
        rows = connection.execute("SELECT contender, count(*) FROM answers GROUP BY contender")
        assert dict(rows) == {**dict.fromkeys(NAMES, TEST_ROWS), "few-shot": 2 * TEST_ROWS}
    assert len(others) == 3 * TEST_ROWS


def test_a_renamed_recipe_is_not_asked_again(planned):
    go(planned)
    renamed = {"floor": planned.recipes["floor"], "reader": planned.recipes["rag"]}
    assert calls(replace(planned, recipes=renamed)) == 0
    # Nor is it said to be another contender, which this run does not have.
    assert "same_as" not in (planned.folder / "run.yaml").read_text()


def test_what_a_search_settles_on_is_not_asked_again_where_it_is_another_contender(
    planned, tmp_path
):
    plain = {"four": recipe("prompt: {shots: 4}", tmp_path)}
    go(replace(planned, recipes=plain))
    searched = "prompt: {shots: 4, tune: {wording: ['{instruction} Please.'], rows: 2}}"
    both = replace(planned, recipes={**plain, "found": recipe(searched, tmp_path)})
    assert calls(both) == 4 + 1 + PROBED  # the search, and a first call to warm up
    said = answers(planned.folder)
    assert all(text == said["four", asked] for (who, asked), text in said.items() if who == "found")
    noted = yaml.safe_load((planned.folder / "run.yaml").read_text())["measured"]
    assert noted["found"]["same_as"] == "four"
    assert "same_as" not in noted["four"]


def test_weights_that_come_out_the_same_are_scored_for_forgetting_once(planned, tmp_path):
    suites = load_suites(Settings().retention, Workspace(ROOT).retention_file)
    tuned = {"lora": recipe("weights: {kind: lora}", tmp_path)}
    searched = "weights: {kind: lora, tune: {learning_rate: [5.0e-4, 1.0e-3]}}"
    both = {**tuned, "found": recipe(searched, tmp_path)}
    go(replace(planned, recipes=both, suites=suites))
    noted = yaml.safe_load((planned.folder / "run.yaml").read_text())["measured"]
    assert noted["found"]["same_as"] == "lora"
    with closing(sqlite3.connect(planned.folder / "journal.db")) as connection:
        rows = connection.execute(
            "SELECT contender, payload FROM stages WHERE kind = 'retention'").fetchall()
    scores = dict(rows)
    assert scores["found"] == scores["lora"]


def test_a_changed_test_row_is_asked_anew_and_no_other(planned):
    go(planned)
    first, *rest = planned.task.test
    asked = replace(first.question, text=first.question.text.replace("What", "How much"))
    changed = replace(planned.task, test=(replace(first, question=asked), *rest))
    # The changed row stands first, so it is one of the probed ones too.
    assert calls(replace(planned, task=changed)) == 3 * (1 + PROBED)


def test_a_changed_target_asks_nothing_and_grades_anew(planned):
    go(planned)
    first, *rest = planned.task.test
    changed = replace(planned.task, test=(replace(first, targets=("nothing",)), *rest))
    again = replace(planned, task=changed)
    assert calls(again) == 0
    quality = {one["contender"]: one["quality"]["value"] for one in untimed(planned.folder)}
    assert quality["rag"] == pytest.approx(23 / 24)


def test_a_changed_train_row_prepares_and_asks_everyone_anew(planned):
    go(planned)
    material = replace(planned.task.material, digest="another")
    assert calls(replace(planned, task=replace(planned.task, material=material))) == ALL


def test_two_models_never_share_an_answer(planned):
    go(planned)
    other = using(planned, Listening(name="other"))
    assert calls(other) == ALL
    assert calls(planned) == 0
    assert calls(other) == 0


# ------------------------------------------------------------------ interruptions


@pytest.mark.parametrize("patience", [0, 1, TEST_ROWS, TEST_ROWS + 1, ALL - 1])
def test_an_interrupted_run_keeps_its_answers_and_ends_like_any_other(planned, patience, tmp_path):
    go(replace(planned, folder=tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        go(using(planned, Listening(patience=patience)))
    assert not (planned.folder / "verdict.json").exists()
    kept = answers(planned.folder) if patience else {}
    asked = Listening()
    go(using(planned, asked))
    assert kept.items() <= answers(planned.folder).items()
    assert answers(planned.folder) == answers(tmp_path / "whole")
    assert untimed(planned.folder) == untimed(tmp_path / "whole")
    assert len(asked.asked) <= ALL - patience + PROBED + 1


def test_an_interruption_loses_no_answer_that_was_given(planned):
    with pytest.raises(KeyboardInterrupt):
        go(using(planned, Listening(patience=10)))
    texts = [key for key in answers(planned.folder) if key[0] != "floor"]
    assert len(texts) == 10
    asked = Listening()
    go(using(planned, asked))
    assert len(asked.asked) == ALL - 10


KILLED = """
import os, signal, sys
from pathlib import Path
from material import Listening, Silent, own, plan, small_task
from advisor.runner.run import run

class Kill(BaseException):
    def __init__(self, *_):
        os.kill(os.getpid(), signal.SIGKILL)

folder = Path(sys.argv[1])
engine = Listening(patience=30, fault=Kill)
task = small_task(folder.parent / "tolls")
run(plan(task, folder, recipes=own(*sys.argv[2:]), engine=engine), Silent())
"""


def test_a_killed_run_keeps_every_answer_that_was_given(planned):
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(planned.folder), *NAMES],
        env={**os.environ, "PYTHONPATH": paths}, timeout=120, check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    kept = answers(planned.folder)
    go(planned)
    assert kept.items() <= answers(planned.folder).items()
    # Those 30 were all of zero-shot, its probe, and four of few-shot.
    assert len(planned.tools.engine.asked) == ALL - 30 + (30 - TEST_ROWS - PROBED - 4)


# ------------------------------------------------------------------ crashes


def test_a_crashing_contender_is_named_and_the_others_go_on(planned):
    # `patience` is spent in the middle of the third contender, and refilled by no one.
    crashing = Listening(patience=2 * (TEST_ROWS + PROBED) + 5, fault=RuntimeError)
    done = go(using(planned, crashing))
    assert done.failed == {"rag": "crashed with RuntimeError: no more"}
    assert [one.contender for one in done.verdict.standings] == list(NAMES[:3])


def test_a_crashed_contender_is_tried_again_with_the_answers_it_gave(planned):
    crashing = Listening(patience=2 * (TEST_ROWS + PROBED) + 5, fault=RuntimeError)
    go(using(planned, crashing))
    assert calls(planned) == TEST_ROWS - 5 + PROBED
    assert "rag" in [one["contender"] for one in untimed(planned.folder)]


def test_a_run_in_which_nobody_can_be_measured_names_every_reason(planned):
    engine = Listening(patience=0, fault=RuntimeError)
    recipes = {name: planned.recipes[name] for name in ("zero-shot", "rag")}
    with pytest.raises(AdvisorError, match=r"zero-shot: crashed .*rag: crashed") as caught:
        go(using(replace(planned, recipes=recipes), engine))
    assert "again" in caught.value.fix


def test_a_second_runner_on_one_folder_is_refused(planned):
    planned.folder.mkdir(parents=True)
    with RunLock(planned.folder), pytest.raises(Busy, match="is in use by process") as caught:
        go(planned)
    assert caught.value.exit_code == 75
    assert not (planned.folder / "journal.db").exists()


# ------------------------------------------------------------------ what is kept


def test_only_a_recommendation_leaves_a_winner(planned):
    go(planned)
    assert (planned.folder / "winner" / "manifest.json").is_file()
    recipes = {name: planned.recipes[name] for name in NAMES[:3]}
    assert go(replace(planned, recipes=recipes)).verdict.winner is None
    assert not (planned.folder / "winner").exists()


def test_a_run_that_fails_leaves_no_winner_of_an_earlier_one(planned):
    go(planned)
    engine = Listening(name="broken", patience=0, fault=RuntimeError)
    recipes = {"rag": planned.recipes["rag"]}
    with pytest.raises(AdvisorError, match="no contender could be measured"):
        go(using(replace(planned, recipes=recipes), engine))
    left = {path.name for path in planned.folder.iterdir()}
    assert ("winner" in left) == ("verdict.json" in left)


def delete(path: Path) -> None:
    path.unlink()


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


@pytest.mark.parametrize("harm", [delete, flip])
def test_a_damaged_system_is_prepared_again_and_asked_no_more_than_needed(planned, harm):
    go(planned)
    first = answers(planned.folder)
    harm(planned.folder / "contenders" / "rag" / "system" / "system.json")
    assert calls(planned) == 0  # it came out the same byte by byte, so its answers stand
    assert answers(planned.folder) == first
    assert json.loads((planned.folder / "contenders/rag/system/system.json").read_text())


@dataclass(frozen=True, slots=True)
class Moody(Listening):
    """Tuned twice on the same rows with the same seed, it learns something else."""

    mood: str = ""

    def tune(
        self, course: Course[Any], spec: TunedWeights, *, folder: Path, seed: int,
        start: Path | None = None,
    ) -> PrepareCost:
        lessons = [replace(one, completion=one.completion + self.mood) for one in course.train]
        return FakeEngine.tune(
            self, replace(course, train=tuple(lessons)), spec, folder=folder, seed=seed
        )


def test_answers_of_a_lost_adapter_are_not_mixed_with_those_of_its_successor(planned):
    tuned = replace(planned, recipes=own("lora"))
    with pytest.raises(KeyboardInterrupt):
        go(using(tuned, Moody(patience=10, mood=" at noon")))
    for folder in ("contenders", "tuned"):
        shutil.rmtree(planned.folder / folder)
    with pytest.raises(KeyboardInterrupt):
        go(using(tuned, Moody(patience=TEST_ROWS - 1, mood=" at night")))
    with closing(sqlite3.connect(planned.folder / "journal.db")) as connection:
        rows = [json.loads(row[0])["text"] for row in
                connection.execute("SELECT payload FROM answers ORDER BY at")]
    assert [text.endswith("noon") for text in rows] == [True] * 10 + [False] * (TEST_ROWS - 1)


def test_the_winner_is_the_system_that_was_measured(planned):
    go(planned)
    system, winner = planned.folder / "contenders" / "rag" / "system", planned.folder / "winner"
    for path in system.rglob("*"):
        if path.is_file():
            assert (winner / path.relative_to(system)).read_bytes() == path.read_bytes()
    manifest = json.loads((winner / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["contender"] == "rag"
    assert manifest["metrics"]["value"] == 1.0


# ------------------------------------------------------------------ forgetting


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm_eval not installed")
def test_only_tuned_weights_are_measured_for_forgetting(planned):
    suites = load_suites(Settings().retention, Workspace(ROOT).retention_file)
    recipes = own("floor", "zero-shot", "lora")
    done = go(replace(planned, recipes=recipes, suites=suites))
    assert done.failed == {}
    found = {one.contender: one.forgetting for one in done.verdict.standings}
    assert (found["floor"], found["zero-shot"]) == ("unchanged", "unchanged")
    sizes = {change.suite: change.base.n for change in found["lora"].suites}
    assert sizes.pop("own_text") == owntext.TEXTS
    lines = {suite.name: (ROOT / "evals" / "retention" / f"{suite.name}.jsonl").read_text()
             for suite in suites if suite.name in sizes}
    assert sizes == {name: len(text.splitlines()) for name, text in lines.items()}
