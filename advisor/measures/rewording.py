"""The noise floor: the untouched base against itself, asked in other words.

A suite's YAML names its rewordings under `metadata`:

    rewordings:
      prompt: "Q: {{question}}\nA:"      # against the suite as it is
      option order: ["...", "..."]       # one text against the other

Each is a `doc_to_text` that should not matter. What flips all the same is no forgetting.
A base that is better off in other words is not noisy: the accuracy change is kept too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from advisor.engines.protocol import Engine
from advisor.errors import AdvisorError
from advisor.measures.retention import Suite, measure
from advisor.stats import measure as interval
from advisor.trial import Reworded, SuiteScores

KEY = "rewordings"


def reworded(
    engine: Engine, suites: Sequence[Suite], known: Mapping[str, SuiteScores]
) -> tuple[Reworded, ...]:
    """The base asked every rewording of every suite; `known` are its scores as they are.

    Left out are suites that name none, lm-eval's own among them, and pairs of texts of
    which the first leaves the base no better than guessing: what flips there is luck.
    """
    single, pairs = list[_Variant](), list[tuple[_Variant, _Variant]]()
    for suite in suites:
        for how, texts in _texts(suite).items():
            made = [_variant(suite, how, at, text) for at, text in enumerate(texts)]
            if len(made) == 2:
                pairs.append((made[0], made[1]))
            else:
                single += made
    first = _measured(engine, [*single, *(one for one, _ in pairs)])
    able = [(one, other) for one, other in pairs if _able(first[one.suite.name])]
    second = _measured(engine, [other for _, other in able])
    found = [Reworded(one.of, one.how, known[one.of].values, first[one.suite.name].values)
             for one in single]
    found += [Reworded(one.of, one.how, first[one.suite.name].values,
                       second[other.suite.name].values) for one, other in able]
    return tuple(sorted(found, key=lambda one: (one.suite, one.how)))


@dataclass(frozen=True, slots=True)
class _Variant:
    """A suite asked in other words: of which suite, how, and as a suite of its own."""

    of: str
    how: str
    suite: Suite


def _measured(engine: Engine, variants: Sequence[_Variant]) -> dict[str, SuiteScores]:
    return measure(engine, [one.suite for one in variants]) if variants else {}


def _able(scores: SuiteScores) -> bool:
    """Whether the interval of the accuracy is above guessing."""
    ids = sorted(scores.values)
    return interval([scores.values[one] for one in ids], ids, seed=0).low > scores.chance


def _texts(suite: Suite) -> dict[str, list[str]]:
    given = ((suite.config or {}).get("metadata") or {}).get(KEY) or {}
    if not isinstance(given, Mapping):
        raise _bad(suite, given)
    found: dict[str, list[str]] = {}
    for how, texts in given.items():
        pair = [texts] if isinstance(texts, str) else texts
        if not isinstance(pair, list) or len(pair) not in (1, 2) or not all(
            isinstance(one, str) for one in pair
        ):
            raise _bad(suite, texts)
        found[str(how)] = pair
    return found


def _bad(suite: Suite, given: object) -> AdvisorError:
    return AdvisorError(
        f"retention suite {suite.name!r}: metadata.{KEY}: expected names, each with one text or "
        f"a list of two, found {given!r}",
        fix=f'write {KEY}: {{prompt: "Q: {{{{question}}}}\\nA:"}} in its YAML',
    )


def _variant(suite: Suite, how: str, at: int, text: str) -> _Variant:
    assert suite.config is not None, "only suites with a file name rewordings"
    name = f"{suite.name}, {how} {at + 1}"
    config: dict[str, Any] = {**suite.config, "doc_to_text": text, "task": f"advisor {name}"}
    return _Variant(suite.name, how, replace(suite, name=name, config=config))
