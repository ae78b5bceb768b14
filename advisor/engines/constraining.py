"""Answers held to a JSON schema or to a set of choices, token by token, by llguidance.

Why that library, and what it costs: docs/performance.md, "Constrained decoding".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from advisor.engines.generation import Steer
from advisor.engines.protocol import Constraint
from advisor.errors import AdvisorError

# JSON as models are taught it here: nothing between its parts.
COMPACT: dict[str, Any] = {
    "whitespace_flexible": False, "item_separator": ",", "key_separator": ":",
}


@dataclass(slots=True)
class Grammars:
    """Constraints compiled for one tokenizer, each once. `width` is that of the logits."""

    tokenizer: Any
    width: int
    _compiled: dict[Constraint, Any] = field(default_factory=dict)

    def steer(self, constraints: Sequence[Constraint]) -> Steer:
        """Logits in which every token is ruled out that would break the row's constraint.

        `constraints` has one for each prompt. Raises AdvisorError for one that the library
        cannot express, before anything is generated.
        """
        from llguidance.numpy import fill_next_token_bitmask

        for constraint in dict.fromkeys(constraints):
            self._matcher(constraint)
        matchers: dict[int, Any] = {}

        def steer(
            rows: Sequence[int], said: Sequence[Sequence[int]], logits: torch.Tensor
        ) -> torch.Tensor:
            bits = np.zeros((len(rows), (self.width + 31) // 32), dtype=np.int32)
            for slot, (row, tokens) in enumerate(zip(rows, said, strict=True)):
                if not tokens:
                    matchers[row] = self._matcher(constraints[row]).deep_copy()
                elif not matchers[row].consume_token(tokens[-1]):
                    raise AdvisorError(
                        f"constrained decoding went wrong: {matchers[row].get_error()}",
                        fix="report it as a bug, with the task's answer_schema",
                    )
                fill_next_token_bitmask(matchers[row], bits, slot)
            allowed = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")
            mask = torch.from_numpy(allowed[:, : logits.shape[1]]).to(logits.device)
            return logits.masked_fill(mask == 0, float("-inf"))

        return steer

    def _matcher(self, constraint: Constraint) -> Any:
        from llguidance import LLMatcher

        if constraint not in self._compiled:
            grammar = _grammar(constraint)
            if error := LLMatcher.validate_grammar(grammar, self.tokenizer):
                raise AdvisorError(
                    f"the answer's schema cannot be held to: {_first_line(error)}",
                    fix="simplify answer_schema in task.yaml, or set decoding.kind: free",
                )
            self._compiled[constraint] = LLMatcher(self.tokenizer, grammar)
        return self._compiled[constraint]


def grammars(tokenizer: Any, ends: frozenset[int], *, width: int) -> Grammars:
    """For a fast tokenizer of transformers; `ends` are the tokens that end an answer.

    Raises AdvisorError where llguidance is missing or does not know the tokenizer.
    """
    try:
        from llguidance.hf import from_tokenizer
    except ModuleNotFoundError as missing:
        raise AdvisorError(
            f"decoding.kind: json and choices need {missing.name}, which is not installed",
            fix="pip install 'adaptation-advisor[constrained]'",
        ) from missing
    try:
        read = from_tokenizer(tokenizer, n_vocab=width, eos_token=sorted(ends))
    except Exception as error:  # its Rust part raises several kinds
        raise AdvisorError(f"llguidance cannot read this model's tokenizer: {error}",
                           fix="set decoding.kind: free") from error
    if read is None:
        raise AdvisorError("llguidance reads fast tokenizers only, this model has another",
                           fix="set decoding.kind: free")
    return Grammars(read, width)


def _grammar(constraint: Constraint) -> str:
    from llguidance import LLMatcher, grammar_from

    if constraint.choices:
        return str(grammar_from("choice", json.dumps(constraint.choices)))
    try:
        return str(LLMatcher.grammar_from_json_schema(constraint.schema, overrides=COMPACT))  # type: ignore[arg-type]
    except ValueError as error:
        raise AdvisorError(f"the answer's schema cannot be read: {_first_line(str(error))}",
                           fix="correct answer_schema in task.yaml") from error


def _first_line(text: str) -> str:
    return " ".join(text.split())[:300]
