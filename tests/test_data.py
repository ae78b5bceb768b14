"""Reading a task: what is accepted, and that every fault is told with its place."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from material import write_task

from advisor.core import Document, ScorerSpec, Task
from advisor.data.digest import digest
from advisor.data.rows import read_rows
from advisor.data.task import load_task
from advisor.errors import AdvisorError, Faults

TASK = """
name: tiny
title: A tiny task
instruction: Answer.
scorer: {kind: exact}
primary: exact
context: {calls_per_month: 1000}
"""


def row(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "text": f"What is {name}?", "targets": [name.upper()], **more}


def write(path: Path, rows: list[Any]) -> None:
    lines = (text if isinstance(text, str) else json.dumps(text) for text in rows)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "task.yaml").write_text(TASK, encoding="utf-8")
    write(folder / "train.jsonl", [row("a"), row("b")])
    write(folder / "dev.jsonl", [row("c")])
    write(folder / "test.jsonl", [row("d"), row("e"), row("f")])
    return folder


def use_scorer(folder: Path, scorer: str, primary: str = "exact") -> None:
    text = TASK.replace("{kind: exact}", scorer).replace("primary: exact", f"primary: {primary}")
    (folder / "task.yaml").write_text(text, encoding="utf-8")


def faults(folder: Path) -> list[str]:
    with pytest.raises(Faults) as caught:
        load_task(folder)
    return list(caught.value.faults)


# ------------------------------------------------------------------ what is read


def test_a_task_is_read_with_its_splits_in_file_order(folder: Path) -> None:
    task = load_task(folder)
    assert [example.question.id for example in task.test] == ["d", "e", "f"]
    assert [example.question.id for example in task.material.train] == ["a", "b"]
    assert task.test[0].targets == ("D",)
    assert task.context.calls_per_month == 1000


def test_a_row_without_a_group_is_a_group_of_its_own(folder: Path) -> None:
    assert load_task(folder).test[0].group == "d"


def test_a_limit_keeps_the_first_test_rows_and_the_digest_of_the_material(folder: Path) -> None:
    whole, part = load_task(folder), load_task(folder, limit=2)
    assert [example.question.id for example in part.test] == ["d", "e"]
    assert part.material.digest == whole.material.digest
    assert part.digest != whole.digest


def test_a_limit_below_one_is_refused(folder: Path) -> None:
    with pytest.raises(AdvisorError, match="limit: expected at least 1 test row, found 0"):
        load_task(folder, limit=0)


ALIASES = [
    ({"prompt": "2 and 2?", "completion": "4"}, "prompt -> text, completion -> target"),
    ({"input": "2 and 2?", "output": "4"}, "input -> text, output -> target"),
    ({"question": "2 and 2?", "answer": ["4", "four"]}, "question -> text, answer -> target"),
]


@pytest.mark.parametrize(("raw", "mapping"), ALIASES)
def test_rows_of_other_tools_are_read_and_the_mapping_is_told(
    tmp_path: Path, raw: dict[str, Any], mapping: str
) -> None:
    write(tmp_path / "train.jsonl", [raw])
    rows = read_rows(tmp_path / "train.jsonl", ScorerSpec("exact"))
    [placed] = rows.placed
    assert (placed.example.question.text, placed.example.targets[0]) == ("2 and 2?", "4")
    assert placed.example.question.id == "train:1"
    assert rows.mapping == mapping


def test_the_last_exchange_of_a_chat_is_the_row(tmp_path: Path) -> None:
    chat = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "2 and 2?"),
            ("assistant", "4")]
    messages = [{"role": role, "content": content} for role, content in chat]
    write(tmp_path / "train.jsonl", [{"id": "m", "messages": messages}])
    rows = read_rows(tmp_path / "train.jsonl", ScorerSpec("exact"))
    assert rows.placed[0].example.question.text == "2 and 2?"
    assert rows.placed[0].example.targets == ("4",)
    assert "other messages are not read" in rows.mapping


def test_a_chat_without_an_answer_to_its_last_question_is_a_fault(tmp_path: Path) -> None:
    messages = [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "2?"}]
    write(tmp_path / "train.jsonl", [{"messages": messages}])
    rows = read_rows(tmp_path / "train.jsonl", ScorerSpec("exact"))
    assert rows.faults == ("train.jsonl:1: messages must end with a user message and the "
                           "assistant's answer to it",)


def test_a_target_object_becomes_canonical_json(folder: Path) -> None:
    use_scorer(folder, "{kind: json, fields: [a, b]}", "field_accuracy")
    for split, name in (("train", "x"), ("dev", "y"), ("test", "z")):
        write(folder / f"{split}.jsonl", [row(name, targets=[{"b": 1, "a": "é"}])])
    assert load_task(folder).test[0].targets == ('{"a":"é","b":1}',)


def test_a_corpus_is_read_with_its_front_matter(folder: Path) -> None:
    corpus = folder / "corpus" / "deep"
    corpus.mkdir(parents=True)
    text = "---\ntitle: Refunds\nvalid_from: 2025-01-31\nauthor: me\n---\n\nThirty days.\n"
    (corpus / "refunds.md").write_text(text, encoding="utf-8")
    (folder / "corpus" / "plain.txt").write_text("No front matter.", encoding="utf-8")
    assert load_task(folder).material.corpus == (
        Document("deep/refunds.md", "Thirty days.", "Refunds", "2025-01-31"),
        Document("plain.txt", "No front matter."),
    )


def test_a_line_separator_inside_a_text_does_not_end_the_row(folder: Path) -> None:
    text = json.dumps(row("a", text="one\u2028two"), ensure_ascii=False)
    write(folder / "train.jsonl", [text])
    assert load_task(folder).material.train[0].question.text == "one\u2028two"


# ------------------------------------------------------------------ what is refused


def test_all_faults_of_all_files_are_listed_together(folder: Path) -> None:
    write(folder / "train.jsonl", [row("a"), '{"id": "b", ', "[1]", row("c", text=" ", targets=[])])
    write(folder / "dev.jsonl", [])
    (folder / "test.jsonl").unlink()
    assert [fault.split("; it needs")[0] for fault in faults(folder)] == [
        "train.jsonl:2: not valid JSON at column 13: Expecting property name enclosed in "
        "double quotes",
        "train.jsonl:3: a row must be an object, found a list",
        "train.jsonl:4: text is empty",
        "train.jsonl:4: targets is empty: a row needs at least one target",
        "dev.jsonl: has no rows",
        "test.jsonl: no such file",
    ]


def test_a_missing_split_shows_a_row_to_type(folder: Path) -> None:
    (folder / "dev.jsonl").unlink()
    assert faults(folder) == ["dev.jsonl: no such file; it needs one row a line, such as "
                              '{"id": "r1", "text": "...", "targets": ["..."]}']


BAD_ROWS: list[tuple[Any, str]] = [
    (row("x", colour=1), "unknown key 'colour' (expected one of: choices, facts, group, id, "
                          "sources, subject, targets, text)"),
    ({"id": "x", "text": "?", "tragets": ["y"]}, "missing key 'targets'"),
    ({"id": "x", "text": "?", "tragets": ["y"]}, "unknown key 'tragets' (did you mean 'targets'?)"),
    ({"text": "?", "targets": ["y"]}, "missing key 'id'"),
    (row("x", id=3), "id must be text, found a number"),
    (row("x", targets="y"), "targets must be a list, found text"),
    (row("x", targets=["  "]), "targets is empty"),
    (row("x", targets=[7]), "targets must be text, found a number"),
    (row("x", group=""), "group is empty"),
    (row("x", choices=["X", "x "]), "choices must be at least two different texts"),
    (row("x", choices=["x", "y"]), "target 'X' is not among the choices (expected one of: x, y)"),
    (row("x", sources=["no.md"]), "source 'no.md' is not in the corpus, which has no documents"),
    ('{"id": "x", "id": "y"}', "not valid JSON: key 'id' stands twice"),
    ('{"id": "x", "text": NaN}', "not valid JSON: NaN is not JSON"),
    ('{"id":' * 5000, "not valid JSON: nested deeper than 64 levels"),
    ('{"id": %s}' % ("9" * 5000), "not valid JSON: Exceeds the limit"),
    ('{"id": "x", "text": "\\ud800", "targets": ["y"]}', "text holds half of a surrogate pair"),
]


@pytest.mark.parametrize(("bad", "message"), BAD_ROWS)
def test_a_bad_row_is_told_with_its_line(folder: Path, bad: Any, message: str) -> None:
    write(folder / "train.jsonl", [row("a"), "", bad])
    assert any(fault.startswith(f"train.jsonl:3: {message}") for fault in faults(folder))


def test_broken_utf8_is_told_with_its_line_beside_other_faults(folder: Path) -> None:
    (folder / "train.jsonl").write_bytes(b'{"id": "a"}\n{"id": "\xff"}\n')
    assert "train.jsonl:2: not UTF-8 (byte 9 of the line)" in faults(folder)
    assert "train.jsonl:1: missing key 'text'" in faults(folder)


def test_an_id_that_stands_twice_names_both_lines(folder: Path) -> None:
    write(folder / "test.jsonl", [row("d"), row("e"), row("d", text="Another?")])
    assert faults(folder) == ["test.jsonl:3: id 'd' stands already at test.jsonl:1"]


def test_a_test_item_that_was_learnt_names_both_rows(folder: Path) -> None:
    write(folder / "test.jsonl", [row("d"), row("e", text="  WHAT is “b” ")])
    assert faults(folder) == ["test.jsonl:2: test row 'e' asks the same as row 'b' at "
                              "train.jsonl:2; remove one of them"]


def test_sums_that_differ_in_the_operator_are_different_items(folder: Path) -> None:
    write(folder / "train.jsonl", [row("a", text="What is 6-2?"), row("b", text="Is it 1.5?")])
    write(folder / "test.jsonl", [row("d", text="What is 6/2?"), row("e", text="Is it 15?")])
    assert len(load_task(folder).test) == 2


def test_one_question_with_other_choices_is_another_item(folder: Path) -> None:
    use_scorer(folder, "{kind: choice}")
    text = "Which is a fruit?"
    write(folder / "train.jsonl", [row("a", text=text, choices=["A", "log"])])
    write(folder / "dev.jsonl", [row("c", text=text, choices=["C", "cup"])])
    write(folder / "test.jsonl", [row("d", text=text, choices=["pin", "D"])])
    assert len(load_task(folder).test) == 1


def test_a_group_in_two_splits_is_named_once(folder: Path) -> None:
    write(folder / "train.jsonl", [row("a", group="g"), row("b")])
    write(folder / "test.jsonl", [row("d", group="g"), row("e", group="g")])
    assert faults(folder) == ["test.jsonl:1: group 'g' stands in test and in train "
                              "(train.jsonl:1); keep a group in one split"]


def test_scorer_choice_needs_choices(folder: Path) -> None:
    use_scorer(folder, "{kind: choice}")
    assert faults(folder)[0] == ("train.jsonl:1: missing key 'choices' (scorer choice needs them)")


def test_a_json_target_must_be_an_object_with_the_graded_fields(folder: Path) -> None:
    use_scorer(folder, "{kind: json, fields: [a.b]}", "field_accuracy")
    bad = [row("x", targets=["no"]), row("y", targets=[{"a": {"c": 1}}])]
    write(folder / "train.jsonl", [row("w", targets=[{"a": {"b": None}}]), *bad])
    assert faults(folder)[:2] == [
        "train.jsonl:2: target is not a JSON object: Expecting value: line 1 column 1 (char 0)",
        "train.jsonl:3: target has no field 'a.b', which task.yaml grades",
    ]


def test_an_empty_corpus_folder_is_a_fault(folder: Path) -> None:
    (folder / "corpus").mkdir()
    assert faults(folder) == ["corpus: holds no .md or .txt document; add one, or delete the "
                              "folder"]


BAD_DOCUMENTS = [
    (b" \n", "corpus/d.md: the document is empty"),
    (b"---\ntitle: x\n---\n \n", "corpus/d.md: the document is empty"),
    (b"one\n\xff", "corpus/d.md:2: not UTF-8 (byte 4)"),
    (b"---\ntitle: [\n---\ntext", "corpus/d.md:3: front matter is not YAML"),
    (b"---\nvalid_from: 2025-02-31\n---\ntext", "corpus/d.md:2: front matter is not YAML"),
    (b"---\nvalid_from: soon\n---\ntext", "corpus/d.md:2: valid_from must be a date such as "
                                         "2025-01-31, found 'soon'"),
    (b"---\nvalid_form: 2025-01-31\n---\ntext", "corpus/d.md:2: unknown key 'valid_form' "
                                               "(did you mean 'valid_from'?)"),
    (b"---\nwords\n---\ntext", "corpus/d.md:2: front matter must be keys and values"),
]


@pytest.mark.parametrize(("content", "message"), BAD_DOCUMENTS)
def test_a_bad_document_is_told_with_its_line(folder: Path, content: bytes, message: str) -> None:
    (folder / "corpus").mkdir()
    (folder / "corpus" / "d.md").write_bytes(content)
    [fault] = faults(folder)
    assert fault.startswith(message)


def test_a_source_that_is_no_document_gets_a_near_name(folder: Path) -> None:
    (folder / "corpus").mkdir()
    (folder / "corpus" / "refunds.md").write_text("Thirty days.", encoding="utf-8")
    write(folder / "test.jsonl", [row("d", sources=["refund.md"])])
    assert faults(folder) == ["test.jsonl:1: source 'refund.md' is not in the corpus "
                              "(did you mean 'refunds.md'?)"]


# ------------------------------------------------------------------ identity


def reach(value: object, seen: list[str]) -> list[str]:
    """Every text that can be reached from frozen data."""
    if isinstance(value, str):
        seen.append(value)
    elif isinstance(value, tuple):
        for part in value:
            reach(part, seen)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            reach(getattr(value, field.name), seen)
    return seen


def test_no_test_row_can_be_reached_from_the_material(folder: Path) -> None:
    task = load_task(folder)
    learnt = reach(task.material, [])
    assert "What is a?" in learnt
    for example in task.test:
        assert not set(reach(example, [])) & set(learnt)


def changed(folder: Path, old: str, new: str) -> Task:
    text = TASK.replace(old, new)
    assert text != TASK
    (folder / "task.yaml").write_text(text, encoding="utf-8")
    return load_task(folder)


def test_a_new_title_changes_no_digest(folder: Path) -> None:
    before = load_task(folder)
    assert changed(folder, "A tiny task", "Another title").digest == before.digest


@pytest.mark.parametrize("new", ["calls_per_month: 9", "calls_per_month: 1000, residency: eu"])
def test_circumstances_change_the_task_but_not_its_material(folder: Path, new: str) -> None:
    before, after = load_task(folder), changed(folder, "calls_per_month: 1000", new)
    assert after.digest != before.digest
    assert after.material.digest == before.material.digest


def test_an_instruction_changes_the_material_and_so_the_task(folder: Path) -> None:
    before, after = load_task(folder), changed(folder, "Answer.", "Reply.")
    assert after.material.digest != before.material.digest
    assert after.digest != before.digest


def test_a_digest_depends_on_content_and_not_on_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": "é"}) == digest({"b": "é", "a": 1})
    assert digest(Document("d", "text")) == digest(dataclasses.asdict(Document("d", "text")))
    assert digest(1) != digest(1.0)
    assert digest([]) == "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"


def test_what_json_cannot_hold_has_no_digest() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))
    with pytest.raises(TypeError, match="set has no canonical form"):
        digest({1})


def test_a_target_that_a_stop_would_end_is_a_fault(tmp_path):
    folder = write_task(tmp_path / "tolls")
    text = (folder / "task.yaml").read_text(encoding="utf-8")
    (folder / "task.yaml").write_text(text + 'stop: ["pence"]\n', encoding="utf-8")
    with pytest.raises(AdvisorError, match=r"test.jsonl:1: a target holds a string of `stop`"):
        load_task(folder)
