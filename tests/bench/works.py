"""The pieces of work, our side of each, and who else does it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from advisor.config import LoraWeights
from advisor.engines import generation, layout
from advisor.engines.protocol import Course, Lesson, Message
from advisor.engines.transformers import TransformersEngine
from advisor.engines.tuning import sample
from advisor.measures.lm_eval_model import EngineModel
from tests.bench import candidates, ceiling, libraries
from tests.bench.libraries import Ids
from tests.bench.timing import Peer, Run, Work

ROOT = Path(__file__).resolve().parents[2]
SPEC = LoraWeights(kind="lora", epochs=1.0, learning_rate=5e-4, batch_size=8, checks=1,
                   check_rows=1)


def lines(path: str) -> list[dict[str, Any]]:
    text = (ROOT / "evals" / path).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


# ------------------------------------------------------------------ scoring


def questions(count: int) -> list[list[tuple[str, str]]]:
    """(context, answer) for every choice of every question."""
    items = lines("retention/general_knowledge.jsonl")[:count]
    return [[(f"Question: {item['question']}\nAnswer:", f" {choice}") for choice in item["choices"]]
            for item in items]


def multiple_choice(
    engine: TransformersEngine, count: int, batches: Sequence[int], *, all_of: bool
) -> Work:
    """Full answers as continuations, single precision, as retention is scored."""
    return _scoring("multiple choice", engine, questions(count), "", batches, all_of=all_of)


def behind_shots(
    engine: TransformersEngine, count: int, batches: Sequence[int], *, tokens: int = 600
) -> Work:
    """The same behind solved questions of about `tokens` tokens, shared by all."""
    solved, shots = iter(questions(120)[count:]), ""
    while len(engine.tokenize(shots)) < tokens:
        context, answer = next(solved)[0]
        shots += f"{context}{answer}\n\n"
    return _scoring(f"multiple choice behind {tokens} tokens", engine, questions(count), shots,
                    batches)


def _scoring(
    name: str, engine: TransformersEngine, asked: list[list[tuple[str, str]]], shots: str,
    batches: Sequence[int], *, all_of: bool = False,
) -> Work:
    choices = len(asked[0])
    pairs = [(shots + context, answer) for question in asked for context, answer in question]
    read, predicted = _least(engine, shots, asked)
    peers = [libraries.lm_eval_scoring(engine, pairs, choices, batches)]
    ours = EngineModel(engine)
    if all_of:
        encoded = [ours._encode_pair(*pair) for pair in pairs]
        peers.append(candidates.ctranslate2_scoring(engine.weights.files, encoded, choices))

    def side(share: float) -> Run:
        chosen = libraries.part(pairs, share, choices)
        return lambda: ours.loglikelihood(libraries.instances("loglikelihood", chosen))

    size = ceiling.size(libraries.as_it_came(engine))
    return Work(name, "questions/s", len(asked), size.reading(read, predicted), "float32",
                side, peers, same_scores)


def _least(
    engine: TransformersEngine, shots: str, asked: list[list[tuple[str, str]]]
) -> tuple[int, int]:
    """Tokens that must be read, and positions whose logits are needed: the shots once, every
    question once, every answer but its last token."""
    read, predicted = len(engine.tokenize(shots)), 0
    for question in asked:
        answers = [len(engine.tokenize(answer)) for _, answer in question]
        read += len(engine.tokenize(question[0][0])) + sum(answers) - len(answers)
        predicted += sum(answers)
    return read, predicted


def same_scores(ours: Any, theirs: Any) -> str:
    largest = max(abs(a[0] - b[0]) for a, b in zip(ours, theirs, strict=True))
    if any(greedy is None for _, greedy in theirs):
        return f"log-likelihoods within {largest:.1e}, argmaxes not told"
    flips = sum(a[1] != bool(b[1]) for a, b in zip(ours, theirs, strict=True))
    return f"log-likelihoods within {largest:.1e}, {flips} of {len(ours)} argmaxes differ"


# ------------------------------------------------------------------ generation


def tickets(
    engine: TransformersEngine, count: int, instruction: str = ""
) -> list[Ids]:
    system = (Message("system", instruction),) if instruction else ()
    rows = lines("ticket-triage/train.jsonl")
    texts = [rows[n % len(rows)]["text"] for n in range(count)]
    return [engine.encode((*system, Message("user", text))) for text in texts]


def instruction_of(engine: TransformersEngine, tokens: int) -> str:
    """Solved tickets of `tokens` tokens or a few more."""
    text = ""
    for row in lines("ticket-triage/dev.jsonl"):
        text += f"{row['text']}\n{row['targets'][0]}\n\n"
        if len(engine.tokenize(text)) >= tokens:
            break
    return text


def answers(
    engine: TransformersEngine, count: int, new: int, batches: Sequence[int], *, all_of: bool
) -> Work:
    """Tickets of different length, `new` tokens each, nothing shared but the template. With
    `all_of`, by every other way that we looked at."""
    return _generating("generation", engine, tickets(engine, count), new, batches, all_of=all_of)


def behind_prefix(
    engine: TransformersEngine, count: int, new: int, batches: Sequence[int], *,
    tokens: int = 1000,
) -> Work:
    """The same behind one instruction of about `tokens` tokens."""
    prompts = tickets(engine, count, instruction_of(engine, tokens))
    return _generating(f"generation behind {tokens} tokens", engine, prompts, new, batches)


def _generating(
    name: str, engine: TransformersEngine, prompts: list[Ids], new: int,
    batches: Sequence[int], *, all_of: bool = False,
) -> Work:
    shared = layout.shared_prefix(prompts)
    size = ceiling.size(libraries.as_it_came(engine))
    read = shared + sum(len(prompt) - shared + new - 1 for prompt in prompts)
    peers: list[Peer] = [
        *libraries.generating(engine, prompts, new, batches),
        *candidates.engines(engine.weights.files, prompts, new, few=len(batches) == 1),
    ]
    if all_of:
        peers += candidates.rest(engine, prompts, new)
    return Work(name, "tokens/s", len(prompts) * new, size.reading(read, len(prompts) * new),
                engine.weights.dtype, writes(engine, prompts, new), peers, same_tokens)


def writes(engine: TransformersEngine, prompts: list[Ids], new: int) -> Callable[[float], Run]:
    return lambda share: partial(write, engine, prompts, round(new * share))


def write(engine: TransformersEngine, prompts: list[Ids], new: int) -> list[Ids]:
    """`new` tokens for every prompt, past any end; the beginning is read anew."""
    rules = generation.Rules(frozenset(), lambda _: False, generation.most_likely)
    engine.weights._kept = layout.NOTHING
    found = dict(generation.write(engine.weights.model, prompts, [new] * len(prompts), rules,
                                  beginning=engine.weights.beginning(prompts)))
    return [found[n].tokens for n in range(len(prompts))]


def same_tokens(ours: Any, theirs: Any) -> str:
    pairs = [(a, b) for one, other in zip(ours, theirs, strict=True)
             for a, b in zip(one, other, strict=False)]
    if not pairs:
        return "no tokens to compare"
    first = sum(tuple(a[:1]) == tuple(b[:1]) for a, b in zip(ours, theirs, strict=True))
    return (f"{sum(a == b for a, b in pairs) / len(pairs):.0%} of tokens equal, "
            f"{first} of {len(ours)} first ones")


def identical(engine: TransformersEngine, count: int, new: int) -> dict[str, Any]:
    """In float32 every answer must be the one that transformers writes greedily."""
    prompts = tickets(engine, count)
    theirs = libraries.in_batches(libraries.as_it_came(engine), prompts, new, 25,
                                  min_new_tokens=0)
    said = dict(engine.generate(prompts, max_tokens=new))
    ends = engine._ends()

    def text(tokens: Ids) -> str:
        end = next((at for at, token in enumerate(tokens) if token in ends), len(tokens))
        return str(engine.weights.tokenizer.decode(tokens[:end], skip_special_tokens=True))

    same = sum(said[n].text == text(theirs[n]) for n in range(count))
    return {"check": "float32 greedy answers identical to transformers'", "same": same,
            "of": count, "new_tokens": new}


# ------------------------------------------------------------------ tuning


def tuning(engine: TransformersEngine, count: int) -> Work:
    """LoRA r=16 on all linear modules, one pass over `count` rows, loss on the answer."""
    lessons = lessons_of(count)
    samples = [sample(engine, lesson.prompt, lesson.completion) for lesson in lessons]
    tokens = sum(len(sample.tokens) for sample in samples)
    graded = sum(sample.graded for sample in samples)
    size = ceiling.size(libraries.as_it_came(engine))
    return Work("LoRA tuning", "tokens/s", tokens, size.tuning(tokens, graded),
                engine.weights.dtype, tunes(engine, lessons),
                libraries.trl(engine, lessons, SPEC), same_losses)


def lessons_of(count: int) -> tuple[Lesson, ...]:
    system = Message("system", "Reply with one line of JSON and nothing else.")
    rows = lines("ticket-triage/train.jsonl")
    return tuple(Lesson((system, Message("user", row["text"])), row["targets"][0])
                 for row in (rows[n % len(rows)] for n in range(count)))


def tunes(engine: TransformersEngine, lessons: Sequence[Lesson]) -> Callable[[float], Run]:
    return lambda share: partial(tune, engine, tuple(libraries.part(lessons, share)))


def tune(engine: TransformersEngine, lessons: tuple[Lesson, ...]) -> tuple[float, ...]:
    """The loss of every update; the saving and one check of the dev loss are timed too."""
    folder = Path(tempfile.mkdtemp())
    try:
        return engine.tune(Course(lessons, lessons[:1]), SPEC, folder=folder, seed=0).train_loss
    finally:
        shutil.rmtree(folder)


def same_losses(ours: Any, theirs: Any) -> str:
    return (f"first losses {ours[0]:.2f} and {theirs[0]:.2f}, last {ours[-1]:.2f} and "
            f"{theirs[-1]:.2f}")
