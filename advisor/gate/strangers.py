"""Weights of somebody else: a LoRA adapter of any trainer, or a merged model.

They bring no prompt, so they answer with the champion's; nothing in their folders is run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.config import BaseWeights, LoraWeights, Recipe
from advisor.data.digest import digest
from advisor.engines.models import PACKAGED, file_digest, folder_digest, resolve
from advisor.errors import AdvisorError
from advisor.gate.sides import Side, kind_of
from advisor.ship.bundle import MANIFEST, digests

WEIGHTS_FILE = "adapter_model.safetensors"
# The last one is what the fake engine makes; no other trainer writes it.
ADAPTER_FILES = ("adapter_config.json", WEIGHTS_FILE, "fake_adapter.json")
MODEL_SUFFIXES = (".safetensors", ".json", ".txt", ".jinja", ".model")
# Each makes a loader import code that somebody else names.
CODE_KEYS = ("auto_map", "_attn_implementation_internal", "trust_remote_code", "megatron_config")


def stranger(path: Path, champion: Side, *, any_base: bool, workdir: Path) -> Side:
    """An adapter or a merged model: it answers as the champion does, with other weights.

    The system that answers is put together under `workdir`. Raises AdvisorError when the
    weights were made for another base than the champion's, unless `any_base`.
    """
    if champion.system is None or not (champion.system / "system.json").is_file():
        raise AdvisorError(
            f"{path} needs a prompt, but the champion {champion.name} has none to lend",
            fix="name a champion that calls a model and whose files are still there",
        )
    borrowed = (
        f"The prompt and the retrieval are those of the champion {champion.name} "
        f"({champion.recipe.axes['prompt']}; retrieval: {champion.recipe.axes['retrieval']}); "
        f"the weights are those of {path.name}."
    )
    made = _adapter if kind_of(path) == "adapter" else _merged
    return made(path, champion, borrowed, any_base=any_base, workdir=workdir)


def _adapter(
    path: Path, champion: Side, borrowed: str, *, any_base: bool, workdir: Path
) -> Side:
    config = _json(path / "adapter_config.json")
    if not (path / WEIGHTS_FILE).is_file():
        raise AdvisorError(f"{path} has no {WEIGHTS_FILE}",
                           fix="save the adapter as safetensors (safe_serialization=True)")
    if config.get("peft_type") != "LORA":
        raise AdvisorError(f"{path}: an adapter of kind {config.get('peft_type')!r}, expected LORA",
                           fix="merge it into its base and name the folder of the merged model")
    notes = [borrowed]
    made_for = str(config.get("base_model_name_or_path") or "")
    if not _same_base(made_for, champion.base.model):
        told = f"the adapter names its base {made_for!r}, the champion's is {champion.base.model!r}"
        if not any_base:
            raise AdvisorError(
                f"{path}: {told}", fix="if they are the same weights: --any-base",
            )
        notes.append(f"The base was not checked: {told}.")
    if any((path / name).is_file() for name in ("tokenizer.json", "chat_template.jinja")):
        notes.append("The adapter folder brings a tokenizer of its own; the base's was used.")
    files = {name: file_digest(path / name) for name in ADAPTER_FILES if (path / name).is_file()}
    recipe = champion.recipe.model_copy(update={"weights": _weights(config, champion.recipe)})
    system = _assembled(champion, recipe, path, workdir / "systems" / digest(files)[:16])
    return Side(kind="adapter", name=path.name, place=path, recipe=recipe, base=champion.base,
                system=system, files=files, task=champion.task, notes=tuple(notes))


def _weights(config: Mapping[str, Any], champion: Recipe) -> LoraWeights:
    """The adapter as the table shows it; on the champion's quantisation."""
    scheme = champion.weights.quantise if isinstance(champion.weights, LoraWeights) else "none"
    rank, alpha = config.get("r"), config.get("lora_alpha")
    rank = rank if isinstance(rank, int) and rank > 0 else 16
    alpha = float(alpha) if isinstance(alpha, int | float) and alpha > 0 else 2.0 * rank
    return LoraWeights(kind="lora", rank=rank, alpha=alpha, quantise=scheme)


def _same_base(named: str, model: str) -> bool:
    """Whether two names mean the same weights: by name, by hub id, or by content."""
    packaged = PACKAGED.get(model.lower())
    if named.lower() in (model.lower(), packaged[2].lower() if packaged else None):
        return True
    here, there = Path(named), Path(model)
    if not named or not all((one / "config.json").is_file() for one in (here, there)):
        return False
    return here.resolve() == there.resolve() or folder_digest(here) == folder_digest(there)


def _assembled(champion: Side, recipe: Recipe, adapter: Path | None, folder: Path) -> Path:
    """A copy of the champion's system with other weights. It is small: no base model in it."""
    assert champion.system is not None, "asked for before"
    shutil.rmtree(folder, ignore_errors=True)
    skip = shutil.ignore_patterns("adapter", "weights", MANIFEST)
    shutil.copytree(champion.system, folder, ignore=skip)
    described = _json(folder / "system.json")
    described["recipe"] = recipe.model_dump(mode="json")
    (folder / "system.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    if adapter is not None:
        (folder / "adapter").mkdir()
        for name in ADAPTER_FILES:
            if (adapter / name).is_file():
                shutil.copyfile(adapter / name, folder / "adapter" / name)
    return folder


def _merged(path: Path, champion: Side, borrowed: str, *, any_base: bool, workdir: Path) -> Side:
    config = _json(path / "config.json")
    if not any(path.glob("*.safetensors")):
        raise AdvisorError(f"{path} holds no safetensors",
                           fix="save the model with safe_serialization=True")
    notes = [borrowed]
    if differs := _other_shape(config, champion.base.model):
        if not any_base:
            raise AdvisorError(f"{path} is not the champion's base with other weights: {differs}",
                               fix="if it should replace the base all the same: --any-base")
        notes.append(f"It is another base model than the champion's: {differs}.")
    else:
        notes.append("A merged model names no base; its shape is that of the champion's.")
    files = {name: sha for name, sha in digests(path).items() if name.endswith(MODEL_SUFFIXES)}
    recipe = champion.recipe.model_copy(update={"weights": BaseWeights()})
    system = _assembled(champion, recipe, None, workdir / "systems" / digest(files)[:16])
    return Side(kind="merged", name=path.resolve().name, place=path, recipe=recipe,
                base=champion.base, system=system, files=files, task=champion.task, merged=path,
                notes=tuple(notes))


def _other_shape(config: Mapping[str, Any], model: str) -> str:
    """How the model's shape differs from the base's, or nothing."""
    theirs = _json(resolve(model).folder / "config.json")
    keys = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")
    odd = [key for key in keys if config.get(key) != theirs.get(key)]
    return ", ".join(f"{key} {config.get(key)!r}, expected {theirs.get(key)!r}" for key in odd)


def _json(path: Path) -> dict[str, Any]:
    """A JSON object of a folder that somebody else made; never one that names code to run."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise AdvisorError(f"{path} cannot be read: {error}",
                           fix="save the folder again") from error
    if not isinstance(found, dict):
        raise AdvisorError(f"{path}: expected a JSON object, found {type(found).__name__}",
                           fix="save the folder again")
    if code := [key for key in CODE_KEYS if found.get(key)]:
        raise AdvisorError(f"{path} is refused: {code[0]!r} makes a loader run code",
                           fix=f"remove {code[0]!r}; models that need own code are not supported")
    return found
