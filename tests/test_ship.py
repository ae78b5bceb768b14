"""What ships is what was measured, and it says where it comes from."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from material import ROOT
from shipping import described, finished, home, measured
from test_trust import trusted

from advisor.cli import main
from advisor.runner.journal import _checksum
from advisor.ship import parity
from advisor.ship.bundle import MANIFEST, _sealed, digests, verify
from advisor.ship.governance import lineage
from advisor.ship.registry import Registry
from advisor.ship.registry_verify import faults

KINDS = ("floor", "zero-shot", "few-shot", "rag", "lora")


@pytest.fixture(scope="module")
def measured_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured(tmp_path_factory.mktemp("once") / "home", *KINDS)


@pytest.fixture
def workspace(measured_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(measured_once, tmp_path / "home")
    monkeypatch.chdir(root)
    return root


def shipped(root: Path, *given: str) -> Path:
    """The folder of the bundle that `advisor ship` made."""
    assert main(["ship", "reports/tolls-fake", *given]) == 0
    registry = Registry(root)
    newest = max(registry.state().versions.values(), key=lambda one: one.number)
    return registry.checkout(newest.id)


def refused(capsys: pytest.CaptureFixture[str], *given: str, code: int = 2) -> str:
    capsys.readouterr()
    assert main(["ship", "reports/tolls-fake", *given]) == code
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


# ------------------------------------------------------------------ shipping


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_contender_ships_verifies_and_answers(workspace, kind, capsys):
    folder = shipped(workspace, "--contender", kind)
    assert verify(folder)["contender"] == kind
    said = capsys.readouterr().out
    assert "24 of 24 test rows as measured" in said
    assert "advisor ask tolls@1" in said
    assert main(["ask", "tolls@1", "What is the toll of the oak bridge?"]) == 0
    assert faults(Registry(workspace)) == []


def test_the_winner_ships_by_default(workspace):
    assert verify(shipped(workspace))["contender"] == json.loads(
        (workspace / "reports/tolls-fake/verdict.json").read_text())["winner"]


def test_shipping_twice_is_one_version(workspace):
    shipped(workspace)
    shipped(workspace)
    assert len(Registry(workspace).state().versions) == 1


def test_the_manifest_holds_metrics_with_intervals_and_the_code(workspace):
    manifest = verify(shipped(workspace, "--contender", "lora"))
    quality = manifest["metrics"]["quality"]
    assert quality["low"] <= quality["value"] <= quality["high"]
    assert quality["n"] == 24
    assert manifest["code"]["advisor"] == manifest["advisor"]
    assert len(manifest["template"]) == 64
    assert manifest["metrics"]["forgetting"] != "unchanged"


def journalled(
    run: Path, count: int, contender: str = "rag", texts: Mapping[str, str] | None = None
) -> None:
    """Change the first `count` journalled answers, checksums and all; `texts` are the new ones by
    question."""
    connection = sqlite3.connect(run / "journal.db")
    query = "SELECT key, payload FROM answers WHERE contender = ? ORDER BY question_id"
    for key, payload in connection.execute(query, [contender]).fetchall()[:count]:
        answer = json.loads(payload)
        text = texts[answer["question_id"]] if texts else "999 pence"
        changed = json.dumps({**answer, "text": text})
        connection.execute("UPDATE answers SET payload = ?, checksum = ? WHERE key = ?",
                           (changed, _checksum(key, changed), key))
    connection.commit()
    connection.close()


def test_a_packed_system_that_answers_otherwise_is_not_shipped(workspace, capsys):
    journalled(workspace / "reports/tolls-fake", 2)
    said = refused(capsys, code=3)
    assert "differs from what was measured on 2 of 24 test rows" in said
    assert said.count("was '999 pence', is ") == 2
    assert not (workspace / "registry").exists()


def test_a_tolerance_is_recorded_in_what_ships(workspace):
    journalled(workspace / "reports/tolls-fake", 1)
    folder = shipped(workspace, "--tolerance", "0.05")
    parity = json.loads((folder / "governance/parity.json").read_text())
    assert (parity["rows"], parity["same"], len(parity["differences"])) == (24, 23, 1)
    assert "the same text on 23 of 24" in (folder / "governance/model-card.md").read_text()


def test_a_tolerance_is_for_texts_and_not_for_a_loss_of_quality(workspace, capsys):
    rows = map(json.loads, (workspace / "evals/tolls/test.jsonl").read_text().splitlines())
    journalled(workspace / "reports/tolls-fake", 24, "zero-shot",
               {row["id"]: row["targets"][0] for row in rows})
    said = refused(capsys, "--contender", "zero-shot", "--tolerance", "1", code=3)
    assert re.search(r"earns 0\.\d+ on the 24 test rows, 1\.000 was measured", said)
    assert not (workspace / "registry").exists()


class Failing:
    """A system that gives no answer to every second question."""

    def __init__(self, system: Any) -> None:
        self.system = system

    def answer(self, questions: Any) -> Any:
        for number, answer in enumerate(self.system.answer(questions)):
            yield replace(answer, text="", failure="no room") if number % 2 else answer


@pytest.mark.usefixtures("workspace")
def test_answers_that_fail_are_a_loss_of_quality(capsys, monkeypatch):
    def failing(*given: Any) -> Any:
        system, engine = reopen(*given)
        return Failing(system), engine

    reopen = parity.reopen
    monkeypatch.setattr(parity, "reopen", failing)
    said = refused(capsys, "--contender", "rag", "--tolerance", "1", code=3)
    assert "it loses more than the quality margin of the run" in said


def test_a_system_that_was_changed_after_it_was_measured_is_refused(workspace, capsys):
    path = workspace / "reports/tolls-fake/contenders/rag/system/system.json"
    path.write_text(path.read_text() + " ")
    assert "system.json: not what was measured" in refused(capsys)


def test_a_task_that_changed_since_is_refused(workspace, capsys):
    path = workspace / "evals/tolls/test.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    assert "is not the task that was measured" in refused(capsys)


def test_a_pickle_in_the_system_is_refused(workspace, capsys):
    run = workspace / "reports/tolls-fake"
    (run / "contenders/rag/system/weights.pkl").write_bytes(b"\x80\x04.")
    assert "weights.pkl: was not there when it was measured" in refused(capsys)


@pytest.mark.usefixtures("workspace")
def test_an_unknown_contender_gets_a_near_one(capsys):
    assert "did you mean 'few-shot'" in refused(capsys, "--contender", "fewshot")


def test_an_unknown_base_model_is_refused(workspace, capsys):
    run = workspace / "reports/tolls-fake"
    text = (run / "run.yaml").read_text()
    changed = {**described(run), "model": {"name": "no-such-model", "digest": "0" * 64}}
    (run / "run.yaml").write_text(yaml.safe_dump(changed))
    assert "model 'no-such-model' cannot be resolved" in refused(capsys)
    (run / "run.yaml").write_text(text)


@pytest.mark.usefixtures("workspace")
def test_a_folder_without_a_run_names_the_next_step(capsys):
    assert main(["ship", "reports"]) == 2
    assert "advisor run TASK" in capsys.readouterr().err


def test_a_registered_version_passes_the_gate_against_an_alias_and_is_promoted(workspace, capsys):
    shipped(workspace, "--contender", "zero-shot")
    assert main(["registry", "promote", "tolls@1", "production"]) == 0
    shipped(workspace, "--contender", "rag")
    assert main(["gate", "tolls@2", "--against", "tolls@production", "--no-input"]) == 0
    gate = "reports/gate-tolls/gate.json"
    assert main(["registry", "promote", "tolls@2", "production", "--gate", gate]) == 0
    shipped(workspace, "--contender", "few-shot")
    capsys.readouterr()
    assert main(["registry", "promote", "tolls@3", "production", "--gate", gate]) == 2
    assert "not about tolls@3" in capsys.readouterr().err


def test_the_readmes_gate_of_a_registered_version_leads_to_its_promotion_and_back(workspace):
    """The commands as they stand there, on another task's versions."""
    found = re.findall(r"^    advisor (gate .*@.*|registry (?:promote .* --gate|rollback) .*)$",
                       (ROOT / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    judged, promoted, back = (shlex.split(one.replace("policy-qa", "tolls")) for one in found)
    for kind in ("zero-shot", "rag"):
        shipped(workspace, "--contender", kind)
    assert main(["registry", "promote", "tolls@1", "production"]) == 0
    assert main([*judged, "--no-input"]) == 0
    assert main(promoted) == 0
    assert Registry(workspace).find("tolls@production").number == 2
    assert main(back) == 0
    assert Registry(workspace).find("tolls@production").number == 1


# ------------------------------------------------------------------ lineage, erasure


def test_trace_ends_at_the_rows_that_were_trained_on(workspace, capsys):
    shipped(workspace, "--contender", "lora")
    capsys.readouterr()
    assert main(["registry", "trace", "tolls@1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    lines = (workspace / "evals/tolls/train.jsonl").read_text().splitlines()
    trained = {row["sha256"] for row in rows if row["use"] == "trained"}
    assert trained == {lineage.row_digest(json.loads(line)) for line in lines}


@pytest.mark.parametrize(("kind", "uses"), [
    ("zero-shot", {"measured"}), ("floor", {"counted", "measured"}),
    ("few-shot", {"shown", "measured"}), ("rag", {"indexed", "measured"}),
    ("lora", {"trained", "used to choose", "measured"}),
])
def test_lineage_says_what_each_row_was_used_for(workspace, kind, uses):
    folder = shipped(workspace, "--contender", kind)
    assert {row["use"] for row in lineage.read(folder)} - uses in (set(), {"shown"})
    assert uses <= {row["use"] for row in lineage.read(folder)}


@pytest.fixture
def about_ada(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's rows were trained on; the model is in production."""
    root = home(tmp_path / "home", "floor", "zero-shot", "lora", subject=True)
    monkeypatch.chdir(root)
    finished(root)
    shipped(root, "--contender", "zero-shot")
    shipped(root, "--contender", "lora")
    assert main(["registry", "promote", "tolls@2", "production"]) == 0
    return root


def test_erasing_blocks_what_holds_the_rows_and_says_what_is_left(about_ada, capsys):
    assert main(["registry", "erase", "--subject", "ada-7"]) == 0
    said = capsys.readouterr().out
    assert "tolls@2 (tolls@production): BLOCKED" in said
    assert main(["ask", "production", "What?"]) == 2
    assert "tolls@2 is blocked: it holds data that was erased" in capsys.readouterr().err
    assert main(["ask", "tolls@1", "What?"]) == 0
    [folder] = (about_ada / "reports").glob("erasure-*")
    plan = (folder / "retraining-plan.md").read_text()
    assert "evals/tolls/train.jsonl` line 1" in plan
    assert "advisor ship reports/tolls --contender lora --as tolls" in plan
    certificate = json.loads((folder / "certificate.json").read_text())
    assert len(certificate["versions"][0]["rows"]) == 2


def test_neither_log_nor_certificate_names_the_person(about_ada):
    assert main(["registry", "erase", "--subject", "ada-7"]) == 0
    written = [*(about_ada / "registry").glob("registry.*"),
               *(about_ada / "reports").glob("erasure-*/*")]
    assert len(written) == 5
    assert not [path for path in written if b"ada-7" in path.read_bytes()]


def test_what_was_erased_cannot_be_shipped_again_until_it_is_measured_without(about_ada, capsys):
    main(["registry", "erase", "--subject", "ada-7"])
    main(["registry", "promote", "tolls@1", "production"])
    main(["registry", "delete", "tolls@2"])
    assert "holds 2 rows that were erased" in refused(capsys, "--contender", "lora")
    path = about_ada / "evals/tolls/train.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[2:]) + "\n")
    finished(about_ada)
    shipped(about_ada, "--contender", "lora")


def test_erasing_again_adds_no_event(about_ada):
    for _ in range(2):
        main(["registry", "erase", "--subject", "ada-7"])
    kinds = [event.fields["kind"] for event in Registry(about_ada).log.read()]
    assert kinds.count("erased") == 1


@pytest.mark.usefixtures("about_ada")
def test_an_unknown_subject_is_no_erasure(capsys):
    capsys.readouterr()
    assert main(["registry", "erase", "--subject", "eve"]) == 2
    assert "no row and no document has the subject 'eve'" in capsys.readouterr().err


def test_a_manifest_that_lies_does_not_get_in(workspace, capsys):
    bundle = shutil.copytree(shipped(workspace), workspace / "copy")
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["metrics"]["value"] = 1.0
    (bundle / MANIFEST).chmod(0o644)
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    assert main(["registry", "import", "copy", "--as", "other"]) == 2
    assert "was changed after packing" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [
    ("contender", "floor"), ("recipe", "{}"), ("task", {"name": "tolls", "digest": "0" * 64}),
    ("files", None),
])
def test_a_manifest_that_lies_and_was_sealed_anew_contradicts_its_provenance(
    workspace, name, value, capsys
):
    bundle = shutil.copytree(shipped(workspace), workspace / "copy", copy_function=shutil.copyfile)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest[name] = value
    if name == "files":
        (bundle / "shots.jsonl").write_text("\n")
        manifest["files"] = {k: v for k, v in digests(bundle).items() if k != MANIFEST}
    (bundle / MANIFEST).write_text(_sealed(manifest))
    verify(bundle)
    assert main(["registry", "import", "copy", "--as", "other"]) == 2
    said = {"files": "is about another shots.jsonl"}.get(name, f"says another {name}")
    assert f"provenance.json {said} than the manifest" in capsys.readouterr().err


@pytest.mark.parametrize("content", [
    "", "[]", "null", '{"payload": [7]}', '{"payload": "W10="}', '{"payload": "!"}'])
def test_a_statement_that_is_none_is_refused(workspace, content, capsys):
    bundle = shutil.copytree(shipped(workspace), workspace / "copy", copy_function=shutil.copyfile)
    (bundle / "governance" / "provenance.json").write_text(content)
    manifest = json.loads((bundle / MANIFEST).read_text())
    manifest["files"] = {k: v for k, v in digests(bundle).items() if k != MANIFEST}
    (bundle / MANIFEST).write_text(_sealed(manifest))
    assert main(["registry", "import", "copy", "--as", "other"]) == 2
    assert "is no statement about this bundle" in capsys.readouterr().err


def traced(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["registry", "trace", "tolls@1"]) == 0
    return capsys.readouterr().out


def test_trace_says_who_signed_the_provenance(workspace, capsys):
    trusted(workspace)
    shipped(workspace, "--key", "tina")
    assert "provenance signed by tina\n" in traced(capsys)


def test_trace_says_when_nobody_here_knows_who_signed(workspace, capsys):
    trusted(workspace)
    (workspace / "trust.yaml").unlink()
    bundle = shutil.copytree(shipped(workspace, "--key", "eve"), workspace / "copy")
    shutil.rmtree(workspace / "registry")
    assert main(["registry", "import", str(bundle), "--as", "tolls"]) == 0
    assert "provenance signed by a key that is not known here" in traced(capsys)


def test_trace_says_that_nobody_signed(workspace, capsys):
    shipped(workspace)
    assert "provenance signed by nobody" in traced(capsys)
