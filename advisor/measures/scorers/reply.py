"""Scorer `reply`: a reply in a fixed voice that holds the right fact, each apart and together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from advisor.core import Example, ScorerSpec, Voice
from advisor.measures.scorers.reading import Reading, shown
from advisor.measures.scorers.short_answer import contains, tokens

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")


def rule_part(rule: str) -> str:
    """The name of the part that grades one rule of the voice."""
    return f"rule:{rule}"


def rules_of(voice: Voice) -> tuple[str, ...]:
    """The rules that the voice sets, in the order of tables."""
    return tuple(name for name in ("opening", "sign_off", "sentence_words", "sentences",
                                   "forbidden", "units") if getattr(voice, name))


def read_reply(text: str, example: Example, spec: ScorerSpec) -> Reading:
    """Parts `both`, `fact`, `voice`, and one for each rule of the voice.

    `fact` is 1 when the words of one of the row's facts stand in the reply one after
    another, numbers as in scorer short_answer; `voice` when every rule is kept; `both`
    when both are.
    """
    assert spec.voice is not None, "scorer reply has a voice"
    broken = dict(_broken(text, spec.voice))
    said = tokens(text)
    fact = float(any(contains(said, tokens(wanted)) for wanted in example.facts))
    voice = float(not broken)
    why = [] if fact else [f"does not say {shown(' | '.join(example.facts))!r}"]
    why += [f"{rule}: {what}" for rule, what in broken.items()]
    rules = {rule_part(rule): float(rule not in broken) for rule in rules_of(spec.voice)}
    return Reading(
        text, {"both": fact * voice, "fact": fact, "voice": voice, **rules},
        "; ".join(why) or "fact and voice are right",
    )


def _broken(text: str, voice: Voice) -> Iterator[tuple[str, str]]:
    """Each rule that the reply breaks, and how."""
    text = " ".join(text.split())
    opening = next((one for one in voice.opening if text.startswith(one)), "")
    sign_off = next((one for one in voice.sign_off if text.endswith(one)), "")
    if voice.opening and not opening:
        yield "opening", f"begins {shown(text[:40])!r}"
    if voice.sign_off and not sign_off:
        yield "sign_off", f"ends {shown(text[-40:])!r}"
    body = text[len(opening) : len(text) - len(sign_off)].strip()
    sentences = [one for one in _SENTENCE_END.split(body) if one.strip()]
    longest = max((len(one.split()) for one in sentences), default=0)
    if voice.sentence_words and longest > voice.sentence_words:
        yield "sentence_words", f"a sentence has {longest} words"
    if voice.sentences and not 1 <= len(sentences) <= voice.sentences:
        yield "sentences", f"{len(sentences)} sentences between opening and sign-off"
    for phrase in voice.forbidden:
        if re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text, re.IGNORECASE):
            yield "forbidden", f"says {phrase!r}"
            break
    for wrong, right in voice.units:
        if re.search(rf"\d\s*{re.escape(wrong)}(?!\w)", text, re.IGNORECASE):
            yield "units", f"{wrong!r} after a number, not {right!r}"
            break
