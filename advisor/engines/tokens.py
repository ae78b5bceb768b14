"""Counting tokens without weights: the model's tokenizer file alone, or an estimate."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from advisor.engines.models import PACKAGED, cache_folder

# Characters of English text to a token, of several tokenizers: on the low side, so that
# an estimated limit cuts no answer off.
CHARACTERS = 3.0


@dataclass(frozen=True, slots=True)
class Counter:
    """`count` gives the tokens of a text; `context` is 0 where it is not known.

    `exact` says whether the model's own tokenizer counts.
    """

    count: Callable[[str], int]
    context: int
    exact: bool


def counter(model: str) -> Counter:
    """The counter of a model that lies on this disk; an estimate for any other."""
    folder = folder_of(model)
    if folder is None or not (folder / "tokenizer.json").is_file():
        return Counter(_estimate, 0, exact=False)
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        return Counter(_estimate, _context(folder), exact=False)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return Counter(count, _context(folder), exact=True)


def folder_of(model: str) -> Path | None:
    """Where the files of a model already lie, without reading, loading or fetching any."""
    name = model.lower()
    if name in PACKAGED:
        package, inside, hub_id = PACKAGED[name]
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            path = Path(next(iter(spec.submodule_search_locations))) / inside
            if path.is_dir():
                return path
            made = sorted(cache_folder().glob(f"models/{name}-*/config.json"))
            if made:
                return made[-1].parent
        model = hub_id
    local = Path(model).expanduser()
    if (local / "config.json").is_file():
        return local
    return _in_hub_cache(model)


def _in_hub_cache(model: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ModuleNotFoundError:
        return None
    try:
        found = try_to_load_from_cache(model, "config.json")
    except ValueError:  # no name that a hub could have
        return None
    return Path(found).parent if isinstance(found, str) else None


def _context(folder: Path) -> int:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return int(config.get("max_position_embeddings", 0))
    except (OSError, ValueError):
        return 0


def _estimate(text: str) -> int:
    return round(len(text) / CHARACTERS) + 1
