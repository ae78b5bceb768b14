"""What looks like personal data in the rows and documents a contender learnt from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from advisor.core import Material

SCANNER = "advisor.checks.personal"
NAMES = "names of people: NOT CHECKED (they have no form)"


def scan(material: Material) -> dict[str, Any]:
    """`state` (`scanned`, or `not scanned` with `why`) and how often each kind was `found`.

    Values are counted, never kept. Needs the scanner and the libraries it verifies with.
    """
    try:
        scanner = import_module(SCANNER)
        found: Counter[str] = Counter()
        for text in _texts(material):
            found.update(kind for kind, _ in scanner.personal_values(text))
    except ModuleNotFoundError as missing:
        return {"state": "not scanned", "why": f"{missing.name} is not installed"}
    return {"state": "scanned", "found": dict(sorted(found.items())), "note": NAMES}


def _texts(material: Material) -> Iterator[str]:
    for example in (*material.train, *material.dev):
        yield "\n".join((example.question.text, *example.targets))
    for document in material.corpus:
        yield document.text
