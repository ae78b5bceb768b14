"""What a draft understood, in words: for the terminal, and for the comments of task.yaml."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from advisor.core import Example
from advisor.data.corpus import SUFFIXES
from advisor.errors import AdvisorError
from advisor.intake.columns import Columns
from advisor.intake.guess import Guess
from advisor.intake.records import Records
from advisor.intake.split import SPLITS


def said(
    records: Records, columns: Columns, found: Guess, *, splits: Mapping[str, Sequence[Example]],
    chance: float, notes: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    """(what, how it was understood) for each guess, with the option that corrects it."""
    sizes = ", ".join(f"{len(splits[name])} {name}" for name in SPLITS)
    lines = [
        ("read", f"{len(records.rows)} rows of {records.form}; "
                 f"columns {', '.join(records.columns)}"),
        ("question", f"{' + '.join(columns.question)} ({columns.shape}) [--input]"),
        ("answer", f"{columns.answer}{_answers(splits, found)}{_several(splits)} [--target]"),
    ]
    for name in ("choices", "sources", "id"):
        if column := getattr(columns, name):
            lines.append((name, column))
    for note in notes:
        head, _, rest = note.partition(": ")
        lines.append((head, f"{rest} [--group]") if head == "group" else
                     (head, rest) if head in ("documents", "preferences") else ("left out", note))
    graded = f"{found.kind}: {found.why['scorer']} [--task-kind]"
    lines += [
        ("graded", graded),
        ("primary", f"{found.primary}, {found.why['primary']}; {chance:g} for the majority answer"),
        ("max_tokens", f"{found.max_tokens}: {found.why['max_tokens']}"),
        ("split", f"{sizes} [--seed, --dev-share, --test-share]"),
        ("instruction", f"{found.why['instruction']}: {_short(found.instruction)}"),
    ]
    return tuple(lines)


def _answers(splits: Mapping[str, Sequence[Example]], found: Guess) -> str:
    firsts = Counter(e.targets[0] for rows in splits.values() for e in rows)
    if found.kind == "json":
        return f": JSON with {', '.join(found.fields)}"
    if found.kind in ("exact", "choice") and len(firsts) <= 60:
        ranked = sorted(firsts.items(), key=lambda one: (-one[1], one[0]))[:8]
        shown = ", ".join(f"{_short(label, 30)} {count}" for label, count in ranked)
        return f": {len(firsts)} labels ({shown}{', ...' if len(firsts) > 8 else ''})"
    return f": {len(firsts)} different answers"


def _several(splits: Mapping[str, Sequence[Example]]) -> str:
    """Lists are read as alternatives, which rows with several labels would not mean."""
    count = sum(len(example.targets) > 1 for rows in splits.values() for example in rows)
    return f"; {count} rows accept any of several answers" if count else ""


def _short(text: str, width: int = 90) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else f"{flat[: width - 3]}..."


def lost_rows(lost: Sequence[str]) -> list[str]:
    """How many rows were left out, and where the first of them stand."""
    if not lost:
        return []
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return [f"{len(lost)} rows: {', '.join(lost[:3])}{more}"]


def documents(folder: Path | None) -> list[str]:
    """How many documents there are; raises AdvisorError for a folder without any."""
    if folder is None:
        return []
    files = texts(folder)
    if not files:
        raise AdvisorError(f"{folder}: holds no {' or '.join(SUFFIXES)} file",
                           fix="give a folder of texts, or leave --docs out")
    others = sum(path.is_file() for path in folder.rglob("*")) - len(files)
    return [f"documents: {len(files)} from {folder}" + (f", {others} other files not read"
                                                        if others else "")]


def preferred(columns: Columns, count: int) -> list[str]:
    """What became of answers that people liked less."""
    if not columns.rejected:
        return []
    return [f"preferences: {count} pairs of {columns.answer} and {columns.rejected}, of train "
            "rows alone, for lora-dpo and lora-simpo"]


def texts(folder: Path) -> list[Path]:
    """The files below a folder that a corpus takes, by name."""
    return [path for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix.lower() in SUFFIXES]
