"""Every file of baselines/ ships, verifies, and answers elsewhere as it was measured."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from behind import Reply, Server, behind, said
from material import BASELINES, ROOT, TASK, TEST, TRAIN, row, shipped, toll, write_rows, write_task
from processes import fresh
from shipping import DECLARED, SETTINGS
from standing import standing

from advisor.cli import main
from advisor.core import Question
from advisor.data.task import load_task
from advisor.ship.bundle import digests, verify
from advisor.ship.measured import measured
from advisor.ship.registry import Registry
from advisor.ship.registry_verify import faults

openai = pytest.importorskip("openai")

TASKS = ("free", "json", "choices")
ENDPOINT = """\
endpoints:
  local: {url: "%s", model: big, api_key_env: BIG_KEY, context_length: 100000,
    usd_per_million_in: 0, usd_per_million_out: 0, retries: 0}
"""
KEY = "sk-planted-91d0"


@dataclass(frozen=True, slots=True)
class Shipped:
    """A contender's bundle, what the journal holds of it, and what a fresh process says."""

    folder: Path
    version: str
    asked: tuple[Question, ...]
    journal: Mapping[str, str]
    fresh: Mapping[str, str]


def speak(_: int, body: dict[str, Any]) -> Reply:
    """Like the fake engine, as the model `big` of somebody else's server."""
    text = body["messages"][-1]["content"].split("Question:")[-1].strip()
    status, headers, content = said(f"{len(text)} pence, höchstens")
    return status, headers, json.dumps(
        {**json.loads(content), "model": "big-1", "system_fingerprint": "fp_7"}).encode()


def write_tasks(root: Path) -> None:
    """The small task three times, its answers in each form that decoding is held to."""
    for form in TASKS:
        folder = write_task(root / "evals" / form)
        text = TASK.replace("name: tolls", f"name: {form}") + DECLARED
        (folder / "task.yaml").write_text(text, encoding="utf-8")
        for split in ("train", "dev", "test"):
            path = folder / f"{split}.jsonl"
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            for one in rows:
                if form == "json":
                    one["targets"] = [json.dumps({"toll": one["targets"][0]})]
                if form == "choices":
                    one["choices"] = ["nothing", one["targets"][0]]
            write_rows(path, rows)
        write_rows(folder / "preferences.jsonl", [
            {"prompt": row(bridge)["text"], "chosen": toll(bridge), "rejected": "nothing"}
            for bridge in TRAIN] if form == "free" else [])


@pytest.fixture(scope="module")
def served_elsewhere() -> Iterator[Server]:
    with behind(speak) as server:
        yield server


@pytest.fixture(scope="module")
def workspace(
    served_elsewhere: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("all") / "home"
    write_tasks(root)
    shutil.copytree(ROOT / "baselines", root / "baselines")
    (root / "evals" / "retention").mkdir()
    for path in (ROOT / "evals" / "retention").glob("grammar.*"):
        shutil.copy(path, root / "evals" / "retention")
    settings = f"{SETTINGS}retention: [grammar]\n{ENDPOINT % served_elsewhere.url}"
    (root / "advisor.yaml").write_text(settings, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("BIG_KEY", KEY)
        yield root


@pytest.fixture(scope="module")
def all_shipped(workspace: Path) -> dict[str, Shipped]:
    """Run, ship, and ask in a process of its own."""
    registry, found = Registry(workspace), dict[str, Any]()
    for form in TASKS:
        names = [name for name in BASELINES if shipped(name).decoding.kind == form]
        chosen = [arg for name in names for arg in ("--contender", name)]
        assert main(["run", form, "--engine", "fake", "--no-input", *chosen]) == 0
        run = workspace / "reports" / f"{form}-fake"
        task = load_task(workspace / "evals" / form)
        asked = tuple(example.question for example in task.test)
        for name in names:
            assert main(["ship", str(run), "--contender", name, "--as", name]) == 0
            answers, _ = measured(run, name).answers(task)
            found[name] = (registry.checkout(name), asked,
                           {key: one.text for key, one in answers.items()})
    said = fresh({name: one[:2] for name, one in found.items()})
    return {name: Shipped(folder, f"{name}@1", asked, journal, said[name])
            for name, (folder, asked, journal) in found.items()}


@pytest.mark.parametrize("name", BASELINES)
def test_what_ships_verifies_and_answers_in_a_fresh_process_as_the_journal_says(name, all_shipped):
    one = all_shipped[name]
    assert verify(one.folder)["contender"] == name
    assert len(one.journal) == len(TEST)
    assert dict(one.fresh) == dict(one.journal)


@pytest.mark.parametrize("name", BASELINES)
def test_what_ships_answers_the_openai_client_as_the_journal_says(name, all_shipped):
    one = all_shipped[name]
    with standing(one.folder) as server:
        client = openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60)
        said = {
            asked.id: client.chat.completions.create(
                model="tolls", messages=[{"role": "user", "content": asked.text}],
                extra_body={"choices": list(asked.choices)} if asked.choices else {},
            ).choices[0].message.content
            for asked in one.asked[:6]
        }
    assert said == {key: one.journal[key] for key in said}


def test_the_registry_that_holds_them_all_is_sound(workspace, all_shipped):
    assert faults(Registry(workspace)) == []
    assert len(all_shipped) == len(BASELINES)


def test_the_bill_of_materials_of_every_kind_is_cyclonedx_1_6(all_shipped):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    strict = JsonStrictValidator(SchemaVersion.V1_6)
    for name, one in all_shipped.items():
        text = (one.folder / "governance" / "mlbom.cdx.json").read_text("utf-8")
        assert strict.validate_str(text) is None, name


# ------------------------------------------------------------------ weights elsewhere


def test_a_bundle_without_its_weights_says_so_and_names_who_answered(all_shipped):
    folder = all_shipped["served"].folder
    told = verify(folder)["endpoint"]
    assert (told["name"], told["model"], told["api_key_env"]) == ("local", "big", "BIG_KEY")
    assert told["answered_as"] == [{"model": "big-1", "fingerprint": "fp_7"}]
    assert "not in this bundle and cannot be verified" in told["weights"]
    card = (folder / "governance" / "model-card.md").read_text("utf-8")
    assert "cannot be verified" in card
    assert "base_model" not in card


def test_a_bundle_with_its_weights_names_no_endpoint(all_shipped):
    assert verify(all_shipped["lora"].folder)["endpoint"] == {}


def test_the_key_of_the_endpoint_stands_in_no_file(workspace, all_shipped, served_elsewhere):
    assert all_shipped
    assert set(served_elsewhere.keys) == {f"Bearer {KEY}"}
    found = [path for path in workspace.rglob("*")
             if path.is_file() and KEY.encode() in path.read_bytes()]
    assert found == []


def test_trace_names_the_endpoint(all_shipped, capsys):
    capsys.readouterr()
    assert main(["registry", "trace", all_shipped["served"].version]) == 0
    assert "endpoint local: big at http://127.0.0.1" in capsys.readouterr().out


def test_where_the_endpoint_is_not_set_up_its_bundle_says_what_to_add(
    all_shipped, tmp_path, monkeypatch, capsys
):
    bundle = shutil.copytree(all_shipped["served"].folder, tmp_path / "bundle")
    monkeypatch.chdir(tmp_path)
    assert main(["ask", str(bundle), "What?"]) == 2
    said = capsys.readouterr().err
    assert "no advisor.yaml here has one of that name" in said
    assert "local: {url: http://127.0.0.1" in said


def test_an_endpoint_that_answers_otherwise_now_is_not_shipped(
    all_shipped, served_elsewhere, monkeypatch, capsys
):
    assert all_shipped
    monkeypatch.setattr(served_elsewhere, "reply", lambda *_: said("another model"))
    capsys.readouterr()
    assert main(["ship", "reports/free-fake", "--contender", "served"]) == 3
    assert "differs from what was measured on 24 of 24 test rows" in capsys.readouterr().err


def test_a_served_endpoint_that_fails_is_the_gateways_fault(
    all_shipped, served_elsewhere, monkeypatch
):
    with standing(all_shipped["served"].folder) as server:
        monkeypatch.setattr(served_elsewhere, "reply", lambda *_: (500, {}, b"{}"))
        status, body = server.ask("What?")
        assert (status, body["error"]["code"]) == (502, "endpoint_failed")
        monkeypatch.undo()


def test_no_secret_of_an_address_gets_into_a_bundle():
    from advisor.config import EndpointFile, Recipe
    from advisor.ship.elsewhere import identity

    recipe = Recipe.model_validate({"weights": {"kind": "endpoint", "name": "local"}})
    given = EndpointFile(url="https://me:secret@[::1]:8443/v1?key=secret#secret", model="m",
                         usd_per_million_in=0, usd_per_million_out=0)
    assert identity(recipe, {"local": given})["url"] == "https://[::1]:8443/v1"


# ------------------------------------------------------------------ code of one's own


def test_code_of_ones_own_is_not_shipped_and_what_to_do_is_said(workspace, all_shipped, capsys):
    assert all_shipped
    (workspace / "mine.py").write_text(
        "class System:\n    def answer(self, questions):\n        return ['1'] * len(questions)\n")
    (workspace / "baselines" / "mine.yaml").write_text(
        "weights: {kind: own, system: './mine.py:System'}\n")
    before = digests(workspace / "registry" / "objects")
    assert main(["run", "free", "--engine", "fake", "--no-input", "--contender", "mine",
                 "--contender", "floor", "--out", "other"]) == 0
    capsys.readouterr()
    assert main(["ship", "other/free-fake", "--contender", "mine"]) == 2
    said = capsys.readouterr().err
    assert "mine is code of your own (./mine.py:System)" in said
    assert "serve it as an OpenAI-compatible endpoint" in said
    assert digests(workspace / "registry" / "objects") == before
