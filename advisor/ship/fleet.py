"""The command that serves weights on GPUs with vLLM."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from advisor.config import FullWeights, LoraWeights, Recipe

# What vLLM lets --max-lora-rank be.
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
# It refuses them when it reads their configuration (vllm/lora/peft_helper.py).
NO_DORA = "vLLM serves no DoRA adapters, only merged weights (advisor export --as merged)"


def beside_base(base: str | Path, adapter: Path, rank: int, *, name: str) -> str:
    """A base and an adapter beside it, which answers to `name`."""
    most = next((known for known in RANKS if known >= rank), rank)
    return (f"vllm serve {shlex.quote(str(base))} --enable-lora --max-lora-rank {most} "
            f"--lora-modules {name}={shlex.quote(str(adapter))}")


def alone(model: str | Path, *, name: str, tokenizer: str | Path = "") -> str:
    """A model of its own, which answers to `name`; `tokenizer` if it lies elsewhere."""
    more = f" --tokenizer {shlex.quote(str(tokenizer))}" if tokenizer else ""
    return f"vllm serve {shlex.quote(str(model))}{more} --served-model-name {name}"


def base_of(engine: Any) -> str:
    """Where an engine's base lies, or its name where it has no files.

    A packaged model is not the hub's of that name: its weights were rounded.
    """
    files = getattr(getattr(engine, "weights", None), "files", None)
    return str(files.folder) if files else str(engine.name)


def serving(recipe: Recipe, system: Path, engine: Any, *, name: str) -> str:
    """The command for the weights of a saved system, or why there is none."""
    weights, base = recipe.weights, base_of(engine)
    if isinstance(weights, LoraWeights) and weights.variant == "dora":
        return NO_DORA
    if isinstance(weights, LoraWeights):
        rounded = "" if weights.scheme == "none" else \
            "  (measured on a base in 4 bits; on whole weights its answers differ)"
        return beside_base(base, system / "adapter", weights.rank, name=name) + rounded
    if isinstance(weights, FullWeights):
        return alone(system / "weights", name=name, tokenizer=base)
    return alone(base, name=name)
