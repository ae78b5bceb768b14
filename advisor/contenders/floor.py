"""The floor: what is scored without understanding anything."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.core import Answer, Example, Question, Usage

FREE = Usage(tokens_in=0, tokens_out=0, seconds=0.0)


@dataclass(frozen=True, slots=True)
class Floor:
    """Says the majority answer of train to everything; with choices, the first choice
    unless the majority answer is among them."""

    majority: str

    def answer(self, questions: Sequence[Question]) -> Iterable[Answer]:
        for question in questions:
            known = not question.choices or self.majority in question.choices
            yield Answer(question.id, self.majority if known else question.choices[0], FREE)

    def save(self, folder: Path) -> None:
        text = json.dumps({"majority": self.majority})
        (folder / "floor.json").write_text(text + "\n", encoding="utf-8")


def floor(train: Sequence[Example]) -> Floor:
    """The most frequent target; for JSON objects the most frequent value of each field."""
    targets = [example.targets[0] for example in train]
    objects = [_object(target) for target in targets]
    if all(value is not None for value in objects):
        text = json.dumps(_mode_of_fields(objects), ensure_ascii=False, separators=(",", ":"))
        return Floor(text)
    return Floor(_mode(targets))


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _mode(values: Iterable[str]) -> str:
    # Counter keeps the order of first sight, so ties go to the earlier row.
    return Counter(values).most_common(1)[0][0]


def _mode_of_fields(objects: Sequence[Any]) -> Any:
    if all(isinstance(value, dict) for value in objects):
        keys = dict.fromkeys(key for value in objects for key in value)
        return {key: _mode_of_fields([v[key] for v in objects if key in v]) for key in keys}
    return json.loads(_mode(json.dumps(value, ensure_ascii=False) for value in objects))
