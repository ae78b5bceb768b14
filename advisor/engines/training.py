"""Tuning an adapter: next-token loss on completions only.

What is unusual, and why: logits are taken at completion positions only, rows of
similar length are batched, and texts that are rehearsed share the lessons' forward pass.
Without rehearsal, the part of the prompt that every row shares is computed once per update
(gradients flow through it). docs/performance.md holds the figures.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from advisor.config import LoraWeights
from advisor.engines import adapters, layout
from advisor.engines.checkpoint import Checkpoint, State
from advisor.engines.protocol import TokenIds
from advisor.engines.rehearsal import Rehearsal
from advisor.errors import AdvisorError

log = logging.getLogger(__name__)

# Rows are sorted by length within this many batches, so batches stay random enough.
SORTED_BATCHES = 8
CHECK_BATCH = 16  # rows; nothing is kept for a backward pass


@dataclass(frozen=True, slots=True)
class Sample:
    """A row to learn: the model sees all `tokens`, and is graded on the last `graded`."""

    tokens: TokenIds
    graded: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Losses (nats per token) of the run, which check was the best, how many tokens of lessons
    were seen, and the seconds that interrupted processes had spent before."""

    train_loss: tuple[float, ...]
    dev_loss: tuple[float, ...]
    best: int
    tokens: int
    earlier_seconds: float


def fit(
    model: Any,
    train: Sequence[Sample],
    dev: Sequence[Sample],
    *,
    spec: LoraWeights,
    seed: int,
    rehearsal: Rehearsal | None = None,
    checkpoint: Checkpoint | None = None,
) -> Progress:
    """Update the model's trainable parameters; leaves the best checkpoint in place.

    "Best" is the lowest dev loss among `spec.checks` evenly spaced checks. With a
    `rehearsal` the loss also holds `spec.rehearsal` times the divergence from the base. With
    a `checkpoint` it goes on from there (exactly, if the recipe has no dropout).
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trainable, lr=spec.learning_rate, weight_decay=0.0)
    per_epoch = math.ceil(len(train) / spec.batch_size)
    steps = max(1, round(per_epoch * spec.epochs))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _warmup_then_linear(steps, spec.warmup))
    checks = {max(1, round(steps * (i + 1) / spec.checks)) for i in range(spec.checks)}
    batches = _batches(train, spec, steps=steps, seed=seed)
    checked = dev[:: math.ceil(len(dev) / spec.check_rows)]
    rehearsed = max(1, spec.batch_size // 4)  # texts an update
    state = checkpoint.restore(trainable, optimiser) if checkpoint else State()
    for _ in range(state.step):
        schedule.step()
    for step, batch in enumerate(batches[state.step :], start=state.step + 1):
        model.train()
        part = rehearsal.part(step, rehearsed) if rehearsal else None
        with _mixed(model):
            loss, drift = _losses(model, batch, part)
        (loss + spec.rehearsal * drift).backward()
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        state.losses.append(float(loss.detach()))
        state.seen += sum(len(sample.tokens) for sample in batch)
        state.step = step
        if step in checks:
            _check(state, dev_loss(model, checked, batch_size=CHECK_BATCH), trainable)
            log.info("step %d of %d: dev loss %.4f", step, steps, state.dev_losses[-1])
        if checkpoint:
            checkpoint.offer(state, trainable, optimiser)
    with torch.no_grad():
        for parameter, value in zip(trainable, state.kept, strict=True):
            parameter.copy_(value)
    model.eval()
    return Progress(tuple(state.losses), tuple(state.dev_losses), state.best, state.seen,
                    state.seconds)


def _check(state: State, loss: float, weights: Sequence[torch.nn.Parameter]) -> None:
    """Note a dev loss, and keep the weights if none was lower."""
    if not math.isfinite(loss):
        raise AdvisorError(
            "tuning diverged: the dev loss is not a number",
            fix="lower weights.learning_rate in the recipe",
        )
    state.dev_losses.append(loss)
    if loss <= min(state.dev_losses):
        state.best = len(state.dev_losses) - 1
        state.kept = [weight.detach().clone() for weight in weights]


@torch.no_grad()
def dev_loss(model: Any, samples: Sequence[Sample], *, batch_size: int) -> float:
    """Mean loss in nats per completion token."""
    model.eval()
    order = sorted(samples, key=lambda sample: len(sample.tokens))
    with _mixed(model):
        return _mean_loss(model, order, batch_size)


def _mean_loss(model: Any, order: Sequence[Sample], batch_size: int) -> float:
    total, count = 0.0, 0
    for start in range(0, len(order), batch_size):
        loss, graded = _loss(model, order[start : start + batch_size])
        total += float(loss)
        count += graded
    return total / count


@contextmanager
def _mixed(model: Any) -> Iterator[None]:
    """Adapters kept in float32, multiplied in the base's bfloat16.

    peft would widen each layer's input instead, which costs a fifth of a step.
    """
    if model.dtype != torch.bfloat16:
        with adapters.merged(model):
            yield
        return
    layers = [m for m in model.modules() if hasattr(m, "cast_input_dtype_enabled")]
    for layer in layers:
        layer.cast_input_dtype_enabled = False
    try:
        with adapters.merged(model), torch.autocast(model.device.type, dtype=torch.bfloat16):
            yield
    finally:
        for layer in layers:
            layer.cast_input_dtype_enabled = True


def _warmup_then_linear(steps: int, warmup: float) -> Callable[[int], float]:
    rising = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (steps - step) / max(1, steps - rising))

    return factor


def _batches(
    samples: Sequence[Sample], spec: LoraWeights, *, steps: int, seed: int
) -> list[list[Sample]]:
    generator = torch.Generator().manual_seed(seed)
    size, out = spec.batch_size, list[list[Sample]]()
    while len(out) < steps:
        order = torch.randperm(len(samples), generator=generator).tolist()
        epoch: list[list[Sample]] = []
        for start in range(0, len(order), size * SORTED_BATCHES):
            near = sorted(
                order[start : start + size * SORTED_BATCHES], key=lambda i: len(samples[i].tokens)
            )
            epoch += [
                [samples[i] for i in near[at : at + size]] for at in range(0, len(near), size)
            ]
        shuffled = torch.randperm(len(epoch), generator=generator).tolist()
        out += [epoch[i] for i in shuffled]
    return out[:steps]


def _losses(
    model: Any, batch: Sequence[Sample], part: Rehearsal | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean loss over the graded tokens, and the divergence on the rehearsed texts (0
    without any), from one forward pass."""
    if part is None:
        total, count = _loss(model, batch)
        return total / count, torch.zeros((), device=total.device)
    fed = [sample.tokens[:-1] for sample in batch]
    hidden = layout.hidden(model, [*fed, *part.texts])
    total, count = _graded(model, batch, hidden[: len(batch)])
    return total / count, part.divergence(model, hidden[len(batch) :])


def _loss(model: Any, batch: Sequence[Sample]) -> tuple[torch.Tensor, int]:
    """Summed loss over the graded tokens, and how many there are."""
    # No graded token may be predicted from within the shared part.
    prefix = layout.shareable(
        model, [sample.tokens[: len(sample.tokens) - sample.graded] for sample in batch]
    )
    # The last token is only ever predicted, so it is not fed.
    hidden = layout.hidden(model, [sample.tokens[:-1] for sample in batch], prefix)
    return _graded(model, batch, hidden)


def _graded(
    model: Any, batch: Sequence[Sample], hidden: torch.Tensor
) -> tuple[torch.Tensor, int]:
    # The vocabulary is the widest layer: only graded positions go through it, as one flat
    # product (a slice of every row would be copied for a batched one).
    rows = [row for row, sample in enumerate(batch) for _ in range(sample.graded)]
    columns = [-sample.graded + i for sample in batch for i in range(sample.graded)]
    labels = [token for sample in batch for token in sample.tokens[-sample.graded :]]
    logits = layout.logits(model, hidden[rows, columns])
    loss = torch.nn.functional.cross_entropy(
        logits, torch.tensor(labels, device=logits.device), reduction="sum"
    )
    return loss, len(labels)
