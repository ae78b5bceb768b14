"""Scorer `short_answer`: token overlap with the nearest target.

The measures of SQuAD: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine
Comprehension of Text", section 6.1, with two repairs. Numbers keep point and hyphen
(its script makes 3.5, 3-5 and 35 equal), and number words equal their digits.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from advisor.core import Example, ScorerSpec
from advisor.measures.scorers.reading import Reading, Unreadable, shown

ONE_TO_TWENTY = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
    "twenty",
)  # fmt: skip
NUMBER_WORDS = {word: str(number) for number, word in enumerate(ONE_TO_TWENTY, start=1)}
ARTICLES = frozenset({"a", "an", "the"})

# A decimal point, a sign, or the hyphen of 3-5, but not that of covid-19.
_NUMBER_MARK = re.compile(r"(?<=\d)\.(?=\d)|(?<![^\W\d_])-(?=\d)")


def tokens(text: str) -> tuple[str, ...]:
    """Casefolded words without punctuation and articles; number words as digits.

    A text of nothing but articles keeps them: the answer may be vitamin "A".
    """
    folded = unicodedata.normalize("NFC", text.casefold())
    kept = {match.start() for match in _NUMBER_MARK.finditer(folded)}
    plain = "".join(char for index, char in enumerate(folded)
                    if index in kept or not _is_punctuation(char))
    words = tuple(NUMBER_WORDS.get(word, word) for word in plain.split())
    return tuple(word for word in words if word not in ARTICLES) or words


def read_short_answer(text: str, example: Example, spec: ScorerSpec) -> Reading:
    """Parts `f1`, `exact` and `contains`, each the best over the targets.

    `contains` is 1 when a target's words stand in the answer one after another.
    """
    said = tokens(text)
    if not said:
        raise Unreadable("the answer holds no word and no number")
    wanted = [tokens(target) for target in example.targets]
    scores = [f1(said, words) for words in wanted]
    parts = {
        "f1": max(scores),
        "exact": float(any(said == words for words in wanted)),
        "contains": float(any(contains(said, words) for words in wanted)),
    }
    nearest = example.targets[scores.index(parts["f1"])]
    why = f"f1 {parts['f1']:.2f} with {shown(nearest)!r}"
    return Reading(" ".join(said), parts, why)


def f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over the words, counted with repeats."""
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def contains(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether `wanted` is a contiguous, non-empty part of `said`."""
    starts = range(len(said) - len(wanted) + 1)
    return bool(wanted) and any(said[at : at + len(wanted)] == wanted for at in starts)


def _is_punctuation(char: str) -> bool:
    return char in string.punctuation or unicodedata.category(char).startswith("P")
