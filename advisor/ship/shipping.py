"""From a measured contender to a registered version: pack, re-score, document, register."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from advisor.config import EndpointWeights, TaskFile, TunedWeights
from advisor.contenders.composed import Tools
from advisor.core import Task
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.ship import bundle, elsewhere
from advisor.ship.bundle import ModelIdentity, Origin
from advisor.ship.governance import document
from advisor.ship.governance.facts import Facts, base_files, training
from advisor.ship.governance.lineage import lineage
from advisor.ship.governance.scan import scan
from advisor.ship.measured import Measured, measured
from advisor.ship.parity import Parity, rescore, told
from advisor.ship.registry import Registry
from advisor.ship.registry_state import Version
from advisor.trial import PrepareCost
from advisor.workspace import Workspace
from advisor.yamlfiles import load


@dataclass(frozen=True, slots=True)
class Order:
    """What to ship: a contender of a run, under a name; empty is the winner, and the task's
    name. `allowed` is the share of test rows whose text may differ when re-scored."""

    run: Path
    contender: str = ""
    name: str = ""
    allowed: float = 0.0
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Shipped:
    """A registered version and how it compared with what was measured; `endpoint` says where
    its weights are if not in it."""

    version: Version
    parity: Parity
    final: bool
    barred_by: tuple[str, ...]
    endpoint: Mapping[str, Any]


def ship(
    order: Order, workspace: Workspace, registry: Registry, *, open_tools: Callable[..., Tools]
) -> Shipped:
    """Pack the contender, re-score what was packed on the test items, and register it.

    `open_tools` gives the tools for a bundle's manifest. Raises Diverged when the packed
    artefact answers otherwise than it did when it was measured; AdvisorError when the
    task or the system changed since, for a system of somebody's own code, or anything needed
    is missing. Then nothing is kept.
    """
    one = measured(order.run, order.contender or None)
    elsewhere.refuse_own(one.recipe, one.contender)
    one.check_files()
    task, _ = task_of(one, workspace)
    registry.actor("trainer", "register a version")  # before anything costs time
    journal, cost = one.answers(task)
    with tempfile.TemporaryDirectory(prefix="advisor-ship-") as work:
        packed = Path(work) / "system"
        shutil.copytree(one.system, packed)
        tools = open_tools(needs(one), one.folder, order.model)
        parity = rescore(packed, task, journal=journal, tools=tools, allowed=order.allowed,
                         margin=one.record.settings.policy.quality_margin)
        if bundle.digests(packed) != dict(one.files):
            raise AdvisorError(f"{packed} changed while it was re-scored", fix="ship again")
        facts = facts_of(one, cost, parity=parity, packed=packed, workspace=workspace,
                         endpoint=_answering(one, tools))
        document(facts, packed, key_file=registry.key_file)
        target = Path(work) / "bundle"
        bundle.pack(packed, target, _origin(one, task, parity, facts.endpoint))
        bundle.verify(target)
        version = registry.register(target, order.name or task.name)
    return Shipped(version, parity, bool(one.run["final"]), tuple(one.standing["barred_by"]),
                   facts.endpoint)


def task_of(one: Measured, workspace: Workspace) -> tuple[Task, Path]:
    """The task that was measured, and its folder; raises AdvisorError if it has changed."""
    said = one.run["task"]
    folder = workspace.task_folder(said["name"])
    task = load_task(folder, limit=said["test_rows"])
    if task.digest != said["digest"]:
        raise AdvisorError(f"{folder} is not the task that was measured in {one.folder}: it "
                           "was changed since", fix=f"advisor run {said['name']}")
    return task, folder


def needs(one: Measured) -> dict[str, Any]:
    """Which models it takes to answer, as in a bundle's manifest."""
    run = one.run
    return {"base": run["model"], "embedder": run["embedder"],
            "precision": run["settings"]["precision"], "recipe": one.recipe.model_dump_json(),
            "endpoint": elsewhere.identity(one.recipe, one.record.settings.endpoints)}


def _answering(one: Measured, tools: Tools) -> dict[str, Any]:
    """The endpoint that answered just now, with what it said it was; empty for none."""
    weights = one.recipe.weights
    speaker = tools.endpoint(weights.name) if isinstance(weights, EndpointWeights) else None
    return elsewhere.identity(one.recipe, one.record.settings.endpoints, speaker)


def _origin(
    one: Measured, task: Task, parity: Parity, endpoint: Mapping[str, Any]
) -> Origin:
    run, standing = one.run, one.standing
    kept = ("quality", "parts", "counts", "forgetting", "cost", "barred_by")
    return Origin(
        contender=one.contender,
        task={"name": task.name, "digest": task.digest},
        recipe=one.recipe.model_dump_json(),
        base=ModelIdentity(run["model"]["name"], run["model"]["digest"]),
        embedder=ModelIdentity(run["embedder"]["name"], run["embedder"]["digest"]),
        precision=run["settings"]["precision"],
        data=run["data"],
        metrics={
            "primary": task.primary,
            **{key: standing["quality"][key] for key in ("value", "low", "high", "n")},
            "final": run["final"], "tuned": isinstance(one.recipe.weights, TunedWeights),
            **{key: standing[key] for key in kept if key in standing},
        },
        template=parity.template,
        code=one.code,
        endpoint=endpoint,
    )


def facts_of(
    one: Measured, cost: PrepareCost, *, parity: Parity, packed: Path, workspace: Workspace,
    endpoint: Mapping[str, Any] = MappingProxyType({}),
) -> Facts:
    """What the documents say: as measured, as declared, and as the `packed` system is."""
    task, folder = task_of(one, workspace)
    settings, files = workspace.settings(), base_files(one.run)
    return Facts(
        contender=one.contender, recipe=one.recipe, run=one.run, verdict=one.verdict,
        standing=one.standing, task=load(folder / "task.yaml", TaskFile),
        declared=settings.governance, files=dict(one.files),
        rows=tuple(lineage(task, folder, packed, one.recipe)),
        parity=told(parity),
        training=training(one.run, cost, settings.governance),
        base_origin=files.origin if files else "origin not known",
        scan=scan(task.material),
        seed=one.record.seed(one.contender),
        endpoint=endpoint,
    )
