"""Engines that were looked at before ours was written: what each is given, and how.

docs/performance.md has what came of it. Each takes the weights that we hold, in bfloat16
where it can multiply them so.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advisor.engines.models import ModelFiles, cache_folder
from advisor.engines.transformers import TransformersEngine
from tests.bench import libraries, llama
from tests.bench.timing import Peer, Run, Side

Ids = tuple[int, ...]
# ONNX Runtime hides every token that is like its padding: one that is in no prompt.
PAD = 0


def engines(
    files: ModelFiles, prompts: Sequence[Ids], new: int, *, few: bool
) -> list[Peer]:
    """Those that `make bench` always compares; with `few`, one setting each."""
    peers = [llama.peer(files, prompts, new), openvino(files, prompts, new)]
    return [replace(peer, settings=peer.settings[:1]) for peer in peers] if few else peers


def rest(engine: TransformersEngine, prompts: Sequence[Ids], new: int) -> list[Peer]:
    return [
        ctranslate2(engine.weights.files, prompts, new),
        onnxruntime(engine.weights.files, prompts, new),
        continuous(engine, prompts, new),
        static(engine, prompts, new),
        compiled(engine, prompts, new, what="the whole step"),
        compiled(engine, prompts, new, what="every layer"),
    ]


# ------------------------------------------------------------------ OpenVINO


def openvino(files: ModelFiles, prompts: Sequence[Ids], new: int) -> Peer:
    """openvino_genai reads the GGUF file (in bfloat16 it cannot); many sequences at once,
    continuously."""

    def opened(setting: str) -> Side:
        import openvino_genai as genai

        held, kind = setting.split(", ")
        plan = genai.SchedulerConfig()
        plan.max_num_seqs = 64
        plan.max_num_batched_tokens = 2048
        plan.enable_prefix_caching = len(prompts[0]) > 1000
        plan.cache_size = 3
        pipeline = genai.ContinuousBatchingPipeline(
            str(llama.gguf(files, held)), plan, "CPU",
            {"INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": torch.get_num_threads()},
        )
        return lambda share: _openvino(pipeline, prompts, round(new * share))

    settings = ["F16, bf16", "Q4_1, bf16", "F16, f32"]
    return Peer("OpenVINO", opened, settings, ["openvino", "openvino_genai"])


def _openvino(pipeline: Any, prompts: Sequence[Ids], new: int) -> Run:
    import openvino
    import openvino_genai as genai

    tensors = [openvino.Tensor(np.array([prompt], dtype=np.int64)) for prompt in prompts]
    rule = genai.GenerationConfig(max_new_tokens=new, ignore_eos=True, do_sample=False)

    def run() -> list[Ids]:
        said = pipeline.generate(tensors, [rule] * len(tensors))
        return [tuple(one.m_generation_ids[0]) for one in said]

    return run


# ------------------------------------------------------------------ CTranslate2


def ctranslate2(files: ModelFiles, prompts: Sequence[Ids], new: int) -> Peer:
    def opened(setting: str) -> Side:
        kind, rows = setting.split(", ")
        model, words = _translator(files, kind)
        starts = [words(list(prompt)) for prompt in prompts]

        def run(tokens: int) -> list[Ids]:
            said = model.generate_batch(
                starts, max_batch_size=int(rows.split()[0]), max_length=tokens,
                min_length=tokens, sampling_topk=1, include_prompt_in_result=False,
            )
            return [tuple(one.sequences_ids[0]) for one in said]

        return lambda share: partial(run, round(new * share))

    settings = [f"{kind}, {rows} rows" for kind in ("float32", "bfloat16", "int8")
                for rows in (16, 64)]
    return Peer("CTranslate2", opened, settings, ["ctranslate2"])


def ctranslate2_scoring(
    files: ModelFiles, pairs: Sequence[tuple[list[int], list[int]]], per_question: int
) -> Peer:
    def opened(setting: str) -> Side:
        model, words = _translator(files, "float32")

        def run(asked: Sequence[tuple[list[int], list[int]]]) -> list[tuple[float, None]]:
            said = model.score_batch([words([*context, *more]) for context, more in asked],
                                     max_batch_size=int(setting.split()[0]))
            return [(sum(one.log_probs[-len(more):]), None)
                    for one, (_, more) in zip(said, asked, strict=True)]

        return lambda share: partial(run, libraries.part(pairs, share, per_question))

    return Peer("CTranslate2", opened, ["16 rows", "64 rows"], ["ctranslate2"])


def _translator(files: ModelFiles, kind: str) -> tuple[Any, Any]:
    """The converted model, and what turns ids into its words."""
    import ctranslate2 as ct2
    from transformers import AutoTokenizer

    folder = cache_folder() / "bench" / f"{files.digest[:16]}-ctranslate2"
    if not folder.exists():
        ct2.converters.TransformersConverter(str(files.folder)).convert(str(folder))
    model = ct2.Generator(str(folder), compute_type=kind, intra_threads=torch.get_num_threads())
    return model, AutoTokenizer.from_pretrained(files.folder).convert_ids_to_tokens


# ------------------------------------------------------------------ ONNX Runtime


def onnxruntime(files: ModelFiles, prompts: Sequence[Ids], new: int) -> Peer:
    def opened(setting: str) -> Side:
        import onnxruntime_genai as genai

        folder = cache_folder() / "bench" / f"{files.digest[:16]}-onnx"
        if not (folder / "genai_config.json").exists():
            _onnx(files, folder)
        model, rows = genai.Model(str(folder)), int(setting.split()[1])

        def write(batch: list[Ids], tokens: int) -> list[Ids]:
            width = max(map(len, batch))
            options = genai.GeneratorParams(model)
            options.set_search_options(
                max_length=width + tokens, min_length=width + tokens, batch_size=len(batch),
                do_sample=False,
            )
            writer = genai.Generator(model, options)
            writer.append_tokens(np.array(
                [[PAD] * (width - len(one)) + list(one) for one in batch], dtype=np.int32))
            while not writer.is_done():
                writer.generate_next_token()
            return [tuple(writer.get_sequence(n)[width:]) for n in range(len(batch))]

        return lambda share: partial(_sorted, prompts, rows,
                                     partial(write, tokens=round(new * share)))

    return Peer("ONNX Runtime", opened, ["batch 16", "batch 64"],
                ["onnxruntime_genai", "onnx", "onnx_ir"])


def _onnx(files: ModelFiles, folder: Path) -> None:
    given = ["-i", str(files.folder), "-o", str(folder), "-p", "fp32", "-e", "cpu",
             "-c", f"{folder}-cache"]
    done = subprocess.run([sys.executable, "-m", "onnxruntime_genai.models.builder", *given],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    path = folder / "genai_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["model"]["pad_token_id"] = PAD
    path.write_text(json.dumps(config), encoding="utf-8")


def _sorted(prompts: Sequence[Ids], rows: int, write: Any) -> list[Ids]:
    order = sorted(range(len(prompts)), key=lambda n: len(prompts[n]))
    said: dict[int, Ids] = {}
    for start in range(0, len(order), rows):
        group = order[start : start + rows]
        said |= zip(group, write([prompts[n] for n in group]), strict=True)
    return [said[n] for n in range(len(prompts))]


# ------------------------------------------------------------------ transformers


def continuous(engine: TransformersEngine, prompts: Sequence[Ids], new: int) -> Peer:
    """transformers' own continuous batching."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    logging.getLogger("transformers").setLevel(logging.ERROR)

    def opened(setting: str) -> Side:
        model = libraries.as_it_came(engine)
        model.set_attn_implementation(setting)

        def run(tokens: int) -> list[Ids]:
            plan = ContinuousBatchingConfig(num_blocks=256, page_size=32, max_batch_tokens=2048)
            rule = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1,
                                    pad_token_id=0)
            said = model.generate_batch([list(p) for p in prompts], generation_config=rule,
                                        continuous_batching_config=plan, warmup=False)
            if len(said) < len(prompts):
                raise RuntimeError(f"{len(said)} of {len(prompts)} requests were answered")
            return [tuple(one.generated_tokens) for one in said.values()]

        return lambda share: partial(run, round(new * share))

    return Peer("continuous batching (transformers)", opened, ["sdpa"])


def static(engine: TransformersEngine, prompts: Sequence[Ids], new: int) -> Peer:
    def opened(setting: str) -> Side:
        model, batch = libraries.as_it_came(engine), int(setting.split()[1])
        return lambda share: partial(libraries.in_batches, model, prompts, round(new * share),
                                     batch, cache_implementation="static", disable_compile=True)

    return Peer("static cache (transformers)", opened, ["batch 16", "batch 64"])


def compiled(
    engine: TransformersEngine, prompts: Sequence[Ids], new: int, *, what: str
) -> Peer:
    """`what` of the decode step goes through torch.compile, all rows at once, so that its
    shapes stay."""
    from transformers import CompileConfig

    def opened(_: str) -> Side:
        model = libraries.as_it_came(engine)
        options: dict[str, Any] = {"disable_compile": True}
        if what == "the whole step":
            whole = CompileConfig(mode="default", dynamic=False)
            whole._compile_all_devices = True
            options = {"compile_config": whole}
        else:
            for layer in model.model.layers:
                layer.compile()
        return lambda share: partial(
            libraries.in_batches, model, prompts, round(new * share), len(prompts),
            cache_implementation="static", max_cache_len=max(map(len, prompts)) + new, **options)

    return Peer(f"torch.compile, {what}", opened)
