"""The journal: what was acknowledged stays, whatever happens to process and disk."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import pytest

from advisor.core import Answer, Question, Usage
from advisor.data.digest import AnswerKey
from advisor.errors import AdvisorError, Busy
from advisor.runner.journal import Journal, RunLock, file_system_of

RAG = AnswerKey("rag", seed=0, recipe="r1", engine="e1", material="m1", code="0.1.0")
USAGE = Usage(12, 3, 0.25)

# Writes answers FROM, FROM + STEP, ... and prints each number once it is acknowledged.
WRITER = """
import sys
from pathlib import Path
from advisor.core import Answer, Question, Usage
from advisor.data.digest import AnswerKey
from advisor.runner.journal import Journal
path, start, step, stop = Path(sys.argv[1]), *map(int, sys.argv[2:5])
identity = AnswerKey("rag", seed=0, recipe="r1", engine="e1", material="m1", code="0.1.0")
with Journal(path) as journal:
    for number in range(start, stop, step):
        text = f"answer {number} " + "x" * 500
        answer = Answer(f"q{number}", text, Usage(1, 1, 0.1))
        journal.put(identity, Question(f"q{number}", "?"), answer)
        print(number, flush=True)
"""


def question(number: int) -> Question:
    return Question(f"q{number}", "?")


def answer(number: int, text: str = "yes") -> Answer:
    return Answer(f"q{number}", text, USAGE)


def writer(path: Path, start: int, step: int, stop: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(start), str(step), str(stop)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def stored(path: Path, numbers: list[int]) -> dict[str, Answer]:
    with Journal(path) as journal:
        assert journal.integrity() == "ok"
        return journal.answers(RAG.key(question(number)) for number in numbers)


def count(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT count(*), count(DISTINCT question_id) FROM answers"
        rows, questions = connection.execute(query).fetchone()
        return rows, questions


# ------------------------------------------------------------------ keys


@pytest.mark.parametrize("name", ["seed", "recipe", "engine", "material", "code"])
def test_every_part_of_the_identity_changes_the_key(name: str) -> None:
    other = replace(RAG, **{name: 9 if name == "seed" else "other"})  # type: ignore[arg-type]
    assert other.key(question(1)) != RAG.key(question(1))
    assert other.stage("prepare") != RAG.stage("prepare")


def test_every_part_of_the_question_changes_the_key() -> None:
    asked = Question("q", "text", ("a", "b"))
    others = [Question("p", "text", ("a", "b")), Question("q", "other", ("a", "b")),
              Question("q", "text", ("b", "a"))]
    assert len({RAG.key(other) for other in (asked, *others)}) == 4
    assert [field.name for field in fields(Question)] == ["id", "text", "choices"]


def test_a_renamed_contender_keeps_its_answers() -> None:
    assert replace(RAG, contender="new").key(question(1)) == RAG.key(question(1))


# ------------------------------------------------------------------ what is kept


def test_an_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    full = Answer("q1", "é \ud800", USAGE, ("d.md",), ("text",), ("shot 3",), "too slow")
    with Journal(tmp_path / "journal.db") as journal:
        journal.put(RAG, question(1), full)
    with Journal(tmp_path / "journal.db") as journal:
        assert journal.answers([RAG.key(question(1)), "absent"]) == {RAG.key(question(1)): full}


def test_the_same_answer_again_changes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        journal.put(RAG, question(1), answer(1))
        [before] = journal._rows("SELECT * FROM answers", [])
        time.sleep(0.005)
        journal.put(RAG, question(1), answer(1))
        assert journal._rows("SELECT * FROM answers", []) == [before]


def test_a_later_answer_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        journal.put(RAG, question(1), answer(1, "no"))
        journal.put(RAG, question(1), answer(1, "yes"))
        assert journal.answers([RAG.key(question(1))])[RAG.key(question(1))].text == "yes"
    assert count(tmp_path / "journal.db") == (1, 1)


def test_many_answers_are_stored_together_or_not_at_all(tmp_path: Path) -> None:
    many = [(question(number), answer(number)) for number in range(1200)]
    with Journal(tmp_path / "journal.db") as journal:
        journal.put_many(RAG, many)
        with pytest.raises(AssertionError, match="an answer names its question"):
            journal.put_many(RAG, [(question(5000), answer(5000)), (question(1), answer(2))])
    assert len(stored(tmp_path / "journal.db", list(range(6000)))) == 1200


def test_a_commit_is_synced_and_a_writer_waits_for_another(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db") as journal:
        pragmas = ("journal_mode", "synchronous", "busy_timeout")
        values = [journal._rows(f"PRAGMA {pragma}", [])[0][0] for pragma in pragmas]
    assert values == ["wal", 2, 30_000]  # 2 is FULL


def test_a_stage_is_absent_until_it_has_finished(tmp_path: Path) -> None:
    with Journal(tmp_path / "deep" / "journal.db") as journal:
        assert journal.stage(RAG.stage("prepare")) is None
        journal.put_stage(RAG.stage("prepare"), "prepare", {"seconds": 1.5}, contender="rag")
        assert journal.stage(RAG.stage("prepare")) == {"seconds": 1.5}


# ------------------------------------------------------------------ kills and crowds


def test_no_acknowledged_answer_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    draw, path, acknowledged = random.Random(0), tmp_path / "journal.db", []
    for attempt in range(20):
        child = writer(path, attempt * 100_000, 1, (attempt + 1) * 100_000)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(draw.uniform(0.0, 0.03))
        child.send_signal(signal.SIGKILL)
        rest, _ = child.communicate()
        acknowledged += [int(line) for line in (first + rest).split()]
        assert len(stored(path, acknowledged)) == len(acknowledged) > attempt
    rows, questions = count(path)
    assert rows == questions >= len(acknowledged)


def test_writers_side_by_side_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    children = [writer(path, start, 4, 200) for start in range(4)]
    for child in children:
        _, errors = child.communicate(timeout=60)
        assert (child.returncode, errors) == (0, "")
    assert len(stored(path, list(range(200)))) == 200
    assert count(path) == (200, 200)


def test_a_new_journal_waits_for_whoever_writes_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with closing(other):
        other.execute("BEGIN IMMEDIATE")
        end = threading.Timer(0.2, other.execute, ["COMMIT"])
        end.start()
        with Journal(path) as journal:
            assert journal.integrity() == "ok"
        end.join()


# ------------------------------------------------------------------ full disks, damage


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_keeps_what_was_acknowledged_and_later_continues(small_disk: Path) -> None:
    path, ballast, kept = small_disk / "journal.db", small_disk / "ballast", 0
    ballast.write_bytes(b"x" * 80_000)
    with Journal(path) as journal:
        with pytest.raises(AdvisorError) as caught:
            for number in range(1000):
                journal.put(RAG, question(number), answer(number, "x" * 900))
                kept = number + 1
        ballast.unlink()
        journal.put(RAG, question(kept), answer(kept))
    assert f"{small_disk} is full or refuses writes" in caught.value.problem
    assert "every answer acknowledged so far is kept" in caught.value.problem
    assert "give the same command again: it continues" in caught.value.fix
    assert len(stored(path, list(range(1001)))) == kept + 1 > 1


def test_a_limit_on_file_size_is_told_like_a_full_disk(tmp_path: Path) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))"
    command = [sys.executable, "-c", limited + WRITER, str(tmp_path / "j.db"), "0", "1", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    acknowledged = [int(line) for line in done.stdout.split()]
    assert f"JournalError: {tmp_path}/j.db: {tmp_path} is full or refuses writes" in done.stderr
    assert len(stored(tmp_path / "j.db", acknowledged)) == len(acknowledged) > 1


def filled(path: Path) -> Path:
    with Journal(path) as journal:
        journal.put_many(RAG, [(question(n), answer(n, f"word{n} " * 40)) for n in range(50)])
    return path


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database" * 500)
    with pytest.raises(AdvisorError, match=r"journal.db: the journal is damaged"), Journal(path):
        pass


def test_a_changed_letter_in_an_answer_is_found(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.db")
    path.write_bytes(path.read_bytes().replace(b"word7 word7", b"word7 wird7", 1))
    with Journal(path) as journal, pytest.raises(AdvisorError, match="the journal is damaged"):
        journal.answers([RAG.key(question(7))])


def test_a_damaged_page_never_gives_a_wrong_answer(tmp_path: Path) -> None:
    draw, whole = random.Random(0), filled(tmp_path / "journal.db").read_bytes()
    keys = {RAG.key(question(n)): answer(n, f"word{n} " * 40) for n in range(50)}
    for trial in range(40):
        path, at = tmp_path / f"{trial}.db", draw.randrange(100, len(whole) - 64)
        path.write_bytes(whole[:at] + draw.randbytes(64) + whole[at + 64 :])
        try:
            with Journal(path) as journal:
                found = journal.answers(keys)
                assert found == keys or journal.integrity() != "ok"
                assert all(found[key] == keys[key] for key in found)
        except AdvisorError as error:
            assert str(path) in error.problem


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path / "journal.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE meta SET value = '2'")
        connection.commit()
    with pytest.raises(AdvisorError, match=r"newer advisor \(journal version 2, this one reads 1"):
        Journal(path).__enter__()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(AdvisorError, match="file/run: Not a directory"):
        Journal(tmp_path / "file" / "run" / "journal.db").__enter__()


def test_the_file_system_of_a_path_is_that_of_the_nearest_mount() -> None:
    mounts = "a / ext4 rw 0 0\nb /net nfs4 rw 0 0\nc /net/my\\040disk ext4 rw 0 0\n"
    assert file_system_of(Path("/net/runs/journal.db"), mounts) == "nfs4"
    assert file_system_of(Path("/net/my disk/journal.db"), mounts) == "ext4"
    assert file_system_of(Path("/network/journal.db"), mounts) == "ext4"


# ------------------------------------------------------------------ one run at a time


def test_a_second_lock_names_the_holder_and_exits_75(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(Busy) as caught, RunLock(tmp_path):
        pass
    assert caught.value.exit_code == 75
    assert f"{tmp_path} is in use by process " in caught.value.problem
    assert Path(sys.argv[0]).name in caught.value.problem


def test_a_lock_can_be_taken_again_after_its_holder_ended(tmp_path: Path) -> None:
    with RunLock(tmp_path):
        pass
    with RunLock(tmp_path):
        assert (tmp_path / "run.lock").read_text(encoding="utf-8").startswith("process ")


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    code = ("import sys, time; from pathlib import Path\n"
            "from advisor.runner.journal import RunLock\n"
            "with RunLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)],
                          stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=f"process {child.pid} since "), RunLock(tmp_path):
            pass
        child.kill()
    with RunLock(tmp_path):
        pass
