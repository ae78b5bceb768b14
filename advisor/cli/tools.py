"""The model and the embedder a command works with."""

from __future__ import annotations

import logging
import os
import warnings

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
