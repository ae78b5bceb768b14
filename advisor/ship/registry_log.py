"""The registry's log: events that are only ever added, each chained to the one before.

One SQLite file in WAL mode with `synchronous=FULL`. Nothing but the log is state: versions
and aliases are what the events say (`registry_state`). A writer holds `registry.lock`
alone, a reader shares it. `registry.seal` holds the digest of the whole file after a
write, so that even a bit that no event uses cannot change unseen.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from advisor.data.digest import canonical
from advisor.errors import AdvisorError, Busy
from advisor.runner.journal import refuse_network_file_system

LOG, LOCK, SEAL = "registry.db", "registry.lock", "registry.seal"
# A write takes milliseconds; only a stopped process, or a copy of a large model, takes long.
LOCK_SECONDS = 60.0
START = "0" * 64

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (seq INTEGER PRIMARY KEY, body TEXT NOT NULL,
  signature TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS events_stay BEFORE UPDATE ON events
  BEGIN SELECT RAISE(ABORT, 'an event cannot be changed'); END;
CREATE TRIGGER IF NOT EXISTS events_last BEFORE DELETE ON events
  BEGIN SELECT RAISE(ABORT, 'an event cannot be removed'); END;
"""


class Damaged(AdvisorError):
    """Something in the store is not what was written there."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `hash` covers `body` (canonical JSON), which names the hash
    before it, and `signature` (base64, empty when unsigned), which is over `body`."""

    seq: int
    body: str
    signature: str
    hash: str

    @property
    def fields(self) -> dict[str, Any]:
        """`seq`, `previous`, `at`, `kind`, `actor` (name, key), `trust` and `data`."""
        found: dict[str, Any] = json.loads(self.body)
        return found


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a name, and the means to sign when there is a key.

    `key` is the public key as one OpenSSH line, empty without one; `trust` is the digest
    of the trust file the name was looked up in, empty without one.
    """

    name: str
    key: str = ""
    trust: str = ""
    sign: Callable[[bytes], str] = lambda _: ""


class Log:
    """The events below `folder`; raises Damaged when they are not the ones written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / LOG

    def read(self) -> tuple[Event, ...]:
        """All events, oldest first; every link of the chain has been checked."""
        if not self.path.is_file():
            return ()
        with self._locked(fcntl.LOCK_SH), closing(self._connect()) as connection:
            return self._events(connection)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Alone with the log; what was added is on disk when the block is left.

        Nothing is added when the block raises. Raises Busy when another writer keeps
        the lock for `LOCK_SECONDS`.
        """
        refuse_network_file_system(self.path)
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked(fcntl.LOCK_EX):
            before = _file_digest(self.path) if self.path.is_file() else ""
            with closing(self._connect()) as connection:
                events = self._events(connection)
                self._check_seal(events, before)
                if not events:
                    connection.executescript(_SCHEMA)
                writer = Writer(list(events))
                yield writer
                added = writer.events[len(events) :]
                if added:
                    _insert(connection, added)
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            # Closed: nothing changes the file any more, so this digest stays true.
            self._seal(writer.events)

    def check(self) -> tuple[Event, ...]:
        """All events, once the file's every byte was found to be the one written.

        Seals them anew, where the folder can be written: a killed process may not have.
        """
        if os.access(self.folder, os.W_OK):
            with self.writing() as writer:
                return tuple(writer.events)
        with self._locked(fcntl.LOCK_SH), closing(self._connect()) as connection:
            events = self._events(connection)
            self._check_seal(events, _file_digest(self.path))
            return events

    def _connect(self) -> sqlite3.Connection:
        try:
            if not os.access(self.folder, os.W_OK):
                # Nobody writes while the lock is held, and a finished write leaves no WAL.
                path = f"file:{quote(str(self.path))}?immutable=1"
                return sqlite3.connect(path, uri=True, isolation_level=None)
            connection = sqlite3.connect(self.path, LOCK_SECONDS, isolation_level=None)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
        except (sqlite3.Error, ValueError) as error:  # ValueError: a message that is no UTF-8
            raise self._damaged(str(error)) from error
        return connection

    def _events(self, connection: sqlite3.Connection) -> tuple[Event, ...]:
        try:
            [[sound]] = connection.execute("PRAGMA integrity_check(1)").fetchall()
            # A process killed while it made the file leaves one without a table.
            made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'")
            query = "SELECT seq, body, signature, hash FROM events ORDER BY seq"
            rows = connection.execute(query).fetchall() if made.fetchone() else []
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(str(error)) from error
        if sound != "ok":
            raise self._damaged(str(sound))
        events = tuple(Event(*row) for row in rows)
        previous = START
        for number, event in enumerate(events, start=1):
            if event.seq != number or event.hash != _hash(event.body, event.signature):
                raise self._damaged(f"event {number} is not the one that was written")
            if event.fields["previous"] != previous:
                raise self._damaged(f"event {number} does not follow event {number - 1}")
            previous = event.hash
        return events

    def _check_seal(self, events: tuple[Event, ...], before: str) -> None:
        """The seal vouches for events that are there, and for the file if it is newest.

        A process killed after its event and before its seal leaves an older seal: then
        the chain alone vouches for what came after it.
        """
        path = self.folder / SEAL
        if not path.is_file():
            if len(events) > 1:
                raise Damaged(f"{path}: missing", fix="restore the registry from a copy")
            return
        try:
            text = path.read_text(encoding="utf-8")
            seal = json.loads(text)
            bare = {name: seal[name] for name in ("file", "head", "seq")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Damaged(f"{path}: is not a seal", fix="restore it from a copy") from error
        if text != _seal_text(bare):
            raise Damaged(f"{path}: its content is not what was written",
                          fix="restore it from a copy")
        seq = bare["seq"]
        if seq > len(events) or (events[seq - 1].hash if seq else START) != bare["head"]:
            raise self._damaged(f"event {seq}, which {SEAL} vouches for, is not there")
        if seq == len(events) and bare["file"] != before:
            raise self._damaged("its bytes are not the ones that were written")

    def _seal(self, events: list[Event]) -> None:
        head = events[-1].hash if events else START
        seal = {"file": _file_digest(self.path), "head": head, "seq": len(events)}
        write_synced(self.folder / SEAL, _seal_text(seal).encode())

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        path = self.folder / LOCK
        writable = os.access(path if path.exists() else self.folder, os.W_OK)
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        descriptor = os.open(path, flags, 0o644)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > deadline:
                        raise Busy(
                            f"{self.folder}: another process has been writing for "
                            f"{LOCK_SECONDS:.0f} s", fix="wait until it ends, or stop it",
                        ) from error
                    time.sleep(0.005)
            yield
        finally:
            os.close(descriptor)

    def _damaged(self, reason: str) -> Damaged:
        return Damaged(f"{self.path}: damaged: {reason}",
                       fix="restore the registry from a copy; nothing was changed")


@dataclass(slots=True)
class Writer:
    """The events so far; `add` appends one, chained and signed."""

    events: list[Event]

    def add(self, kind: str, actor: Actor, data: Mapping[str, Any]) -> Event:
        body = canonical({
            "seq": len(self.events) + 1,
            "previous": self.events[-1].hash if self.events else START,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "kind": kind,
            "actor": {"name": actor.name, "key": actor.key},
            "trust": actor.trust,
            "data": dict(data),
        })
        signature = actor.sign(body.encode())
        event = Event(len(self.events) + 1, body, signature, _hash(body, signature))
        self.events.append(event)
        return event


def write_synced(path: Path, content: bytes) -> None:
    """Replace `path` whole: on disk, file and folder entry, when the call returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """A rename is on disk only when the folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _insert(connection: sqlite3.Connection, events: list[Event]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)",
                           [(e.seq, e.body, e.signature, e.hash) for e in events])
    connection.execute("COMMIT")


def _hash(body: str, signature: str) -> str:
    return sha256(f"{body}\n{signature}".encode()).hexdigest()


def _file_digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _seal_text(seal: Mapping[str, Any]) -> str:
    return canonical({**seal, "check": sha256(canonical(seal).encode()).hexdigest()}) + "\n"
