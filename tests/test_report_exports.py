"""A finished run's report written again without a model, in every format."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from material import RECIPES, write_task
from report_fixture import KINDS, build_report

from advisor.cli import main
from advisor.engines.fake import FakeEngine
from advisor.report.exports import full_json, junit, rows_csv, standings_csv
from advisor.report.index import Listed, index_page

RUN = "reports/tolls-fake"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with three finished runs of one task, one of them cut short."""
    root = tmp_path_factory.mktemp("report") / "home"
    write_task(root / "evals" / "tolls")
    (root / "advisor.yaml").write_text("latency_probe: 1\n", encoding="utf-8")
    (root / "baselines").mkdir()
    for name in ("floor", "rag", "zero-shot"):
        (root / "baselines" / f"{name}.yaml").write_text(RECIPES[name], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for more in ((), ("--seed", "3"), ("--limit", "9")):
            assert main(["run", "tolls", "--engine", "fake", "--no-input", *more]) == 0
    return root


@pytest.fixture
def home(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(measured, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setattr(FakeEngine, "generate", None)  # nothing here may call a model
    return tmp_path / "home"


def refused(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    assert main(["report", *given]) == 2
    said = capsys.readouterr().err
    assert "\n  fix: " in said
    return said


@pytest.mark.parametrize("run", [RUN, "reports/tolls-fake-limit-9"])
def test_a_run_is_written_again_byte_by_byte(home, run):
    names = ("report.html", "report.md", "verdict.json")
    before = [(home / run / name).read_bytes() for name in names]
    assert main(["report", run]) == 0
    assert [(home / run / name).read_bytes() for name in names] == before


def test_the_suffix_names_the_format(home):
    names = ["x.html", "y.md", "z.json", "rows.csv", "junit.xml"]
    assert main(["report", RUN, *(word for name in names for word in ("-o", f"out/{name}"))]) == 0
    starts = [(home / "out" / name).read_text("utf-8")[:9] for name in names]
    assert starts == ["<!doctype", "## Tolls ", '{\n  "vers', "contender", "<?xml ver"]


def test_an_unknown_suffix_is_refused_before_anything_is_written(home, capsys):
    assert "unknown format '.pdf'" in refused(capsys, RUN, "-o", "a.html", "-o", "a.pdf")
    assert not (home / "a.html").exists()


def test_a_run_whose_task_has_changed_is_refused(home, capsys):
    path = home / "evals" / "tolls" / "task.yaml"
    path.write_text(path.read_text("utf-8").replace("Answer with", "Say"), "utf-8")
    assert "has changed since" in refused(capsys, RUN)


def test_a_run_without_its_journal_is_refused(home, capsys):
    (home / RUN / "journal.db").unlink()
    assert "it has no journal.db" in refused(capsys, RUN)


def test_a_run_that_did_not_note_what_it_was_made_from_is_read_all_the_same(home):
    path = home / RUN / "run.yaml"
    run = yaml.safe_load(path.read_text("utf-8"))
    for noted in run["measured"].values():
        assert set(noted.pop("made_from")) == {"engine", "material"}
    path.write_text(yaml.safe_dump(run, sort_keys=False), "utf-8")
    assert main(["report", RUN, "-o", "x.csv"]) == 0


def test_a_run_of_another_version_is_refused_with_its_file(home, capsys):
    path = home / RUN / "run.yaml"
    path.write_text("task: {}\n", "utf-8")
    assert "run.yaml is not as this advisor writes it" in refused(capsys, RUN)


@pytest.mark.usefixtures("home")
def test_a_run_or_the_index_but_not_both(capsys):
    assert "name a run, or give --index" in refused(capsys)
    assert "name a run, or give --index" in refused(capsys, RUN, "--index")


def test_the_index_lists_every_run_and_says_which_cannot_be_read(home):
    path = home / "reports" / "tolls-fake-seed-3" / "run.yaml"
    path.write_text("task: {}\n", "utf-8")
    assert main(["report", "--index"]) == 0
    page = (home / "reports" / "index.html").read_text("utf-8")
    assert 'href="tolls-fake/report.html"' in page
    assert "not final" in page
    assert "tolls-fake-seed-3 is not listed: " in page


@pytest.mark.usefixtures("home")
def test_the_index_of_an_empty_workspace_says_what_to_type(capsys):
    shutil.rmtree("reports")
    assert "advisor run TASK" in refused(capsys, "--index")


def test_two_runs_are_compared_on_the_rows_they_share():
    one = build_report(0, rows=40)
    other = build_report(1, rows=40)
    page = index_page([Listed("a", one), Listed("b", replace(other, task=one.task))])
    text = page.split('id="pairs">')[1].split("</script>")[0]
    [pair] = json.loads(text)["pairs"]
    assert (pair["a"], pair["b"]) == ("a", "b")
    [lora] = [line for line in pair["lines"] if line["name"] == "lora"]
    assert lora["n"] == 40
    assert lora["difference"].endswith("]")


# ------------------------------------------------------------------ formats


def test_rows_have_a_line_a_contender_and_row_and_missing_is_empty():
    report = build_report(rows=60)
    lines = list(csv.DictReader(io.StringIO(rows_csv(report))))
    assert len(lines) == 60 * len(KINDS)
    failed = [line for line in lines if line["status"] == "failed"]
    assert all(line["credit"] == "" for line in failed)


def test_no_cell_of_a_spreadsheet_is_a_formula():
    hostile = ("=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "\t=2", "-2+3\x1b[2J")
    text = rows_csv(build_report(rows=30, hostile=hostile))
    for line in csv.reader(io.StringIO(text)):
        assert not [cell for cell in line if cell[:1] in "=+@\t\r" and cell]
        assert not [cell for cell in line if cell.startswith("-") and not _number(cell)]
    assert "\x1b" not in text


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_standings_are_best_first_with_their_limits():
    lines = list(csv.DictReader(io.StringIO(standings_csv(build_report()))))
    values = [float(line["quality"]) for line in lines]
    assert values == sorted(values, reverse=True)
    [qlora] = [line for line in lines if line["contender"] == "qlora"]
    assert qlora["forgetting_state"] == "inconclusive"


def test_json_is_the_verdict_and_every_row():
    report = build_report(rows=20)
    told = full_json(report)
    assert told["winner"] == "lora"
    assert len(told["rows"]) == 20 * len(KINDS)


def test_junit_has_a_case_a_limit_and_names_what_is_broken():
    root = ElementTree.fromstring(junit(build_report()))
    failed = {(case.get("classname"), case.get("name"))
              for case in root.iter("testcase") if case.find("failure") is not None}
    assert failed == {("qlora", "forgetting"), ("rag-lora", "latency")}


@pytest.mark.parametrize("outcome", ["cannot_tell", "none_feasible"])
def test_junit_fails_when_nothing_is_recommended(outcome):
    root = ElementTree.fromstring(junit(build_report(outcome=outcome)))
    case = root.find("testsuite/testcase[@name='recommendation']/failure")
    assert case is not None
    assert case.get("type") == outcome


def test_junit_survives_text_that_xml_cannot_hold():
    hostile = ("\x00\ud800\ufffe</testsuite>",) * 3
    ElementTree.fromstring(junit(build_report(hostile=hostile, outcome="none_feasible")))
