"""What is served now, and what follows when its alias moves or its data is erased."""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from advisor.contenders.arriving import answers
from advisor.contenders.composed import Composed
from advisor.core import Question, System
from advisor.engines.models import file_digest
from advisor.errors import AdvisorError
from advisor.serve.chat import Abilities
from advisor.serve.desk import Desk
from advisor.ship.bundle import MANIFEST
from advisor.ship.registry import Registry
from advisor.ship.registry_log import SEAL
from advisor.ship.registry_state import version

log = logging.getLogger(__name__)

# A verified bundle's manifest, and its system ready to answer.
Open = Callable[[Path], tuple[Mapping[str, Any], System]]
_FIRST = Question("first", "?", ("?",))


@dataclass(frozen=True, slots=True)
class Target:
    """Where a bundle lies and what it is called: `names` are those that a request may use,
    the first of them the one that answers carry. `blocked` says why it may not be used."""

    folder: Path
    names: tuple[str, ...]
    id: str
    blocked: str = ""


class Source(Protocol):
    """Says what is to be served; raises AdvisorError when that cannot be told."""

    def changed(self) -> bool: ...

    def target(self) -> Target: ...

    def blocked(self, id: str) -> str:
        """Why the version of that id may not be used any more; empty: it may."""
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """A bundle in a folder: always the same."""

    path: Path
    name: str

    def changed(self) -> bool:
        return False

    def target(self) -> Target:
        return Target(self.path, (self.name,), file_digest(self.path / MANIFEST))

    def blocked(self, id: str) -> str:
        return ""


class Registered:
    """What `ref` names in a registry: a version, or wherever an alias points."""

    def __init__(self, registry: Registry, ref: str) -> None:
        self.registry, self.ref = registry, ref
        self._seen: tuple[int, ...] = ()

    def changed(self) -> bool:
        """Whether anything was written to the registry since the last call."""
        try:
            found = os.stat(self.registry.folder / SEAL)
        except OSError:
            return True
        now = (found.st_ino, found.st_mtime_ns, found.st_size)
        before, self._seen = self._seen, now
        return now != before

    def target(self) -> Target:
        one = version(self.registry.state(), self.ref)
        return Target(self.registry.checkout(one.id), (one.label, self.ref, one.name), one.id)

    def blocked(self, id: str) -> str:
        one = self.registry.state().versions[id]
        return "it was deleted" if one.deleted else one.blocked


@dataclass(frozen=True, slots=True)
class Served:
    """A version that answers."""

    target: Target
    manifest: Mapping[str, Any]
    system: System

    @property
    def name(self) -> str:
        return self.target.names[0]

    @property
    def abilities(self) -> Abilities:
        if not isinstance(self.system, Composed):
            return Abilities(0, needs_choices=False)
        needs = self.system.recipe.decoding.kind == "choices" and not self.system.manner.labels
        return Abilities(self.system.max_tokens, needs)


class Service:
    """Serves what `source` says. `current` is replaced whole: a request keeps the version it
    came to. `withdrawn` says why nothing may be served any more, `trouble` why the version
    that should be served now is not; both are empty when all is well."""

    def __init__(self, source: Source, open: Open, desk: Desk) -> None:
        self.desk = desk
        self.switches = {"done": 0, "failed": 0}
        self.withdrawn = self.trouble = ""
        self._source, self._open = source, open
        self._wake, self._ended = threading.Event(), threading.Event()
        source.changed()
        self.current = self._opened(source.target())

    def follow(self, seconds: float) -> threading.Thread:
        """Look every `seconds`, and whenever `look` was called, until `end`."""
        thread = threading.Thread(target=self._follow, args=(seconds,), daemon=True,
                                  name="advisor-alias")
        thread.start()
        return thread

    def look(self) -> None:
        """Look at once, in the thread that follows."""
        self._wake.set()

    def end(self) -> None:
        self._ended.set()
        self._wake.set()

    def refresh(self) -> None:
        """Serve what the source names now. What cannot be opened leaves all as it is."""
        before = self.current.target
        try:
            target = self._source.target()
            if target.id != before.id:
                self.current = self._opened(target)
                self.switches["done"] += 1
                gc.collect()  # an old model hangs together in circles
                log.info("serving %s instead of %s", target.names[0], before.names[0])
            self.trouble = ""
        except Exception as error:  # whatever it is, the version that answers goes on
            self.switches["failed"] += 1
            self.trouble = error.problem if isinstance(error, AdvisorError) else repr(error)
            log.warning("still serving %s: %s", before.names[0], self.trouble)
        try:
            self.withdrawn = self._source.blocked(self.current.target.id)
        except AdvisorError as error:
            self.trouble = error.problem
        if self.withdrawn:
            log.error("%s is not served any more: %s", self.current.name, self.withdrawn)

    def _follow(self, seconds: float) -> None:
        while not self._ended.is_set():
            asked = self._wake.wait(seconds)
            self._wake.clear()
            if not self._ended.is_set() and (self._source.changed() or asked):
                self.refresh()

    def _opened(self, target: Target) -> Served:
        """The version, verified, its weights read. Reading takes the thread of the desk:
        requests wait meanwhile."""
        def opened() -> Served:
            manifest, system = self._open(target.folder)
            if isinstance(system, Composed) and system.engine is not None:
                list(answers(system, [_FIRST], lambda _: ()))
            return Served(target, manifest, system)

        return self.desk.run(opened).result()
