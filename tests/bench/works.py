"""The pieces of work, and every side that does them.

A side is a function without arguments that does the whole work and returns what it found,
so that outputs can be compared. All sides of a work share one set of weights.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from advisor.config import LoraWeights
from advisor.engines import generation, layout
from advisor.engines.protocol import Course, Lesson, Message
from advisor.engines.transformers import TransformersEngine
from advisor.measures.lm_eval_model import EngineModel

ROOT = Path(__file__).resolve().parents[2]
NEW_TOKENS = 64
Side = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Work:
    """`amount` is counted in `unit`; `agreement` puts two sides' outputs into words."""

    name: str
    unit: str
    amount: float
    ours: Side
    peers: Mapping[str, Side]
    agreement: Callable[[Any, Any], str]


def rows(task: str, split: str) -> list[dict[str, Any]]:
    path = ROOT / "evals" / task / f"{split}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def as_it_came(engine: TransformersEngine) -> Any:
    """The same weights as transformers reads them, with nothing of ours in the model."""
    from transformers import AutoModelForCausalLM

    weights = engine.weights
    dtype = getattr(torch, weights.dtype)
    model = AutoModelForCausalLM.from_pretrained(weights.files.folder, dtype=dtype)
    return model.to(weights.model.device).eval()


# ------------------------------------------------------------------ scoring


def questions(count: int) -> list[list[tuple[str, str]]]:
    path = ROOT / "evals" / "retention" / "general_knowledge.jsonl"
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:count]]
    return [[(f"Question: {item['question']}\nAnswer:", f" {choice}") for choice in item["choices"]]
            for item in items]


def multiple_choice(engine: TransformersEngine, count: int, batches: Sequence[int]) -> Work:
    """Full answers as continuations, single precision, as retention is scored."""
    pairs = [pair for question in questions(count) for pair in question]
    return _scoring("multiple choice", engine, pairs, count, batches)


def behind_shots(
    engine: TransformersEngine, count: int, batches: Sequence[int], *, tokens: int = 600
) -> Work:
    """The same behind solved questions of about `tokens` tokens, shared by all."""
    solved = iter(questions(120)[count:])
    shots = ""
    while len(engine.tokenize(shots)) < tokens:
        context, answer = next(solved)[0]
        shots += f"{context}{answer}\n\n"
    pairs = [(shots + context, answer) for question in questions(count)
             for context, answer in question]
    return _scoring(f"multiple choice behind {tokens} tokens", engine, pairs, count, batches)


def _scoring(
    name: str, engine: TransformersEngine, pairs: list[tuple[str, str]], count: int,
    batches: Sequence[int],
) -> Work:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = as_it_came(engine)

    def asked() -> list[Any]:
        return [Instance("loglikelihood", {}, pair, n) for n, pair in enumerate(pairs)]

    def peer(batch: int) -> Side:
        def side() -> Any:
            theirs = HFLM(pretrained=model, tokenizer=engine.weights.tokenizer, batch_size=batch)
            return theirs.loglikelihood(asked(), disable_tqdm=True)
        return side

    def agreement(ours: Any, theirs: Any) -> str:
        largest = max(abs(a[0] - b[0]) for a, b in zip(ours, theirs, strict=True))
        flips = sum(a[1] != bool(b[1]) for a, b in zip(ours, theirs, strict=True))
        return f"log-likelihoods within {largest:.1e}, {flips} of {len(ours)} argmaxes differ"

    ours = EngineModel(engine)
    return Work(name, "questions/s", count, lambda: ours.loglikelihood(asked()),
                {f"lm-eval, batch {size}": peer(size) for size in batches}, agreement)


# ------------------------------------------------------------------ generation


def answers(engine: TransformersEngine, count: int, batches: Sequence[int]) -> Work:
    """Tickets of different length, `NEW_TOKENS` tokens each, nothing shared."""
    texts = [row["text"] for row in rows("ticket-triage", "train")[:count]]
    prompts = [engine.encode((Message("user", text),)) for text in texts]
    return _generating("generation", engine, prompts, batches)


def behind_prefix(
    engine: TransformersEngine, count: int, batches: Sequence[int], *, tokens: int = 1000
) -> Work:
    """The same behind one instruction of about `tokens` tokens."""
    instruction = ""
    for row in rows("ticket-triage", "dev"):
        instruction += f"{row['text']}\n{row['targets'][0]}\n\n"
        if len(engine.tokenize(instruction)) >= tokens:
            break
    texts = [row["text"] for row in rows("ticket-triage", "train")[:count]]
    system = Message("system", instruction)
    prompts = [engine.encode((system, Message("user", text))) for text in texts]
    return _generating(f"generation behind {tokens} tokens", engine, prompts, batches)


def _generating(
    name: str, engine: TransformersEngine, prompts: list[tuple[int, ...]], batches: Sequence[int]
) -> Work:
    model = engine.weights.model
    plain = as_it_came(engine)

    def ours() -> list[tuple[int, ...]]:
        rules = generation.Rules(frozenset(), lambda _: False, generation.most_likely)
        engine.weights._kept = layout.NOTHING  # every repeat reads the beginning anew
        found = dict(generation.write(model, prompts, [NEW_TOKENS] * len(prompts), rules,
                                      beginning=engine.weights.beginning(prompts)))
        return [found[n].tokens for n in range(len(prompts))]

    def peer(batch: int) -> Side:
        def side() -> list[tuple[int, ...]]:
            order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
            said: dict[int, tuple[int, ...]] = {}
            for start in range(0, len(order), batch):
                part = order[start : start + batch]
                said |= zip(part, _generate(plain, [prompts[n] for n in part]), strict=True)
            return [said[n] for n in range(len(prompts))]
        return side

    def agreement(mine: Any, theirs: Any) -> str:
        pairs = [(a, b) for one, other in zip(mine, theirs, strict=True)
                 for a, b in zip(one, other, strict=True)]
        return f"{sum(a == b for a, b in pairs) / len(pairs):.0%} of tokens equal"

    return Work(name, "tokens/s", len(prompts) * NEW_TOKENS, ours,
                {f"transformers, batch {size}": peer(size) for size in batches}, agreement)


@torch.inference_mode()
def _generate(model: Any, prompts: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(one)) + list(one) for one in prompts])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts])
    said = model.generate(
        input_ids=ids.to(model.device), attention_mask=mask.to(model.device), do_sample=False,
        max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, pad_token_id=0,
    )
    return [tuple(row) for row in said[:, width:].tolist()]


# ------------------------------------------------------------------ tuning

SPEC = LoraWeights(kind="lora", epochs=1.0, learning_rate=5e-4, batch_size=8, checks=1,
                   check_rows=1)


def tuning(engine: TransformersEngine, count: int) -> Work:
    """LoRA r=16 on all linear modules, one pass over `count` rows, loss on the answer."""
    system = Message("system", "Reply with one line of JSON and nothing else.")
    lessons = tuple(Lesson((system, Message("user", row["text"])), row["targets"][0])
                    for row in rows("ticket-triage", "train")[:count])
    tokens = sum(len(engine._sample(lesson).tokens) for lesson in lessons)

    def ours() -> tuple[float, ...]:
        folder = Path(tempfile.mkdtemp())
        try:
            cost = engine.tune(Course(lessons, lessons[:1]), SPEC, folder=folder, seed=0)
        finally:
            shutil.rmtree(folder)
        return cost.train_loss

    peers = {"trl default": lambda: _trl(engine, lessons, {}),
             "trl, bfloat16 weights, no checkpointing": lambda: _trl(
                 engine, lessons, {"gradient_checkpointing": False, "bf16": True}, narrow=True)}
    return Work("LoRA tuning", "tokens/s", tokens, ours, peers,
                lambda mine, theirs: f"last losses {mine[-1]:.2f} and {theirs[-1]:.2f}")


def _trl(
    engine: TransformersEngine, lessons: tuple[Lesson, ...], options: dict[str, Any],
    *, narrow: bool = False,
) -> list[float]:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM
    from trl import SFTConfig, SFTTrainer

    dtype = torch.bfloat16 if narrow else torch.float32
    model = AutoModelForCausalLM.from_pretrained(engine.weights.files.folder, dtype=dtype)
    data = Dataset.from_list([
        {"prompt": [{"role": turn.role, "content": turn.content} for turn in lesson.prompt],
         "completion": [{"role": "assistant", "content": lesson.completion}]}
        for lesson in lessons
    ])
    folder = tempfile.mkdtemp()
    try:
        given: dict[str, Any] = {
            "output_dir": folder, "use_cpu": not torch.cuda.is_available(), "report_to": [],
            "num_train_epochs": 1, "per_device_train_batch_size": SPEC.batch_size,
            "learning_rate": SPEC.learning_rate, "logging_steps": 1, "save_strategy": "no",
            "disable_tqdm": True, **options,
        }
        trainer = SFTTrainer(
            model=model, args=SFTConfig(**given), train_dataset=data,
            processing_class=engine.weights.tokenizer,
            peft_config=LoraConfig(r=SPEC.rank, lora_alpha=int(SPEC.alpha),
                                   target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        trainer.train()
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    finally:
        shutil.rmtree(folder)
