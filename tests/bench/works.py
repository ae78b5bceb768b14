"""The pieces of work: what is to be done, how much it is, and how outputs are compared.

A Work is plain data; every side builds the items of it in its own process.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any, Literal

from advisor.engines import layout
from advisor.engines.models import resolve
from advisor.engines.protocol import Lesson, Message
from advisor.engines.transformers import TransformersEngine, engine
from advisor.engines.tuning import sample
from tests.bench import ceiling

ROOT = Path(__file__).resolve().parents[2]
MODEL = "smollm2-135m-instruct"
Ids = tuple[int, ...]
Kind = Literal["scoring", "generation", "tuning"]
UNITS: dict[Kind, str] = {"scoring": "questions/s", "generation": "tokens/s",
                          "tuning": "tokens/s"}


@dataclass(frozen=True, slots=True)
class Work:
    """`count` questions, prompts or rows; about `shared` tokens stand before each of them,
    `new` tokens are written behind each prompt. An item is a question (its context and
    answers), a prompt, or a Lesson."""

    name: str
    kind: Kind
    count: int
    shared: int = 0
    new: int = 0

    @property
    def dtype(self) -> str:
        """Retention is scored in single precision; the rest as the processor likes it."""
        return "float32" if self.kind == "scoring" else "auto"


# The same for `make bench` and its quick form, which differ in what peers do of it.
WORKS = (
    Work("multiple choice", "scoring", 120),
    Work("multiple choice behind 600 tokens", "scoring", 64, shared=600),
    Work("generation", "generation", 64, new=64),
    Work("generation behind 1000 tokens", "generation", 64, shared=1000, new=64),
    Work("LoRA tuning", "tuning", 32),
)


def opened(dtype: str = "auto") -> TransformersEngine:
    """Our engine; its weights are not read before it computes, so peers may use its tokenizer
    and template."""
    return engine(resolve(MODEL), dtype=dtype)


def items(work: Work, reader: TransformersEngine) -> list[Any]:
    if work.kind == "scoring":
        return questions(work.count, _shots(work, reader))
    if work.kind == "generation":
        return list(tickets(reader, work.count, _solved(work, reader)))
    return lessons(work.count)


def part(whole: Sequence[Any], share: float) -> list[Any]:
    """Every n-th."""
    return list(whole[:: round(1 / share)])


def size(work: Work, reader: TransformersEngine, chosen: Sequence[Any]) -> tuple[float, float]:
    """(amount in the work's unit, least floating-point operations) of some items."""
    weights = ceiling.size(reader.weights.files.folder)
    if work.kind == "tuning":
        samples = [sample(reader, lesson.prompt, lesson.completion) for lesson in chosen]
        tokens = sum(len(sample.tokens) for sample in samples)
        return tokens, weights.tuning(tokens, sum(sample.graded for sample in samples))
    if work.kind == "generation":
        shared = layout.shared_prefix(chosen)
        read = shared + sum(len(prompt) - shared + work.new - 1 for prompt in chosen)
        tokens = len(chosen) * work.new
        return tokens, weights.reading(read, tokens)
    # What texts begin with in common once; the last token of an answer is never read.
    pairs = [(reader.tokenize(context), reader.tokenize(answer))
             for asked in chosen for context, answer in asked]
    read = distinct([(context + answer)[:-1] for context, answer in pairs])
    predicted = {context + answer[:n] for context, answer in pairs for n in range(len(answer))}
    return len(chosen), weights.reading(read, len(predicted))


def distinct(texts: Sequence[Ids]) -> int:
    """How many tokens are left where those that begin alike share what they begin with."""
    ordered = sorted(texts)
    shared = (takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
              for one, other in pairwise(ordered))
    return sum(map(len, ordered)) - sum(len(list(same)) for same in shared)


def agreement(work: Work, ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    """Two outputs for the same items, in words."""
    if work.kind == "tuning":
        return (f"first losses {ours[0]:.2f} and {theirs[0]:.2f}, last {ours[-1]:.2f} and "
                f"{theirs[-1]:.2f}")
    pairs = [(a, b) for one, other in zip(ours, theirs, strict=True)
             for a, b in zip(one, other, strict=False)]
    if work.kind == "scoring":
        largest = max(abs(a[0] - b[0]) for a, b in pairs)
        if any(greedy is None for _, (_, greedy) in pairs):
            return f"log-likelihoods within {largest:.1e}, argmaxes not told"
        flips = sum(a[1] != bool(b[1]) for a, b in pairs)
        return f"log-likelihoods within {largest:.1e}, {flips} of {len(pairs)} argmaxes differ"
    if not pairs:
        return "no tokens to compare"
    first = sum(tuple(a[:1]) == tuple(b[:1]) for a, b in zip(ours, theirs, strict=True))
    return (f"{sum(a == b for a, b in pairs) / len(pairs):.0%} of tokens equal, "
            f"{first} of {len(ours)} first ones")


# ------------------------------------------------------------------ items


def lines(path: str) -> list[dict[str, Any]]:
    text = (ROOT / "evals" / path).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def questions(count: int, shots: str = "") -> list[list[tuple[str, str]]]:
    """(context, answer) for every choice of every question; answers are texts."""
    rows = lines("retention/general_knowledge.jsonl")[:count]
    return [[(f"{shots}Question: {row['question']}\nAnswer:", f" {choice}")
             for choice in row["choices"]] for row in rows]


def _shots(work: Work, reader: TransformersEngine) -> str:
    """Solved questions that are not asked."""
    text, solved = "", iter(questions(120)[work.count :])
    while len(reader.tokenize(text)) < work.shared:
        context, answer = next(solved)[0]
        text += f"{context}{answer}\n\n"
    return text


def tickets(reader: TransformersEngine, count: int, instruction: str = "") -> list[Ids]:
    system = (Message("system", instruction),) if instruction else ()
    rows = lines("ticket-triage/train.jsonl")
    texts = [rows[n % len(rows)]["text"] for n in range(count)]
    return [reader.encode((*system, Message("user", text))) for text in texts]


def _solved(work: Work, reader: TransformersEngine) -> str:
    text = ""
    for row in lines("ticket-triage/dev.jsonl"):
        if len(reader.tokenize(text)) >= work.shared:
            break
        text += f"{row['text']}\n{row['targets'][0]}\n\n"
    return text


def lessons(count: int) -> list[Lesson]:
    system = Message("system", "Reply with one line of JSON and nothing else.")
    rows = lines("ticket-triage/train.jsonl")
    return [Lesson((system, Message("user", row["text"])), row["targets"][0])
            for row in (rows[n % len(rows)] for n in range(count))]
