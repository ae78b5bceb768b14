"""llama.cpp as a peer: the shipped 4-bit file, and the same weights in bfloat16, through the
server inside `xllamacpp`, whose wheel is compiled without AVX-512."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from advisor.engines.models import PACKAGED, ModelFiles, cache_folder
from advisor.engines.transformers import TransformersEngine
from tests.bench.works import Ids, Work, items

AT_ONCE = 2048  # tokens of prompts in one call


def served(
    work: Work, reader: TransformersEngine, setting: str
) -> Callable[[list[Ids]], Callable[[], list[Ids]]]:
    """`setting` is the file's kind and how many prompts are answered at once."""
    kind, rows = setting.split(", ")
    slots = int(rows.split()[0])
    longest = 8 + work.new + max(map(len, items(work, reader)))
    server = _server(gguf(reader.weights.files, kind), longest, slots)
    return lambda prompts: _asks(server, reader, prompts, work.new, slots)


def gguf(files: ModelFiles, kind: str) -> Path:
    """The packaged file itself, or its weights dequantised and rounded to `kind`."""
    package, inside, _ = PACKAGED[files.name.lower()]
    spec = importlib.util.find_spec(package)
    assert spec is not None
    source = Path(next(iter(spec.submodule_search_locations or ()))) / inside
    if kind in source.name:
        return source
    target = cache_folder() / "bench" / f"{files.digest[:16]}-{kind}.gguf"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _widen(source, target, kind)
    return target


def _widen(source: Path, target: Path, kind: str) -> None:
    from gguf import (
        GGMLQuantizationType,
        GGUFReader,
        GGUFValueType,
        GGUFWriter,
        LlamaFileType,
    )
    from gguf.quants import dequantize, quantize

    reader = GGUFReader(source)
    staged = target.with_suffix(".incoming")
    writer = GGUFWriter(staged, str(reader.fields["general.architecture"].contents()))
    writer.add_file_type(LlamaFileType[f"MOSTLY_{kind}"])
    for name, held in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type",
                                                "general.quantization_version"):
            continue
        inner = held.types[-1] if held.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(name, held.contents(), held.types[0], sub_type=inner)
    for tensor in reader.tensors:
        wide = dequantize(tensor.data, tensor.tensor_type)
        to = GGMLQuantizationType[kind] if wide.ndim > 1 else GGMLQuantizationType.F32
        writer.add_tensor(tensor.name, quantize(wide, to), raw_dtype=to)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    staged.rename(target)


def _server(path: Path, longest: int, slots: int) -> Any:
    import xllamacpp

    options = xllamacpp.CommonParams()
    options.model.path = str(path)
    options.n_parallel = slots
    options.n_ctx = slots * -(-longest // 256) * 256
    options.n_batch = options.n_ubatch = AT_ONCE
    options.kv_unified = False
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = torch.get_num_threads()
    options.n_gpu_layers = 0
    options.verbosity = 0
    options.cache_ram_mib = 0
    return xllamacpp.Server(options)


def _asks(
    server: Any, reader: TransformersEngine, prompts: Sequence[Ids], new: int, slots: int
) -> Callable[[], list[Ids]]:
    for slot in range(slots):  # or a repeat would find its prompts read already
        server.handle_completions({"prompt": [slot + 100], "max_tokens": 1, "id_slot": slot})

    def one(prompt: Ids) -> str:
        reply = server.handle_completions({
            "prompt": list(prompt), "max_tokens": new, "n_predict": new, "temperature": 0.0,
            "ignore_eos": True, "cache_prompt": True,
        })
        written = reply.get("usage", {}).get("completion_tokens", reply.get("tokens_predicted"))
        if written != new:
            raise RuntimeError(f"{written} tokens of {new}: {str(reply)[:200]}")
        return str(reply["choices"][0]["text"])

    def run() -> list[Ids]:
        with ThreadPoolExecutor(slots) as pool:
            said = list(pool.map(one, prompts))
        return [reader.tokenize(text) for text in said]

    return run
