"""Tuning through merged weights: one product a layer, as the tuned model will answer.

peft computes `x W + (x A) B` in three products and adds what they say, forward and back.
Here `W + B A` is made once an update, in the precision of W, which is also how an adapter
is served (merged); the adapter's own gradients come from products as narrow as its rank.
docs/performance.md has the gain.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch


class _Merged(torch.autograd.Function):
    """x W' with W' = W + scale B A; x [..., in], W' [out, in], A [rank, in], B [out, rank].

    The gradients are those of x, A and B; W is frozen.
    """

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, merged: torch.Tensor, bias: torch.Tensor | None,
        down: torch.Tensor, up: torch.Tensor, scale: float,
    ) -> torch.Tensor:
        x = x.to(merged.dtype)
        ctx.save_for_backward(x, merged, down, up)
        ctx.scale = scale
        return torch.nn.functional.linear(x, merged, bias)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:
        x, merged, down, up = ctx.saved_tensors
        slope = slopes[0].reshape(-1, merged.shape[0])
        flat = x.reshape(-1, merged.shape[1])
        narrow = slope.dtype
        inner = slope @ up.to(narrow)  # [tokens, rank]
        to_down = (inner.T @ flat).to(down.dtype) * ctx.scale
        to_up = (slope.T @ (flat @ down.to(narrow).T)).to(up.dtype) * ctx.scale
        to_x = (slope @ merged).view(x.shape) if ctx.needs_input_grad[0] else None
        return to_x, None, None, to_down, to_up, None


@contextmanager
def merged(model: torch.nn.Module) -> Iterator[None]:
    """Let every adapter that can be merged without change of meaning work merged meanwhile.

    Adapters with dropout, on quantised weights, or of another kind than plain LoRA work as
    peft has them.
    """
    layers = [layer for layer in model.modules() if _mergeable(layer)]
    for layer in layers:
        layer.__dict__["forward"] = _forward(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def _mergeable(layer: Any) -> bool:
    if type(layer).__name__ != "Linear" or not hasattr(layer, "lora_A"):
        return False
    names = layer.active_adapters
    return (
        type(layer.get_base_layer()) is torch.nn.Linear
        and len(names) == 1
        and not layer.merged
        and not layer.disable_adapters
        and isinstance(layer.lora_dropout[names[0]], torch.nn.Identity)
        and not getattr(layer, "lora_variant", {}).get(names[0])
        and layer.lora_B[names[0]].bias is None
    )


def _forward(layer: Any) -> Any:
    [name] = layer.active_adapters
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    base, scale = layer.get_base_layer(), float(layer.scaling[name])
    weight = base.weight
    with torch.no_grad():
        # Kept on the layer: memory for it is asked for once a tuning.
        out = layer.__dict__.setdefault("merged_weight", torch.empty_like(weight))
        torch.addmm(weight, up.to(weight.dtype), down.to(weight.dtype), alpha=scale, out=out)
    return partial(_apply, out, base.bias, down, up, scale)


def _apply(
    merged: torch.Tensor, bias: torch.Tensor | None, down: torch.Tensor, up: torch.Tensor,
    scale: float, x: torch.Tensor,
) -> torch.Tensor:
    out: torch.Tensor = _Merged.apply(  # type: ignore[no-untyped-call]
        x, merged, bias, down, up, scale
    )
    return out
