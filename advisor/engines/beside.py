"""A tuned model beside its base, which holds only what the adapter changes."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

from advisor.engines.packing import Packed

_OF_AN_ADAPTER = re.compile(
    r"base_model\.model\.(?P<layer>.+)\.lora_(A\.weight|B\.weight|magnitude_vector)"
)


def changed(adapter: Path) -> set[str] | None:
    """The layers that the file of an adapter is for; None if it also holds other weights."""
    from safetensors import safe_open

    with safe_open(adapter, framework="pt") as file:
        found = [_OF_AN_ADAPTER.fullmatch(name) for name in file.keys()]  # noqa: SIM118
    return None if None in found else {one["layer"] for one in found if one}


def like(base: Any, layers: set[str]) -> Any:
    """A model that computes what `base` does, with plain weights of its own in `layers` and
    the base's in all others, packed ones included."""
    packed = [layer for layer in base.modules() if isinstance(layer, Packed)]
    shared = [*base.parameters(), *(part for layer in packed for part in layer.parts)]
    model = copy.deepcopy(base, {id(tensor): tensor for tensor in shared})
    for name in layers:
        parent, _, last = name.rpartition(".")
        layer = model.get_submodule(name)
        own = copy.deepcopy(layer.linear if isinstance(layer, Packed) else layer)
        setattr(model.get_submodule(parent), last, own)
    return model
