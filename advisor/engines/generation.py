"""Writing answers in batches whose finished rows give their places to waiting prompts.

Prompts are taken longest first, the beginning they share is computed once, prompts are
read in smaller parts than answers are written in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from advisor.engines import layout
from advisor.engines.attention import Beginning
from advisor.engines.protocol import Arriving, Sampling, TokenIds

# A CPU gains little from more rows at once, and reads about 1k tokens of prompts at a time
# fastest (measured): there is less padding, and activations stay near the processor.
ROWS = 64
CPU_TOKENS, GPU_TOKENS = 1024, 4096
LONG = 4096  # tokens of two rows that are read together, at most
CACHED_BYTES = 768 * 2**20  # keys and values on a CPU; on a GPU half of what is free
FREE = 0.25  # share of finished rows at which the batch is packed anew

Ended = Callable[[Sequence[int]], bool]
# The prompt and all the tokens of its answer so far, each time one is added that ends nothing.
Told = Callable[[int, Sequence[int]], None]
# Prompts by index, what each has said so far, and their logits: the logits to choose from.
Steer = Callable[[Sequence[int], Sequence[Sequence[int]], torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The new tokens of one row, without the end token, and its share of the time."""

    tokens: TokenIds
    seconds: float


@dataclass(slots=True)
class Row:
    """A prompt being answered: `index` among the prompts, `held` tokens in the cache."""

    index: int
    limit: int
    held: int
    said: list[int] = field(default_factory=list)
    seconds: float = 0.0
    done: bool = False
    told: bool = False


# Logits [rows, vocabulary] and the rows they belong to, to one token a row.
Choose = Callable[[torch.Tensor, Sequence[Row]], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Rules:
    """What ends a row: a token of `ends`, which is dropped, or once `ended` says so of all
    its tokens so far, which are kept. `choose` picks the tokens, from what `steer` makes of
    the logits, which it sees once for every token of a row."""

    ends: frozenset[int]
    ended: Ended
    choose: Choose
    steer: Steer | None = None
    told: Told | None = None


@dataclass(slots=True)
class _Batch:
    """Rows in the order of the cache, and the token that each is to read next."""

    rows: list[Row]
    cache: Any
    last: torch.Tensor

    @property
    def alive(self) -> list[Row]:
        return [row for row in self.rows if not row.done]


def most_likely(logits: torch.Tensor, _: Sequence[Row]) -> torch.Tensor:
    return logits.argmax(dim=-1)


def drawn(sampling: Sampling) -> Choose:
    """Tokens drawn at a temperature from the smallest set that holds `top_p`.

    What a row draws follows from the seed, its index and its length so far, and not from its
    company.
    """

    def choose(logits: torch.Tensor, rows: Sequence[Row]) -> torch.Tensor:
        chances = (logits / sampling.temperature).softmax(dim=-1)
        order = None
        if sampling.top_p < 1:  # sorting takes longer than the rest of a step
            chances, order = chances.sort(descending=True)
            chances = chances * ((chances.cumsum(dim=-1) - chances) < sampling.top_p)
        upto = chances.cumsum(dim=-1)
        aim = torch.tensor([[_uniform(sampling.seed, row)] for row in rows], device=logits.device)
        at = torch.searchsorted(upto, aim * upto[:, -1:], right=True)
        at = at.clamp(max=upto.shape[1] - 1)
        return (at if order is None else order.gather(1, at))[:, 0]

    return choose


def _uniform(seed: int, row: Row) -> float:
    mixed = (seed * 1_000_003 + row.index) * 65_537 + len(row.said)
    return float(torch.rand((), generator=torch.Generator().manual_seed(mixed % 2**63)))


@torch.inference_mode()
def write(
    model: Any, prompts: Sequence[TokenIds], limits: Sequence[int], rules: Rules,
    *, beginning: Beginning = layout.NOTHING,
) -> Iterator[tuple[int, Decoded]]:
    """Yield (index, Decoded) for every prompt as it is done. All begin with `beginning`.

    Prompts that arrive meanwhile join the others, under the last of `limits`. Raises ValueError
    unless there is otherwise one limit for each prompt.
    """
    if len(limits) != len(prompts) and not isinstance(prompts, Arriving):
        raise ValueError(f"{len(limits)} limits for {len(prompts)} prompts")
    waiting: list[int] = []
    seen = most = 0
    batch = _Batch([], DynamicCache(), torch.empty(0, dtype=torch.long, device=model.device))
    while True:
        if isinstance(prompts, Arriving):
            prompts.take(beginning.tokens, ROWS - len(batch.alive))
        if len(prompts) > seen:
            # Longest first: of those known, nobody is wider than the batch that is joined.
            waiting = sorted((*waiting, *range(seen, len(prompts))),
                             key=lambda i: (len(prompts[i]), i))
            seen, most = len(prompts), _places(model, prompts, limits, len(beginning))
        if not (waiting or batch.rows):
            return
        free = most - len(batch.alive)
        if waiting and free >= FREE * most:
            new = [waiting.pop() for _ in range(min(free, len(waiting)))]
            rows = [Row(i, limits[min(i, len(limits) - 1)], len(prompts[i]) - len(beginning))
                    for i in new]
            batch = _admit(model, batch, rows, prompts, rules, beginning)
        elif len(batch.alive) <= (1 - FREE) * len(batch.rows):
            batch = _packed(model, batch)
        else:
            _step(model, batch, rules, beginning)
        for row in batch.rows:
            if row.done and not row.told:
                row.told = True
                yield row.index, Decoded(tuple(row.said), row.seconds)
        if not batch.alive:
            batch.rows.clear()


def sampled(
    model: Any, starts: Sequence[TokenIds], *, tokens: int, seed: int
) -> list[TokenIds]:
    """Continue each start by `tokens` tokens, drawn at temperature 1; nothing ends a text."""
    rules = Rules(frozenset(), lambda _: False, drawn(Sampling(seed=seed)))
    said = dict(write(model, starts, [tokens] * len(starts), rules))
    return [(*start, *said[i].tokens) for i, start in enumerate(starts)]


def _places(
    model: Any, prompts: Sequence[TokenIds], limits: Sequence[int], shared: int
) -> int:
    """How many rows of the longest kind fit into memory at once."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    token = 2 * config.num_hidden_layers * heads * dim * model.dtype.itemsize
    room = CACHED_BYTES
    if model.device.type == "cuda":
        room = max(room, torch.cuda.mem_get_info()[0] // 2)
    columns = max(map(len, prompts), default=0) - shared + max(limits, default=0)
    return max(1, min(ROWS, room // int(token * max(1, columns))))


def _admit(
    model: Any, batch: _Batch, rows: list[Row], prompts: Sequence[TokenIds], rules: Rules,
    beginning: Beginning,
) -> _Batch:
    """Read the prompts of `rows`, choose their first tokens, and put them beside the rows
    that are still being answered."""
    started = time.perf_counter()
    kept = [slot for slot, row in enumerate(batch.rows) if not row.done]
    parts: list[tuple[Any, Sequence[int]]] = [(batch.cache, kept)] if kept else []
    chosen = [batch.last[kept]]
    for part in _parts(rows, GPU_TOKENS if model.device.type == "cuda" else CPU_TOKENS):
        cache = DynamicCache()
        padded = layout.pad([prompts[row.index] for row in part], len(beginning),
                            device=model.device)
        states = layout.run(model, padded, beginning, cache)
        # The head's product of a slice [rows, 1, width] would copy its weights once a row.
        chosen.append(_chosen(layout.logits(model, states[:, -1]), part, rules))
        parts.append((cache, range(len(part))))
    together = [batch.rows[slot] for slot in kept] + rows
    grown = _joined(model, parts, together, torch.cat(chosen))
    _share(started, rows)
    _note(rows, torch.cat(chosen[1:]), rules)
    return grown


def _parts(rows: Sequence[Row], tokens: int) -> Iterator[Sequence[Row]]:
    """The rows, of which the first is the longest and so on, in parts of so many tokens."""
    start = 0
    while start < len(rows):
        longest = max(1, rows[start].held)
        # One row alone has too few heads to keep two threads at work.
        some = max(1, tokens // longest, min(2, LONG // longest))
        yield rows[start : start + some]
        start += some


def _packed(model: Any, batch: _Batch) -> _Batch:
    kept = [slot for slot, row in enumerate(batch.rows) if not row.done]
    return _joined(model, [(batch.cache, kept)], batch.alive, batch.last[kept])


def _joined(
    model: Any, parts: list[tuple[Any, Sequence[int]]], rows: list[Row], last: torch.Tensor
) -> _Batch:
    width = max(row.held for row in rows)
    room = max(row.limit - len(row.said) for row in rows)
    cache = layout.join(parts, width=width, room=room, whole=layout.shares(model))
    return _Batch(rows, cache, last)


def _step(model: Any, batch: _Batch, rules: Rules, beginning: Beginning) -> None:
    started = time.perf_counter()
    alive = batch.alive
    width = batch.cache.get_seq_length() + 1
    held = torch.tensor([[row.held] for row in batch.rows], device=model.device)
    whole = layout.shares(model)  # then the cache shows its empty room
    columns = torch.arange(batch.cache.layers[0].keys.shape[2] if whole else width)
    columns = columns.to(model.device)
    mask = (columns >= width - 1 - held) & (columns < width)
    if whole:
        mask = mask[:, None, None]
    padded = layout.Batch(batch.last[:, None], held + len(beginning), mask)
    states = layout.run(model, padded, beginning, batch.cache)
    batch.last = _chosen(layout.logits(model, states[:, -1]), batch.rows, rules)
    for row in batch.rows:
        row.held += 1
    _note(batch.rows, batch.last, rules)
    _share(started, alive)


def _chosen(logits: torch.Tensor, rows: Sequence[Row], rules: Rules) -> torch.Tensor:
    if rules.steer is not None:
        going = [slot for slot, row in enumerate(rows) if not row.done]
        said = [rows[slot].said for slot in going]
        logits[going] = rules.steer([rows[slot].index for slot in going], said, logits[going])
    return rules.choose(logits, rows)


def _note(rows: Sequence[Row], chosen: torch.Tensor, rules: Rules) -> None:
    for row, token in zip(rows, chosen.tolist(), strict=True):
        if row.done:
            continue
        if token in rules.ends:
            row.done = True
            continue
        row.said.append(token)
        row.done = len(row.said) >= row.limit or rules.ended(row.said)
        if rules.told is not None and not row.done:
            rules.told(row.index, row.said)


def _share(started: float, rows: Sequence[Row]) -> None:
    spent = time.perf_counter() - started
    for row in rows:
        row.seconds += spent / len(rows)
