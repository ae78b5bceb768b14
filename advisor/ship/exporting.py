"""A measured contender's weights as other programs take them, checked before they leave.

Three forms: the adapter as peft and `vllm serve --lora-modules` read it, the base with the
adapter merged in, as any program reads a model folder, or that as GGUF for llama.cpp and
Ollama. Each is opened again by what reads it and asked every test question. Prompt and
retrieval stay outside: `system.json` says what they were.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from advisor.config import BaseWeights, FullWeights, LoraWeights, TunedWeights
from advisor.contenders.composed import Tools
from advisor.errors import AdvisorError
from advisor.ship import fleet
from advisor.ship.governance.card import model_card
from advisor.ship.governance.facts import Facts
from advisor.ship.llamacpp import Converter
from advisor.ship.measured import Measured, measured
from advisor.ship.modelfile import MODELFILE, write_modelfile
from advisor.ship.parity import Parity, rescore
from advisor.ship.parity import told as told_parity
from advisor.ship.shipping import Order, facts_of, needs, task_of
from advisor.ship.speed import Speed, timed
from advisor.workspace import Workspace

Form = Literal["adapter", "merged", "gguf"]
SYSTEM, MANIFEST = "system.json", "advisor-export.json"


@dataclass(frozen=True, slots=True)
class Exported:
    """`command` serves the folder; `notes` say where that differs from what was measured.
    `speed` is None for weights that cannot be merged."""

    folder: Path
    parity: Parity
    command: str
    notes: tuple[str, ...]
    speed: Speed | None


def export(
    order: Order, form: Form, target: Path, *, workspace: Workspace,
    open_tools: Callable[..., Tools], converter: Converter | None = None,
) -> Exported:
    """Write the contender's weights to `target`, a new folder, if they answer as measured.

    GGUF needs a `converter`. Raises Diverged as `ship` does, and AdvisorError when the
    contender has no weights of its own, when 4-bit weights should be merged, and when
    `target` is there already.
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
        _without_weights(one.system, system)
        if form == "adapter":
            _adapter(one, made)
            shutil.copytree(made, system / "adapter")
            speaking = tools
        else:
            _plain_weights(system)
            whole = made if form == "merged" else Path(work) / "merged"
            engine = _merge(one, tools.engine, whole)
            if form == "gguf":
                assert converter is not None
                engine = converter.engine(
                    converter.convert(whole, made, dtype=engine.weights.dtype), engine)
                write_modelfile(made, engine, json.loads((system / SYSTEM).read_text()))
            speaking = replace(tools, engine=engine)
        parity = rescore(system, task, journal=journal, tools=speaking, allowed=order.allowed,
                         margin=one.record.settings.policy.quality_margin)
        speed = None
        if isinstance(weights, LoraWeights) and weights.quantise == "none":
            speed = timed(one.system, task, tools, one.system / "adapter")
        facts = facts_of(one, cost, parity=parity, packed=one.system, workspace=workspace)
        command = _command(tools, target, weights, form, name=facts.name)
        done = Exported(target, parity, command, tuple(_notes(one, weights)), speed)
        (made / "README.md").write_text(_readme(facts, form, done), encoding="utf-8")
        (made / MANIFEST).write_text(_manifest(one, form, done), encoding="utf-8")
        shutil.copyfile(one.system / SYSTEM, made / f"advisor-{SYSTEM}")
        made.rename(target)
    return done


def exported(folder: Path) -> Mapping[str, Any] | None:
    """What `folder` says of itself if it is an export, else None."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("command"), str) else None


def _tuned(one: Measured, form: Form) -> TunedWeights:
    weights = one.recipe.weights
    if not isinstance(weights, TunedWeights):
        raise AdvisorError(f"{one.contender} has no weights of its own to export",
                           fix=f"advisor ship {one.folder} --contender {one.contender}")
    if form != "adapter" and weights.scheme != "none":
        raise AdvisorError(f"{one.contender} was measured on 4-bit weights; merged into whole ones "
                           "it would be another model", fix="--as adapter")
    if form == "adapter" and isinstance(weights, FullWeights):
        raise AdvisorError(f"{one.contender} has whole weights and no adapter", fix="--as merged")
    return weights


def _without_weights(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("adapter", "weights"))


def _adapter(one: Measured, made: Path) -> None:
    for path in sorted((one.system / "adapter").iterdir()):
        shutil.copyfile(path, made / path.name)


def _merge(one: Measured, engine: Any, made: Path) -> Any:
    """The base with the adapter added, or the whole weights as they are, as safetensors in the
    precision that was measured; returns an engine that has read it."""
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
        merged: Any
        if (one.system / "adapter").is_dir():
            model = AutoModelForCausalLM.from_pretrained(
                str(base.files.folder), dtype=getattr(torch, base.dtype))
            tuned = PeftModel.from_pretrained(model, str(one.system / "adapter"))
            merged = tuned.merge_and_unload()
        else:
            merged = AutoModelForCausalLM.from_pretrained(
                str(one.system / "weights"), dtype=getattr(torch, base.dtype))
        merged.save_pretrained(made, safe_serialization=True)
    base.tokenizer.save_pretrained(made)
    return transformers.engine(resolve(str(made)), dtype=base.dtype)


def _plain_weights(system: Path) -> None:
    """Let the saved system answer with a base that holds the tuned weights already."""
    path = system / SYSTEM
    described = json.loads(path.read_text(encoding="utf-8"))
    described["recipe"]["weights"] = BaseWeights().model_dump(mode="json")
    path.write_text(json.dumps(described), encoding="utf-8")


def _command(tools: Tools, target: Path, weights: TunedWeights, form: Form, *, name: str) -> str:
    if form == "gguf":
        return f"ollama create {name} -f {target / MODELFILE} && ollama run {name}"
    if form == "merged":
        return fleet.alone(target, name=name)
    assert isinstance(weights, LoraWeights), "only those have an adapter"
    if weights.variant == "dora":
        return fleet.NO_DORA
    return fleet.beside_base(fleet.base_of(tools.engine), target, weights.rank, name=name)


def _manifest(one: Measured, form: Form, done: Exported) -> str:
    speed = done.speed and {
        "merged_tokens_per_second": round(done.speed.merged, 2),
        "unmerged_tokens_per_second": round(done.speed.unmerged, 2), "how": str(done.speed)}
    told = {
        "form": form, "contender": one.contender, "task": one.record.task,
        "base": dict(one.run["model"]), "parity": told_parity(done.parity), "speed": speed,
        "command": done.command, "notes": list(done.notes),
    }
    return json.dumps(told, indent=2) + "\n"


def _notes(one: Measured, weights: TunedWeights) -> list[str]:
    said = [f"what it is told is in advisor-{SYSTEM}: send `manner.instruction` as the system "
            "message, `max_tokens` and `stop` with the request, temperature 0"]
    if one.recipe.retrieval.kind != "none":
        said.append("it reads retrieved passages, which whoever calls it must put into the "
                    "prompt; `advisor ask` does so by itself")
    if one.recipe.prompt.shots:
        said.append("it is shown solved examples, which whoever calls it must send")
    if weights.scheme != "none":
        said.append(f"it was measured on a base in 4 bits ({weights.scheme}); on whole weights "
                    "its answers differ")
    return said


def _readme(facts: Facts, form: Form, done: Exported) -> str:
    card = model_card(facts, relation="adapter" if form == "adapter" else "finetune")
    speed = [f"- {done.speed}"] if done.speed else []
    serve = ["", "## Serve", "", f"    {done.command}", "",
             *(f"- {note}" for note in done.notes), *speed, ""]
    return card + "\n".join(serve)
