"""Weights that no bundle holds: those behind an endpoint, and a system of somebody's own code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from advisor.config import EndpointFile, EndpointWeights, OwnSystem, Recipe
from advisor.engines.openai import Endpoint
from advisor.engines.protocol import Speaker
from advisor.errors import AdvisorError

UNVERIFIED = (
    "The weights are not in this bundle and cannot be verified: whoever serves them may change "
    "them under the same name. What was measured is what answered then."
)


def refuse_own(recipe: Recipe, contender: str) -> None:
    """Raise AdvisorError for a system of the user's own code: no bundle runs code."""
    if isinstance(recipe.weights, OwnSystem):
        raise AdvisorError(
            f"{contender} is code of your own ({recipe.weights.system}), and a bundle holds plain "
            "data only, so that nothing which arrives in one is ever run",
            fix="serve it as an OpenAI-compatible endpoint, name that under `endpoints` in "
            "advisor.yaml and measure it with `weights: {kind: endpoint, name: ...}`, which "
            "ships; or ship another: --contender NAME")


def identity(
    recipe: Recipe, endpoints: Mapping[str, EndpointFile], speaker: Speaker | None = None
) -> dict[str, Any]:
    """Which endpoint the recipe's answers come from; empty where none is asked.

    The address without what may be secret in it, the name of the variable that holds the key
    but no key. `answered_as` is what the answers through `speaker` named as their model.
    """
    weights = recipe.weights
    if not isinstance(weights, EndpointWeights):
        return {}
    given = endpoints[weights.name]
    seen = sorted(speaker.answered) if isinstance(speaker, Endpoint) else []
    return {
        "name": weights.name, "url": _public(given.url), "model": given.model,
        "context_length": given.context_length, "api_key_env": given.api_key_env,
        "residency": given.residency,
        "answered_as": [{"model": model, "fingerprint": fingerprint}
                        for model, fingerprint in seen],
        "weights": UNVERIFIED,
    }


def check_here(told: Mapping[str, Any], here: Mapping[str, Speaker]) -> None:
    """Raise AdvisorError unless the endpoint that a bundle tells of is set up here.

    A bundle names no place to send questions to: that stands in the user's own advisor.yaml.
    """
    if not told or told["name"] in here:
        return
    key = f", api_key_env: {told['api_key_env']}" if told["api_key_env"] else ""
    raise AdvisorError(
        f"this version answers through the endpoint {told['name']!r} ({told['model']} at "
        f"{told['url']}), and no advisor.yaml here has one of that name",
        fix=f"if you trust that address, add under `endpoints` in advisor.yaml: {told['name']}: "
        f"{{url: {told['url']}, model: {told['model']}, context_length: "
        f"{told['context_length']}{key}}} and its prices")


def _public(url: str) -> str:
    """The address without user, password, query and fragment."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{port}{parts.path}"
