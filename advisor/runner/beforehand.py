"""Where a core is idle: what contenders will read is embedded while the base is scored.

Nobody's seconds are counted then. While a contender prepares or answers, a thread that embeds
would disturb what that takes.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from advisor.config import BaseWeights, Recipe, TunedWeights
from advisor.contenders.recipe import prepare
from advisor.contenders.tuning.kept import Kept
from advisor.errors import Busy
from advisor.runner.ahead import cores
from advisor.runner.detectors import base_reworded
from advisor.runner.journal import JournalError
from advisor.runner.plan import Plan
from advisor.runner.stages import Stages, base_key, retention_stage
from advisor.runner.trial import base_retention

log = logging.getLogger(__name__)


def base_first(stages: Stages, recipes: Sequence[Recipe]) -> None:
    """Score the base, if `recipes`, which are still to be prepared, need it and nobody has, and
    embed beside it; nothing where that has no use.

    What goes wrong is left to the run, which meets it again and says why.
    """
    plan, journal = stages.plan, stages.journal
    wanted = [recipe for recipe in recipes if _embeds(recipe)]
    if not (wanted and idle_core()):
        return  # then answers come first, so that whoever waits sees some soon
    stage = retention_stage(base_key(plan), [suite.digest for suite in plan.suites])
    if not any(isinstance(recipe.weights, TunedWeights) for recipe in recipes):
        return
    if stage in plan.shared or journal.stage(stage) is not None:
        return
    stages.watch.stage("base", "forgetting", 1)
    try:
        with beside(plan, wanted):
            base_reworded(plan, journal, base_retention(plan, journal))
    except (Busy, JournalError):
        raise  # these stop the whole run
    except Exception as error:
        log.info("the base is left to the end: %s", error)
    else:
        stages.watch.advance()


def idle_core() -> bool:
    """Whether the model leaves a core alone: it computes elsewhere, or with fewer threads."""
    torch = sys.modules.get("torch")
    return torch is not None and (torch.cuda.is_available() or torch.get_num_threads() < cores())


@contextmanager
def beside(plan: Plan, recipes: Sequence[Recipe]) -> Iterator[None]:
    """Until the block ends, and as long as it takes: the vectors that `recipes` need.

    Both models are read before: reading one sets torch's default type for all threads, which
    the other would take over.
    """
    _ = plan.tools.engine.context_length
    plan.tools.embedder.embed(["."])
    thread = threading.Thread(target=_embed, args=(plan, recipes), name="embedding")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _embeds(recipe: Recipe) -> bool:
    """Whether vectors are all that preparing it needs, but for tuning."""
    reads = recipe.retrieval.kind in ("dense", "hybrid")
    likens = recipe.prompt.shots > 0 and recipe.prompt.select in ("nearest", "diverse")
    searched = recipe.prompt.tune is not None or recipe.retrieval.rerank
    return (reads or likens) and recipe.retrieval.kind != "everything" and not searched


def _embed(plan: Plan, recipes: Sequence[Recipe]) -> None:
    kept = Kept(plan.folder / "tuned")
    for recipe in recipes:
        untuned = recipe.model_copy(update={"weights": BaseWeights()})
        try:
            with tempfile.TemporaryDirectory() as folder:
                prepare(untuned, plan.task.material, tools=plan.tools, workdir=Path(folder),
                        seed=plan.seed, kept=kept)
        except Exception as error:  # the contender meets it again, and says why
            log.info("not embedded ahead: %s", error)
