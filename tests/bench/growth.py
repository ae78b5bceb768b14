"""How our time grows: batch, prompt length, prefix length and rows at once, four and sixteen
times as many. Twice the rows may take at most twice the time."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from advisor.engines import generation
from advisor.engines.transformers import TransformersEngine
from advisor.measures.lm_eval_model import EngineModel
from tests.bench import libraries, works
from tests.bench.timing import Run, Side, doubling, interleaved

STEPS = (1, 4, 16)


def grown(
    engine: TransformersEngine, *, single: TransformersEngine, smallest: int, repeats: int
) -> Iterator[dict[str, Any]]:
    """Seconds at every size; `doubling` is what twice the size costs at most, from one step
    to the next. `smallest` rows are where rows begin, `single` is in float32."""
    new = 16
    pool = works.tickets(engine, smallest * STEPS[-1])
    text = [token for prompt in pool for token in prompt]

    def cut(length: int, at: int) -> tuple[int, ...]:
        """A text of its own for every row."""
        turned = text[at * 7 :] + text[: at * 7]
        return tuple((turned * (length // len(turned) + 1))[:length])

    def rows_at_once(count: int) -> Run:
        return partial(works.write, engine, pool[:count], new)

    def prompts_of(length: int) -> Run:
        return partial(works.write, engine, [cut(length, at) for at in range(8)], 4)

    def behind(length: int) -> Run:
        shared = cut(length, 0)
        return partial(works.write, engine, [(*shared, *prompt) for prompt in pool[:16]], new)

    def scored(count: int) -> Run:
        pairs = [pair for question in works.questions(count) for pair in question]
        asked = libraries.instances("loglikelihood", pairs)
        return partial(EngineModel(single).loglikelihood, asked)

    def tuned(count: int) -> Run:
        return partial(works.tune, engine, works.lessons_of(count))

    most = generation.ROWS // STEPS[-1]
    yield _measured("rows answered at once", most, rows_at_once, repeats)
    yield _measured("tokens of a prompt", 64, prompts_of, repeats)
    yield _measured("tokens of a shared prefix", 64, behind, repeats)
    yield _measured("prompts answered", smallest, rows_at_once, repeats)
    yield _measured("questions scored", min(7, smallest), scored, repeats)
    yield _measured("rows tuned on", 8, tuned, 1)


def _measured(
    what: str, smallest: int, make: Callable[[int], Run], repeats: int
) -> dict[str, Any]:
    sizes = [smallest * step for step in STEPS]
    make(sizes[0])()  # warm
    sides: dict[str, Side] = {str(size): _whole(make, size) for size in sizes}
    times = interleaved(sides, repeats)
    seconds = [statistics.median(times[str(size)].seconds) for size in sizes]
    return {"growth": what, "sizes": sizes, "seconds": seconds, "n": repeats,
            "doubling": doubling(sizes, seconds)}


def _whole(make: Callable[[int], Run], size: int) -> Side:
    return lambda _: make(size)
