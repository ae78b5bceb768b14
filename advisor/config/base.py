"""What the models of all YAML files have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def later(default: Any, *, description: str) -> Any:
    """A field that came after recipes had been measured. Where it says nothing it is left out
    of the recipe's identity, so that what was measured before stays valid."""
    return Field(default, description=description, exclude_if=lambda value: value == default)
