"""A bundle answers, and is refused when any byte of it is not the one that was packed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from material import ROOT, Silent, own, plan, small_task

from advisor.cli import main
from advisor.errors import AdvisorError, Faults
from advisor.runner.run import run
from advisor.ship.bundle import MANIFEST, VERSION, ModelIdentity, Origin, digests, pack, verify

ORIGIN = Origin(
    contender="rag", task={"name": "tolls", "digest": "t"}, recipe="{}",
    base=ModelIdentity("fake", "b"), embedder=ModelIdentity("fake", "e"), precision="float32",
    data={"test.jsonl": "d"}, metrics={"value": 1.0},
)
REFUSED = r"is refused|cannot be read|is not a manifest"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose winner retrieves."""
    folder = tmp_path_factory.mktemp("run")
    recipes = own("floor", "zero-shot", "rag")
    done = run(plan(small_task(folder / "tolls"), folder / "run", recipes=recipes), Silent())
    assert done.verdict.winner == "rag"
    return done.folder


@pytest.fixture
def bundle(finished: Path, tmp_path: Path) -> Path:
    pack(finished / "contenders" / "rag" / "system", tmp_path / "bundle", ORIGIN)
    return tmp_path / "bundle"


def refusal(folder: Path) -> str:
    with pytest.raises(AdvisorError, match=REFUSED) as caught:
        verify(folder)
    assert caught.value.exit_code == 2
    return str(caught.value)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    change(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


# ------------------------------------------------------------------ packing


def test_a_packed_bundle_verifies_and_tells_where_it_comes_from(bundle):
    manifest = verify(bundle)
    assert manifest["contender"] == "rag"
    assert manifest["base"] == {"name": "fake", "digest": "b"}
    assert manifest["files"] == {k: v for k, v in digests(bundle).items() if k != MANIFEST}


def test_a_bundle_replaces_an_older_one_whole(bundle, tmp_path):
    system = tmp_path / "system"
    system.mkdir()
    (system / "floor.json").write_text('{"majority": "x"}')
    pack(system, bundle, replace(ORIGIN, contender="floor"))
    assert sorted(digests(bundle)) == ["floor.json", MANIFEST]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "system"]


def test_packing_twice_gives_the_same_bytes(finished, bundle, tmp_path):
    pack(finished / "contenders" / "rag" / "system", tmp_path / "again", ORIGIN)
    assert digests(tmp_path / "again") == digests(bundle)


def test_a_failed_packing_leaves_the_old_bundle(bundle, tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        pack(tmp_path / "nowhere", bundle, ORIGIN)
    verify(bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


# ------------------------------------------------------------------ refusing


def test_one_flipped_byte_of_any_file_is_refused_by_its_name(bundle):
    for name in digests(bundle):
        path, content = bundle / name, (bundle / name).read_bytes()
        for at in {0, len(content) // 3, len(content) // 2, len(content) - 1} if content else ():
            path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            assert name in refusal(bundle), at
        path.write_bytes(content)
    verify(bundle)


def test_a_file_cut_short_is_refused_by_its_name(bundle):
    for name in digests(bundle):
        path, content = bundle / name, (bundle / name).read_bytes()
        for length in (0, len(content) // 2, len(content) - 2) if content else ():
            path.write_bytes(content[:length])
            assert name in refusal(bundle), length
        path.write_bytes(content)


@pytest.mark.parametrize("change", [
    lambda m: m["metrics"].update(value=0.5),
    lambda m: m["base"].update(digest="other"),
    lambda m: m.update(contender="other"),
], ids=["metrics", "base", "contender"])
def test_a_manifest_that_was_edited_is_refused(bundle, change):
    rewrite(bundle, change)
    assert MANIFEST in refusal(bundle)


def test_a_missing_file_is_refused_by_its_name(bundle):
    (bundle / "system.json").unlink()
    assert "system.json: missing" in refusal(bundle)


@pytest.mark.parametrize("name", ["extra.json", "index/extra.txt", ".hidden.json"])
def test_an_unlisted_file_is_refused_by_its_name(bundle, name):
    (bundle / name).write_text("{}")
    assert f"{name}: not in the manifest" in refusal(bundle)


@pytest.mark.parametrize("name", ["weights.pkl", "run.py", "weights.bin", "noend", "a.JSON"])
def test_a_file_that_could_run_is_refused_even_when_it_is_listed(finished, name, tmp_path):
    system = shutil.copytree(finished / "contenders" / "rag" / "system", tmp_path / "system")
    (system / name).write_bytes(b"x")
    pack(system, tmp_path / "bundle", ORIGIN)
    assert f"{name}: does not belong into a bundle" in refusal(tmp_path / "bundle")


@pytest.mark.parametrize("content", [
    '{"auto_map": {"AutoConfig": "evil.Config"}}', '{"a": [{"trust_remote_code": true}]}',
    '{"auto_mapping": {"parent_library": "evil"}}', "{",
], ids=["auto_map", "deep", "peft", "no JSON"])
def test_a_configuration_that_names_code_is_refused(finished, content, tmp_path):
    system = shutil.copytree(finished / "contenders" / "rag" / "system", tmp_path / "system")
    (system / "adapter_config.json").write_text(content)
    pack(system, tmp_path / "bundle", ORIGIN)
    assert "adapter_config.json: " in refusal(tmp_path / "bundle")


@pytest.mark.parametrize("name", ["system.json", "index", MANIFEST])
def test_a_link_is_refused_even_to_the_right_content(bundle, name, tmp_path):
    (bundle / name).rename(tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    assert name in refusal(bundle)


def test_all_faults_of_a_bundle_are_told_together(bundle):
    (bundle / "system.json").unlink()
    (bundle / "extra.json").write_text("{}")
    with pytest.raises(Faults) as caught:
        verify(bundle)
    assert len(caught.value.faults) == 2


@pytest.mark.parametrize("path", ["../outside.json", "/etc/hostname", "index/../system.json"])
def test_a_manifest_cannot_vouch_for_a_file_outside(bundle, path):
    (bundle.parent / "outside.json").write_text("{}")
    rewrite(bundle, lambda manifest: manifest["files"].update({path: "0" * 64}))
    assert path in refusal(bundle) or MANIFEST in refusal(bundle)


@pytest.mark.parametrize("content", [
    b"", b"\xff\xfe", b"[]", b"null", b'{"files": []}', b"{" * 10, b"[" * 100_000,
], ids=["empty", "not text", "list", "null", "files is a list", "cut", "deep"])
def test_garbage_for_a_manifest_is_refused(bundle, content):
    (bundle / MANIFEST).write_bytes(content)
    assert MANIFEST in refusal(bundle)


@pytest.mark.parametrize("key", ["base", "embedder", "precision", "files", "version"])
def test_a_manifest_without_a_key_is_refused_and_not_a_crash(bundle, key, capsys):
    rewrite(bundle, lambda manifest: manifest.pop(key))
    assert main(["ask", str(bundle), "What?"]) == 2
    assert MANIFEST in capsys.readouterr().err


def test_a_newer_bundle_asks_for_a_newer_advisor(bundle):
    rewrite(bundle, lambda manifest: manifest.update(version=VERSION + 1))
    with pytest.raises(AdvisorError, match=f"version {VERSION + 1}, expected {VERSION}") as caught:
        verify(bundle)
    assert caught.value.fix == "pip install --upgrade adaptation-advisor"


def test_an_older_bundle_is_to_be_made_again(bundle):
    rewrite(bundle, lambda manifest: manifest.update(version=VERSION - 1))
    with pytest.raises(AdvisorError, match=f"expected {VERSION}") as caught:
        verify(bundle)
    assert caught.value.fix.startswith("run the task again")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path):
    with pytest.raises(AdvisorError, match=r"is no bundle: it has no manifest\.json"):
        verify(tmp_path)


# ------------------------------------------------------------------ asking


def ask(*given: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-m", "advisor", "ask", *given], env=env, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=120)


def stored(folder: Path) -> dict[str, Any]:
    """The journal's first answer of the winner."""
    with closing(sqlite3.connect(folder / "journal.db")) as connection:
        query = "SELECT payload FROM answers WHERE contender = 'rag' ORDER BY question_id"
        answer: dict[str, Any] = json.loads(connection.execute(query).fetchone()[0])
    return answer


def asked(answer: dict[str, Any]) -> str:
    return f"What is the toll of the {answer['question_id'].removeprefix('q-')} bridge?"


def test_a_fresh_process_answers_as_the_journal_says(finished):
    answer = stored(finished)
    done = ask(str(finished), asked(answer))
    assert (done.returncode, done.stderr) == (0, "")
    sources = [f"source: {source}" for source in answer["sources"]]
    assert sources
    assert done.stdout == "\n".join([answer["text"], *sources]) + "\n"


def test_a_bundle_answers_away_from_its_run(finished, tmp_path, capsys):
    (finished / "winner").rename(tmp_path / "moved")
    answer = stored(finished)
    code = main(["ask", str(tmp_path / "moved"), asked(answer), "--json"])
    (tmp_path / "moved").rename(finished / "winner")
    assert code == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["text"], said["passages"]) == (answer["text"], answer["passages"])


def test_a_changed_bundle_is_not_asked(bundle, capsys):
    (bundle / "system.json").write_text("{}")
    assert main(["ask", str(bundle), "What?"]) == 2
    said = capsys.readouterr()
    assert (said.out, "system.json" in said.err) == ("", True)


def test_a_question_too_long_fails_with_a_fix(bundle, capsys):
    assert main(["ask", str(bundle), "word " * 10_000]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "prompt too long" in said.err
    assert "ask a shorter question" in said.err
