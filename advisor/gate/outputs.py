"""A judgement as files: gate.json for programs, Markdown for a pull request, JUnit for CI."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from advisor.gate.judge import Pair, State, pairs
from advisor.gate.run import Gated
from advisor.gate.scores import Scored
from advisor.report import replace_file
from advisor.report.exports import xml_text
from advisor.report.figures import plural
from advisor.report.gatepage import gate_page
from advisor.report.jsonform import dumps
from advisor.report.model import visible
from advisor.report.text import safe

VERSION = 1
SHOWN = 10  # regressed rows in the Markdown; the page has all of them
HEADLINES: Mapping[State, str] = {
    "pass": "Pass: the candidate may replace the champion.",
    "fail": "Fail: the candidate is worse than the limits allow.",
    "inconclusive": "Inconclusive: these rows cannot tell whether the candidate holds the limits.",
}


def write(gated: Gated, folder: Path, *, at: str) -> dict[str, Path]:
    """Write gate.html, gate.md, gate.junit.xml and gate.json, the last one last."""
    contents = {
        "gate.html": gate_page(gated, HEADLINES[gated.judgement.result], at=at),
        "gate.md": markdown(gated),
        "gate.junit.xml": junit(gated),
        "gate.json": dumps(gate_json(gated, at=at), indent=2),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        replace_file(folder / name, text)
    return {name: folder / name for name in contents}


def gate_json(gated: Gated, *, at: str) -> dict[str, Any]:
    """The record of the gate; `candidate` and `against` are the digests of their files."""
    judgement = gated.judgement
    rows = pairs(gated.case)
    return {
        "version": VERSION,
        "candidate": gated.candidate.side.sha,
        "against": gated.champion.side.sha,
        "result": judgement.result,
        "checks": [
            {"name": one.name, "state": one.state, "says": one.says,
             "figures": {key: _number(value) for key, value in one.figures.items()}}
            for one in judgement.checks
        ],
        "policy": {key: _number(value) for key, value in asdict(gated.policy).items()},
        "at": at,
        "task": {"name": gated.task.name, "digest": gated.task.digest,
                 "primary": gated.task.primary, "rows": len(gated.task.test)},
        "sides": {"candidate": _side(gated.candidate), "champion": _side(gated.champion)},
        "rows": {"worse": sum(row.change < 0 for row in rows),
                 "better": sum(row.change > 0 for row in rows),
                 "regressed": [_row(row) for row in rows if row.change < 0]},
        "notes": list(gated.notes),
    }


def _side(scored: Scored) -> dict[str, Any]:
    side = scored.side
    credits = [row.grade.credit for row in scored.trial.rows if row.grade.credit is not None]
    return {
        "kind": side.kind, "name": side.name, "path": str(side.place), "base": side.base.model,
        "axes": dict(side.recipe.axes), "files": dict(side.files),
        "mean": sum(credits) / len(credits) if credits else None, "graded": len(credits),
    }


def _row(pair: Pair) -> dict[str, Any]:
    return {
        "id": pair.champion.example.question.id, "change": pair.change,
        "champion": pair.champion.grade.credit, "candidate": pair.candidate.grade.credit,
    }


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def markdown(gated: Gated) -> str:
    """The result, the checks, the rows that got worse and what to know of it."""
    judgement = gated.judgement
    rows = [pair for pair in pairs(gated.case) if pair.change < 0]
    checks = "\n".join(
        f"| {safe(one.name)} | {_MARKS[one.state]} {one.state} | {safe(one.says)} |"
        for one in judgement.checks
    )
    parts = [
        f"## Gate: {safe(gated.candidate.side.name)} against {safe(gated.champion.side.name)} "
        f"on {safe(gated.task.name)}",
        f"**{HEADLINES[judgement.result]}**",
        f"| check | state | finding |\n| --- | --- | --- |\n{checks}",
        _regressed(rows),
        "\n".join(f"- {safe(note)}" for note in gated.notes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


_MARKS: Mapping[State, str] = {"pass": "\u2705", "fail": "\u274c", "inconclusive": "\u2754"}


def _regressed(rows: list[Pair]) -> str:
    if not rows:
        return "No row got worse."
    lines = [
        f"| {safe(pair.champion.example.question.id)} | {pair.change * 100:+.0f} | "
        f"{_cell(pair.champion.example.targets[0])} | {_cell(pair.champion.answer.text)} | "
        f"{_cell(pair.candidate.answer.text or pair.candidate.answer.failure)} |"
        for pair in rows[:SHOWN]
    ]
    head = "| row | points | target | champion | candidate |\n| --- | ---: | --- | --- | --- |"
    more = f" (the first {SHOWN} of {len(rows)})" if len(rows) > SHOWN else ""
    return (f"<details><summary>{plural(len(rows), 'row')} got worse{more}</summary>\n\n{head}\n"
            + "\n".join(lines) + "\n\n</details>")


def _cell(text: str) -> str:
    return safe(visible(text, 120))


def junit(gated: Gated) -> str:
    """One test case a check. What cannot be told is a failure too: it must not ship."""
    judgement = gated.judgement
    name = f"advisor gate {gated.task.name}"
    failed = sum(one.state != "pass" for one in judgement.checks)
    counts = {"tests": str(len(judgement.checks)), "failures": str(failed), "errors": "0"}
    suite = ElementTree.Element("testsuite", {"name": name, **counts})
    for one in judgement.checks:
        case = ElementTree.SubElement(suite, "testcase", name=one.name,
                                      classname=f"gate.{gated.task.name}")
        if one.state != "pass":
            fault = ElementTree.SubElement(case, "failure", type=one.state,
                                           message=xml_text(one.says))
            fault.text = xml_text("\n".join(gated.notes))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def append_summary(text: str) -> bool:
    """Append to the step summary of a CI that names one; whether there was one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    with Path(path).open("a", encoding="utf-8") as stream:
        stream.write(text + "\n")
    return True
