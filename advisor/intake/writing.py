"""A draft as files: the whole task folder, or nothing."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from advisor.core import Example, Preference, ScorerSpec
from advisor.data.beside import PREFERENCES
from advisor.data.rows import sample
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.intake.draft import Draft
from advisor.intake.taskfile import task_yaml
from advisor.intake.wording import texts


def write(made: Draft, folder: Path, *, schema: str) -> list[Path]:
    """The files of the task in `folder`, which must not exist; all of them or none.

    `schema` is where task.yaml finds its schema. Raises AdvisorError when the folder is
    there, and Faults when what was drafted would not load.
    """
    if folder.exists():
        raise AdvisorError(f"{folder}: is already there, nothing was written",
                           fix=f"choose another name: --name {folder.name}-2")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        for name, rows in made.splits.items():
            with (staged / f"{name}.jsonl").open("x", encoding="utf-8") as stream:
                stream.writelines(_line(example) for example in rows)
        if made.preferences:
            with (staged / PREFERENCES).open("x", encoding="utf-8") as stream:
                stream.writelines(_pair(one) for one in made.preferences)
        text = task_yaml(made.name, made.guess, chance=made.chance, said=made.said, schema=schema)
        (staged / "task.yaml").write_text(text, encoding="utf-8")
        for path in texts(made.documents) if made.documents else ():
            target = staged / "corpus" / path.relative_to(made.documents or path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        load_task(staged)
        staged.chmod(0o755)  # a temporary folder is closed to others
        staged.rename(folder)
    except AdvisorError as error:
        shown = str(staged)
        raise AdvisorError(error.problem.replace(shown, str(folder)) + "\nnothing was written",
                           fix="correct these rows where they come from; a good row would "
                           f"become {sample(ScorerSpec(made.guess.kind, made.guess.fields))}"
                           ) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _line(example: Example) -> str:
    question = example.question
    row: dict[str, Any] = {"id": question.id, "text": question.text,
                           "targets": list(example.targets), "group": example.group}
    if question.choices:
        row["choices"] = list(question.choices)
    if example.sources:
        row["sources"] = list(example.sources)
    return json.dumps(row, ensure_ascii=False) + "\n"


def _pair(one: Preference) -> str:
    row = {"prompt": one.question.text, "chosen": one.chosen, "rejected": one.rejected}
    return json.dumps(row, ensure_ascii=False) + "\n"


def task_name(source: str) -> str:
    """A name for the task from the file's or the data set's: lower case, hyphens."""
    stem = source.split("@")[0].rstrip("/").rsplit("/", 1)[-1]
    stem = stem.rsplit(".", 1)[0] if not source.startswith("hf://") else stem
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "task"
