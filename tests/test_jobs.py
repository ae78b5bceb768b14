"""Contenders measured by several processes: the same journal, and what a death costs."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from material import ROOT, Listening, Silent, own, plan, recipe, small_task, suited
from rich.console import Console
from test_detectors import needs_lm_eval, opened

from advisor.cli.progress import Drawn
from advisor.core import Task
from advisor.engines.fake import FakeEngine
from advisor.engines.protocol import TokenIds
from advisor.locks import alone
from advisor.measures import owntext
from advisor.measures.retention import Suite
from advisor.runner import ahead
from advisor.runner.ahead import BASE, Job
from advisor.runner.plan import Plan
from advisor.runner.run import Finished, run

NAMES = ("floor", "zero-shot", "few-shot", "rag")
TEST_ROWS, PROBED = 24, 2
OWN_TEXT = Suite(owntext.NAME, None, 0.0, owntext.DIGEST)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


def planned(task: Task, folder: Path, engine: FakeEngine | None = None, *names: str) -> Plan:
    return plan(task, folder, recipes=own(*(names or NAMES)), engine=engine or Listening())


def tuned(task: Task, folder: Path) -> Plan:
    """Two that are tuned alike and decode differently, on two suites."""
    made = planned(task, folder, None, "floor", "lora")
    same = recipe("weights: {kind: lora}\ndecoding: {kind: json}\n", folder.parent)
    suites = (opened(folder.parent, "{}"), OWN_TEXT)
    return replace(made, recipes={**made.recipes, "lora-json": same}, suites=suites)


def go(one: Plan, jobs: int = 2) -> Finished:
    return run(one, Silent(), jobs=jobs)


def kept(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Texts of answers and kinds of stages by key."""
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        answers = connection.execute("SELECT key, payload FROM answers").fetchall()
        stages = dict(connection.execute("SELECT key, kind FROM stages").fetchall())
    return {key: json.loads(payload)["text"] for key, payload in answers}, stages


def untimed(folder: Path) -> Any:
    """The verdict without what a clock measured."""
    verdict = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    for standing in verdict["standings"]:
        del standing["cost"]
    return [verdict["outcome"], verdict["winner"],
            sorted(verdict["standings"], key=lambda one: str(one["contender"]))]


# ------------------------------------------------------------------ the same


def test_two_processes_keep_what_one_keeps_and_decide_the_same(task, tmp_path):
    two, one = planned(task, tmp_path / "two"), planned(task, tmp_path / "one")
    assert go(two).failed == go(one, jobs=1).failed == {}
    assert kept(two.folder) == kept(one.folder)
    assert untimed(two.folder) == untimed(one.folder)


@needs_lm_eval
def test_what_contenders_and_the_base_have_in_common_is_made_once(task, tmp_path):
    task = suited(task, "json")
    two, one = tuned(task, tmp_path / "two"), tuned(task, tmp_path / "one")
    assert go(two).failed == go(one, jobs=1).failed == {}
    assert kept(two.folder) == kept(one.folder)
    assert untimed(two.folder) == untimed(one.folder)
    assert len(list((two.folder / "tuned").glob("*/tuning.json"))) == 1
    assert isinstance(two.tools.engine, Listening)
    assert two.tools.engine.taught == []


def test_only_single_calls_are_left_to_the_run_itself(task, tmp_path):
    two = planned(task, tmp_path / "two")
    go(two)
    assert isinstance(two.tools.engine, Listening)
    asked = len(two.tools.engine.asked)
    assert asked == (len(NAMES) - 1) * (PROBED + 1)  # and one call each to be warm


def test_a_run_of_two_processes_is_continued_by_one_that_asks_nothing(task, tmp_path):
    two = planned(task, tmp_path / "two")
    go(two)
    verdict = (two.folder / "verdict.json").read_bytes()
    again = planned(task, tmp_path / "two")
    go(again, jobs=1)
    assert isinstance(again.tools.engine, Listening)
    assert again.tools.engine.asked == []
    assert (two.folder / "verdict.json").read_bytes() == verdict


def test_what_is_tuned_comes_first_and_what_asks_an_endpoint_is_left_out(task, tmp_path):
    away = recipe("weights: {kind: endpoint, name: far}", tmp_path)
    one = planned(task, tmp_path / "one", None, *NAMES, "lora")
    one = replace(one, recipes={**one.recipes, "far": away}, suites=(OWN_TEXT,))
    wanted = [Job(name, name, 0) for name in one.recipes]
    found = [job.label for job in ahead._in_order(one, wanted)]
    assert found == ["lora", "base", "floor", "zero-shot", "few-shot", "rag"]
    without = [job for job in wanted if job.name != "lora"]
    assert BASE not in ahead._in_order(one, without)


def test_seconds_of_a_part_of_the_machine_count_as_that_part(task, tmp_path):
    done = run(replace(planned(task, tmp_path / "run"), share=0.0), Silent())
    costs = [one.cost for one in done.verdict.standings]
    assert {cost.seconds_per_call for cost in costs} == {0.0}
    assert {cost.prepare_seconds for cost in costs} == {0.0}


def test_processes_share_the_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert [ahead._threads(jobs) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert ahead._threads(1) == ahead.cores()


# ------------------------------------------------------------------ what goes wrong


def passages(prompts: Sequence[TokenIds]) -> bool:
    return any("Cyclists" in "".join(map(chr, prompt)) for prompt in prompts)


@dataclass(frozen=True, slots=True)
class Mortal(FakeEngine):
    """Its process is killed when it reads a passage."""

    def generate(self, prompts: Sequence[TokenIds], **others: Any) -> Any:
        if passages(prompts):
            os.kill(os.getpid(), signal.SIGKILL)
        return FakeEngine.generate(self, prompts, **others)


@dataclass(frozen=True, slots=True)
class Fallible(FakeEngine):
    """It fails when it reads a passage."""

    def generate(self, prompts: Sequence[TokenIds], **others: Any) -> Any:
        if passages(prompts):
            raise RuntimeError("no more")
        return FakeEngine.generate(self, prompts, **others)


def test_a_process_that_dies_costs_its_contender_alone(task, tmp_path):
    names = ("rag", "zero-shot", "few-shot", "floor")
    done = go(planned(task, tmp_path / "run", Mortal(), *names))
    assert done.failed == {"rag": "its process was ended (SIGKILL, as the system does when "
                                  "memory runs out)"}
    assert [one.contender for one in done.verdict.standings] == ["zero-shot", "few-shot", "floor"]
    assert not done.verdict.final
    again = planned(task, tmp_path / "run", Listening(), *names)
    assert go(again, jobs=1).failed == {}
    assert isinstance(again.tools.engine, Listening)
    assert len(again.tools.engine.asked) == TEST_ROWS + PROBED


def test_what_fails_in_a_process_is_named_as_it_is_with_one(task, tmp_path):
    names = ("rag", "zero-shot", "floor")
    done = go(planned(task, tmp_path / "run", Fallible(), *names))
    assert done.failed == {"rag": "crashed with RuntimeError: no more"}
    assert "zero-shot" in [one.contender for one in done.verdict.standings]


@dataclass(slots=True)
class Impatient(Silent):
    """A watch of somebody who interrupts when the first answers have come."""

    left: int = 5

    def advance(self, amount: int = 1) -> None:
        self.left -= amount
        if self.left <= 0:
            raise KeyboardInterrupt


def test_an_interruption_ends_every_process_and_the_run_can_be_continued(task, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(planned(task, tmp_path / "run"), Impatient(), jobs=2)
    assert multiprocessing.active_children() == []
    assert go(planned(task, tmp_path / "run")).failed == {}
    go(planned(task, tmp_path / "whole"), jobs=1)
    assert kept(tmp_path / "run") == kept(tmp_path / "whole")


@dataclass(frozen=True, slots=True)
class Sleepy(FakeEngine):
    """It says in which process it sleeps."""

    note: str = ""

    def generate(self, prompts: Sequence[TokenIds], **others: Any) -> Any:
        Path(f"{self.note}-{os.getpid()}").touch()
        time.sleep(60)


ORPHANS = """
import sys
from pathlib import Path
from material import Silent, own, plan, small_task
from test_jobs import Sleepy
from advisor.runner.run import run

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    task, recipes = small_task(folder / "tolls"), own("zero-shot", "few-shot")
    engine = Sleepy(note=str(folder / "asleep"))
    run(plan(task, folder / "run", recipes=recipes, engine=engine), Silent(), jobs=2)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_no_process_outlives_a_run_that_is_killed(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS, encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    started = subprocess.Popen([sys.executable, str(script), str(tmp_path)],
                               env={**os.environ, "PYTHONPATH": paths})
    asleep = waited(lambda: [path.name.partition("-")[2] for path in tmp_path.glob("asleep-*")])
    started.kill()
    started.wait()
    assert waited(lambda: not any(Path("/proc", pid).exists() for pid in asleep))


def waited(found: Any, seconds: float = 60.0) -> Any:
    """What `found` gives once it is true, or at last."""
    until = time.monotonic() + seconds
    while not (seen := found()) and time.monotonic() < until:
        time.sleep(0.05)
    return seen


# ------------------------------------------------------------------ one at a time


def test_one_at_a_time_is_where_two_would_make_the_same(tmp_path):
    came: list[str] = []

    def second() -> None:
        with alone(tmp_path / "made" / "one.lock"):
            came.append("second")

    with alone(tmp_path / "made" / "one.lock"):
        other = threading.Thread(target=second)
        other.start()
        other.join(0.1)
        came.append("first")
    other.join()
    assert came == ["first", "second"]


@dataclass(slots=True)
class Shown:
    """What a console would have printed."""

    lines: list[str] = field(default_factory=list)

    def print(self, text: str, **_: Any) -> None:
        self.lines.append(text)


def test_time_left_is_that_of_the_process_with_most_to_do():
    drawn = Drawn(Console(), None, None, "tolls")
    drawn.begin(own("lora", "zero-shot"), 10)
    whole = drawn._rest()
    tuning, answering = drawn.beside(), drawn.beside()
    answering.stage("zero-shot", "answering", 10)
    answering.advance(10)
    assert drawn._rest() == pytest.approx(2 * (14 + 6 + 4))  # lora, which one of two works at
    assert whole == 14 + 6 + 4 + 4 + 1 + 6
    tuning.stage("lora", "preparing", 1)
    tuning.stage("lora", "answering", 10)
    tuning.advance(5)
    assert drawn._rest() == pytest.approx(2 * (3 + 4))


def test_a_contender_is_counted_once_however_often_it_is_told_of():
    shown = Shown()
    drawn = Drawn(shown, None, None, "tolls")  # type: ignore[arg-type]
    drawn.begin(own("zero-shot", "few-shot"), 10)
    for note in ("answered", "0.500"):
        drawn.finish("zero-shot", note)
    assert [line.partition("(")[2][:6] for line in shown.lines] == ["1 of 2", "1 of 2"]
