"""A plan: everything that is settled before the first answer."""

from __future__ import annotations

import platform
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from advisor import __version__
from advisor.config import EndpointWeights, Recipe, Settings, TunedWeights
from advisor.contenders.composed import Tools
from advisor.contenders.recipe import fits
from advisor.core import Task
from advisor.data.digest import digest
from advisor.data.versions import Version
from advisor.measures.retention import Suite
from advisor.verdict import Policy

PACKAGES = (
    "torch", "transformers", "peft", "bitsandbytes", "lm_eval", "sentence-transformers",
    "faiss-cpu", "bm25s", "llguidance", "openai", "numpy",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of one task. `data` maps the task's files to their sha256.

    `final` is False when rows were left out, so that nobody ships on such a verdict.
    """

    task: Task
    recipes: Mapping[str, Recipe]
    settings: Settings
    suites: tuple[Suite, ...]
    tools: Tools
    seed: int
    final: bool
    folder: Path
    data: Mapping[str, str]
    # Contenders that the seed can change are measured at this many, from `seed` upwards.
    seeds: int = 1
    # The factors of contenders that are cells of a factorial.
    cells: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Factors that the task has nothing for, and why.
    without: Mapping[str, str] = field(default_factory=dict)
    # Stages by content key, shared by the plans of one command: the base model's
    # retention is the same for every task.
    shared: MutableMapping[str, Mapping[str, Any]] = field(default_factory=dict)
    # The identity of what computes; that of a finished run when the run is only read.
    code: str = field(default_factory=lambda: code_digest())
    # A later version of the task's facts, which contenders are asked about as well.
    version: Version | None = None
    # Whether tuned weights are asked for the rows they were tuned on.
    leakage: bool = False
    # Whether tuned contenders are tuned on parts of the train rows as well.
    learning_curve: bool = False
    # The part of the machine that this process has. What passes times this is machine time,
    # which is what answers and preparations cost.
    share: float = 1.0

    @property
    def policy(self) -> Policy:
        rules, prices = self.settings.policy, self.settings.prices
        return Policy(
            quality_margin=rules.quality_margin,
            retention_margin=rules.retention_margin,
            alpha=rules.alpha,
            latency_limit_ms=self.task.context.latency_limit_ms,
            max_failed=rules.max_failed,
            horizon_months=rules.horizon_months,
            calls_per_month=self.task.context.calls_per_month,
            usd_per_machine_hour=prices.machine_hour,
            utilisation=prices.utilisation,
            protect=_protected(rules.protect, rules.retention_margin),
            value_per_correct=rules.value_per_correct,
            churn_per_month=self.task.context.churn_per_month,
            stale_share=rules.stale_share,
            base_replaced_months=rules.base_replaced_months,
            usd_per_label=prices.label,
        )


def _protected(given: Mapping[str, float] | tuple[str, ...], margin: float) -> dict[str, float]:
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, margin)


class Watch(Protocol):
    """Told what the runner does; the command line draws it."""

    def begin(self, contenders: Mapping[str, Recipe], rows: int) -> None: ...

    def stage(self, contender: str, stage: str, total: int) -> None: ...

    def advance(self, amount: int = 1) -> None: ...

    def finish(self, contender: str, note: str) -> None: ...

    def beside(self) -> Watch:
        """Whom a process tells that works at the same time as others."""
        ...


def misfit(recipe: Recipe, plan: Plan) -> str:
    """Why the contender does not take part, or an empty string."""
    allowed = plan.task.context.residency
    if isinstance(recipe.weights, EndpointWeights):
        given = plan.settings.endpoints.get(recipe.weights.name)
        if given is None:
            return f"advisor.yaml has no endpoint {recipe.weights.name!r}"
        if allowed not in ("any", given.residency):
            return (f"the task's data may be processed {allowed} only, endpoint "
                    f"{recipe.weights.name} is {given.residency}")
    teacher = recipe.weights.teacher if isinstance(recipe.weights, TunedWeights) else None
    if teacher and (why := misfit(teacher.recipe, plan)):
        return f"its teacher cannot take part: {why}"
    return fits(recipe, plan.task.material)


def recipe_digest(recipe: Recipe) -> str:
    """The recipe's identity: its full content, defaults included, without its name."""
    return digest(recipe.model_dump(mode="json"))


def code_digest() -> str:
    """The identity of everything that computes: this package and the libraries it calls."""
    return code_digest_of(__version__, _versions())


def code_digest_of(advisor: str, versions: Mapping[str, str]) -> str:
    """The same for the versions that a run.yaml names; `python` is no part of it."""
    known = {name: found for name, found in versions.items() if name != "python"}
    return digest({"advisor": advisor, **known})


def describe(plan: Plan) -> dict[str, Any]:
    """All settings, digests and versions, as run.yaml holds them."""
    return {
        "advisor": __version__,
        "task": {"name": plan.task.name, "digest": plan.task.digest,
                 "material": plan.task.material.digest, "test_rows": len(plan.task.test)},
        "model": {"name": plan.tools.engine.name, "digest": plan.tools.engine.digest},
        "embedder": {"name": plan.tools.embedder.name, "digest": plan.tools.embedder.digest},
        "seed": plan.seed,
        "seeds": plan.seeds,
        "final": plan.final,
        "contenders": {
            name: {"digest": recipe_digest(recipe), **recipe.model_dump(mode="json")}
            for name, recipe in plan.recipes.items()
        },
        **({"factorial": {name: list(on) for name, on in plan.cells.items()}}
           if plan.cells else {}),
        **({"factorial_without": dict(plan.without)} if plan.without else {}),
        "retention": {suite.name: suite.digest for suite in plan.suites},
        "policy": asdict(plan.policy),
        "settings": plan.settings.model_dump(mode="json"),
        "data": dict(plan.data),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": machine(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def machine() -> dict[str, Any]:
    import os

    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass  # not Linux, or not x86: the platform's own word stands
    return {"system": platform.system(), "processor": model, "cores": os.cpu_count()}
