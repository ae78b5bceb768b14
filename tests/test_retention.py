"""Retention suites as files: what is read, what is refused, and what identifies them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from material import ROOT

from advisor.config import Settings
from advisor.engines.fake import FakeEngine
from advisor.errors import AdvisorError
from advisor.measures.retention import Suite, load_suites, measure
from advisor.workspace import Workspace

SUITE = """\
task: mine
dataset_path: json
dataset_kwargs:
  data_files:
    test: mine.jsonl
test_split: test
output_type: loglikelihood
doc_to_text: "{{context}}"
doc_to_target: " {{word}}"
metric_list: [{metric: acc}]
metadata: {version: 1.0, chance: 0.25}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(SUITE, encoding="utf-8")
    (tmp_path / "mine.jsonl").write_text(json.dumps({"context": "a", "word": "b"}) + "\n")
    return tmp_path


def opened(folder: Path) -> Suite:
    [suite] = load_suites(["mine"], lambda name: folder / f"{name}.yaml")
    return suite


FILES = [name for name in Settings().retention if name != "own_text"]  # that one has no file


@pytest.mark.parametrize("name", FILES)
def test_a_shipped_suite_loads_with_its_chance_and_its_data(name):
    [suite] = load_suites([name], Workspace(ROOT).retention_file)
    assert suite.config is not None
    assert 0.0 <= suite.chance < 1.0
    [path] = suite.config["dataset_kwargs"]["data_files"].values()
    rows = [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]
    ids = [row["id"] for row in rows if "id" in row]
    assert len(rows) >= 40
    assert len(set(ids)) == len(ids)


def test_shipped_suites_are_told_apart():
    suites = load_suites(Settings().retention, Workspace(ROOT).retention_file)
    assert len({suite.digest for suite in suites}) == len(suites)
    assert len({suite.config["task"] for suite in suites if suite.config}) == len(FILES)


def test_a_suite_knows_its_chance_and_where_its_data_lies(folder):
    suite = opened(folder)
    assert (suite.name, suite.chance) == ("mine", 0.25)
    assert suite.config is not None
    assert suite.config["dataset_kwargs"]["data_files"] == {"test": str(folder / "mine.jsonl")}


def test_data_files_may_be_one_name(folder):
    text = SUITE.replace("data_files:\n    test: mine.jsonl", "data_files: mine.jsonl")
    (folder / "mine.yaml").write_text(text)
    suite = opened(folder)
    assert suite.config is not None
    assert suite.config["dataset_kwargs"]["data_files"] == {"test": str(folder / "mine.jsonl")}


@pytest.mark.parametrize("line", ["process_docs: !function utils.run",
                                  "doc_to_text: !!python/name:os.system"])
def test_a_suite_that_brings_code_is_refused(folder, line):
    (folder / "mine.yaml").write_text(f"{SUITE}{line}\n")
    with pytest.raises(AdvisorError, match=r"mine\.yaml: not an lm-eval task") as caught:
        opened(folder)
    assert "without !function" in caught.value.fix


@pytest.mark.parametrize("text", ["", "- a\n", "just text\n", "task: 2024-02-31\n", "task: [\n",
                                  "output_type: loglikelihood\n"])
def test_a_file_that_is_no_suite_is_named(folder, text):
    (folder / "mine.yaml").write_text(text)
    with pytest.raises(AdvisorError, match=r"mine\.yaml"):
        opened(folder)


def test_a_missing_data_file_is_named(folder):
    (folder / "mine.jsonl").unlink()
    with pytest.raises(AdvisorError) as caught:
        opened(folder)
    assert f"its data file {folder / 'mine.jsonl'} does not exist" in caught.value.problem
    assert caught.value.fix == f"edit {folder / 'mine.yaml'}"


def test_the_digest_follows_the_data_and_the_text_but_not_the_place(folder):
    first = opened(folder).digest
    assert opened(folder).digest == first
    with (folder / "mine.jsonl").open("a") as stream:
        stream.write('{"context": "c", "word": "d"}\n')
    second = opened(folder).digest
    (folder / "mine.yaml").write_text(SUITE + "num_fewshot: 1\n")
    third = opened(folder).digest
    moved = folder.rename(folder.with_name("moved"))
    assert len({first, second, third}) == 3
    assert opened(moved).digest == third


def test_a_suite_of_lm_eval_itself_is_known_by_name_and_version():
    one, other = load_suites(["hellaswag", "piqa"], lambda _: None)
    assert (one.name, one.config) == ("hellaswag", None)
    assert one.digest != other.digest


def test_without_suites_forgetting_cannot_be_measured():
    with pytest.raises(AdvisorError, match="retention"):
        measure(FakeEngine(), ())
