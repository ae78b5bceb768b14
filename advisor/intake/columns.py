"""Which columns hold the question, the answers and the group; told, or recognised by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from advisor.errors import AdvisorError, did_you_mean
from advisor.intake.records import Record, Records, as_text, filled

# In the order of preference; compared in lower case, blanks and hyphens as underscores.
QUESTIONS = (
    "text", "prompt", "question", "input", "query", "instruction", "sentence", "utterance", "body",
    "content", "message", "review", "description", "email", "ticket", "comment", "document",
    "article", "abstract", "request", "title", "subject",
)
ANSWERS = (
    "targets", "target", "completion", "answer", "answers", "output", "label", "labels",
    "response", "category", "class", "intent", "sentiment", "topic", "reply", "summary", "gold",
    "expected", "expected_output", "solution", "chosen", "queue", "type", "tag", "y",
)
GROUPS = (
    "group", "group_id", "cluster", "thread", "thread_id", "conversation_id", "session_id",
    "customer", "customer_id", "user", "user_id", "author", "author_id", "patient_id",
    "document_id", "doc_id", "source_id", "url",
)
HEADS = ("subject", "title", "headline")  # read before the text that they head
CHOICES = ("choices", "options")
SOURCES = ("sources", "source", "document", "document_id", "doc_id", "file", "filename")
REJECTED = ("rejected",)  # beside `chosen`, as preference tuning takes them
IDS = ("id", "row_id", "uid", "guid")
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Columns:
    """The part that each column plays; empty names play none.

    `question` are read one after the other. `instruction` is one text that all rows share.
    `rejected` holds what people liked less than the answer.
    """

    shape: str
    question: tuple[str, ...]
    answer: str
    group: str = ""
    choices: str = ""
    sources: str = ""
    id: str = ""
    instruction: str = ""
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One row as understood; `group` and `rejected` are empty where no column says."""

    where: str
    id: str
    text: str
    targets: tuple[Any, ...]
    group: str
    choices: tuple[str, ...]
    sources: tuple[str, ...]
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What the user said outright: column names, each empty when not said."""

    question: tuple[str, ...] = ()
    answer: str = ""
    group: str = ""
    choices: str = ""
    sources: str = ""


def find_columns(records: Records, told: Told) -> Columns:
    """The part of each column. What the user told goes before what a name suggests.

    Raises AdvisorError for a column that is not there, and when no question or no answer
    can be told apart; the message lists the columns.
    """
    for column in (*told.question, told.answer, told.group, told.choices, told.sources):
        if column and column not in records.columns:
            raise AdvisorError(f"no column {column!r}{did_you_mean(column, records.columns)}",
                               fix="name a column of the file")
    found = _chat(records) if not (told.question or told.answer) else None
    found = found or _alpaca(records, told) or _named(records, told)
    used = {*found.question, found.answer}
    spare = replace(records, columns=tuple(c for c in records.columns if c not in used))
    return replace(
        found,
        group=told.group or _group(spare),
        choices=told.choices or _pick(spare, CHOICES, _is_list),
        sources=told.sources,
        id=_pick(spare, IDS, lambda values: len(set(map(as_text, values))) == len(records.rows)),
        rejected=_pick(spare, REJECTED, bool) if _plain(found.answer) == "chosen" else "",
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _pick(records: Records, names: Sequence[str], good: Callable[[list[Any]], bool]) -> str:
    by_name = {_plain(column): column for column in reversed(records.columns)}
    for name in names:
        column = by_name.get(name)
        if column is not None:
            values = list(filled(records.rows, column))
            if values and good(values):
                return column
    return ""


def _is_list(values: list[Any]) -> bool:
    return all(isinstance(value, list | dict) for value in values)


def _group(records: Records) -> str:
    """A column of that name in which some rows, but not nearly all, share a value."""
    total = len(records.rows)
    return _pick(records, GROUPS,
                 lambda values: 4 < len(set(map(as_text, values))) < total == len(values))


def _chat(records: Records) -> Columns | None:
    column = _pick(records, ("messages", "conversations", "conversation", "dialog"), _is_list)
    if not column:
        return None
    turns = [_turns(row.values.get(column)) for row in records.rows]
    system = {text for row in turns for role, text in row if role == "system"}
    shared = len(system) == 1 and all(row and row[0][0] == "system" for row in turns)
    return Columns("chat messages", (column,), column,
                   instruction=system.pop() if shared else "")


def _turns(value: Any) -> list[tuple[str, str]]:
    """(role, text) of each turn, in the manner of OpenAI or of ShareGPT; empty when neither."""
    roles = {"human": "user", "gpt": "assistant"}
    found = []
    for turn in value if isinstance(value, list) else []:
        if not isinstance(turn, dict):
            return []
        role = str(turn.get("role", turn.get("from", "")))
        role = roles.get(role, role)
        if role not in ROLES:
            return []
        found.append((role, as_text(turn.get("content", turn.get("value")))))
    return found


def _alpaca(records: Records, told: Told) -> Columns | None:
    by_name = {_plain(column): column for column in records.columns}
    answer = told.answer or by_name.get("output") or by_name.get("response") or ""
    if told.question or "instruction" not in by_name or not answer:
        return None
    instruction = by_name["instruction"]
    spare = by_name.get("input") or by_name.get("context") or ""
    said = {as_text(row.values.get(instruction)) for row in records.rows}
    if spare and len(said) == 1 and all(as_text(row.values.get(spare)) for row in records.rows):
        return Columns("alpaca, one instruction", (spare,), answer, instruction=said.pop())
    question = (instruction, spare) if spare else (instruction,)
    return Columns("alpaca", question, answer)


def _named(records: Records, told: Told) -> Columns:
    any_value = _pick(records, ANSWERS, bool)
    answer = told.answer or any_value
    rest = replace(records, columns=tuple(c for c in records.columns if c != answer))
    question = told.question or _question(rest)
    if not answer and question:
        left = [c for c in rest.columns if c not in question and _plain(c) not in (*IDS, *GROUPS)]
        answer = left[0] if len(left) == 1 else ""
    if not question or not answer:
        what = "the question" if not question else "the answer"
        raise AdvisorError(
            f"cannot tell which column holds {what}; there are: {', '.join(records.columns)}",
            fix="say so: --input COLUMN --target COLUMN",
        )
    shape = "told columns" if told.question and told.answer else "columns by name"
    return Columns(shape, question, answer)


def _question(records: Records) -> tuple[str, ...]:
    column = _pick(records, QUESTIONS, _is_prose)
    if not column:
        texts = [c for c in records.columns if _plain(c) not in (*IDS, *GROUPS)]
        texts = [c for c in texts if _is_prose(list(filled(records.rows, c)))]
        return (max(texts, key=lambda c: _length(records, c)),) if texts else ()
    by_name = {_plain(name): name for name in records.columns}
    context = by_name.get("context", "")
    if context and _plain(column) in ("question", "query") and _length(records, context):
        return context, column
    heads = [by_name[name] for name in HEADS if name in by_name and by_name[name] != column]
    longer = [head for head in heads if 0 < _length(records, head) < _length(records, column)]
    return (*longer[:1], column)


def _is_prose(values: list[Any]) -> bool:
    texts = [value if isinstance(value, str) else _spoken(value) for value in values]
    return bool(texts) and all(texts) and any(re.search(r"\s", text) for text in texts)


def _length(records: Records, column: str) -> float:
    values = [as_text(value) for value in filled(records.rows, column)]
    return sum(map(len, values)) / max(1, len(records.rows))


# ------------------------------------------------------------------- the rows


def item(row: Record, columns: Columns) -> Item:
    """What one row says under the mapping; missing texts come out empty."""
    values = row.values
    choices, picked = _choices(values.get(columns.choices))
    if columns.question == (columns.answer,):
        text, targets = _conversation(values.get(columns.answer))
    else:
        text = _joined(values, columns.question)
        targets = _targets(values.get(columns.answer))
    if choices:
        targets = tuple(_chosen(target, choices, picked) for target in targets)
    group = as_text(values.get(columns.group)) if columns.group else ""
    sources = values.get(columns.sources) if columns.sources else None
    named = sources if isinstance(sources, list) else [sources]
    return Item(
        row.where,
        as_text(values.get(columns.id)) if columns.id else "",
        text,
        targets,
        group,
        choices,
        tuple(as_text(one) for one in named if as_text(one)),
        "".join(map(as_text, _targets(values.get(columns.rejected))[:1])),
    )


def _joined(values: Mapping[str, Any], columns: Sequence[str]) -> str:
    texts = [_spoken(values.get(column)) or as_text(values.get(column)) for column in columns]
    return "\n\n".join(text for text in texts if text)


def _spoken(value: Any) -> str:
    """What is said in a list of turns, as in `prompt` and `completion` of a conversation; one
    turn stands bare. Empty for anything else."""
    turns = [turn for turn in _turns(value) if turn[0] != "system" and turn[1]]
    if len(turns) == 1:
        return turns[0][1]
    return "\n".join(f"{role.capitalize()}: {text}" for role, text in turns)


def _conversation(value: Any) -> tuple[str, tuple[str, ...]]:
    """The last answer, and what was said before it; a single question stands bare."""
    turns = [turn for turn in _turns(value) if turn[0] != "system"]
    while turns and turns[-1][0] != "assistant":
        turns.pop()
    if not turns:
        return "", ()
    *before, (_, answer) = turns
    return _spoken([{"role": role, "content": text} for role, text in before]), (answer,)


def _targets(value: Any) -> tuple[Any, ...]:
    """Alternatives; an object stays one unless it is SQuAD's list of texts."""
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        value = value["text"]
    if isinstance(value, list) and (said := _turns(value)):
        return (said[-1][1],) if said[-1][1] else ()
    if isinstance(value, list):
        return tuple(dict.fromkeys(as_text(one) for one in value if as_text(one)))
    if isinstance(value, dict):
        return (value,)
    return (as_text(value),) if as_text(value) else ()


def _choices(value: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The choices and their labels, which are letters unless the row gives others."""
    labels: Any = None
    if isinstance(value, dict):
        value, labels = value.get("text"), value.get("label")
    if not isinstance(value, list):
        return (), ()
    texts = tuple(as_text(one) for one in value)
    named = labels if isinstance(labels, list) and len(labels) == len(texts) else LETTERS
    return texts, tuple(str(one) for one, _ in zip(named, texts, strict=False))


def _chosen(target: Any, choices: tuple[str, ...], labels: tuple[str, ...]) -> Any:
    """The choice that a text, a letter or a position (from 0) stands for."""
    said = as_text(target)
    if said in choices:
        return said
    if said in labels:
        return choices[labels.index(said)]
    if said.isdigit() and int(said) < len(choices):
        return choices[int(said)]
    return said
