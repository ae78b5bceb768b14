"""The journal of a run: every answer is on disk before it counts.

One SQLite file in WAL mode with `synchronous=FULL`: a call that returned survives a
killed process and a lost power supply. Nothing else in the project writes answers.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from advisor.core import Answer, Question, Usage
from advisor.data.digest import AnswerKey
from advisor.errors import AdvisorError, Busy

SCHEMA_VERSION = 1
# A writer waits this long for another. A commit takes milliseconds, so only a stopped
# process holds the file longer.
BUSY_SECONDS = 30
RETRY_SECONDS = 0.01

# WAL shares memory between processes, which these cannot do across hosts
# (sqlite.org/wal.html, "the WAL-index").
NETWORK_FILE_SYSTEMS = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "fuse.sshfs")
)

_META = "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
_TABLES = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, contender TEXT NOT NULL, question_id TEXT NOT NULL,
  seed INTEGER NOT NULL, payload TEXT NOT NULL, checksum TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS stages (
  key TEXT PRIMARY KEY, kind TEXT NOT NULL, contender TEXT NOT NULL,
  payload TEXT NOT NULL, checksum TEXT NOT NULL, at TEXT NOT NULL
);
"""
# The same content again changes nothing, not even `at`.
_PUT_ANSWER = """
INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
payload = excluded.payload, checksum = excluded.checksum, at = excluded.at
WHERE excluded.checksum <> answers.checksum
"""
_PUT_STAGE = """
INSERT INTO stages VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
payload = excluded.payload, checksum = excluded.checksum, at = excluded.at
WHERE excluded.checksum <> stages.checksum
"""


class JournalError(AdvisorError):
    """Answers can no longer be kept, or the kept ones not be read: the run must stop."""


class Journal:
    """Answers and stages by content key; use it as a context manager.

    Every `put` is committed and synced to disk when it returns. Raises AdvisorError
    for a full disk, a damaged file, a network file system and a newer journal, and
    Busy when another process holds the file for `BUSY_SECONDS`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Journal:
        refuse_network_file_system(self.path)
        with _writable(self.path.parent), self._explained():
            self._connection = sqlite3.connect(self.path, BUSY_SECONDS, isolation_level=None)
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def put(self, identity: AnswerKey, question: Question, answer: Answer) -> None:
        """Store one answer, in place of an earlier one with the same key."""
        self.put_many(identity, [(question, answer)])

    def put_many(self, identity: AnswerKey, answered: Iterable[tuple[Question, Answer]]) -> None:
        """Store answers in one transaction: all of them, or none."""
        rows = []
        for question, answer in answered:
            assert question.id == answer.question_id, "an answer names its question"
            key, payload = identity.key(question), json.dumps(asdict(answer))
            rows.append((key, identity.contender, question.id, identity.seed, payload,
                         _checksum(key, payload), _now()))
        with self._transaction() as connection:
            connection.executemany(_PUT_ANSWER, rows)

    def answers(self, keys: Iterable[str]) -> dict[str, Answer]:
        """The stored answers among `keys`, by key; the others are absent."""
        query = """SELECT key, payload, checksum FROM answers
                   WHERE key IN (SELECT value FROM json_each(?))"""
        rows = self._rows(query, [json.dumps(list(keys))])
        return {row[0]: _answer(self._checked(*row)) for row in rows}

    def put_stage(
        self, key: str, kind: str, payload: Mapping[str, Any], *, contender: str = ""
    ) -> None:
        """Store plain data about a finished stage, in place of an earlier one."""
        text = json.dumps(dict(payload))
        row = (key, kind, contender, text, _checksum(key, text), _now())
        with self._transaction() as connection:
            connection.execute(_PUT_STAGE, row)

    def stage(self, key: str) -> Mapping[str, Any] | None:
        """What was stored for a stage, or None when it has not finished yet."""
        rows = self._rows("SELECT key, payload, checksum FROM stages WHERE key = ?", [key])
        return self._checked(*rows[0]) if rows else None

    def answered(self) -> int:
        """How many answers are stored, of whatever run."""
        [[count]] = self._rows("SELECT count(*) FROM answers", [])
        return int(count)

    def integrity(self) -> str:
        """`ok`, or what SQLite's own check of the whole file found."""
        rows = self._rows("PRAGMA integrity_check", [])
        return "; ".join(str(row[0]) for row in rows)

    def _open(self) -> None:
        with self._explained():
            connection = self._live()
            connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
            if self._mode() != "wal":
                raise JournalError(f"{self.path}: this file system cannot hold a journal "
                                   "(SQLite's WAL mode does not work on it)",
                                   fix="keep the run on a local disk")
            connection.execute("PRAGMA synchronous = FULL")
        with self._transaction() as connection:
            connection.execute(_META)
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)",
                               [str(SCHEMA_VERSION)])
            [[version]] = self._rows("SELECT value FROM meta WHERE name = 'schema'", [])
            if int(version) > SCHEMA_VERSION:
                raise JournalError(f"{self.path}: written by a newer advisor (journal version "
                                   f"{version}, this one reads {SCHEMA_VERSION})",
                                   fix="pip install --upgrade adaptation-advisor")
            for statement in _TABLES.split(";"):
                connection.execute(statement)

    def _mode(self) -> str:
        """The journal mode after asking for WAL.

        SQLite does not wait for another process that turns the same new file to WAL: both
        hold a shared lock and want it alone, so it answers busy at once to one of them.
        """
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return str(self._live().execute("PRAGMA journal_mode = WAL").fetchone()[0])
            except sqlite3.OperationalError as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > until:
                    raise
                time.sleep(RETRY_SECONDS)

    def _live(self) -> sqlite3.Connection:
        assert self._connection, "use the journal inside a with statement"
        return self._connection

    def _rows(self, query: str, values: list[str]) -> list[Any]:
        with self._explained():
            return self._live().execute(query, values).fetchall()

    def _checked(self, key: str, payload: str, checksum: str) -> dict[str, Any]:
        if _checksum(key, payload) != checksum:
            raise _damaged(self.path, f"the checksum of row {key} does not match")
        stored: dict[str, Any] = json.loads(payload)
        return stored

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._explained():
            connection = self._live()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after a full disk, but not after others.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            _explain(self.path, error)
            raise


class RunLock:
    """One process at a time in a run folder; the lock ends with the process.

    Raises Busy, naming the holder, when another has it. `run.lock` stays behind:
    removing it would let two processes lock two files of one name.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run.lock"
        self._descriptor = -1

    def __enter__(self) -> RunLock:
        with _writable(self.path.parent):
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 4096, 0).decode("utf-8", "replace").strip()
            os.close(self._descriptor)
            raise Busy(f"{self.path.parent} is in use by {holder or 'another process'}",
                       fix="wait until it ends, or stop it, then give the command again"
                       ) from error
        holder = f"process {os.getpid()} since {_now()}: {shlex.join(sys.argv)}"
        with suppress(OSError):  # the lock holds without a name in it, on a full disk
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, holder.encode("utf-8", "replace"), 0)
        return self

    def __exit__(self, *raised: object) -> None:
        os.ftruncate(self._descriptor, 0)
        # Closing alone would leave the lock to a forked child that still has the file.
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)


def refuse_network_file_system(path: Path) -> None:
    """Raise AdvisorError when `path` lies on a file system shared between hosts.

    Known from /proc/mounts; a system without that file is trusted.
    """
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    kind = file_system_of(path.resolve(), mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise JournalError(f"{path}: a journal cannot live on a network file system ({kind})",
                           fix="keep the run on a local disk")


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds `path`, by the text of /proc/mounts."""
    best, kind = Path("/"), ""
    for line in mounts.splitlines():
        _, point, found, *_ = line.split(" ")
        # Blanks and backslashes in a mount point are written as octal escapes.
        folder = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point))
        if path.is_relative_to(folder) and folder.is_relative_to(best):
            best, kind = folder, found
    return kind


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """The folder exists inside; what the system refuses there is an AdvisorError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise JournalError(f"{folder}: {error.strerror}",
                           fix="choose a folder that can be written and has space") from error


def _explain(path: Path, error: sqlite3.Error) -> None:
    """Raise what a user can mend; return when `error` is not of that kind."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        raise JournalError(
            f"{path}: {path.parent} is full or refuses writes ({error}); every answer "
            "acknowledged so far is kept",
            fix="free some space there, then give the same command again: it continues",
        ) from error
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "Could not decode" in str(error):
        raise _damaged(path, str(error)) from error
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        raise Busy(f"{path}: another process kept it locked for {BUSY_SECONDS} s",
                   fix="wait until it ends, or stop it, then give the command again") from error
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        raise JournalError(f"{path}: cannot be written ({error})",
                           fix="choose a folder that can be written") from error


def _damaged(path: Path, reason: str) -> JournalError:
    return JournalError(f"{path}: the journal is damaged ({reason})",
                        fix=f"move {path} away and give the command again, or restore a copy")


def _answer(stored: dict[str, Any]) -> Answer:
    lists = ("sources", "passages", "dropped", "made_up")
    texts = {name: tuple(stored.get(name, ())) for name in lists}
    return Answer(**{**stored, **texts, "usage": Usage(**stored["usage"])})


def _checksum(key: str, payload: str) -> str:
    # SQLite notices a damaged page, but not a changed letter in a text.
    return sha256(f"{key}\n{payload}".encode("utf-8", "surrogatepass")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
