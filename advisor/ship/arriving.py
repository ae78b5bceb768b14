"""A bundle from elsewhere, as a folder or a .zip: unpacked only if nothing in it is odd."""

from __future__ import annotations

import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from advisor.errors import AdvisorError, Faults
from advisor.ship.bundle import ALLOWED, MANIFEST

# More than any bundle has; far less than what fills a disk unseen.
MOST_FILES = 10_000
MOST_BYTES = 1 << 38
# Weights compress to about 0.8 and text to about 0.1 of their size.
MOST_SWELLING = 200
LONGEST_NAME = 240
_END_BYTES = 22  # the record that ends an archive without a comment
_UNIX = 3  # zip's number of the system whose file modes are in `external_attr`


@contextmanager
def arrived(path: Path) -> Iterator[Path]:
    """A folder that holds the bundle: `path` itself, or what the archive held.

    The caller verifies it. Raises Faults naming each entry of an archive that could write
    elsewhere or is no plain file of a bundle; then nothing has been unpacked.
    """
    if path.is_dir():
        yield path
        return
    if not path.is_file():
        raise AdvisorError(f"{path}: no such file or folder", fix="name a bundle")
    if not _is_zip(path):
        raise AdvisorError(f"{path}: is not a .zip archive and nothing else",
                           fix="unpack it yourself and name the folder, or pack it as .zip")
    with tempfile.TemporaryDirectory(prefix="advisor-bundle-") as staging:
        try:
            with zipfile.ZipFile(path) as archive:
                _unpack(path, archive, Path(staging))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError,
                ValueError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise AdvisorError(f"{path}: cannot be unpacked: {error}",
                               fix="fetch it again") from error
        roots = sorted(Path(staging).rglob(MANIFEST), key=lambda found: len(found.parts))
        yield roots[0].parent if roots else Path(staging)


def _is_zip(path: Path) -> bool:
    """Whether the file is an archive from its first byte to its last.

    Readers disagree about what stands before, after or in the comment.
    """
    with path.open("rb") as stream:
        begin = stream.read(4)
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - _END_BYTES))
        end = stream.read()
    return (begin == b"PK\x03\x04" and end.startswith(b"PK\x05\x06")
            and end.endswith(b"\0\0"))


def _unpack(path: Path, archive: zipfile.ZipFile, target: Path) -> None:
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if faults := list(_faults(archive)):
        raise Faults(f"{path} is refused", faults, fix="do not use this archive")
    for entry in entries:
        place = target.joinpath(*PurePosixPath(entry.filename).parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, place.open("xb") as out:
            left = entry.file_size
            while block := source.read(1 << 20):
                left -= len(block)
                if left < 0:
                    raise ValueError(f"{entry.filename}: is longer than the archive says")
                out.write(block)


def _faults(archive: zipfile.ZipFile) -> Iterator[str]:
    entries = archive.infolist()
    if len(entries) > MOST_FILES:
        yield f"{len(entries)} entries (at most {MOST_FILES})"
        return
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        yield f"more than {MOST_BYTES >> 30} GiB unpacked"
    seen: dict[str, str] = {}
    for entry in entries:
        # `orig_filename` is what stands in the archive; zipfile mends `filename`.
        if wrong := _wrong(entry):
            yield f"{entry.orig_filename!r}: {wrong}"
        folded = entry.filename.rstrip("/").casefold()
        if folded in seen:
            yield f"{entry.filename!r}: the same file as {seen[folded]!r}"
        seen[folded] = entry.filename


def _wrong(entry: zipfile.ZipInfo) -> str:
    name = entry.orig_filename
    parts = name.rstrip("/").split("/")
    mode = entry.external_attr >> 16
    if "\\" in name or "\0" in name or ":" in name or name.startswith("/"):
        return "no relative path with plain names"
    if any(part in ("", ".", "..") for part in parts):
        return "a path that leads elsewhere"
    if len(name) > LONGEST_NAME:
        return f"a name of more than {LONGEST_NAME} characters"
    if entry.create_system == _UNIX and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "no plain file"
    if entry.is_dir():
        return ""
    if PurePosixPath(name).suffix not in ALLOWED:
        return f"does not belong into a bundle (allowed: {' '.join(ALLOWED)})"
    if entry.flag_bits & 1:
        return "encrypted"
    if entry.file_size > MOST_SWELLING * max(entry.compress_size, 1024):
        return f"swells more than {MOST_SWELLING} times"
    return ""
