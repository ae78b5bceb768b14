"""What is done before any contender: the base is scored, and beside it texts are embedded."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from material import Listening, Silent, own, plan, recipe, small_task
from test_detectors import needs_lm_eval, opened
from test_jobs import OWN_TEXT, kept, untimed

from advisor.config import Recipe
from advisor.contenders.recipe import prepare
from advisor.contenders.tuning.kept import Kept
from advisor.core import Task
from advisor.engines.embedders import FakeEmbedder, Vectors
from advisor.engines.protocol import Engine
from advisor.runner import beforehand
from advisor.runner.ahead import cores
from advisor.runner.limit import Limit
from advisor.runner.plan import Plan
from advisor.runner.run import run

BESIDE = "embedding"
pytestmark = needs_lm_eval


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beforehand, "idle_core", lambda: True)


@dataclass(frozen=True, slots=True)
class Watching(FakeEmbedder):
    """Remembers how many texts each thread embedded; one may not."""

    seen: list[tuple[str, int]] = field(default_factory=list)
    refuses: str = ""

    def embed(self, texts: Sequence[str]) -> Vectors:
        thread = threading.current_thread().name
        self.seen.append((thread, len(texts)))
        if thread == self.refuses:
            raise MemoryError("no room")
        return FakeEmbedder.embed(self, texts)


@dataclass(slots=True)
class Order(Silent):
    """Remembers in what order stages began."""

    began: list[str] = field(default_factory=list)

    def stage(self, contender: str, stage: str, total: int) -> None:
        self.began.append(f"{contender} {stage}")


def recipes(folder: Path) -> dict[str, Recipe]:
    reading = "retrieval: {kind: dense, top_k: 2}\n"
    texts = {"nearest-shot": "prompt: {shots: 2, select: nearest}\n", "rag": reading,
             "rag-lora": f"{reading}weights: {{kind: lora}}\n"}
    return {**own("floor"), **{name: recipe(text, folder) for name, text in texts.items()}}


def planned(task: Task, folder: Path, **embedding: Any) -> tuple[Plan, list[tuple[str, int]]]:
    folder.mkdir(exist_ok=True)
    made = plan(task, folder / "run", recipes=recipes(folder), engine=Listening())
    embedder = Watching(**embedding)
    tools = replace(made.tools, embedder=embedder)
    return replace(made, suites=(opened(folder, "{}"), OWN_TEXT), tools=tools), embedder.seen


@pytest.mark.usefixtures("idle")
def test_with_a_core_idle_passages_and_examples_are_embedded_beside_the_base(task, tmp_path):
    ahead, seen = planned(task, tmp_path / "ahead")
    watch = Order()
    assert run(ahead, watch).failed == {}
    assert watch.began[0] == "base forgetting"
    beside = [size for thread, size in seen if thread == BESIDE]
    assert beside == [len(task.material.train), len(task.material.corpus)]
    rest = [size for thread, size in seen if thread != BESIDE]
    assert len(task.material.corpus) not in rest


def test_embedding_ahead_changes_nothing_that_is_kept(task, tmp_path, monkeypatch):
    made = []
    for name, core in (("with", True), ("without", False)):
        monkeypatch.setattr(beforehand, "idle_core", lambda core=core: core)
        one, seen = planned(task, tmp_path / name)
        watch = Order()
        run(one, watch)
        assert (watch.began[0] == "base forgetting") is core
        made.append((kept(one.folder), untimed(one.folder)))
        assert (BESIDE in dict(seen)) is core
    assert made[0] == made[1]


@pytest.mark.usefixtures("idle")
def test_what_was_embedded_ahead_is_still_charged_to_who_needs_it(task, tmp_path):
    one, _ = planned(task, tmp_path)
    with beforehand.beside(one, [one.recipes[name] for name in ("nearest-shot", "rag")]):
        pass
    for name in ("nearest-shot", "rag"):
        made = prepare(one.recipes[name], task.material, tools=one.tools, workdir=tmp_path,
                       seed=0, kept=Kept(one.folder / "tuned"))
        assert made.cost.earlier_seconds > 0


def test_both_models_are_read_before_two_threads_compute(task, tmp_path):
    read: list[str] = []

    class Unread:
        @property
        def context_length(self) -> int:
            read.extend(thread.name for thread in threading.enumerate())
            return 1

    one, seen = planned(task, tmp_path)
    one = replace(one, tools=replace(one.tools, engine=cast("Engine", Unread())))
    with beforehand.beside(one, ()):
        assert read
        assert BESIDE not in read
    assert seen == [(threading.current_thread().name, 1)]


@pytest.mark.usefixtures("idle")
def test_what_goes_wrong_ahead_is_tried_again_by_the_contender(task, tmp_path):
    one, seen = planned(task, tmp_path, refuses=BESIDE)
    assert run(one, Silent()).failed == {}
    assert (BESIDE, len(task.material.corpus)) in seen


@pytest.mark.usefixtures("idle")
def test_a_base_that_cannot_be_scored_costs_no_contender_that_does_without(
    task, tmp_path, monkeypatch
):
    def fails(*_: Any) -> None:
        raise RuntimeError("the suite broke")

    monkeypatch.setattr(beforehand, "base_retention", fails)
    one, _ = planned(task, tmp_path)
    assert run(one, Silent()).failed == {}


@pytest.mark.usefixtures("idle")
def test_nothing_is_done_first_that_is_done_or_that_nobody_needs(task, tmp_path):
    one, _ = planned(task, tmp_path)
    run(one, Silent())
    again, bare = Order(), Order()
    run(one, again)
    assert "base forgetting" not in again.began[:1]
    untuned = {name: one.recipes[name] for name in ("floor", "rag")}
    run(replace(one, recipes=untuned, folder=tmp_path / "untuned"), bare)
    assert "base forgetting" not in bare.began


@pytest.mark.usefixtures("idle")
def test_under_a_limit_contenders_come_first(task, tmp_path):
    one, _ = planned(task, tmp_path)
    watch = Order()
    run(one, watch, Limit(time.monotonic() + 3600))
    assert watch.began[0] != "base forgetting"


def test_a_core_is_idle_where_the_model_has_fewer_threads(monkeypatch):
    torch = pytest.importorskip("torch")
    for threads, idle in ((cores(), False), (cores() - 1, True)):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert beforehand.idle_core() is (idle or torch.cuda.is_available())
