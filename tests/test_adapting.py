"""Everything that trains, from the recipe to the weights: stages, teachers, pairs, losses."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from material import TEST, Listening, recipe, row, shipped, small_task, tiny_model, write_rows
from material import write_task as task_folder

from advisor.config import FullWeights, LoraWeights, PreferSpec, PretrainSpec, Recipe
from advisor.contenders.composed import Composed, Tools
from advisor.contenders.recipe import Prepared, fits, prepare, reopen
from advisor.contenders.tuning.kept import Kept
from advisor.core import Answer, Preference, Question, Task, Usage
from advisor.data.task import load_task
from advisor.engines.embedders import FakeEmbedder
from advisor.engines.fake import FakeEngine
from advisor.engines.models import ModelFiles, resolve
from advisor.engines.protocol import Course, Lesson, Message, Pair, Text
from advisor.errors import AdvisorError, Faults

torch = pytest.importorskip("torch")
pytest.importorskip("peft")
transformers_engine = pytest.importorskip("advisor.engines.transformers")
tuning = pytest.importorskip("advisor.engines.tuning")
goals = pytest.importorskip("advisor.engines.goals")
layout = pytest.importorskip("advisor.engines.layout")
memory = pytest.importorskip("advisor.engines.memory")

TOLD = Message("system", "Answer every question with the toll of the bridge and nothing else.")
NAMES = ("elm", "red oak", "the old willow", "ash", "hawthorn and briar", "yew", "rowan", "lime")
LORA = LoraWeights(kind="lora", rank=4, alpha=8.0, learning_rate=5e-3, epochs=3.0, batch_size=4)
FULL = FullWeights(kind="full", learning_rate=2e-3, epochs=3.0, batch_size=4)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return resolve(str(tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.fixture(scope="module")
def engine(tiny: ModelFiles) -> Any:
    return transformers_engine.engine(tiny, dtype="float32")


def lessons() -> Course[Lesson]:
    rows = tuple(Lesson((TOLD, Message("user", f"The {name} bridge?")), f"{7 + 3 * n} pence")
                 for n, name in enumerate(NAMES))
    return Course(rows, rows)


def pairs() -> Course[Pair]:
    rows = tuple(Pair(lesson.prompt, lesson.completion, "no idea at all")
                 for lesson in lessons().train)
    return Course(rows, rows)


def state(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


# --------------------------------------------------------------- full fine-tuning


def test_full_fine_tuning_lowers_the_dev_loss_and_leaves_the_base_alone(engine, tmp_path):
    before = {name: value.clone() for name, value in engine.weights.model.state_dict().items()}
    cost = engine.tune(lessons(), FULL, folder=tmp_path / "full", seed=1)
    assert cost.dev_loss[-1] < cost.train_loss[0]
    after = engine.weights.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_whole_weights_answer_as_they_were_tuned(engine, tmp_path):
    cost = engine.tune(lessons(), FULL, folder=tmp_path / "full", seed=1)
    tuned = engine.with_weights(tmp_path / "full")
    samples = [tuning.sample(tuned, one.prompt, one.completion) for one in lessons().dev]
    loss = tuning.training.dev_loss(tuned.weights.model, samples, batch_size=8)
    assert loss == pytest.approx(min(cost.dev_loss), abs=1e-4)
    assert tuned.digest != engine.digest


def test_the_lower_layers_stay_as_they_were(engine, tmp_path):
    engine.tune(lessons(), FULL.model_copy(update={"top_layers": 0.5}), folder=tmp_path / "a",
                seed=1)
    found, base = state(tmp_path / "a"), engine.weights.model.state_dict()
    changed = {name.split(".")[2] for name, value in found.items()
               if "layers." in name and not torch.equal(value, base[name])}
    count = engine.weights.model.config.num_hidden_layers
    assert changed == {str(n) for n in range(count // 2, count)}
    assert torch.equal(found["model.embed_tokens.weight"], base["model.embed_tokens.weight"])


def test_weights_are_saved_in_the_precision_that_answers(tiny, tmp_path):
    half = transformers_engine.engine(tiny, dtype="bfloat16")
    half.tune(lessons(), FULL, folder=tmp_path / "full", seed=1)
    assert {value.dtype for value in state(tmp_path / "full").values()} == {torch.bfloat16}


@pytest.mark.parametrize("rehearsal", [0.0, 1.0])
def test_all_weights_are_tuned_in_the_narrower_precision_on_long_prompts(tiny, tmp_path, rehearsal):
    half = transformers_engine.engine(tiny, dtype="bfloat16")
    long = Course(*([replace(one, prompt=(TOLD, Message("user", f"{one.completion} " * 12)))
                     for one in lessons().train],) * 2)
    spec = FULL.model_copy(update={"rehearsal": rehearsal})
    cost = half.tune(long, spec, folder=tmp_path / "full", seed=1)
    assert cost.dev_loss[-1] < cost.train_loss[0]


def test_rehearsal_holds_all_weights_near_the_base(engine, tmp_path):
    free, held = (
        state_change(engine, tmp_path / str(weight), FULL.model_copy(update={"rehearsal": weight}))
        for weight in (0.0, 20.0)
    )
    assert held < free


def state_change(engine: Any, folder: Path, spec: FullWeights) -> float:
    engine.tune(lessons(), spec, folder=folder, seed=1)
    text = engine.tokenize("When the river rises, the ferryman")
    said = [layout.logits(one.weights.model, layout.hidden(one.weights.model, [text]).states)
            .log_softmax(-1) for one in (engine, engine.with_weights(folder))]
    return float(torch.nn.functional.kl_div(said[1], said[0], log_target=True,
                                            reduction="batchmean"))


def test_too_little_memory_is_told_before_the_first_update(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free_mib", lambda: 0.5)
    with pytest.raises(AdvisorError, match=r"needs about .* more memory") as told:
        engine.tune(lessons(), FULL, folder=tmp_path / "full", seed=1)
    assert "weights.rows_at_once: 2, or weights.kind: lora" in told.value.fix
    assert not (tmp_path / "full").exists()


# ------------------------------------------------------------------ kinds of adapters


@pytest.mark.parametrize("variant", ["rslora", "dora"])
def test_a_variant_answers_as_it_was_tuned(engine, tmp_path, variant):
    spec = LORA.model_copy(update={"variant": variant})
    cost = engine.tune(lessons(), spec, folder=tmp_path / "a", seed=1)
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    assert config[f"use_{variant}"] is True
    tuned = engine.with_weights(tmp_path / "a")
    samples = [tuning.sample(tuned, one.prompt, one.completion) for one in lessons().dev]
    loss = tuning.training.dev_loss(tuned.weights.model, samples, batch_size=8)
    assert loss == pytest.approx(min(cost.dev_loss), abs=1e-3)


@pytest.mark.parametrize("spec", [LORA, FULL], ids=["lora", "full"])
def test_a_second_stage_goes_on_from_the_first(engine, tmp_path, spec):
    first = engine.tune(lessons(), spec, folder=tmp_path / "one", seed=1)
    still = spec.model_copy(update={"learning_rate": 1e-9, "epochs": 1.0})
    again = engine.tune(lessons(), still, folder=tmp_path / "two", seed=1, start=tmp_path / "one")
    assert again.dev_loss[-1] == pytest.approx(min(first.dev_loss), abs=1e-3)


# -------------------------------------------------------------------- pre-training


def test_pre_training_makes_the_corpus_likelier(engine, tmp_path):
    texts = tuple(Text(f"The {name} bridge was built of {name} and tar. " * 4) for name in NAMES)
    spec = LORA.model_copy(update={"pretrain": PretrainSpec(block_tokens=32)})
    cost = engine.tune(Course(texts, texts[:2]), spec, folder=tmp_path / "a", seed=1)
    assert cost.dev_loss[-1] < cost.train_loss[0]


def test_blocks_hold_every_token_of_the_corpus_but_a_short_rest(engine):
    texts = ["The elm bridge.", "The ash bridge is longer than the elm bridge. " * 5]
    blocks = list(tuning._blocks(engine, texts, 24))
    fed = sum(len(block.tokens) for block in blocks)
    whole = sum(len(engine.tokenize(text)) + 1 for text in texts)
    assert whole - 16 <= fed <= whole
    assert all(block.graded == len(block.tokens) - 1 for block in blocks)


# --------------------------------------------------------------------- preferences


def said(engine: Any, row: Any) -> float:
    """Log-probability of a row's graded tokens, by the plain model of transformers."""
    ids = torch.tensor([row.tokens])
    with torch.no_grad():
        logs = engine.weights.model(input_ids=ids).logits[0].float().log_softmax(-1)
    at = range(len(row.tokens) - row.graded, len(row.tokens))
    return sum(float(logs[i - 1, row.tokens[i]]) for i in at)


def loss_of(engine: Any, spec: PreferSpec) -> tuple[float, list[Any]]:
    goal, model = goals.Preference(spec), engine.weights.model
    items = [replace(tuning._compared(engine, one), lead=0.3 * n)
             for n, one in enumerate(pairs().train[:3])]
    hidden = layout.hidden(model, [one.tokens[:-1] for one in goal.rows(items)])
    return float(goal.loss(model, items, hidden)) / goal.count(items), items


def test_the_loss_of_dpo_is_that_of_its_paper(engine):
    found, items = loss_of(engine, PreferSpec(method="dpo", beta=0.5))
    ahead = [0.5 * (said(engine, one.chosen) - said(engine, one.rejected) - one.lead)
             for one in items]
    assert found == pytest.approx(sum(math.log1p(math.exp(-a)) for a in ahead) / 3, rel=1e-4)


def test_the_loss_of_simpo_is_that_of_its_paper_with_an_anchor(engine):
    spec = PreferSpec(method="simpo", beta=2.0, target_margin=0.7, anchor=0.25)
    found, items = loss_of(engine, spec)
    wanted = 0.0
    for one in items:
        mean, other = (said(engine, r) / r.graded for r in (one.chosen, one.rejected))
        wanted += math.log1p(math.exp(-(2.0 * (mean - other) - 0.7))) - 0.25 * mean
    assert found == pytest.approx(wanted / 3, rel=1e-4)


def test_the_lead_is_what_the_starting_model_says(engine):
    items = [tuning._compared(engine, one) for one in pairs().train]
    begun = goals.Preference(PreferSpec()).begun(engine.weights.model, items)
    leads = [said(engine, one.chosen) - said(engine, one.rejected) for one in items]
    assert [one.lead for one in begun] == pytest.approx(leads, abs=1e-3)


@pytest.mark.parametrize("method", ["dpo", "simpo"])
@pytest.mark.parametrize("spec", [LORA, FULL], ids=["lora", "full"])
def test_the_better_answer_gains_on_the_other(engine, tmp_path, method, spec):
    spec = spec.model_copy(update={"prefer": PreferSpec(method=method)})
    cost = engine.tune(pairs(), spec, folder=tmp_path / "a", seed=1)
    tuned = engine.with_weights(tmp_path / "a")
    lead = [said(one, pair.chosen) - said(one, pair.rejected)
            for one in (engine, tuned) for pair in [tuning._compared(one, pairs().train[0])]]
    assert lead[1] > lead[0]
    assert cost.dev_loss[-1] < cost.train_loss[0]


# ------------------------------------------------------- the stages, with a fake engine


@pytest.fixture
def task(tmp_path: Path) -> Task:
    return small_task(tmp_path / "tolls")


def made(text: str, task: Task, folder: Path, engine: Listening) -> Prepared:
    return prepare(recipe(text, folder), task.material, tools=Tools(engine, FakeEmbedder()),
                   workdir=folder / "work", seed=0)


def learnt(course: Course[Any]) -> list[tuple[str, str]]:
    return [(one.prompt[-1].content, one.completion) for one in course.train]


TAUGHT = "weights: {kind: lora, teacher: {recipe: {prompt: {shots: 2}}, labels: LABELS}}\n"


def test_a_student_learns_what_its_teacher_says_and_no_label(task, tmp_path):
    engine = Listening()
    one = made(TAUGHT.replace("LABELS", "teacher"), task, tmp_path, engine)
    [course] = engine.taught
    labels = {example.question.text: example.targets[0] for example in task.material.train}
    asked = learnt(course)
    assert [question for question, _ in asked] == list(labels)
    assert any(answer != labels[question] for question, answer in asked)
    assert one.found["teacher"]["asked"] == len(labels)
    assert one.cost.tokens_taught > 0


def test_a_student_may_learn_labels_as_well(task, tmp_path):
    engine = Listening()
    made(TAUGHT.replace("LABELS", "both"), task, tmp_path, engine)
    assert len(engine.taught[0].train) == 2 * len(task.material.train)


def test_a_teacher_answers_the_questions_without_labels(task, tmp_path):
    question = Question("u1", "What is the toll of the glass bridge?")
    task = replace(task, material=replace(task.material, unlabelled=(question,)))
    engine = Listening()
    made(TAUGHT.replace("LABELS", "teacher"), task, tmp_path, engine)
    assert [asked for asked, _ in learnt(engine.taught[0])] == [question.text]


def test_a_teacher_that_refuses_is_told(task, tmp_path, monkeypatch):
    def refuse(_: Composed, questions: Any, **__: Any) -> Any:
        for question in questions:
            yield Answer(question.id, "", Usage(1, 0, 0.0), failure="content filter")

    monkeypatch.setattr(Composed, "answer", refuse)
    with pytest.raises(AdvisorError, match="no answer to 12 of 12 questions: content filter"):
        made(TAUGHT.replace("LABELS", "teacher"), task, tmp_path, Listening())


def test_what_a_teacher_said_before_it_failed_is_not_asked_again(task, tmp_path):
    failing = Listening(patience=5)
    with pytest.raises(KeyboardInterrupt):
        made(TAUGHT.replace("LABELS", "teacher"), task, tmp_path, failing)
    [notes] = (tmp_path / "work").glob("taught-*.jsonl")
    with notes.open("a") as stream:
        stream.write('\n{"id": "q-ac')  # as a killed process leaves it
    engine = Listening()
    one = made(TAUGHT.replace("LABELS", "teacher"), task, tmp_path, engine)
    assert len(engine.asked) == len(task.material.train) - 5
    assert one.found["teacher"]["asked"] == len(task.material.train)
    (tmp_path / "new").mkdir()
    fresh = made(TAUGHT.replace("LABELS", "teacher"), task, tmp_path / "new", Listening())
    assert one.cost.tokens_taught == fresh.cost.tokens_taught


def test_another_teacher_is_asked_everything(task, tmp_path):
    made(TAUGHT.replace("LABELS", "teacher"), task, tmp_path, Listening())
    engine = Listening()
    other = TAUGHT.replace("LABELS", "teacher").replace("shots: 2", "shots: 3")
    made(other, task, tmp_path, engine)
    assert len(engine.asked) == len(task.material.train)


def test_the_floor_is_no_teacher(tmp_path):
    with pytest.raises(AdvisorError, match="the floor teaches nothing"):
        recipe("weights: {kind: lora, teacher: {recipe: {prompt: {kind: none}}}}\n", tmp_path)


READING = "retrieval: {kind: dense, top_k: 3}\nweights: {kind: lora, reads: READS}\n"


def test_what_is_learnt_without_passages_is_asked_with_them(task, tmp_path):
    engine = Listening()
    one = made(READING.replace("READS", "none"), task, tmp_path, engine)
    [course] = engine.taught
    assert not any("Passage" in lesson.prompt[-1].content for lesson in course.train)
    assert all("Passage" in lesson.prompt[-1].content for lesson in course.dev)
    list(one.system.answer([task.test[0].question]))
    assert "Passage" in "".join(map(chr, engine.asked[-1]))


def test_mixed_reading_puts_the_right_passage_at_any_place_and_leaves_some_out(task, tmp_path):
    engine = Listening()
    made(READING.replace("READS", "mixed"), task, tmp_path, engine)
    places = []
    for example, lesson in zip(task.material.train, engine.taught[0].train, strict=True):
        read = lesson.prompt[-1].content.split("Passage: ")[1:]
        assert len(read) == 3
        held = [n for n, text in enumerate(read) if example.targets[0] in text]
        places += held or [-1]
    assert -1 in places
    assert len(set(places)) >= 3


def test_mixed_reading_needs_something_to_read(tmp_path):
    with pytest.raises(AdvisorError, match="needs a recipe that retrieves"):
        recipe("weights: {kind: lora, reads: mixed}\n", tmp_path)


def test_pre_training_comes_first_and_the_train_rows_go_on_from_it(task, tmp_path):
    engine = Listening()
    made("weights: {kind: full, pretrain: {epochs: 1}}\n", task, tmp_path, engine)
    first, second = engine.taught
    assert {type(item) for item in first.train} == {Text}
    assert len(first.train) == len(task.material.corpus)
    assert {type(item) for item in second.train} == {Lesson}


def test_pre_training_needs_a_corpus(task):
    bare = replace(task.material, corpus=())
    assert "no corpus" in fits(shipped("dapt-lora"), bare)


def test_pairs_are_made_from_what_the_tuned_model_gets_wrong(task, tmp_path):
    class Wrong(Listening):
        def generate(self, prompts: Any, **more: Any) -> Any:
            for index, one in FakeEngine.generate(self, prompts, **more):
                yield index, replace(one, text="1 pence") if self.learnt else one

    engine = Wrong()
    one = made("weights: {kind: lora, prefer: {draws: 1}}\n", task, tmp_path, engine)
    _, course = engine.taught
    both = [*course.train, *course.dev]
    assert {pair.rejected for pair in both} == {"1 pence"}
    assert {pair.chosen for pair in both} == {e.targets[0] for e in task.material.train}
    assert one.found["prefer"]["from"] == "answers drawn on train"


@pytest.mark.parametrize("better", [True, False])
def test_preferences_are_kept_only_where_dev_is_answered_better(task, tmp_path, better):
    class Judged(Listening):
        """Answers dev rightly after preferences, or before them."""

        def generate(self, prompts: Any, **more: Any) -> Any:
            right = {e.question.text: e.targets[0] for e in task.material.dev}
            after = any(said == "preferred" for _, said in self.learnt)
            for index, one in FakeEngine.generate(self, prompts, **more):
                asked = "".join(map(chr, prompts[index])).split("<user>")[-1].split("</user>")[0]
                yield index, replace(one, text=right.get(asked, "") if after == better else "1")

    own = tuple(Preference(e.question, "preferred", "none") for e in task.material.train[:4])
    material = replace(task.material, preferences=own)
    one = made("weights: {kind: lora, prefer: {}}\n", replace(task, material=material), tmp_path,
               Judged())
    found = one.found["prefer"]
    assert (found["without"], found["with"]) == ((0.0, 1.0) if better else (1.0, 0.0))
    assert found["kept"] is better
    assert isinstance(one.system, Composed)
    assert one.system.tuned == tmp_path / "work" / ("preferred" if better else "tuned")
    assert ("then DPO" in one.recipe.axes["weights"]) is better


def test_a_model_without_mistakes_has_nothing_to_prefer(task, tmp_path):
    with pytest.raises(AdvisorError, match="found 0 pairs"):
        made("weights: {kind: lora, prefer: {}}\n", task, tmp_path, Listening())


def test_pairs_of_the_task_come_before_made_ones(task, tmp_path):
    own = tuple(Preference(e.question, e.targets[0], "none") for e in task.material.train[:4])
    task = replace(task, material=replace(task.material, preferences=own))
    engine = Listening()
    made("weights: {kind: lora, prefer: {}}\n", task, tmp_path, engine)
    course = engine.taught[1]
    assert {pair.rejected for pair in (*course.train, *course.dev)} == {"none"}


def test_a_search_tunes_each_candidate_on_a_part_and_keeps_the_best(task, tmp_path):
    class Losing(Listening):
        def tune(self, course: Any, spec: Any, **more: Any) -> Any:
            cost = Listening.tune(self, course, spec, **more)
            return replace(cost, dev_loss=(abs(spec.learning_rate - 1e-3),))

    engine = Losing()
    text = "weights: {kind: lora, tune: {learning_rate: [1.0e-2, 1.0e-3], share: 0.5}}\n"
    one = made(text, task, tmp_path, engine)
    assert [len(course.train) for course in engine.taught] == [8, 8, 12]
    assert one.recipe.weights.learning_rate == 1e-3
    assert one.recipe.weights.tune is None
    assert len(one.found["tuning"]["tried"]) == 2


@pytest.mark.parametrize("name", ["full", "lora-dora", "lora-rslora", "distilled", "dapt-lora"])
def test_what_was_tuned_is_saved_and_opened_again(task, tmp_path, name):
    tools = Tools(Listening(), FakeEmbedder())
    one = prepare(shipped(name), task.material, tools=tools, workdir=tmp_path / "work", seed=0)
    (tmp_path / "system").mkdir()
    one.system.save(tmp_path / "system")
    again, _ = reopen(tmp_path / "system", tools)
    asked = [example.question for example in task.test[:3]]
    assert [a.text for a in again.answer(asked)] == [a.text for a in one.system.answer(asked)]


def test_settings_that_came_later_leave_older_recipes_their_identity():
    plain = Recipe.model_validate({"weights": {"kind": "lora"}})
    kept = plain.model_dump(mode="json")["weights"]
    assert not {"reads", "pretrain", "teacher", "prefer", "tune", "variant"} & kept.keys()


# ------------------------------------------------------------- beside a task's splits


def faults(folder: Path) -> str:
    with pytest.raises(Faults) as told:
        load_task(folder)
    return str(told.value)


def test_rows_beside_the_splits_are_read_and_are_part_of_the_material(tmp_path):
    folder = task_folder(tmp_path / "tolls")
    before = load_task(folder).material
    write_rows(folder / "unlabelled.jsonl", [{"text": "What of the glass bridge?"}])
    write_rows(folder / "preferences.jsonl", [
        {"prompt": [{"role": "user", "content": "The glass bridge?"}],
         "chosen": [{"role": "assistant", "content": "7 pence"}], "rejected": "who knows"}])
    material = load_task(folder).material
    assert material.unlabelled[0] == Question("unlabelled:1", "What of the glass bridge?")
    assert material.preferences[0].question.text == "The glass bridge?"
    assert material.preferences[0].chosen == "7 pence"
    assert material.digest != before.digest


@pytest.mark.parametrize(("raw", "problem"), [
    ({"prompt": "x", "chosen": "a"}, "missing key 'rejected'"),
    ({"prompt": "x", "chosen": "a", "rejected": "a"}, "the same text: that is no pair"),
    ({"prompt": "x", "chosen": "a", "rejected": ["b"]}, "rejected must be text, found a list"),
    ({"prompt": "x", "chosen": "a", "rejected": "b", "rejcted": "c"}, "unknown key 'rejcted'"),
])
def test_a_row_without_a_pair_is_told_with_its_line(tmp_path, raw, problem):
    folder = task_folder(tmp_path / "tolls")
    write_rows(folder / "preferences.jsonl", [{"prompt": "p", "chosen": "a", "rejected": "b"}, raw])
    found = faults(folder)
    assert "preferences.jsonl:2" in found
    assert problem in found


@pytest.mark.parametrize("name", ["unlabelled", "preferences"])
def test_what_is_asked_at_the_end_cannot_be_learnt_from(tmp_path, name):
    folder = task_folder(tmp_path / "tolls")
    text = row(TEST[0])["text"].upper()
    raw = {"text": text} if name == "unlabelled" else \
        {"prompt": text, "chosen": "a", "rejected": "b"}
    write_rows(folder / f"{name}.jsonl", [raw])
    assert f"asks the same as test row 'q-{TEST[0]}'" in faults(folder)


# ------------------------------------------------------------- tuned once for several


def kept_run(text: str, task: Task, folder: Path, engine: Listening) -> Prepared:
    return prepare(recipe(text, folder), task.material, tools=Tools(engine, FakeEmbedder()),
                   workdir=folder / "work", seed=0, kept=Kept(folder / "tuned"))


def test_what_differs_in_the_prompt_only_is_tuned_apart_and_the_same_once(task, tmp_path):
    engine = Listening()
    first = kept_run("weights: {kind: lora}\n", task, tmp_path, engine)
    again = kept_run("weights: {kind: lora, prefer: {}}\n", replace(task, material=replace(
        task.material, preferences=(Preference(Question("p", "x"), "a", "b"),) * 2
        + (Preference(Question("q", "y"), "c", "d"),))), tmp_path, engine)
    kept_run("prompt: {instruction: brief}\nweights: {kind: lora}\n", task, tmp_path, engine)
    kinds = [type(course.train[0]).__name__ for course in engine.taught]
    assert kinds == ["Lesson", "Pair", "Lesson"]
    assert again.cost.earlier_seconds == first.cost.seconds


def test_two_ways_of_preferring_draw_and_ask_the_weights_they_start_from_once(task, tmp_path):
    class Wrong(Listening):
        def generate(self, prompts: Any, **more: Any) -> Any:
            for index, one in FakeEngine.generate(self, prompts, **more):
                self.asked.append(prompts[index])
                yield index, replace(one, text="1 pence")

    engine, asked = Wrong(), []
    for method in ("dpo", "simpo"):
        before = len(engine.asked)
        text = f"weights: {{kind: lora, prefer: {{method: {method}, draws: 1}}}}\n"
        last = kept_run(text, task, tmp_path, engine)
        asked.append(len(engine.asked) - before)
    train, dev = len(task.material.train), len(task.material.dev)
    assert asked == [train + 2 * dev, dev]
    assert 0 < last.cost.earlier_seconds < last.cost.seconds


def test_texts_are_embedded_once_for_all_contenders_that_need_them(task, tmp_path):
    class Counting(FakeEmbedder):
        def embed(self, texts: Any) -> Any:
            asked.append(len(texts))
            return super().embed(texts)

    asked: list[int] = []
    text = "prompt: {shots: 2, select: SELECT}\n"
    for select in ("nearest", "diverse"):
        made = prepare(
            recipe(text.replace("SELECT", select), tmp_path), task.material,
            tools=Tools(Listening(), Counting()), workdir=tmp_path / "work", seed=0,
            kept=Kept(tmp_path / "tuned"))
    assert asked == [len(task.material.train)]
    assert made.cost.earlier_seconds > 0
    [path] = (tmp_path / "tuned").glob("*.npy")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    vectors, seconds = Kept(tmp_path / "tuned").vectors(
        Counting(), [example.question.text for example in task.material.train])
    assert asked == [len(task.material.train)] * 2
    assert seconds == 0
    assert len(vectors) == len(task.material.train)


def test_questions_are_embedded_once_for_preparing_and_anew_for_answering(task, tmp_path):
    class Counting(FakeEmbedder):
        def embed(self, texts: Any) -> Any:
            asked.append(tuple(texts))
            return super().embed(texts)

    asked: list[tuple[str, ...]] = []
    reading = "prompt: {shots: 2}\nretrieval: {kind: dense, top_k: 2}\n"
    for text in (reading, f"{reading}weights: {{kind: lora}}\n"):
        made = prepare(recipe(text, tmp_path), task.material,
                       tools=Tools(Listening(), Counting()), workdir=tmp_path / "work", seed=0,
                       kept=Kept(tmp_path / "tuned"))
    assert max(Counter(asked).values()) == 1
    train, dev = (tuple(example.question.text for example in rows)
                  for rows in (task.material.train, task.material.dev))
    assert {train, dev} <= set(asked)
    asked.clear()
    question = task.material.dev[0].question
    for _ in range(2):
        list(made.system.answer([question]))
    shots, alone = asked[0], (question.text,)
    assert len(shots) == 2
    assert asked == [shots, alone, alone]


def test_kept_weights_that_were_changed_are_tuned_again(task, tmp_path):
    engine = Listening()
    kept_run("weights: {kind: lora}\n", task, tmp_path, engine)
    [file] = (tmp_path / "tuned").glob("*/weights/*")
    file.write_text(file.read_text().replace("pence", "pounds"))
    again = kept_run("weights: {kind: lora}\n", task, tmp_path, engine)
    assert len(engine.taught) == 2
    [answer] = again.system.answer([task.material.train[0].question])
    assert "pence" in answer.text
