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
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from advisor.engines.models import ModelFiles, cache_folder
from advisor.engines.protocol import TokenIds
from advisor.engines.transformers import TransformersEngine
from tests.bench import libraries, llama
from tests.bench.works import Ids, Work

Prepare = Callable[[list[Any]], Callable[[], list[Any]]]
# ONNX Runtime hides every token that is like its padding: one that is in no prompt.
PAD = 0


# ------------------------------------------------------------------ OpenVINO


def openvino(work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    """openvino_genai reads the GGUF file (in bfloat16 it cannot); many sequences at once,
    continuously."""
    import openvino_genai as genai

    held, kind = setting.split(", ")
    plan = genai.SchedulerConfig()
    plan.max_num_seqs = 64
    plan.max_num_batched_tokens = 2048
    plan.enable_prefix_caching = bool(work.shared)
    plan.cache_size = 3
    pipeline = genai.ContinuousBatchingPipeline(
        str(llama.gguf(reader.weights.files, held)), plan, "CPU",
        {"INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": torch.get_num_threads()},
    )
    return lambda prompts: _openvino(pipeline, prompts, work.new)


def _openvino(pipeline: Any, prompts: Sequence[Ids], new: int) -> Callable[[], list[Ids]]:
    import openvino
    import openvino_genai as genai

    tensors = [openvino.Tensor(np.array([prompt], dtype=np.int64)) for prompt in prompts]
    rule = genai.GenerationConfig(max_new_tokens=new, ignore_eos=True, do_sample=False)

    def run() -> list[Ids]:
        said = pipeline.generate(tensors, [rule] * len(tensors))
        return [tuple(one.m_generation_ids[0]) for one in said]

    return run


# ------------------------------------------------------------------ CTranslate2


def ctranslate2(work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    kind, rows = setting.split(", ")
    model, words = _translator(reader, kind)

    def run(starts: list[list[str]]) -> list[Ids]:
        said = model.generate_batch(
            starts, max_batch_size=int(rows.split()[0]), max_length=work.new,
            min_length=work.new, sampling_topk=1, include_prompt_in_result=False,
        )
        return [tuple(one.sequences_ids[0]) for one in said]

    return lambda prompts: partial(run, [words(list(prompt)) for prompt in prompts])


def ctranslate2_scoring(_work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    """Its argmaxes are not told."""
    from advisor.measures.lm_eval_model import EngineModel

    model, words = _translator(reader, "float32")
    split = EngineModel(reader)._encode_pair

    def run(asked: list[Any]) -> list[list[tuple[float, None]]]:
        pairs = [split(*pair) for question in asked for pair in question]
        said = iter(model.score_batch([words([*context, *more]) for context, more in pairs],
                                      max_batch_size=int(setting.split()[0])))
        ends = iter(len(more) for _, more in pairs)
        return [[(sum(next(said).log_probs[-next(ends):]), None) for _ in question]
                for question in asked]

    return lambda asked: partial(run, asked)


def _translator(reader: TransformersEngine, kind: str) -> tuple[Any, Any]:
    """The converted model, and what turns ids into its words."""
    import ctranslate2 as ct2

    files = reader.weights.files
    folder = cache_folder() / "bench" / f"{files.digest[:16]}-ctranslate2"
    if not folder.exists():
        ct2.converters.TransformersConverter(str(files.folder)).convert(str(folder))
    model = ct2.Generator(str(folder), compute_type=kind, intra_threads=torch.get_num_threads())
    return model, reader.weights.tokenizer.convert_ids_to_tokens


# ------------------------------------------------------------------ ONNX Runtime


def onnxruntime(work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    import onnxruntime_genai as genai

    folder = cache_folder() / "bench" / f"{reader.weights.files.digest[:16]}-onnx"
    if not (folder / "genai_config.json").exists():
        _onnx(reader.weights.files, folder)
    model = genai.Model(str(folder))

    def write(batch: list[Ids]) -> list[Ids]:
        width = max(map(len, batch))
        options = genai.GeneratorParams(model)
        options.set_search_options(
            max_length=width + work.new, min_length=width + work.new, batch_size=len(batch),
            do_sample=False,
        )
        writer = genai.Generator(model, options)
        writer.append_tokens(np.array(
            [[PAD] * (width - len(one)) + list(one) for one in batch], dtype=np.int32))
        while not writer.is_done():
            writer.generate_next_token()
        return [tuple(writer.get_sequence(n)[width:]) for n in range(len(batch))]

    rows = int(setting.split()[1])
    return lambda prompts: partial(libraries.sorted_batches, prompts, rows, write)


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


# ------------------------------------------------------------------ transformers


def continuous(work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    """transformers' own continuous batching."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    logging.getLogger("transformers").setLevel(logging.ERROR)
    model = libraries.as_it_came(reader)
    model.set_attn_implementation(setting)
    plan = ContinuousBatchingConfig(num_blocks=256, page_size=32, max_batch_tokens=2048)
    rule = GenerationConfig(max_new_tokens=work.new, do_sample=False, eos_token_id=-1,
                            pad_token_id=0)

    def run(prompts: list[TokenIds]) -> list[Ids]:
        said = model.generate_batch([list(prompt) for prompt in prompts],
                                    generation_config=rule, continuous_batching_config=plan,
                                    warmup=False)
        if len(said) < len(prompts):
            raise RuntimeError(f"{len(said)} of {len(prompts)} requests were answered")
        return [tuple(one.generated_tokens) for one in said.values()]

    return lambda prompts: partial(run, prompts)


def static(work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    model, batch = libraries.as_it_came(reader), int(setting.split()[1])
    return lambda prompts: partial(libraries.in_batches, model, prompts, work.new, batch,
                                   cache_implementation="static", disable_compile=True)


def compiled(work: Work, reader: TransformersEngine, setting: str) -> Prepare:
    """`setting` (the whole step, or every layer) of the decode step goes through
    torch.compile; all rows at once, so that its shapes stay."""
    from transformers import CompileConfig

    model = libraries.as_it_came(reader)
    options: dict[str, Any] = {"disable_compile": True}
    if setting == "the whole step":
        whole = CompileConfig(mode="default", dynamic=False)
        whole._compile_all_devices = True
        options = {"compile_config": whole}
    else:
        # A layer knows its number, for which it would be compiled anew.
        torch._dynamo.config.allow_unspec_int_on_nn_module = True
        for layer in model.model.layers:
            layer.compile(dynamic=False)

    def prepare(prompts: list[TokenIds]) -> Callable[[], list[Ids]]:
        return partial(
            libraries.in_batches, model, prompts, work.new, len(prompts),
            cache_implementation="static", max_cache_len=max(map(len, prompts)) + work.new,
            **options)

    return prepare


GENERATION = {"CTranslate2": ctranslate2, "ONNX Runtime": onnxruntime,
              "continuous batching": continuous, "static cache": static,
              "torch.compile": compiled, "torch.compile as one": compiled}
