"""Peers that run the same torch model: lm-eval, transformers and trl, each on the weights as
transformers reads them, with nothing of ours in it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from advisor.config import LoraWeights
from advisor.engines.protocol import Lesson
from advisor.engines.transformers import TransformersEngine, native_dtype
from tests.bench.works import Ids, Work

Question = Sequence[tuple[str, str]]
Prepare = Callable[[list[Any]], Callable[[], list[Any]]]


def as_it_came(reader: TransformersEngine, dtype: str = "") -> Any:
    from transformers import AutoModelForCausalLM

    files = reader.weights.files
    kind = getattr(torch, dtype or reader.weights.dtype)
    model = AutoModelForCausalLM.from_pretrained(files.folder, dtype=kind)
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


# ------------------------------------------------------------------ scoring


def lm_eval_scoring(_work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    harness = _harness(reader, setting)
    score = partial(harness.loglikelihood, disable_tqdm=True)
    return lambda asked: partial(by_question, score, asked)


def by_question(score: Callable[[Any], Any], asked: Sequence[Question]) -> list[list[Any]]:
    """What `score` says of lm-eval's instances, a list for each question."""
    found = iter(score(instances("loglikelihood", [pair for one in asked for pair in one])))
    return [[next(found) for _ in question] for question in asked]


def instances(kind: str, asked: Sequence[Any]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, arguments, n) for n, arguments in enumerate(asked)]


def _harness(reader: TransformersEngine, setting: str) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=as_it_came(reader), tokenizer=reader.weights.tokenizer,
                batch_size=_number(setting))


def _number(setting: str) -> int:
    return int(setting.split()[-1])


# ------------------------------------------------------------------ generation


def plain(work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    model = as_it_came(reader)
    return lambda prompts: partial(in_batches, model, prompts, work.new, _number(setting))


def lm_eval_generation(work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    harness = _harness(reader, setting)
    options = {"until": [], "max_gen_toks": work.new, "min_new_tokens": work.new,
               "do_sample": False}

    def run(texts: list[str]) -> list[Ids]:
        asked = instances("generate_until", [(text, options) for text in texts])
        said = harness.generate_until(asked, disable_tqdm=True)
        return [reader.tokenize(text) for text in said]

    return lambda prompts: partial(run, [reader.weights.tokenizer.decode(p) for p in prompts])


def in_batches(
    model: Any, prompts: Sequence[Ids], new: int, batch: int, **options: Any
) -> list[Ids]:
    """Prompts sorted by length, `batch` at a time, through `generate`."""
    return sorted_batches(prompts, batch, lambda rows: generate(model, rows, new, **options))


def sorted_batches(
    prompts: Sequence[Ids], batch: int, write: Callable[[list[Ids]], list[Ids]]
) -> list[Ids]:
    order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
    said: dict[int, Ids] = {}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        said |= zip(rows, write([prompts[n] for n in rows]), strict=True)
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
    _work: Work, reader: TransformersEngine, setting: str, *, spec: LoraWeights
) -> Prepare:
    return lambda lessons: _trainer(reader, lessons, spec, setting)


def _trainer(
    reader: TransformersEngine, lessons: Sequence[Lesson], spec: LoraWeights, setting: str
) -> Callable[[], list[float]]:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    model = as_it_came(reader, "float32" if setting == "default" else native_dtype())
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
        processing_class=reader.weights.tokenizer,
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
