"""What this machine can multiply, and what a work has to.

2 floating-point operations for every weight outside the embeddings and token read; 4 where
an adapter is tuned (the frozen weights take no gradient of their own); the head only where
logits are taken. Attention and what is added or normalised are left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True, slots=True)
class Size:
    """Weights outside the embeddings, and in the head."""

    body: int
    head: int

    def reading(self, tokens: int, logits: int) -> float:
        return 2.0 * (self.body * tokens + self.head * logits)

    def tuning(self, tokens: int, logits: int) -> float:
        return 2.0 * self.reading(tokens, logits)


def size(folder: Path) -> Size:
    """Of the model in `folder`, without reading its weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    head = model.get_output_embeddings().weight
    embedded = {id(head), id(model.get_input_embeddings().weight)}
    body = sum(p.numel() for p in model.parameters() if id(p) not in embedded)
    return Size(body, head.numel())


def measured(dtype: str, width: int = 2048) -> float:
    """GFLOP/s of a square matrix product, the best of five."""
    kind = getattr(torch, dtype)
    left, right = torch.randn(width, width).to(kind), torch.randn(width, width).to(kind)
    fastest = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        left @ right
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * width**3 / fastest / 1e9
