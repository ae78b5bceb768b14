"""Make a folder a workspace that runs at once: advisor.yaml, evals/, baselines/, reports/."""

from __future__ import annotations

import argparse
from pathlib import Path

from advisor.workspace import scaffold


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", default=".", help="default: this folder")


def execute(options: argparse.Namespace) -> int:
    target = Path(options.folder)
    made = scaffold(target)
    print(f"{len(made)} files written to {target}")
    where = "" if options.folder == "." else f"cd {target} && "
    print(f"next: {where}advisor run ticket-triage policy-qa")
    return 0
