"""Texts alone: broken encoding, and lengths against the context window."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator

from advisor.checks.finding import Finding, Looked, ok
from advisor.core import Example
from advisor.engines.tokens import Counter

# C0 and C1 controls but for tab and line ends, the mark of a lost character, a byte order
# mark inside a text, and characters that turn the direction of what follows.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ufeff\u202a-\u202e\u2066-\u2069]")
TEMPLATE = 24  # tokens that a chat template adds to instruction and question, about
SHOTS = 4  # as the shipped recipes show


def encoding(looked: Looked) -> Iterator[Finding]:
    """Mojibake ("cafÃ©"), lost and control characters, in rows and documents."""
    try:
        from ftfy import fix_text
        from ftfy.badness import is_bad
    except ModuleNotFoundError as missing:
        yield Finding("encoding", "skipped", f"needs {missing.name}, which is not installed", (),
                      "pip install 'adaptation-advisor[check]'")
        return
    garbled, controls = [], []
    texts = [(looked.place(e), "\n".join([e.question.text, *e.question.choices, *e.targets]))
             for e in looked.examples]
    texts += [(f"corpus/{doc.id}", doc.text) for doc in looked.task.material.corpus]
    for where, text in texts:
        if is_bad(text) and fix_text(text) != text:
            garbled.append(where)
        if found := sorted({f"U+{ord(char):04X}" for char in CONTROL.findall(text)}):
            controls.append(f"{where} {' '.join(found)}")
    if garbled:
        yield Finding("encoding", "warn", f"{len(garbled)} texts look wrongly decoded",
                      tuple(garbled), "read the original with its own encoding (often cp1252) "
                      "and save it as UTF-8, or run ftfy over it")
    if controls:
        yield Finding("encoding", "warn", f"{len(controls)} texts hold control or lost characters",
                      tuple(controls), "delete them where the data comes from")
    if not garbled and not controls:
        yield ok("encoding", f"{len(texts)} texts, none garbled")


def lengths(looked: Looked, tokens: Counter, *, max_failed: float) -> Iterator[Finding]:
    """Rows too long for the model's context, and answers that `max_tokens` would cut off."""
    material = looked.task.material
    how = "by the model's tokenizer" if tokens.exact else "estimated by characters"
    cut = [looked.place(e) for e in looked.examples
           if min(tokens.count(target) for target in e.targets) > material.max_tokens]
    if cut:
        bad = len(cut) > max_failed * len(looked.examples)
        yield Finding("length", "stop" if bad and tokens.exact else "warn",
                      f"{len(cut)} answers are longer than max_tokens, {material.max_tokens} "
                      f"({how})", tuple(cut),
                      "raise max_tokens in task.yaml, or shorten these answers")
    if not tokens.context:
        yield Finding("length", "skipped", "the model is not on this disk, so its context is "
                      "not known", (), "run again once the model has been fetched")
        return
    base = tokens.count(material.instruction) + TEMPLATE + material.max_tokens
    asked = {e.question.id: tokens.count(_asked(e)) for e in looked.examples}
    long = [e for e in looked.examples if base + asked[e.question.id] > tokens.context]
    if long:
        share = sum(e in looked.task.test for e in long) / len(looked.task.test)
        yield Finding("length", "stop" if share > max_failed else "warn",
                      f"{len(long)} rows do not fit the context of {tokens.context} tokens, "
                      f"{share:.0%} of test ({how})", tuple(map(looked.place, long)),
                      "shorten or split them, or take a model with a longer context")
    shot = statistics.median(asked.values()) + statistics.median(
        tokens.count(e.targets[0]) for e in looked.examples) + TEMPLATE // 2
    shown = [e for e in looked.examples if e not in long
             and base + asked[e.question.id] + SHOTS * shot > tokens.context]
    if shown:
        yield Finding("length", "note", f"{len(shown)} rows leave no room for {SHOTS} solved "
                      "examples: some will be left out of the prompt",
                      tuple(map(looked.place, shown)))
    if not (cut or long or shown):
        yield ok("length", f"the longest row takes {base + max(asked.values())} of "
                 f"{tokens.context} tokens ({how})")


def _asked(example: Example) -> str:
    return "\n".join([example.question.text, *example.question.choices])
