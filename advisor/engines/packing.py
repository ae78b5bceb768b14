"""Weights laid out as a processor's matrix product wants them, while a model answers.

oneDNN otherwise rearranges a layer's weights in every product. With few rows, as when
answers are written, that is half of the time (docs/performance.md has the figures).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# Rows that the layout is chosen for; a hint, any number can be multiplied.
_ROWS = 64
_PACKABLE = (torch.bfloat16, torch.float32)


class Packed(torch.nn.Module):
    """What `linear` computes, from its rearranged weights; no gradients.

    The linear layer is kept for whoever tunes it. `dtype` widens its weights.
    """

    def __init__(self, linear: torch.nn.Linear, dtype: torch.dtype | None = None) -> None:
        super().__init__()
        self.weight = linear.weight  # under its own name, for whoever lists parameters
        self.__dict__["linear"] = linear  # no part of this module
        weight = linear.weight.detach().to(dtype or linear.weight.dtype)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
        self._bias = None if linear.bias is None else linear.bias.detach().to(weight.dtype)

    @property
    def parts(self) -> list[torch.Tensor]:
        """What it computes with."""
        return [part for part in (self._weight, self._bias) if part is not None]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._weight, self._bias, "none", [], ""
        )
        return out


def possible(model: torch.nn.Module) -> bool:
    """Whether this torch and the model's device know packed weights."""
    ops = torch.ops.mkldnn
    return (
        next(model.parameters()).device.type == "cpu"
        and torch.backends.mkldnn.is_available()
        and hasattr(ops, "_reorder_linear_weight")
        and hasattr(ops, "_linear_pointwise")
    )


@torch.no_grad()
def pack(model: torch.nn.Module, dtype: torch.dtype | None = None) -> None:
    """Put a packed layer in the place of every plain linear one, where that is possible."""
    if not possible(model):
        return
    for parent, name, layer in _layers(model, torch.nn.Linear):
        # peft keeps the halves of its adapters in such a mapping, reads their type before it
        # calls them, and they are too narrow to gain anything.
        of_an_adapter = isinstance(parent, torch.nn.ModuleDict)
        if layer.weight.dtype in _PACKABLE and not of_an_adapter:
            setattr(parent, name, Packed(layer, dtype))


@contextmanager
def widened(model: torch.nn.Module) -> Iterator[list[torch.nn.Parameter]]:
    """The model with packed layers of float32 meanwhile; yields the parameters that no packed
    layer computes with."""
    with plain(model):
        pack(model, torch.float32)
        inside = {id(layer) for _, _, layer in _layers(model, Packed)}
        try:
            yield list({
                id(parameter): parameter
                for module in model.modules() if id(module) not in inside
                for parameter in module.parameters(recurse=False)
            }.values())
        finally:
            _unpack(model)


@contextmanager
def unpacked(model: torch.nn.Module) -> Iterator[None]:
    """As `plain`, but what was rearranged is given up meanwhile, and made anew afterwards."""
    were = bool(_unpack(model))
    try:
        yield
    finally:
        if were:
            pack(model)


@contextmanager
def plain(model: torch.nn.Module) -> Iterator[None]:
    """The model with its plain layers meanwhile, through which gradients flow. Their weights
    must be the same afterwards: the packed ones come back as they were."""
    held = _unpack(model)
    try:
        yield
    finally:
        for parent, name, layer in held:
            setattr(parent, name, layer)


def _unpack(model: torch.nn.Module) -> list[tuple[torch.nn.Module, str, Any]]:
    """Put the plain layers back; what stood in their places."""
    held = _layers(model, Packed)
    for parent, name, layer in held:
        setattr(parent, name, layer.linear)
    return held


def _layers(model: torch.nn.Module, kind: type) -> list[tuple[torch.nn.Module, str, Any]]:
    """(parent, name, layer) of every layer of exactly this kind; a layer that stands in two
    places is listed twice."""
    return [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if type(child) is kind
    ]
