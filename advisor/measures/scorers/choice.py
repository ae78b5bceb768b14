"""Scorer `choice`: which one of the offered choices the answer names."""

from __future__ import annotations

import re
from collections.abc import Sequence

from advisor.core import Example, ScorerSpec
from advisor.measures.scorers.exact import normalise
from advisor.measures.scorers.reading import Reading, Unreadable, shown

# `B`, `B)`, `(B)`, `B. text`, `B: text`; neither the word in "a dog" nor the "e" of "e.g.".
_LETTER = re.compile(r"\(?([a-z])(?:\s*[):\]]|\.(?=\s)|$)")


def read_choice(text: str, example: Example, spec: ScorerSpec) -> Reading:
    """Part `exact`: 1 when the one choice that the answer names is a target.

    Raises Unreadable when the answer names none, or more than one.
    """
    picked = pick(text, example.question.choices)
    hit = normalise(picked) in {normalise(target) for target in example.targets}
    expected = shown(" | ".join(example.targets))
    why = f"chose {picked!r}" if hit else f"expected {expected!r}, chose {shown(picked)!r}"
    return Reading(picked, {"exact": float(hit)}, why)


def pick(text: str, choices: Sequence[str]) -> str:
    """The choice that `text` names: by being it, by its letter, or by mentioning it.

    Letters count the choices in their order, unless a choice is itself that letter.
    A letter whose text names another choice is ambiguous. A denied choice ("not B")
    still counts as mentioned. Raises Unreadable for none and for several.
    """
    said = normalise(text)
    same = [choice for choice in choices if normalise(choice) == said]
    if len(same) == 1:
        return same[0]
    if letter := _LETTER.match(said):
        lettered = _by_letter(letter.group(1), choices)
        named = mentioned(said[letter.end() :], choices)
        if lettered and (not named or lettered[0] in named):
            return lettered[0]
    named = mentioned(said, choices)
    if letter and named and lettered:
        raise Unreadable(f"ambiguous: letter {letter.group(1).upper()} and {_quoted(named)}")
    if len(named) > 1:
        raise Unreadable(f"ambiguous: names {_quoted(named)}")
    if not named:
        raise Unreadable("names none of the choices")
    return named[0]


def mentioned(said: str, choices: Sequence[str]) -> list[str]:
    """The choices that stand as whole words in `said`, in the order of the choices.

    A choice inside a longer one is not mentioned by it: "not guilty" is not "guilty".
    Single letters are articles and initials more often than choices, and do not count.
    """
    found = set()
    for choice in sorted(choices, key=lambda choice: len(normalise(choice)), reverse=True):
        wanted = normalise(choice)
        if not wanted or (len(wanted) == 1 and wanted.isalpha()):
            continue
        pattern = rf"(?<!\w){re.escape(wanted)}(?!\w)"
        # A control character takes the place of what is used up: it matches no choice.
        said, times = re.subn(pattern, "\0", said)
        if times:
            found.add(choice)
    return [choice for choice in choices if choice in found]


def _by_letter(letter: str, choices: Sequence[str]) -> list[str]:
    named = [choice for choice in choices if normalise(choice) == letter]
    index = ord(letter) - ord("a")
    return named or list(choices[index : index + 1])


def _quoted(names: Sequence[str]) -> str:
    return " and ".join(repr(shown(name)) for name in names)
