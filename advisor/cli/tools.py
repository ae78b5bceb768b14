"""The model and the embedder a command works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advisor.contenders.composed import Tools
from advisor.core import System
from advisor.engines.fake import FakeEngine
from advisor.engines.openai import Endpoint, endpoint
from advisor.engines.rerankers import FakeReranker
from advisor.engines.silence import quiet
from advisor.errors import AdvisorError
from advisor.ship.elsewhere import check_here
from advisor.workspace import Workspace


def fake() -> Tools:
    """The shipped deterministic stand-ins; never for a claim."""
    from advisor.engines.embedders import FakeEmbedder

    return Tools(FakeEngine(), FakeEmbedder(), reranker=_fake_reranker)


def _fake_reranker(_: str) -> FakeReranker:
    return FakeReranker()


def real(model: str, embedder: str, *, precision: str) -> Tools:
    """Both models found; their weights are read when first needed."""
    quiet()
    try:
        from advisor.engines import transformers
        from advisor.engines.embedders import SentenceEmbedder
        from advisor.engines.models import resolve

        engine = transformers.engine(resolve(model), dtype=precision)
        return Tools(engine, SentenceEmbedder(resolve(embedder)))
    except ModuleNotFoundError as missing:
        raise AdvisorError(
            f"running a model needs {missing.name}, which is not installed",
            fix="pip install 'adaptation-advisor[models]'",
        ) from missing


@dataclass(slots=True)
class Opener:
    """Opens bundles as `ask` and `serve` do; `model` says where the base is. Models that the
    one before was measured with, too, are kept."""

    model: str | None = None
    _kept: tuple[object, Tools] | None = None

    def open(self, path: Path) -> tuple[Mapping[str, Any], System]:
        """The manifest of a bundle and its system, once every byte has been verified."""
        from advisor.contenders.recipe import reopen
        from advisor.ship.bundle import verify

        manifest = verify(path)
        needed = [manifest[key] for key in ("base", "embedder", "precision")]
        needed.append(manifest.get("endpoint"))
        if self._kept is None or self._kept[0] != needed:
            self._kept = needed, for_bundle(manifest, path, self.model)
        system, _ = reopen(path, self._kept[1])
        return manifest, system


def winner(path: Path) -> Path:
    """The folder of a bundle, given it or a run whose winner it is."""
    from advisor.ship.bundle import MANIFEST

    inside = not (path / MANIFEST).is_file() and (path / "winner").is_dir()
    return path / "winner" if inside else path


def _endpoints() -> dict[str, Endpoint]:
    """Those of the user's own advisor.yaml: a bundle names no place to send questions to."""
    try:
        given = Workspace.find(Path.cwd()).settings().endpoints
    except AdvisorError:
        return {}
    return {name: endpoint(name, one) for name, one in given.items()}


def for_bundle(manifest: Mapping[str, Any], path: Path, model: str | None) -> Tools:
    """The tools that a verified bundle was measured with; `model` says where the base is.

    Raises AdvisorError when they are not here, or are not the ones that were measured.
    """
    endpoints = _endpoints()
    check_here(manifest.get("endpoint", {}), endpoints)
    return replace(_models(manifest, path, model), endpoints=endpoints)


def _models(manifest: Mapping[str, Any], path: Path, model: str | None) -> Tools:
    base, embedder = manifest["base"], manifest["embedder"]
    if base["name"] == "fake":
        return fake()
    if manifest.get("endpoint"):
        return _beside_endpoint(manifest, path)
    try:
        tools = real(model or base["name"], embedder["name"], precision=manifest["precision"])
    except AdvisorError as error:
        raise AdvisorError(error.problem, fix="name it: --model PATH_OR_ID") from error
    for kind, found, wanted in (
        ("base model", tools.engine.digest, base["digest"]),
        ("embedder", tools.embedder.digest, embedder["digest"]),
    ):
        if found != wanted:
            raise _another(kind, found, wanted, path)
    return tools


def _another(kind: str, found: str, wanted: str, path: Path) -> AdvisorError:
    return AdvisorError(
        f"{path}: the {kind} found here is not the one that was measured "
        f"(digest {found[:12]}, expected {wanted[:12]})",
        fix=f"install the {kind} named in {path}/manifest.json, and measure on a "
        "machine of the same kind or set precision in advisor.yaml",
    )


def _beside_endpoint(manifest: Mapping[str, Any], path: Path) -> Tools:
    """No base model, and the embedder only if something is searched with it."""
    from advisor.config import Recipe
    from advisor.runner.record import absent

    recipe = Recipe.model_validate_json(manifest["recipe"])
    tools = absent({"model": manifest["base"], "embedder": manifest["embedder"]})
    if recipe.retrieval.kind not in ("dense", "hybrid") and recipe.prompt.select != "nearest":
        return tools
    from advisor.engines.embedders import SentenceEmbedder
    from advisor.engines.models import resolve

    found = SentenceEmbedder(resolve(manifest["embedder"]["name"]))
    if found.digest != manifest["embedder"]["digest"]:
        raise _another("embedder", found.digest, manifest["embedder"]["digest"], path)
    return replace(tools, embedder=found)
