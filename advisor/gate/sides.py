"""What can be put to the gate, and what is known of it: a run or a bundle is read here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from advisor.config import Recipe, Settings, TunedWeights
from advisor.data.digest import digest
from advisor.engines.models import file_digest
from advisor.errors import AdvisorError
from advisor.runner.record import Record, is_run, open_record
from advisor.ship.bundle import MANIFEST, digests, verify

Kind = Literal["run", "bundle", "adapter", "merged"]


@dataclass(frozen=True, slots=True)
class Base:
    """The base model and the embedder that a side needs, as they were named."""

    model: str
    embedder: str
    precision: str


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, before anything is measured.

    `system` is the folder that answers, None when only the journal of `record` is left.
    `files` maps the files that were put to the gate to their sha256; `bundle` is the bundle
    that holds them, if one does. `merged` is the folder of a whole model that stands in for
    the base. `notes` say what the report must.
    """

    kind: Kind
    name: str
    place: Path
    recipe: Recipe
    base: Base
    system: Path | None
    files: Mapping[str, str]
    task: str
    record: Record | None = None
    bundle: Path | None = None
    merged: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def sha(self) -> str:
        """The identity of the files: sha256 of a bundle's manifest, which vouches for all of
        them and is its version in a registry; without a bundle `digest` of sha256 by name."""
        return digest(self.files) if self.bundle is None else file_digest(self.bundle / MANIFEST)

    @property
    def tuned(self) -> bool:
        """Whether the weights are others than those of the base."""
        return self.merged is not None or isinstance(self.recipe.weights, TunedWeights)


def kind_of(path: Path) -> Kind:
    """What stands at `path`; AdvisorError when it is nothing that can answer."""
    if (path / MANIFEST).is_file():
        return "bundle"
    if is_run(path):
        return "run"
    if (path / "adapter_config.json").is_file():
        return "adapter"
    if (path / "config.json").is_file():
        return "merged"
    if not path.is_dir():
        raise AdvisorError(f"{path}: no such folder", fix="name a run, a bundle, an adapter "
                           "or a model folder")
    raise AdvisorError(
        f"{path} is neither a run (run.yaml and journal.db), a bundle ({MANIFEST}), an adapter "
        "(adapter_config.json) nor a model (config.json)",
        fix="name the folder that directly holds one of these files",
    )


def finished(path: Path, contender: str | None) -> Side:
    """A run's winner or another contender of it, or a bundle."""
    if kind_of(path) == "bundle":
        if contender is not None:
            raise AdvisorError(f"{path} is a bundle and holds one contender only",
                               fix=f"drop --contender {contender}, or name the run")
        return _bundle(path)
    record = open_record(path)
    name = contender or _winner(record)
    files = record.files(name)
    model, embedder = (record.run[one]["name"] for one in ("model", "embedder"))
    return Side(
        kind="run", name=name, place=path, recipe=record.recipe(name),
        base=Base(model, embedder, record.settings.precision),
        system=_system(path, name, files), files=files, task=record.task, record=record,
        bundle=winner if _content(winner := path / "winner") == files else None,
    )


def _winner(record: Record) -> str:
    path = record.folder / "verdict.json"
    try:
        winner = json.loads(path.read_text(encoding="utf-8"))["winner"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdvisorError(f"{path} cannot be read", fix="name the contender: --contender NAME "
                           "(--against-contender NAME for the champion)") from error
    if winner is None:
        raise AdvisorError(
            f"{record.folder} has no winner; it measured {', '.join(record.measured)}",
            fix="name one: --contender NAME (--against-contender NAME for the champion)",
        )
    return str(winner)


def _system(run: Path, name: str, files: Mapping[str, str]) -> Path | None:
    for folder in (run / "contenders" / name / "system", run / "winner"):
        if _content(folder) == files:
            return folder
    return None


def _content(folder: Path) -> dict[str, str]:
    return {path: sha for path, sha in digests(folder).items() if path != MANIFEST}


def _bundle(path: Path) -> Side:
    manifest = verify(path)
    try:
        recipe = Recipe.model_validate_json(manifest["recipe"])
    except ValidationError as error:
        raise AdvisorError(f"{path}: its recipe is not one that this advisor knows: "
                           f"{str(error).splitlines()[0]}",
                           fix="pip install --upgrade adaptation-advisor") from error
    name, files = manifest["contender"], manifest["files"]
    base = Base(manifest["base"]["name"], manifest["embedder"]["name"], manifest["precision"])
    return Side(
        kind="bundle", name=name, place=path, recipe=recipe, base=base, system=path, files=files,
        task=manifest["task"]["name"], record=_record_beside(path, name, files),
        bundle=path,
    )


def _record_beside(path: Path, name: str, files: Mapping[str, str]) -> Record | None:
    """The run that a bundle still lies in, when it measured these very files."""
    folder = path.resolve().parent
    if not is_run(folder):
        return None
    record = open_record(folder)
    known = name in record.measured and record.files(name) == files
    return record if known else None


def settings_of(side: Side, settings: Settings) -> Settings:
    """The workspace's settings on the side's base; its own latency probe, if it has one."""
    base = side.base
    changes: dict[str, Any] = {"model": base.model, "embedder": base.embedder,
                               "precision": base.precision}
    if side.record is not None:
        changes["latency_probe"] = side.record.settings.latency_probe
    return settings.model_copy(update=changes)
