"""Who does a work, with which settings, and how ours does it.

A side is opened for a work and a setting; given items it prepares itself, which is not
timed, and returns what is. Output is a list with one entry for every item, or the losses.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

import torch

from advisor.config import LoraWeights
from advisor.engines import generation, layout
from advisor.engines.memory import peak_mib, reset_peak
from advisor.engines.protocol import Course, Lesson
from advisor.engines.transformers import TransformersEngine, native_dtype
from advisor.runner.contention import watched
from advisor.runner.plan import machine
from tests.bench import candidates, ceiling, libraries, llama, works
from tests.bench.works import Ids, Work

OURS = "ours"
Run = Callable[[], list[Any]]
Prepare = Callable[[list[Any]], Run]
Open = Callable[[Work, TransformersEngine, str], Prepare]

SPEC = LoraWeights(kind="lora", epochs=1.0, learning_rate=5e-4, batch_size=8, checks=1,
                   check_rows=1)


@dataclass(frozen=True, slots=True)
class Entrant:
    """A peer, `settings` of which the fastest counts (the best known first), `needs` (the
    packages it is made of), and `share`, the part of the items that it does; `warm` is the
    part that it does before. What is compiled for a shape needs that shape to be warm."""

    name: str
    settings: Sequence[str] = ("",)
    needs: Sequence[str] = ()
    share: float = 1.0
    warm: float = 1 / 8


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: `amount` in the work's unit, peak of the whole process in MiB, share of the
    processors that others used meanwhile."""

    seconds: float
    amount: float
    flops: float
    peak_mib: float
    busy: float
    output: list[Any]


class Host:
    """What the process of a side holds."""

    def __init__(self) -> None:
        from transformers.utils import logging

        from advisor.engines.silence import quiet

        quiet()
        getLogger("lm_eval").setLevel(ERROR)
        logging.disable_progress_bar()
        logging.set_verbosity_error()

    def open(self, work: Work, side: str, setting: str) -> None:
        self.work, self.reader = work, works.opened(work.dtype)
        self.items = works.items(work, self.reader)
        self.prepare = SIDES[work.kind][side](work, self.reader, setting)

    def run(self, share: float) -> Measured:
        chosen = works.part(self.items, share)
        amount, flops = works.size(self.work, self.reader, chosen)
        run = self.prepare(chosen)
        reset_peak()
        with watched() as others:
            started = time.perf_counter()
            output = run()
            seconds = time.perf_counter() - started
        return Measured(seconds, amount, flops, peak_mib(), others.others, output)

    def about(self) -> dict[str, Any]:
        """The machine, and the GFLOP/s that it multiplies with; `auto` is what our engine
        computes in."""
        found = {kind: round(ceiling.measured(kind)) for kind in ("bfloat16", "float32")}
        return {"machine": machine(), "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "ceiling_gflops": {**found, "auto": found[native_dtype()]}}


# ------------------------------------------------------------------ ours


def _scores(_work: Work, engine: TransformersEngine, _: str) -> Prepare:
    return lambda asked: partial(scored_by(engine), asked)


def scored_by(engine: TransformersEngine) -> Callable[[list[Any]], list[Any]]:
    """What scores questions, through lm-eval's own model class."""
    from advisor.measures.lm_eval_model import EngineModel

    return partial(libraries.by_question, EngineModel(engine).loglikelihood)


def _answers(work: Work, engine: TransformersEngine, _: str) -> Prepare:
    return lambda prompts: partial(write, engine, prompts, work.new)


def write(engine: TransformersEngine, prompts: list[Ids], new: int) -> list[Ids]:
    """`new` tokens for every prompt, past any end; the beginning is read anew."""
    rules = generation.Rules(frozenset(), lambda _: False, generation.most_likely)
    engine.weights._kept = layout.NOTHING
    found = dict(generation.write(engine.weights.model, prompts, [new] * len(prompts), rules,
                                  beginning=engine.weights.beginning(prompts)))
    return [found[n].tokens for n in range(len(prompts))]


def _tunes(_work: Work, engine: TransformersEngine, _: str) -> Prepare:
    return lambda lessons: partial(tune, engine, lessons)


def tune(engine: TransformersEngine, lessons: Sequence[Lesson]) -> list[float]:
    """The loss of every update; the saving and one check of the dev loss are timed too."""
    folder = Path(tempfile.mkdtemp())
    course = Course(tuple(lessons), tuple(lessons[:1]))
    try:
        return list(engine.tune(course, SPEC, folder=folder, seed=0).train_loss)
    finally:
        shutil.rmtree(folder)


# ------------------------------------------------------------------ everyone

SIDES: dict[str, dict[str, Open]] = {
    "scoring": {OURS: _scores, "lm-eval": libraries.lm_eval_scoring,
                "CTranslate2": candidates.ctranslate2_scoring},
    "generation": {OURS: _answers, "transformers": libraries.plain,
                   "lm-eval": libraries.lm_eval_generation, "llama.cpp": llama.served,
                   "OpenVINO": candidates.openvino, **candidates.GENERATION},
    "tuning": {OURS: _tunes, "trl, default": partial(libraries.trl, spec=SPEC),
               "trl, best": partial(libraries.trl, spec=SPEC)},
}


def entrants(work: Work, *, quick: bool) -> list[Entrant]:
    """Those of `make bench`; `quick` takes the best known setting of each, and lets those do
    a part whose speed the amount hardly changes. Behind a beginning that a peer reads for each
    answer a part is enough in the full form too, as long as it fills the largest batch."""
    def share(less: float) -> float:
        whole = {"scoring": 1 / 4, "generation": 1 / 2} if work.shared else {}
        return less if quick else whole.get(work.kind, 1.0)

    if work.kind == "scoring" and work.shared:
        found = [Entrant("lm-eval", ("batch 4", "batch 1", "batch 16"), ("lm_eval",),
                         share(1 / 16), warm=1 / work.count)]
    elif work.kind == "scoring":
        found = [Entrant("lm-eval", ("batch 16", "batch 8", "batch 32"), ("lm_eval",))]
    elif work.kind == "generation":
        behind = bool(work.shared)
        batches = ("batch 8", "batch 16", "batch 32") if behind else (
            "batch 64", "batch 32", "batch 16")
        found = [
            Entrant("transformers", batches, share=share(1 / 8 if behind else 1), warm=1 / 32),
            Entrant("llama.cpp", ("BF16, 16 slots", "Q4_1, 16 slots", "Q4_1, 32 slots"),
                    ("xllamacpp",), share(1 / 4)),
            Entrant("OpenVINO", ("F16, bf16", "Q4_1, bf16"), ("openvino", "openvino_genai")),
            # It writes through the same `generate`, so it wants the same batch.
            Entrant("lm-eval", batches[:1], ("lm_eval",), share(1)),
        ]
        if quick:  # lm-eval writes through the same `generate` and is behind it
            found = found[:1] if behind else found[:-1]
    else:
        best = tuple(name for name in libraries.TRL if name != "default")
        found = [Entrant("trl, default", ("default",), ("trl",), share(1 / 2)),
                 Entrant("trl, best", best, ("trl",), share(1 / 4))]
    if quick:
        return [replace(one, settings=one.settings[:1]) for one in found]
    return found


# What was looked at before ours was written, by `--all`. ONNX Runtime and CTranslate2 write
# worse than ours by what docs/performance.md has of them.
CANDIDATES = (
    (Work("multiple choice", "scoring", 120), (Entrant("CTranslate2", ("16 rows",),
                                                       ("ctranslate2",)),)),
    (Work("generation, 16 prompts of 16", "generation", 16, new=16), (
        Entrant("static cache", ("batch 16",)),
        Entrant("continuous batching", ("sdpa",)),
        Entrant("torch.compile", ("every layer",), warm=1.0),
        Entrant("torch.compile as one", ("the whole step",), warm=1.0),
    )),
)
