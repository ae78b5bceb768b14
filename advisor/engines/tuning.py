"""Tuning the weights of a transformers model: an adapter through peft, or all of them."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from advisor.config import FullWeights, LoraWeights, TunedWeights
from advisor.engines import goals, memory, packing, training
from advisor.engines.checkpoint import Checkpoint
from advisor.engines.goals import NEXT_TOKEN, Compared, Goal, Preference, Sample
from advisor.engines.models import folder_digest
from advisor.engines.protocol import Course, Lesson, Message, Pair, Text, TokenIds
from advisor.engines.weights import Weights, read, require, share_beginnings
from advisor.errors import AdvisorError
from advisor.trial import PrepareCost

if TYPE_CHECKING:
    from advisor.engines.transformers import TransformersEngine

log = logging.getLogger(__name__)

# float32 weight, gradient, two moments of AdamW and the best weights so far.
BYTES_A_WEIGHT = 20
REHEARSED = 80  # tokens of a rehearsed text with its opening, at most
# What the C library keeps of freed blocks (engines/memory.py lets it) by the end of a tuning;
# fitted to the five tunings of the demo (docs/performance.md), and tried on no other.
SCATTERED = 768 * 2**20


def tune(
    engine: TransformersEngine,
    course: Course[Any],
    spec: TunedWeights,
    *,
    folder: Path,
    seed: int,
    start: Path | None = None,
) -> PrepareCost:
    """What `Engine.tune` promises.

    Raises AdvisorError before it starts when the memory it needs is not there.
    """
    started = time.perf_counter()
    memory.reset_peak()
    train, dev, goal = _items(engine, course, spec)
    if not train or not dev:
        raise AdvisorError("tuning needs something to learn and something to check it with",
                           fix="add rows to train and dev, or documents to the corpus")
    kept, earlier = engine.rehearsal(seed) if spec.rehearsal else (None, 0.0)
    identity = repr([engine.digest, spec, seed, train, dev, torch.__version__,
                     folder_digest(start) if start else ""])
    checkpoint = Checkpoint(folder.with_suffix(".checkpoint"),
                            hashlib.sha256(identity.encode()).hexdigest())
    compute = getattr(torch, engine.weights.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of peft about its own future
        torch.manual_seed(seed)  # peft draws the adapter's initial weights globally
        opened = _whole if isinstance(spec, FullWeights) else _adapted
        with opened(engine.weights, spec, start) as (tuned, bare):
            expected = memory.resident_mib() + _needed(bare, spec, goal, train) / 2**20
            _refuse_too_large(expected - memory.resident_mib(), spec)
            progress = training.fit(bare, train, dev, spec=spec, seed=seed, goal=goal,
                                    compute=compute, rehearsal=kept, checkpoint=checkpoint)
            _save(tuned, folder, base=engine.name, dtype=compute)
    earlier += progress.earlier_seconds
    peak = memory.peak_mib()
    log.info("tuning held %.0f MiB at most; %.0f MiB were expected", peak, expected)
    return PrepareCost(
        seconds=time.perf_counter() - started + earlier,
        earlier_seconds=earlier,
        tokens_trained=progress.tokens,
        artefact_bytes=sum(path.stat().st_size for path in folder.iterdir()),
        dev_loss=progress.dev_loss,
        train_loss=progress.train_loss,
        expected_memory_mib=expected,
        peak_memory_mib=0.0 if peak != peak else peak,
    )


@contextmanager
def _adapted(
    weights: Weights, spec: TunedWeights, start: Path | None
) -> Iterator[tuple[Any, Any]]:
    """An adapter on the base, new or as it stands in `start`: what is saved, and what is run.
    The base is afterwards what it was."""
    require("peft", "tuning", "weights.kind: lora")
    from peft import PeftModel, get_peft_model

    assert isinstance(spec, LoraWeights)
    model = _base(weights)
    with _unpacked(weights), packing.unpacked(model):
        if start is None:
            tuned = get_peft_model(model, _lora_config(spec, model))
        else:
            tuned = PeftModel.from_pretrained(model, str(start), is_trainable=True)
        try:
            yield tuned, tuned.base_model.model
        finally:
            tuned.unload()
            model.requires_grad_(False).eval()
            # What peft leaves on the model would make a second tuning warn and stack.
            vars(model).pop("peft_config", None)


@contextmanager
def _whole(
    weights: Weights, spec: TunedWeights, start: Path | None
) -> Iterator[tuple[Any, Any]]:
    """A copy of the model in float32, the upper `top_layers` of it trainable."""
    model = read(Weights(weights.files, "float32", "none", start))
    share_beginnings(model)
    count = int(model.config.num_hidden_layers)
    lowest = count - max(1, round(count * spec.top_layers))
    if not lowest:
        model.requires_grad_(True)
    else:
        decoder = model.get_decoder()
        for layer in [*decoder.layers[lowest:], decoder.norm]:
            layer.requires_grad_(True)
    yield model, model


def _unpacked(weights: Weights) -> AbstractContextManager[None]:
    """The base that 4-bit weights came from, as small as it can be: it only names the words of
    rehearsed texts meanwhile."""
    whole = weights.whole
    return packing.unpacked(whole.model) if whole is not None and whole.held else nullcontext()


def _base(weights: Weights) -> Any:
    """The model through which gradients flow: 4-bit weights in a copy of their own.

    On a CPU bitsandbytes repacks 4-bit weights for inference when they first answer, and
    repacked ones pass no gradient on, without a word.
    """
    if weights.scheme == "none":
        return weights.model
    model = read(Weights(weights.files, weights.dtype, weights.scheme))
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    share_beginnings(model)
    return model


def _needed(model: Any, spec: TunedWeights, goal: Goal, train: Sequence[Any]) -> float:
    """Bytes that tuning will hold beside the model as it stands: what the optimiser keeps,
    and what one update keeps for its backward pass."""
    config = model.config.get_text_config()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    copies = 2 * trainable if isinstance(spec, FullWeights) else 0  # in the narrower precision
    # The weights themselves are there already.
    state = (BYTES_A_WEIGHT - 4) * trainable + copies
    at_once = min(spec.batch_size, spec.rows_at_once or spec.batch_size)
    rows = goal.rows(sorted(train, key=lambda item: len(item.tokens))[-at_once:])
    tokens = len(rows) * max(len(row.tokens) for row in rows)
    if spec.rehearsal:
        tokens += max(1, spec.batch_size // 4) * REHEARSED
    hidden, inner = config.hidden_size, getattr(config, "intermediate_size", 0)
    layers = max(1, round(config.num_hidden_layers * spec.top_layers))
    # Two residuals in float32; norms, projections and the inner layer in 16 bits.
    passing = tokens * layers * (20 * hidden + 8 * (inner or 4 * hidden))
    if isinstance(spec, LoraWeights) and spec.quantise == "none":  # merged once an update
        state += 2 * layers * (4 * hidden * hidden + 3 * hidden * (inner or 4 * hidden))
    graded = sum(row.graded for row in rows)
    checked = min(goals.GRADED, training.CHECK_BATCH * max(row.graded for row in rows))
    checked *= config.vocab_size * 8
    drawn = 2 * REHEARSED if spec.rehearsal else 0  # what the base says of a text, and the model
    if isinstance(spec, FullWeights):
        graded += max(1, spec.batch_size // 4) * drawn
    else:  # some tokens at a time, as the head is not tuned
        graded = max(min(graded, goals.GRADED), drawn)
    spoken = graded * config.vocab_size * 12  # logits, their softmax and its gradient
    # A check keeps nothing for a way back, so the larger of the two counts.
    return float(state + passing + max(spoken, checked) + SCATTERED)


def _refuse_too_large(needed_mib: float, spec: TunedWeights) -> None:
    free = memory.free_mib()
    if needed_mib <= free:
        return
    fewer = min(spec.batch_size, spec.rows_at_once or spec.batch_size) // 2
    kind = "kind: lora" if isinstance(spec, FullWeights) else "quantise: nf4"
    smaller = f"set weights.rows_at_once: {fewer}, or weights.{kind}" if fewer else \
        f"set weights.{kind}, or lower weights.top_layers"
    raise AdvisorError(
        f"tuning needs about {needed_mib / 1024:.1f} GiB more memory, {free / 1024:.1f} GiB are "
        "free", fix=smaller,
    )


# --------------------------------------------------------------- what is learnt


def _items(
    engine: TransformersEngine, course: Course[Any], spec: TunedWeights
) -> tuple[Sequence[Any], Sequence[Any], Goal]:
    first = course.train[0] if course.train else None
    if isinstance(first, Text):
        texts, held = ([item.text for item in part if isinstance(item, Text)]
                       for part in (course.train, course.dev))
        length = min(spec.pretrain.block_tokens if spec.pretrain else 256, engine.context_length)
        return (list(_blocks(engine, texts, length)), list(_blocks(engine, held, length)),
                NEXT_TOKEN)
    if isinstance(first, Pair):
        assert spec.prefer is not None, "pairs are learnt as `prefer` says"
        pairs, held_pairs = ([_compared(engine, item) for item in part if isinstance(item, Pair)]
                             for part in (course.train, course.dev))
        return pairs, held_pairs, Preference(spec.prefer)
    lessons, held_lessons = (
        [sample(engine, item.prompt, item.completion) for item in part
         if isinstance(item, Lesson)] for part in (course.train, course.dev))
    return lessons, held_lessons, NEXT_TOKEN


def _blocks(
    engine: TransformersEngine, texts: Sequence[str], length: int
) -> Iterator[Sample]:
    """All texts one after the other, each with an end, cut into blocks; a last one of a few
    tokens is left out."""
    end = engine.weights.tokenizer.eos_token_id
    tokens = list(chain.from_iterable((*engine.tokenize(text), end) for text in texts))
    for at in range(0, len(tokens), length):
        block: TokenIds = tuple(tokens[at : at + length])
        if len(block) >= min(length, 16):
            yield Sample(block, len(block) - 1)


def _compared(engine: TransformersEngine, pair: Pair) -> Compared:
    return Compared(sample(engine, pair.prompt, pair.chosen),
                    sample(engine, pair.prompt, pair.rejected))


def sample(
    engine: TransformersEngine, prompt: tuple[Message, ...], completion: str
) -> Sample:
    """A lesson in tokens; raises AdvisorError when the model cannot read that many."""
    said = (*engine.tokenize(completion), engine.weights.tokenizer.eos_token_id)
    tokens = (*engine.encode(prompt), *said)
    if len(tokens) > engine.context_length:
        raise AdvisorError(
            f"a training prompt has {len(tokens)} tokens, the model reads "
            f"{engine.context_length}",
            fix="lower retrieval.top_k or retrieval.chunk_words in the recipe",
        )
    return Sample(tokens, len(said))


# ------------------------------------------------------------ what is written down


def _lora_config(spec: LoraWeights, model: Any) -> Any:
    from peft import LoraConfig

    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    if spec.targets == "all-linear":
        head = model.get_output_embeddings()
        targets = sorted({
            name.rpartition(".")[2]
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        })
    count = int(model.config.num_hidden_layers)
    lowest = count - max(1, round(count * spec.top_layers))
    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,  # type: ignore[arg-type]  # peft divides it; a float is fine
        lora_dropout=spec.dropout,
        use_rslora=spec.variant == "rslora",
        use_dora=spec.variant == "dora",
        target_modules=targets,
        layers_to_transform=list(range(lowest, count)) if lowest else None,
        task_type="CAUSAL_LM",
    )


def _save(model: Any, folder: Path, *, base: str, dtype: torch.dtype) -> None:
    """An adapter as peft and vLLM read it, or a whole model in the precision that answers."""
    from safetensors import SafetensorError

    whole = not hasattr(model, "peft_config")
    if whole:
        model = model.to(dtype)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        model.save_pretrained(str(folder), safe_serialization=True)
    except SafetensorError as error:
        if "os error 28" in str(error):  # what safetensors makes of a full disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise
    if whole:
        return
    (folder / "README.md").unlink(missing_ok=True)  # peft's template card says nothing true
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])  # peft's set has any order
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
