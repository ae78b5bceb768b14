"""Which rows and documents are in a bundle, one by one, by the sha256 of what they say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from advisor.config import Recipe, TunedWeights
from advisor.core import Example, Task
from advisor.data.beside import PREFERENCES, UNLABELLED
from advisor.data.corpus import FRONT_MATTER, SUFFIXES
from advisor.data.digest import canonical

LINEAGE = "governance/lineage.jsonl"
# What became part of the artefact. Test rows only measured it.
HELD = ("trained", "used to choose", "shown", "counted", "indexed")


def lineage(task: Task, folder: Path, system: Path, recipe: Recipe) -> list[dict[str, Any]]:
    """A record for each row and document of the task that the system has to do with.

    `folder` is the task's, `system` that of the saved system. Each record has `file`,
    `line` (0: the whole file), `id`, `sha256` (of the row as canonical JSON, or of the
    file), `use` (one of `HELD`, or `measured`) and `subject`, a digest of the person that
    the row says it is about, or empty.
    """
    shown = {row["id"] for row in _shots(system)}
    uses = {"train": _use_of_train(recipe, task), "dev": "", "test": "measured"}
    # Dev picks the checkpoint of weights, the words of a prompt, or how much is retrieved.
    searched = recipe.prompt.tune or recipe.retrieval.tune
    if isinstance(recipe.weights, TunedWeights) or searched is not None:
        uses["dev"] = "used to choose"
    found = []
    splits = {"train": task.material.train, "dev": task.material.dev, "test": task.test}
    for split, examples in splits.items():
        for example, (file, line, raw) in zip(examples, _raw(folder, split, examples),
                                              strict=True):
            row_id = example.question.id
            use = uses[split] or ("shown" if row_id in shown else "")
            if use:
                found.append(_record(file, line, row_id, raw=raw, use=use))
    found += _beside(task, folder, recipe)
    if recipe.retrieval.kind != "none":
        found += [_document(folder, path) for path in sorted((folder / "corpus").rglob("*"))
                  if path.is_file() and path.suffix.lower() in SUFFIXES]
    return found


def text(records: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, sort_keys=True) + "\n" for record in records)


def read(bundle: Path) -> list[dict[str, Any]] | None:
    """The lineage of a bundle; None for one that was packed without."""
    path = bundle / LINEAGE
    return parse(path.read_bytes()) if path.is_file() else None


def parse(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode("utf-8").splitlines()]


def held(bundle: Path) -> list[dict[str, Any]]:
    """The rows and documents that are part of a bundle; empty when it has no lineage."""
    return [record for record in read(bundle) or () if record["use"] in HELD]


def subject_digest(subject: str) -> str:
    """What stands for a person in lineage and log, so that neither has to be erased."""
    return sha256(f"subject\n{subject}".encode()).hexdigest()


def row_digest(raw: dict[str, Any]) -> str:
    """The sha256 of a row's content; its place in the file does not matter."""
    return sha256(canonical(raw).encode("utf-8", "surrogatepass")).hexdigest()


def task_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a checked JSONL file as it was written, with its line."""
    if not path.is_file():
        return
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield number, json.loads(line)


def document_subject(content: str) -> str:
    """`subject` of a document's front matter, or empty."""
    matter = FRONT_MATTER.match(content)
    values = yaml.safe_load(matter.group(1)) if matter else None
    return str(values.get("subject", "")) if isinstance(values, dict) else ""


def _raw(
    folder: Path, split: str, examples: Sequence[Example]
) -> list[tuple[str, int, dict[str, Any]]]:
    """Each example's row as it was written: file, line, content.

    Rows that stand in no JSONL file of the split's name are taken as they were read.
    """
    rows = [(f"{split}.jsonl", line, raw) for line, raw in task_rows(folder / f"{split}.jsonl")]
    if len(rows) >= len(examples):
        return rows[: len(examples)]
    return [(split, number, asdict(example)) for number, example in enumerate(examples, start=1)]


def _use_of_train(recipe: Recipe, task: Task) -> str:
    weights = recipe.weights
    if isinstance(weights, TunedWeights):
        teacher = weights.teacher
        if teacher and teacher.labels == "teacher" and task.material.unlabelled:
            return _use_of_train(teacher.recipe, task)
        return "trained"
    return "counted" if recipe.prompt.kind == "none" else ""


def _beside(task: Task, folder: Path, recipe: Recipe) -> list[dict[str, Any]]:
    """Questions that a teacher answered, pairs, and documents that were trained on."""
    weights = recipe.weights
    if not isinstance(weights, TunedWeights):
        return []
    found = []
    names = [UNLABELLED] if weights.teacher and task.material.unlabelled else []
    names += [PREFERENCES] if weights.prefer and task.material.preferences else []
    for name in names:
        for number, (line, raw) in enumerate(task_rows(folder / name), start=1):
            row_id = str(raw.get("id", f"{Path(name).stem}:{number}"))
            found.append(_record(name, line, row_id, raw=raw, use="trained"))
    if weights.pretrain:
        documents = [_document(folder, path) for path in sorted((folder / "corpus").rglob("*"))
                     if path.is_file() and path.suffix.lower() in SUFFIXES]
        found += [{**one, "use": "trained"} for one in documents]
    return found


def _shots(system: Path) -> Iterator[dict[str, Any]]:
    path = system / "shots.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in lines:
        yield json.loads(line)["question"]


def _record(file: str, line: int, row_id: str, *, raw: dict[str, Any], use: str) -> dict[str, Any]:
    subject = raw.get("subject", "")
    return {"file": file, "line": line, "id": row_id, "sha256": row_digest(raw), "use": use,
            "subject": subject_digest(str(subject)) if subject else ""}


def _document(task: Path, path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    subject = document_subject(re.sub("^\ufeff", "", content.decode("utf-8")))
    name = path.relative_to(task).as_posix()
    return {"file": name, "line": 0, "id": path.relative_to(task / "corpus").as_posix(),
            "sha256": sha256(content).hexdigest(), "use": "indexed",
            "subject": subject_digest(subject) if subject else ""}
