"""Values of rows one by one, each with its slope, so that nothing wide is kept for the way back.

The logits of a graded token are as wide as the vocabulary. Made some rows at a time, and
differentiated at once, they stay near the processor; what is kept is as narrow as a state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# Some rows of the states, and which, to one value for each of them.
Values = Callable[[torch.Tensor, slice], torch.Tensor]


class _Rowwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, values: Values, size: int) -> torch.Tensor:
        found, slopes = list[torch.Tensor](), list[torch.Tensor]()
        for start in range(0, len(states), size):
            part = slice(start, start + size)
            with torch.enable_grad():
                some = states[part].detach().requires_grad_()
                here = values(some, part)
                slopes += torch.autograd.grad(here.sum(), some)
            found.append(here.detach())
        ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> Any:
        [inner] = ctx.saved_tensors
        return inner * slopes[0][:, None].to(inner.dtype), None, None


def rowwise(
    values: Values, states: torch.Tensor, head: torch.nn.Module, *, size: int
) -> torch.Tensor:
    """`values` of `states` [rows, width], at least one, `size` rows at a time; [rows].

    A value may depend on its own row and on what takes no gradient. A `head` that is tuned as
    well is differentiated as usual, which keeps all that is wide.
    """
    parts = [slice(start, start + size) for start in range(0, len(states), size)]
    if not (torch.is_grad_enabled() and states.requires_grad):
        return torch.cat([values(states[part], part) for part in parts])
    if any(weight.requires_grad for weight in head.parameters()):
        return values(states, slice(None))
    found: torch.Tensor = _Rowwise.apply(states, values, size)  # type: ignore[no-untyped-call]
    return found
