"""A finished run on fakes, in a workspace, ready to be shipped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from material import RECIPES, ROOT, TASK, TRAIN, row, write_rows, write_task

from advisor.cli import main

DECLARED = """\
licence: Apache-2.0
source: made up
legal_basis: no personal data
intended_use: telling tolls
"""
SETTINGS = """\
latency_probe: 1
governance: {provider: Tolls Ltd, licence: apache-2.0, base_licence: apache-2.0}
"""


def home(root: Path, *recipes: str, subject: bool = False) -> Path:
    """A workspace whose task was run on the fake engine; its report is in reports/."""
    write_task(root / "evals" / "tolls")
    (root / "evals" / "tolls" / "task.yaml").write_text(TASK + DECLARED, encoding="utf-8")
    if subject:
        rows = [row(bridge, subject="ada-7") if i < 2 else row(bridge)
                for i, bridge in enumerate(TRAIN)]
        write_rows(root / "evals" / "tolls" / "train.jsonl", rows)
    suites = ["grammar"] if "lora" in recipes else []  # what is tuned must be measured
    for path in (ROOT / "evals" / "retention").glob("grammar.*") if suites else ():
        (root / "evals" / "retention").mkdir(exist_ok=True)
        shutil.copy(path, root / "evals" / "retention")
    (root / "advisor.yaml").write_text(f"{SETTINGS}retention: {suites}\n", encoding="utf-8")
    (root / "baselines").mkdir()
    for name in recipes:
        (root / "baselines" / f"{name}.yaml").write_text(RECIPES[name], encoding="utf-8")
    return root


def finished(root: Path) -> Path:
    """The run's folder; call it with the workspace as the current folder."""
    assert main(["run", "tolls", "--engine", "fake", "--no-input"]) == 0
    return root / "reports" / "tolls-fake"


def measured(root: Path, *recipes: str) -> Path:
    """A workspace with a finished run, whatever the current folder is."""
    home(root, *recipes)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finished(root)
    return root


def described(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((run / "run.yaml").read_text(encoding="utf-8"))
    return found
