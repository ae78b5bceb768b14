"""How fast an adapter is beside its base and merged into it, where other programs run it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.contenders.composed import Composed, Tools
from advisor.contenders.recipe import reopen
from advisor.core import Task
from advisor.engines.protocol import TokenIds

# Enough to tell twice as fast from equally fast; some seconds with a small model on a CPU.
ROWS, TOKENS = 4, 16


@dataclass(frozen=True, slots=True)
class Speed:
    """New tokens per second, one prompt at a time through transformers' own `generate`:
    `rows` prompts of the test, `tokens` new ones each."""

    merged: float
    unmerged: float
    rows: int
    tokens: int

    def __str__(self) -> str:
        return (f"{self.merged:.1f} tokens/s merged, {self.unmerged:.1f} beside the base "
                f"({self.rows} test prompts, {self.tokens} tokens each, one at a time through "
                "transformers)")


def timed(system: Path, task: Task, tools: Tools, adapter: Path) -> Speed | None:
    """Both forms on the prompts of a saved system; None where no weights are to be timed.

    `system` is opened for its prompts alone; `adapter` lies on unquantised weights.
    """
    from peft import PeftModel

    from advisor.engines.transformers import TransformersEngine

    opened, engine = reopen(system, tools)
    if not isinstance(opened, Composed) or not isinstance(engine, TransformersEngine):
        return None
    asked = opened.asked([example.question for example in task.test[:ROWS]])
    prompts = [one.prompt.conversation.tokens for one in asked if one.prompt.fits]
    if not prompts:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of peft and transformers about themselves
        beside: Any = PeftModel.from_pretrained(_plain(engine), str(adapter)).eval()
        unmerged = _rate(beside, prompts)
        merged = _rate(beside.merge_and_unload().eval(), prompts)
    return Speed(merged, unmerged, len(prompts), TOKENS)


def _plain(engine: Any) -> Any:
    """The base's weights as any program reads them, where the engine's own are."""
    import torch
    from transformers import AutoModelForCausalLM

    weights = engine.weights
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(weights.files.folder), dtype=getattr(torch, weights.dtype))
    return model.to("cuda") if torch.cuda.is_available() else model


def _rate(model: Any, prompts: Sequence[TokenIds]) -> float:
    import torch

    def write(prompt: TokenIds, tokens: int) -> None:
        ids = torch.tensor([prompt], device=model.device)
        model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
                       max_new_tokens=tokens, min_new_tokens=tokens, pad_token_id=0)

    with torch.inference_mode():
        write(prompts[0], 1)
        started = time.perf_counter()
        for prompt in prompts:
            write(prompt, TOKENS)
        return len(prompts) * TOKENS / (time.perf_counter() - started)
