"""The server against transformers asked one question at a time, and what may not break it.

    python -m tests.bench.serving [--task NAME] [--contender NAME] [--requests N] [--long N]
                                  [--fake: only what may not break it, without a model]

The same system, questions, limits and stop strings on both sides: `advisor serve` in a process
of its own with eight clients, and `model.generate` on the prompts that the system makes.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import random
import re
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from advisor.cli.tools import fake, quiet, real
from advisor.contenders.composed import Composed, Tools
from advisor.contenders.recipe import prepare
from advisor.core import Question
from advisor.data.task import load_task
from advisor.ship import bundle
from advisor.ship.bundle import ModelIdentity, Origin
from advisor.workspace import Workspace
from tests.bench.works import ROOT
from tests.processes import serving

MODEL, EMBEDDER = "smollm2-135m-instruct", "all-minilm-l6-v2"
CLIENTS = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serving")
    parser.add_argument("--task", default="policy-qa")
    parser.add_argument("--contender", default="few-shot")
    parser.add_argument("--requests", type=int, default=96, help="timed on both sides")
    parser.add_argument("--long", type=int, default=2000, help="requests while memory is watched")
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--fake", action="store_true")
    options = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory() as work:
        tools = fake() if options.fake else real(MODEL, EMBEDDER, precision="auto")
        system, questions = _packed(Path(work), options.task, options.contender, tools)
        asked = list(itertools.islice(itertools.cycle(questions), options.requests))
        alone = [] if options.fake else _one_at_a_time(system, asked)
        with serving(Path(work) / "bundle") as (_, port):
            _together(port, asked[:CLIENTS])
            served = _together(port, asked)
            print(f"{options.task}, {options.contender}: {len(asked)} requests")
            print(f"  advisor serve, {CLIENTS} clients: {_line(*served)}")
            if alone:
                print(f"  transformers, one at a time: {_line(alone, sum(alone))}")
                print(f"  {sum(alone) / served[1]:.2f} times the requests per second")
            _memory(port, list(itertools.islice(itertools.cycle(questions), options.long)))
            _malformed(port, options.malformed)
            _together(port, asked[:CLIENTS])
            print("  it still answers")


def _packed(
    work: Path, task: str, contender: str, tools: Tools
) -> tuple[Composed, list[Question]]:
    """A bundle of the contender, and the system in this process."""
    workspace = Workspace(ROOT)
    loaded = load_task(workspace.task_folder(task))
    recipe = workspace.recipe(contender)
    system = prepare(recipe, loaded.material, tools=tools, workdir=work, seed=0).system
    assert isinstance(system, Composed)
    (work / "system").mkdir()
    system.save(work / "system")
    bundle.pack(work / "system", work / "bundle", Origin(
        contender=contender, task={"name": task, "digest": loaded.digest},
        recipe=recipe.model_dump_json(), base=ModelIdentity(tools.engine.name, tools.engine.digest),
        embedder=ModelIdentity(tools.embedder.name, tools.embedder.digest), precision="auto",
        data={}, metrics={}))
    return system, [example.question for example in loaded.test]


def _one_at_a_time(system: Composed, questions: Sequence[Question]) -> list[float]:
    """Seconds of each call of transformers' own `generate`, its prompt made beforehand."""
    from transformers import AutoModelForCausalLM

    engine: Any = system.engine
    weights = engine.weights
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(weights.files.folder), dtype=getattr(torch, weights.dtype)).eval()
    prompts = [one.prompt.conversation.tokens for one in system.asked(questions)]
    seconds = []
    with torch.inference_mode():
        for prompt in [prompts[0], *prompts]:
            ids = torch.tensor([prompt])
            started = time.perf_counter()
            model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False,
                max_new_tokens=system.max_tokens, stop_strings=list(system.stop) or None,
                tokenizer=weights.tokenizer)
            seconds.append(time.perf_counter() - started)
    return seconds[1:]


def _together(port: int, questions: Sequence[Question]) -> tuple[list[float], float]:
    """Seconds of each request of eight clients, and of all of them."""
    waiting = iter(questions)

    def client(_: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        seconds = []
        for question in waiting:
            started = time.perf_counter()
            status = _send(connection, json.dumps(
                {"messages": [{"role": "user", "content": question.text}]}).encode())
            assert status == 200, status
            seconds.append(time.perf_counter() - started)
        connection.close()
        return seconds

    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = [second for part in pool.map(client, range(CLIENTS)) for second in part]
    return found, time.perf_counter() - started


def _send(connection: http.client.HTTPConnection, body: bytes) -> int:
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    reply = connection.getresponse()
    reply.read()
    return reply.status


def _memory(port: int, questions: Sequence[Question]) -> None:
    tenth = max(1, len(questions) // 10)
    resident = []
    for start in range(0, len(questions), tenth):
        _together(port, questions[start : start + tenth])
        resident.append(_resident(port))
    told = " ".join(f"{mib:.0f}" for mib in resident)
    print(f"  memory over {len(questions)} requests, MiB after each tenth: {told}")


def _resident(port: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.search(r"^process_resident_memory_bytes (\S+)", text, re.MULTILINE)
    assert found
    return float(found[1]) / 2**20


def _malformed(port: int, count: int) -> None:
    """Bodies of a good request with bytes changed and cut off; none is to be a fault of ours."""
    good = json.dumps({"messages": [{"role": "user", "content": "?"}], "max_tokens": 1}).encode()
    draw, seen = random.Random(7), Counter[int]()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for _ in range(count):
        body = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        seen[_send(connection, bytes(body[: draw.randint(0, len(body))]))] += 1
    connection.close()
    assert not [status for status in seen if status >= 500], seen
    print(f"  {count} malformed requests: {dict(sorted(seen.items()))}")


def _line(seconds: Sequence[float], whole: float) -> str:
    p50, p95 = statistics.median(seconds) * 1e3, statistics.quantiles(seconds, n=20)[-1] * 1e3
    return f"{len(seconds) / whole:.2f} requests/s, p50 {p50:.0f} ms, p95 {p95:.0f} ms"


if __name__ == "__main__":
    main()
