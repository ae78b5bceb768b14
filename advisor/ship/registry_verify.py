"""Whether every byte of a registry is the one that was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from advisor.engines.models import file_digest
from advisor.errors import AdvisorError
from advisor.ship.bundle import MANIFEST
from advisor.ship.registry import IGNORED, OPEN, Registry
from advisor.ship.registry_log import LOCK, LOG, SEAL, Event
from advisor.ship.registry_objects import INCOMING, OBJECTS
from advisor.ship.registry_state import State, Version, replay
from advisor.ship.trust import faulty_signature, load_trust

OURS = (LOG, LOCK, SEAL, ".gitignore", OBJECTS, OPEN, f"{LOG}-wal", f"{LOG}-shm")


def faults(registry: Registry) -> list[str]:
    """Each fault with the file it is in; empty when the store is what was written.

    Checked are: the log's every byte, its chain, each signature against the trust file,
    each stored file against its name, that nothing a version needs is missing, that
    manifests say what the log says, and the copies laid out in `open/`.
    """
    found: list[str] = []
    state, events = State(), tuple[Event, ...]()
    try:
        events = registry.log.check()
        state = replay(events)
    except AdvisorError as error:
        found.append(error.problem)
    found += _signatures(registry, events)
    found += _objects(registry, state)
    found += _versions(registry, state)
    found += _laid_out(registry, state)
    return found + list(_around(registry))


def _signatures(registry: Registry, events: tuple[Event, ...]) -> Iterator[str]:
    trust = load_trust(registry.root)
    for event in events:
        if wrong := faulty_signature(event, trust):
            yield f"{registry.log.path}: event {event.seq}: {wrong}"


def _objects(registry: Registry, state: State) -> Iterator[str]:
    users: dict[str, str] = {}
    for one in state.versions.values():
        for name, sha in one.files.items():
            users.setdefault(sha, f"{name} of {one.label}")
    for digest, path in registry.objects.all():
        if path.is_symlink() or file_digest(path) != digest:
            yield (f"{path}: its content is not what its name says "
                   f"({users.get(digest, 'used by no version')})")


def _versions(registry: Registry, state: State) -> Iterator[str]:
    for one in state.versions.values():
        if one.deleted:
            continue
        missing = [name for name, sha in one.files.items()
                   if not registry.objects.path(sha).is_file()]
        yield from (f"{registry.objects.path(one.files[name])}: missing ({name} of {one.label})"
                    for name in missing)
        if MANIFEST not in missing and not _agrees(registry, one):
            yield f"{registry.objects.path(one.id)}: does not list the files of {one.label}"


def _agrees(registry: Registry, one: Version) -> bool:
    try:
        manifest = json.loads(registry.objects.read(one.id))
    except (AdvisorError, ValueError):
        return True  # told by `_objects`
    return bool({**manifest["files"], MANIFEST: one.id} == dict(one.files))


def _laid_out(registry: Registry, state: State) -> Iterator[str]:
    for folder in sorted((registry.folder / OPEN).glob("*")):
        one = state.versions.get(folder.name)
        if folder.name.startswith(INCOMING):
            continue
        if one is None:
            yield f"{folder}: is no version"
            continue
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and not _is_object(registry, path, one.files.get(name, "")):
                yield f"{path}: is not {name} of {one.label}"
        yield from (f"{folder / name}: missing" for name in one.files
                    if not (folder / name).is_file())


def _is_object(registry: Registry, path: Path, sha: str) -> bool:
    if path.is_symlink() or not sha:
        return False
    stored = registry.objects.path(sha)
    # A hard link to the stored file has been read there already.
    same = stored.is_file() and path.samefile(stored)
    return same or file_digest(path) == sha


def _around(registry: Registry) -> Iterator[str]:
    for path in sorted(registry.folder.iterdir()):
        if path.name not in OURS and not path.name.endswith(".tmp"):
            yield f"{path}: does not belong into a registry"
    if (registry.folder / LOCK).stat().st_size:
        yield f"{registry.folder / LOCK}: is not empty"
    ignore = registry.folder / ".gitignore"
    if not ignore.is_file() or ignore.read_text(encoding="utf-8", errors="replace") != IGNORED:
        yield f"{ignore}: its content is not what was written"
    for path in sorted(registry.objects.root.iterdir()) if registry.objects.root.is_dir() else ():
        if not path.name.startswith(INCOMING) and not (path.is_dir() and len(path.name) == 2):
            yield f"{path}: does not belong into a registry"
