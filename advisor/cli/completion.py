"""Print a completion script for bash, zsh, tcsh or fish: verbs, options and task names.

bash: advisor completion bash > ~/.local/share/bash-completion/completions/advisor
zsh:  advisor completion zsh > a folder of $fpath, as _advisor
fish: advisor completion fish > ~/.config/fish/completions/advisor.fish
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Any

from advisor.errors import AdvisorError

SHELLS = ("bash", "zsh", "tcsh", "fish")
# Looked up when the key is pressed, in the workspace that one is in.
TASKS = "advisor list --names 2>/dev/null"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS)


def execute(options: argparse.Namespace) -> int:
    try:
        import shtab
    except ModuleNotFoundError as missing:
        raise AdvisorError(f"completion needs {missing.name}, which is not installed",
                           fix="pip install 'adaptation-advisor[completion]'") from missing
    print(shtab.complete(whole_parser(shtab.cmd(TASKS)), options.shell))
    return 0


def whole_parser(tasks: Any) -> argparse.ArgumentParser:
    """One parser with all verbs; each run of the program builds only the one it needs.

    `tasks` is what completes the name of a task.
    """
    from advisor.cli import VERBS

    parser = argparse.ArgumentParser(prog="advisor", add_help=True)
    verbs = parser.add_subparsers(dest="verb")
    for verb, about in VERBS.items():
        module = import_module(f"advisor.cli.{verb}")
        under = verbs.add_parser(verb, help=about)
        module.arguments(under)
        for action in under._actions:
            if action.dest == "tasks":
                action.complete = tasks  # type: ignore[attr-defined]
    return parser
