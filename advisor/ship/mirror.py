"""A registered version as a model version of an MLflow server: a copy to look at, no source.

What counts stays in this registry: there a champion can be deleted, versions carry no digest
and aliases no history. Plain files go over, nothing that MLflow would load as a model.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.errors import AdvisorError
from advisor.ship import bundle
from advisor.ship.registry import Registry
from advisor.ship.registry_state import Version

PLACE = "bundle"
# The server's own limit for the value of a parameter is 6000 letters.
LONGEST = 5000


@dataclass(frozen=True, slots=True)
class Mirrored:
    """Where the copy is. `new` is False when it was there already."""

    uri: str
    model: str
    version: str
    run: str
    new: bool


def mirror(registry: Registry, ref: str, uri: str) -> Mirrored:
    """Copy a version to the MLflow server at `uri`: files as artifacts, metrics with their
    intervals, recipe and models as parameters, digests as tags.

    A version that is there already, by its id, is not copied again. Raises AdvisorError for a
    version that may not be used or is damaged, and when the server cannot be asked.
    """
    one = registry.find(ref)
    folder = registry.checkout(one.id)
    manifest = bundle.verify(folder)
    mlflow = _mlflow()
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        for known in client.search_model_versions(f"name = '{one.name}'"):
            if known.tags.get("advisor.id") == one.id:
                return Mirrored(_shown(uri), one.name, str(known.version), known.run_id, new=False)
        return _copied(client, one, manifest, folder=folder, uri=uri)
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise AdvisorError(_shown(f"{uri}: {' '.join(str(error).split())[:300]}"),
                           fix="see that an MLflow server runs there: --mlflow URI") from error


def _copied(
    client: Any, one: Version, manifest: Mapping[str, Any], *, folder: Path, uri: str
) -> Mirrored:
    from mlflow.exceptions import MlflowException

    named = f"advisor-{manifest['task']['name']}"
    found = client.get_experiment_by_name(named)
    experiment = found.experiment_id if found else client.create_experiment(named)
    run = client.create_run(experiment, run_name=one.label, tags=_tags(one, manifest)).info
    try:
        for name, value in _metrics(manifest["metrics"]):
            client.log_metric(run.run_id, name, value)
        for name, text in _params(manifest).items():
            client.log_param(run.run_id, name, text[:LONGEST])
        client.log_artifacts(run.run_id, str(folder), PLACE)
        try:
            client.create_registered_model(one.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = client.create_model_version(
            one.name, source=f"{run.artifact_uri}/{PLACE}", run_id=run.run_id,
            tags=_tags(one, manifest), description=f"{one.label} of an advisor registry")
    except BaseException:
        client.set_terminated(run.run_id, "FAILED")
        raise
    client.set_terminated(run.run_id)
    return Mirrored(_shown(uri), one.name, str(made.version), run.run_id, new=True)


def _shown(text: str) -> str:
    """Addresses without the user and password that may stand in them."""
    return re.sub(r"://[^/@\s]*@", "://", text)


def _tags(one: Version, manifest: Mapping[str, Any]) -> dict[str, str]:
    """The lineage: what vouches for every file, and for what it was made from."""
    return {
        "advisor.id": one.id, "advisor.version": one.label, "advisor.by": one.by,
        "advisor.contender": manifest["contender"],
        "advisor.task.sha256": manifest["task"]["digest"],
        "advisor.base.sha256": manifest["base"]["digest"],
        **{f"advisor.file.{name}": sha for name, sha in sorted(one.files.items())},
        **{f"advisor.data.{name}": sha for name, sha in sorted(manifest["data"].items())},
    }


def _params(manifest: Mapping[str, Any]) -> dict[str, str]:
    recipe = json.loads(manifest["recipe"])
    told = manifest.get("endpoint") or {}
    return {
        "contender": manifest["contender"], "task": manifest["task"]["name"],
        "base": told.get("model") or manifest["base"]["name"],
        "precision": manifest["precision"],
        **{name: json.dumps(value, sort_keys=True) for name, value in recipe.items()},
    }


def _metrics(found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Each metric with the bounds of its interval and its n."""
    primary = {"value": found.get("value"), "low": found.get("low"), "high": found.get("high"),
               "n": found.get("n")}
    for name, one in {**found.get("parts", {}), found.get("primary", "primary"): primary}.items():
        for part in ("value", "low", "high", "n"):
            value = one.get(part)
            if isinstance(value, int | float) and value == value:
                yield name if part == "value" else f"{name}.{part}", float(value)


def _mlflow() -> Any:
    # It would send figures about its use to its makers, and retry for minutes.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        import mlflow
    except ModuleNotFoundError as missing:
        raise AdvisorError(f"a mirror needs {missing.name}, which is not installed",
                           fix="pip install 'adaptation-advisor[mlflow]'") from missing
    return mlflow
