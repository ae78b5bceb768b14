"""Files by the sha256 of their content: written once, never changed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from advisor.engines.models import file_digest
from advisor.errors import AdvisorError
from advisor.ship.registry_log import sync_folder

OBJECTS, INCOMING = "objects", ".incoming-"
BLOCK = 1 << 20
# Nobody copies a model for a day: what is older was left by a process that was killed.
LEFT_OVER_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Objects:
    """The store below `folder`/objects; a file's name is its digest."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / OBJECTS

    def path(self, digest: str) -> Path:
        return self.root / digest[:2] / digest[2:]

    def read(self, digest: str) -> bytes:
        """The content, checked; raises AdvisorError when it is missing or changed."""
        path = self.path(digest)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise AdvisorError(f"{path}: missing", fix="advisor registry verify") from error
        if sha256(content).hexdigest() != digest:
            raise AdvisorError(f"{path}: its content is not what its name says",
                               fix="restore it from a copy; advisor registry verify")
        return content

    @contextmanager
    def staged(self, files: Mapping[str, Path | bytes]) -> Iterator[Path]:
        """A folder with a synced copy of each file under its digest, gone afterwards.

        `files` maps digests to where the content is. Raises AdvisorError for a file that
        is not what its digest says, as when it changed while it was being copied.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=self.root, prefix=INCOMING))
        try:
            for digest, source in files.items():
                if _copy(source, staging / digest) != digest:
                    raise AdvisorError(f"{source!r}: changed while it was being copied",
                                       fix="give the command again")
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def publish(self, staging: Path) -> None:
        """Move every staged file to its place; one that is there already and sound stays."""
        for path in sorted(staging.iterdir()):
            target = self.path(path.name)
            if target.is_file() and file_digest(target) == path.name:
                continue
            if not target.parent.is_dir():
                target.parent.mkdir()
                sync_folder(self.root)
            path.replace(target)
            sync_folder(target.parent)

    def all(self) -> Iterator[tuple[str, Path]]:
        """Every stored file with the digest its place says, by digest."""
        for folder in sorted(self.root.glob("??")):
            for path in sorted(folder.iterdir()):
                yield folder.name + path.name, path

    def left_over(self) -> Iterator[Path]:
        """Folders of copies that were never finished."""
        for folder in self.root.glob(f"{INCOMING}*"):
            if time.time() - folder.stat().st_mtime > LEFT_OVER_SECONDS:
                yield folder

    def lay_out(self, files: Mapping[str, str], target: Path) -> None:
        """Make `target` the folder whose `files` (path to digest) are these objects."""
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=INCOMING))
        try:
            for name, digest in files.items():
                place = staging / name
                place.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(self.path(digest), place)
                except FileNotFoundError as error:
                    raise AdvisorError(f"{self.path(digest)}: missing ({name})",
                                       fix="advisor registry verify") from error
                except OSError:  # a file system without hard links
                    shutil.copyfile(self.path(digest), place)
            staging.chmod(0o755)
            if not target.exists():
                staging.replace(target)
        except FileExistsError:
            pass  # another process was faster, with the same content
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _copy(source: Path | bytes, target: Path) -> str:
    seen = sha256()
    with target.open("xb") as out:
        if isinstance(source, bytes):
            seen.update(source)
            out.write(source)
        else:
            with source.open("rb") as stream:
                while block := stream.read(BLOCK):
                    seen.update(block)
                    out.write(block)
        out.flush()
        os.fsync(out.fileno())
    target.chmod(0o444)
    return seen.hexdigest()
