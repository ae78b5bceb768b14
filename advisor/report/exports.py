"""A report for other programs: rows and standings as CSV, everything as JSON, JUnit for CI."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from advisor.report.figures import known
from advisor.report.jsonform import verdict_json
from advisor.report.model import Report, ranked, visible
from advisor.trial import Trial
from advisor.verdict import Forgetting, Standing

# A spreadsheet takes a text that begins so for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# How the reasons in `barred_by` begin or read, by the limit that they are about.
_LIMITS = {"forgetting": "forgetting", "latency": "p95 latency", "answers": "answers failed"}


def full_json(report: Report) -> dict[str, Any]:
    """verdict.json with every row of every contender."""
    rows = [_row_facts(trial, at) for trial in report.trials for at in range(len(trial.rows))]
    return {**verdict_json(report), "rows": rows}


def rows_csv(report: Report) -> str:
    """One line a contender, seed and test row; what was not measured is empty."""
    facts = [_row_facts(trial, at) for trial in report.trials for at in range(len(trial.rows))]
    lines = []
    for one in facts:
        lists = {key: "\n".join(one[key]) for key in ("targets", "sources")}
        parts = {f"part.{name}": value for name, value in one["parts"].items()}
        lines.append({**{k: v for k, v in one.items() if k != "parts"}, **lists, **parts})
    return _csv(lines)


def standings_csv(report: Report) -> str:
    """One line a contender, best quality first; shares are 0..1, money is USD."""
    return _csv([_standing_facts(one) for one in ranked(report.verdict)])


def junit(report: Report) -> str:
    """A suite a contender with a case a limit, and one suite for the verdict."""
    verdict = report.verdict
    root = ElementTree.Element("testsuites", name=f"advisor run {visible(report.task.name)}")
    decided = "" if verdict.outcome == "recommend" else " ".join(verdict.because)
    _suite(root, "verdict", {"recommendation": (verdict.outcome, decided)})
    for one in ranked(verdict):
        _suite(root, visible(one.contender), _cases(one))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _cases(one: Standing) -> dict[str, tuple[str, str]]:
    """Limit -> (kind of failure, reason); the reason is empty where the limit is held."""
    left = list(one.barred_by)
    cases = {}
    for name, sign in _LIMITS.items():
        found = [reason for reason in left if sign in reason]
        left = [reason for reason in left if reason not in found]
        kind = "inconclusive" if any("inconclusive" in reason for reason in found) else "barred"
        cases[name] = (kind, "; ".join(found))
    return cases | {f"limit {at}": ("barred", reason) for at, reason in enumerate(left, 1)}


def _suite(root: ElementTree.Element, name: str, cases: Mapping[str, tuple[str, str]]) -> None:
    failed = sum(bool(reason) for _, reason in cases.values())
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0"}
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts})
    for case, (kind, reason) in cases.items():
        made = ElementTree.SubElement(suite, "testcase", name=case, classname=name)
        if reason:
            ElementTree.SubElement(made, "failure", type=kind, message=xml_text(reason))


def xml_text(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold."""
    return visible(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def _row_facts(trial: Trial, at: int) -> dict[str, Any]:
    row = trial.rows[at]
    question, answer, grade = row.example.question, row.answer, row.grade
    return {
        "contender": trial.contender, "seed": trial.seed, "id": question.id,
        "group": row.example.group, "question": question.text,
        "targets": list(row.example.targets), "answer": answer.text, "read_as": grade.read_as,
        "status": grade.status, "credit": grade.credit, "why": grade.why,
        "failure": answer.failure, "sources": list(answer.sources),
        "tokens_in": answer.usage.tokens_in, "tokens_out": answer.usage.tokens_out,
        "seconds": answer.usage.seconds, "parts": dict(sorted(grade.parts.items())),
    }


def _standing_facts(one: Standing) -> dict[str, Any]:
    found = one.forgetting
    pooled = found.pooled if isinstance(found, Forgetting) else None
    cost = one.cost
    return {
        "contender": one.contender, **one.axes,
        "quality": one.quality.value, "quality_low": one.quality.low,
        "quality_high": one.quality.high, "n": one.quality.n,
        "forgetting": pooled.drop.value if pooled else None,
        "forgetting_upper": pooled.upper if pooled else None,
        "forgetting_state": pooled.state if pooled else "unchanged",
        "usd_per_1k": cost.usd_per_1k, "usd_per_1k_all_in": cost.usd_per_1k_all_in,
        "p50_ms": cost.p50_ms, "p95_ms": cost.p95_ms, "tokens_in": cost.tokens_in,
        "tokens_out": cost.tokens_out, "seconds_per_call": cost.seconds_per_call,
        "peak_memory_mib": cost.peak_memory_mib, "prepare_seconds": cost.prepare_seconds,
        "artefact_bytes": cost.artefact_bytes, "failed": one.counts.failed,
        "unreadable": one.counts.unreadable, "empty": one.counts.empty,
        "barred_by": "; ".join(one.barred_by),
    }


def _csv(lines: Sequence[Mapping[str, Any]]) -> str:
    heads = list(dict.fromkeys(key for line in lines for key in line))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(map(_cell, heads))
    writer.writerows(_cells(line, heads) for line in lines)
    return stream.getvalue()


def _cells(line: Mapping[str, Any], heads: Iterable[str]) -> list[Any]:
    return [_cell(line.get(head)) for head in heads]


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        text = visible(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    if isinstance(value, float) and not known(value):
        return ""
    return value
