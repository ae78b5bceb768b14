"""Ask a bundle, or the winner of a finished run, one question in a fresh process."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from advisor.cli.tools import for_bundle
from advisor.core import Question
from advisor.engines.openai import Endpoint, endpoint
from advisor.errors import AdvisorError
from advisor.workspace import Workspace


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
    from advisor.contenders.recipe import reopen
    from advisor.ship.bundle import MANIFEST, verify
    from advisor.ship.registry import registered

    path = options.path
    if not options.text.strip():
        raise AdvisorError("the question is empty", fix=f'advisor ask {options.path} "..."')
    if not path.exists():
        path = registered(str(path))
    if not (path / MANIFEST).is_file() and (path / "winner").is_dir():
        path = path / "winner"
    manifest = verify(path)
    tools = replace(for_bundle(manifest, path, options.model), endpoints=_endpoints())
    system, _ = reopen(path, tools)
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


def _endpoints() -> dict[str, Endpoint]:
    """Those of the user's own advisor.yaml: a bundle names no place to send questions to."""
    try:
        given = Workspace.find(Path.cwd()).settings().endpoints
    except AdvisorError:
        return {}
    return {name: endpoint(name, one) for name, one in given.items()}

