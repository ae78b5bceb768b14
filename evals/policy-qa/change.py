"""Make the later version of policy-qa's facts: `versions/<date>/` beside this script.

A share of the facts behind train and test changes: a number in an answer becomes another,
in the document and in the accepted answers alike, and nowhere else. Which facts and which
numbers follows from a fixed seed, and every rule below is checked:

- the old answer stands once in its document, and in no other current document's section
  that the question could be about;
- the new answer does not stand in the document yet;
- every other question of the document still finds its answer there.

    python evals/policy-qa/change.py           # write the files
    python evals/policy-qa/change.py --check   # exit 1 if the files are not up to date
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from make import (
    FOLDER,
    Document,
    MaterialError,
    Question,
    deal,
    make_rows,
    read_document,
    read_questions,
    seeded,
    targets,
    words,
)

VERSION = "2027-01-01"
SHARE = 0.14  # of the facts behind train and behind test
MOST_IN_DOCUMENT = 4
ABOUT = 0.5  # share of a question's longer words in a section that may be about the same
NUMBER = re.compile(r"(?<![\w.,:-])\d+(?:,\d{3})*(?:\.\d+)?(?![\w:]|[.,-]\d)")
NOT_NUMBERS = re.compile(
    r"\d (?:January|February|March|April|May|June|July|August|September|October|November|"
    r"December)|\d{4}|:\d|weeks? \d|[A-Z]{2,}|\d (?:am|pm)\b"
)


@dataclass(frozen=True)
class Change:
    """One fact: the question, its answers from now on, and the document's new body."""

    question: Question
    answers: tuple[str, ...]
    body: str


def raised(number: str) -> str:
    """Another number of the same form: about a third more."""
    plain = number.replace(",", "")
    places = len(plain.partition(".")[2])
    value = float(plain)
    more = value + max(1 if not places else 0.5, round(value * 0.3, places))
    return f"{more:,.{places}f}" if "," in number or more >= 10_000 else f"{more:.{places}f}"


def whole(answer: str) -> re.Pattern[str]:
    """The answer as whole words."""
    return re.compile(rf"(?<![\w.,]){re.escape(answer)}(?![\w]|[.,]\d)")


def changed(question: Question, body: str) -> Change | None:
    """The fact with another number, or None where that is not plainly possible."""
    answer = question.answers[0]
    numbers = NUMBER.findall(answer)
    if len(numbers) != 1 or NOT_NUMBERS.search(answer):
        return None
    number = numbers[0]
    if number == answer:  # without a unit: a score, a code
        return None
    if not all(NUMBER.findall(one) == numbers for one in question.answers):
        return None
    answers = tuple(NUMBER.sub(raised(number), one) for one in question.answers)
    if len(whole(answer).findall(body)) != 1 or whole(answers[0]).search(body):
        return None
    return Change(question, answers, whole(answer).sub(answers[0].replace("\\", r"\\"), body))


def elsewhere(question: Question, documents: Mapping[str, Document]) -> bool:
    """Whether another current document may state the same fact."""
    said = {word for word in words(question.text) if len(word) > 4}
    for document in documents.values():
        if document.name == question.document or document.superseded:
            continue
        for section in document.body.split("\n## "):
            shared = said & set(words(section))
            if whole(question.answers[0]).search(section) and len(shared) > ABOUT * len(said):
                return True
    return False


def choose(
    questions: Sequence[Question], documents: Mapping[str, Document], split_of: Mapping[str, str]
) -> Iterator[Change]:
    """The changed facts, in a fixed pseudo-random order; bodies are as after each change."""
    bodies = {name: document.body for name, document in documents.items()}
    by_document = {name: [q for q in questions if q.document == name] for name in documents}
    for split in ("train", "test"):
        mine = sorted((q for q in questions if split_of[q.document] == split),
                      key=lambda one: seeded(f"change {one.text}"))
        wanted, many = round(SHARE * len(mine)), dict.fromkeys(documents, 0)
        for question in mine:
            name = question.document
            found = changed(question, bodies[name])
            if not wanted or found is None or many[name] == MOST_IN_DOCUMENT:
                continue
            others = [q for q in by_document[name] if q is not question]
            kept = all(bool(whole(q.answers[0]).search(bodies[name]))
                       <= bool(whole(q.answers[0]).search(found.body)) for q in others)
            if not kept or elsewhere(question, documents):
                continue
            bodies[name], many[name], wanted = found.body, many[name] + 1, wanted - 1
            by_document[name] = [replace(q, answers=found.answers) if q is question else q
                                 for q in by_document[name]]
            yield found
        if wanted:
            raise MaterialError(f"{split}: {wanted} facts too few can be changed")


def make_files() -> dict[Path, str]:
    """The text of each file of the version."""
    documents = {path.stem: read_document(path) for path in sorted(FOLDER.glob("corpus/*.md"))}
    questions = read_questions(FOLDER / "questions.yaml")
    split_of = deal([name for name, document in documents.items() if not document.superseded])
    ids = {row["text"]: row["id"] for split in ("train", "test") for row in make_rows(
        split, [q for q in questions if split_of[q.document] == split])}
    found = list(choose(questions, documents, split_of))
    folder = FOLDER / "versions" / VERSION
    rows = [{"id": ids[one.question.text],
             "targets": targets(replace(one.question, answers=one.answers))} for one in found]
    rows.sort(key=lambda row: str(row["id"]))
    files = {folder / "changed.jsonl":
             "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)}
    for name, body in {one.question.document: one.body for one in found}.items():
        head = f"---\ntitle: {documents[name].title}\nvalid_from: {VERSION}\n---\n"
        files[folder / "corpus" / f"{name}.md"] = head + body
    return files


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with `--check` compare them; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="Make the later version of policy-qa's facts.")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    only_check = parser.parse_args(arguments).check
    try:
        files = make_files()
    except MaterialError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    if not only_check:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        print(f"{len(files) - 1} documents changed")
        return 0
    stale = [path.name for path, text in files.items()
             if not path.exists() or path.read_text(encoding="utf-8") != text]
    for name in stale:
        print(f"error: {name} differs from what change.py writes", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
