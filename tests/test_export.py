"""Exported weights answer as they did when they were measured, or are not exported."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from material import tiny_model
from shipping import home

from advisor.cli import main

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a run of a tuned contender on a tiny model."""
    root = home(tmp_path_factory.mktemp("export") / "home", "zero-shot", "lora")
    tiny_model(root / "tiny", context=512)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        (root / "baselines/lora.yaml").write_text(
            "weights: {kind: lora, rank: 4, learning_rate: 0.02}\n")
        settings = (root / "advisor.yaml").read_text() + "model: tiny\nprecision: float32\n"
        (root / "advisor.yaml").write_text(settings)
        main(["run", "tolls", "--no-input"])
    return root


@pytest.fixture
def workspace(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tuned)
    return tmp_path


def export(*given: object) -> int:
    return main(["export", "reports/tolls", "--contender", "lora", *map(str, given)])


def test_an_adapter_leaves_as_peft_and_vllm_read_it(workspace, capsys):
    out = workspace / "out"
    assert export("--out", out) == 0
    said = capsys.readouterr().out
    assert "24 of 24 test rows as measured" in said
    assert f"--enable-lora --max-lora-rank 8 --lora-modules tolls-lora={out}" in said
    assert {path.name for path in out.iterdir()} == {
        "adapter_config.json", "adapter_model.safetensors", "README.md", "advisor-system.json",
        "advisor-export.json"}


def test_merged_weights_answer_as_measured_without_the_adapter(workspace, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = workspace / "out"
    assert export("--out", out, "--as", "merged") == 0
    assert "24 of 24 test rows as measured" in capsys.readouterr().out
    assert not list(out.glob("adapter*"))
    AutoModelForCausalLM.from_pretrained(out)
    assert AutoTokenizer.from_pretrained(out).chat_template


def test_both_forms_are_timed_whichever_leaves(workspace, capsys):
    for form in ("adapter", "merged"):
        assert export("--out", workspace / form, "--as", form) == 0
        assert re.search(r"speed: [\d.]+ tokens/s merged, [\d.]+ beside", capsys.readouterr().out)
        told = json.loads((workspace / form / "advisor-export.json").read_text())
        assert told["speed"]["merged_tokens_per_second"] > 0
        assert told["parity"]["same"] == told["parity"]["rows"] == 24


def test_an_export_is_not_served_here_but_says_who_serves_it(workspace, capsys):
    assert export("--out", workspace / "out", "--as", "merged") == 0
    assert main(["serve", str(workspace / "out")]) == 2
    assert f"vllm serve {workspace / 'out'}" in capsys.readouterr().err


def test_gguf_needs_the_converter_and_says_where_it_is(workspace, monkeypatch, capsys):
    monkeypatch.delenv("LLAMA_CPP", raising=False)
    assert export("--out", workspace / "out", "--as", "gguf") == 2
    assert "pip download" in capsys.readouterr().err
    assert export("--out", workspace / "out", "--as", "gguf", "--llama-cpp", workspace) == 2
    assert "holds no convert_hf_to_gguf.py" in capsys.readouterr().err


def test_a_converter_that_fails_is_quoted_and_leaves_nothing(workspace, capsys):
    pytest.importorskip("xllamacpp")
    (workspace / "convert_hf_to_gguf.py").write_text("raise SystemExit('unknown kind of model')")
    assert export("--out", workspace / "out", "--as", "gguf", "--llama-cpp", workspace) == 2
    assert "unknown kind of model" in capsys.readouterr().err
    assert not (workspace / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif("LLAMA_CPP" not in os.environ, reason="LLAMA_CPP names no llama.cpp")
def test_a_gguf_file_answers_under_its_own_template(tmp_path, monkeypatch, capsys):
    root = home(tmp_path / "home", "zero-shot", "lora")
    monkeypatch.chdir(root)
    (root / "baselines/lora.yaml").write_text("weights: {kind: lora, rank: 4}\n")
    main(["run", "tolls", "--no-input"])
    assert export("--out", "gguf", "--as", "gguf", "--tolerance", "0.25") == 0
    assert "ollama create tolls-lora" in capsys.readouterr().out
    told = (root / "gguf" / "Modelfile").read_text()
    assert "{{ .Content }}<|im_end|>" in told
    assert 'PARAMETER stop "<|im_end|>"' in told


def test_the_hub_reads_what_an_export_is_made_from(workspace):
    from huggingface_hub import ModelCard

    for form, relation in (("adapter", "adapter"), ("merged", "finetune")):
        assert export("--out", workspace / form, "--as", form) == 0
        data = ModelCard.load(workspace / form / "README.md").data
        assert data.get("base_model_relation") == relation


def test_an_export_that_answers_otherwise_leaves_nothing(tuned, tmp_path, monkeypatch, capsys):
    from test_ship import journalled

    root = shutil.copytree(tuned, tmp_path / "home")
    monkeypatch.chdir(root)
    journalled(root / "reports/tolls", 1, "lora")
    assert export("--out", tmp_path / "out") == 3
    assert "differs from what was measured on 1 of 24" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".exporting-*"))


def test_what_has_no_weights_of_its_own_is_not_exported(workspace, capsys):
    assert main(["export", "reports/tolls", "--contender", "zero-shot", "--out",
                 str(workspace / "out")]) == 2
    assert "zero-shot has no weights of its own" in capsys.readouterr().err


def test_a_folder_that_is_there_is_not_written_over(workspace, capsys):
    assert export("--out", workspace) == 2
    assert "already there" in capsys.readouterr().err


@pytest.mark.usefixtures("workspace")
def test_a_shipped_version_of_a_real_model_answers_from_its_registry():
    assert main(["ship", "reports/tolls", "--contender", "lora"]) == 0
    [folder] = Path("registry/open").iterdir()
    assert len(json.loads((folder / "manifest.json").read_text())["template"]) == 64
    compute = json.loads((folder / "governance" / "compute.json").read_text())
    assert compute["parameters"] > 1000
    assert main(["ask", "tolls@1", "What is the toll of the oak bridge?"]) == 0
