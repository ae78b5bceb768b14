"""A system of the user's own, by the path of a Python file in their workspace.

Its code runs in this process, so it is only ever opened for a recipe in the user's own
baselines/, never from a bundle.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.core import Answer, Material, Question, Usage
from advisor.errors import AdvisorError

FILE = "own.json"


@dataclass(frozen=True, slots=True)
class Own:
    """Answers with `made`, whose `answer(questions)` gives Answers, or one text a question
    in their order. Texts are timed here; their tokens are not known and count as 0."""

    system: str
    digest: str
    made: Any

    def answer(self, questions: Sequence[Question]) -> Iterable[Answer]:
        if not questions:
            return
        started = time.perf_counter()
        for given in self._said(questions):
            if isinstance(given, Answer):
                yield given
                continue
            question, text = given
            if not isinstance(text, str):
                raise AdvisorError(
                    f"{self.system}: answered {question.id!r} with {type(text).__name__}",
                    fix="let `answer` give one str or advisor.core.Answer for each question",
                )
            now = time.perf_counter()
            yield Answer(question.id, text, Usage(0, 0, now - started))
            started = now

    def _said(self, questions: Sequence[Question]) -> Iterator[Any]:
        count = 0
        for given in self.made.answer(list(questions)):
            if isinstance(given, Answer):
                yield given
                continue
            if count == len(questions):
                break
            yield questions[count], given
            count += 1

    def save(self, folder: Path) -> None:
        """Which file it was, not the file: code is not shipped."""
        text = json.dumps({"system": self.system, "sha256": self.digest}, indent=2)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def file_of(system: str, root: Path) -> Path:
    """The Python file that `./mine.py:System` names, seen from the workspace."""
    return root / system.rpartition(":")[0]


def opened(system: str, root: Path | None, material: Material | None) -> Own:
    """Run the file and make its system, with the material if it takes an argument.

    Raises AdvisorError for a missing file or name, for code that fails, and wherever no
    workspace is given: what a bundle names is not run.
    """
    if root is None:
        raise AdvisorError(
            f"{system} is a system of somebody's own code, which is never run from a bundle",
            fix="run it as a contender of your workspace, or from a program of your own",
        )
    path = file_of(system, root)
    name = system.rpartition(":")[2]
    fix = f"see weights.system in the recipe, and {path}"
    if not path.is_file():
        raise AdvisorError(f"{path}: no such file", fix=fix)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        module = _imported(path, sha256)
        kind = getattr(module, name)
        made = kind
        if inspect.isclass(kind) or not hasattr(kind, "answer"):
            takes = inspect.signature(kind).parameters
            made = kind(material) if takes else kind()
    except Exception as error:  # the user's code may raise anything
        raise AdvisorError(f"{system}: {type(error).__name__}: {error}", fix=fix) from error
    if not callable(getattr(made, "answer", None)):
        raise AdvisorError(f"{system}: has no method `answer`", fix=fix)
    return Own(system, sha256, made)


def reopened(folder: Path, root: Path | None, material: Material | None) -> Own:
    """The system that `Own.save` wrote about, if its file is still the same."""
    about = json.loads((folder / FILE).read_text(encoding="utf-8"))
    made = opened(about["system"], root, material)
    if made.digest != about["sha256"]:
        raise AdvisorError(f"{about['system']}: changed since it was measured",
                           fix="run the task again")
    return made


def _imported(path: Path, sha256: str) -> Any:
    """The file as a module of a name of its own, so that no other module is replaced."""
    name = f"advisor_own_{path.stem}_{sha256[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
