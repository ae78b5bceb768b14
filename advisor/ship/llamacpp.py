"""Weights as GGUF, made by llama.cpp's own converter and asked through llama.cpp."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

from advisor import stops
from advisor.config import TunedWeights
from advisor.engines.protocol import (
    Constraint,
    Course,
    Engine,
    Generation,
    Message,
    Sampling,
    TokenIds,
)
from advisor.errors import AdvisorError
from advisor.trial import PrepareCost

GGUF, SCRIPT, VARIABLE = "model.gguf", "convert_hf_to_gguf.py", "LLAMA_CPP"
# The converter's names for what weights are held in here.
KINDS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
SLOTS = 2
GET_IT = ("pip download --no-deps --no-binary :all: llama-cpp-python, unpack it, and name its "
          "vendor/llama.cpp: --llama-cpp DIR")


@dataclass(frozen=True, slots=True)
class Converter:
    """The converter in a checkout of llama.cpp, which is run as a program of its own."""

    script: Path

    def convert(self, model: Path, folder: Path, *, dtype: str) -> Path:
        """The GGUF file of a model folder, in the precision it was measured in.

        Raises AdvisorError with the converter's last words where it fails.
        """
        target = folder / GGUF
        folder.mkdir(exist_ok=True)
        ran = subprocess.run(
            [sys.executable, str(self.script), str(model), "--outfile", str(target),
             "--outtype", KINDS[dtype]],
            capture_output=True, text=True, errors="replace", check=False,
        )
        if ran.returncode or not target.is_file():
            last = ran.stderr.strip().splitlines()[-1:] or ["it wrote nothing"]
            raise AdvisorError(f"{self.script} failed: {last[0]}",
                               fix="pip install 'adaptation-advisor[gguf]', or take a llama.cpp "
                               "that knows this kind of model")
        return target

    def engine(self, path: Path, measured: Engine) -> LlamaCpp:
        """The file in llama.cpp; `measured` has read the same weights here."""
        return LlamaCpp(path, measured)


def converter(given: Path | None) -> Converter:
    """From --llama-cpp or the variable LLAMA_CPP; raises AdvisorError saying how to get one."""
    folder = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if folder is None:
        raise AdvisorError("GGUF is written by llama.cpp's converter, which is in no package "
                           "of its own", fix=GET_IT)
    if not (folder / SCRIPT).is_file():
        raise AdvisorError(f"{folder} holds no {SCRIPT}", fix=GET_IT)
    try:
        import xllamacpp  # noqa: F401
    except ModuleNotFoundError as missing:
        raise AdvisorError(
            f"what is exported as GGUF is asked through {missing.name}, which is not installed",
            fix="pip install 'adaptation-advisor[gguf]'") from missing
    return Converter(folder / SCRIPT)


@dataclass(slots=True)
class LlamaCpp:
    """A GGUF file behind the verbs of an engine, as far as a contender is asked.

    llama.cpp is given messages: template and tokenizer are those of the file. What they make
    of a prompt must be as long as it was when it was measured.
    """

    path: Path
    measured: Engine
    _messages: dict[TokenIds, tuple[Message, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def digest(self) -> str:
        from advisor.engines.models import file_digest

        return file_digest(self.path)

    @property
    def context_length(self) -> int:
        return self.measured.context_length

    @property
    def end_of_text(self) -> int:
        return self.measured.end_of_text

    def encode(self, messages: Sequence[Message]) -> TokenIds:
        tokens = self.measured.encode(messages)
        self._messages[tokens] = tuple(messages)
        return tokens

    def tokenize(self, text: str) -> TokenIds:
        return self.measured.tokenize(text)

    def generate(
        self,
        prompts: Sequence[TokenIds],
        *,
        max_tokens: int | Sequence[int],
        stop: Sequence[str] = (),
        sampling: Sampling | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> Iterable[tuple[int, Generation]]:
        if constraints:
            raise AdvisorError("answers that are held to a schema or to choices are not exported "
                               "as GGUF", fix="--as merged, or a contender with decoding.kind: "
                               "free")
        limits = [max_tokens] * len(prompts) if isinstance(max_tokens, int) else max_tokens
        server = self._server(max(map(len, prompts), default=0) + max(limits, default=0))

        def one(index: int) -> tuple[int, Generation]:
            return index, self._asked(server, prompts[index], limits[index], stop)

        with ThreadPoolExecutor(SLOTS) as pool:
            yield from pool.map(one, range(len(prompts)))

    def _asked(
        self, server: Any, prompt: TokenIds, limit: int, stop: Sequence[str]
    ) -> Generation:
        messages = [{"role": m.role, "content": m.content} for m in self._messages[prompt]]
        reply = server.handle_chat_completions({
            "messages": messages, "max_tokens": limit, "temperature": 0.0, "top_k": 1})
        try:
            text, used = reply["choices"][0]["message"]["content"], reply["usage"]
            read, written = used["prompt_tokens"], used["completion_tokens"]
        except (KeyError, IndexError, TypeError) as error:
            raise AdvisorError(f"llama.cpp gave no answer: {str(reply)[:200]}",
                               fix="--as merged") from error
        if read != len(prompt):
            raise AdvisorError(f"{self.path.name}: its template makes {read} tokens of a prompt "
                               f"that had {len(prompt)} when it was measured",
                               fix="--as merged")
        return Generation(stops.cut(text or "", stop), written, 0.0, tokens_in=read)

    def _server(self, tokens: int) -> Any:
        import torch
        import xllamacpp

        options = xllamacpp.CommonParams()
        threads = torch.get_num_threads()
        options.cpuparams.n_threads = options.cpuparams_batch.n_threads = threads
        options.model.path = str(self.path)
        options.n_parallel = SLOTS
        # Whole pages of 256, and some for what a template may add.
        options.n_ctx = SLOTS * -(-(tokens + 64) // 256) * 256
        options.kv_unified = False
        options.use_jinja = True
        options.n_gpu_layers = 0
        options.verbosity = 0
        options.cache_ram_mib = 0
        return xllamacpp.Server(options)

    def score(self, pairs: Sequence[tuple[TokenIds, TokenIds]]) -> list[tuple[float, bool]]:
        self._never()

    def quantised(self, scheme: Literal["none", "nf4"]) -> Engine:
        self._never()

    def tune(
        self, course: Course[Any], spec: TunedWeights, *, folder: Path, seed: int,
        start: Path | None = None,
    ) -> PrepareCost:
        self._never()

    def with_weights(self, folder: Path) -> Engine:
        self._never()

    def _never(self) -> NoReturn:
        raise NotImplementedError("a GGUF file is only asked")
