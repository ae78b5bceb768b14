"""Serve what was measured over HTTP, in the manner of OpenAI's API.

A version, an alias that is followed as it moves, a bundle or a run's winner. One user
message is answered as `advisor ask` would. docs/serving.md says what else a request may ask.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from advisor.cli.tools import Opener, winner
from advisor.errors import AdvisorError
from advisor.workspace import Workspace

if TYPE_CHECKING:
    from advisor.serve.service import Service, Source


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", help="production, policy-qa@2, a bundle, or a run folder")
    add("--host", default="127.0.0.1", help="any other needs a token (default: 127.0.0.1)")
    add("--port", type=int, default=8000, help="0: any free one (default: 8000)")
    add("--token-file", type=Path, metavar="PATH",
        help="bearer tokens, one a line (default: the variable ADVISOR_TOKEN)")
    add("--queue", type=_positive, default=128, metavar="N",
        help="requests inside at once; more are told to come again (default: 128)")
    add("--timeout", type=float, default=30.0, metavar="SECONDS",
        help="from a request to its answer (default: 30)")
    add("--max-body", type=_positive, default=1 << 20, metavar="BYTES",
        help="the longest request (default: 1 MiB)")
    add("--poll", type=float, default=2.0, metavar="SECONDS",
        help="how often to look where the alias points (default: 2)")
    add("--history", choices=["refuse", "ignore"], default="refuse",
        help="what to do with messages other than the last question (default: refuse)")
    add("--model", metavar="PATH_OR_ID",
        help="where the base model is, if not where it was when measured")


def execute(options: argparse.Namespace) -> int:
    from advisor.ship.exporting import exported

    _check(options)
    # oneDNN keeps what it makes for every shape of a batch, by default of the last 1,024: a server
    # meets new ones for a long time, and its memory grows with them (docs/serving.md).
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    if told := exported(Path(options.what)):
        raise AdvisorError(f"{options.what} is an export, which other programs serve",
                           fix=told["command"])
    try:
        from advisor.serve import app, server
        from advisor.serve.desk import Desk
        from advisor.serve.metrics import Metrics
        from advisor.serve.service import Service
        from advisor.serve.tokens import VARIABLE, tokens
    except ModuleNotFoundError as missing:
        raise AdvisorError(f"serving needs {missing.name}, which is not installed",
                           fix="pip install 'adaptation-advisor[serve]'") from missing
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    logging.getLogger("advisor").setLevel(logging.INFO)
    given, local = tokens(options.token_file), server.is_local(options.host)
    if not (local or given.digests):
        raise AdvisorError(f"--host {options.host} can be reached from elsewhere and no token is "
                           "asked for", fix=f"set {VARIABLE}, or name a --token-file")
    with closing(server.listening(options.host, options.port)) as listening, \
            closing(Desk(most=options.queue)) as desk:
        service = Service(_source(options.what), Opener(options.model).open, desk)
        api = app.Api(service, Metrics(service), app.Limits(options.timeout, options.max_body),
                      options.history)
        hosts = () if given.digests or not local else (*server.LOOPBACK, options.host)
        serving = server.server(app.application(api, given, hosts=hosts), api)
        server.heed_hangup(service)
        _tell(service, options.host, listening.getsockname()[1], token=bool(given.digests))
        service.follow(options.poll)
        serving.run(sockets=[listening])
        service.end()
    return 0


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("expected 1 or more")
    return value


def _check(options: argparse.Namespace) -> None:
    for name in ("timeout", "poll"):
        if not 0 < getattr(options, name) < 1e6:
            raise AdvisorError(f"--{name}: expected seconds above 0", fix=f"--{name} 30")
    if not 0 <= options.port < 1 << 16:
        raise AdvisorError(f"--port {options.port}: expected 0 to 65535", fix="--port 8000")


def _source(what: str) -> Source:
    from advisor.serve.service import Folder, Registered
    from advisor.ship.bundle import verify
    from advisor.ship.registry import Registry, registered

    if Path(what).exists():
        path = winner(Path(what))
        return Folder(path, verify(path)["task"]["name"])
    registered(what)  # says what is wrong with the name
    return Registered(Registry(Workspace.find(Path.cwd()).root), what)


def _tell(service: Service, host: str, port: int, *, token: bool) -> None:
    served = service.current
    where = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    print(f"serving {served.name} ({served.target.id[:12]}, {served.manifest['contender']}) on "
          f"{where}" + ("" if token else ", for this machine alone"))
    print(f"  from openai import OpenAI; OpenAI(base_url={where!r}, api_key="
          + ("YOUR_TOKEN" if token else "'none'") + ")")
    if fleet := _fleet(service):
        print(f"  on GPUs, its prompt left to the caller: {fleet}")
    sys.stdout.flush()


def _fleet(service: Service) -> str:
    """What serves its weights with vLLM; empty where they are not here, or there are none."""
    from advisor.contenders.composed import Composed
    from advisor.ship.fleet import serving

    served = service.current
    system = served.system
    if not isinstance(system, Composed) or system.engine is None:
        return ""
    return serving(system.recipe, served.target.folder, system.engine,
                   name=served.manifest["task"]["name"])
