"""What must not be forgotten: lm-eval suites, item by item.

lm-eval defines tasks, metrics and filters; the engine only supplies log-likelihoods,
through a model class of lm-eval's own kind.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from advisor.data.digest import digest
from advisor.engines.protocol import Engine
from advisor.errors import AdvisorError
from advisor.measures import owntext
from advisor.measures.owntext import OwnText
from advisor.trial import SuiteScores

FEWSHOT_SEED = 1234  # lm-eval's own default


@dataclass(frozen=True, slots=True)
class Suite:
    """One lm-eval task: a name it knows, or the content of a YAML file with its data.

    `digest` covers the YAML and every local data file.
    """

    name: str
    config: Mapping[str, Any] | None
    chance: float
    digest: str


def load_suites(names: Sequence[str], find: Callable[[str], Path | None]) -> tuple[Suite, ...]:
    """Suites by name; `find` maps a name to its YAML file, None for lm-eval's own tasks and
    for the base's own text."""
    return tuple(_load(name, find(name)) for name in names)


def measure(
    engine: Engine, suites: Sequence[Suite], *, own_text: Sequence[OwnText] = ()
) -> dict[str, SuiteScores]:
    """Score every item of every suite on the engine's weights, without a chat template.

    `own_text` is what the base wrote, for the suite of that name.
    """
    if not suites:
        raise AdvisorError(
            "no retention suite is listed, so forgetting cannot be measured",
            fix="name suites under `retention` in advisor.yaml, or drop the tuned contenders",
        )
    asked = [suite for suite in suites if suite.name != owntext.NAME]
    with _quiet():
        samples = _evaluate(engine, asked) if asked else {}
    return {
        suite.name: _scores(suite, samples[_task_name(suite)]) if suite in asked
        else owntext.measure(engine, own_text)
        for suite in suites
    }


def _load(name: str, path: Path | None) -> Suite:
    if name == owntext.NAME and path is None:
        return Suite(name, None, 0.0, owntext.DIGEST)
    if path is None:
        return Suite(name, None, 0.0, digest(["lm-eval", _lm_eval_version(), name]))
    text = path.read_text(encoding="utf-8")
    try:
        # A safe load also refuses `!function`: a suite must not bring code along.
        config = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-02-31
        raise AdvisorError(
            f"{path}: not an lm-eval task of plain YAML: {error}",
            fix="write doc_to_text and doc_to_target as Jinja templates, without !function",
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get("task"), str):
        raise AdvisorError(f"{path}: not an lm-eval task: it has no key `task`",
                           fix=f"edit {path}")
    files = _data_files(path, config)
    content = [text, *(files[split].read_text(encoding="utf-8") for split in sorted(files))]
    if files:
        paths = {split: str(file) for split, file in files.items()}
        config["dataset_kwargs"] = {**config["dataset_kwargs"], "data_files": paths}
    chance = float((config.get("metadata") or {}).get("chance", 0.0))
    return Suite(name, config, chance, digest(content))


def _data_files(path: Path, config: Mapping[str, Any]) -> dict[str, Path]:
    given = (config.get("dataset_kwargs") or {}).get("data_files") or {}
    if isinstance(given, str):
        given = {config.get("test_split", "test"): given}
    files = {split: (path.parent / name).resolve() for split, name in given.items()}
    for file in files.values():
        if not file.is_file():
            raise AdvisorError(f"{path}: its data file {file} does not exist", fix=f"edit {path}")
    return files


def _task_name(suite: Suite) -> str:
    return str(suite.config["task"]) if suite.config else suite.name


def _evaluate(engine: Engine, suites: Sequence[Suite]) -> Mapping[str, list[dict[str, Any]]]:
    try:
        import lm_eval
        from lm_eval.tasks import TaskManager
    except ModuleNotFoundError as missing:
        raise AdvisorError(
            f"measuring forgetting needs {missing.name}, which is not installed",
            fix="pip install 'adaptation-advisor[forgetting]'",
        ) from missing
    from advisor.measures.lm_eval_model import EngineModel

    bundled = any(suite.config is None for suite in suites)
    # Scanning the bundled tasks takes half a minute: only when one is asked for.
    loaded = TaskManager(include_defaults=bundled).load(
        [dict(suite.config) if suite.config else suite.name for suite in suites]
    )
    absent = [suite.name for suite in suites if _task_name(suite) not in loaded["tasks"]]
    if absent:
        raise AdvisorError(
            f"retention suite {absent[0]!r} is a group of lm-eval tasks",
            fix="list its tasks one by one: " + ", ".join(sorted(loaded["tasks"])[:8]),
        )
    for task in loaded["tasks"].values():
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
    result = lm_eval.evaluate(
        lm=EngineModel(engine), task_dict=loaded, bootstrap_iters=0, log_samples=True
    )
    samples: Mapping[str, list[dict[str, Any]]] = result["samples"]
    return samples


def _scores(suite: Suite, samples: Sequence[dict[str, Any]]) -> SuiteScores:
    if not samples:
        raise AdvisorError(
            f"retention suite {suite.name!r} gave no items", fix="check its test_split"
        )
    if "bits_per_byte" in samples[0]:
        values = {_item(sample): _bits(sample["bits_per_byte"]) for sample in samples}
        return SuiteScores(suite.name, "bits_per_byte", 0.0, values)
    if "acc" in samples[0]:
        values = {_item(sample): float(sample["acc"]) for sample in samples}
        return SuiteScores(suite.name, "acc", suite.chance, values)
    raise AdvisorError(
        f"retention suite {suite.name!r} has neither `acc` nor `bits_per_byte` per item",
        fix="add one of them to its metric_list, or drop the suite from advisor.yaml",
    )


def _item(sample: Mapping[str, Any]) -> str:
    return str(sample["doc"].get("id", sample["doc_id"]))


def _bits(pair: tuple[float, float]) -> float:
    log_likelihood, size = pair
    return -log_likelihood / (size * math.log(2))


def _lm_eval_version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("lm_eval")
    except PackageNotFoundError:
        return "none"


@contextmanager
def _quiet() -> Iterator[None]:
    """lm-eval logs every task to the console."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
