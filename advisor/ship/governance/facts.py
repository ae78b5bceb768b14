"""Everything that the documents of a bundle are made of; what nobody said stays empty."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from advisor.config import GovernanceFile, Recipe, TaskFile, TunedWeights
from advisor.engines.models import PACKAGED, ModelFiles, resolve
from advisor.errors import AdvisorError
from advisor.trial import PrepareCost

NOT_DECLARED = "not declared"
# Commission guidelines on general-purpose AI models (July 2025), 63: whoever modifies a
# model with more than a third of its training compute counts as the provider of a new one.
PROVIDER_SHARE = 1 / 3


@dataclass(frozen=True, slots=True)
class Training:
    """Compute of tuning and of the base, in floating-point operations; None: not known.

    Tuning is counted as 6 x parameters x tokens (Kaplan et al., arXiv 2001.08361), as if all
    weights were trained; forward passes for rehearsal and checks are not counted.
    """

    tokens: int
    seconds: float
    parameters: int | None
    flops: float | None
    base_flops: float | None

    @property
    def ratio(self) -> float | None:
        if self.flops is None or self.base_flops is None:
            return None
        return self.flops / self.base_flops


@dataclass(frozen=True, slots=True)
class Facts:
    """`rows` is the lineage, `files` the sha256 of the system's files, `parity` how the
    packed system compared with the measured one, `scan` what looks personal in the data,
    `endpoint` where the weights are if the bundle has none (`ship.elsewhere`), `seed` the one
    the contender was prepared with; `run`, `verdict` and `standing` are as the run wrote them,
    `task` and `declared` as people did."""

    contender: str
    recipe: Recipe
    run: Mapping[str, Any]
    verdict: Mapping[str, Any]
    standing: Mapping[str, Any]
    task: TaskFile
    declared: GovernanceFile
    files: Mapping[str, str]
    rows: tuple[Mapping[str, Any], ...]
    parity: Mapping[str, Any]
    training: Training
    base_origin: str
    scan: Mapping[str, Any]
    seed: int
    endpoint: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tuned(self) -> bool:
        return isinstance(self.recipe.weights, TunedWeights)

    @property
    def base_id(self) -> str:
        """The base as the hub calls it, where that is known."""
        name: str = self.run["model"]["name"]
        return PACKAGED[name.lower()][2] if name.lower() in PACKAGED else name

    @property
    def speaker(self) -> str:
        """Which model answers, and where that is if not in the bundle."""
        if not self.endpoint:
            return self.base_id
        return f"{self.endpoint['model']} at {self.endpoint['url']}"

    @property
    def name(self) -> str:
        """What an export answers to; `lora@2`, a contender at a seed, is no name to others."""
        return f"{self.task.name}-{self.contender.replace('@', '-')}"

    @property
    def measures(self) -> dict[str, Mapping[str, Any]]:
        """The primary metric first, then the others, each with its interval."""
        first = {self.task.primary: self.standing["quality"]}
        return {**first, **{k: v for k, v in self.standing["parts"].items() if k not in first}}

    @property
    def slices(self) -> list[Mapping[str, Any]]:
        """Quality on parts of the test rows, if the verdict has them: `column`, `value`,
        `quality` and `gap` to all other rows."""
        found = self.verdict.get("slices", ())
        return [one for one in found if one["contender"] == self.contender]

    @property
    def leakage(self) -> Mapping[str, Any]:
        """What the weights give away of their rows, if it was tested; otherwise nothing."""
        found: Mapping[str, Any] = self.verdict.get("leakage", {}).get(self.contender, {})
        return found


def training(run: Mapping[str, Any], cost: PrepareCost, declared: GovernanceFile) -> Training:
    """What tuning took; the base's parameters are counted where its files are here."""
    files = base_files(run)
    counts = [_count(path) for path in sorted(files.folder.glob("*.safetensors"))] if files else []
    parameters = sum(counts) or None
    flops = None if parameters is None else 6.0 * parameters * cost.tokens_trained
    return Training(cost.tokens_trained, cost.seconds, parameters, flops,
                    declared.base_training_flops)


def base_files(run: Mapping[str, Any]) -> ModelFiles | None:
    """The base model's files, or None where there are none here."""
    if run["model"]["name"] == "fake":
        return None
    try:
        return resolve(run["model"]["name"])
    except AdvisorError:
        return None


def _count(path: Path) -> int:
    """The numbers in a safetensors file, by its header (8 bytes of length, then JSON)."""
    with path.open("rb") as stream:
        [length] = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return sum(prod(one["shape"]) for name, one in header.items() if name != "__metadata__")
