"""The command that serves weights on GPUs with vLLM."""

from __future__ import annotations

import shlex
from pathlib import Path

# What vLLM lets --max-lora-rank be.
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def beside_base(base: str | Path, adapter: Path, rank: int, *, name: str) -> str:
    """A base and an adapter beside it, which answers to `name`."""
    most = next((known for known in RANKS if known >= rank), rank)
    return (f"vllm serve {shlex.quote(str(base))} --enable-lora --max-lora-rank {most} "
            f"--lora-modules {name}={shlex.quote(str(adapter))}")


def alone(model: Path, *, name: str) -> str:
    """A model of its own, which answers to `name`."""
    return f"vllm serve {shlex.quote(str(model))} --served-model-name {name}"
