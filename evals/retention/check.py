"""Check the rows of the retention suites in this folder.

Usage: python check.py [FOLDER]

Prints every fault found and exits 1, or prints the counts and exits 0.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Row = Mapping[str, object]


@dataclass(frozen=True)
class Suite:
    """What one suite's rows must look like."""

    name: str
    rows: int
    text_fields: tuple[str, ...]
    unique_fields: tuple[str, ...]
    choices: int = 0
    words_in: tuple[str, ...] = ()
    min_words: int = 0
    max_words: int = 0


SUITES = (
    Suite("general_knowledge", 120, ("question",), ("question",), choices=4),
    Suite("everyday_physics", 90, ("goal",), ("goal",), choices=2),
    Suite("grammar", 90, ("phenomenon",), (), choices=2),
    Suite(
        "last_word",
        80,
        ("context", "last_word"),
        ("context",),
        words_in=("context", "last_word"),
        min_words=20,
        max_words=40,
    ),
    Suite(
        "plain_text",
        40,
        ("subject", "text"),
        ("text",),
        words_in=("text",),
        min_words=60,
        max_words=110,
    ),
)


def normal(text: str) -> str:
    """Text folded for comparison: case and spacing do not count."""
    return " ".join(text.casefold().split())


def read_rows(path: Path, faults: list[str]) -> list[tuple[str, Row]]:
    """The file's rows, each with the place to name in a fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"{path.name}: cannot be read: {error}")
        return []
    rows: list[tuple[str, Row]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            row: object = json.loads(line)
        except json.JSONDecodeError as error:
            faults.append(f"{where}: not JSON: {error.msg}")
            continue
        if isinstance(row, dict):
            rows.append((where, row))
        else:
            faults.append(f"{where}: not an object")
    return rows


def field_text(row: Row, field: str, where: str, faults: list[str]) -> str | None:
    """A field that must be text without stray space round it."""
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        faults.append(f"{where}: {field} is missing, empty or not text")
        return None
    if value != value.strip() or "\n" in value:
        faults.append(f"{where}: {field} has a line break or space at an end")
    return value


def check_choices(
    suite: Suite, row: Row, where: str, faults: list[str]
) -> tuple[int, tuple[str, ...]] | None:
    """The answer's position and the choices, where both are sound."""
    choices = row.get("choices")
    if not isinstance(choices, list) or len(choices) != suite.choices:
        faults.append(f"{where}: choices is not a list of {suite.choices}")
        return None
    texts: list[str] = []
    for choice in choices:
        if not isinstance(choice, str) or not choice or choice != choice.strip():
            faults.append(f"{where}: a choice is empty, padded or not text")
            return None
        texts.append(choice)
    if len({normal(text) for text in texts}) != len(texts):
        faults.append(f"{where}: two choices are the same")
    answer = row.get("answer")
    if isinstance(answer, bool) or not isinstance(answer, int):
        faults.append(f"{where}: answer is not a whole number")
        return None
    if not 0 <= answer < len(texts):
        faults.append(f"{where}: answer {answer} is outside 0..{len(texts) - 1}")
        return None
    return answer, tuple(texts)


def check_words(suite: Suite, row: Row, where: str, faults: list[str]) -> None:
    """The length in words, and a last word that is one bare word."""
    if suite.max_words:
        count = sum(len(str(row.get(field, "")).split()) for field in suite.words_in)
        if not suite.min_words <= count <= suite.max_words:
            faults.append(
                f"{where}: {count} words, not {suite.min_words}..{suite.max_words}"
            )
    if "last_word" in suite.text_fields and not str(row.get("last_word")).isalpha():
        faults.append(f"{where}: last_word is not a single bare word")


def check_suite(folder: Path, suite: Suite) -> list[str]:
    """Every fault of one suite."""
    faults: list[str] = []
    if not (folder / f"{suite.name}.yaml").is_file():
        faults.append(f"{suite.name}.yaml: missing")
    path = folder / f"{suite.name}.jsonl"
    rows = read_rows(path, faults)
    if len(rows) != suite.rows:
        faults.append(f"{path.name}: {len(rows)} sound rows, not {suite.rows}")
    seen: dict[tuple[str, str], str] = {}
    positions: Counter[int] = Counter()

    def once(kind: str, text: str, where: str) -> None:
        first = seen.setdefault((kind, normal(text)), where)
        if first != where:
            faults.append(f"{where}: {kind} already used at {first}")

    for where, row in rows:
        for field in ("id", *suite.text_fields):
            text = field_text(row, field, where, faults)
            if text is not None and (field == "id" or field in suite.unique_fields):
                once(field, text, where)
        if suite.choices:
            found = check_choices(suite, row, where, faults)
            if found is not None:
                positions[found[0]] += 1
                if not suite.unique_fields:
                    once("pair", " / ".join(sorted(found[1])), where)
        check_words(suite, row, where, faults)
    if suite.choices and positions:
        counts = [positions[position] for position in range(suite.choices)]
        if max(counts) - min(counts) > 1:
            faults.append(f"{path.name}: answer positions are uneven: {counts}")
    return faults


def main(arguments: list[str]) -> int:
    """Check every suite in the folder; 0 when all are sound."""
    if len(arguments) > 1:
        print("usage: python check.py [FOLDER]", file=sys.stderr)
        return 2
    folder = Path(arguments[0]) if arguments else Path(__file__).resolve().parent
    faults = [fault for suite in SUITES for fault in check_suite(folder, suite)]
    for fault in faults:
        print(fault)
    if faults:
        print(f"{len(faults)} faults", file=sys.stderr)
        return 1
    print(", ".join(f"{suite.name} {suite.rows}" for suite in SUITES))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
