"""The model and the embedder a command works with."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.contenders.composed import Tools
from advisor.engines.fake import FakeEngine
from advisor.errors import AdvisorError


def fake() -> Tools:
    """The shipped deterministic stand-ins; never for a claim."""
    from advisor.engines.embedders import FakeEmbedder

    return Tools(FakeEngine(), FakeEmbedder())


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


def for_bundle(manifest: Mapping[str, Any], path: Path, model: str | None) -> Tools:
    """The tools that a verified bundle was measured with; `model` says where the base is.

    Raises AdvisorError when they are not here, or are not the ones that were measured.
    """
    base, embedder = manifest["base"], manifest["embedder"]
    if base["name"] == "fake":
        return fake()
    try:
        tools = real(model or base["name"], embedder["name"], precision=manifest["precision"])
    except AdvisorError as error:
        fix = f'name it: advisor ask {path} "..." --model PATH_OR_ID'
        raise AdvisorError(error.problem, fix=fix) from error
    for kind, found, wanted in (
        ("base model", tools.engine.digest, base["digest"]),
        ("embedder", tools.embedder.digest, embedder["digest"]),
    ):
        if found != wanted:
            raise AdvisorError(
                f"{path}: the {kind} found here is not the one that was measured "
                f"(digest {found[:12]}, expected {wanted[:12]})",
                fix=f"install the {kind} named in {path}/manifest.json, and measure on a "
                "machine of the same kind or set precision in advisor.yaml",
            )
    return tools


def quiet() -> None:
    """Keep the libraries' own progress bars and notices out of our output."""
    for name in ("TOKENIZERS_PARALLELISM", "TRANSFORMERS_NO_ADVISORY_WARNINGS"):
        os.environ.setdefault(name, "false" if name.startswith("TOK") else "1")
    for bars in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS",
                 "TQDM_DISABLE"):
        os.environ.setdefault(bars, "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    warnings.filterwarnings("ignore", module=r"(transformers|peft|bitsandbytes|lm_eval|torch)\b")
    for library in ("transformers", "peft", "bitsandbytes", "sentence_transformers", "datasets"):
        logging.getLogger(library).setLevel(logging.ERROR)
