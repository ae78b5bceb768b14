"""The model card and the datasheet: for people, and for the hub.

Model card: Mitchell et al., arXiv 1810.03993, with the hub's front matter. Datasheet:
the questions of Gebru et al., arXiv 1803.09010, that a task's files can answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import yaml

from advisor.config import TunedWeights
from advisor.ship.governance.facts import NOT_DECLARED, PROVIDER_SHARE, Facts

Relation = Literal["adapter", "finetune"]


def model_card(facts: Facts, *, relation: Relation = "adapter") -> str:
    """Markdown with YAML front matter (`base_model`, `base_model_relation`, `model-index`)."""
    front = yaml.safe_dump(front_matter(facts, relation), sort_keys=False, allow_unicode=True)
    quality, declared = facts.standing["quality"], facts.declared
    lines = [
        f"# {facts.name}", "",
        f"{facts.task.title}. Contender `{facts.contender}` on `{facts.speaker}`, chosen and "
        "measured by adaptation-advisor.", "",
        "## Use", "",
        f"- intended use: {facts.task.intended_use or NOT_DECLARED}",
        f"- provider: {declared.provider or NOT_DECLARED}",
        f"- licence: {declared.licence or NOT_DECLARED}; base model: "
        f"{declared.base_licence or NOT_DECLARED}",
        f"- where data may be processed (declared): {facts.task.context.residency}", "",
        "## What it is", "",
        *(f"- {axis}: {said}" for axis, said in facts.recipe.axes.items()),
        *_weights(facts), "",
        "## Measured", "",
        f"On {quality['n']} test items that no contender learns from, intervals at "
        f"{1 - facts.run['policy']['alpha']:.0%}:", "",
        "| metric | value | interval | n |", "|---|---|---|---|",
        *(f"| {name} | {_f(one['value'])} | {_f(one['low'])} to {_f(one['high'])} | {one['n']} |"
          for name, one in facts.measures.items()), "",
        *_forgetting(facts), *_limits(facts), *_slices(facts),
        "## Training", "", *_training(facts), "",
    ]
    return f"---\n{front}---\n" + "\n".join(lines)


def front_matter(facts: Facts, relation: Relation) -> dict[str, Any]:
    """What the hub reads. A bundle without weights of its own has no relation to a base."""
    found: dict[str, Any] = {} if facts.endpoint else {"base_model": facts.base_id}
    if facts.tuned:
        found["base_model_relation"] = relation
        found["library_name"] = "peft" if relation == "adapter" else "transformers"
    if facts.declared.licence:
        found["license"] = facts.declared.licence.lower()
    found["pipeline_tag"] = "text-generation"
    found["tags"] = ["adaptation-advisor", facts.contender]
    found["model-index"] = [{
        "name": facts.name,
        "results": [{
            "task": {"type": "text-generation", "name": facts.task.title},
            "dataset": {"type": facts.task.name, "name": facts.task.title, "split": "test",
                        "revision": facts.run["task"]["digest"]},
            "metrics": [
                {"type": name, "name": name, "value": one["value"],
                 "args": {"low": one["low"], "high": one["high"], "n": one["n"]}}
                for name, one in facts.measures.items() if one["value"] is not None
            ],
        }],
    }]
    return found


def _weights(facts: Facts) -> list[str]:
    """Where the model is from, or what can be told of one that is elsewhere."""
    told = facts.endpoint
    if not told:
        return [f"- base model: {facts.base_origin}, digest `{facts.run['model']['digest']}`"]
    seen = [f"`{one['model']}`" + (f" ({one['fingerprint']})" if one["fingerprint"] else "")
            for one in told["answered_as"]]
    return [f"- model: `{told['model']}`, asked at {told['url']}; it answered as "
            f"{', '.join(seen) or 'nothing'}",
            f"- {told['weights']}"]


def datasheet(facts: Facts) -> str:
    """What the data are, where they come from, and what they were used for."""
    task = facts.task
    used = Counter((row["file"] if row["line"] else "corpus/", row["use"]) for row in facts.rows)
    subjects = {row["subject"] for row in facts.rows} - {""}
    lines = [
        f"# Data of {task.name}", "", f"{task.title}.", "",
        "## Declared", "",
        f"- source: {task.source or NOT_DECLARED}",
        f"- licence: {task.licence or NOT_DECLARED}",
        f"- legal basis: {task.legal_basis or NOT_DECLARED}",
        f"- personal data: {task.personal_data}", "",
        "## Found", "",
        f"- personal data scan: {_scan(facts)}",
        "- rows that name a subject: "
        + (f"yes, {len(subjects)} subjects" if subjects else "none (`subject` is not used)"), "",
        "## Composition and use", "", "| file | use in this bundle | rows |", "|---|---|---|",
        *(f"| {file} | {use} | {count} |" for (file, use), count in used.items()), "",
        "Each row's sha256 is in `lineage.jsonl`. No row of test is part of the bundle.", "",
        "## Files", "", "| file | sha256 |", "|---|---|",
        *(f"| {name} | `{sha}` |" for name, sha in sorted(facts.run["data"].items())), "",
    ]
    return "\n".join(lines)


def _forgetting(facts: Facts) -> list[str]:
    found = facts.standing["forgetting"]
    if not isinstance(found, Mapping):
        whose = "the endpoint's" if facts.endpoint else "the base model's"
        return [f"Forgetting: none by construction; {whose} weights were not changed.", ""]
    pooled = found["pooled"]
    return [f"Forgetting: the loss of retention accuracy is {_points(pooled['drop']['value'])} "
            f"points (negative: a gain; upper bound {_points(pooled['upper'])}, margin "
            f"{_points(pooled['margin'])}; {pooled['state']}).", "", *_given_away(facts)]


def _given_away(facts: Facts) -> list[str]:
    found = facts.leakage
    if not found:
        return ["What the weights give away of their training rows was not tested.", ""]
    seen, unseen = (_points(found[side]["value"]) for side in ("extracted", "guessed"))
    return [f"Training rows: {found['state']} by membership (area under the curve "
            f"{_f(found['auc']['value'], 2)}) and extraction from half a question "
            f"({seen}% of rows, {unseen}% of rows never seen).", ""]


def _limits(facts: Facts) -> list[str]:
    cost, said = facts.standing["cost"], []
    if facts.standing["barred_by"]:
        said = ["**The verdict bars this contender:** "
                + "; ".join(facts.standing["barred_by"]) + ".", ""]
    if facts.verdict.get("winner") != facts.contender:
        said += [f"The verdict did not choose it (outcome: {facts.verdict['outcome']}, winner: "
                 f"{facts.verdict.get('winner') or 'none'}).", ""]
    if not facts.run["final"]:
        said += ["**Not final:** rows were left out, or no real model answered.", ""]
    return [*said, f"Latency one call at a time: p50 {_f(cost['p50_ms'], 0)} ms, p95 "
            f"{_f(cost['p95_ms'], 0)} ms over {cost['probe_n']} calls on "
            f"{facts.run['machine']['processor']}.",
            f"Packed, it gave the same text on {facts.parity['same']} of "
            f"{facts.parity['rows']} test items as when it was measured.", ""]


def _slices(facts: Facts) -> list[str]:
    if not facts.slices:
        return ["Slices: not measured; whether quality differs between groups is not known.", ""]
    head = ["| slice | quality | interval | n | less all other rows |", "|---|---|---|---|---|"]
    return [*head, *(_slice(one) for one in facts.slices), ""]


def _slice(one: Mapping[str, Any]) -> str:
    quality, gap = one["quality"], one["gap"]
    return (f"| {one['column']}: {one['value']} | {_f(quality['value'])} | {_f(quality['low'])} to "
            f"{_f(quality['high'])} | {quality['n']} | {_f(gap['value'])} ({_f(gap['low'])} to "
            f"{_f(gap['high'])}) |")


def _scan(facts: Facts) -> str:
    found = facts.scan
    if found["state"] != "scanned":
        return f"{found['state']} ({found['why']})"
    kinds = ", ".join(f"{count} {kind}" for kind, count in found["found"].items())
    return f"{kinds or 'nothing found'}; {found['note']}"


def _training(facts: Facts) -> list[str]:
    work = facts.training
    if not isinstance(facts.recipe.weights, TunedWeights):
        return ["No weights were trained."]
    said = [f"- {work.tokens:,} tokens in {work.seconds:.0f} s, seed {facts.seed}"]
    if work.flops is not None:
        said.append(f"- about {work.flops:.2e} floating-point operations "
                    "(6 x parameters x tokens; rehearsal and checks are not counted)")
    if work.ratio is None:
        said.append("- share of the base model's training compute: not known "
                    "(`governance.base_training_flops` is not declared)")
    else:
        side = "above" if work.ratio > PROVIDER_SHARE else "below"
        said.append(f"- share of the base model's declared training compute: {work.ratio:.2e}, "
                    f"{side} one third")
    return said


def _f(value: float | None, digits: int = 3) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"


def _points(value: float | None) -> str:
    return "-" if value is None else f"{value * 100:.1f}"
