"""What the libraries would print beside our own output."""

from __future__ import annotations

import logging
import os
import warnings


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
