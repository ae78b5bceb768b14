"""The registry of a workspace: immutable versions, aliases that move by compare-and-swap.

It is a folder, `registry/`: files by content (`objects/`), a log of events
(`registry.db`) and a seal. Every operation is one event or nothing; a killed process
leaves what was before it. `open/` holds versions laid out as bundles and can be deleted.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from advisor.engines.models import file_digest
from advisor.errors import AdvisorError
from advisor.ship import bundle
from advisor.ship.registry_gate import passed
from advisor.ship.registry_log import Actor, Log, Writer, write_synced
from advisor.ship.registry_objects import Objects
from advisor.ship.registry_state import (
    Alias,
    State,
    Version,
    alias_of,
    known_alias,
    replay,
    version,
)
from advisor.ship.trust import Role, Trust, acting, load_trust
from advisor.workspace import Workspace

FOLDER, OPEN, IGNORED = "registry", "open", "*\n"
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
NOTHING = "none"


class Moved(AdvisorError):
    """The alias is not where the caller saw it: somebody else was first."""

    exit_code = 75


@dataclass(frozen=True, slots=True)
class Move:
    """A promotion that is wanted: `expect` is where the alias must stand now, as a version
    or `none`; empty is where it stands when the call begins. `gate` is a gate's result."""

    ref: str
    alias: str
    expect: str = ""
    gate: Path | None = None


class Registry:
    """The registry below the workspace `root`; `key_file` is whose work it is."""

    def __init__(self, root: Path, key_file: Path | None = None) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.log = Log(self.folder)
        self.objects = Objects(self.folder)
        self.key_file = key_file

    def state(self) -> State:
        """What is so now; raises Damaged when the log is not the one that was written."""
        return replay(self.log.read())

    def find(self, ref: str) -> Version:
        return version(self.state(), ref)

    # ------------------------------------------------------------- what changes it

    def register(self, folder: Path, name: str, *, who: Actor | None = None) -> Version:
        """Keep the bundle in `folder` as the next version of `name`, for `who` if it was
        found already that they may.

        The same bundle again is the version it already is. Raises AdvisorError for a
        bundle that does not verify, whose provenance speaks of another, that stands under
        another name, or that holds a row that was erased.
        """
        from advisor.ship.governance.provenance import refuse_lies

        if not NAME.fullmatch(name):
            raise AdvisorError(f"{name!r} is no name for a model (letters a-z, digits, -)",
                               fix="--as NAME")
        who = who or self.actor("trainer", "register a version")
        manifest = bundle.verify(folder)
        refuse_lies(folder, manifest)
        files = {**manifest["files"], bundle.MANIFEST: file_digest(folder / bundle.MANIFEST)}
        key = files[bundle.MANIFEST]
        sources: dict[str, Path | bytes] = {sha: folder / path for path, sha in files.items()}
        with self.objects.staged(sources) as staging, self.writing() as (writer, state):
            known = state.versions.get(key)
            if known and not known.deleted:
                if known.name != name:
                    raise AdvisorError(f"this bundle is already {known.label}",
                                       fix=f"advisor registry promote {known.label} ALIAS")
                return known
            self._refuse_erased(folder, state)
            self.objects.publish(staging)
            numbers = [v.number for v in state.versions.values() if v.name == name]
            data = {"id": key, "name": name, "number": max(numbers, default=0) + 1,
                    "files": files, "about": _about(manifest)}
            if known:  # its old number is not used again, nor lost to history
                data["number"] = max(data["number"], known.number + 1)
            event = writer.add("registered", who, data)
        return replay([event]).versions[key]

    def promote(self, move: Move) -> Alias:
        """Point an alias at a version, if all that its rule demands is there.

        An alias that points there already stays as it is.
        Raises Moved when the alias no longer stands where it was expected, AdvisorError
        for what the rule demands and is missing, and for a version that may not be used.
        """
        state = self.state()
        wanted = version(state, move.ref)
        name, alias = alias_of(move.alias, wanted.name)
        if name != wanted.name:
            raise AdvisorError(f"{move.alias}: an alias of {name} cannot be {wanted.label}",
                               fix=f"advisor registry promote {wanted.label} {alias}")
        seen = state.aliases.get((name, alias))
        expected = seen.version if seen else ""
        if move.expect:
            expected = "" if move.expect == NOTHING else version(state, move.expect).id
        if seen and seen.version == expected == wanted.id:
            return seen
        trust, who = self._trusted("approver", f"move {name}@{alias}")
        self._check_rule(wanted, alias, who, trust)
        # With what may not be used any more nothing can be compared.
        there = expected if expected and not state.versions[expected].blocked else ""
        demanded = trust.rule(alias).gate or "successor_of" in wanted.about
        gate = passed(move.gate, wanted, there, demanded=demanded)
        staged = {sha256(gate).hexdigest(): gate} if gate else {}
        with self.objects.staged(staged) as staging, self.writing() as (writer, now):
            self._unchanged(now, (name, alias), expected)
            _usable(now.versions[wanted.id])
            self.objects.publish(staging)
            data = {"name": name, "alias": alias, "to": wanted.id, "from": expected,
                    "gate": next(iter(staged), "")}
            writer.add("promoted", who, data)
        return self.state().aliases[name, alias]

    def rollback(self, ref: str) -> Alias:
        """Point an alias at the newest earlier version of it that may still be used."""
        state = self.state()
        alias = known_alias(state, ref)
        _, who = self._trusted("approver", f"move {alias.label}")
        earlier = [one for one in reversed(alias.past) if one != alias.version
                   and not state.versions[one].blocked and not state.versions[one].deleted]
        if not earlier:
            raise AdvisorError(f"{alias.label} has no earlier version to go back to",
                               fix=f"advisor registry history {alias.label}")
        with self.writing() as (writer, now):
            self._unchanged(now, (alias.name, alias.alias), alias.version)
            _usable(now.versions[earlier[0]])
            data = {"name": alias.name, "alias": alias.alias, "to": earlier[0],
                    "from": alias.version, "gate": ""}
            writer.add("rolled_back", who, data)
        return self.state().aliases[alias.name, alias.alias]

    def unalias(self, ref: str) -> Alias:
        """Remove an alias that is not protected."""
        alias = known_alias(self.state(), ref)
        trust, who = self._trusted("approver", f"remove {alias.label}")
        if trust.rule(alias.alias).protected:
            raise AdvisorError(f"{alias.label} is protected and cannot be removed",
                               fix=f"set protected: false for {alias.alias} in {trust.path}")
        with self.writing() as (writer, now):
            self._unchanged(now, (alias.name, alias.alias), alias.version)
            writer.add("unaliased", who, {"name": alias.name, "alias": alias.alias})
        return alias

    def delete(self, ref: str) -> Version:
        """Give a version up; `gc` then removes what no other needs.

        Raises AdvisorError while an alias points at it.
        """
        found = self.find(ref)
        who = self.actor("approver", "delete a version")
        with self.writing() as (writer, now):
            if aliases := now.pointing_at(found.id):
                labels = ", ".join(alias.label for alias in aliases)
                raise AdvisorError(f"{found.label} is needed: {labels} points at it",
                                   fix=f"point {labels} elsewhere first: advisor registry "
                                   f"promote VERSION {aliases[0].label}")
            writer.add("deleted", who, {"id": found.id})
        return found

    def gc(self) -> tuple[int, int]:
        """Delete files that no version and no promotion needs: how many, how many bytes."""
        who = self.actor("approver", "collect garbage")
        count = freed = 0
        with self.writing() as (writer, state):
            needed = needed_objects(writer, state)
            for digest, path in self.objects.all():
                if digest not in needed:
                    count, freed = count + 1, freed + path.stat().st_size
                    path.unlink()
            for folder in self.objects.left_over():
                shutil.rmtree(folder, ignore_errors=True)
            for folder in (self.folder / OPEN).glob("*"):
                one = state.versions.get(folder.name)
                if one is None or one.deleted or one.blocked:
                    shutil.rmtree(folder, ignore_errors=True)
            if count:
                writer.add("collected", who, {"files": count, "bytes": freed})
        return count, freed

    # ------------------------------------------------------------- what only reads

    def checkout(self, ref: str) -> Path:
        """A folder with the bundle that `ref` names; verify it before anything is read.

        Raises AdvisorError for a version that may not be used.
        """
        found = self.find(ref)
        _usable(found)
        target = self.folder / OPEN / found.id
        if not target.is_dir():
            self.objects.lay_out(found.files, target)
        return target

    # ------------------------------------------------------------- parts

    @contextmanager
    def writing(self) -> Iterator[tuple[Writer, State]]:
        """The log, alone, with the state it amounts to; see `Log.writing`."""
        ignore = self.folder / ".gitignore"
        if not ignore.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_synced(ignore, IGNORED.encode())
        with self.log.writing() as writer:
            yield writer, replay(writer.events)

    def actor(self, role: Role, doing: str) -> Actor:
        """Who acts, if the trust file lets them do it."""
        return self._trusted(role, doing)[1]

    def _trusted(self, role: Role, doing: str) -> tuple[Trust, Actor]:
        trust = load_trust(self.root)
        if trust.file is None and self.state().trusted:
            raise AdvisorError(f"{trust.path} is missing, and this registry is under one",
                               fix="restore the trust file; the log holds its digest")
        who = acting(trust, self.key_file)
        trust.may(who, role, doing)
        return trust, who

    def _check_rule(self, wanted: Version, alias: str, who: Actor, trust: Trust) -> None:
        _usable(wanted)
        if not trust.rule(alias).second_person:
            return
        if not wanted.key or wanted.by == who.name or wanted.key == who.key:
            by = wanted.by if wanted.key else f"{wanted.by} without a signature"
            raise AdvisorError(
                f"{wanted.label} was registered by {by}, and {alias} demands a second person",
                fix="let another approver promote it" if wanted.key
                else "register it again with a key",
            )

    def _unchanged(self, now: State, at: tuple[str, str], expected: str) -> None:
        alias = now.aliases.get(at)
        found = alias.version if alias else ""
        if found != expected:
            def said(key: str) -> str:
                return now.versions[key].label if key else "nothing"
            raise Moved(f"{'@'.join(at)} points at {said(found)}, not at {said(expected)}: "
                        "somebody else moved it", fix="advisor registry history " + "@".join(at))

    def _refuse_erased(self, folder: Path, state: State) -> None:
        from advisor.ship.governance.lineage import held

        erased = [row for row in held(folder) if row["sha256"] in state.rows]
        if erased:
            rows = ", ".join(f"{row['file']}:{row['line']}" for row in erased[:5])
            raise AdvisorError(
                f"{folder} holds {len(erased)} rows that were erased ({rows})",
                fix="remove these rows from the task and run it again")


def needed_objects(writer: Writer, state: State) -> set[str]:
    """The digests of every file that a version or an event speaks of."""
    needed = {sha for v in state.versions.values() if not v.deleted for sha in v.files.values()}
    return needed | {event.fields["data"].get("gate", "") for event in writer.events}


def registered(ref: str) -> Path:
    """The bundle that `ref` names in the registry of this workspace, as a folder.

    Raises AdvisorError when `ref` is no version there, or one that may not be used.
    """
    try:
        registry = Registry(Workspace.find(Path.cwd()).root)
        known = bool(registry.log.read())
    except AdvisorError as error:
        raise AdvisorError(f"{ref}: no such folder, and {error.problem}", fix=error.fix) from error
    if not known:
        raise AdvisorError(f"{ref}: no such folder, and nothing is registered here",
                           fix="name a run folder or a bundle, or advisor ship RUN")
    return registry.checkout(ref)


def key_from_environment() -> Path | None:
    """The private key named by ADVISOR_KEY, or None."""
    given = os.environ.get("ADVISOR_KEY")
    return Path(given) if given else None


def _usable(one: Version) -> None:
    if one.deleted:
        raise AdvisorError(f"{one.label} was deleted", fix="advisor registry list")
    if one.blocked:
        raise AdvisorError(f"{one.label} is blocked: {one.blocked}",
                           fix=f"advisor registry rollback {one.name}@ALIAS, or ship a version "
                           "made without that data")


def _about(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What `list` shows without opening a bundle."""
    metrics = {key: manifest["metrics"][key] for key in ("primary", "value", "low", "high", "n")
               if key in manifest["metrics"]}
    after = {key: manifest["metrics"][key] for key in ("successor_of",)
             if key in manifest["metrics"]}
    told = manifest.get("endpoint")
    where = {"endpoint": {name: told[name] for name in ("name", "model", "url")}} if told else {}
    return {"contender": manifest["contender"], "task": dict(manifest["task"]),
            "base": dict(manifest["base"]), "metrics": metrics, **where, **after}
