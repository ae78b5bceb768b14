"""The verdict as data: `verdict.json`, described by `verdict.schema.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from advisor.core import Task
from advisor.measures import canaries, freshness, leakage
from advisor.report.figures import known
from advisor.report.model import Report, first_trials, ranked, visible
from advisor.trial import Leakage
from advisor.verdict import (
    Comparison,
    Cost,
    Counts,
    Forgetting,
    LearningCurve,
    Measure,
    Standing,
    SuiteChange,
    Verdict,
)

VERSION = 1
ALPHA = 0.05  # of the intervals of changed facts and leakage, whatever the verdict's is


def verdict_json(report: Report) -> dict[str, Any]:
    """The verdict as plain data, best quality first; what was not measured is null."""
    registered = report.run.get("registration")
    return {
        "version": VERSION,
        "task": _task(report.task),
        **verdict_data(report.verdict),
        **_trust(report),
        **({"registration": _registered(registered)} if isinstance(registered, Mapping) else {}),
    }


def _trust(report: Report) -> dict[str, Any]:
    """By contender, what it answers about changed facts, and what its weights give away."""
    trials = first_trials(report)
    fresh = {name: {"date": trial.fresh.date, "documents": [
        _plain(asdict(one)) for one in freshness.figures(trial.fresh, alpha=ALPHA)]}
        for name, trial in trials.items() if trial.fresh is not None}
    leaks = {name: _leak(trial.leakage) for name, trial in trials.items()
             if trial.leakage is not None}
    return {**({"freshness": fresh} if fresh else {}), **({"leakage": leaks} if leaks else {})}


def _leak(found: Leakage) -> dict[str, Any]:
    heart = leakage.figures(found.power) if found.power else None
    return {
        **_plain(asdict(leakage.figures(found))),
        "by_heart": _plain(asdict(heart)) if heart else None,
        "planted": [{**_plain(asdict(one)), "kept": one.kept}
                    for one in canaries.figures(found.secrets)],
    }


def verdict_data(verdict: Verdict) -> dict[str, Any]:
    """A verdict without its task: standings best quality first, and the outlook."""
    return {
        "outcome": verdict.outcome,
        "winner": verdict.winner,
        "because": list(verdict.because),
        "next_step": verdict.next_step,
        "final": verdict.final,
        "standings": [_standing(one) for one in ranked(verdict)],
        "comparisons": [_comparison(one) for one in verdict.comparisons],
        **({"outlook": _plain(asdict(verdict.outlook))} if verdict.outlook else {}),
        **({"seeds": [_plain(asdict(one)) for one in verdict.seeds]} if verdict.seeds else {}),
        **({"slices": [_plain(asdict(one)) for one in verdict.slices]} if verdict.slices else {}),
        **({"effects": _plain(asdict(verdict.effects))} if verdict.effects else {}),
        **({"curves": [_curve(one) for one in verdict.curves]} if verdict.curves else {}),
    }


def _curve(one: LearningCurve) -> dict[str, Any]:
    points = [{"rows": rows, "quality": _measure(quality)} for rows, quality in one.points]
    return {"contender": one.contender, "points": points, "reading": one.reading}


def _registered(found: Mapping[str, Any]) -> dict[str, Any]:
    changed = {str(key): [_plain(one) for one in pair] for key, pair in found["changed"].items()}
    return {"hash": found["hash"], "answers_before": found["answers_before"], "changed": changed}


def _plain(value: Any) -> Any:
    """Nested data with null for every number that was not measured or has no end."""
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def page_data(report: Report) -> dict[str, Any]:
    """What the page carries for its script: the verdict, the context, credits by item."""
    context = report.task.context
    order = [example.question.id for example in report.task.test]
    credits: dict[str, list[float | None]] = {}
    for name, trial in first_trials(report).items():
        by_id = {row.example.question.id: row.grade.credit for row in trial.rows}
        credits[name] = [_number(by_id.get(item)) for item in order]
    return {
        "verdict": verdict_json(report),
        "context": {
            "calls_per_month": _number(context.calls_per_month),
            "churn_per_month": _number(context.churn_per_month),
            "latency_limit_ms": _number(context.latency_limit_ms),
            "residency": context.residency,
        },
        "items": order,
        "groups": [example.group for example in report.task.test],
        "credits": credits,
    }


def dumps(data: Mapping[str, Any], *, indent: int | None = None) -> str:
    """JSON text that any parser reads: no NaN, no lone surrogates."""
    text = json.dumps(_clean(data), ensure_ascii=False, allow_nan=False, indent=indent)
    return text + "\n" if indent else text


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(str(key)): _clean(one) for key, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value


def _number(value: float | None) -> float | None:
    return value if known(value) else None


def _task(task: Task) -> dict[str, Any]:
    return {
        "name": task.name,
        "title": task.title,
        "primary": task.primary,
        "chance": _number(task.chance),
        "test_items": len(task.test),
        "digest": task.digest,
    }


def _measure(measure: Measure) -> dict[str, Any]:
    return {
        "value": _number(measure.value),
        "low": _number(measure.low),
        "high": _number(measure.high),
        "n": measure.n,
    }


def _standing(one: Standing) -> dict[str, Any]:
    forgetting = one.forgetting
    return {
        "contender": one.contender,
        "quality": _measure(one.quality),
        "parts": {part: _measure(one.parts[part]) for part in sorted(one.parts)},
        "counts": _counts(one.counts),
        "forgetting": _forgetting(forgetting) if isinstance(forgetting, Forgetting) else forgetting,
        "cost": _cost(one.cost),
        "axes": dict(sorted(one.axes.items())),
        "barred_by": list(one.barred_by),
    }


def _counts(counts: Counts) -> dict[str, int]:
    return {
        "asked": counts.asked,
        "read": counts.read,
        "empty": counts.empty,
        "unreadable": counts.unreadable,
        "failed": counts.failed,
        "shortened_prompts": counts.shortened_prompts,
    }


def _forgetting(found: Forgetting) -> dict[str, Any]:
    return {"pooled": _change(found.pooled), "suites": [_change(one) for one in found.suites]}


def _change(change: SuiteChange) -> dict[str, Any]:
    return {
        "suite": change.suite,
        "metric": change.metric,
        "base": _measure(change.base),
        "tuned": _measure(change.tuned),
        "drop": _measure(change.drop),
        "upper": _number(change.upper),
        "lower": _number(change.lower),
        "margin": _number(change.margin),
        "state": change.state,
        "lost": change.lost,
        "gained": change.gained,
        **({"noise": _plain(asdict(change.noise))} if change.noise else {}),
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "usd_per_1k": _number(cost.usd_per_1k),
        "usd_per_1k_all_in": _number(cost.usd_per_1k_all_in),
        "p50_ms": _number(cost.p50_ms),
        "p95_ms": _number(cost.p95_ms),
        "probe_n": cost.probe_n,
        "tokens_in": _number(cost.tokens_in),
        "tokens_out": _number(cost.tokens_out),
        "seconds_per_call": _number(cost.seconds_per_call),
        "peak_memory_mib": _number(cost.peak_memory_mib),
        "prepare_seconds": _number(cost.prepare_seconds),
        "artefact_bytes": _number(cost.artefact_bytes),
        "tuning_seconds": _number(cost.tuning_seconds),
        "rows_learnt": cost.rows_learnt,
        "fixed_usd": _number(cost.fixed_usd),
        "retunes": cost.retunes,
        "reindexes": cost.reindexes,
        "stale_before": _number(cost.stale_before),
        "stale_after": _number(cost.stale_after),
    }


def _comparison(one: Comparison) -> dict[str, Any]:
    return {
        "contender": one.contender,
        "against": one.against,
        "difference": _measure(one.difference),
        "method": one.method,
        "p_value": _number(one.p_value),
        "detectable": _number(one.detectable),
        "rows_to_decide": one.rows_to_decide,
    }
