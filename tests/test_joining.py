"""Questions that arrive while others are answered."""

from __future__ import annotations

import pytest
from material import own, small_task, tiny_model

from advisor.contenders.arriving import answers
from advisor.contenders.composed import Tools
from advisor.contenders.recipe import prepare
from advisor.core import Question
from advisor.engines.embedders import FakeEmbedder
from advisor.engines.fake import FakeEngine


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


def system(task, folder, engine, name="few-shot"):
    tools = Tools(engine, FakeEmbedder())
    return prepare(own(name)[name], task.material, tools=tools, workdir=folder, seed=0).system


class Arrivals:
    """Hands over one question whenever it is asked for some, after `patience` times."""

    def __init__(self, questions, patience=3):
        self.waiting = list(questions)
        self.patience = patience
        self.calls = 0

    def __call__(self, places):
        self.calls += 1
        if self.waiting and self.calls % self.patience == 0:
            return [self.waiting.pop(0)]
        return []


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("torch")
    from advisor.engines import transformers
    from advisor.engines.models import resolve

    folder = tiny_model(tmp_path_factory.mktemp("tiny") / "tiny", context=1024)
    return transformers.engine(resolve(str(folder)), dtype="float32")


@pytest.mark.model
@pytest.mark.parametrize("name", ["zero-shot", "few-shot", "rag"])
def test_who_comes_while_others_are_answered_is_answered_as_when_alone(name, tiny, task, tmp_path):
    opened = system(task, tmp_path, tiny, name)
    questions = [example.question for example in task.test]
    alone = {q.id: next(iter(opened.answer([q]))).text for q in questions}
    arriving = Arrivals(questions[2:])
    said = {one.question_id: one.text for one in answers(opened, questions[:2], arriving)}
    assert not arriving.waiting or len(said) < len(questions)
    assert len(said) > 2
    assert said == {key: alone[key] for key in said}


@pytest.mark.model
def test_a_question_too_long_is_refused_while_others_are_answered(tiny, task, tmp_path):
    opened = system(task, tmp_path, tiny)
    first = [example.question for example in task.test[:2]]
    arriving = Arrivals([Question("long", "toll " * 900)], patience=1)
    said = {one.question_id: one for one in answers(opened, first, arriving)}
    assert said.keys() == {"long", *(q.id for q in first)}
    assert "too long" in said["long"].failure


def test_an_engine_that_takes_nobody_in_answers_the_first(task, tmp_path):
    opened = system(task, tmp_path, FakeEngine())
    questions = [example.question for example in task.test]
    said = [one.question_id for one in answers(opened, questions, Arrivals([]))]
    assert sorted(said) == sorted(q.id for q in questions)
