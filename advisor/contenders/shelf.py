"""Solved examples on disk: what a system with shots keeps beside its recipe."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from advisor.config import PromptSpec
from advisor.contenders.prompt import FixedShots, NearestShots, RandomShots, Shots
from advisor.core import Example, Question
from advisor.engines.embedders import Embedder
from advisor.errors import AdvisorError


def save(shots: Shots, folder: Path) -> None:
    """shots.jsonl, and beside it shots.npy (vectors) or shots.json (the seed)."""
    examples: tuple[Example, ...]
    if isinstance(shots, NearestShots):
        examples = shots.pool
        np.save(folder / "shots.npy", shots.vectors, allow_pickle=False)
    elif isinstance(shots, RandomShots):
        examples = shots.pool
        (folder / "shots.json").write_text(json.dumps({"seed": shots.seed}) + "\n")
    elif isinstance(shots, FixedShots):
        examples = shots.examples
    else:
        raise AdvisorError(
            f"shots of kind {type(shots).__name__} cannot be saved",
            fix="use one of the kinds of prompt.select",
        )
    with (folder / "shots.jsonl").open("w", encoding="utf-8") as stream:
        for example in examples:
            stream.write(json.dumps(asdict(example)) + "\n")  # ASCII: U+2028 would end a line


def load(folder: Path, prompt: PromptSpec, *, embedder: Embedder) -> Shots:
    """What `save` wrote."""
    lines = (folder / "shots.jsonl").read_text(encoding="utf-8").splitlines()
    examples = tuple(_example(json.loads(line)) for line in lines)
    if prompt.shots and prompt.select == "nearest":
        vectors = np.load(folder / "shots.npy", allow_pickle=False)
        return NearestShots(examples, vectors, embedder, prompt.shots)
    if prompt.shots and prompt.select == "random":
        seed = json.loads((folder / "shots.json").read_text(encoding="utf-8"))["seed"]
        return RandomShots(examples, prompt.shots, seed)
    return FixedShots(examples)


def without(folder: Path, ids: Collection[str]) -> int:
    """Take the examples of these question ids out of what `save` wrote; how many are left."""
    lines = (folder / "shots.jsonl").read_text(encoding="utf-8").splitlines()
    keep = [i for i, line in enumerate(lines) if json.loads(line)["question"]["id"] not in ids]
    (folder / "shots.jsonl").write_text("".join(f"{lines[i]}\n" for i in keep), "utf-8")
    if (folder / "shots.npy").is_file():
        vectors = np.load(folder / "shots.npy", allow_pickle=False)
        np.save(folder / "shots.npy", vectors[keep], allow_pickle=False)
    return len(keep)


def _example(row: dict[str, Any]) -> Example:
    question = row["question"]
    return Example(
        Question(question["id"], question["text"], _strings(question["choices"])),
        targets=_strings(row["targets"]),
        group=str(row["group"]),
        sources=_strings(row["sources"]),
        facts=_strings(row.get("facts", [])),
    )


def _strings(value: Any) -> tuple[str, ...]:
    assert isinstance(value, list)
    return tuple(str(item) for item in value)
