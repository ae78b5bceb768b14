"""Prompts beyond the fixed: other shots, reasoning first, a search on dev, own systems."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from material import BASELINES, Listening, Silent, own, plan, recipe, small_task

from advisor.cli import main
from advisor.contenders.composed import Tools
from advisor.contenders.prompt import RandomShots, concluded, diverse_shots
from advisor.contenders.recipe import Prepared, prepare, reopen
from advisor.core import Answer, Question, Task, Usage
from advisor.engines.embedders import FakeEmbedder
from advisor.engines.fake import FakeEngine
from advisor.errors import AdvisorError
from advisor.runner.run import run


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


def made(text: str, task: Task, folder: Path, *, engine: FakeEngine | None = None,
         root: Path | None = None) -> Prepared:
    tools = Tools(engine or FakeEngine(), FakeEmbedder(), root=root)
    return prepare(recipe(text, folder), task.material, tools=tools, workdir=folder / "work",
                   seed=0)


# ------------------------------------------------------------------ shots


def test_random_shots_differ_by_question_and_not_by_run(task):
    shots = RandomShots(task.material.train, 4, seed=1)
    asked = [example.question for example in task.test]
    assert shots.choose(asked) == shots.choose(asked)
    assert len(set(shots.choose(asked))) > len(asked) // 2
    assert shots.choose(asked) != RandomShots(task.material.train, 4, seed=2).choose(asked)


def test_no_shot_shows_a_question_its_own_answer(task):
    train = task.material.train
    shots = RandomShots(train, len(train), seed=1)
    for example, chosen in zip(train, shots.choose([e.question for e in train]), strict=True):
        assert len(chosen) == len(train) - 1
        assert example not in chosen


def test_diverse_shots_leave_no_cluster_out(task):
    corners = np.eye(3, dtype=np.float32)
    vectors = corners[[0, 0, 0, 0, 1, 1, 2]]
    chosen = diverse_shots(task.material.train[:7], 3, vectors=vectors).examples
    assert {task.material.train.index(one) for one in chosen} == {0, 4, 6}


# ------------------------------------------------------------------ reasoning first


@pytest.mark.parametrize(("text", "answer"), [
    ("It is 3 + 4.\nAnswer: 7", "7"),
    ("Answer: 6\nNo, wait.\n**Final answer:** 7", "7"),
    ("answer: 7 ", "7"),
    ("The answer: none", ""),
    ("It is 7.", ""),
    ("", ""),
])
def test_the_answer_is_what_follows_the_last_mark(text, answer):
    assert concluded(text)[0] == answer


@dataclass(frozen=True, slots=True)
class Thinking(FakeEngine):
    """Says the same whatever it is asked."""

    says: str = ""

    def _say(self, turns: Any) -> str:
        return self.says


def test_a_reasoned_answer_is_cut_at_the_stop_and_keeps_its_reasoning(task, tmp_path):
    material = replace(task.material, stop=("\n",))
    engine = Thinking(says="Two bridges.\nSo:\nAnswer: 7 pence\nBye")
    text = "prompt: {reasoning: steps}"
    system = made(text, replace(task, material=material), tmp_path, engine=engine).system
    [answer] = system.answer([task.test[0].question])
    assert (answer.text, answer.reasoning) == ("7 pence", "Two bridges.\nSo:")


def test_reasoning_without_an_answer_is_an_empty_answer(task, tmp_path):
    engine = Thinking(says="Let me think about it")
    done = run(plan(task, tmp_path / "run", engine=engine,
                    recipes={"cot": recipe("prompt: {reasoning: steps}", tmp_path)}), Silent())
    assert done.verdict.standings[0].counts.empty == len(task.test)


def test_shots_show_the_form_that_is_asked_for(task, tmp_path):
    engine = Listening()
    system = made("prompt: {shots: 2, reasoning: steps}", task, tmp_path, engine=engine).system
    list(system.answer([task.test[0].question]))
    said = "".join(map(chr, engine.asked[0]))
    assert said.count("<assistant>Answer: ") == 2
    assert "think step by step" in said


# ------------------------------------------------------------------ searched on dev


SEARCH = "prompt: {tune: {shots: [0, 2], select: [fixed, nearest], wording: [Guess.], rows: 4}}"


def test_each_combination_is_asked_the_same_rows_of_dev_once(task, tmp_path):
    engine = Listening()
    found = made(SEARCH, task, tmp_path, engine=engine)
    tried = found.found["prompt"]["tried"]
    # Without shots, with two of either kind, and the other wording with the best of these.
    assert len(tried) == 4
    assert len(engine.asked) == 4 * 4
    said = ["".join(map(chr, prompt)) for prompt in engine.asked]
    assert not any(f"{example.question.text}</user>" in one for one in said
                   for example in task.test)


def test_the_best_on_dev_is_kept_and_among_equals_the_shortest(task, tmp_path):
    found = made(SEARCH, task, tmp_path)
    assert found.found["prompt"]["chosen"] == {"wording": "Guess.", "shots": 0, "select": "fixed"}
    # Where the shots say the answer, they win.
    same = tuple(replace(one, targets=("7 pence",)) for one in task.material.train)
    dev = tuple(replace(one, targets=("7 pence",)) for one in task.material.dev)
    easy = replace(task, material=replace(task.material, train=same, dev=dev))
    assert made(SEARCH, easy, tmp_path).recipe.prompt.shots == 2
    dear = SEARCH.replace("rows: 4", "rows: 4, charge_per_100_tokens: 5")
    assert made(dear, easy, tmp_path).recipe.prompt.shots == 0


def test_a_wording_may_hold_the_instruction_of_the_task(task, tmp_path):
    braces = 'Answer with {"toll": ...}.\n'
    task = replace(task, material=replace(task.material, instruction=braces))
    engine = Listening()
    text = 'prompt: {wording: "Be exact. {instruction} No more."}'
    list(made(text, task, tmp_path, engine=engine).system.answer([task.test[0].question]))
    said = "".join(map(chr, engine.asked[0]))
    assert said.startswith('<system>Be exact. Answer with {"toll": ...}. No more.</system>')


def test_the_shipped_search_tries_examples_and_wordings(task, tmp_path):
    tried = made(BASELINES["prompt-search"].read_text(encoding="utf-8"), task, tmp_path)
    tried = tried.found["prompt"]["tried"]
    assert {one["select"] for one in tried} == {"fixed", "diverse", "nearest", "random"}
    assert {one["shots"] for one in tried} == {0, 4, 8}
    assert len({one["wording"] for one in tried}) == 3
    assert len(tried) == 1 + 2 * 4 + 2


def test_a_search_is_asked_anew_when_answers_are_graded_otherwise(task, tmp_path):
    engine = Listening()
    recipes = {"search": recipe(SEARCH, tmp_path)}
    run(plan(task, tmp_path / "run", recipes=recipes, engine=engine), Silent())
    before = len(engine.asked)
    strict = replace(task, primary="exact", material=replace(task.material, primary="exact"))
    run(plan(strict, tmp_path / "run", recipes=recipes, engine=engine), Silent())
    assert len(engine.asked) > before


def test_a_search_with_nothing_to_choose_from_is_a_fault(tmp_path):
    with pytest.raises(AdvisorError, match="at least two values of shots or select"):
        recipe("prompt: {tune: {shots: [4]}}", tmp_path)
    with pytest.raises(AdvisorError, match=r"prompt\.tune` asks the model as it is"):
        recipe("prompt: {tune: {shots: [0, 4]}}\nweights: {kind: lora}", tmp_path)


def test_a_search_without_dev_says_so(task, tmp_path):
    bare = replace(task, material=replace(task.material, dev=()))
    with pytest.raises(AdvisorError, match="chooses on dev, which has no rows"):
        made(SEARCH, bare, tmp_path)


# ------------------------------------------------------------------ own systems


MINE = """\
from dataclasses import dataclass

@dataclass
class Known:
    material: object

    def answer(self, questions):
        tolls = {d.title.lower(): d.text for d in self.material.corpus}
        for question in questions:
            bridge = question.text.split("the ")[-1].rstrip("?")
            yield tolls["the " + bridge].split("toll is ")[1].split(".")[0]

class Bare:
    def answer(self, questions):
        return ["12 pence"] * len(questions)

class Odd:
    def answer(self, questions):
        return [12 for _ in questions]

class Short:
    def answer(self, questions):
        return ["one"]

class Crashing:
    def answer(self, questions):
        raise RuntimeError("out of tolls")

class Mute:
    pass
"""


def mine(name: str, folder: Path) -> str:
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    return f"weights: {{kind: own, system: './mine.py:{name}'}}"


def test_a_system_of_ones_own_competes_on_the_same_items(task, tmp_path):
    recipes = {**own("zero-shot"), "mine": recipe(mine("Known", tmp_path), tmp_path)}
    planned = plan(task, tmp_path / "run", recipes=recipes)
    planned = replace(planned, tools=replace(planned.tools, root=tmp_path))
    done = run(planned, Silent())
    quality = {one.contender: one.quality.value for one in done.verdict.standings}
    assert quality == {"zero-shot": 0.0, "mine": 1.0}
    assert done.verdict.standings[1].axes["weights"] == "mine.py:Known"
    page = (planned.folder / "report.html").read_text(encoding="utf-8")
    assert "a system of your own" in page


def test_texts_and_answers_are_both_taken(task, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from advisor.core import Answer, Usage\n"
        "class System:\n"
        "    def answer(self, questions):\n"
        "        return [Answer(q.id, 'x', Usage(1, 2, 0.5)) for q in reversed(questions)]\n")
    text = "weights: {kind: own, system: 'mine.py:System'}"
    system = made(text, task, tmp_path, root=tmp_path).system
    asked = [Question("a", "?"), Question("b", "?")]
    assert list(system.answer(asked)) == [Answer("b", "x", Usage(1, 2, 0.5)),
                                          Answer("a", "x", Usage(1, 2, 0.5))]


@pytest.mark.parametrize(("name", "what"), [
    ("Odd", "answered 'q-.*' with int"), ("Short", "gave no answer to 23 questions"),
    ("Crashing", "RuntimeError: out of tolls"), ("Mute", "has no method `answer`"),
    ("Absent", "AttributeError"),
])
def test_what_is_wrong_with_it_is_told_and_the_others_go_on(name, what, task, tmp_path):
    recipes = {**own("zero-shot"), "mine": recipe(mine(name, tmp_path), tmp_path)}
    planned = plan(task, tmp_path / "run", recipes=recipes)
    done = run(replace(planned, tools=replace(planned.tools, root=tmp_path)), Silent())
    assert re.search(what, done.failed["mine"])
    assert [one.contender for one in done.verdict.standings] == ["zero-shot"]


def test_changed_code_is_asked_anew(task, tmp_path):
    recipes = {"mine": recipe(mine("Bare", tmp_path), tmp_path)}
    planned = plan(task, tmp_path / "run", recipes=recipes)
    planned = replace(planned, tools=replace(planned.tools, root=tmp_path))
    assert run(planned, Silent()).verdict.standings[0].quality.value == 0.0
    better = MINE.replace('["12 pence"] * len(questions)', '["134 pence" for _ in questions]')
    (tmp_path / "mine.py").write_text(better)
    assert run(planned, Silent()).verdict.standings[0].quality.value > 0.0


def test_a_bundle_never_runs_code_it_names(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')\n")
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    about = {"system": f"{tmp_path}/evil.py:System", "sha256": "0"}
    (bundle / "own.json").write_text(json.dumps(about))
    with pytest.raises(AdvisorError, match="never run from a bundle"):
        reopen(bundle, Tools(FakeEngine(), FakeEmbedder()))


def test_what_an_own_system_would_ignore_is_a_fault_of_the_recipe(tmp_path):
    with pytest.raises(AdvisorError, match="`prompt` does nothing for a system of your own"):
        recipe("prompt: {shots: 2}\nweights: {kind: own, system: 'm.py:S'}", tmp_path)
    with pytest.raises(AdvisorError, match=r"weights\.system"):
        recipe("weights: {kind: own, system: mine}", tmp_path)


# ------------------------------------------------------------------ which run by default


def test_optional_contenders_run_when_named_or_with_all(tmp_path, monkeypatch, capsys):
    from material import write_task

    write_task(tmp_path / "evals" / "tolls")
    (tmp_path / "baselines").mkdir()
    for name, text in (("plain", "{}"), ("extra", "prompt: {shots: 2}")):
        (tmp_path / "baselines" / f"{name}.yaml").write_text(text)
    (tmp_path / "advisor.yaml").write_text("retention: []\noptional: [extra]\n")
    monkeypatch.chdir(tmp_path)

    def entered(*more: str) -> set[str]:
        assert main(["run", "tolls", "--engine", "fake", "--json", "--no-input", *more]) == 0
        return {one["contender"] for one in json.loads(capsys.readouterr().out)[0]["standings"]}

    assert entered() == {"plain"}
    assert entered("--all") == {"plain", "extra"}
    assert entered("--contender", "extra") == {"extra"}
    (tmp_path / "advisor.yaml").write_text("optional: [extar]\n")
    assert main(["run", "tolls", "--engine", "fake"]) == 2
    assert "optional: baselines/ has no 'extar' (did you mean 'extra'?)" in capsys.readouterr().err
