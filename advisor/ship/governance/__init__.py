"""What an auditor asks of a bundle: lineage, cards, bill of materials, provenance.

Every document is a pure function of `Facts`: shipped twice, its bytes are the same. What
nobody measured or declared is said to be so; no document calls anything compliant.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from advisor.ship.bundle import digests
from advisor.ship.governance import lineage
from advisor.ship.governance.annex import annex_iv
from advisor.ship.governance.bom import bom
from advisor.ship.governance.card import datasheet, model_card
from advisor.ship.governance.facts import Facts
from advisor.ship.governance.provenance import envelope, statement

FOLDER = "governance"


def document(facts: Facts, folder: Path, *, key_file: Path | None = None) -> None:
    """Write all documents into `folder`/governance; provenance comes last, over the rest.

    It is signed when `key_file` is an Ed25519 private key.
    """
    place = folder / FOLDER
    place.mkdir()
    texts = {
        Path(lineage.LINEAGE).name: lineage.text([dict(row) for row in facts.rows]),
        "parity.json": _text(facts.parity),
        "compute.json": _text({**asdict(facts.training), "ratio": facts.training.ratio}),
        "model-card.md": model_card(facts),
        "datasheet.md": datasheet(facts),
        "mlbom.cdx.json": _text(bom(facts)),
    }
    texts["annex-iv.json"] = _text(annex_iv(facts, sorted(texts)))
    for name, text in texts.items():
        (place / name).write_text(text, encoding="utf-8")
    signed = envelope(statement(facts, digests(folder)), key_file)
    (place / "provenance.json").write_text(_text(signed), encoding="utf-8")


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
