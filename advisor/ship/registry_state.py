"""What the registry's events amount to: versions, aliases, what was erased. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from advisor.errors import AdvisorError, did_you_mean
from advisor.ship.registry_log import Event

_ID = re.compile(r"[0-9a-f]{6,64}")
_ALIAS = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Version:
    """One bundle under one name, for ever the same bytes.

    `id` is the sha256 of its manifest.json, which vouches for every other file; `files`
    maps each path of the bundle to its sha256. `blocked` says why it may not be used.
    """

    id: str
    name: str
    number: int
    at: str
    by: str
    key: str
    files: Mapping[str, str]
    about: Mapping[str, Any]
    blocked: str = ""
    deleted: bool = False

    @property
    def label(self) -> str:
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that points at a version; `past` holds what it pointed at before, oldest first."""

    name: str
    alias: str
    version: str
    past: tuple[str, ...]
    at: str
    by: str

    @property
    def label(self) -> str:
        return f"{self.name}@{self.alias}"


@dataclass(slots=True)
class State:
    """Everything that is so now. `rows` are the sha256 of rows that were erased."""

    versions: dict[str, Version] = field(default_factory=dict)
    aliases: dict[tuple[str, str], Alias] = field(default_factory=dict)
    rows: set[str] = field(default_factory=set)
    trusted: bool = False

    def names(self) -> list[str]:
        return sorted({version.name for version in self.versions.values()})

    def pointing_at(self, version: str) -> list[Alias]:
        return [alias for alias in self.aliases.values() if alias.version == version]


def replay(events: Iterable[Event]) -> State:
    """The state after `events`; an event of an unknown kind is an AdvisorError."""
    state = State()
    for event in events:
        fields = event.fields
        state.trusted = bool(fields["trust"])
        apply = _APPLY.get(fields["kind"])
        if apply is None:
            raise AdvisorError(f"event {event.seq} is of the unknown kind {fields['kind']!r}",
                               fix="pip install --upgrade adaptation-advisor")
        apply(state, fields, fields["data"])
    return state


def version(state: State, ref: str) -> Version:
    """The version that `ref` names: NAME@NUMBER, NAME@ALIAS, ALIAS, NAME or an id's start.

    A bare ALIAS or NAME must leave no doubt. Raises AdvisorError saying what there is.
    """
    found = _candidates(state, ref)
    if len(found) == 1:
        return found.popitem()[1]
    known = sorted({*(v.label for v in state.versions.values() if not v.deleted),
                    *(alias.label for alias in state.aliases.values())})
    if not known:
        raise AdvisorError(f"{ref!r}: the registry holds no version yet", fix="advisor ship RUN")
    if found:
        labels = ", ".join(sorted(one.label for one in found.values()))
        raise AdvisorError(f"{ref!r} could be any of {labels}", fix="name one of them")
    raise AdvisorError(f"unknown version {ref!r}{did_you_mean(ref, known)}",
                       fix="advisor registry list")


def alias_of(given: str, name: str) -> tuple[str, str]:
    """The model and the alias that `given` names: NAME@ALIAS, or an alias of `name`."""
    before, _, alias = given.rpartition("@")
    if not _ALIAS.fullmatch(alias):
        raise AdvisorError(f"{alias!r} is no alias (a letter a-z, then letters, digits, -)",
                           fix="use a name such as production or candidate")
    return before or name, alias


def known_alias(state: State, ref: str) -> Alias:
    """The alias there is under NAME@ALIAS, or under ALIAS where that leaves no doubt."""
    name, _, alias = ref.rpartition("@")
    found = [one for one in state.aliases.values()
             if one.alias == alias and name in ("", one.name)]
    if len(found) == 1:
        return found[0]
    labels = ", ".join(sorted(one.label for one in found or state.aliases.values())) or "none"
    raise AdvisorError(f"{ref!r} is no alias here (there are: {labels})" if not found
                       else f"{ref!r} could be any of {labels}", fix="advisor registry list")


def _candidates(state: State, ref: str) -> dict[str, Version]:
    alive = {v.id: v for v in state.versions.values() if not v.deleted}
    name, at, tail = ref.rpartition("@")
    aliased = [alias.version for alias in state.aliases.values()
               if alias.alias == tail and (not at or alias.name == name)]
    if aliased or at:
        numbered = [v.id for v in alive.values() if at and v.label == ref]
        return {key: state.versions[key] for key in (*aliased, *numbered)}
    if named := {v.id: v for v in alive.values() if v.name == ref}:
        return named
    if _ID.fullmatch(ref):
        return {v.id: v for v in alive.values() if v.id.startswith(ref)}
    return {}


def _registered(state: State, fields: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    state.versions[data["id"]] = Version(
        id=data["id"], name=data["name"], number=data["number"], at=fields["at"],
        by=fields["actor"]["name"], key=fields["actor"]["key"], files=data["files"],
        about=data["about"],
    )


def _moved(state: State, fields: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    at = (data["name"], data["alias"])
    before = state.aliases.get(at)
    past = () if before is None else (*before.past, before.version)
    if fields["kind"] == "rolled_back":
        # What was left behind by going back is no place to go back to.
        past = past[: max(i for i, one in enumerate(past) if one == data["to"])]
    state.aliases[at] = Alias(*at, data["to"], past, fields["at"], fields["actor"]["name"])


def _unaliased(state: State, _: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    del state.aliases[data["name"], data["alias"]]


def _deleted(state: State, _: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    state.versions[data["id"]] = replace(state.versions[data["id"]], deleted=True)


def _erased(state: State, fields: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    state.rows |= set(data["rows"])
    for key in data["versions"]:
        why = f"it holds data that was erased on {fields['at'][:10]}"
        state.versions[key] = replace(state.versions[key], blocked=why)


def _collected(state: State, fields: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Files that nothing needs were deleted: nothing that is so changes."""


_APPLY = {
    "registered": _registered, "promoted": _moved, "rolled_back": _moved,
    "unaliased": _unaliased, "deleted": _deleted, "erased": _erased, "collected": _collected,
}
