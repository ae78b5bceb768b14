"""Who made which bytes out of what: an in-toto statement in a DSSE envelope.

Formats: in-toto Statement v1 with SLSA provenance v1 as predicate, and DSSE v1.0.0
(github.com/secure-systems-lab/dsse), whose signature is Ed25519.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from advisor import __version__
from advisor.ship.governance.facts import Facts
from advisor.ship.trust import private_key, public_line, sign, signed_by

PAYLOAD = "application/vnd.in-toto+json"
OURS = "urn:adaptation-advisor"


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
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sha}}
                    for name, sha in sorted(files.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{OURS}:run:v1",
                "externalParameters": {
                    "task": dict(run["task"]), "contender": facts.contender,
                    "recipe": facts.recipe.model_dump(mode="json"), "seed": run["seed"],
                },
                "internalParameters": {"precision": run["settings"]["precision"],
                                       "machine": run["machine"]},
                "resolvedDependencies": sources,
            },
            "runDetails": {
                "builder": {"id": OURS, "version": {"advisor": run["advisor"], **versions}},
            },
        },
    }


def rebuilt(files: Mapping[str, str], label: str, version: str) -> dict[str, Any]:
    """That `files` are the version of that label and id, without what was erased from it."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": sha}}
                    for name, sha in sorted(files.items())],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"{OURS}:erasure:v1", "externalParameters": {"of": version},
                "resolvedDependencies": [
                    {"name": f"manifest of {label}", "digest": {"sha256": version}}],
            },
            "runDetails": {"builder": {"id": OURS, "version": {"advisor": __version__}}},
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


def _encoded(body: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    return f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(body)} ".encode() + body
