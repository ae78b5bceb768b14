"""Bundles from elsewhere: an archive with a trick in it writes nothing."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from test_registry import made

from advisor.cli import main
from advisor.errors import AdvisorError
from advisor.ship.arriving import arrived
from advisor.ship.bundle import digests, verify


def zipped(folder: Path, target: Path, *, below: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in digests(folder):
            archive.write(folder / name, below + name)
    return target


@pytest.mark.parametrize("below", ["", "bundle/"])
def test_a_zipped_bundle_arrives_whole(tmp_path, below):
    bundle = made(tmp_path, "one")
    with arrived(zipped(bundle, tmp_path / "b.zip", below=below)) as folder:
        assert digests(folder) == digests(bundle)
        verify(folder)


def link(archive: zipfile.ZipFile, kind: int) -> None:
    entry = zipfile.ZipInfo("floor2.json")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    archive.writestr(entry, "/etc/passwd")


def named(name: str) -> Callable[[zipfile.ZipFile], None]:
    def put(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo("x.json")
        entry.filename = entry.orig_filename = name
        archive.writestr(entry, "{}")
    return put


def twice(archive: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("floor.json", "{}")


HOSTILE = {
    "up": (named("../x.json"), "leads elsewhere"),
    "up inside": (named("a/../../x.json"), "leads elsewhere"),
    "absolute": (named("/tmp/x.json"), "no relative path"),
    "drive": (named("C:x.json"), "no relative path"),
    "backslash": (named("..\\x.json"), "no relative path"),
    "dot": (named("./x.json"), "leads elsewhere"),
    "link": (lambda a: link(a, stat.S_IFLNK), "no plain file"),
    "device": (lambda a: link(a, stat.S_IFCHR), "no plain file"),
    "pipe": (lambda a: link(a, stat.S_IFIFO), "no plain file"),
    "twice": (twice, "the same file as"),
    "case": (lambda a: a.writestr("FLOOR.json", "{}"), "the same file as"),
    "pickle": (lambda a: a.writestr("w.pkl", b"\x80\x04."), "does not belong into a bundle"),
    "bomb": (lambda a: a.writestr("b.json", b"0" * 5_000_000), "swells more than"),
    "long": (named("a" * 300 + ".json"), "more than 240 characters"),
}


@pytest.mark.parametrize("trick", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_is_unpacked(tmp_path, trick, monkeypatch):
    put, said = HOSTILE[trick]
    path = zipped(made(tmp_path, "one"), tmp_path / "b.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        put(archive)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AdvisorError, match=said), arrived(path):
        raise AssertionError("it was unpacked")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_tar_a_cut_and_a_lying_archive_are_refused(tmp_path):
    path = zipped(made(tmp_path, "one"), tmp_path / "b.zip")
    content = path.read_bytes()
    for changed in (b"ustar" + content, content + b"#!", content[: len(content) // 2]):
        (tmp_path / "c.zip").write_bytes(changed)
        with pytest.raises(AdvisorError), arrived(tmp_path / "c.zip") as folder:
            verify(folder)
    flipped = bytearray(content)
    flipped[content.index(b"floor.json") + 12] ^= 0xFF  # inside the file's data
    (tmp_path / "c.zip").write_bytes(flipped)
    with pytest.raises(AdvisorError), arrived(tmp_path / "c.zip") as folder:
        verify(folder)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "advisor.yaml").write_text("{}\n")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


@pytest.mark.usefixtures("workspace")
def test_a_bundle_from_elsewhere_is_registered_and_answers(tmp_path, capsys):
    path = zipped(made(tmp_path, "one"), tmp_path / "b.zip")
    assert main(["registry", "import", str(path), "--as", "tolls"]) == 0
    assert main(["ask", "tolls@1", "What?"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "one"


@pytest.mark.usefixtures("workspace")
def test_a_bundle_whose_base_model_is_unknown_here_is_refused(tmp_path, capsys):
    from advisor.ship.bundle import ModelIdentity, Origin, pack

    system = tmp_path / "system"
    system.mkdir()
    (system / "floor.json").write_text(json.dumps({"majority": "x"}))
    pack(system, tmp_path / "bundle", Origin(
        contender="floor", task={"name": "tolls", "digest": "t"}, recipe="{}",
        base=ModelIdentity("no-such/model", "b"), embedder=ModelIdentity("fake", "e"),
        precision="float32", data={}, metrics={}))
    assert main(["registry", "import", str(tmp_path / "bundle"), "--as", "tolls"]) == 2
    said = capsys.readouterr().err
    assert "model 'no-such/model' cannot be resolved" in said
    assert "--model PATH_OR_ID" in said
    assert main(["registry", "list"]) == 0
    assert "no version yet" in capsys.readouterr().out
