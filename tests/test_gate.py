"""The gate on fakes: every kind of candidate, every state, and nothing measured twice."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml
from material import RECIPES, ROOT, TEST, row, tiny_model, toll, write_rows, write_task

from advisor.cli import main
from advisor.data.digest import digest
from advisor.gate.outputs import VERSION
from advisor.ship.bundle import digests

SETTINGS = """\
latency_probe: 1
retention: [last_word]
policy: {quality_margin: 0.3, retention_margin: 0.3}
"""
ALL = {**RECIPES, "rag-3": "retrieval: {kind: dense, top_k: 3}\n"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a finished run on the fake engine; its winner retrieves."""
    root = tmp_path_factory.mktemp("gate") / "home"
    write_task(root / "evals" / "tolls")
    shutil.copytree(ROOT / "evals" / "retention", root / "evals" / "retention")
    (root / "advisor.yaml").write_text(SETTINGS, encoding="utf-8")
    (root / "baselines").mkdir()
    for name in ("floor", "zero-shot", "rag", "rag-3"):
        (root / "baselines" / f"{name}.yaml").write_text(ALL[name], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        assert main(["run", "tolls", "--engine", "fake", "--no-input"]) == 0
    return root


@pytest.fixture
def home(measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "home"
    shutil.copytree(measured, root)
    monkeypatch.chdir(root)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return root


RUN = "reports/tolls-fake"


# The prices of `rag` and `rag-3` are those of a clock, so either may be the winner.
CHAMPION = ("--against", RUN, "--against-contender", "rag")


PLAIN = ("--against-contender", "zero-shot")  # the later one of two counts


def gate(candidate: str, *given: str) -> int:
    return main(["gate", candidate, *CHAMPION, "--no-input", *given])


SCHEMA = json.loads((ROOT / "advisor" / "gate" / "gate.schema.json").read_text("utf-8"))


def found(home: Path) -> dict[str, Any]:
    text = (home / "reports" / "gate-tolls" / "gate.json").read_text(encoding="utf-8")
    told: dict[str, Any] = json.loads(text)
    jsonschema.validate(told, SCHEMA)
    return told


def states(home: Path) -> dict[str, str]:
    return {check["name"]: check["state"] for check in found(home)["checks"]}


def refused(capsys: pytest.CaptureFixture[str], candidate: str, *given: str) -> str:
    capsys.readouterr()
    assert gate(candidate, *given) == 2
    said = capsys.readouterr().err
    assert "\n  fix: " in said
    return said


def adapter(folder: Path, *, right: bool, base: str = "fake", **config: Any) -> Path:
    """An adapter folder as another trainer leaves it, for the fake engine."""
    folder.mkdir()
    described = {"peft_type": "LORA", "base_model_name_or_path": base, "r": 4, "lora_alpha": 8}
    (folder / "adapter_config.json").write_text(json.dumps({**described, **config}))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    learnt = [[row(one)["text"], toll(one) if right else "no idea"] for one in TEST]
    (folder / "fake_adapter.json").write_text(json.dumps({"learnt": learnt}))
    (folder / "README.md").write_text("made elsewhere")
    (folder / "optimizer.pt").write_bytes(b"never read")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


# ------------------------------------------------------------------ states


def test_the_champion_itself_passes_whatever_the_rows_can_show(home):
    edit(home / "advisor.yaml", "quality_margin: 0.3", "quality_margin: 0.01")
    assert gate(RUN, "--contender", "rag") == 0
    assert set(states(home).values()) == {"pass"}


def test_an_equal_contender_passes(home):
    assert gate(RUN, "--contender", "rag-3") == 0
    assert found(home)["rows"]["worse"] == 0


def test_an_equal_contender_is_inconclusive_when_the_rows_cannot_show_it(home):
    edit(home / "advisor.yaml", "quality_margin: 0.3", "quality_margin: 0.02")
    assert gate(RUN, "--contender", "rag-3") == 4
    assert states(home)["quality"] == "inconclusive"


def test_a_worse_contender_fails_and_its_rows_are_listed(home):
    assert gate(RUN, "--contender", "zero-shot") == 3
    told = found(home)
    assert told["result"] == "fail"
    assert told["rows"]["worse"] == len(told["rows"]["regressed"]) == len(TEST)


def test_a_latency_over_the_limit_fails(home):
    edit(home / "evals/tolls/task.yaml", "calls_per_month: 1000",
         "calls_per_month: 1000, latency_limit_ms: 0.000001")
    assert gate(RUN) == 3
    assert states(home)["latency"] == "fail"


# ------------------------------------------------------------------ candidates


def test_a_bundle_passes_against_its_own_run(home):
    assert gate(f"{RUN}/winner") == 0
    assert found(home)["sides"]["candidate"]["kind"] == "bundle"


def test_a_bundle_far_from_its_run_is_asked_again_and_passes(home, tmp_path):
    shutil.copytree(home / RUN / "winner", tmp_path / "bundle")
    assert gate(str(tmp_path / "bundle")) == 0
    assert any("candidate was measured" in note for note in found(home)["notes"])


def test_a_changed_bundle_is_refused(home, tmp_path, capsys):
    shutil.copytree(home / RUN / "winner", tmp_path / "bundle")
    edit(tmp_path / "bundle" / "system.json", '"top_k": ', '"top_k": 1')
    assert "system.json: its content is not what" in refused(capsys, str(tmp_path / "bundle"))


def test_a_good_adapter_passes_with_the_prompt_of_the_champion(home, tmp_path):
    made = adapter(tmp_path / "good", right=True)
    assert gate(str(made), *PLAIN) == 0
    told = found(home)
    assert "prompt and the retrieval are those of the champion zero-shot" in told["notes"][0]
    assert told["sides"]["candidate"]["mean"] == 1.0
    assert told["sides"]["candidate"]["axes"]["weights"] == "LoRA r=4"
    assert set(told["sides"]["candidate"]["files"]) == {
        "adapter_config.json", "adapter_model.safetensors", "fake_adapter.json"
    }


def test_a_bad_adapter_fails_on_the_task(home, tmp_path):
    assert gate(str(adapter(tmp_path / "bad", right=False))) == 3
    assert states(home)["quality"] == "fail"


def test_an_adapter_that_forgets_fails_on_forgetting(home, tmp_path):
    # The fake engine scores at random: a margin far below its noise stands for forgetting.
    edit(home / "advisor.yaml", "retention_margin: 0.3", "retention_margin: 0.0")
    assert gate(str(adapter(tmp_path / "good", right=True)), *PLAIN) in (3, 4)
    assert states(home)["forgetting"] != "pass"


def test_an_adapter_of_another_base_is_refused_and_can_be_let_in(home, tmp_path, capsys):
    made = adapter(tmp_path / "good", right=True, base="someone/other-7b")
    said = refused(capsys, str(made))
    assert "names its base 'someone/other-7b', the champion's is 'fake'" in said
    assert "--any-base" in said
    assert gate(str(made), "--any-base", *PLAIN) == 0
    assert any("base was not checked" in note for note in found(home)["notes"])


def test_a_tokenizer_beside_an_adapter_is_not_used_and_that_is_said(home, tmp_path):
    made = adapter(tmp_path / "good", right=True)
    (made / "chat_template.jinja").write_text("{{ other }}")
    assert gate(str(made), *PLAIN) == 0
    assert any("tokenizer of its own" in note for note in found(home)["notes"])


def test_two_tasks_are_not_compared_unless_one_is_named(home, capsys):
    shutil.copytree(home / "evals" / "tolls", home / "evals" / "tools")
    edit(home / "evals" / "tools" / "task.yaml", "name: tolls", "name: tools")
    edit(home / RUN / "run.yaml", "name: tolls\n", "name: tools\n")
    shutil.copytree(home / RUN / "winner", home / "bundle")
    assert "for task 'tolls', the champion for 'tools'" in refused(capsys, "bundle")
    assert gate("bundle", "--task", "tolls") == 0


@pytest.mark.parametrize(("config", "fault"), [
    ({"peft_type": "PREFIX_TUNING"}, "expected LORA"),
    ({"megatron_config": {"a": 1}}, "makes a loader run code"),
], ids=["kind", "code"])
@pytest.mark.usefixtures("home")
def test_an_adapter_that_cannot_be_trusted_is_refused(tmp_path, capsys, config, fault):
    assert fault in refused(capsys, str(adapter(tmp_path / "odd", right=True, **config)))


@pytest.mark.usefixtures("home")
def test_an_adapter_without_safetensors_is_refused(tmp_path, capsys):
    made = adapter(tmp_path / "odd", right=True)
    (made / "adapter_model.safetensors").rename(made / "adapter_model.bin")
    assert "has no adapter_model.safetensors" in refused(capsys, str(made))


@pytest.mark.usefixtures("home")
def test_an_adapter_cannot_be_the_champion(tmp_path, capsys):
    made = adapter(tmp_path / "good", right=True)
    assert main(["gate", RUN, "--against", str(made)]) == 2
    assert "it has no prompt" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_a_merged_model_whose_config_names_code_is_refused(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    assert "'auto_map' makes a loader run code" in refused(capsys, str(tmp_path))


@pytest.mark.usefixtures("home")
def test_a_folder_that_is_nothing_says_what_it_could_be(tmp_path, capsys):
    said = refused(capsys, str(tmp_path))
    assert "is neither a run (run.yaml and journal.db), a bundle" in said
    assert "no such folder" in refused(capsys, str(tmp_path / "nowhere"))


def test_a_run_without_a_winner_lists_its_contenders(home, capsys):
    told = json.loads((home / RUN / "verdict.json").read_text())
    (home / RUN / "verdict.json").write_text(json.dumps({**told, "winner": None}))
    assert "it measured floor" in refused(capsys, RUN)
    assert "did you mean 'rag-3'" in refused(capsys, RUN, "--contender", "rag33")


# ------------------------------------------------------------------ nothing twice


def test_what_a_run_holds_is_read_without_its_files(home):
    shutil.rmtree(home / RUN / "contenders")
    shutil.rmtree(home / RUN / "winner")
    assert gate(RUN, "--contender", "zero-shot") == 3


def test_reading_a_run_does_not_change_it(home):
    before = (home / RUN / "run.yaml").read_bytes(), (home / RUN / "verdict.json").read_bytes()
    assert gate(RUN, "--contender", "rag-3") == 0
    after = (home / RUN / "run.yaml").read_bytes(), (home / RUN / "verdict.json").read_bytes()
    assert after == before


def test_a_new_test_row_is_asked_and_the_others_are_not(home, monkeypatch):
    from advisor.engines.fake import FakeEngine

    asked: list[int] = []
    generate = FakeEngine.generate

    def listening(self: FakeEngine, prompts: Any, **more: Any) -> Any:
        asked.append(len(prompts))
        return generate(self, prompts, **more)

    rows = [row(one) for one in TEST]
    write_rows(home / "evals/tolls/test.jsonl", [*rows, row(TEST[0], id="new")])
    monkeypatch.setattr(FakeEngine, "generate", listening)
    assert gate(RUN, "--contender", "rag-3") == 0
    assert asked == [1, 1]  # the new row, once for each side
    assert gate(RUN, "--contender", "rag-3") == 0
    assert asked == [1, 1]


@pytest.mark.usefixtures("home")
def test_an_adapter_is_asked_once_however_often_it_is_gated(tmp_path, monkeypatch):
    from advisor.engines.fake import FakeEngine

    made = adapter(tmp_path / "good", right=True)
    assert gate(str(made), *PLAIN) == 0
    monkeypatch.setattr(FakeEngine, "generate", None)
    monkeypatch.setattr(FakeEngine, "score", None)
    assert gate(str(made), *PLAIN) == 0


def test_fail_fast_scores_no_suite_for_a_candidate_that_fails_on_the_task(home, tmp_path,
                                                                          monkeypatch):
    from advisor.engines.fake import FakeEngine

    made = str(adapter(tmp_path / "bad", right=False))
    score = FakeEngine.score
    monkeypatch.setattr(FakeEngine, "score", None)
    assert gate(made, "--fail-fast") == 3
    assert states(home) == {"answers": "pass", "quality": "fail", "forgetting": "inconclusive"}
    page = (home / "reports/gate-tolls/gate.html").read_text("utf-8")
    assert "Not scored: the task alone shows that the candidate fails." in page
    monkeypatch.setattr(FakeEngine, "score", score)
    assert gate(made) == 3  # without it the same answers are judged, and the suites scored
    assert found(home)["checks"][2]["figures"]["n"] > 0


def test_fail_fast_scores_everything_for_a_candidate_that_may_pass(home, tmp_path):
    made = str(adapter(tmp_path / "good", right=True))
    assert gate(made, "--fail-fast", *PLAIN) == 0
    assert found(home)["checks"][2]["figures"]["n"] > 0


# ------------------------------------------------------------------ outputs


def test_the_record_names_files_by_digest_and_a_bundle_by_its_manifest(home):
    assert gate(RUN, "--contender", "zero-shot") == 3
    told = found(home)
    files = digests(home / RUN / "contenders" / "zero-shot" / "system")
    assert told["candidate"] == digest(files)
    assert told["candidate"] != told["against"]
    assert gate(f"{RUN}/winner") == 0
    manifest = (home / RUN / "winner" / "manifest.json").read_bytes()
    assert found(home)["candidate"] == hashlib.sha256(manifest).hexdigest()
    assert told["version"] == VERSION
    assert told["policy"]["quality_margin"] == 0.3
    assert told["at"].endswith("+00:00")


def test_power_is_stated(home):
    assert gate(RUN, "--contender", "rag-3") == 0
    [quality] = [one for one in found(home)["checks"] if one["name"] == "quality"]
    assert quality["figures"]["fails_from"] > 0.3
    assert "would fail four times in five" in quality["says"]


def test_junit_has_a_case_a_check_and_a_failure_for_what_must_not_ship(home):
    assert gate(RUN, "--contender", "zero-shot") == 3
    suite = ElementTree.parse(home / "reports/gate-tolls/gate.junit.xml").getroot()
    assert [case.get("name") for case in suite] == ["answers", "quality", "forgetting"]
    assert [one.get("type") for one in suite.iter("failure")] == ["fail"]
    assert suite.get("failures") == "1"


@pytest.mark.usefixtures("home")
def test_the_step_summary_is_appended_to_when_ci_names_one(tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert gate(RUN, "--contender", "zero-shot") == 3
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n## Gate: zero-shot against rag on tolls")
    assert "24 rows got worse (the first 10 of 24)" in text


@pytest.mark.usefixtures("home")
def test_json_is_alone_on_standard_output(capsys):
    assert gate(RUN, "--contender", "zero-shot", "--json") == 3
    assert json.loads(capsys.readouterr().out)["result"] == "fail"


def test_the_page_shows_regressed_rows_first_and_hostile_text_as_text(home, tmp_path):
    made = adapter(tmp_path / "bad", right=False)
    learnt = [[row(one)["text"], "<script>alert(1)</script>"] for one in TEST]
    (made / "fake_adapter.json").write_text(json.dumps({"learnt": learnt}))
    assert gate(str(made)) == 3
    page = (home / "reports/gate-tolls/gate.html").read_text(encoding="utf-8")
    assert page.index("Rows, the worst regression first") < page.index("Forgetting</h2>")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    text = (home / "reports/gate-tolls/gate.md").read_text(encoding="utf-8")
    assert "<script>" not in text


def test_a_champion_that_is_nothing_is_a_usage_error(home, capsys):
    assert "neither a run" in refused(capsys, RUN, "--against", str(home))


# ------------------------------------------------------------------ what is promised elsewhere


def commands(text: str) -> list[list[str]]:
    found = re.findall(r"^(?: {4}|.*run: )advisor (gate .*)$", text, flags=re.MULTILINE)
    # NAME@ALIAS stands in a registry, which these folders have not: tests/test_ship.py runs it.
    return [shlex.split(one) for one in found if "@" not in one]


@pytest.mark.parametrize("given", commands((ROOT / "README.md").read_text("utf-8")), ids=" ".join)
def test_a_command_of_the_readme_ends_with_a_verdict(home, given):
    shutil.copytree(home / RUN, home / "reports" / "ticket-triage")
    adapter(home / "my-adapter", right=True)
    given = [{"qlora": "zero-shot"}.get(word, word) for word in given]
    assert main([*given, "--no-input"]) in (0, 3, 4)


def test_the_workflow_is_yaml_and_its_command_ends_with_a_verdict(home):
    text = (ROOT / "advisor" / "templates" / "advisor-gate.yml").read_text("utf-8")
    assert yaml.safe_load(text)["jobs"]["gate"]["steps"]
    shutil.copytree(home / RUN / "winner", home / "champion")
    adapter(home / "candidate", right=True)
    [given] = commands(text)
    assert main(given) in (0, 3, 4)
    assert (home / "reports" / "gate" / "gate.json").is_file()


def test_other_seeds_beside_the_champion_set_the_noise_floor(home):
    """The seed changes nothing on the fake engine, so the floor is there and is zero."""
    (home / "baselines" / "lora.yaml").write_text(RECIPES["lora"], encoding="utf-8")
    more = ("--engine", "fake", "--no-input", "--contender", "floor", "--contender", "lora")
    for at in (1, 2, 3):
        assert main(["run", "tolls", "--seed", str(at), *more]) in (0, 1)
    run = "reports/tolls-fake-seed-1"
    assert main(["gate", f"{run[:-1]}2", "--contender", "lora", "--against", run, "--no-input",
                 "--against-contender", "lora"]) in (0, 4)
    [quality] = [one for one in found(home)["checks"] if one["name"] == "quality"]
    assert quality["figures"]["noise_floor"] == 0.0
    assert "(3 seeds)" in quality["says"]


# ------------------------------------------------------------------ real weights


def tiny_adapter(base: Path, folder: Path) -> Path:
    """An adapter of peft's own making, its weights drawn at random."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base)
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"],
                                             init_lora_weights=False, task_type="CAUSAL_LM"))
    tuned.save_pretrained(folder)
    return folder


def tiny_merged(base: Path, folder: Path) -> Path:
    """The base with other weights, whole."""
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree(base, folder)
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.05 * torch.randn_like(weights)
    model.save_pretrained(folder)
    return folder


@pytest.mark.model  # of the two packaged models only the embedder is used
def test_an_adapter_of_peft_and_a_merged_model_are_measured_with_their_own_weights(
    home, tmp_path, capsys
):
    base = tiny_model(tmp_path / "base", context=1024)
    text = SETTINGS.replace("0.3", "0.99")
    (home / "advisor.yaml").write_text(f"model: {base}\nembedder: all-minilm-l6-v2\n{text}")
    assert main(["run", "tolls", "--contender", "zero-shot", "--no-input", "--json"]) == 0
    champion = ["--against", "reports/tolls", "--against-contender", "zero-shot", "--no-input"]
    made = (tiny_adapter(base, tmp_path / "adapter"), tiny_merged(base, tmp_path / "merged"))
    for candidate in made:
        assert main(["gate", str(candidate), *champion]) in (0, 3, 4)
        told = found(home)
        assert told["sides"]["candidate"]["graded"] == len(TEST)
        [lost] = [one for one in told["checks"] if one["name"] == "forgetting"]
        assert "against its base" in lost["says"] or "at chance" in lost["says"]
        assert told["candidate"] != told["against"]
    other = tiny_model(tmp_path / "other", context=1024)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 9}))
    capsys.readouterr()
    assert main(["gate", str(other), *champion]) == 2
    assert "num_hidden_layers 9, expected 2" in capsys.readouterr().err
