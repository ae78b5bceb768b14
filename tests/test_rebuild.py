"""After an erasure: a version without the data where one can be made, and why not elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from material import toll
from shipping import finished, home
from test_trust import trusted

from advisor.cli import main
from advisor.data.digest import canonical
from advisor.ship.bundle import verify
from advisor.ship.governance import lineage
from advisor.ship.governance.provenance import opened
from advisor.ship.registry import Registry
from advisor.ship.registry_rebuild import _made
from advisor.ship.registry_verify import faults
from advisor.ship.trust import private_key, public_line, signed_by

# A person's rows are shown or trained on; a document about them is indexed.
MORE = {
    "nearest": "prompt: {shots: 4, select: nearest}\n",
    "hybrid": "retrieval: {kind: hybrid, top_k: 2}\n",
    "rag-lora": "retrieval: {kind: dense}\nweights: {kind: lora}\n",
}
ORDER = ("zero-shot", "nearest", "hybrid", "floor", "rag-lora")


@pytest.fixture(scope="module")
def measured_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = home(tmp_path_factory.mktemp("once") / "home", "floor", "zero-shot", "lora",
                subject=True)
    for name, text in MORE.items():
        (root / "baselines" / f"{name}.yaml").write_text(text)
    (root / "baselines" / "lora.yaml").unlink()
    for bridge, subject in (("oak", "ada-7"), ("fir", "cy-9")):
        page = root / "evals" / "tolls" / "corpus" / f"{bridge}.md"
        page.write_text(page.read_text().replace("title:", f"subject: {subject}\ntitle:"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finished(root)
        for name in ORDER:
            assert main(["ship", "reports/tolls-fake", "--contender", name, "--as", name]) == 0
    return root


@pytest.fixture
def workspace(measured_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = shutil.copytree(measured_once, tmp_path / "home")
    monkeypatch.chdir(root)
    return root


def erased(root: Path, *given: str) -> dict[str, dict]:
    """What the certificate says of each contender's version."""
    assert main(["registry", "erase", "--subject", "ada-7", *given]) == 0
    return {one["contender"]: one for one in certificate(root)["versions"]}


def certificate(root: Path) -> dict:
    [path] = root.glob("reports/erasure-*/certificate.json")
    return json.loads(path.read_text())


def test_an_index_is_rebuilt_without_the_erased_document_and_the_old_one_blocked(workspace):
    told = erased(workspace)["hybrid"]
    assert (told["version"], told["blocked"]) == ("hybrid@1", True)
    assert told["successor"]["version"] == "hybrid@2"
    registry = Registry(workspace)
    folder = registry.checkout("hybrid@2")
    assert verify(folder)["metrics"]["successor_of"] == told["id"]
    passages = (folder / "index" / "passages.jsonl").read_text().splitlines()
    assert len(passages) == len(np.load(folder / "index" / "vectors.npy")) == 39
    assert not [p for p in folder.rglob("*") if p.is_file() and b"oak" in p.read_bytes()
                and p.parent.name == "index"]
    assert faults(registry) == []


def test_the_new_version_answers_and_reads_what_is_left(workspace, capsys):
    erased(workspace)
    capsys.readouterr()
    assert main(["ask", "hybrid@2", "What is the toll of the ivy bridge?", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert toll("ivy") in answer["text"]
    assert main(["ask", "hybrid@2", "What is the toll of the oak bridge?", "--json"]) == 0
    assert toll("oak") not in capsys.readouterr().out


def test_solved_examples_are_taken_out_of_a_prompt_with_their_vectors(workspace):
    assert erased(workspace)["nearest"]["successor"]["version"] == "nearest@2"
    folder = Registry(workspace).checkout("nearest@2")
    shots = [json.loads(line) for line in (folder / "shots.jsonl").read_text().splitlines()]
    assert len(shots) == len(np.load(folder / "shots.npy")) == 10
    assert not {"q-acorn", "q-apple"} & {shot["question"]["id"] for shot in shots}
    assert main(["ask", "nearest@2", "What is the toll of the ivy bridge?"]) == 0


@pytest.mark.parametrize(("name", "why"), [
    ("floor", "what was erased was counted"), ("rag-lora", "what was erased was trained"),
])
def test_what_was_learnt_or_counted_has_no_new_version_and_the_reason_is_said(
    name, why, workspace, capsys
):
    told = erased(workspace)[name]
    assert told["blocked"]
    assert told["successor"] == {"version": None, "why": why}
    assert f"no version without them: {why}" in capsys.readouterr().out
    assert len([v for v in Registry(workspace).state().versions.values() if v.name == name]) == 1


def test_weights_tuned_beside_erased_documents_are_not_rebuilt(measured_once, tmp_path,
                                                               monkeypatch):
    root = shutil.copytree(measured_once, tmp_path / "home")
    monkeypatch.chdir(root)
    page = root / "evals" / "tolls" / "corpus" / "oak.md"
    page.write_text(page.read_text().replace("ada-7", "bob-8"))
    for folder in ("reports", "registry"):
        shutil.rmtree(root / folder)
    finished(root)
    main(["ship", "reports/tolls-fake", "--contender", "rag-lora"])
    assert main(["registry", "erase", "--subject", "bob-8"]) == 0
    [path] = root.glob("reports/erasure-*/certificate.json")
    [told] = json.loads(path.read_text())["versions"]
    assert told["successor"]["why"] == "its weights were tuned on prompts that held the documents"


def test_nothing_of_the_person_is_left_in_the_new_version(workspace):
    erased(workspace)
    registry = Registry(workspace)
    gone = registry.state().rows
    for name in ("hybrid@2", "nearest@2"):
        folder = registry.checkout(name)
        assert not {row["sha256"] for row in lineage.read(folder)} & gone
        assert not [p for p in folder.rglob("*") if p.is_file() and b"ada-7" in p.read_bytes()]
        said = (folder / "governance" / "model-card.md").read_text()
        assert "It was not measured" in said


def test_the_new_version_is_promoted_only_once_it_was_measured(workspace, capsys):
    main(["registry", "promote", "hybrid@1", "production"])
    erased(workspace)
    assert Registry(workspace).state().aliases["hybrid", "production"].version \
        == Registry(workspace).find("hybrid@1").id
    capsys.readouterr()
    assert main(["registry", "promote", "hybrid@2", "production"]) == 2
    assert "nobody has measured it" in capsys.readouterr().err
    assert main(["gate", "hybrid@2", "--against", "zero-shot@1", "--no-input"]) == 0
    gate = next(workspace.glob("reports/gate-*/gate.json"))
    assert main(["registry", "promote", "hybrid@2", "production", "--gate", str(gate)]) == 0


def test_erasing_again_makes_no_further_version(workspace):
    first = erased(workspace)
    assert erased(workspace) == first
    assert len(Registry(workspace).state().versions) == len(ORDER) + 2


def test_what_took_the_place_of_a_version_is_followed_when_it_was_blocked_too(workspace):
    erased(workspace)
    assert main(["registry", "erase", "--subject", "cy-9", "--out", "cy"]) == 0
    told = {one["version"]: one["successor"] for one in
            json.loads((workspace / "cy/certificate.json").read_text())["versions"]}
    assert told["hybrid@1"]["version"] == told["hybrid@2"]["version"] == "hybrid@3"
    passages = Registry(workspace).checkout("hybrid@3") / "index" / "passages.jsonl"
    assert len(passages.read_text().splitlines()) == 38


def test_documents_of_every_suffix_are_searched(workspace):
    (workspace / "evals/tolls/corpus/note.txt").write_text("---\nsubject: dan-3\n---\nDan.\n")
    assert main(["registry", "erase", "--subject", "dan-3"]) == 0
    assert [row["file"] for row in certificate(workspace)["rows"]] == [
        "evals/tolls/corpus/note.txt"]


def test_what_is_made_of_read_only_files_can_be_written(workspace, tmp_path):
    registry = Registry(workspace)
    one = registry.find("hybrid@1")
    gone = {row["sha256"] for row in lineage.read(registry.checkout("hybrid@1"))
            if row["file"] == "corpus/oak.md"}
    (tmp_path / "work").mkdir()
    _made(registry, one, gone, tmp_path / "work")
    made = [path for path in (tmp_path / "work" / "system").rglob("*") if path.is_file()]
    assert made
    assert all(path.stat().st_mode & 0o200 for path in made)


def test_a_damaged_version_is_blocked_all_the_same_and_the_damage_told(workspace):
    registry = Registry(workspace)
    one = registry.find("hybrid@1")
    path = registry.objects.path(one.files["index/passages.jsonl"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-2] + b"x\n")
    told = erased(workspace)["hybrid"]
    assert told["blocked"]
    assert "passages.jsonl" in told["successor"]["why"]


def test_the_store_is_not_written_through_its_links(workspace):
    registry = Registry(workspace)
    one = registry.find("hybrid@1")
    before = {sha: registry.objects.read(sha) for sha in one.files.values()}
    erased(workspace)
    assert {sha: registry.objects.read(sha) for sha in one.files.values()} == before


def test_the_plan_names_the_version_and_how_to_measure_it(workspace):
    erased(workspace)
    [path] = workspace.glob("reports/erasure-*/retraining-plan.md")
    assert "`advisor gate hybrid@2 --against VERSION`" in path.read_text()


# ------------------------------------------------------------------ under a trust file


@pytest.fixture
def under_trust(workspace: Path) -> Path:
    """Tina, a trainer, shipped it; abe and both may approve."""
    shutil.rmtree(workspace / "registry")
    trusted(workspace)
    assert main(["ship", "reports/tolls-fake", "--contender", "hybrid", "--as", "hybrid",
                 "--key", "tina"]) == 0
    return workspace


@pytest.mark.parametrize(("key", "said"), [
    (["--key", "tina"], "tina is trainer"), (["--key", "aud"], "aud is auditor"),
    (["--key", "eve"], "its public key is not in"), ([], "demands a signature"),
])
def test_only_an_approver_erases(under_trust, key, said, capsys):
    before = len(Registry(under_trust).log.read())
    capsys.readouterr()
    assert main(["registry", "erase", "--subject", "ada-7", *key]) == 2
    assert said in capsys.readouterr().err
    assert len(Registry(under_trust).log.read()) == before
    assert not list(under_trust.glob("reports/erasure-*"))


def test_an_erasure_is_signed_from_its_event_to_its_certificate(under_trust):
    erased(under_trust, "--key", "abe")
    registry = Registry(under_trust)
    abe = public_line(private_key(under_trust / "abe"))
    assert faults(registry) == []
    assert {event.fields["actor"]["name"] for event in registry.log.read()[1:]} == {"abe"}
    body = certificate(under_trust)
    signed = body.pop("signed")
    assert signed["key"] == abe
    assert signed_by(abe, canonical(body).encode(), signed["signature"])
    proof = registry.checkout("hybrid@2") / "governance" / "provenance.json"
    assert opened(json.loads(proof.read_text()), abe) is not None


def test_nobody_promotes_alone_what_their_own_erasure_made(under_trust, capsys):
    erased(under_trust, "--key", "abe")
    gate = under_trust / "gate.json"
    gate.write_text(json.dumps({"candidate": Registry(under_trust).find("hybrid@2").id,
                                "result": "pass"}))
    promote = ["registry", "promote", "hybrid@2", "production", "--gate", "gate.json", "--key"]
    capsys.readouterr()
    assert main([*promote, "abe"]) == 2
    assert "registered by abe, and production demands a second person" in capsys.readouterr().err
    assert main([*promote, "both"]) == 0
