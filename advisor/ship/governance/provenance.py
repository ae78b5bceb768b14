"""Who made which bytes out of what: an in-toto statement in a DSSE envelope.

Formats: in-toto Statement v1 with SLSA provenance v1 as predicate, and DSSE v1.0.0
(github.com/secure-systems-lab/dsse), whose signature is Ed25519.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from advisor import __version__
from advisor.errors import AdvisorError
from advisor.ship.governance.facts import Facts
from advisor.ship.trust import private_key, public_line, sign, signed_by

PAYLOAD = "application/vnd.in-toto+json"
OURS = "urn:adaptation-advisor"
PROVENANCE = "governance/provenance.json"  # its place in a bundle


def statement(facts: Facts, files: Mapping[str, str]) -> dict[str, Any]:
    """That `files` (path to sha256) were made by this recipe from this base and data."""
    run = facts.run
    sources = [
        {"name": f"model {facts.speaker}, not verified", "uri": facts.endpoint["url"]}
        if facts.endpoint else
        {"name": f"base model {facts.base_id}", "digest": {"sha256": run["model"]["digest"]}},
        {"name": f"embedder {run['embedder']['name']}",
         "digest": {"sha256": run["embedder"]["digest"]}},
        *({"name": f"evals/{facts.task.name}/{name}", "digest": {"sha256": sha}}
          for name, sha in sorted(run["data"].items())),
    ]
    versions = {k: v for k, v in run["versions"].items() if v != "not installed"}
    return _slsa(
        files, "run", sources, versions={"advisor": run["advisor"], **versions},
        parameters={
            "task": dict(run["task"]), "contender": facts.contender,
            "recipe": facts.recipe.model_dump(mode="json"), "seed": facts.seed,
        },
        internal={"precision": run["settings"]["precision"], "machine": run["machine"]},
    )


def rebuilt(files: Mapping[str, str], label: str, version: str) -> dict[str, Any]:
    """That `files` are the version of that label and id, without what was erased from it."""
    source = {"name": f"manifest of {label}", "digest": {"sha256": version}}
    return _slsa(files, "erasure", [source], parameters={"of": version},
                 versions={"advisor": __version__})


def _slsa(
    files: Mapping[str, str], kind: str, sources: Sequence[Mapping[str, Any]], *,
    parameters: Mapping[str, Any], versions: Mapping[str, str],
    internal: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The statement that `files` were made from `sources` by a build of ours of that kind."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sha}}
                    for name, sha in sorted(files.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{OURS}:{kind}:v1", "externalParameters": dict(parameters),
                **({"internalParameters": dict(internal)} if internal else {}),
                "resolvedDependencies": list(sources),
            },
            "runDetails": {"builder": {"id": OURS, "version": dict(versions)}},
        },
    }


def envelope(payload: Mapping[str, Any], key_file: Path | None) -> dict[str, Any]:
    """The statement in DSSE; without a key its list of signatures is empty."""
    body = json.dumps(payload, sort_keys=True, ensure_ascii=False).encode()
    signatures = []
    if key_file is not None:
        private = private_key(key_file)
        public = public_line(private)
        signatures = [{"keyid": sha256(public.encode()).hexdigest(),
                       "sig": sign(private, _encoded(body))}]
    return {"payloadType": PAYLOAD, "payload": base64.b64encode(body).decode(),
            "signatures": signatures}


def opened(signed: Mapping[str, Any], public: str) -> dict[str, Any] | None:
    """The statement, if the key in the OpenSSH line `public` signed it; otherwise None."""
    body = base64.b64decode(signed["payload"])
    if not any(signed_by(public, _encoded(body), one["sig"]) for one in signed["signatures"]):
        return None
    found: dict[str, Any] = json.loads(body)
    return found


def signer(content: bytes, known: Mapping[str, str]) -> str:
    """Who signed the envelope in `content`, by the names of `known` keys (OpenSSH lines)."""
    signed = json.loads(content)
    if not signed["signatures"]:
        return "nobody"
    names = [name for key, name in known.items() if opened(signed, key) is not None]
    return " and ".join(dict.fromkeys(names)) or "a key that is not known here"


def refuse_lies(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise AdvisorError when a bundle's statement, if it has one, and its manifest disagree."""
    path = folder / PROVENANCE
    if path.is_file() and (wrong := _contradiction(path.read_bytes(), manifest)):
        raise AdvisorError(f"{path} {wrong}", fix="do not use this bundle; fetch it again from "
                           "whoever made it")


def _contradiction(content: bytes, manifest: Mapping[str, Any]) -> str:
    try:
        signed = json.loads(content)
        found = json.loads(base64.b64decode(signed["payload"], validate=True))
        said = {one["name"]: one["digest"]["sha256"] for one in found["subject"]}
        made = found["predicate"]["buildDefinition"]["externalParameters"]
        if not all(isinstance(one["sig"], str) for one in signed["signatures"]):
            return "holds no signatures"
        claims = {"contender": made.get("contender"), "recipe": made.get("recipe"),
                  "task": made.get("task") and made["task"]["digest"],
                  "successor_of": made.get("of")}
        told = {"contender": manifest["contender"], "recipe": json.loads(manifest["recipe"]),
                "task": manifest["task"]["digest"],
                "successor_of": manifest["metrics"].get("successor_of")}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "is no statement about this bundle"
    files = {name: sha for name, sha in manifest["files"].items() if name != PROVENANCE}
    if other := [name for name in sorted({*said, *files}) if said.get(name) != files.get(name)]:
        return f"is about another {other[0]} than the manifest"
    wrong = [name for name, value in claims.items() if value is not None and value != told[name]]
    return f"says another {wrong[0]} than the manifest" if wrong else ""


def _encoded(body: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(body)} ".encode() + body
