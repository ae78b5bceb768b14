"""Rehearsal: what the base says of its own free text, kept while an adapter is tuned.

The base writes text (self-synthesised rehearsal, Huang et al., arXiv 2403.01244), and the
tuned model is penalised by how far its next-token distributions on that text move from
the base's (KL divergence). No outside text is needed, and none of any retention suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from advisor.core import TokenIds
from advisor.engines import generation, layout

ROWS = 64
TOKENS = 64
# How the texts begin; a text's first words decide what kind of text it becomes.
OPENINGS = (
    "The", "In", "A", "When", "How", "It", "We", "She", "He", "They", "My", "There", "If",
    "Although", "After", "Most people", "Question: What", "Question: Why", "Question: Who",
    "Question: Which", "Question: How", "Once upon a time", "Scientists", "The teacher said",
    "One day", "To make", "Every morning", "Yesterday", "The city of", "In the year",
    "According to", "The best way to",
)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Texts [rows, tokens] and the base's last hidden states on them [rows, tokens, width]."""

    ids: torch.Tensor
    hidden: torch.Tensor

    def part(self, step: int, rows: int) -> Rehearsal:
        """The `rows` texts whose turn it is at `step`."""
        chosen = torch.arange(step * rows, (step + 1) * rows) % len(self.ids)
        return Rehearsal(self.ids[chosen], self.hidden[chosen])

    def divergence(self, model: Any, hidden: torch.Tensor) -> torch.Tensor:
        """KL(base || model) in nats per token, given the model's hidden states on the texts."""
        width = hidden.shape[-1]
        with torch.no_grad():
            base = layout.logits(model, self.hidden.reshape(-1, width)).log_softmax(dim=-1)
        mine = layout.logits(model, hidden.reshape(-1, width)).log_softmax(dim=-1)
        return torch.nn.functional.kl_div(mine, base, reduction="batchmean", log_target=True)


@torch.no_grad()
def write(model: Any, openings: list[TokenIds], *, seed: int) -> Rehearsal:
    """Let `model`, which must still be the base, continue `openings` in turn, sampled at
    temperature 1."""
    starts = [openings[row % len(openings)] for row in range(ROWS)]
    texts = generation.sampled(model, starts, tokens=TOKENS, seed=seed)
    ids = torch.tensor([text[:TOKENS] for text in texts], device=model.device)
    hidden = [model.get_decoder()(input_ids=part).last_hidden_state for part in ids.split(16)]
    return Rehearsal(ids, torch.cat(hidden))
