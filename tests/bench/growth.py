"""How our time grows: batch, prompt length, prefix length and rows, four and sixteen times as
many. Twice the rows may take at most twice the time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from advisor.engines.transformers import TransformersEngine
from advisor.runner.contention import watched
from tests.bench import sides, works
from tests.bench.timing import doubling

STEPS = (1, 4, 16)
NEW = 16
Run = Callable[[], Any]
# What grows, the smallest size, and in a quick benchmark (0: left out).
GROWS = {
    "rows answered at once": (4, 4), "tokens of a prompt": (64, 64),
    "tokens of a shared prefix": (64, 64), "prompts answered": (16, 0),
    "questions scored": (7, 4), "rows tuned on": (8, 0),
}


class Host(sides.Host):
    """Ours alone, at any size."""

    def grown(self, what: str, smallest: int, repeats: int) -> dict[str, Any]:
        """Seconds at every size, the sizes in turn; `doubling` is what twice the size costs at
        most, from one step to the next."""
        engine = works.opened("float32" if what == "questions scored" else "auto")
        sizes = [smallest * step for step in STEPS]
        runs = [_work(what, engine, size) for size in sizes]
        runs[0]()  # warm
        taken: list[list[float]] = [[] for _ in sizes]
        with watched() as contention:
            for _ in range(repeats):
                for run, seconds in zip(runs, taken, strict=True):
                    started = time.perf_counter()
                    run()
                    seconds.append(time.perf_counter() - started)
        middle = [statistics.median(seconds) for seconds in taken]
        others = contention.others
        return {"growth": what, "sizes": sizes, "seconds": middle, "n": repeats,
                "doubling": doubling(sizes, middle), "threads": torch.get_num_threads(),
                "others_busy": None if math.isnan(others) else others}


def _work(what: str, engine: TransformersEngine, size: int) -> Run:
    if what == "questions scored":
        score = sides.scored_by(engine)
        return lambda: score(works.questions(size))
    if what == "rows tuned on":
        return partial(sides.tune, engine, works.lessons(size))
    if what in ("rows answered at once", "prompts answered"):
        return partial(sides.write, engine, works.tickets(engine, size), NEW)
    pool = works.tickets(engine, 64)
    text = [token for prompt in pool for token in prompt]

    def cut(length: int, at: int) -> works.Ids:
        """A text of its own for every row."""
        turned = text[at * 7 :] + text[: at * 7]
        return tuple((turned * (length // len(turned) + 1))[:length])

    if what == "tokens of a prompt":
        return partial(sides.write, engine, [cut(size, at) for at in range(8)], 4)
    prompts = [(*cut(size, 0), *prompt) for prompt in pool[:16]]
    return partial(sides.write, engine, prompts, NEW)
