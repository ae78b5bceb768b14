"""What may lie beside a task's splits: questions without labels, and pairs of answers.

`unlabelled.jsonl` holds `{"text"}` with `id` and `choices` as options; a teacher answers it.
`preferences.jsonl` holds `{"prompt", "chosen", "rejected"}`, each as text or as chat
messages, as other tools write them. Neither file is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from advisor.core import Example, Preference, Question
from advisor.data.checks import same_item
from advisor.data.json_object import kind_of
from advisor.data.rows import Placed, RowFaults, as_text, lines_of, object_of
from advisor.errors import did_you_mean

UNLABELLED, PREFERENCES = "unlabelled.jsonl", "preferences.jsonl"
PAIR = '{"prompt": "...", "chosen": "...", "rejected": "..."}'

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Beside:
    """What was read, and every fault with its file and line."""

    unlabelled: tuple[Question, ...]
    preferences: tuple[Preference, ...]
    faults: tuple[str, ...]


def read_beside(folder: Path, test: Sequence[Placed]) -> Beside:
    """Both files of a task folder. What asks the same as a row of `test` is a fault: learning
    from it would tell the answer."""
    asked = {same_item(placed.example): placed for placed in test}
    faults: list[str] = []

    def told(question: Question) -> None:
        twin = asked.get(same_item(Example(question, ("",), question.id)))
        if twin:
            raise RowFaults([f"asks the same as test row {twin.example.question.id!r} at "
                             f"{twin.where}; remove one of them"])

    def unlabelled(raw: dict[str, Any], name: str) -> Question:
        question = _question(raw, name)
        told(question)
        return question

    def preference(raw: dict[str, Any], name: str) -> Preference:
        pair = _preference(raw, name)
        told(pair.question)
        return pair

    questions = _read(folder / UNLABELLED, unlabelled, faults)
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            faults.append(f"{UNLABELLED}: id {question.id!r} stands twice")
        seen.add(question.id)
    return Beside(tuple(questions), tuple(_read(folder / PREFERENCES, preference, faults)),
                  tuple(faults))


def _read(path: Path, row: Callable[[dict[str, Any], str], T], faults: list[str]) -> list[T]:
    if not path.is_file():
        return []
    found = []
    for number, line in lines_of(path):
        try:
            found.append(row(object_of(line), f"{path.stem}:{number}"))
        except RowFaults as bad:
            faults.extend(f"{path.name}:{number}: {fault}" for fault in bad.faults)
    return found


def _question(raw: dict[str, Any], name: str) -> Question:
    faults = _keys(raw, {"text"}, {"id", "choices"})
    choices = raw.get("choices", [])
    if not isinstance(choices, list):
        faults.append(f"choices must be a list, found {kind_of(choices)}")
        choices = []
    question = Question(
        as_text(raw.get("id", name), "id", faults),
        as_text(raw["text"], "text", faults) if "text" in raw else "",
        tuple(as_text(choice, "a choice", faults) for choice in choices),
    )
    if faults:
        raise RowFaults(faults)
    return question


def _preference(raw: dict[str, Any], name: str) -> Preference:
    faults = _keys(raw, {"prompt", "chosen", "rejected"}, {"id"})
    if faults:
        raise RowFaults([*faults, f"a pair is {PAIR}"])
    prompt = as_text(_said(raw["prompt"], "user"), "prompt", faults)
    chosen = as_text(_said(raw["chosen"], "assistant"), "chosen", faults)
    rejected = as_text(_said(raw["rejected"], "assistant"), "rejected", faults)
    if chosen == rejected and chosen:
        faults.append("chosen and rejected are the same text: that is no pair")
    if faults:
        raise RowFaults(faults)
    return Preference(Question(str(raw.get("id", name)), prompt), chosen, rejected)


def _said(value: Any, role: str) -> Any:
    """The last message of `role` where a value is a chat; otherwise the value."""
    if not isinstance(value, list):
        return value
    of_role = [message["content"] for message in value
               if isinstance(message, Mapping) and message.get("role") == role
               and "content" in message]
    return of_role[-1] if of_role else value


def _keys(raw: Mapping[str, Any], required: set[str], options: set[str]) -> list[str]:
    allowed = required | options
    return [f"missing key {key!r}" for key in sorted(required - raw.keys())] + [
        f"unknown key {key!r}{did_you_mean(key, allowed)}" for key in raw if key not in allowed]
