"""Grading: one answer against one example, by the scorer that the task declares.

Pure functions of text; a scorer is one file, and reading an answer never raises.
"""

from __future__ import annotations

from collections.abc import Callable

from advisor.config import PRIMARY
from advisor.core import Answer, Example, Grade, ScorerSpec
from advisor.measures.scorers.choice import read_choice
from advisor.measures.scorers.exact import read_exact
from advisor.measures.scorers.json_fields import field_part, read_json
from advisor.measures.scorers.reading import Reading, Unreadable
from advisor.measures.scorers.reply import read_reply, rule_part, rules_of
from advisor.measures.scorers.short_answer import read_short_answer

READERS: dict[str, Callable[[str, Example, ScorerSpec], Reading]] = {
    "exact": read_exact,
    "choice": read_choice,
    "short_answer": read_short_answer,
    "json": read_json,
    "reply": read_reply,
}


def grade(answer: Answer, example: Example, spec: ScorerSpec, *, primary: str) -> Grade:
    """The grade of one answer; `credit` is the part named `primary`, 0..1.

    A failed answer has no credit. An empty one, and one in which nothing could be
    read, earn 0 in every part. Never raises, whatever the text.
    """
    if answer.failure:
        return Grade(None, "", _clean(answer.failure), "failed")
    zeros = dict.fromkeys(part_names(spec), 0.0)
    text = answer.text.strip()
    if not text:
        return Grade(0.0, "", "the answer is empty", "empty", zeros)
    try:
        reading = READERS[spec.kind](text, example, spec)
    except Unreadable as reason:
        return Grade(0.0, "", _clean(str(reason)), "unreadable", zeros)
    parts = dict(reading.parts)
    return Grade(parts[primary], _clean(reading.read_as), _clean(reading.why), "read", parts)


def part_names(spec: ScorerSpec) -> tuple[str, ...]:
    """The metrics of a scorer, in the order of tables."""
    rules = rules_of(spec.voice) if spec.voice else ()
    return (*PRIMARY[spec.kind], *(field_part(path) for path in spec.fields),
            *(rule_part(rule) for rule in rules))


def _clean(text: str) -> str:
    """Without lone surrogates, so that a report can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
