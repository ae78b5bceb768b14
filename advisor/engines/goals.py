"""What a tuning lowers: next-token loss on completions and texts, or a preference loss.

A goal says which rows of tokens a batch feeds to the model, and makes the loss from the
hidden states it gets back, so that every goal shares the loop, the rehearsal, the checks
and the checkpoints of `training.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn import functional

from advisor.config import PreferSpec
from advisor.engines import layout
from advisor.engines.protocol import TokenIds
from advisor.engines.rowwise import rowwise

PAIRS = 8  # at a time, where nothing is kept for a backward pass
GRADED = 128  # tokens at a time, whose logits are the largest thing that is held


@dataclass(frozen=True, slots=True)
class Sample:
    """A row to learn: the model sees all `tokens`, and is graded on the last `graded`."""

    tokens: TokenIds
    graded: int


@dataclass(frozen=True, slots=True)
class Compared:
    """Two answers to one prompt. `lead` is by how many nats the model that tuning starts from
    finds the better one likelier; 0 where nobody asks."""

    chosen: Sample
    rejected: Sample
    lead: float = 0.0

    @property
    def tokens(self) -> TokenIds:
        """The longer row: what decides a batch's width."""
        return max(self.chosen.tokens, self.rejected.tokens, key=len)


class Goal(Protocol):
    """A batch's rows, and its loss from their hidden states, which end with the prediction of
    each row's last token."""

    def begun(self, model: Any, items: Sequence[Any]) -> Sequence[Any]:
        """The items with what has to be known of the model before it changes."""
        ...

    def rows(self, batch: Sequence[Any]) -> list[Sample]: ...

    def count(self, batch: Sequence[Any]) -> int:
        """By what to divide the loss of a batch."""
        ...

    def loss(self, model: Any, batch: Sequence[Any], hidden: layout.Hidden) -> torch.Tensor:
        """The loss summed over what `count` counts."""
        ...


class NextToken:
    """Cross-entropy in nats per graded token; batches are Samples."""

    def begun(self, model: Any, items: Sequence[Sample]) -> Sequence[Sample]:
        return items

    def rows(self, batch: Sequence[Sample]) -> list[Sample]:
        return list(batch)

    def count(self, batch: Sequence[Sample]) -> int:
        return sum(sample.graded for sample in batch)

    def loss(
        self, model: Any, batch: Sequence[Sample], hidden: layout.Hidden
    ) -> torch.Tensor:
        return _surprises(model, batch, hidden).sum()


@dataclass(frozen=True, slots=True)
class Preference:
    """DPO or SimPO, each as its paper has it; batches are Compared, losses are per pair."""

    spec: PreferSpec

    @torch.no_grad()
    def begun(self, model: Any, items: Sequence[Compared]) -> Sequence[Compared]:
        if self.spec.method != "dpo":
            return items
        found: list[Compared] = []
        for at in range(0, len(items), PAIRS):
            batch = items[at : at + PAIRS]
            rows = self.rows(batch)
            hidden = layout.hidden(model, [row.tokens[:-1] for row in rows])
            chosen, rejected = _log_probabilities(model, rows, hidden).view(2, -1)
            found += [Compared(pair.chosen, pair.rejected, lead) for pair, lead in
                      zip(batch, (chosen - rejected).tolist(), strict=True)]
        return found

    def rows(self, batch: Sequence[Compared]) -> list[Sample]:
        return [pair.chosen for pair in batch] + [pair.rejected for pair in batch]

    def count(self, batch: Sequence[Compared]) -> int:
        return len(batch)

    def loss(
        self, model: Any, batch: Sequence[Compared], hidden: layout.Hidden
    ) -> torch.Tensor:
        spec, rows = self.spec, self.rows(batch)
        said = _log_probabilities(model, rows, hidden)
        lengths = torch.tensor([row.graded for row in rows], device=said.device)
        chosen, rejected = said.view(2, -1)
        each, _ = lengths.view(2, -1)
        if spec.method == "dpo":
            leads = torch.tensor([pair.lead for pair in batch], device=said.device)
            ahead = spec.beta * (chosen - rejected - leads)
        else:
            mean, other = (said / lengths).view(2, -1)
            ahead = spec.beta * (mean - other) - spec.target_margin
        loss = -functional.logsigmoid(ahead)
        if spec.anchor:
            loss = loss - spec.anchor * chosen / each
        return loss.sum()


NEXT_TOKEN = NextToken()


def _surprises(
    model: Any, rows: Sequence[Sample], hidden: layout.Hidden
) -> torch.Tensor:
    """Cross-entropy in nats of the graded tokens, row by row."""
    # The vocabulary is the widest layer: only graded positions go through it.
    said = torch.tensor([token for sample in rows for token in sample.tokens[-sample.graded :]],
                        device=hidden.states.device)

    def values(states: torch.Tensor, part: slice) -> torch.Tensor:
        return functional.cross_entropy(layout.logits(model, states), said[part], reduction="none")

    states = hidden.last([sample.graded for sample in rows])
    return rowwise(values, states, model.get_output_embeddings(), size=GRADED)


def _log_probabilities(
    model: Any, rows: Sequence[Sample], hidden: layout.Hidden
) -> torch.Tensor:
    """Sum of natural-log probabilities of each row's graded tokens [rows]."""
    each = -_surprises(model, rows, hidden)
    at = [row for row, sample in enumerate(rows) for _ in range(sample.graded)]
    index = torch.tensor(at, device=each.device)
    return torch.zeros(len(rows), device=each.device).index_add(0, index, each)
