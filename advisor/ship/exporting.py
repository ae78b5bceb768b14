"""A measured contender's weights as other programs take them, checked before they leave.

Two forms: the adapter as peft and `vllm serve --lora-modules` read it, or the base with the
adapter merged in, as any program reads a model folder. Both are opened again and asked
every test question. Prompt and retrieval stay outside: `system.json` says what they were.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from advisor.config import BaseWeights, LoraWeights
from advisor.contenders.composed import Tools
from advisor.errors import AdvisorError
from advisor.ship.governance.card import model_card
from advisor.ship.governance.facts import Facts
from advisor.ship.measured import Measured, measured
from advisor.ship.parity import Parity, rescore
from advisor.ship.shipping import Order, facts_of, needs, task_of
from advisor.workspace import Workspace

Form = Literal["adapter", "merged"]
SYSTEM = "system.json"
# What vllm lets --max-lora-rank be.
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


@dataclass(frozen=True, slots=True)
class Exported:
    """`command` serves the folder with vLLM; `notes` say where that differs from what was
    measured."""

    folder: Path
    parity: Parity
    command: str
    notes: tuple[str, ...]


def export(
    order: Order, form: Form, target: Path, *, workspace: Workspace,
    open_tools: Callable[..., Tools],
) -> Exported:
    """Write the contender's weights to `target`, a new folder, if they answer as measured.

    Raises Diverged as `ship` does, and AdvisorError when the contender has no weights of
    its own, when 4-bit weights should be merged, and when `target` is there already.
    """
    one = measured(order.run, order.contender or None)
    weights = _tuned(one, form)
    if target.exists():
        raise AdvisorError(f"{target} is already there", fix="--out a folder that is not")
    one.check_files()
    task, _ = task_of(one, workspace)
    journal, cost = one.answers(task)
    tools = open_tools(needs(one), one.folder, order.model)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".exporting-") as work:
        made, system = Path(work) / "export", Path(work) / "system"
        made.mkdir()
        _without_adapter(one.system, system)
        if form == "adapter":
            _adapter(one, made)
            shutil.copytree(made, system / "adapter")
        else:
            tools = replace(tools, engine=_merge(one, tools.engine, made))
            _plain_weights(system)
        parity = rescore(system, task, journal=journal, tools=tools, allowed=order.allowed)
        facts = facts_of(one, cost, parity=parity, packed=one.system, workspace=workspace)
        command = _command(tools, target, weights, form, name=facts.name)
        notes = tuple(_notes(one, weights))
        (made / "README.md").write_text(_readme(facts, form, command, notes), encoding="utf-8")
        shutil.copyfile(one.system / SYSTEM, made / f"advisor-{SYSTEM}")
        made.rename(target)
    return Exported(target, parity, command, notes)


def _tuned(one: Measured, form: Form) -> LoraWeights:
    weights = one.recipe.weights
    if not isinstance(weights, LoraWeights):
        raise AdvisorError(f"{one.contender} has no weights of its own to export",
                           fix=f"advisor ship {one.folder} --contender {one.contender}")
    if form == "merged" and weights.quantise != "none":
        raise AdvisorError(f"{one.contender} was measured on 4-bit weights; merged into whole ones "
                           "it would be another model", fix="--as adapter")
    return weights


def _without_adapter(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("adapter"))


def _adapter(one: Measured, made: Path) -> None:
    for path in sorted((one.system / "adapter").iterdir()):
        shutil.copyfile(path, made / path.name)


def _merge(one: Measured, engine: Any, made: Path) -> Any:
    """The base with the adapter added, as safetensors in the precision that was measured;
    returns an engine that has read it."""
    try:
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        from advisor.engines import transformers
        from advisor.engines.models import resolve
    except ModuleNotFoundError as missing:
        raise AdvisorError(f"merging needs {missing.name}, which is not installed",
                           fix="pip install 'adaptation-advisor[tuning]'") from missing
    if not isinstance(engine, transformers.TransformersEngine):
        raise AdvisorError(f"the engine {engine.name} has no weights to merge into",
                           fix="--as adapter")
    base = engine.weights
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of peft about its own future
        model = AutoModelForCausalLM.from_pretrained(
            str(base.files.folder), dtype=getattr(torch, base.dtype))
        tuned = PeftModel.from_pretrained(model, str(one.system / "adapter"))
        merged: Any = tuned.merge_and_unload()
        merged.save_pretrained(made, safe_serialization=True)
    base.tokenizer.save_pretrained(made)
    return transformers.engine(resolve(str(made)), dtype=base.dtype)


def _plain_weights(system: Path) -> None:
    """Let the saved system answer with a base that holds the tuned weights already."""
    path = system / SYSTEM
    described = json.loads(path.read_text(encoding="utf-8"))
    described["recipe"]["weights"] = BaseWeights().model_dump(mode="json")
    path.write_text(json.dumps(described), encoding="utf-8")


def _command(tools: Tools, target: Path, weights: LoraWeights, form: Form, *, name: str) -> str:
    if form == "merged":
        return f"vllm serve {target} --served-model-name {name}"
    files = getattr(getattr(tools.engine, "weights", None), "files", None)
    base = files.folder if files else tools.engine.name
    rank = next((rank for rank in RANKS if rank >= weights.rank), weights.rank)
    return (f"vllm serve {base} --enable-lora --max-lora-rank {rank} "
            f"--lora-modules {name}={target}")


def _notes(one: Measured, weights: LoraWeights) -> list[str]:
    said = [f"what it is told is in advisor-{SYSTEM}: send `manner.instruction` as the system "
            "message, `max_tokens` and `stop` with the request, temperature 0"]
    if one.recipe.retrieval.kind != "none":
        said.append("it reads retrieved passages, which whoever calls it must put into the "
                    "prompt; `advisor ask` does so by itself")
    if one.recipe.prompt.shots:
        said.append("it is shown solved examples, which whoever calls it must send")
    if weights.quantise != "none":
        said.append(f"it was measured on a base in 4 bits ({weights.quantise}); on whole weights "
                    "its answers differ")
    return said


def _readme(facts: Facts, form: Form, command: str, notes: tuple[str, ...]) -> str:
    card = model_card(facts, relation="adapter" if form == "adapter" else "finetune")
    serve = ["", "## Serve", "", f"    {command}", "", *(f"- {note}" for note in notes), ""]
    return card + "\n".join(serve)
