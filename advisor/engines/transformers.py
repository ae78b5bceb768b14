"""A causal language model through transformers, peft and bitsandbytes."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import logging
import math
import os
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jinja2.exceptions import TemplateError

from advisor import stops
from advisor.config import LoraWeights
from advisor.core import PrepareCost
from advisor.engines import (
    attention,
    constraining,
    generation,
    layout,
    memory,
    packing,
    rehearsal,
    scoring,
    training,
)
from advisor.engines.checkpoint import Checkpoint
from advisor.engines.models import ModelFiles, file_digest
from advisor.engines.protocol import (
    Constraint,
    Course,
    Generation,
    Lesson,
    Message,
    Sampling,
    TokenIds,
)
from advisor.errors import AdvisorError

log = logging.getLogger(__name__)

Scheme = Literal["none", "nf4"]
# Raised when the same inputs would now give other answers; part of every answer's key.
ENGINE_VERSION = 4


@dataclass(slots=True)
class _Weights:
    """One copy of some weights, read from disk when first used.

    `whole` is the base as it came, which quantised and tuned weights were made from; None
    for the base itself.
    """

    files: ModelFiles
    dtype: str
    scheme: Scheme
    adapter: Path | None = None
    whole: _Weights | None = None
    _model: Any = None
    _tokenizer: Any = None
    _rehearsals: dict[int, rehearsal.Rehearsal] = field(default_factory=dict)
    _kept: attention.Beginning = layout.NOTHING
    _grammars: constraining.Grammars | None = None

    @property
    def model(self) -> Any:
        if self._model is None:
            memory.keep_freed_memory()
            self._model = _read(self)
            packing.pack(self._model)
            _share_beginnings(self._model)
        return self._model

    @property
    def tokenizer(self) -> Any:
        if self._tokenizer is None:
            self._tokenizer = _read_tokenizer(self.files)
        return self._tokenizer

    def beginning(self, prompts: Sequence[TokenIds]) -> attention.Beginning:
        """What all prompts begin with, read once and kept for the next call. A single prompt
        is taken to begin as an earlier one did; failing that, all of it is kept."""
        model = self.model
        alone = len(prompts) == 1
        length = layout.shareable(model, [prompts[0], self._kept.tokens] if alone else prompts)
        if length and self._kept.tokens[:length] == prompts[0][:length]:
            return self._kept.first(length)
        if alone and layout.shares(model):
            length = len(prompts[0]) - 1
        if length:
            with torch.inference_mode():
                self._kept = layout.read(model, prompts[0][:length])
        return self._kept if length else layout.NOTHING

    def grammars(self, ends: frozenset[int]) -> constraining.Grammars:
        """What answers can be held to with this tokenizer; made once."""
        if self._grammars is None:
            width = int(self.model.get_output_embeddings().weight.shape[0])
            self._grammars = constraining.grammars(self.tokenizer, ends, width=width)
        return self._grammars

    def rehearsal(
        self, openings: list[TokenIds], *, seed: int
    ) -> tuple[rehearsal.Rehearsal, float]:
        """What the base says of its own, written once however many adapters are tuned, and
        the seconds that were spent on it before this call."""
        if self.whole is not None:
            return self.whole.rehearsal(openings, seed=seed)
        if seed in self._rehearsals:
            return self._rehearsals[seed], self._rehearsals[seed].seconds
        self._rehearsals[seed] = rehearsal.write(self.model, openings, seed=seed)
        return self._rehearsals[seed], 0.0


@dataclass(frozen=True, slots=True)
class TransformersEngine:
    """A model, perhaps quantised, perhaps with an adapter.

    An adapter is merged into 16- or 32-bit weights, which makes it as fast as the base,
    and is applied beside 4-bit ones, where a merge would have to quantise again.
    """

    weights: _Weights
    adapter_digest: str = ""

    @property
    def name(self) -> str:
        return self.weights.files.name

    @property
    def digest(self) -> str:
        weights = self.weights
        parts = [weights.files.digest, weights.dtype, weights.scheme, self.adapter_digest]
        return hashlib.sha256(json.dumps([*parts, ENGINE_VERSION]).encode()).hexdigest()

    @property
    def context_length(self) -> int:
        return int(self.weights.model.config.max_position_embeddings)

    @property
    def end_of_text(self) -> int:
        tokenizer = self.weights.tokenizer
        first = tokenizer.bos_token_id
        return int(first if first is not None else tokenizer.eos_token_id)

    def encode(self, messages: Sequence[Message]) -> TokenIds:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            text = self._templated(turns)
        except TemplateError:
            if turns[0]["role"] != "system":
                raise
            # Some templates know no system turn: the instruction then opens the first one.
            first = {**turns[1], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}
            text = self._templated([first, *turns[2:]])
        return tuple(self.weights.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _templated(self, turns: Sequence[dict[str, str]]) -> str:
        return str(self.weights.tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True
        ))

    def tokenize(self, text: str) -> TokenIds:
        return tuple(self.weights.tokenizer(text, add_special_tokens=False)["input_ids"])

    def generate(
        self,
        prompts: Sequence[TokenIds],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        sampling: Sampling | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> Iterable[tuple[int, Generation]]:
        if not prompts:
            return
        def text(tokens: Sequence[int]) -> str:
            return str(self.weights.tokenizer.decode(tokens, skip_special_tokens=True))

        def ended(tokens: Sequence[int]) -> bool:
            return bool(stop) and stops.stopped(text(tokens), stop)

        started = time.perf_counter()
        beginning = self.weights.beginning(prompts)
        each = (time.perf_counter() - started) / len(prompts)
        limits = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else max_tokens
        choose = generation.drawn(sampling) if sampling else generation.most_likely
        ends = self._ends()
        steer = self.weights.grammars(ends).steer(constraints) if constraints else None
        rules = generation.Rules(ends, ended, choose, steer)
        for index, decoded in generation.write(
            self.weights.model, prompts, limits, rules, beginning=beginning
        ):
            said = stops.cut(text(decoded.tokens), stop)
            yield index, Generation(said, len(decoded.tokens), decoded.seconds + each)

    def score(self, pairs: Sequence[tuple[TokenIds, TokenIds]]) -> list[tuple[float, bool]]:
        return scoring.score(self.weights.model, pairs, context_length=self.context_length)

    def quantised(self, scheme: Scheme) -> TransformersEngine:
        if scheme == self.weights.scheme:
            return self
        weights = self.weights
        whole = weights.whole or weights
        return TransformersEngine(_Weights(weights.files, weights.dtype, scheme, whole=whole))

    def with_adapter(self, folder: Path) -> TransformersEngine:
        base = self.weights
        weights = _Weights(base.files, base.dtype, base.scheme, folder, base.whole or base)
        return TransformersEngine(weights, file_digest(folder / "adapter_model.safetensors"))

    def tune(
        self, course: Course, spec: LoraWeights, *, folder: Path, seed: int
    ) -> PrepareCost:
        _require("peft", "tuning", "weights.kind: lora")
        from peft import get_peft_model

        started = time.perf_counter()
        train = [self._sample(lesson) for lesson in course.train]
        dev = [self._sample(lesson) for lesson in course.dev]
        kept, earlier = self._rehearsal(seed) if spec.rehearsal else (None, 0.0)
        identity = repr([self.digest, spec, seed, train, dev, torch.__version__])
        checkpoint = Checkpoint(folder.with_suffix(".checkpoint"),
                                hashlib.sha256(identity.encode()).hexdigest())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # notices of peft about its own future
            torch.manual_seed(seed)  # peft draws the adapter's initial weights globally
            model = self._tunable()
            with packing.plain(model):
                tuned = get_peft_model(model, _lora_config(spec, model))
                try:
                    bare = tuned.base_model.model
                    progress = training.fit(bare, train, dev, spec=spec, seed=seed,
                                            rehearsal=kept, checkpoint=checkpoint)
                    _save_adapter(tuned, folder, base=self.name)
                finally:
                    tuned.unload()
                    model.requires_grad_(False).eval()
                    # What peft leaves on the model would make a second tuning warn and stack.
                    vars(model).pop("peft_config", None)
        return PrepareCost(
            seconds=time.perf_counter() - started + earlier + progress.earlier_seconds,
            earlier_seconds=earlier + progress.earlier_seconds,
            tokens_trained=progress.tokens,
            artefact_bytes=sum(path.stat().st_size for path in folder.iterdir()),
            dev_loss=progress.dev_loss,
            train_loss=progress.train_loss,
        )

    def _tunable(self) -> Any:
        """The model through which gradients flow: 4-bit weights in a copy of their own.

        On a CPU bitsandbytes repacks 4-bit weights for inference when they first answer, and
        repacked ones pass no gradient on, without a word.
        """
        if self.weights.scheme == "none":
            return self.weights.model
        model = _read(_Weights(self.weights.files, self.weights.dtype, self.weights.scheme))
        for module in model.modules():
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False
        _share_beginnings(model)
        return model

    def _rehearsal(self, seed: int) -> tuple[rehearsal.Rehearsal, float]:
        """Plain texts, and conversations from where the user begins to speak."""
        mark = "\u241f"
        chat = self._templated([{"role": "user", "content": mark}]).partition(mark)[0]
        plain = [self.tokenize(opening) for opening in rehearsal.OPENINGS]
        chats = [self.tokenize(chat)] * len(plain)
        openings = [start for pair in zip(plain, chats, strict=True) for start in pair if start]
        return self.weights.rehearsal(openings, seed=seed)

    def _sample(self, lesson: Lesson) -> training.Sample:
        prompt = self.encode(lesson.prompt)
        said = (*self.tokenize(lesson.completion), self.weights.tokenizer.eos_token_id)
        tokens = (*prompt, *said)
        if len(tokens) > self.context_length:
            raise AdvisorError(
                f"a training prompt has {len(tokens)} tokens, the model reads "
                f"{self.context_length}",
                fix="lower retrieval.top_k or retrieval.chunk_words in the recipe",
            )
        return training.Sample(tokens, len(said))

    def _ends(self) -> frozenset[int]:
        ends = self.weights.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        given = {end for end in ends if end is not None}
        return frozenset(given | {self.weights.tokenizer.eos_token_id})


def engine(files: ModelFiles, *, dtype: str = "auto") -> TransformersEngine:
    """The model in `files`; `dtype` auto is bfloat16 where it is native.

    Raises AdvisorError for a model without a chat template.
    """
    chosen = native_dtype() if dtype == "auto" else dtype
    _supported(files)
    weights = _Weights(files, chosen, "none")
    if not weights.tokenizer.chat_template:
        raise AdvisorError(
            f"model {files.name!r} ({files.folder}) has no chat template",
            fix="choose an instruction-tuned model, or add chat_template.jinja to its folder",
        )
    return TransformersEngine(weights)


def _supported(files: ModelFiles) -> None:
    """Raise AdvisorError for layers whose memory is no list of keys and values."""
    try:
        config = json.loads((files.folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # told when the weights are read
    kinds = config.get("layer_types") or config.get("text_config", {}).get("layer_types") or []
    if foreign := sorted(set(kinds) - {"full_attention", "sliding_attention"}):
        raise AdvisorError(
            f"model {files.name!r} has layers of kind {foreign[0]!r}; only attention layers are "
            "supported",
            fix="choose a model without recurrent, convolution or chunked layers",
        )


def native_dtype() -> str:
    """bfloat16 where the processor multiplies it natively, otherwise float32."""
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    cpu = torch.cpu
    native = cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
    return "bfloat16" if native else "float32"


def _read_tokenizer(files: ModelFiles) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(files.folder))
    except (ValueError, OSError) as error:
        raise _unusable(files, error) from error


def _read(weights: _Weights) -> Any:
    """The model ready to answer: frozen, on the GPU if there is one, adapter applied."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = getattr(torch, weights.dtype)
    extra: dict[str, Any] = {}
    if weights.scheme == "nf4":
        _require("bitsandbytes", "qlora", "weights.quantise: nf4")
        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(weights.files.folder), dtype=dtype, **extra
        )
    except (ValueError, OSError, SafetensorError) as error:
        raise _unusable(weights.files, error) from error
    if weights.scheme == "none" and torch.cuda.is_available():
        model = _on_gpu(model)
    if weights.scheme == "none":
        _check_head(model, weights.files)
    if weights.adapter is not None:
        model = _apply(model, weights.adapter, merge=weights.scheme == "none")
    return model.requires_grad_(False).eval()


@torch.no_grad()
def _share_beginnings(model: Any) -> None:
    """Let the model attend to a shared beginning once, if it then says what it said before.

    Attention that slides, caps its scores or has sinks stays as it came.
    """
    config = model.config.get_text_config()
    sliding = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    if sliding or getattr(config, "sliding_window", None):
        return
    ids = torch.arange(2, 26, device=model.device)[None]
    theirs = model.get_decoder()(input_ids=ids).last_hidden_state[0, -8:].float()
    before = model.config._attn_implementation
    model.set_attn_implementation(attention.NAME)
    try:
        row = tuple(ids[0].tolist())
        ours = layout.hidden(model, [row, row], 12)[1, -8:].float()
    except (TypeError, ValueError, RuntimeError):
        ours = torch.full_like(theirs, math.nan)
    if not torch.allclose(ours, theirs, rtol=0.05, atol=0.05 * float(theirs.abs().max())):
        log.info("%s keeps its own attention: beginnings are not shared", type(model).__name__)
        model.set_attn_implementation(before)


@torch.no_grad()
def _check_head(model: Any, files: ModelFiles) -> None:
    """Raise AdvisorError if the model does more after its last layer than we know of."""
    ids = torch.tensor([[1, 2]], device=model.device)
    theirs = model(input_ids=ids).logits[0, -1].float()
    ours = layout.logits(model, model.get_decoder()(input_ids=ids).last_hidden_state[0, -1])
    if not torch.allclose(ours, theirs, rtol=0.05, atol=0.05 * float(theirs.abs().max())):
        raise AdvisorError(
            f"model {files.name!r} changes its logits in a way that is not supported",
            fix="choose a model whose output layer is a plain linear one",
        )


def _on_gpu(model: Any) -> Any:
    return model.to("cuda")


def _apply(model: Any, adapter: Path, *, merge: bool) -> Any:
    _require("peft", "tuning", "an adapter")
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tuned = PeftModel.from_pretrained(model, str(adapter))
        if merge:
            return tuned.merge_and_unload()
    for parameter in tuned.parameters():  # one type throughout: no casts in every layer
        if parameter.dtype == torch.float32:
            parameter.data = parameter.data.to(model.dtype)
    return tuned.base_model.model


def _unusable(files: ModelFiles, error: Exception) -> AdvisorError:
    return AdvisorError(
        f"model {files.name!r} ({files.folder}) cannot be loaded as a causal language model: "
        f"{error}",
        fix="set `model:` in advisor.yaml to a causal language model in safetensors",
    )


def _require(package: str, extra: str, what: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise AdvisorError(
            f"{what} needs {package}, which is not installed",
            fix=f"pip install 'adaptation-advisor[{extra}]'",
        )


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
        target_modules=targets,
        layers_to_transform=list(range(lowest, count)) if lowest else None,
        task_type="CAUSAL_LM",
    )


def _save_adapter(model: Any, folder: Path, *, base: str) -> None:
    """adapter_model.safetensors and adapter_config.json, as peft and vLLM read them."""
    from safetensors import SafetensorError

    folder.mkdir(parents=True, exist_ok=True)
    try:
        model.save_pretrained(str(folder), safe_serialization=True)
    except SafetensorError as error:
        if "os error 28" in str(error):  # what safetensors makes of a full disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise
    (folder / "README.md").unlink(missing_ok=True)  # peft's template card says nothing true
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = base
    config["target_modules"] = sorted(config["target_modules"])  # peft's set has any order
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
