"""The bill of materials: CycloneDX 1.6 with a model card (ecma-international.org, ECMA-424)."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from advisor.data.digest import digest
from advisor.ship.governance.facts import NOT_DECLARED, Facts

PURL = "pkg:pypi/{name}@{version}"


def bom(facts: Facts) -> dict[str, Any]:
    """What the bundle is made of, each part with its digest or version.

    The serial number follows from the content, so that the same bundle has the same.
    """
    base, embedder, data = "base-model", "embedder", "data"
    parts = [
        *([] if facts.endpoint else [
            _model(base, facts.base_id, facts.run["model"]["digest"],
                   licence=facts.declared.base_licence)]),
        _model(embedder, facts.run["embedder"]["name"], facts.run["embedder"]["digest"]),
        _data(facts, data),
        *(_library(name, version) for name, version in sorted(facts.run["versions"].items())
          if version != "not installed" and name != "python"),
        *(_file(name, sha) for name, sha in sorted(facts.files.items())),
    ]
    main, services = "this", _services(facts)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, digest(dict(facts.files)))}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "adaptation-advisor",
                                      "version": facts.run["advisor"]}]},
            "component": {
                "type": "machine-learning-model", "bom-ref": main, "name": facts.name,
                "version": digest(dict(facts.files))[:12],
                "description": facts.task.title,
                **_licences(facts.declared.licence),
                "modelCard": _card(facts, data),
            },
        },
        "components": parts,
        **({"services": services} if services else {}),
        "dependencies": [
            {"ref": main, "dependsOn": [part["bom-ref"] for part in (*parts, *services)]},
            *({"ref": part["bom-ref"]} for part in (*parts, *services)),
        ],
    }


def _services(facts: Facts) -> list[dict[str, Any]]:
    """The endpoint that answers; its weights are no component, since nobody can name them."""
    told = facts.endpoint
    if not told:
        return []
    return [{"bom-ref": "endpoint", "name": told["model"], "description": told["weights"],
             "endpoints": [told["url"]], "x-trust-boundary": True}]


def _card(facts: Facts, data: str) -> dict[str, Any]:
    task = facts.task
    approach = {"approach": {"type": "supervised"}} if facts.tuned else {}
    return {
        "modelParameters": {
            **approach,
            "task": {"exact": "classification", "choice": "classification",
                     "json": "information-extraction", "short_answer": "question-answering",
                     }.get(task.scorer.kind, "text-generation"),
            "datasets": [{"ref": data}],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "text"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [
            {"type": name, "value": _figure(one["value"]), "slice": f"test, n={one['n']}",
             "confidenceInterval": {"lowerBound": _figure(one["low"]),
                                    "upperBound": _figure(one["high"])}}
            for name, one in facts.measures.items()
        ]},
        "considerations": {
            "useCases": [task.intended_use or f"intended use: {NOT_DECLARED}"],
            "technicalLimitations": [
                f"measured on {facts.standing['quality']['n']} items of one task only"],
        },
    }


def _data(facts: Facts, ref: str) -> dict[str, Any]:
    files = facts.run["data"]
    return {
        "type": "data", "bom-ref": ref, "name": facts.task.name,
        "description": facts.task.source or f"source: {NOT_DECLARED}",
        "hashes": _hashes(digest(dict(files))), **_licences(facts.task.licence),
        "data": [{
            "type": "dataset", "name": facts.task.name,
            "sensitiveData": [f"personal data: {facts.task.personal_data} (declared)"],
            "contents": {"properties": [{"name": f"sha256:{name}", "value": sha}
                                        for name, sha in sorted(files.items())]},
        }],
    }


def _model(ref: str, name: str, sha: str, *, licence: str = "") -> dict[str, Any]:
    return {"type": "machine-learning-model", "bom-ref": ref, "name": name,
            "hashes": _hashes(sha), **_licences(licence)}


def _library(name: str, version: str) -> dict[str, Any]:
    plain = name.lower().replace("_", "-")
    # A local version such as +cpu is no part of a package's own name.
    purl = PURL.format(name=plain, version=version.split("+")[0])
    return {"type": "library", "bom-ref": purl, "name": plain, "version": version, "purl": purl}


def _file(name: str, sha: str) -> dict[str, Any]:
    return {"type": "file", "bom-ref": f"file:{name}", "name": name, "hashes": _hashes(sha)}


def _hashes(sha: str) -> list[dict[str, str]]:
    # The fake engine's identity, and a test's, need not be a SHA-256.
    return [{"alg": "SHA-256", "content": sha}] if len(sha) == 64 else []


def _licences(name: str) -> dict[str, Any]:
    # A name, not an SPDX id: what was declared is passed on as it was written.
    return {"licenses": [{"license": {"name": name}}]} if name else {}


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"
