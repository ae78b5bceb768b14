"""Versions of what was shipped: who made them, which are in use, where they come from.

The registry is the folder registry/ of the workspace. A version is named NAME@NUMBER,
NAME@ALIAS, ALIAS where that leaves no doubt, or by the start of its id. With a trust.yaml
beside advisor.yaml, whoever changes something signs it: --key PATH, or ADVISOR_KEY.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from advisor.errors import AdvisorError, Faults
from advisor.ship.registry import Move, Registry, key_from_environment
from advisor.ship.registry_state import State, Version
from advisor.workspace import Workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, about: str, *, writes: bool = False) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=about, description=about)
        made.add_argument("--json", action="store_true", help="print JSON")
        if writes:
            made.add_argument("--key", type=Path, metavar="PATH",
                              help="your Ed25519 private key (default: ADVISOR_KEY)")
        return made

    verb("list", "all versions and aliases")
    verb("show", "one version: what it is, where it comes from").add_argument("version")
    promote = verb("promote", "point an alias at a version", writes=True)
    promote.add_argument("version")
    promote.add_argument("alias", help="production, candidate, or any name")
    promote.add_argument("--expect", default="", metavar="VERSION",
                         help="only if the alias points at this now (none: at nothing)")
    promote.add_argument("--gate", type=Path, metavar="FILE", help="a gate's result")
    rollback = verb("rollback", "point an alias at its version before", writes=True)
    rollback.add_argument("alias")
    verb("unalias", "remove an alias", writes=True).add_argument("alias")
    verb("delete", "give up a version that no alias points at", writes=True).add_argument("version")
    history = verb("history", "everything that happened, oldest first")
    history.add_argument("alias", nargs="?", default="", help="only this alias, or version")
    verb("trace", "from a version to the rows it was made from").add_argument("version")
    verb("verify", "check every byte, link and signature")
    verb("gc", "delete files that nothing needs", writes=True)
    bring = verb("import", "register a bundle from a folder or .zip", writes=True)
    bring.add_argument("path", type=Path)
    bring.add_argument("--as", dest="name", required=True, metavar="NAME")
    bring.add_argument("--model", metavar="PATH_OR_ID", help="where the base model is")
    mirror = verb("mirror", "copy a version to an MLflow server")
    mirror.add_argument("version")
    mirror.add_argument("--mlflow", required=True, metavar="URI",
                        help="of the server, such as http://127.0.0.1:5000")
    erase = verb("erase", "find what holds data of a person, and block it", writes=True)
    erase.add_argument("--subject", required=True, help="as in the rows' `subject`")
    erase.add_argument("--out", type=Path, metavar="DIR",
                       help="for plan and certificate (default: reports/erasure-...)")


def execute(options: argparse.Namespace) -> int:
    key = getattr(options, "key", None) or key_from_environment()
    registry = Registry(Workspace.find(Path.cwd()).root, key)
    lines, data = VERBS[options.verb](registry, options)
    print(json.dumps(data, indent=2, ensure_ascii=False) if options.json else "\n".join(lines))
    return 0


Said = tuple[list[str], Any]


def _list(registry: Registry, _: argparse.Namespace) -> Said:
    state = registry.state()
    data = [_brief(state, one) for one in _alive(state)]
    if not data:
        return ["no version yet; next: advisor ship RUN"], data
    lines = []
    for one in data:
        marks = [*one["aliases"], *(["BLOCKED"] if one["blocked"] else [])]
        metrics = one["metrics"]
        scored = f"{metrics['primary']} {metrics['value']:.3f}" if "value" in metrics else "-"
        lines.append(f"{one['version']:<24} {one['id'][:12]}  {one['contender']:<14} "
                     f"{scored:<22} {one['at'][:10]}  {', '.join(marks)}".rstrip())
    return lines, data


def _show(registry: Registry, options: argparse.Namespace) -> Said:
    state = registry.state()
    one = registry.find(options.version)
    manifest = json.loads(registry.objects.read(one.id))
    data = {**_brief(state, one), "manifest": manifest}
    quality = one.about["metrics"]
    lines = [f"{one.label}  {one.id}",
             f"registered {one.at} by {one.by}{' (signed)' if one.key else ''}",
             f"aliases: {', '.join(data['aliases']) or 'none'}"]
    lines += [f"BLOCKED: {one.blocked}"] if one.blocked else []
    told = one.about.get("endpoint")
    speaker = f"{told['model']} at {told['url']}" if told else one.about["base"]["name"]
    lines += [f"contender {one.about['contender']} on {speaker}, "
              f"task {one.about['task']['name']}"]
    if "value" in quality:
        lines.append(f"{quality['primary']} {quality['value']:.3f} "
                     f"[{quality['low']:.3f}, {quality['high']:.3f}], n={quality['n']}")
    lines += [f"  {sha[:12]}  {name}" for name, sha in sorted(one.files.items())]
    return lines, data


def _promote(registry: Registry, options: argparse.Namespace) -> Said:
    move = Move(options.version, options.alias, options.expect, options.gate)
    return _pointed(registry, registry.promote(move))


def _rollback(registry: Registry, options: argparse.Namespace) -> Said:
    return _pointed(registry, registry.rollback(options.alias))


def _pointed(registry: Registry, alias: Any) -> Said:
    one = registry.state().versions[alias.version]
    return [f"{alias.label} -> {one.label} ({one.id[:12]})"], {
        "alias": alias.label, "version": one.label, "id": one.id}


def _unalias(registry: Registry, options: argparse.Namespace) -> Said:
    alias = registry.unalias(options.alias)
    return [f"{alias.label} removed"], {"alias": alias.label}


def _delete(registry: Registry, options: argparse.Namespace) -> Said:
    one = registry.delete(options.version)
    return [f"{one.label} deleted; advisor registry gc frees its files"], {"version": one.label}


def _history(registry: Registry, options: argparse.Namespace) -> Said:
    state = registry.state()
    events = [{**event.fields, "hash": event.hash, "signed": bool(event.signature)}
              for event in registry.log.read()]
    if options.alias:
        events = [event for event in events if _concerns(state, event["data"], options.alias)]
        if not events:
            raise AdvisorError(f"nothing happened to {options.alias!r}",
                               fix="advisor registry history")
    lines = [f"{event['seq']:>4}  {event['at'][:19]}  {event['actor']['name']:<12} "
             f"{'signed' if event['signed'] else '':<6}  {_told(state, event)}"
             for event in events]
    head = events[-1]["hash"] if events else "-"
    return [*lines, f"head {head}"], events


def _concerns(state: State, data: Mapping[str, Any], ref: str) -> bool:
    name, _, alias = ref.rpartition("@")
    if data.get("alias") == alias and name in ("", data["name"]):
        return True
    ids = {data.get(key) for key in ("id", "to", "from")} | set(data.get("versions", ()))
    return any(one.id in ids and ref in (one.label, one.id) for one in state.versions.values())


def _told(state: State, event: Mapping[str, Any]) -> str:
    data, kind = event["data"], event["kind"]

    def label(key: str) -> str:
        return state.versions[key].label if key else "nothing"

    if kind in ("promoted", "rolled_back"):
        gate = " (gate passed)" if data["gate"] else ""
        return f"{kind} {data['name']}@{data['alias']}: {label(data['from'])} -> " \
               f"{label(data['to'])}{gate}"
    if kind in ("registered", "deleted"):
        return f"{kind} {label(data['id'])} ({data['id'][:12]})"
    if kind == "unaliased":
        return f"removed {data['name']}@{data['alias']}"
    if kind == "erased":
        blocked = ", ".join(map(label, data["versions"])) or "no version"
        return f"erased {len(data['rows'])} rows of {data['subject'][:12]}; blocked {blocked}"
    return f"collected {data['files']} files, {data['bytes']} bytes"


def _trace(registry: Registry, options: argparse.Namespace) -> Said:
    from advisor.ship.registry_trace import lines, trace

    found = trace(registry, options.version)
    return lines(found), found


def _verify(registry: Registry, _: argparse.Namespace) -> Said:
    from advisor.ship.registry_verify import faults

    if not registry.folder.is_dir():
        return _list(registry, _)
    if found := faults(registry):
        raise Faults(str(registry.folder), found,
                     fix="restore what is named from a copy; keep the folder as it is till then")
    state, events = registry.state(), registry.log.read()
    data = {"versions": len(_alive(state)), "events": len(events), "head": events[-1].hash
            if events else "", "files": sum(1 for _ in registry.objects.all())}
    return [f"sound: {data['versions']} versions, {data['files']} files, {data['events']} events",
            f"head {data['head']}"], data


def _gc(registry: Registry, _: argparse.Namespace) -> Said:
    count, freed = registry.gc()
    return [f"{count} files deleted, {freed} bytes freed"], {"files": count, "bytes": freed}


def _import(registry: Registry, options: argparse.Namespace) -> Said:
    from advisor.cli.tools import for_bundle
    from advisor.ship.arriving import arrived
    from advisor.ship.bundle import verify

    with arrived(options.path) as folder:
        # A bundle that nothing here can answer with is no use, and perhaps a lie.
        for_bundle(verify(folder), folder, options.model)
        one = registry.register(folder, options.name)
    return [f"{one.label} ({one.id[:12]})"], _brief(registry.state(), one)


def _mirror(registry: Registry, options: argparse.Namespace) -> Said:
    from advisor.ship.mirror import mirror

    done = mirror(registry, options.version, options.mlflow)
    state = "copied to" if done.new else "is there already:"
    return [f"{options.version} {state} {done.uri}: model {done.model}, version {done.version} "
            f"(run {done.run})"], asdict(done)


def _erase(registry: Registry, options: argparse.Namespace) -> Said:
    from advisor.ship.registry_erase import erase, lines

    found = erase(registry, options.subject, out=options.out)
    return lines(found), found


def _alive(state: State) -> list[Version]:
    alive = [one for one in state.versions.values() if not one.deleted]
    return sorted(alive, key=lambda one: (one.name, one.number))


def _brief(state: State, one: Version) -> dict[str, Any]:
    return {
        "version": one.label, "id": one.id, "at": one.at, "by": one.by, "signed": bool(one.key),
        "aliases": sorted(alias.alias for alias in state.pointing_at(one.id)),
        "blocked": one.blocked, **one.about,
    }


VERBS: dict[str, Callable[[Registry, argparse.Namespace], Said]] = {
    "list": _list, "show": _show, "promote": _promote, "rollback": _rollback,
    "unalias": _unalias, "delete": _delete, "history": _history, "trace": _trace,
    "verify": _verify, "gc": _gc, "import": _import, "erase": _erase, "mirror": _mirror,
}
