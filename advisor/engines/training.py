"""Tuning: one loop for adapters and whole models, whatever the goal.

What is unusual, and why: logits are taken at graded positions only, rows of similar length are
batched, texts that are rehearsed share the lessons' forward pass, and the part of the prompt that
every row shares is computed once per update (gradients flow through it; on a GPU, where rows are
padded, not beside rehearsed texts). docs/performance.md holds the figures.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from advisor.config import TunedWeights
from advisor.engines import adapters, layout
from advisor.engines.checkpoint import Checkpoint, State
from advisor.engines.goals import NEXT_TOKEN, Goal
from advisor.engines.protocol import TokenIds
from advisor.engines.rehearsal import Rehearsal
from advisor.errors import AdvisorError

log = logging.getLogger(__name__)

# Rows are sorted by length within this many batches, so batches stay random enough.
SORTED_BATCHES = 8
CHECK_BATCH = 16  # rows; nothing is kept for a backward pass


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
    train: Sequence[Any],
    dev: Sequence[Any],
    *,
    spec: TunedWeights,
    seed: int,
    goal: Goal = NEXT_TOKEN,
    compute: torch.dtype | None = None,
    rehearsal: Rehearsal | None = None,
    checkpoint: Checkpoint | None = None,
) -> Progress:
    """Update the model's trainable parameters; leaves the best checkpoint in place.

    `train` and `dev` are what `goal` takes. "Best" is the lowest dev loss among
    `spec.checks` evenly spaced checks. `compute` is the precision of products, the model's
    own unless given. With a `rehearsal` the loss also holds `spec.rehearsal` times the
    divergence from the base. With a `checkpoint` it goes on from there (exactly, if the
    recipe has no dropout).
    """
    compute = compute or model.dtype
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = _optimiser(trainable, spec)
    per_epoch = math.ceil(len(train) / spec.batch_size)
    steps = max(1, round(per_epoch * spec.epochs))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _warmup_then_linear(steps, spec.warmup))
    checks = {max(1, round(steps * (i + 1) / spec.checks)) for i in range(spec.checks)}
    with _mixed(model.eval(), compute):
        train, dev = goal.begun(model, train), goal.begun(model, dev)
    batches = _batches(train, spec, steps=steps, seed=seed)
    checked = dev[:: math.ceil(len(dev) / spec.check_rows)]
    rehearsed = max(1, spec.batch_size // 4)  # texts an update
    state = checkpoint.restore(trainable, optimiser) if checkpoint else State()
    for _ in range(state.step):
        schedule.step()
    for step, batch in enumerate(batches[state.step :], start=state.step + 1):
        if not model.training:  # after a check; asking every module takes a while
            model.train()
        rehearsing = rehearsal.part(step, rehearsed) if rehearsal else None
        lost = 0.0
        for part in _parts(batch, spec.rows_at_once):
            with _mixed(model, compute):
                loss, drift = _losses(model, part, rehearsing, goal)
            loss = loss / goal.count(batch)  # of all its rows, however few are computed at once
            (loss + spec.rehearsal * drift).backward()
            lost += float(loss.detach())
            rehearsing = None
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad(set_to_none=True)
        state.losses.append(lost)
        state.seen += sum(len(row.tokens) for row in goal.rows(batch))
        state.step = step
        if step in checks:
            _check(state, dev_loss(model, checked, batch_size=CHECK_BATCH, goal=goal,
                                   compute=compute), trainable)
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
def dev_loss(
    model: Any,
    samples: Sequence[Any],
    *,
    batch_size: int,
    goal: Goal = NEXT_TOKEN,
    compute: torch.dtype | None = None,
) -> float:
    """Mean loss: in nats per graded token, or per pair."""
    model.eval()
    order = sorted(samples, key=lambda sample: len(sample.tokens))
    with _mixed(model, compute or model.dtype):
        total = sum(float(_loss(model, part, goal)) for part in _parts(order, batch_size))
    return total / goal.count(order)


def _optimiser(trainable: list[torch.nn.Parameter], spec: TunedWeights) -> torch.optim.Optimizer:
    """AdamW; paged (QLoRA, arXiv 2305.14314) where 4-bit weights stand on a GPU, whose memory
    is what 4 bits are chosen for."""
    if spec.scheme == "nf4" and trainable[0].is_cuda:
        from bitsandbytes import optim

        kind: Any = optim.PagedAdamW32bit  # type: ignore[attr-defined]  # exports nothing by name
        paged: torch.optim.Optimizer = kind(trainable, lr=spec.learning_rate, weight_decay=0.0)
        return paged
    # Fused: adapters are hundreds of small matrices, and what calls each costs more than its sum.
    return torch.optim.AdamW(trainable, lr=spec.learning_rate, weight_decay=0.0, fused=True)


@contextmanager
def _mixed(model: Any, compute: torch.dtype) -> Iterator[None]:
    """What is tuned is kept in float32, multiplied in `compute`.

    peft would widen each layer's input instead, which costs a fifth of a step.
    """
    if compute != torch.bfloat16:
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
    samples: Sequence[Any], spec: TunedWeights, *, steps: int, seed: int
) -> list[list[Any]]:
    generator = torch.Generator().manual_seed(seed)
    size, out = spec.batch_size, list[list[Any]]()
    while len(out) < steps:
        order = torch.randperm(len(samples), generator=generator).tolist()
        epoch: list[list[Any]] = []
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


def _parts(batch: Sequence[Any], size: int | None) -> Iterator[Sequence[Any]]:
    size = size or len(batch)
    return (batch[start : start + size] for start in range(0, len(batch), size))


def _losses(
    model: Any, batch: Sequence[Any], part: Rehearsal | None, goal: Goal = NEXT_TOKEN
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed loss of the batch, and the divergence on the rehearsed texts (0 without any),
    from one forward pass."""
    total, hidden = _fed(model, batch, part.texts if part else (), goal)
    drift = part.divergence(model, hidden) if part else torch.zeros((), device=total.device)
    return total, drift


def _loss(model: Any, batch: Sequence[Any], goal: Goal = NEXT_TOKEN) -> torch.Tensor:
    """Summed loss of the batch."""
    return _fed(model, batch, (), goal)[0]


def _fed(
    model: Any, batch: Sequence[Any], texts: Sequence[TokenIds], goal: Goal
) -> tuple[torch.Tensor, layout.Hidden]:
    """Summed loss of the batch, and the hidden states of `texts` from the same pass."""
    rows = goal.rows(batch)
    # No graded token may be predicted from within the shared part.
    prefix = layout.shareable(model, [row.tokens[: len(row.tokens) - row.graded] for row in rows])
    fed = [row.tokens[:-1] for row in rows]  # the last token is only ever predicted
    hidden = layout.hidden(model, [*fed, *texts], prefix, behind=len(fed))
    count = len(fed)
    return goal.loss(model, batch, hidden.part(0, count)), hidden.part(count, count + len(texts))
