"""Peers that run the same torch model: lm-eval, transformers and trl, each on a copy of the
weights as transformers reads them, with nothing of ours in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from advisor.config import LoraWeights
from advisor.engines.protocol import Lesson
from advisor.engines.transformers import TransformersEngine
from tests.bench.timing import Peer, Run, Side

Ids = tuple[int, ...]


def as_it_came(engine: TransformersEngine, dtype: str = "") -> Any:
    from transformers import AutoModelForCausalLM

    weights = engine.weights
    kind = getattr(torch, dtype or weights.dtype)
    model = AutoModelForCausalLM.from_pretrained(weights.files.folder, dtype=kind)
    return model.to(weights.model.device).eval()


# ------------------------------------------------------------------ scoring


def lm_eval_scoring(
    engine: TransformersEngine, pairs: Sequence[tuple[str, str]], per_question: int,
    batches: Sequence[int],
) -> Peer:
    model = as_it_came(engine)

    def opened(setting: str) -> Side:
        return lambda share: partial(score, int(setting.split()[1]), part(pairs, share,
                                                                         per_question))

    def score(batch: int, asked: Sequence[tuple[str, str]]) -> Any:
        return _harness(engine, model, batch).loglikelihood(
            instances("loglikelihood", asked), disable_tqdm=True)

    return Peer("lm-eval", opened, [f"batch {size}" for size in batches], ["lm_eval"])


def part(items: Sequence[Any], share: float, together: int = 1) -> list[Any]:
    """Every n-th of `items`, of which `together` belong together."""
    every = round(1 / share)
    return [item for at, item in enumerate(items) if at // together % every == 0]


def instances(kind: str, asked: Sequence[Any]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, arguments, n) for n, arguments in enumerate(asked)]


def _harness(engine: TransformersEngine, model: Any, batch: int) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model, tokenizer=engine.weights.tokenizer, batch_size=batch)


# ------------------------------------------------------------------ generation


def generating(
    engine: TransformersEngine, prompts: Sequence[Ids], new: int, batches: Sequence[int]
) -> list[Peer]:
    model = as_it_came(engine)
    settings = [f"batch {size}" for size in batches]
    texts = [engine.weights.tokenizer.decode(prompt) for prompt in prompts]

    def plain(setting: str) -> Side:
        batch = int(setting.split()[1])
        return lambda share: partial(in_batches, model, prompts, round(new * share), batch)

    def harness(setting: str) -> Side:
        theirs = _harness(engine, model, int(setting.split()[1]))
        return lambda share: partial(_until, engine, theirs, texts, round(new * share))

    return [Peer("transformers", plain, settings),
            Peer("lm-eval", harness, settings, ["lm_eval"])]


def _until(
    engine: TransformersEngine, harness: Any, texts: Sequence[str], new: int
) -> list[Ids]:
    options = {"until": [], "max_gen_toks": new, "min_new_tokens": new, "do_sample": False}
    said = harness.generate_until(
        instances("generate_until", [(text, options) for text in texts]), disable_tqdm=True)
    return [engine.tokenize(text) for text in said]


def in_batches(
    model: Any, prompts: Sequence[Ids], new: int, batch: int, **options: Any
) -> list[Ids]:
    """Prompts sorted by length, `batch` at a time, through `generate`."""
    order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
    said: dict[int, Ids] = {}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        said |= zip(rows, generate(model, [prompts[n] for n in rows], new, **options),
                    strict=True)
    return [said[n] for n in range(len(prompts))]


@torch.inference_mode()
def generate(model: Any, prompts: Sequence[Ids], new: int, **options: Any) -> list[Ids]:
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(one)) + list(one) for one in prompts])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts])
    options = {"min_new_tokens": new, **options}
    said = model.generate(
        input_ids=ids.to(model.device), attention_mask=mask.to(model.device), do_sample=False,
        max_new_tokens=new, pad_token_id=0, **options,
    )
    return [tuple(row) for row in said[:, width:].tolist()]


# ------------------------------------------------------------------ tuning

# What changes speed and not what is learnt: SFTConfig's own names.
_QUICK = {"gradient_checkpointing": False, "bf16": True}
TRL = {
    "default": {},
    "bfloat16, no checkpointing": _QUICK,
    "the same, grouped by length": {**_QUICK, "train_sampling_strategy": "group_by_length"},
}


def trl(
    engine: TransformersEngine, lessons: Sequence[Lesson], spec: LoraWeights
) -> list[Peer]:
    def opened(setting: str) -> Side:
        return lambda share: _trainer(engine, part(lessons, share), spec, setting)

    best = [name for name in TRL if name != "default"]
    return [Peer("trl, default", opened, ["default"], ["trl"]),
            Peer("trl, best", opened, best, ["trl"])]


def _trainer(
    engine: TransformersEngine, lessons: Sequence[Lesson], spec: LoraWeights, setting: str
) -> Run:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    model = as_it_came(engine, "float32" if setting == "default" else "bfloat16")
    data = Dataset.from_list([
        {"prompt": [{"role": turn.role, "content": turn.content} for turn in lesson.prompt],
         "completion": [{"role": "assistant", "content": lesson.completion}]}
        for lesson in lessons
    ])
    folder = tempfile.mkdtemp()
    given: dict[str, Any] = {
        "output_dir": folder, "use_cpu": not torch.cuda.is_available(), "report_to": [],
        "num_train_epochs": 1, "per_device_train_batch_size": spec.batch_size,
        "learning_rate": spec.learning_rate, "logging_steps": 1, "save_strategy": "no",
        "disable_tqdm": True, "log_level": "error", **TRL[setting],
    }
    trainer = SFTTrainer(
        model=model, args=SFTConfig(**given), train_dataset=data,
        processing_class=engine.weights.tokenizer,
        peft_config=LoraConfig(r=spec.rank, lora_alpha=int(spec.alpha),
                               target_modules="all-linear", task_type="CAUSAL_LM"),
    )

    def run() -> list[float]:
        try:
            trainer.train()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]

    return run
