"""What is left of a version once erased rows and documents are out of it: a new version.

An index and solved examples are lists, from which a part can be taken. What was learnt or
counted cannot: only preparing the contender again removes that.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields
from pathlib import Path
from typing import Any

from advisor.config import Recipe, TunedWeights
from advisor.contenders import retrieval, shelf
from advisor.errors import AdvisorError
from advisor.ship import bundle
from advisor.ship.bundle import ModelIdentity, Origin
from advisor.ship.governance import FOLDER, lineage
from advisor.ship.governance.provenance import envelope, rebuilt
from advisor.ship.registry import Registry
from advisor.ship.registry_log import Actor
from advisor.ship.registry_state import State, Version

UNMEASURED = (
    "It was not measured: some of what it reads or is shown is gone, so its answers may differ. "
    "`advisor gate` measures it against another version; until it passes, it cannot be promoted."
)


def successor(registry: Registry, one: Version, who: Actor) -> dict[str, Any]:
    """Register `one` without everything that was erased, as the next version of its name.

    `version` and `id` of what took its place (also when an earlier call made that), or `why`
    there is none. What took its place and was blocked since is followed by what took that
    one's. Nothing is promoted.
    """
    state = registry.state()
    if known := _known(state, one):
        if known.blocked:
            return successor(registry, known, who)
        return {"version": known.label, "id": known.id, "measured": False}
    try:
        with tempfile.TemporaryDirectory(prefix="advisor-erase-") as work:
            made = _made(registry, one, state.rows, Path(work))
            version = registry.register(made, one.name, who=who)
    except AdvisorError as error:
        return {"version": None, "why": error.problem}
    return {"version": version.label, "id": version.id, "measured": False}


def _known(state: State, one: Version) -> Version | None:
    for other in state.versions.values():
        if other.about.get("successor_of") == one.id and not other.deleted:
            return other
    return None


def _made(registry: Registry, one: Version, erased: Set[str], work: Path) -> Path:
    """The bundle of the new version; raises AdvisorError when it cannot be made from the old."""
    stored, system, made = work / "stored", work / "system", work / "bundle"
    registry.objects.lay_out(one.files, stored)  # links to the store, never to be written
    manifest = bundle.verify(stored)
    # Contents alone: what the store holds is read-only, and so would its copies be.
    shutil.copytree(stored, system, copy_function=shutil.copyfile)
    (system / bundle.MANIFEST).unlink()
    records = lineage.read(stored) or []
    gone = [row for row in records if row["sha256"] in erased and row["use"] in lineage.HELD]
    _take_out(system, Recipe.model_validate_json(manifest["recipe"]), gone)
    shutil.rmtree(system / FOLDER)
    _document(registry, one, system, [row for row in records if row["sha256"] not in erased])
    bundle.pack(system, made, _origin(manifest, one))
    bundle.verify(made)
    return made


def _take_out(system: Path, recipe: Recipe, gone: Sequence[Mapping[str, Any]]) -> None:
    ids = {use: {row["id"] for row in gone if row["use"] == use} for use in lineage.HELD}
    documents, shots = ids["indexed"], ids["shown"]
    if learnt := [use for use in ("trained", "counted", "used to choose") if ids[use]]:
        raise AdvisorError(f"what was erased was {' and '.join(learnt)}",
                           fix="prepare it again without")
    if documents and isinstance(recipe.weights, TunedWeights) and not _blind(recipe.weights):
        raise AdvisorError("its weights were tuned on prompts that held the documents",
                           fix="prepare it again without")
    if documents and not retrieval.without(system / "index", documents):
        raise AdvisorError("nothing is left in its index", fix="prepare it again")
    if shots and not shelf.without(system, shots):
        raise AdvisorError("none of its solved examples is left", fix="prepare it again")


def _blind(weights: TunedWeights) -> bool:
    """Whether no document can have been in what these weights were tuned on."""
    teacher = weights.teacher
    read = teacher is not None and teacher.recipe.retrieval.kind != "none"
    return weights.reads == "none" and not read and weights.pretrain is None


def _document(
    registry: Registry, one: Version, system: Path, left: Sequence[dict[str, Any]]
) -> None:
    """Lineage of what is left, a card that claims nothing, and who made this from what."""
    place = system / FOLDER
    place.mkdir()
    (system / lineage.LINEAGE).write_text(lineage.text(left), encoding="utf-8")
    card = [f"# {one.name}", "", f"{one.label} ({one.id}) without the rows and documents that "
            "were erased. Whatever is known of that version was measured before.", "",
            UNMEASURED, ""]
    (place / "model-card.md").write_text("\n".join(card), encoding="utf-8")
    signed = envelope(rebuilt(bundle.digests(system), one.label, one.id), registry.key_file)
    (place / "provenance.json").write_text(json.dumps(signed, indent=2) + "\n", encoding="utf-8")


def _origin(manifest: Mapping[str, Any], one: Version) -> Origin:
    known = {field.name: manifest[field.name] for field in fields(Origin)
             if field.name in manifest}
    metrics = {key: manifest["metrics"][key] for key in ("primary", "tuned")
               if key in manifest["metrics"]}
    models = {name: ModelIdentity(**manifest[name]) for name in ("base", "embedder")}
    return Origin(**{**known, **models, "metrics": {
        **metrics, "final": False, "measured": False, "successor_of": one.id}})
