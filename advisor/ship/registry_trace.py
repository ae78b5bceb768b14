"""From a version back to what it was made from, down to the rows."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from advisor.ship.governance.lineage import LINEAGE, parse
from advisor.ship.governance.provenance import PROVENANCE, signer
from advisor.ship.registry import Registry
from advisor.ship.registry_state import Version
from advisor.ship.trust import load_trust

SHOWN = 20  # rows on a screen; --json has all


def trace(registry: Registry, ref: str) -> dict[str, Any]:
    """The chain: alias, version, files, recipe, base, task, data files, rows.

    `rows` is None for a bundle that was packed without lineage. Raises AdvisorError when
    a file of the chain is not the one that was registered.
    """
    state = registry.state()
    one = registry.find(ref)
    manifest = json.loads(registry.objects.read(one.id))
    rows = None
    if LINEAGE in one.files:
        rows = parse(registry.objects.read(one.files[LINEAGE]))
        rows = [{**row, "erased": row["sha256"] in state.rows} for row in rows]
    return {
        "version": one.label, "id": one.id, "blocked": one.blocked,
        "aliases": sorted(alias.label for alias in state.pointing_at(one.id)),
        "registered": {"at": one.at, "by": one.by, "key": one.key},
        "provenance": _signer(registry, one),
        "contender": manifest["contender"], "recipe": json.loads(manifest["recipe"]),
        "base": manifest["base"], "endpoint": manifest.get("endpoint") or None,
        "embedder": manifest["embedder"], "task": manifest["task"],
        "files": dict(one.files), "data": manifest["data"], "rows": rows,
    }


def _signer(registry: Registry, one: Version) -> str:
    """Who signed the bundle's provenance: a person of the trust file, or who registered it."""
    if PROVENANCE not in one.files:
        return ""
    trust = load_trust(registry.root).file
    known = {key: name for name, person in (trust.people if trust else {}).items()
             for key in (person.key, *person.former_keys)}
    known |= {one.key: one.by} if one.key else {}
    return signer(registry.objects.read(one.files[PROVENANCE]), known)


def lines(found: dict[str, Any]) -> list[str]:
    """The trace for a screen."""
    names = ", ".join([*found["aliases"], found["version"]])
    said = [
        f"{names}  {found['id']}",
        f"  registered {found['registered']['at']} by {found['registered']['by']}",
        f"  provenance signed by {found['provenance']}" if found["provenance"] else
        "  provenance: none",
        f"  contender {found['contender']}",
        _speaking(found),
        f"  task {found['task']['name']}  {found['task']['digest']}",
    ]
    said += [f"  file {name}  {sha}" for name, sha in sorted(found["files"].items())]
    if found["rows"] is None:
        said += [f"  data {name}  {sha}" for name, sha in sorted(found["data"].items())]
        return [*said, "  rows: not recorded; the bundle was packed without lineage"]
    for (file, use), count in Counter((r["file"], r["use"]) for r in found["rows"]).items():
        if count > 1:
            said.append(f"  {count} rows of {file} {use}, the file {found['data'].get(file, '?')}")
    for row in found["rows"][:SHOWN]:
        mark = "  ERASED" if row["erased"] else ""
        said.append(f"  row {row['file']}:{row['line']} {row['id']}  {row['sha256']}  "
                    f"{row['use']}{mark}")
    if (more := len(found["rows"]) - SHOWN) > 0:
        said.append(f"  and {more} more rows; --json prints all")
    return said


def _speaking(found: dict[str, Any]) -> str:
    if told := found["endpoint"]:
        return (f"  endpoint {told['name']}: {told['model']} at {told['url']}, its weights not in "
                "the bundle and not verified")
    return f"  base {found['base']['name']}  {found['base']['digest']}"
