"""Tuned weights, what was found out about them, and vectors, that several contenders of a run
need.

What decides a tuning is its name: the base, the settings, the seed, what was learnt, and
what it started from. A contender whose decoding alone differs, or which goes on from where
another one ended, finds it here. So does one that asks what another has asked of the same weights.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from advisor.data.digest import digest
from advisor.engines.embedders import Embedder, Vectors
from advisor.engines.models import file_digest
from advisor.locks import alone
from advisor.trial import PrepareCost

ABOUT = "tuning.json"
WEIGHTS = "weights"


@dataclass(slots=True)
class Kept:
    """A folder of tunings by name; `waited` are the seconds lost to other processes."""

    folder: Path
    waited: float = 0.0

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """While one process looks for these weights and makes them, others wait."""
        began = time.perf_counter()
        with alone(self.folder / f"{name[:32]}.lock"):
            self.waited += time.perf_counter() - began
            yield

    def take(self, name: str, target: Path) -> PrepareCost | None:
        """Copy the weights of that name to `target`; None if they are not here, or are not what
        was put here. All their seconds were spent before."""
        place = self.folder / name[:32]
        try:
            about = json.loads((place / ABOUT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if about["name"] != name or about["files"] != _files(place / WEIGHTS):
            return None
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(place / WEIGHTS, target)
        cost = _cost(about["cost"])
        return replace(cost, earlier_seconds=cost.seconds)

    def put(self, name: str, source: Path, cost: PrepareCost) -> None:
        """Keep a copy of `source`; a half-written one is never found."""
        place = self.folder / name[:32]
        fresh = place.with_suffix(".new")
        for old in (fresh, place):
            shutil.rmtree(old, ignore_errors=True)
        fresh.mkdir(parents=True)
        shutil.copytree(source, fresh / WEIGHTS)
        about = {"name": name, "files": _files(fresh / WEIGHTS), "cost": asdict(cost)}
        (fresh / ABOUT).write_text(json.dumps(about), encoding="utf-8")
        os.replace(fresh, place)

    def told(self, name: str) -> tuple[Any, float] | None:
        """What `tell` was told under that name, and the seconds; None if that is not here."""
        try:
            known = json.loads(self._note(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return (known["found"], known["seconds"]) if known["name"] == name else None

    def tell(self, name: str, found: Any, seconds: float) -> None:
        """Keep plain data that took so many seconds to find."""
        path = self._note(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"name": name, "found": found, "seconds": seconds})
        path.with_suffix(".new").write_text(text, encoding="utf-8")
        os.replace(path.with_suffix(".new"), path)

    def vectors(self, embedder: Embedder, texts: Sequence[str]) -> tuple[Vectors, float]:
        """What `embedder` makes of the texts, and the seconds that this took before."""
        name = digest(["vectors", embedder.digest, list(texts)])
        path = self.folder / f"{name[:32]}.npy"
        with self.alone(name):
            known = self.told(name)
            if known is not None and path.is_file() and known[0] == file_digest(path):
                return np.load(path, allow_pickle=False), known[1]
            began = time.perf_counter()
            made = embedder.embed(texts)
            seconds = time.perf_counter() - began
            np.save(path, made, allow_pickle=False)
            self.tell(name, file_digest(path), seconds)
            return made, 0.0

    def _note(self, name: str) -> Path:
        return self.folder / f"{name[:32]}.json"


@dataclass(slots=True)
class Remembering:
    """An embedder that embeds a list of texts once for all contenders of a run; `spent` are the
    seconds that others spent on what was found.

    For preparing and for looking up. Not for answering, where embedding is a part of a call's time.
    """

    embedder: Embedder
    kept: Kept
    spent: float = 0.0
    known: dict[tuple[str, ...], Vectors] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.embedder.name

    @property
    def digest(self) -> str:
        return self.embedder.digest

    def embed(self, texts: Sequence[str]) -> Vectors:
        name = tuple(texts)
        if name not in self.known:
            self.known[name], seconds = self.kept.vectors(self.embedder, texts)
            self.spent += seconds
        return self.known[name]


def _files(folder: Path) -> dict[str, str]:
    return {path.name: file_digest(path) for path in sorted(folder.iterdir())}


def _cost(stored: Mapping[str, Any]) -> PrepareCost:
    return PrepareCost(**{**stored, "dev_loss": tuple(stored["dev_loss"]),
                          "train_loss": tuple(stored["train_loss"])})
