"""From somebody's rows to a task: forms, columns, groups, splits, and what is guessed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import jsonschema
import pytest
import yaml
from material import BRIDGES, ROOT

from advisor.cli import main
from advisor.config import TaskFile
from advisor.data.near import pairs
from advisor.data.task import load_task
from advisor.errors import AdvisorError, Faults
from advisor.intake.columns import Item, Told, find_columns, item
from advisor.intake.draft import Draft, Wish, draft
from advisor.intake.records import Record, Records, of_dataset, read_records
from advisor.intake.split import Shares, near_groups, split
from advisor.intake.writing import write
from advisor.yamlfiles import load

WORDS = BRIDGES[:20]


def records(*rows: dict[str, Any]) -> Records:
    columns = tuple(dict.fromkeys(key for row in rows for key in row))
    return Records(tuple(Record(f"r:{i}", row) for i, row in enumerate(rows)), columns, "rows")


def understood(*rows: dict[str, Any], **told: Any) -> Item:
    heap = records(*rows)
    return item(heap.rows[0], find_columns(heap, Told(**told)))


def drafted(*rows: dict[str, Any], documents: Path | None = None, **more: Any) -> Draft:
    return draft({"": records(*rows)}, Wish("mine", **more), documents=documents, tokens=len)


def tickets(count: int = 60) -> list[dict[str, Any]]:
    labels = ("refund", "repair", "howto")
    return [{"text": f"{WORDS[i % 20]} number {i * i} of {WORDS[(i * 7) % 20]}: what now?",
             "label": labels[i % 3]} for i in range(count)]


# ------------------------------------------------------------------- forms


@pytest.mark.parametrize(("name", "text"), [
    ("a.jsonl", '{"text": "a b", "label": "x"}\n\n{"text": "c", "label": "y"}\n'),
    ("a.json", '{"version": 1, "data": [{"text": "a b", "label": "x"}, {"text": "c"}]}'),
    ("a.csv", 'text,label\n"a b",x\nc,y\n'),
    ("a.csv", 'text;label\n"a, b";x\nc;y\n'),
    ("a.tsv", "text\tlabel\na b\tx\nc\ty\n"),
])
def test_a_text_form_is_read_with_its_columns(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    found = read_records(str(tmp_path / name))
    assert found.columns == ("text", "label")
    assert (len(found.rows), found.rows[0].values["label"]) == (2, "x")


def test_parquet_is_read(tmp_path):
    datasets.Dataset.from_list(tickets(5)).to_parquet(tmp_path / "a.parquet")
    found = read_records(str(tmp_path / "a.parquet"))
    assert (found.columns, len(found.rows)) == (("text", "label"), 5)


def test_numbers_of_a_class_label_become_its_names():
    features = datasets.Features({"text": datasets.Value("string"),
                                  "label": datasets.ClassLabel(names=["bad", "good"])})
    loaded = datasets.Dataset.from_dict({"text": ["a b"], "label": [1]}, features=features)
    assert of_dataset(loaded, "me/films").rows[0].values["label"] == "good"


def test_a_local_copy_of_a_hub_data_set_goes_before_the_hub(tmp_path, monkeypatch):
    (tmp_path / "me" / "films").mkdir(parents=True)
    (tmp_path / "me" / "films" / "train.csv").write_text("text,label\na b,x\n")
    monkeypatch.chdir(tmp_path)
    assert read_records("hf://me/films").rows[0].values["label"] == "x"


@pytest.mark.parametrize(("name", "content", "fault"), [
    ("a.xlsx", b"", ".xlsx is no known form"),
    ("a.csv", b"text,label\ncaf\xe9,x\n", "a.csv:2: not utf-8"),
    ("a.csv", b"text,text\na,b\n", "names 'text' twice"),
    ("a.csv", b'text,label\n"a,b\n', "a.csv:2: "),
    ("a.csv", b"text,label\na,b,c\n", "line 2: 3 cells"),
    ("a.csv", b"text,label\n", "has no rows"),
    ("a.jsonl", b'{"a": 1}\n[1]\n{"a": NaN}\n', "2 faults"),
    ("a.parquet", b"no", "not readable as Parquet"),
])
def test_what_cannot_be_read_is_named_with_its_line(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AdvisorError) as caught:
        read_records(str(tmp_path / name))
    assert fault in str(caught.value)


def test_another_encoding_is_read_when_it_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes("text,label\ncafé,x\n".encode("cp1252"))
    found = read_records(str(tmp_path / "a.csv"), encoding="cp1252")
    assert found.rows[0].values["text"] == "café"


# ------------------------------------------------------------------- columns


@pytest.mark.parametrize(("row", "text", "target"), [
    ({"prompt": "p q", "completion": "c"}, "p q", "c"),
    ({"Question": "p q?", "Answer": "c", "idx": 3}, "p q?", "c"),
    ({"instruction": "Translate.", "input": "p q", "output": "c"}, "p q", "c"),
    ({"instruction": "Say p q.", "input": "", "output": "c"}, "Say p q.", "c"),
    ({"subject": "Hi", "body": "a longer p q", "queue": "c"}, "Hi\n\na longer p q", "c"),
    ({"context": "long p q text", "question": "p q?", "answers": {"text": ["c"], "at": [1]}},
     "long p q text\n\np q?", "c"),
    ({"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "c"}]},
     "p", "c"),
    ({"conversations": [{"from": "human", "value": "p"}, {"from": "gpt", "value": "b"},
                        {"from": "human", "value": "q"}, {"from": "gpt", "value": "c"}]},
     "User: p\nAssistant: b\nUser: q", "c"),
    ({"prompt": [{"role": "user", "content": "p q"}],
      "completion": [{"role": "assistant", "content": "c"}]}, "p q", "c"),
    ({"prompt": "p q", "chosen": "c", "rejected": "d"}, "p q", "c"),
    ({"question": "p q?", "choices": ["b", "c"], "answer": 1}, "p q?", "c"),
    ({"question": "p q?", "choices": {"text": ["b", "c"], "label": ["A", "B"]}, "answerKey": "B"},
     "p q?", "c"),
])
def test_a_known_shape_is_recognised(row, text, target):
    told = {"answer": "answerKey"} if "answerKey" in row else {}
    found = understood(row, **told)
    assert (found.text, found.targets) == (text, (target,))


def test_one_system_message_becomes_the_instruction():
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "p"},
             {"role": "assistant", "content": "c"}]
    assert find_columns(records({"messages": turns}), Told()).instruction == "Be brief."


def test_what_the_user_says_goes_before_a_name():
    found = understood({"text": "a b", "note": "c d", "label": "x", "mood": "y"},
                       question=("note",), answer="mood")
    assert (found.text, found.targets) == ("c d", ("y",))


def test_columns_that_say_nothing_are_asked_for():
    with pytest.raises(AdvisorError, match=r"which column holds the answer; there are: a, b, c"):
        find_columns(records({"a": "one two", "b": 3, "c": 4}), Told())


def test_an_unknown_column_gets_a_near_one():
    with pytest.raises(AdvisorError, match=r"no column 'lable' \(did you mean 'label'\?\)"):
        find_columns(records({"text": "a b", "label": "x"}), Told(answer="lable"))


# ------------------------------------------------------------------- groups and splits


def test_groups_are_never_parted_and_labels_stay_balanced():
    groups = [f"g{i // 3}" for i in range(300)]
    labels = ["rare" if i % 10 == 0 else "often" for i in range(300)]
    homes = split(groups, labels, shares=Shares(), seed=0)
    assert all(len({homes[i], homes[i + 1], homes[i + 2]}) == 1 for i in range(0, 300, 3))
    rare = Counter(home for home, label in zip(homes, labels, strict=True) if label == "rare")
    assert 7 <= rare["test"] <= 14
    assert Counter(homes)["test"] == pytest.approx(105, abs=3)


def test_a_split_depends_on_its_seed_alone():
    groups = [str(i) for i in range(50)]
    first = split(groups, [""] * 50, shares=Shares(), seed=1)
    assert first == split(groups, [""] * 50, shares=Shares(), seed=1)
    assert first != split(groups, [""] * 50, shares=Shares(), seed=2)


def test_nearly_equal_questions_share_a_group():
    homes, _ = near_groups(["For how many days may I return hardware?", "Where is the depot?",
                            "for how many days may I return hardware, please"])
    assert homes[0] == homes[2] != homes[1]


def test_nearly_equal_questions_share_a_group_whatever_the_column_says():
    rows = [{**row, "customer": f"c{i // 2}"} for i, row in enumerate(tickets())]
    rows[40]["text"] = rows[0]["text"] + "!"
    rows[41]["text"] = rows[8]["text"] + " now"
    made = drafted(*rows)
    groups = {e.question.text: e.group for split in made.splits.values() for e in split}
    assert groups[rows[40]["text"]] == groups[rows[8]["text"]]
    assert "column customer, and questions that are at least 80% alike" in dict(made.said)["group"]


def test_likeness_found_by_rare_shingles_is_that_of_all_pairs():
    texts = [f"{a} {b} stands near the {c}" for a, b, c in
             zip(WORDS * 4, WORDS[3:] * 5, WORDS[1:] * 5, strict=False)]
    bags = [{t[i:i + 5] for i in range(len(t) - 4)} for t in texts]
    every = {(i, j) for j in range(len(texts)) for i in range(j)
             if len(bags[i] & bags[j]) / len(bags[i] | bags[j]) >= 0.6}
    assert {(p.first, p.second) for p in pairs(texts, 0.6)} == every
    assert every


def test_a_given_test_file_stays_as_it_is_and_rows_like_its_own_are_left_out():
    heap = tickets()
    made = draft({"": records(*heap), "test": records(*heap[:6])}, Wish("mine"),
                 documents=None, tokens=len)
    assert [e.question.text for e in made.splits["test"]] == [row["text"] for row in heap[:6]]
    assert not pairs([row["text"] for row in heap[:6]]
                     + [e.question.text for e in made.splits["train"]], 0.99)


def test_ids_of_a_given_file_are_kept_apart_from_those_of_the_others():
    heap = [{**row, "id": i} for i, row in enumerate(tickets())]
    more = [{"id": i, "text": f"Something else entirely, case {i}", "label": "refund"}
            for i in range(3)]
    made = draft({"": records(*heap), "test": records(*more)}, Wish("mine"), documents=None,
                 tokens=len)
    assert {e.question.id for e in made.splits["test"]} <= {"test-0", "test-1", "test-2"}


# ------------------------------------------------------------------- what is guessed


@pytest.mark.parametrize(("rows", "kind", "primary"), [
    (tickets(), "choice", "exact"),
    ([{"text": row["text"], "label": f"l{i % 13}"} for i, row in enumerate(tickets(80))],
     "exact", "exact"),
    ([{"question": row["text"], "answer": f"{i} pence"} for i, row in enumerate(tickets())],
     "short_answer", "f1"),
    ([{"input": row["text"], "output": json.dumps({"to": {"q": row["label"]}, "n": i})}
      for i, row in enumerate(tickets())], "json", "field_accuracy"),
], ids=["choice", "exact", "short", "json"])
def test_the_scorer_follows_from_the_answers_and_the_task_loads(tmp_path, rows, kind, primary):
    made = drafted(*rows)
    write(made, tmp_path / "mine", schema="x.json")
    task = load_task(tmp_path / "mine")
    assert (task.scorer.kind, task.primary) == (kind, primary)
    schema = json.loads((ROOT / "advisor" / "schemas" / "task.json").read_text(encoding="utf-8"))
    jsonschema.validate(yaml.safe_load((tmp_path / "mine" / "task.yaml").read_text()), schema)


def test_pairs_of_preferences_are_kept_for_train_rows_alone(tmp_path):
    rows = [{"prompt": row["text"], "chosen": f"{i} pence", "rejected": f"{i + 1} pence"}
            for i, row in enumerate(tickets())]
    made = drafted(*rows)
    write(made, tmp_path / "mine", schema="x.json")
    task = load_task(tmp_path / "mine")
    asked = {one.question.text: one for one in task.material.preferences}
    assert set(asked) == {one.question.text for one in task.material.train}
    liked = {row["prompt"]: (row["chosen"], row["rejected"]) for row in rows}
    assert all((one.chosen, one.rejected) == liked[text] for text, one in asked.items())
    assert f"{len(asked)} pairs of chosen and rejected" in dict(made.said)["preferences"]


def test_rows_without_a_rejected_answer_make_no_pairs(tmp_path):
    write(drafted(*tickets()), tmp_path / "mine", schema="x.json")
    assert not (tmp_path / "mine" / "preferences.jsonl").exists()


def test_the_fields_of_json_and_their_few_values_are_found():
    made = drafted(*[{"input": row["text"], "output": {"to": {"q": row["label"]}, "n": i}}
                     for i, row in enumerate(tickets())])
    assert made.guess.fields == ("to.q", "n")
    assert 'to.q: one of "howto", "refund", "repair"' in made.guess.instruction


def test_chance_is_what_the_majority_answer_earns_on_dev():
    rows = [{**row, "label": "yes" if i % 4 else "no"} for i, row in enumerate(tickets(80))]
    assert drafted(*rows).chance == pytest.approx(0.75, abs=0.05)


def test_rows_that_are_not_whole_are_left_out_and_named():
    made = drafted(*tickets(), {"text": "", "label": "x"}, {"text": "a b", "label": " "})
    said = "; ".join(how for what, how in made.said if what == "left out")
    assert "2 rows: r:60 has no question, r:61 has no answer" in said


def test_too_few_rows_are_refused():
    with pytest.raises(AdvisorError, match="8 rows have both a question and an answer"):
        drafted(*tickets(8))


def test_a_hostile_cell_stays_text_in_the_yaml(tmp_path):
    rows = [{**row, "label": f"a{i % 13}: {{b}} # 'c' \"d\" !!python/object:os.system"}
            for i, row in enumerate(tickets(80))]
    write(drafted(*rows), tmp_path / "mine", schema="x.json")
    text = load(tmp_path / "mine" / "task.yaml", TaskFile).instruction
    assert "a0: {b} # 'c' \"d\" !!python/object:os.system" in text


def test_a_task_that_is_there_is_never_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(AdvisorError, match="is already there, nothing was written"):
        write(drafted(*tickets()), tmp_path / "mine", schema="x.json")


def test_a_broken_document_leaves_nothing_behind(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(AdvisorError, match=r"corpus/a.md:1: not UTF-8"):
        write(drafted(*tickets(), documents=docs), tmp_path / "evals" / "mine", schema="x.json")
    assert list((tmp_path / "evals").iterdir()) == []


# ------------------------------------------------------------------- the verb


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = [f'"{row["text"]}",{row["label"]}' for row in tickets()]
    (tmp_path / "My tickets.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    return tmp_path


def test_init_from_makes_a_workspace_with_this_task_alone(data, capsys):
    assert main(["init", "--from", "My tickets.csv"]) == 0
    said = capsys.readouterr().out
    assert "3 labels (howto 20, refund 20, repair 20)" in said
    assert "next: advisor check my-tickets && advisor run my-tickets" in said
    assert [path.parent.name for path in data.glob("evals/*/task.yaml")] == ["my-tickets"]
    assert (data / "advisor.yaml").is_file()
    assert main(["run", "my-tickets", "--engine", "fake", "--no-input", "--contender",
                 "floor", "--contender", "zero-shot"]) == 0


@pytest.mark.usefixtures("data")
def test_init_from_adds_a_task_to_a_workspace_that_is_there(capsys):
    assert main(["init", "--from", "My tickets.csv"]) == 0
    assert main(["init", "--from", "My tickets.csv", "--name", "second", "--json"]) == 0
    said = capsys.readouterr().out
    assert json.loads(said[said.index("{\n"):])["rows"] == {"train": 30, "dev": 9, "test": 21}


def test_a_dry_run_writes_nothing(data):
    assert main(["init", "--from", "My tickets.csv", "--dry-run"]) == 0
    assert [path.name for path in data.iterdir()] == ["My tickets.csv"]


@pytest.mark.usefixtures("data")
def test_init_does_not_take_data_options_without_data(capsys):
    assert main(["init", "--target", "label"]) == 2
    assert "there is no --from" in capsys.readouterr().err


def test_all_faults_of_the_rows_are_told_together(tmp_path):
    (tmp_path / "a.jsonl").write_text("1\n2\n")
    with pytest.raises(Faults) as caught:
        read_records(str(tmp_path / "a.jsonl"))
    assert len(caught.value.faults) == 2
