"""The weights of one model on disk, read, checked and made ready to answer when first used."""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from advisor.engines import (
    attention,
    beside,
    constraining,
    layout,
    memory,
    packing,
    rehearsal,
)
from advisor.engines.models import ModelFiles
from advisor.engines.protocol import Arriving, TokenIds
from advisor.errors import AdvisorError

log = logging.getLogger(__name__)

Scheme = Literal["none", "nf4"]
ADAPTER = "adapter_model.safetensors"


@dataclass(slots=True)
class Weights:
    """One copy of some weights, read from disk when first used.

    `tuned` is a folder with an adapter for them, or with weights in their place. `whole` is
    the base as it came, which quantised and tuned weights were made from; None for the base
    itself.
    """

    files: ModelFiles
    dtype: str
    scheme: Scheme
    tuned: Path | None = None
    whole: Weights | None = None
    _model: Any = None
    _tokenizer: Any = None
    _rehearsals: dict[int, rehearsal.Rehearsal] = field(default_factory=dict)
    _kept: attention.Beginning = layout.NOTHING
    _grammars: constraining.Grammars | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process reads its copy anew."""
        return Weights, (self.files, self.dtype, self.scheme, self.tuned, self.whole)

    @property
    def model(self) -> Any:
        if self._model is None:
            memory.keep_freed_memory()
            self._model = self._beside_the_base() or read(self)
            packing.pack(self._model)
            share_beginnings(self._model)
        return self._model

    def _beside_the_base(self) -> Any:
        """The base with the adapter merged, sharing what it leaves alone with the base, if that
        is in memory; otherwise None."""
        whole, tuned = self.whole, self.tuned
        if whole is None or not whole.held or self.scheme != "none":
            return None
        if tuned is None or not (tuned / ADAPTER).is_file():
            return None
        layers = beside.changed(tuned / ADAPTER)
        if layers is None:
            return None
        model = _apply(beside.like(whole.model, layers), tuned, merge=True)
        return model.requires_grad_(False).eval()

    @property
    def held(self) -> bool:
        """Whether they are in memory."""
        return self._model is not None

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
        known = self._kept.tokens
        # What is computed at another length is rounded otherwise: answers that are measured
        # together must not depend on what was asked before.
        free = alone or isinstance(prompts, Arriving) or len(known) == length
        if length and free and known[:length] == prompts[0][:length]:
            return self._kept.first(length)
        if alone and layout.shares(model):
            length = len(prompts[0]) - 1
        if length:
            with torch.inference_mode():
                self._kept = layout.read(model, prompts[0][:length])
        return self._kept if length else layout.NOTHING

    @property
    def settles(self) -> bool:
        """Whether the text of some tokens stays as it is when more follow, but for letters that
        are not whole yet: so where tokens stand for bytes and nothing is tidied afterwards."""
        from tokenizers.decoders import ByteLevel

        tokenizer = self.tokenizer
        decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
        return isinstance(decoder, ByteLevel) and not tokenizer.clean_up_tokenization_spaces

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


def supported(files: ModelFiles) -> None:
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


def read(weights: Weights) -> Any:
    """The model ready to answer: frozen, on the GPU if there is one, adapter applied."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = getattr(torch, weights.dtype)
    extra: dict[str, Any] = {}
    if weights.scheme == "nf4":
        require("bitsandbytes", "qlora", "weights.quantise: nf4")
        extra["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    folder, adapter = weights.files.folder, weights.tuned
    if adapter is not None and not (adapter / ADAPTER).is_file():
        folder, adapter = adapter, None
    try:
        model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, **extra)
    except (ValueError, OSError, SafetensorError) as error:
        raise _unusable(weights.files, error) from error
    if weights.scheme == "none" and torch.cuda.is_available():
        model = _on_gpu(model)
    if weights.scheme == "none":
        _check_head(model, weights.files)
    if adapter is not None:
        model = _apply(model, adapter, merge=weights.scheme == "none")
    return model.requires_grad_(False).eval()


@torch.no_grad()
def share_beginnings(model: Any) -> None:
    """Let the model attend to a shared beginning once, if it then says what it said before.

    Attention that slides, caps its scores or has sinks stays as it came.
    """
    config = model.config.get_text_config()
    sliding = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    if layout.shares(model) or sliding or getattr(config, "sliding_window", None):
        return
    ids = torch.arange(2, 26, device=model.device)[None]
    theirs = model.get_decoder()(input_ids=ids).last_hidden_state[0, -8:].float()
    before = model.config._attn_implementation
    model.set_attn_implementation(attention.NAME)
    try:
        row = tuple(ids[0].tolist())
        behind = layout.run(model, layout.pad([row], 12, device=model.device),
                            layout.read(model, row[:12]))[0, -8:].float()
        tuning = layout.hidden(model, [row, row, row[4:]], 12, behind=2).last([0, 8, 0]).float()
    except (TypeError, ValueError, RuntimeError):
        behind = tuning = torch.full_like(theirs, math.nan)
    apart = 0.05 * float(theirs.abs().max())
    if not all(torch.allclose(ours, theirs, rtol=0.05, atol=apart) for ours in (behind, tuning)):
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
    require("peft", "tuning", "an adapter")
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


def require(package: str, extra: str, what: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise AdvisorError(
            f"{what} needs {package}, which is not installed",
            fix=f"pip install 'adaptation-advisor[{extra}]'",
        )
