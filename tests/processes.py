"""Processes of their own: a server, and one that answers from a bundle alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from advisor.core import Question

ROOT = Path(__file__).resolve().parents[1]
# Answers every question of every bundle: folder and questions in, texts out.
FRESH = """
import json, sys
from pathlib import Path
from advisor.cli.tools import Opener
from advisor.core import Question
opener, said = Opener(), {}
for name, (folder, asked) in json.load(sys.stdin).items():
    _, system = opener.open(Path(folder))
    questions = [Question(id, text, tuple(choices)) for id, text, choices in asked]
    said[name] = {one.question_id: one.text for one in system.answer(questions)}
json.dump(said, sys.stdout)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def fresh(
    bundles: Mapping[str, tuple[Path, Iterable[Question]]], *, seconds: float = 240
) -> dict[str, dict[str, str]]:
    """What each bundle says to its questions, by name and question id, in a new process."""
    asked = {name: (str(folder), [(one.id, one.text, one.choices) for one in questions])
             for name, (folder, questions) in bundles.items()}
    done = subprocess.run([sys.executable, "-c", FRESH], input=json.dumps(asked), text=True,
                          env=environment(), capture_output=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


@contextmanager
def serving(
    what: str | Path, *, cwd: Path | None = None
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`advisor serve` of a version or a bundle on a free port, and that port."""
    command = [sys.executable, "-m", "advisor", "serve", str(what), "--port", "0"]
    with tempfile.TemporaryFile("w+") as log, subprocess.Popen(
        command, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=log, text=True,
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            found = re.search(r"http://127.0.0.1:(\d+)/v1", first)
            log.seek(0)
            assert found, first + log.read()
            yield process, int(found[1])
        finally:
            process.kill()
