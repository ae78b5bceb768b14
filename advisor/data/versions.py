"""A later version of a task's facts: `versions/<date>/` in its folder.

    versions/2027-01-01/changed.jsonl    {"id": "r7", "targets": ["20 days"]}, one a line
    versions/2027-01-01/corpus/*.md      the documents that changed, whole, under their names

A line names a row of train, dev or test and what is right from that date on; what was right
before stands in the row. A task without a corpus has no `corpus/` here either. Of several
dates the last one is compared with the task as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from advisor.core import Document, Example, Task
from advisor.data.corpus import read_corpus
from advisor.data.digest import digest
from advisor.data.json_object import parse
from advisor.data.rows import RowFaults, check_targets
from advisor.errors import AdvisorError, Faults, did_you_mean

SAMPLE = '{"id": "r7", "targets": ["20 days"]}'


@dataclass(frozen=True, slots=True)
class Changed:
    """One fact: the row as it was, and as it is from the date on."""

    before: Example
    after: Example


@dataclass(frozen=True, slots=True)
class Version:
    """What is different from `date` on. `same` are rows of the same splits, as many or fewer,
    whose facts did not change; `documents` the new texts of documents of the corpus."""

    date: str
    changed: tuple[Changed, ...]
    same: tuple[Example, ...]
    documents: tuple[Document, ...]

    @property
    def digest(self) -> str:
        """The identity of all that is asked and read."""
        return digest([self.date, self.changed, self.same, self.documents])

    def corpus(self, before: tuple[Document, ...]) -> tuple[Document, ...]:
        """The corpus after the change: new texts in the place of the old ones."""
        new = {document.id: document for document in self.documents}
        return tuple(new.get(document.id, document) for document in before)

    def both(self, before: tuple[Document, ...]) -> tuple[Document, ...]:
        """The old corpus with the new texts beside it, under names that hold the date."""
        return (*before, *(replace(document, id=f"{self.date}/{document.id}")
                           for document in self.documents))


def load_version(folder: Path, task: Task) -> Version | None:
    """The last version in a task's folder; None when there is none.

    Raises Faults with everything that is wrong with it: a folder that is no date, an unknown
    row or document, a row twice, an answer that was right before too.
    """
    folders = sorted(path for path in (folder / "versions").glob("*") if path.is_dir())
    if not folders:
        return None
    return read_version(folders[-1], task, [
        f"{path.name}: the folder's name must be a date such as 2027-01-31"
        for path in folders if not _is_date(path.name)])


def read_version(place: Path, task: Task, beside: Sequence[str] = ()) -> Version:
    """The version in `place`, whose name is its date; raises Faults as `load_version` does,
    those of `beside` among them."""
    rows = {example.question.id: (split, example) for split, examples in (
        ("train", task.material.train), ("dev", task.material.dev), ("test", task.test),
    ) for example in examples}
    changed, wrong = _changed(place / "changed.jsonl", rows, task)
    corpus = read_corpus(place / "corpus")
    known = {document.id for document in task.material.corpus}
    faults = [*beside, *wrong, *corpus.faults]
    faults += [f"corpus/{name}: the task's corpus has no such document{did_you_mean(name, known)}"
               for name in corpus.ids if name not in known]
    if faults:
        raise Faults(str(place), faults, fix=f"correct these; a good line is {SAMPLE}")
    return Version(place.name, changed, _same(rows, changed), corpus.documents)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _changed(
    path: Path, rows: Mapping[str, tuple[str, Example]], task: Task
) -> tuple[tuple[Changed, ...], list[str]]:
    if not path.is_file():
        return (), [f"{path.name}: no such file; it needs one changed fact a line"]
    found: dict[str, Changed] = {}
    faults: list[str] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            one = _fact(line, rows, task)
            if one.before.question.id in found:
                raise ValueError(f"row {one.before.question.id!r} stands twice")
            found[one.before.question.id] = one
        except RowFaults as bad:
            faults += [f"{path.name}:{number}: {fault}" for fault in bad.faults]
        except ValueError as bad:
            faults.append(f"{path.name}:{number}: {bad}")
    if not found and not faults:
        faults.append(f"{path.name}: has no lines")
    return tuple(found.values()), faults


def _fact(line: bytes, rows: Mapping[str, tuple[str, Example]], task: Task) -> Changed:
    """Raises ValueError, or RowFaults, with what is wrong."""
    raw = parse(line.decode("utf-8"))
    if not isinstance(raw, dict) or set(raw) - {"id", "targets", "facts"} or "id" not in raw:
        raise ValueError("expected an object with `id` and `targets`")
    if raw["id"] not in rows:
        raise ValueError(f"no row {raw['id']!r} in train, dev or test"
                         f"{did_you_mean(str(raw['id']), rows)}")
    before = rows[raw["id"]][1]
    lists = {key: raw[key] for key in ("targets", "facts") if key in raw}
    if not lists or not all(
        isinstance(texts, list) and texts and all(isinstance(one, str) and one.strip()
                                                  for one in texts)
        for texts in lists.values()
    ):
        raise ValueError("`targets` must be a list of at least one text")
    after = replace(before, targets=tuple(lists.get("targets", before.targets)),
                    facts=tuple(lists.get("facts", before.facts)))
    check_targets(after, task.scorer)
    graded = "facts" if before.facts else "targets"
    if shared := set(getattr(before, graded)) & set(getattr(after, graded)):
        raise ValueError(f"{sorted(shared)[0]!r} was right before too: nothing changed")
    return Changed(before, after)


def _same(
    rows: Mapping[str, tuple[str, Example]], changed: tuple[Changed, ...]
) -> tuple[Example, ...]:
    """From each split evenly spread rows whose facts stay, as many as change there."""
    moved = {one.before.question.id for one in changed}
    chosen: list[Example] = []
    for split in ("train", "dev", "test"):
        mine = [example for name, example in rows.values() if name == split]
        kept = [example for example in mine if example.question.id not in moved]
        wanted = len(mine) - len(kept)
        if wanted and kept:
            step = max(1, len(kept) // wanted)
            chosen += kept[::step][:wanted]
    return tuple(chosen)


def need_version(folder: Path, task: Task) -> Version:
    """As `load_version`; raises AdvisorError where the task has no versions."""
    found = load_version(folder, task)
    if found is None:
        raise AdvisorError(
            f"{task.name} has no later version of its facts, so freshness cannot be measured",
            fix=f"advisor change {task.name} makes one; or write "
            f"{folder / 'versions' / '2027-01-31' / 'changed.jsonl'}, a line such as {SAMPLE}, "
            "and the changed documents beside it in corpus/",
        )
    return found
