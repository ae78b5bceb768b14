"""Ask a bundle, or the winner of a finished run, one question in a fresh process."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from advisor.cli.tools import Opener, winner
from advisor.core import Question
from advisor.errors import AdvisorError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", type=Path,
                        help="a run folder, a bundle, or a registered version: production")
    parser.add_argument("text", help="the question")
    parser.add_argument("--choice", action="append", default=[], metavar="TEXT",
                        help="an allowed answer (repeatable)")
    parser.add_argument("--model", metavar="PATH_OR_ID",
                        help="where the base model is, if not where it was when measured")
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")


def execute(options: argparse.Namespace) -> int:
    from advisor.ship.registry import registered

    path = options.path
    if not options.text.strip():
        raise AdvisorError("the question is empty", fix=f'advisor ask {options.path} "..."')
    if not path.exists():
        path = registered(str(path))
    _, system = Opener(options.model).open(winner(path))
    [answer] = system.answer([Question("ask", options.text, tuple(options.choice))])
    if answer.failure:
        raise AdvisorError(answer.failure, fix="ask a shorter question")
    if options.json:
        print(json.dumps(asdict(answer), ensure_ascii=False, indent=2))
        return 0
    print(answer.text)
    for source in answer.sources:
        print(f"source: {source}")
    for made_up in answer.made_up:
        print(f"made up: {made_up}")
    for dropped in answer.dropped:
        print(f"left out of the prompt: {dropped}")
    return 0
