"""The result of a gate, as a promotion reads it."""

from __future__ import annotations

import json
from pathlib import Path

from advisor.errors import AdvisorError
from advisor.ship.registry_state import Version


def passed(path: Path | None, wanted: Version, current: str, *, demanded: bool) -> bytes:
    """The content of a gate's result that lets `wanted` pass; empty when none was given.

    A result is a JSON object: `candidate` is the id of the version that was tried,
    `result` is pass, fail or inconclusive, and `against`, if there, is the id of the
    version it was compared with.
    """
    if path is None:
        if demanded:
            why = ("it was made by an erasure and nobody has measured it, so it needs a gate "
                   "that was passed" if "successor_of" in wanted.about
                   else "this alias demands a gate that was passed")
            raise AdvisorError(f"{wanted.label}: {why}",
                               fix="--gate FILE, the result of advisor gate")
        return b""
    try:
        content = path.read_bytes()
        found = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        raise AdvisorError(f"{path}: cannot be read as a gate's result: {error}",
                           fix="--gate FILE, the result of advisor gate") from error
    if not isinstance(found, dict) or not {"candidate", "result"} <= found.keys():
        raise AdvisorError(f"{path}: is no gate's result (no `candidate` and `result`)",
                           fix="--gate FILE, the result of advisor gate")
    if found["candidate"] != wanted.id:
        raise AdvisorError(f"{path}: is about {str(found['candidate'])[:12]}, "
                           f"not about {wanted.label} ({wanted.id[:12]})",
                           fix="run the gate on this version")
    if found["result"] != "pass":
        raise AdvisorError(f"{path}: the gate says {found['result']!r}, not 'pass'",
                           fix="improve the candidate, or measure on more rows")
    if current and found.get("against", current) != current:
        raise AdvisorError(f"{path}: compares with {str(found['against'])[:12]}, but the alias "
                           f"points at {current[:12]}", fix="run the gate against what is there")
    return content
