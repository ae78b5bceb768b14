"""task.yaml as text: every guess with its reason beside it, for people to correct."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from advisor.intake.guess import Guess

WIDTH = 98


def task_yaml(
    name: str, found: Guess, *, chance: float, said: Sequence[tuple[str, str]], schema: str
) -> str:
    """A task.yaml that loads; its comments say what was understood and what to fill in."""
    lines = [
        f"# yaml-language-server: $schema={schema}",
        "# Drafted by `advisor init --from`. What was understood (wrong? give it again with the",
        "# option in brackets, or edit this file):",
        *(line for what, how in said for line in _comment(f"  {what}: {how}")),
        f"name: {name}",
        f"title: {json.dumps(name.replace('-', ' ').capitalize())}",
        *_block("instruction", found.instruction),
    ]
    if found.brief:
        lines += ["# The instruction of tuned contenders, which learn the rest from examples.",
                  *_block("brief", found.brief)]
    lines += ["scorer:", f"  kind: {found.kind}"]
    if found.fields:
        lines.append(f"  fields: {json.dumps(list(found.fields), ensure_ascii=False)}")
    lines += [
        f"primary: {found.primary} # {found.why['primary']}",
        f"chance: {chance:g} # the score on dev of the majority answer of train",
        f"max_tokens: {found.max_tokens} # {found.why['max_tokens']}",
    ]
    if found.stop:
        lines.append('stop: ["\\n"] # no answer has more than one line')
    lines += [
        "# These three price the advice, and no data can tell them: put in your own.",
        "context:",
        "  calls_per_month: 10000",
        "  churn_per_month: 0.0 # share of what must be known that changes in a month",
        "  # latency_limit_ms: 5000 # p95, one call at a time, on the machine that measures",
        'licence: ""',
        'source: ""',
    ]
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="#", subsequent_indent="#     ",
                         break_long_words=False, break_on_hyphens=False) or ["#"]


def _block(key: str, text: str) -> list[str]:
    """A literal block; text that such a block cannot hold is quoted."""
    lines = text.strip().split("\n")
    printable = all(char.isprintable() or char == "\n" for char in text)
    if not printable or any(line != line.strip() for line in lines):
        return [f"{key}: {json.dumps(text.strip(), ensure_ascii=True)}"]
    return [f"{key}: |", *(f"  {line}" if line else "" for line in lines)]
