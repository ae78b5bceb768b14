"""A small made-up task: each test question is answered by one document, and by no example."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from advisor.config import Recipe, Settings, TunedWeights
from advisor.contenders.composed import Tools
from advisor.core import Example, Task
from advisor.data.task import load_task
from advisor.engines.embedders import FakeEmbedder
from advisor.engines.fake import FakeEngine
from advisor.engines.protocol import Constraint, Course, Generation, Sampling, TokenIds
from advisor.runner.plan import Plan
from advisor.trial import PrepareCost
from advisor.yamlfiles import load

ROOT = Path(__file__).resolve().parents[1]
BASELINES = {path.stem: path for path in sorted((ROOT / "baselines").glob("*.yaml"))}

TASK = """\
name: tolls
title: Tolls of made-up bridges
instruction: Answer with the toll.
brief: Answer.
scorer: {kind: short_answer}
primary: contains
max_tokens: 40
context: {calls_per_month: 1000}
"""
# The fake embedder hashes each of these, and each other word of the task, apart.
BRIDGES = [
    "acorn", "apple", "barley", "birch", "bramble", "briar", "cedar", "clover", "damson",
    "dogwood", "elder", "fennel", "fir", "garlic", "gorse", "hazel", "iris", "ivy", "jasmine",
    "juniper", "kelp", "knapweed", "larch", "mallow", "maple", "mustard", "nettle", "oak",
    "orchid", "pansy", "quince", "rowan", "sedge", "sorrel", "teasel", "thyme", "umber",
    "vetch", "willow", "yarrow",
]
TRAIN, DEV, TEST = BRIDGES[:12], BRIDGES[12:16], BRIDGES[16:]


def toll(bridge: str) -> str:
    return f"{BRIDGES.index(bridge) + 101} pence"


def row(bridge: str, **more: Any) -> dict[str, Any]:
    return {"id": f"q-{bridge}", "text": f"What is the toll of the {bridge} bridge?",
            "targets": [toll(bridge)], "sources": [f"{bridge}.md"], **more}


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")


def write_task(folder: Path) -> Path:
    """The task's folder, as a user would write it."""
    (folder / "corpus").mkdir(parents=True)
    (folder / "task.yaml").write_text(TASK, encoding="utf-8")
    for name, bridges in (("train", TRAIN), ("dev", DEV), ("test", TEST)):
        write_rows(folder / f"{name}.jsonl", [row(bridge) for bridge in bridges])
    for bridge in BRIDGES:
        text = f"At the {bridge} bridge the toll is {toll(bridge)}. Cyclists ride free."
        page = f"---\ntitle: The {bridge} bridge\n---\n{text}\n"
        (folder / "corpus" / f"{bridge}.md").write_text(page, encoding="utf-8")
    return folder


def small_task(folder: Path) -> Task:
    return load_task(write_task(folder))


def suited(task: Task, decoding: str) -> Task:
    """The task with its answers as JSON, or with choices, for contenders held to those."""
    def turned(rows: tuple[Example, ...]) -> tuple[Example, ...]:
        if decoding == "json":
            return tuple(replace(one, targets=(json.dumps({"toll": one.targets[0]}),))
                         for one in rows)
        return tuple(replace(one, question=replace(
            one.question, choices=("nothing", one.targets[0]))) for one in rows)

    if decoding == "free":
        return task
    material = task.material
    material = replace(material, train=turned(material.train), dev=turned(material.dev))
    return replace(task, material=material, test=turned(task.test))


# Recipes that stay as they are while those of baselines/ are being improved.
RECIPES = {
    "floor": "prompt: {kind: none}\n",
    "zero-shot": "{}\n",
    "few-shot": "prompt: {shots: 4}\n",
    "rag": "retrieval: {kind: dense}\n",
    "lora": "weights: {kind: lora}\n",
}


def own(*names: str) -> dict[str, Recipe]:
    return {name: Recipe.model_validate(yaml.safe_load(RECIPES[name])) for name in names}


def recipe(text: str, folder: Path) -> Recipe:
    """A recipe from YAML, through the loader that users meet."""
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, Recipe)


def shipped(name: str) -> Recipe:
    return load(BASELINES[name], Recipe)


def tuned(name: str) -> bool:
    return isinstance(shipped(name).weights, TunedWeights)


@dataclass(frozen=True, slots=True)
class Listening(FakeEngine):
    """A fake engine that keeps what it was asked and taught, and stops where it is told.

    `asked` and `taught` are shared with every engine made from this one. After `patience`
    answers it raises `fault`.
    """

    asked: list[TokenIds] = field(default_factory=list)
    taught: list[Course] = field(default_factory=list)
    patience: float = float("inf")
    fault: type[BaseException] = KeyboardInterrupt

    def generate(
        self, prompts: Sequence[TokenIds], *, max_tokens: int, stop: Sequence[str] = (),
        sampling: Sampling | None = None, constraints: Sequence[Constraint] = (),
    ) -> Any:
        if sampling is not None:  # text of the base's own is no answer
            yield from FakeEngine.generate(self, prompts, max_tokens=max_tokens)
            return
        said: tuple[int, Generation]
        # Named, because a dataclass with slots is not the class that `super()` remembers.
        for said in FakeEngine.generate(
            self, prompts, max_tokens=max_tokens, stop=stop, sampling=sampling,
            constraints=constraints,
        ):
            if len(self.asked) >= self.patience:
                raise self.fault("no more")
            self.asked.append(prompts[said[0]])
            yield said

    def tune(
        self, course: Course[Any], spec: TunedWeights, *, folder: Path, seed: int,
        start: Path | None = None,
    ) -> PrepareCost:
        self.taught.append(course)
        return FakeEngine.tune(self, course, spec, folder=folder, seed=seed, start=start)


@dataclass(slots=True)
class Silent:
    """A watch that only remembers who finished, and with what note."""

    finished: dict[str, str] = field(default_factory=dict)

    def begin(self, contenders: Any, rows: int) -> None: ...

    def stage(self, contender: str, stage: str, total: int) -> None: ...

    def advance(self, amount: int = 1) -> None: ...

    def finish(self, contender: str, note: str) -> None:
        self.finished[contender] = note

    def beside(self) -> Silent:
        return self


def plan(
    task: Task, folder: Path, *, recipes: dict[str, Recipe], engine: FakeEngine | None = None
) -> Plan:
    """A plan on fakes, without retention suites."""
    return Plan(
        task=task, recipes=recipes, settings=Settings(latency_probe=2, oracle_probe=0), suites=(),
        tools=Tools(engine or FakeEngine(), FakeEmbedder()), seed=0, final=True,
        folder=folder, data={},
    )


def without_time(answer: Any) -> Any:
    """The answer with its measured seconds left out."""
    return replace(answer, usage=replace(answer.usage, seconds=0.0))


CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_model(folder: Path, *, chat: str | None = CHAT, context: int = 256) -> Path:
    """A causal language model of a few thousand random weights, its tokens bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    roles = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    vocabulary = {token: number for number, token in enumerate([*roles, *letters])}
    bytes_only = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_only, bos_token="<|end|>", eos_token="<|end|>",
        additional_special_tokens=roles[1:],
    )
    tokenizer.chat_template = chat
    torch.manual_seed(7)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=context,
        initializer_range=0.3, tie_word_embeddings=True, bos_token_id=0, eos_token_id=0,
    ))
    # Random weights seldom say "end": with many end tokens, rows leave a batch early.
    model.generation_config.eos_token_id = list(range(0, len(vocabulary), 9))
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder
