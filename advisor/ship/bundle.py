"""A bundle: one folder that answers, and a manifest that vouches for every byte of it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from advisor import __version__
from advisor.data.digest import digest
from advisor.engines.models import file_digest
from advisor.errors import AdvisorError, Faults

MANIFEST = "manifest.json"
VERSION = 2
# Plain data and safetensors only: nothing that runs code when it is read.
ALLOWED = (".safetensors", ".json", ".jsonl", ".txt", ".md", ".npy")
# What transformers and peft read, and the keys that make them import what a file names.
CONFIGS = ("config.json", "adapter_config.json", "tokenizer_config.json", "generation_config.json")
CODE_KEYS = ("auto_map", "auto_mapping", "custom_pipelines", "trust_remote_code",
             "_attn_implementation_internal")


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights a bundle needs beside its own: found by name, checked by digest."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a bundle comes from. `data` maps each file it was made from to its sha256.

    `template` identifies the base's chat template by what it makes of a fixed conversation,
    `code` maps what computed to its version; both are empty for what was never re-scored.
    `endpoint` says which service holds the weights where no bundle can (`ship.elsewhere`):
    `base` is then the model that the rest of its run was measured on.
    """

    contender: str
    task: Mapping[str, str]
    recipe: str
    base: ModelIdentity
    embedder: ModelIdentity
    precision: str
    data: Mapping[str, str]
    metrics: Mapping[str, Any]
    template: str = ""
    code: Mapping[str, str] = field(default_factory=dict)
    endpoint: Mapping[str, Any] = field(default_factory=dict)


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file below `folder`, by relative path."""
    return {
        path.relative_to(folder).as_posix(): file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pack(system: Path, target: Path, origin: Origin) -> None:
    """Copy a saved system to `target` with its manifest, replacing an older bundle whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".packing-"))
    try:
        shutil.copytree(system, staging, dirs_exist_ok=True)
        manifest = {
            "version": VERSION,
            "advisor": __version__,
            **asdict(origin),
            "files": digests(staging),
        }
        (staging / MANIFEST).write_text(_sealed(manifest), encoding="utf-8")
        staging.chmod(0o755)
        # The old bundle steps aside until the new one stands in its place.
        old = target.with_name(f".{target.name}-old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        staging.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def verify(folder: Path) -> Mapping[str, Any]:
    """The manifest, once every file has been found to be the one it names.

    Raises Faults naming each file that is changed, missing, unlisted or of a kind that
    does not belong into a bundle. Nothing else in the folder has been read by then.
    """
    manifest = _manifest(folder)
    listed: dict[str, str] = manifest["files"]
    found = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*"))
             if p.is_file() or p.is_symlink()}
    faults = [f"{name}: missing" for name in sorted(set(listed) - set(found))]
    for name, path in found.items():
        if name == MANIFEST:
            continue
        if path.is_symlink() or path.suffix not in ALLOWED:
            faults.append(f"{name}: does not belong into a bundle (allowed: {' '.join(ALLOWED)})")
        elif name not in listed:
            faults.append(f"{name}: not in the manifest")
        elif file_digest(path) != listed[name]:
            faults.append(f"{name}: its content is not what the manifest says")
        elif path.name in CONFIGS and (asks := _asks_for_code(path)):
            faults.append(f"{name}: {asks} would run code of the bundle's own")
    if faults:
        raise Faults(
            f"{folder} is refused", faults, fix="copy the bundle again, or run the task again"
        )
    return manifest


def _asks_for_code(path: Path) -> str:
    """The key of a configuration that names code to import, at any depth, or empty."""
    try:
        waiting = [json.loads(path.read_bytes())]
    except (ValueError, RecursionError):
        return "what is no JSON"
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if keys := [key for key in CODE_KEYS if value.get(key)]:
                return repr(keys[0])
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return ""


def _sealed(manifest: Mapping[str, Any]) -> str:
    """The manifest as it stands on disk, with a digest of all the rest of it."""
    bare = {key: value for key, value in manifest.items() if key != "seal"}
    return json.dumps({**bare, "seal": digest(bare)}, indent=2, sort_keys=True) + "\n"


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if path.is_symlink():
        raise AdvisorError(f"{path} is not a manifest but a link", fix="copy the bundle again")
    try:
        text = path.read_text(encoding="utf-8")
        manifest = json.loads(text)
    except FileNotFoundError as error:
        raise AdvisorError(
            f"{folder} is no bundle: it has no {MANIFEST}",
            fix="name a run folder with a winner/, or a bundle",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise AdvisorError(
            f"{path} cannot be read: {error}", fix="copy the bundle again"
        ) from error
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise AdvisorError(f"{path} is not a manifest", fix="copy the bundle again")
    if (found := manifest.get("version")) != VERSION:
        older = isinstance(found, int) and found < VERSION
        raise AdvisorError(
            f"{path} has version {found!r}, expected {VERSION}",
            fix="run the task again: it was packed by an older advisor" if older
            else "pip install --upgrade adaptation-advisor",
        )
    # What has a default is younger than the first bundles, which are read all the same.
    wanted = {one.name for one in fields(Origin)
              if one.default is MISSING and one.default_factory is MISSING}
    missing = wanted - manifest.keys()
    if missing or text != _sealed(manifest):
        what = f"has no {sorted(missing)[0]!r}" if missing else "was changed after packing"
        raise AdvisorError(f"{path} is refused: it {what}", fix="copy the bundle again")
    return manifest
