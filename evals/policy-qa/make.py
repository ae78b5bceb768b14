"""Make the question files of the task policy-qa from its hand-written material.

The material is `corpus/*.md` (one document a file, with front matter) and
`questions.yaml` (questions and answers by document). This script checks the
material, deals whole documents to the splits by a fixed seed, and writes
`train.jsonl`, `dev.jsonl` and `test.jsonl` beside itself.

    python evals/policy-qa/make.py           # write the files
    python evals/policy-qa/make.py --check   # exit 1 if the files are not up to date
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TypedDict

import yaml

FOLDER = Path(__file__).resolve().parent
SEED = "brackwater-41"
HELD_OUT_DOCUMENTS = {"dev": 15, "test": 15}
LEAST_ROWS = {"train": 200, "dev": 150, "test": 150}
LEAST_CURRENT_DOCUMENTS = 48
LEAST_SUPERSEDED_DOCUMENTS = 4
WORDS_IN_DOCUMENT = (150, 400)
WORDS_IN_ANSWER = (1, 6)
COPIED_WORDS = 8
LEAST_QUESTIONS = 10

SMALL_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen"),
    *("sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SHORT_UNITS = {
    "centimetres": "cm",
    "decibels": "dB",
    "grams": "g",
    "kilograms": "kg",
    "metres": "m",
    "millilitres": "ml",
    "millimetres": "mm",
}


class MaterialError(Exception):
    """The hand-written material breaks one of the rules of the task."""


class Row(TypedDict):
    """One line of a question file."""

    id: str
    text: str
    targets: list[str]
    group: str
    sources: list[str]


@dataclass(frozen=True)
class Document:
    """One corpus file."""

    name: str
    title: str
    valid_from: date
    body: str

    @property
    def superseded(self) -> bool:
        """Whether a newer document has replaced this one."""
        return "superseded" in self.title


@dataclass(frozen=True)
class Question:
    """One hand-written question; the first answer is copied from the document."""

    document: str
    text: str
    answers: tuple[str, ...]


def words(text: str) -> list[str]:
    """Lower-case words of a text, without punctuation."""
    return re.findall(r"\w+(?:[.,:]\d+)*", text.lower())


def read_document(path: Path) -> Document:
    """Read a corpus file, whose front matter holds `title` and `valid_from`."""
    parts = re.fullmatch(r"---\n(.*?)\n---\n(.*)", path.read_text(encoding="utf-8"), re.DOTALL)
    if not parts:
        raise MaterialError(f"{path.name}: no front matter")
    head = yaml.safe_load(parts[1])
    if set(head) != {"title", "valid_from"} or not isinstance(head["valid_from"], date):
        raise MaterialError(f"{path.name}: front matter needs a title and a date valid_from")
    return Document(path.stem, str(head["title"]), head["valid_from"], parts[2])


def read_questions(path: Path) -> list[Question]:
    """Read the questions of all documents, in the order of the file."""
    by_document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Question(document, entry["question"], tuple(entry["answers"]))
        for document, entries in by_document.items()
        for entry in entries
    ]


def check_document(document: Document) -> None:
    """Refuse a document that is too short or too long."""
    least, most = WORDS_IN_DOCUMENT
    count = sum(1 for token in document.body.split() if re.search(r"\w", token))
    if not least <= count <= most:
        raise MaterialError(f"{document.name}: {count} words, not {least} to {most}")
    if not re.search(r"^# \S", document.body, re.MULTILINE):
        raise MaterialError(f"{document.name}: no heading")


def check_question(question: Question, document: Document) -> None:
    """Refuse an answer that is not in the document, and a question copied from it."""
    label = f"{question.document}: {question.text!r}"
    answer = question.answers[0]
    least, most = WORDS_IN_ANSWER
    if document.superseded:
        raise MaterialError(f"{label}: asks about a superseded document")
    whole = re.compile(rf"(?<!\w){re.escape(answer)}(?!\w)")
    if not any(whole.search(section) for section in document.body.split("\n## ")):
        raise MaterialError(f"{label}: {answer!r} is not in one section of the document")
    if not least <= len(answer.split()) <= most:
        raise MaterialError(f"{label}: {answer!r} has not {least} to {most} words")
    if f" {' '.join(words(answer))} " in f" {' '.join(words(question.text))} ":
        raise MaterialError(f"{label}: the question gives its answer away")
    if copied := shared_run(words(question.text), words(document.body)):
        raise MaterialError(f"{label}: copies {copied!r}")


def shared_run(left: Sequence[str], right: Sequence[str]) -> str:
    """The first run of COPIED_WORDS words that both texts hold, or an empty string."""
    runs = set(runs_of(right))
    return next((run for run in runs_of(left) if run in runs), "")


def runs_of(tokens: Sequence[str]) -> Iterator[str]:
    """Each run of COPIED_WORDS consecutive words."""
    for start in range(len(tokens) - COPIED_WORDS + 1):
        yield " ".join(tokens[start : start + COPIED_WORDS])


def check_material(documents: Mapping[str, Document], questions: Sequence[Question]) -> None:
    """Check every rule that does not depend on the splits."""
    for document in documents.values():
        check_document(document)
    for question in questions:
        if question.document not in documents:
            raise MaterialError(f"{question.document}: no such document")
        check_question(question, documents[question.document])
    texts = [" ".join(words(question.text)) for question in questions]
    if repeated := {text for text in texts if texts.count(text) > 1}:
        raise MaterialError(f"asked more than once: {sorted(repeated)}")
    check_counts(documents, questions)


def check_counts(documents: Mapping[str, Document], questions: Sequence[Question]) -> None:
    """Check the number of documents, and of questions on each current one."""
    current = [name for name, document in documents.items() if not document.superseded]
    if len(current) < LEAST_CURRENT_DOCUMENTS:
        raise MaterialError(f"only {len(current)} current documents")
    if len(documents) - len(current) < LEAST_SUPERSEDED_DOCUMENTS:
        raise MaterialError(f"only {len(documents) - len(current)} superseded documents")
    asked = [question.document for question in questions]
    for name in current:
        if asked.count(name) < LEAST_QUESTIONS:
            raise MaterialError(f"{name}: only {asked.count(name)} questions")


def seeded(text: str) -> str:
    """A fixed pseudo-random sort key, the same on every Python version."""
    return hashlib.sha256(f"{SEED}:{text}".encode()).hexdigest()


def deal(names: Sequence[str]) -> dict[str, str]:
    """The split of each document: dev and test take their share, train the rest."""
    order = iter(sorted(names, key=seeded))
    splits = {next(order): split for split, many in HELD_OUT_DOCUMENTS.items() for _ in range(many)}
    return splits | dict.fromkeys(order, "train")


def in_words(number: int) -> str:
    """A number below one hundred, spelt out."""
    if number < len(SMALL_NUMBERS):
        return SMALL_NUMBERS[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f"-{SMALL_NUMBERS[ones]}" if ones else "")


NUMBER_OF_WORD = {in_words(number): str(number) for number in range(1, 100)}


def number_variants(answer: str) -> Iterator[str]:
    """The answer with its number as a word, as figures, or without thousands commas."""
    if match := re.fullmatch(r"(every )?([1-9]\d?)( [a-z ]+)?", answer):
        spelt = f"{in_words(int(match[2]))}{match[3] or ''}"
        yield from (f"{match[1]}{spelt}", spelt) if match[1] else (spelt,)
    first, _, rest = answer.partition(" ")
    if first in NUMBER_OF_WORD:
        yield f"{NUMBER_OF_WORD[first]} {rest}".strip()
    if re.search(r"\d,\d{3}", answer):
        yield re.sub(r"(\d),(\d{3})", r"\1\2", answer)


def unit_variants(answer: str) -> Iterator[str]:
    """The answer with its money, percent, degree or metric unit written another way."""
    if money := re.fullmatch(r"£([\d.,]+)", answer):
        yield f"{money[1]} pounds"
        yield money[1]
    if percent := re.fullmatch(r"([\d.]+)%", answer):
        yield f"{percent[1]} percent"
    if degrees := re.fullmatch(r"([\d.]+) °C", answer):
        yield f"{degrees[1]} degrees Celsius"
        yield f"{degrees[1]} degrees"
        yield f"{degrees[1]}°C"
    length = re.fullmatch(r"([\d.]+) (\w+)", answer)
    if length and length[2] in SHORT_UNITS:
        yield f"{length[1]} {SHORT_UNITS[length[2]]}"


def bare_number(question: str, answer: str) -> Iterator[str]:
    """The number alone, where the question itself names the unit."""
    match = re.fullmatch(r"([\d.,]+|[a-z-]+) ([a-z ]+)", answer)
    if not match or not set(words(f"how many {match[2]}")) <= set(words(question)):
        return
    if match[1] in NUMBER_OF_WORD or match[1][0].isdigit():
        yield from (match[1], *number_variants(match[1]))


def targets(question: Question) -> list[str]:
    """All accepted answers, the one copied from the document first."""
    answer = question.answers[0]
    derived = (*number_variants(answer), *unit_variants(answer))
    return list(dict.fromkeys((*question.answers, *derived, *bare_number(question.text, answer))))


def make_rows(split: str, questions: Sequence[Question]) -> list[Row]:
    """The rows of one split, mixed so that any head of the file spans its documents."""
    mixed = sorted(questions, key=lambda question: seeded(question.text))
    return [
        {
            "id": f"pq-{split}-{number:03d}",
            "text": question.text,
            "targets": targets(question),
            "group": question.document,
            "sources": [f"{question.document}.md"],
        }
        for number, question in enumerate(mixed, start=1)
    ]


def make_files() -> dict[Path, str]:
    """The text of each question file, from checked material."""
    documents = {path.stem: read_document(path) for path in sorted(FOLDER.glob("corpus/*.md"))}
    questions = read_questions(FOLDER / "questions.yaml")
    check_material(documents, questions)
    split_of = deal([name for name, document in documents.items() if not document.superseded])
    files = {}
    for split, least in LEAST_ROWS.items():
        rows = make_rows(split, [q for q in questions if split_of[q.document] == split])
        if len(rows) < least:
            raise MaterialError(f"{split}: {len(rows)} rows, at least {least} are needed")
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        files[FOLDER / f"{split}.jsonl"] = "".join(lines)
    return files


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the question files, or with `--check` compare them; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="Make the question files of the task policy-qa.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    only_check = parser.parse_args(arguments).check
    try:
        files = make_files()
    except MaterialError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    if not only_check:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8", newline="\n")
            print(f"{path.name}: {text.count(chr(10))} rows")
        return 0
    stale = [
        path.name
        for path, text in files.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for name in stale:
        print(f"error: {name} differs from what make.py writes", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
