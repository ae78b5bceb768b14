"""Annex IV of Regulation (EU) 2024/1689, clause by clause: what evidence there is.

`filled` means that a document of the bundle holds evidence for the clause, and nothing
more. Whether that is enough, and all the rest, is for a human to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from advisor.ship.governance.facts import PROVIDER_SHARE, Facts

NEEDS = "needs a human"


@dataclass(frozen=True, slots=True)
class Clause:
    """What a clause asks for, where evidence is, and when there is any."""

    number: str
    asks: str
    evidence: tuple[str, ...] = ()
    there: Callable[[Facts], bool] = lambda _: True
    missing: str = ""


CARD, SHEET, BOM, PROOF = "model-card.md", "datasheet.md", "mlbom.cdx.json", "provenance.json"
CLAUSES = (
    Clause("1(a)", "intended purpose, name of the provider, version of the system", (CARD,),
           lambda f: bool(f.task.intended_use and f.declared.provider),
           "intended_use in task.yaml, governance.provider in advisor.yaml"),
    Clause("1(b)", "interaction with hardware or software outside the system"),
    Clause("1(c)", "versions of relevant software", (BOM, PROOF)),
    Clause("1(d)", "forms in which the system is put into service"),
    Clause("1(e)", "hardware on which it is intended to run"),
    Clause("1(f)", "photographs of the product it is a component of"),
    Clause("1(g)", "user interface provided to the deployer"),
    Clause("1(h)", "instructions for use for the deployer"),
    Clause("2(a)", "methods and steps of development, pre-trained systems used",
           (CARD, PROOF, BOM)),
    Clause("2(b)", "design specifications, key choices and their rationale"),
    Clause("2(c)", "architecture and computational resources used to develop and test",
           ("compute.json", PROOF), lambda f: f.training.parameters is not None,
           "the base model's files, to count its parameters"),
    Clause("2(d)", "data requirements: provenance, scope, selection, labelling",
           (SHEET, "lineage.jsonl"),
           lambda f: bool(f.task.source and f.task.licence and f.task.legal_basis),
           "source, licence and legal_basis in task.yaml"),
    Clause("2(e)", "assessment of the human oversight measures needed"),
    Clause("2(f)", "pre-determined changes to the system"),
    Clause("2(g)", "validation and testing procedures, metrics, dated and signed test reports",
           (CARD, "parity.json"), lambda _: False,
           "a date and a signature by the persons responsible; in a run that is final"),
    Clause("2(h)", "cybersecurity measures"),
    Clause("3", "capabilities and limits, accuracy for specific groups, foreseeable risks",
           (CARD,), lambda f: bool(f.slices), "quality by slices of the test rows"),
    Clause("4", "appropriateness of the performance metrics"),
    Clause("5", "risk management system (Article 9)"),
    Clause("6", "relevant changes made through the lifecycle"),
    Clause("7", "harmonised standards applied"),
    Clause("8", "copy of the EU declaration of conformity (Article 47)"),
    Clause("9", "post-market monitoring system (Article 72)"),
)


def annex_iv(facts: Facts, files: Sequence[str]) -> dict[str, Any]:
    """Each clause with its evidence and `filled` or `needs a human`.

    `files` are the documents there are; evidence is only ever one of these.
    """
    ratio = facts.training.ratio
    return {
        "regulation": "(EU) 2024/1689, Annex IV",
        "statement": "A list of evidence for whoever writes the technical documentation. It "
                     "assesses nothing: `filled` says that a document exists.",
        "clauses": [_said(clause, facts, files) for clause in CLAUSES],
        "tuning_compute": {
            "flops": facts.training.flops, "base_flops_declared": facts.training.base_flops,
            "ratio": ratio, "threshold": PROVIDER_SHARE,
            "above_threshold": None if ratio is None else ratio > PROVIDER_SHARE,
            "note": "above one third, whoever tunes a general-purpose model counts as the "
                    "provider of a new one (Commission guidelines of July 2025)",
        },
        "personal_data": {"declared": facts.task.personal_data,
                          "scan": dict(facts.scan)},
        "leakage": {"state": "checked", "found": 0, "how": "a task whose test rows stand in train "
                    "or dev, casefolded and without punctuation, is refused"},
        "leakage_from_weights": _given_away(facts),
        "slices": facts.slices or "not measured",
    }


def _given_away(facts: Facts) -> dict[str, Any]:
    if not facts.tuned:
        return {"state": "none by construction", "how": "the weights are the base model's"}
    if not facts.leakage:
        return {"state": "not tested", "how": "advisor run TASK --leakage"}
    return {**facts.leakage, "how": "membership by the fall of the loss, and greedy extraction "
            "from half a question, rows of train against rows of dev"}


def _said(clause: Clause, facts: Facts, files: Sequence[str]) -> dict[str, Any]:
    evidence = [name for name in clause.evidence if name in files or name == PROOF]
    filled = bool(evidence) and clause.there(facts)
    said = {"clause": clause.number, "asks": clause.asks,
            "state": "filled" if filled else NEEDS, "evidence": evidence}
    if not filled and clause.missing:
        said["missing"] = clause.missing
    return said
