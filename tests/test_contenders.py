"""The contract that every file of baselines/ keeps, whatever it combines."""

from __future__ import annotations

import json
import pickle
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from material import (
    BASELINES,
    TEST,
    Listening,
    recipe,
    shipped,
    small_task,
    suited,
    tuned,
    without_time,
)

from advisor.config import Recipe, RetrievalSpec, TunedWeights
from advisor.contenders.composed import Tools
from advisor.contenders.floor import floor
from advisor.contenders.passages import cut
from advisor.contenders.prompt import (
    FixedShots,
    NearestShots,
    Passage,
    Shot,
    compose,
    fit,
    fixed_shots,
)
from advisor.contenders.recipe import Prepared, fits, prepare, reopen
from advisor.contenders.retrieval import build, load
from advisor.contenders.tuning.lessons import course
from advisor.core import Answer, Document, Example, Material, Preference, Question, System, Task
from advisor.data.digest import digest
from advisor.engines.embedders import FakeEmbedder
from advisor.engines.fake import FakeEngine
from advisor.engines.protocol import Course, Lesson, Local, Message
from advisor.engines.rerankers import FakeReranker
from advisor.errors import AdvisorError
from advisor.runner.plan import recipe_digest
from advisor.ship.bundle import ALLOWED, digests

DENSE = RetrievalSpec(kind="dense")
TUNED = [name for name in BASELINES if tuned(name)]
# Those that learn the labels of train, and those that learn them as they will be asked.
LABELLED = [name for name in TUNED if not getattr(shipped(name).weights, "teacher", None)]
AS_ASKED = [name for name in TUNED if getattr(shipped(name).weights, "reads", "") == "found"]
READING = [name for name in BASELINES if shipped(name).retrieval.kind != "none"]


@pytest.fixture(scope="module")
def tolls(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


@pytest.fixture
def task(request: pytest.FixtureRequest, tolls: Task) -> Task:
    """The small task, its answers in the form that the contender is held to."""
    named = getattr(request.node, "callspec", None)
    name = named.params.get("name") if named else None
    if not name:
        return tolls
    weights = shipped(name).weights
    if isinstance(weights, TunedWeights) and weights.prefer:
        # The fake engine makes no mistakes that pairs could be made from.
        pairs = tuple(Preference(one.question, one.targets[0], "nothing")
                      for one in tolls.material.train)
        tolls = replace(tolls, material=replace(tolls.material, preferences=pairs))
    return suited(tolls, shipped(name).decoding.kind)


@pytest.fixture
def questions(task: Task) -> list[Question]:
    return [example.question for example in task.test]


@pytest.fixture(params=BASELINES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tools(engine: FakeEngine | None = None) -> Tools:
    speaker = Local(engine or FakeEngine())
    return Tools(speaker.engine, FakeEmbedder(), {"local": speaker}, lambda _: FakeReranker())


def made(
    what: Recipe, task: Task, folder: Path, *, engine: FakeEngine | None = None, seed: int = 0
) -> Prepared:
    return prepare(what, task.material, tools=tools(engine), workdir=folder / "work", seed=seed)


def rows_taught(engine: Listening) -> Course[Lesson]:
    """The course of the train rows; other stages may stand before and after it."""
    return [one for one in engine.taught if isinstance(one.train[0], Lesson)][-1]


def saved(system: System, folder: Path) -> Path:
    folder.mkdir(parents=True)
    system.save(folder)
    return folder


def by_id(answers: Iterable[Answer]) -> dict[str, Answer]:
    return {answer.question_id: without_time(answer) for answer in answers}


# ------------------------------------------------------------------ every contender


def test_a_recipe_loads_and_names_its_four_choices(name):
    assert list(shipped(name).axes) == ["prompt", "retrieval", "weights", "decoding"]


def test_every_question_gets_exactly_one_answer_that_names_it(name, task, questions, tmp_path):
    answers = list(made(shipped(name), task, tmp_path).system.answer(questions))
    assert sorted(a.question_id for a in answers) == sorted(q.id for q in questions)
    assert all(answer.text and not answer.failure for answer in answers)


def test_no_questions_get_no_answers(name, task, tmp_path):
    assert list(made(shipped(name), task, tmp_path).system.answer([])) == []


def test_an_answer_does_not_depend_on_the_other_questions(name, task, questions, tmp_path):
    system = made(shipped(name), task, tmp_path).system
    together = by_id(system.answer(questions))
    shuffled = random.Random(3).sample(questions, len(questions))
    assert by_id(system.answer(shuffled)) == together
    assert {k: v for q in questions for k, v in by_id(system.answer([q])).items()} == together


def test_the_material_is_left_as_it_was(name, task, questions, tmp_path):
    before = pickle.dumps(task.material), digest(task.material)
    list(made(shipped(name), task, tmp_path).system.answer(questions))
    assert (pickle.dumps(task.material), digest(task.material)) == before


def test_a_saved_system_answers_the_same_in_a_new_object(name, task, questions, tmp_path):
    system = made(shipped(name), task, tmp_path).system
    again, _ = reopen(saved(system, tmp_path / "system"), tools())
    assert again is not system
    assert by_id(again.answer(questions)) == by_id(system.answer(questions))


def test_a_reopened_system_saves_the_same_bytes(name, task, tmp_path):
    folder = saved(made(shipped(name), task, tmp_path).system, tmp_path / "one")
    again, _ = reopen(folder, tools())
    assert digests(saved(again, tmp_path / "two")) == digests(folder)


def test_a_saved_system_is_plain_data(name, task, tmp_path):
    folder = saved(made(shipped(name), task, tmp_path).system, tmp_path / "system")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    assert {path.suffix for path in files} <= set(ALLOWED)
    for path in folder.rglob("*.npy"):
        np.load(path, allow_pickle=False)


def test_the_same_seed_saves_the_same_bytes(name, task, tmp_path):
    one, two = (saved(made(shipped(name), task, tmp_path / side).system, tmp_path / side / "s")
                for side in ("one", "two"))
    assert digests(one) == digests(two)


# Line separators that end no line of JSONL, and half a surrogate pair.
@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0c", "\ud800"], ids=ascii)
def test_odd_characters_survive_saving(name, odd, task, tmp_path):
    text = f"odd{odd}text"
    train = tuple(Example(Question(f"q{n}", text), (text,), str(n)) for n in range(8))
    page = Document("odd.md", f"| {text} |", title=text)
    material = replace(task.material, train=train, corpus=(page, *task.material.corpus))
    changed = suited(replace(task, material=material), shipped(name).decoding.kind)
    train = changed.material.train
    system = made(shipped(name), changed, tmp_path).system
    again, _ = reopen(saved(system, tmp_path / "system"), tools())
    assert by_id(again.answer([train[0].question])) == by_id(system.answer([train[0].question]))


def test_the_digest_of_a_recipe_is_its_content(name, tmp_path):
    copy = recipe(BASELINES[name].read_text(encoding="utf-8"), tmp_path)
    assert recipe_digest(copy) == recipe_digest(shipped(name))


def test_no_two_recipes_share_a_digest():
    assert len({recipe_digest(shipped(name)) for name in BASELINES}) == len(BASELINES)


def test_nothing_answers_differently_for_having_been_asked_before(
    name, task, questions, tmp_path
):
    system = made(shipped(name), task, tmp_path).system
    assert by_id(system.answer(questions)) == by_id(system.answer(questions))


# ------------------------------------------------------------------ those that read


@pytest.mark.parametrize("name", READING)
def test_a_reading_contender_cites_documents_and_shows_its_passages(
    name, task, questions, tmp_path
):
    texts = {document.id: document.text for document in task.material.corpus}
    for answer in made(shipped(name), task, tmp_path).system.answer(questions):
        assert answer.passages
        assert set(answer.sources) <= set(texts)
        # One that must cite names those it cites; what it read is of the corpus all the same.
        read = texts if shipped(name).retrieval.cite else answer.sources
        cited = "".join(texts[one] for one in read)
        lines = [line for passage in answer.passages for line in passage.split("\n")[1:]]
        assert all(line in cited for line in lines)


def test_rag_finds_the_document_that_answers(task, questions, tmp_path):
    answers = by_id(made(shipped("rag"), task, tmp_path).system.answer(questions))
    for example in task.test:
        assert answers[example.question.id].sources[0] == example.sources[0]
        assert example.targets[0] in answers[example.question.id].passages[0]


def test_a_shot_of_a_reading_contender_is_shown_with_its_own_passages(task, questions, tmp_path):
    engine = Listening()
    text = "prompt: {shots: 2}\nretrieval: {kind: dense, top_k: 1}\n"
    list(made(recipe(text, tmp_path), task, tmp_path, engine=engine).system.answer(questions))
    for prompt in engine.asked:
        said = "".join(map(chr, prompt))
        shown = r"<user>Passage: The (\w+) bridge\n.*?the toll of the (\w+) bridge\?"
        asked = re.findall(shown, said, re.S)
        assert len(asked) == 3
        assert all(read == wanted for read, wanted in asked)


@pytest.mark.parametrize("select", ["fixed", "nearest"])
def test_a_shot_whose_passages_lack_its_answer_is_not_shown(select, task, questions, tmp_path):
    unanswered = {example.question.id for example in task.material.train[::2]}
    train = tuple(replace(example, targets=("no idea",)) if example.question.id in unanswered
                  else example for example in task.material.train)
    changed = replace(task, material=replace(task.material, train=train))
    engine = Listening()
    text = f"prompt: {{shots: 3, select: {select}}}\nretrieval: {{kind: dense, top_k: 1}}\n"
    list(made(recipe(text, tmp_path), changed, tmp_path, engine=engine).system.answer(questions))
    for prompt in engine.asked:
        said = "".join(map(chr, prompt))
        assert said.count("<assistant>") == 3
        assert "<assistant>no idea<" not in said


@pytest.mark.parametrize("name", READING)
def test_without_a_corpus_a_reading_contender_does_not_fit(name, task, tmp_path):
    bare = replace(task, material=replace(task.material, corpus=()))
    assert fits(shipped(name), bare.material) == "the task has no corpus to retrieve from"
    with pytest.raises(AdvisorError, match="no corpus"):
        made(shipped(name), bare, tmp_path)


# ------------------------------------------------------------------ those that learn


@pytest.mark.parametrize("name", AS_ASKED)
def test_what_is_asked_at_the_end_is_what_was_taught(name, task, tmp_path):
    engine = Listening()
    system = made(shipped(name), task, tmp_path, engine=engine).system
    list(system.answer([example.question for example in task.material.train]))
    taught = rows_taught(engine).train
    assert [engine.encode(one.prompt) for one in taught] == engine.asked[-len(taught):]


@pytest.mark.parametrize("name", LABELLED)
def test_lessons_teach_the_first_target_of_train_and_dev(name, task, tmp_path):
    engine = Listening()
    made(shipped(name), task, tmp_path, engine=engine)
    taught = rows_taught(engine)
    for lessons, rows in ((taught.train, task.material.train), (taught.dev, task.material.dev)):
        assert [lesson.completion for lesson in lessons] == [row.targets[0] for row in rows]


@pytest.mark.parametrize("name", TUNED)
def test_tuning_changes_the_digest_of_the_engine(name, task, tmp_path):
    prepared = made(shipped(name), task, tmp_path)
    assert prepared.engine is not None
    assert prepared.engine.digest != FakeEngine().digest


@pytest.mark.parametrize("name", sorted({*LABELLED} & {*AS_ASKED}))
def test_a_tuned_contender_says_what_it_was_taught(name, task, tmp_path):
    rows = task.material.train
    said = by_id(made(shipped(name), task, tmp_path).system.answer([e.question for e in rows]))
    assert [said[e.question.id].text for e in rows] == [e.targets[0] for e in rows]


@pytest.mark.parametrize("select", ["fixed", "nearest"])
def test_a_lesson_never_shows_its_own_answer_as_an_example(select, task, tmp_path):
    text = f"prompt: {{shots: 6, select: {select}}}\nweights: {{kind: lora}}\n"
    engine = Listening()
    made(recipe(text, tmp_path), task, tmp_path, engine=engine)
    for lesson in (*engine.taught[0].train, *engine.taught[0].dev):
        *shown, asked = (message.content for message in lesson.prompt)
        assert asked not in shown


def test_a_brief_instruction_is_both_taught_and_asked(task, questions, tmp_path):
    text = "prompt: {instruction: brief}\nweights: {kind: lora}\n"
    engine = Listening()
    list(made(recipe(text, tmp_path), task, tmp_path, engine=engine).system.answer(questions))
    system = Message("system", task.material.brief)
    assert {lesson.prompt[0] for lesson in engine.taught[0].train} == {system}
    start = engine.encode([system])
    assert all(prompt[: len(start)] == start for prompt in engine.asked)


@pytest.mark.parametrize("split", ["train", "dev"])
def test_tuning_without_rows_to_learn_from_says_so(split, task, tmp_path):
    bare = replace(task, material=replace(task.material, **{split: ()}))
    with pytest.raises(AdvisorError, match="rows in train and in dev"):
        made(shipped("lora"), bare, tmp_path)


# ------------------------------------------------------------------ out of reach


def test_no_test_row_can_be_reached_from_the_material(task):
    def ask(questions: Sequence[Question]) -> list[tuple[Message, ...]]:
        return [compose(task.material.instruction, question) for question in questions]

    reachable = (task.material, course(task.material, ask))
    dump = pickle.dumps(reachable) + repr(reachable).encode()
    for example in task.test:
        assert example.question.text.encode() not in dump
        assert example.question.id.encode() not in dump
    assert not any("test" in field for field in Material.__dataclass_fields__)


@pytest.mark.parametrize("name", TUNED)
def test_no_test_question_is_taught(name, task, tmp_path):
    engine = Listening()
    made(shipped(name), task, tmp_path, engine=engine)
    taught = repr(engine.taught)
    assert not any(f"the toll of the {bridge} bridge?" in taught for bridge in TEST)


# ------------------------------------------------------------------ the prompt


def test_choices_are_lettered():
    asked = Question("q", "Which?", ("yes", "no"))
    assert compose("I", asked)[-1].content == "Which?\nA) yes\nB) no"


def test_every_choice_is_shown_however_many_there_are():
    choices = tuple(f"option-{number}" for number in range(30))
    text = compose("I", Question("q", "Which?", choices))[-1].content
    assert [choice for choice in choices if f"{choice}\n" not in f"{text}\n"] == []


def test_shots_are_turns_and_passages_stand_before_the_question():
    shot = Shot(Example(Question("s", "1+1?"), ("2", "two"), "s"))
    messages = compose("I", Question("q", "2+2?"), shots=[shot], passages=[Passage("d", "Sums.")])
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert [message.content for message in messages[1:]] == ["1+1?", "2",
                                                             "Passage: Sums.\n\n"
                                                             "Question: 2+2?\nAnswer:"]


def test_the_most_similar_example_stands_last(task):
    train = task.material.train
    vectors = FakeEmbedder().embed([example.question.text for example in train])
    shots = NearestShots(train, vectors, FakeEmbedder(), 3)
    asked = [Question("other", example.question.text) for example in train]
    for example, chosen in zip(train, shots.choose(asked), strict=True):
        assert len(chosen) == 3
        assert chosen[-1] == example


def test_fixed_examples_come_from_as_many_groups_as_there_are(task):
    rows = [replace(e, group="same" if i < 9 else e.group)
            for i, e in enumerate(task.material.train)]
    for seed in range(5):
        assert len({shot.group for shot in fixed_shots(rows, 4, seed=seed).examples}) == 4


def test_the_seed_alone_chooses_the_fixed_examples(task):
    drawn = [fixed_shots(task.material.train, 6, seed=seed).examples for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_more_shots_than_rows_is_a_fault_of_the_recipe(task, tmp_path):
    with pytest.raises(AdvisorError, match=r"prompt\.shots is 99, but train has 12 rows"):
        made(recipe("prompt: {shots: 99}", tmp_path), task, tmp_path)


# ------------------------------------------------------------------ what does not fit


EXAMPLES = tuple(Example(Question(one, f"{one}?"), ("yes",), one) for one in ("far", "near"))
SHOTS = tuple(map(Shot, EXAMPLES))
PASSAGES = (Passage("best.md", "Best."), Passage("worst.md", "Worst."))
ASKED = Question("q", "Why?")


def fitted(*, shots: int, passages: int, short: int) -> tuple[str, ...]:
    """What is dropped with room for that many of the shots and passages, less `short`."""
    engine = FakeEngine()
    kept = compose("I", ASKED, shots=SHOTS[len(SHOTS) - shots:], passages=PASSAGES[:passages])
    room = len(engine.encode(kept)) - short
    return fit(Local(engine), "I", ASKED, around=(SHOTS, PASSAGES), room=room).dropped


def test_what_fits_is_left_whole():
    assert fitted(shots=2, passages=2, short=0) == ()


def test_the_farthest_shot_is_dropped_first():
    assert fitted(shots=2, passages=2, short=1) == ("shot far",)


def test_then_the_last_passage_is_dropped():
    everything = ("shot far", "shot near", "passage of worst.md", "passage of best.md")
    assert fitted(shots=0, passages=2, short=0) == everything[:2]
    assert fitted(shots=0, passages=2, short=1) == everything[:3]
    assert fitted(shots=0, passages=0, short=0) == everything


def test_a_bare_question_that_does_not_fit_has_no_tokens():
    prompt = fit(Local(FakeEngine()), "I", ASKED, around=(SHOTS, PASSAGES), room=5)
    assert not prompt.fits
    assert len(prompt.dropped) == 4


@pytest.mark.parametrize("name", ["few-shot", "nearest-shot", "rag"])
def test_an_answer_says_what_its_prompt_left_out(name, task, questions, tmp_path):
    engine = FakeEngine(context_length=230)
    answers = list(made(shipped(name), task, tmp_path, engine=engine).system.answer(questions))
    assert all(answer.text and answer.dropped for answer in answers)
    assert all(dropped.startswith(("shot q-", "passage of "))
               for answer in answers for dropped in answer.dropped)


ASKED_ONLY = [name for name in BASELINES if name not in (*TUNED, "floor", "whole-corpus")]


@pytest.mark.parametrize("name", ASKED_ONLY)
def test_a_question_too_long_for_the_model_fails_and_is_not_answered(name, task, tmp_path):
    system = made(shipped(name), task, tmp_path, engine=FakeEngine(context_length=500)).system
    long = Question("long", "word " * 100)
    answers = by_id(system.answer([long, task.test[0].question]))
    assert "prompt too long" in answers["long"].failure
    assert answers["long"].text == ""
    assert answers[task.test[0].question.id].failure == ""


# ------------------------------------------------------------------ the floor


def rows(*targets: str) -> list[Example]:
    return [Example(Question(str(i), "?"), (one,), str(i)) for i, one in enumerate(targets)]


def test_the_floor_is_the_most_frequent_answer_and_the_earlier_among_equals():
    assert floor(rows("b", "a", "a")).majority == "a"
    assert floor(rows("b", "a", "a", "b")).majority == "b"


def test_the_floor_of_objects_is_the_majority_of_each_field():
    objects = [{"a": 1, "in": {"b": "x"}}, {"a": 2, "in": {"b": "x"}}, {"a": 2, "in": {"b": "y"}}]
    majority = json.loads(floor(rows(*map(json.dumps, objects))).majority)
    assert majority == {"a": 2, "in": {"b": "x"}}
    assert majority not in objects[:1]


def test_the_floor_takes_the_first_choice_unless_the_majority_is_one():
    yes = floor(rows("yes"))
    asked = [Question("1", "?", ("no", "yes")), Question("2", "?", ("red", "blue"))]
    assert [answer.text for answer in yes.answer(asked)] == ["yes", "red"]


# ------------------------------------------------------------------ passages


TABLE = "| Bridge | Toll |\n| --- | --- |\n" + "\n".join(f"| b{i} | {i} |" for i in range(30))
GUIDE = Document("guide.md", f"""\
Read this first. It is short.

# Tolls

They vary. Ask at the gate. {"Pay at once, please. " * 12}

{TABLE}

## Fines

- late: 3
- never: 9
""", title="Guide")


def bodies(words: int) -> list[tuple[str, str]]:
    pairs = [passage.text.split("\n", 1) for passage in cut(GUIDE, words)]
    return [(label, body) for label, body in pairs]


def test_every_passage_starts_with_the_title_and_its_section():
    assert list(dict.fromkeys(label for label, _ in bodies(20))) == [
        "Guide", "Guide - Tolls", "Guide - Fines"
    ]


def test_sections_are_never_mixed():
    assert [label for label, _ in bodies(10_000)] == ["Guide", "Guide - Tolls", "Guide - Fines"]
    assert all(("late" in body) == (label == "Guide - Fines") for label, body in bodies(10_000))


def test_a_table_is_kept_whole_however_long():
    assert [body for _, body in bodies(20) if "|" in body] == [TABLE]


def test_a_table_right_below_its_caption_is_kept_whole():
    document = Document("d.md", f"Tolls of 2026. All of them:\n{TABLE}")
    assert any(TABLE in passage.text for passage in cut(document, 20))


def test_passages_hold_at_most_so_many_words_and_lose_none():
    pieces = [body for _, body in bodies(20)]
    assert all(len(body.split()) <= 20 for body in pieces if "|" not in body)
    said = [word for line in GUIDE.text.splitlines() if line[:1] != "#" for word in line.split()]
    assert [word for body in pieces for word in body.split()] == said


def test_a_search_puts_the_right_document_first(task):
    index = build(task.material.corpus, DENSE, embedder=FakeEmbedder())
    found = index.search([example.question.text for example in task.test], 3)
    assert [hits[0].document for hits in found] == [e.sources[0] for e in task.test]
    assert all(len(hits) == 3 for hits in found)


def test_a_search_for_more_than_there_is_returns_all_there_is(task):
    index = build(task.material.corpus[:2], DENSE, embedder=FakeEmbedder())
    assert [len(hits) for hits in index.search(["toll"], 50)] == [len(index.passages)]


def test_an_index_is_the_same_after_saving(task, tmp_path):
    index = build(task.material.corpus, DENSE, embedder=FakeEmbedder())
    index.save(tmp_path / "index")
    again = load(tmp_path / "index", DENSE, embedder=FakeEmbedder())
    assert again.passages == index.passages
    assert np.array_equal(again.vectors, index.vectors)
    texts = [example.question.text for example in task.test]
    assert again.search(texts, 2) == index.search(texts, 2)


def test_fixed_shots_are_the_same_for_every_question():
    assert FixedShots(EXAMPLES).choose([ASKED, ASKED]) == [EXAMPLES, EXAMPLES]
