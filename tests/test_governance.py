"""The documents of a bundle: what other tools read of them, and what they do not claim."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from shipping import finished, home

from advisor.cli import main
from advisor.ship.bundle import digests, verify
from advisor.ship.governance.annex import annex_iv
from advisor.ship.governance.bom import bom
from advisor.ship.governance.card import datasheet, model_card
from advisor.ship.governance.facts import Facts, Training
from advisor.ship.governance.provenance import opened, statement
from advisor.ship.registry import Registry
from advisor.ship.trust import private_key, public_line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shipped bundle of a tuned contender, signed."""
    root = home(tmp_path_factory.mktemp("governance") / "home", "floor", "zero-shot", "lora")
    key = Ed25519PrivateKey.generate()
    (root / "key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8,
                                                 NoEncryption()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run = finished(root)
        assert main(["ship", str(run), "--contender", "lora", "--key", "key"]) == 0
    return Registry(root).checkout("tolls@1")


@pytest.fixture(scope="module")
def facts(folder: Path) -> Facts:
    """What the documents of `folder` were made from."""
    import dataclasses

    from advisor.config import TaskFile
    from advisor.ship.governance.lineage import read
    from advisor.ship.measured import measured
    from advisor.workspace import Workspace
    from advisor.yamlfiles import load

    root = folder.parents[2]
    one = measured(root / "reports" / "tolls-fake", "lora")
    settings = Workspace(root).settings()
    parity = json.loads((folder / "governance/parity.json").read_text())
    assert {f.name for f in dataclasses.fields(Training)} < set(
        json.loads((folder / "governance/compute.json").read_text()))
    return Facts(
        contender="lora", recipe=one.recipe, run=one.run, verdict=one.verdict,
        standing=one.standing, task=load(root / "evals/tolls/task.yaml", TaskFile),
        declared=settings.governance, files=one.files, rows=tuple(read(folder) or ()),
        parity=parity, training=Training(1000, 1.0, 100, 6e5, None),
        base_origin="made up", scan={"state": "not scanned", "why": "no scanner"},
        seed=0,
    )


def test_every_document_is_in_the_manifest(folder):
    documents = {name for name in verify(folder)["files"] if name.startswith("governance/")}
    assert {Path(name).name for name in documents} == {
        "annex-iv.json", "compute.json", "datasheet.md", "lineage.jsonl", "mlbom.cdx.json",
        "model-card.md", "parity.json", "provenance.json"}


def test_the_hub_reads_the_model_card(folder):
    from huggingface_hub import ModelCard

    card = ModelCard.load(folder / "governance" / "model-card.md")
    assert card.data.base_model == "fake"
    assert card.data.get("base_model_relation") == "adapter"
    [first, *_] = card.data.eval_results
    assert (first.metric_type, first.dataset_split) == ("contains", "test")
    assert 0 <= first.metric_args["low"] <= first.metric_value <= first.metric_args["high"] <= 1


def test_the_bill_of_materials_is_cyclonedx_1_6(folder):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (folder / "governance" / "mlbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    broken = text.replace('"specVersion": "1.6"', '"specVersion": "1.6", "nonsense": 1')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_the_bill_names_every_part_with_its_digest(folder):
    found = json.loads((folder / "governance" / "mlbom.cdx.json").read_text())
    hashes = {part["name"]: part["hashes"][0]["content"] for part in found["components"]
              if part["type"] == "file"}
    assert hashes == {name: sha for name, sha in digests(folder).items()
                      if not name.startswith("governance/") and name != "manifest.json"}
    assert {"machine-learning-model", "data", "library", "file"} == {
        part["type"] for part in found["components"]}


def test_a_bill_without_any_declared_licence_is_valid_too(facts):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bare = replace(facts, declared=type(facts.declared)(),
                   task=facts.task.model_copy(update={"licence": "", "source": ""}))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom(bare))) is None


def test_provenance_is_signed_over_every_other_file(folder):
    envelope = json.loads((folder / "governance" / "provenance.json").read_text())
    key = public_line(private_key(folder.parents[2] / "key"))
    statement = opened(envelope, key)
    assert statement is not None
    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    left_out = {"manifest.json", "governance/provenance.json"}
    assert subjects == {k: v for k, v in digests(folder).items() if k not in left_out}


def test_provenance_that_was_changed_or_signed_by_another_does_not_open(folder):
    envelope = json.loads((folder / "governance" / "provenance.json").read_text())
    mine = public_line(private_key(folder.parents[2] / "key"))
    other = public_line(Ed25519PrivateKey.generate())
    assert opened(envelope, other) is None
    changed = {**envelope, "payload": envelope["payload"][:-8] + "AAAAAAA="}
    assert opened(changed, mine) is None
    assert opened({**envelope, "signatures": []}, mine) is None


def test_no_document_says_compliant(folder):
    for path in (folder / "governance").iterdir():
        assert "complian" not in path.read_text().casefold()
        assert "conform to" not in path.read_text().casefold()


def test_the_annex_fills_only_what_has_evidence(folder):
    annex = json.loads((folder / "governance" / "annex-iv.json").read_text())
    states = {one["clause"]: one["state"] for one in annex["clauses"]}
    assert set(states.values()) == {"filled", "needs a human"}
    assert states["1(a)"] == states["2(d)"] == "filled"
    assert states["2(g)"] == "needs a human"  # a run on the fake engine is not final
    for one in annex["clauses"]:
        assert bool(one["evidence"]) or one["state"] == "needs a human"
        assert all((folder / "governance" / name).is_file() for name in one["evidence"])


def test_what_is_not_declared_needs_a_human(facts):
    bare = replace(facts, task=facts.task.model_copy(update={"legal_basis": ""}))
    clauses = {one["clause"]: one for one in annex_iv(bare, ["datasheet.md"])["clauses"]}
    assert clauses["2(d)"]["state"] == "needs a human"
    assert "legal_basis" in clauses["2(d)"]["missing"]


def test_the_share_of_compute_is_known_only_when_the_base_is_declared(facts):
    assert "not known" in model_card(facts)
    work = replace(facts.training, base_flops=1e6)
    assert work.ratio == pytest.approx(0.6)
    found = annex_iv(replace(facts, training=work), [])["tuning_compute"]
    assert found["above_threshold"] is True
    assert "above one third" in model_card(replace(facts, training=work))


def test_slices_are_told_with_their_intervals(facts):
    whole = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 12}
    one = {"contender": "lora", "column": "region", "value": "north", "quality": whole,
           "gap": {**whole, "value": -0.2}}
    told = replace(facts, verdict={**facts.verdict, "slices": [one, {**one, "contender": "rag"}]})
    assert "| region: north | 0.500 | 0.400 to 0.600 | 12 | -0.200" in model_card(told)
    assert annex_iv(told, [])["slices"] == [one]


def test_a_scan_counts_kinds_and_keeps_no_value(facts):
    told = replace(facts, scan={"state": "scanned", "found": {"IBANs": 2}, "note": "names: no"})
    assert "personal data scan: 2 IBANs; names: no" in datasheet(told)


def test_what_was_not_measured_is_said_to_be_so(folder):
    annex = json.loads((folder / "governance" / "annex-iv.json").read_text())
    assert annex["personal_data"]["scan"]["state"] in ("scanned", "not scanned")
    assert annex["slices"] == "not measured"
    assert "whether quality differs between groups is not known" in (
        folder / "governance/model-card.md").read_text()


def test_what_weights_give_away_stands_in_the_card_and_the_list_of_evidence(facts):
    share = {"value": 0.7, "low": 0.6, "high": 0.8, "n": 200}
    found = {"auc": share, "caught": 0.1, "extracted": share, "guessed": share, "excess": share,
             "state": "found", "by_heart": None}
    tested = replace(facts, verdict={**facts.verdict, "leakage": {"lora": found}})
    assert "Training rows: found by membership (area under the curve 0.70)" in model_card(tested)
    assert "was not tested" in model_card(facts)
    assert annex_iv(tested, ())["leakage_from_weights"]["auc"] == share
    assert annex_iv(facts, ())["leakage_from_weights"]["state"] == "not tested"


def test_a_contender_at_another_seed_is_told_with_that_seed(facts):
    other = replace(facts, contender="lora@2", seed=2)
    made = statement(other, {})["predicate"]["buildDefinition"]["externalParameters"]
    assert (made["contender"], made["seed"]) == ("lora@2", 2)
    assert "seed 2" in model_card(other)
    assert other.name == "tolls-lora-2"  # what an export is called; @ is in no name elsewhere
