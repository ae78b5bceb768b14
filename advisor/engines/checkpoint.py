"""A tuning that was interrupted goes on from where it last wrote itself down."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

SECONDS = 20.0  # between two checkpoints, where they are written in a second
APART = 20  # or this many times as long as the last one took to write


@dataclass(slots=True)
class State:
    """Where a tuning stands after `step` updates: losses so far in nats per token, the best
    weights so far, tokens seen, and seconds that earlier processes spent."""

    step: int = 0
    losses: list[float] = field(default_factory=list)
    dev_losses: list[float] = field(default_factory=list)
    best: int = 0
    seen: int = 0
    seconds: float = 0.0
    kept: list[torch.Tensor] = field(default_factory=list)


@dataclass(slots=True)
class Checkpoint:
    """One file, valid only for the tuning named by `identity` (base, data, recipe, seed)."""

    path: Path
    identity: str
    _last: float = field(default_factory=time.monotonic)
    _wait: float = 0.0
    _started: float = field(default_factory=time.monotonic)

    def restore(
        self, weights: Sequence[torch.nn.Parameter], optimiser: torch.optim.Optimizer
    ) -> State:
        """Put weights and optimiser where the file says; a new State if there is no file, or
        one of another tuning, or a damaged one."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, framework="pt") as file:
                about = json.loads((file.metadata() or {}).get("about", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            return State()
        if about.pop("identity", None) != self.identity:
            return State()
        with torch.no_grad():
            for number, weight in enumerate(weights):
                weight.copy_(tensors[f"weight.{number}"])
                optimiser.state[weight] = {
                    "step": tensors[f"step.{number}"],
                    "exp_avg": tensors[f"mean.{number}"].to(weight.device),
                    "exp_avg_sq": tensors[f"square.{number}"].to(weight.device),
                }
        kept = [tensors[f"kept.{number}"].to(weight.device)
                for number, weight in enumerate(weights) if f"kept.{number}" in tensors]
        return State(**about, kept=kept)

    def offer(
        self, state: State, weights: Sequence[torch.nn.Parameter],
        optimiser: torch.optim.Optimizer,
    ) -> None:
        """Write the file anew if the last one is SECONDS old, or twenty times as old as a large
        one took to write; a half-written one is never seen."""
        now = time.monotonic()
        if now - self._last < max(SECONDS, self._wait):
            return
        from safetensors.torch import save_file

        about = {"identity": self.identity, "step": state.step, "losses": state.losses,
                 "dev_losses": state.dev_losses, "best": state.best, "seen": state.seen,
                 "seconds": state.seconds + now - self._started}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".tmp")
        save_file(_tensors(state, weights, optimiser.state), fresh, {"about": json.dumps(about)})
        os.replace(fresh, self.path)
        self._last = time.monotonic()
        self._wait = APART * (self._last - now)


def _tensors(
    state: State, weights: Sequence[torch.nn.Parameter], moments: Mapping[Any, Any]
) -> dict[str, torch.Tensor]:
    found = {f"kept.{number}": value for number, value in enumerate(state.kept)}
    for number, weight in enumerate(weights):
        of = moments[weight]
        found |= {f"weight.{number}": weight.detach(), f"step.{number}": of["step"],
                  f"mean.{number}": of["exp_avg"], f"square.{number}": of["exp_avg_sq"]}
    return {name: value.contiguous().cpu() for name, value in found.items()}
