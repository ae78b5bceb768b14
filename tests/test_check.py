"""`advisor check`: each fault that is planted in a good task is found, named and weighed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from material import BRIDGES, RECIPES, recipe, row, write_rows, write_task

from advisor.checks import reading, rows, size, texts
from advisor.checks.finding import Finding, Looked
from advisor.checks.personal import masked, personal_values
from advisor.checks.probe import already_known
from advisor.cli import main
from advisor.cli.tools import fake
from advisor.core import ScorerSpec
from advisor.data.rows import read_rows
from advisor.data.task import load_task
from advisor.engines.embedders import FakeEmbedder
from advisor.engines.tokens import Counter, counter

SPEC = ScorerSpec("short_answer")


def looked(folder: Path, kind: Any = "short_answer") -> Looked:
    where = {one.example.question.id: one.where for split in ("train", "dev", "test")
             for one in read_rows(folder / f"{split}.jsonl", ScorerSpec(kind)).placed}
    return Looked(load_task(folder), where)


def spoilt(tmp_path: Path, split: str, *more: dict[str, Any]) -> Looked:
    """The good task with rows added to one split."""
    folder = write_task(tmp_path / "tolls")
    text = (folder / f"{split}.jsonl").read_text(encoding="utf-8")
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in more)
    (folder / f"{split}.jsonl").write_text(text + lines, encoding="utf-8")
    return looked(folder)


def labelled(tmp_path: Path, train: list[str], test: list[str]) -> Looked:
    folder = write_task(tmp_path / "tolls")
    text = (folder / "task.yaml").read_text().replace("short_answer", "exact")
    (folder / "task.yaml").write_text(text.replace("primary: contains", "primary: exact"))
    write_rows(folder / "train.jsonl", [row(b, targets=[t]) for b, t in zip(BRIDGES, train,
                                                                           strict=False)])
    write_rows(folder / "dev.jsonl", [row(BRIDGES[12], targets=[train[0]])])
    write_rows(folder / "test.jsonl", [row(b, targets=[t]) for b, t in zip(BRIDGES[16:], test,
                                                                          strict=False)])
    return looked(folder, "exact")


def only(findings: Any) -> Finding:
    [found] = findings
    assert isinstance(found, Finding)
    return found


def test_a_test_row_that_nearly_equals_a_train_row_is_named_with_it(tmp_path):
    text = "Please tell: what is the toll of the acorn bridge for a lorry with two axles?"
    near = text.replace("two", "2")
    task = spoilt(tmp_path, "train", row("acorn", id="a", text=text))
    folder = tmp_path / "tolls"
    write_rows(folder / "test.jsonl", [row(b) for b in BRIDGES[16:]] + [row("oak", id="b",
                                                                            text=near)])
    found = only(rows.leakage(looked(folder)))
    assert (found.severity, len(found.rows)) == ("warn", 1)
    assert found.rows[0].startswith("test.jsonl:25 like train.jsonl:13 (")
    assert only(rows.leakage(task)).severity == "ok"


def test_many_leaks_stop(tmp_path):
    folder = write_task(tmp_path / "tolls")
    texts_ = [f"How much does one have to pay at the long {b} bridge in summer" for b in BRIDGES]
    write_rows(folder / "train.jsonl", [row(b, text=t + "?") for b, t in
                                        zip(BRIDGES[:12], texts_, strict=False)])
    write_rows(folder / "test.jsonl", [row(b, text=f"{t} months?") for b, t in
                                       zip(BRIDGES[16:28], texts_, strict=False)])
    assert only(rows.leakage(looked(folder))).severity == "stop"


def test_a_dev_row_that_nearly_equals_a_train_row_is_told(tmp_path):
    text = "Please tell: what is the toll of the acorn bridge for a lorry with two axles?"
    task = spoilt(tmp_path, "train", row("acorn", id="a", text=text))
    assert only(rows.near_dev(task)).severity == "ok"
    task_of = tmp_path / "tolls"
    write_rows(task_of / "dev.jsonl", [row(BRIDGES[12], id="b",
                                           text=text.replace("two", "2"))])
    found = only(rows.near_dev(looked(task_of)))
    assert found.severity == "warn"
    assert found.rows[0].startswith("dev.jsonl:1 like train.jsonl:13 (")


def test_rows_that_ask_the_same_and_want_another_answer_conflict(tmp_path):
    found = only(rows.conflicts(spoilt(tmp_path, "train", row("acorn", id="a", targets=["9"]))))
    assert (found.severity, found.rows) == ("warn", ("train.jsonl:1 / train.jsonl:13",))


def test_a_shared_alternative_is_no_conflict(tmp_path):
    again = row("acorn", id="a", targets=["101 PENCE.", "9"])
    assert only(rows.conflicts(spoilt(tmp_path, "train", again))).severity == "ok"


def test_a_test_question_asked_twice_is_told(tmp_path):
    assert only(rows.repeats(spoilt(tmp_path, "test", row("yarrow", id="a")))).severity == "warn"


def test_a_label_that_is_never_taught_is_told(tmp_path):
    task = labelled(tmp_path, ["yes", "no"] * 6, ["yes", "no"] * 6 + ["never"])
    found = {one.severity: one for one in rows.balance(task)}
    assert "1 labels stand in test but never in train: never" in found["warn"].what
    assert found["warn"].rows == ("test.jsonl:13",)


def test_a_label_that_is_nearly_always_right_is_told(tmp_path):
    task = labelled(tmp_path, ["yes", "no"] * 6, ["yes"] * 19 + ["no"])
    assert any("'yes' is the answer to 19 of 20" in one.what for one in rows.balance(task))


def test_an_answer_longer_than_its_limit_stops(tmp_path):
    task = spoilt(tmp_path, "test", row("oak", id="a", text="Why?", targets=["w " * 50]))
    found = next(iter(texts.lengths(task, Counter(lambda t: len(t.split()), 999, exact=True),
                                    max_failed=0.01)))
    assert (found.severity, found.rows) == ("stop", ("test.jsonl:25",))


def test_a_row_longer_than_the_context_stops(tmp_path):
    task = spoilt(tmp_path, "test", row("oak", id="a", text="why " * 300))
    found = next(iter(texts.lengths(task, Counter(lambda t: len(t.split()), 256, exact=True),
                                    max_failed=0.01)))
    assert "1 rows do not fit the context of 256 tokens" in found.what


def test_a_model_that_is_not_here_leaves_an_estimate():
    assert not counter("nobody/nothing-at-all").exact


@pytest.mark.parametrize(("text", "severity"), [
    ("Wo ist das CafÃ© am FluÃŸ?", "warn"), ("Who\u0000 pays?", "warn"),
    ("Was kostet der Café-Fluß: „sehr“ 5 €?", "ok"),
])
def test_broken_encoding_is_told_and_good_accents_are_not(tmp_path, text, severity):
    found = only(texts.encoding(spoilt(tmp_path, "test", row("oak", id="a", text=text))))
    assert found.severity == severity


@pytest.mark.parametrize(("text", "kind"), [
    ("write to jo.doe@mail.co.uk now", "e-mail addresses"),
    ("my IBAN is GB82 WEST 1234 5698 7654 32.", "IBANs"),
    ("card 4539 1488 0343 6467 declined", "card numbers"),
    ("from 81.2.69.142 today", "IP addresses"),
    ("call +44 20 7946 0018 please", "telephone numbers"),
])
def test_personal_data_is_found_by_its_form(text, kind):
    assert [found for found, _ in personal_values(text)] == [kind]


@pytest.mark.parametrize("text", [
    "write to jo@example.com", "IBAN GB82 WEST 1234 5698 7654 33", "card 4539 1488 0343 6468",
    "server 10.0.0.1, version 1.2.3.400", "order 1111 1111 1111 1111", "at 10:30 to 12:45",
    "part SNS-12, invoice 2024-113, 200 000 000 EUR",
])
def test_what_only_looks_personal_is_not(text):
    assert list(personal_values(text)) == []


def test_a_value_is_never_printed_whole():
    assert masked("jo.doe@mail.co.uk") == "j***k"


def test_few_test_rows_show_only_large_differences(tmp_path):
    found = only(size.size(looked(write_task(tmp_path / "tolls")), alpha=0.05, margin=0.05, seed=0))
    assert found.severity == "warn"
    assert "24 test rows in 24 groups" in found.what


def test_the_ceiling_of_retrieval_counts_answers_that_stand_in_documents(tmp_path):
    folder = write_task(tmp_path / "tolls")
    assert "100% of 16" in only(reading.ceiling(looked(folder))).what
    for path in (folder / "corpus").glob("*.md"):
        path.write_text(path.read_text().replace(" pence", "0 pence"))  # 101 is not in 1010
    assert only(reading.ceiling(looked(folder))).severity == "warn"


def test_retrieval_that_finds_the_wrong_documents_is_told(tmp_path):
    folder = write_task(tmp_path / "tolls")
    for path in (folder / "corpus").glob("*.md"):
        path.write_text(path.read_text().replace(f"{path.stem} bridge", "crossing"))
    one = recipe(RECIPES["rag"], tmp_path)
    found = only(reading.recall(looked(folder), {"rag": one}, FakeEmbedder()))
    assert found.severity == "warn"
    assert "mend retrieval first" in found.fix


def test_a_base_that_knows_nothing_of_the_task_is_told(tmp_path):
    task = looked(write_task(tmp_path / "tolls"))
    found = only(already_known(task, fake(), rows=4, seed=0))
    assert found.severity == "note"
    assert "no trace of the skill: the base earns 0.00 with 0 examples" in found.what


# ------------------------------------------------------------------- the verb


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_task(tmp_path / "evals" / "tolls")
    (tmp_path / "advisor.yaml").write_text("latency_probe: 1\n", encoding="utf-8")
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "rag.yaml").write_text(RECIPES["rag"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("workspace")
def test_a_task_that_may_go_exits_with_0(capsys):
    assert main(["check", "tolls", "--engine", "fake", "--probe", "3"]) == 0
    said = capsys.readouterr().out
    assert "recall floor of rag: 100%" in said
    assert said.rstrip().splitlines()[-1].startswith("go (")


def test_faults_that_keep_a_task_from_loading_are_findings(workspace, capsys):
    rows_ = (workspace / "evals" / "tolls" / "train.jsonl").read_text()
    (workspace / "evals" / "tolls" / "test.jsonl").write_text(rows_)
    assert main(["check", "tolls", "--json"]) == 3
    [found] = json.loads(capsys.readouterr().out)
    assert found["go"] is False
    assert any("stands already at train.jsonl:1" in one["what"] for one in found["findings"])


@pytest.mark.usefixtures("workspace")
def test_no_task_named_is_a_usage_error(capsys):
    assert main(["check"]) == 2
    assert "advisor check --all" in capsys.readouterr().err
