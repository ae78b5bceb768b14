"""Rehearsal: what the base says of its own free text, kept while an adapter is tuned.

The base writes text (self-synthesised rehearsal, Huang et al., arXiv 2403.01244), and the
tuned model is penalised by how far its next-token distributions on that text move from
the base's (KL divergence). No outside text is needed, and nothing of a retention suite:
neither its items nor its form.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from advisor.engines import generation, layout
from advisor.engines.protocol import TokenIds
from advisor.engines.rowwise import rowwise

ROWS = 64
TOKENS = 64  # drawn after the opening
# How plain texts begin; a text's first words decide what kind of text it becomes.
OPENINGS = (
    "The", "In", "A", "When", "How", "It", "We", "She", "He", "They", "My", "There", "If",
    "Although", "After", "Most people", "However", "For example", "Dear", "Because", "Some",
    "Once upon a time", "Scientists", "The teacher said", "One day", "To make",
    "Every morning", "Yesterday", "The city of", "In the year", "According to",
    "The best way to",
)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Texts as they are fed, the base's hidden states [texts, TOKENS, width] that predict
    the tokens it drew, the seconds that writing took, and the base, for its head."""

    texts: tuple[TokenIds, ...]
    hidden: torch.Tensor
    seconds: float
    base: Any

    def part(self, step: int, rows: int) -> Rehearsal:
        """The `rows` texts whose turn it is at `step`."""
        chosen = [at % len(self.texts) for at in range(step * rows, (step + 1) * rows)]
        texts = tuple(self.texts[at] for at in chosen)
        return Rehearsal(texts, self.hidden[chosen], self.seconds, self.base)

    def divergence(self, model: Any, hidden: layout.Hidden) -> torch.Tensor:
        """KL(base || model) in nats per drawn token, from the model's hidden states on the
        texts."""
        theirs = self.hidden.flatten(0, 1)

        def values(states: torch.Tensor, part: slice) -> torch.Tensor:
            with torch.no_grad():
                base = layout.logits(self.base, theirs[part]).log_softmax(dim=-1)
            mine = layout.logits(model, states).log_softmax(dim=-1)
            each = functional.kl_div(mine, base, reduction="none", log_target=True)
            return each.sum(dim=-1)

        drawn = hidden.last([TOKENS] * len(self.texts))
        return rowwise(values, drawn, model.get_output_embeddings(), size=TOKENS).mean()


@torch.no_grad()
def write(model: Any, openings: Sequence[TokenIds], *, seed: int) -> Rehearsal:
    """Let `model`, which must still be the base, continue `openings` in turn, sampled at
    temperature 1."""
    started = time.perf_counter()
    starts = [openings[row % len(openings)] for row in range(ROWS)]
    texts = generation.sampled(model, starts, tokens=TOKENS, seed=seed)
    fed = tuple(text[:-1] for text in texts)  # the last token is only ever predicted
    hidden = [layout.hidden(model, fed[at : at + 16]).last([TOKENS] * 16)
              for at in range(0, ROWS, 16)]
    return Rehearsal(fed, torch.cat(hidden).unflatten(0, (ROWS, TOKENS)),
                     time.perf_counter() - started, model)
