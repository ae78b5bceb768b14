"""What holding answers to a schema costs: the few-shot contender, free and held, in turn."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jsonschema

from advisor.cli.tools import real
from advisor.contenders import decoding
from advisor.contenders.recipe import prepare
from advisor.data.task import load_task
from advisor.workspace import Workspace
from tests.bench import sides, works

ROWS, REPEATS = 48, 5
SIDES = ("few-shot", "few-shot-json")


class Host(sides.Host):
    def held(self, repeats: int = REPEATS) -> dict[str, Any]:
        """Tokens each second of both, the pairs' ratios, and how many held answers are valid."""
        workspace = Workspace(works.ROOT)
        task = load_task(workspace.task_folder("ticket-triage"))
        settings = workspace.settings()
        tools = real(settings.model, settings.embedder, precision=settings.precision)
        questions = [row.question for row in task.material.dev[:ROWS]]
        schema = json.loads(decoding.schema(task.material))
        with tempfile.TemporaryDirectory() as folder:
            systems = [prepare(workspace.recipe(name), task.material, tools=tools, seed=0,
                               workdir=Path(folder) / name).system for name in SIDES]
            speeds: list[list[float]] = [[] for _ in SIDES]
            tokens, valid = [0, 0], 0
            for turn in range(repeats + 1):
                for side, system in enumerate(systems):
                    started = time.perf_counter()
                    answers = list(system.answer(questions))
                    seconds = time.perf_counter() - started
                    tokens[side] = sum(one.usage.tokens_out for one in answers)
                    if turn:  # the first compiles the schema and reads the beginning
                        speeds[side].append(tokens[side] / seconds)
                    if side:
                        valid = sum(_valid(one.text, schema) for one in answers)
        ratios = [held / free for free, held in zip(*speeds, strict=True)]
        return {"held": "ticket-triage, few-shot", "of": len(questions), "valid": valid,
                "free": statistics.median(speeds[0]), "steered": statistics.median(speeds[1]),
                "tokens": tokens, "ratio": statistics.median(ratios), "ratio_min": min(ratios),
                "ratio_max": max(ratios), "n": repeats}


def _valid(text: str, schema: dict[str, Any]) -> bool:
    try:
        jsonschema.validate(json.loads(text), schema)
    except (ValueError, jsonschema.ValidationError):
        return False
    return True
