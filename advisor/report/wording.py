"""What the report says in sentences; the page and the Markdown share them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, log

from advisor.reasons import first_change, flip_words
from advisor.report.conditions import crowded
from advisor.report.figures import (
    bounds,
    decimal,
    known,
    listed,
    milliseconds,
    money,
    p_value,
    percent,
    percent_measure,
    plural,
    points,
    points_measure,
    whole,
    words,
)
from advisor.report.model import Report, compared, lead, level, ranked, reference
from advisor.verdict import Flip, Forgetting, GateState, Standing

GATE_WORDS: Mapping[GateState, str] = {
    "pass": "pass",
    "fail": "fail",
    "inconclusive": "inconclusive",
    "cannot_gate": "cannot gate",
    "shown": "shown only",
}
UNIT_WORDS: Mapping[str, str] = {
    "bits_per_byte": "bits per byte",
    "nats_per_token": "nats per token",
}
UNCHANGED_WORDS = "unchanged by construction"
CHANGES = 3  # on the first screen; the others stand in their table
FLIP_WORDS: Mapping[str, str] = {
    "price.machine_hour": "price of a machine hour",
    "price.tokens": "endpoints' prices",
    "volume": "volume",
    "churn": "churn",
    "margin": "quality margin",
    "retention_margin": "retention margin",
    "latency": "latency limit",
    "value": "worth of a correct answer",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the first screen: a label, the figure, and what qualifies it."""

    label: str
    figure: str
    notes: tuple[str, ...]


def headline(report: Report) -> str:
    """The verdict in one sentence with its figures."""
    outcome = report.verdict.outcome
    chosen = lead(report.verdict)
    if chosen is None:
        return "No contender was measured."
    if outcome == "recommend":
        return _recommendation(report, chosen)
    return _undecided(report) if outcome == "cannot_tell" else _infeasible(report, chosen)


def _recommendation(report: Report, chosen: Standing) -> str:
    assert chosen.contender == report.verdict.winner, "the winner has no standing"
    quality = f"{percent(chosen.quality.value)} {words(report.task.primary)}"
    parts = [f"Use {chosen.contender}: {quality} {bounds(chosen.quality)}".strip()]
    found = reference(report.verdict, chosen)
    if found:
        other, why = found
        gap = _gap(report, chosen, other)
        if known(gap):
            side = "above" if gap >= 0 else "below"
            size = points(abs(gap), signed=False)
            parts.append(f"{size} points {side} {other.contender} ({why})")
    parts.append(f"for {money(chosen.cost.usd_per_1k)} per 1,000 calls")
    return ", ".join(parts) + "."


def _gap(report: Report, chosen: Standing, other: Standing) -> float | None:
    paired = compared(report.verdict, chosen.contender, other.contender)
    if paired is not None:
        return paired.difference.value
    return chosen.quality.value - other.quality.value


def _undecided(report: Report) -> str:
    fit = [one for one in ranked(report.verdict) if not one.barred_by]
    if len(fit) < 2:
        return "Cannot tell yet: the measurements do not settle which contender to use."
    first, second = fit[:2]
    pair = f"{first.contender} ({percent_measure(first.quality)}) and "
    pair += f"{second.contender} ({percent_measure(second.quality)})"
    paired = compared(report.verdict, first.contender, second.contender)
    if paired is not None and paired.difference.low <= 0 <= paired.difference.high:
        items = plural(paired.difference.n, "item")
        return f"Cannot tell yet: {pair} are too close to call on {items}."
    return f"Cannot tell yet which to use. The best measured within all limits are {pair}."


def _infeasible(report: Report, closest: Standing) -> str:
    count = len(report.verdict.standings)
    who = "the only contender breaks" if count == 1 else f"all {count} contenders break"
    nearest = f"{closest.contender}, {percent_measure(closest.quality)}"
    return f"Use none of these yet: {who} a limit. The closest is {nearest}."


def certainty(report: Report) -> str:
    """How sure the headline is: the paired comparison behind it. Where the data cannot tell,
    the reasons say it already."""
    chosen = lead(report.verdict)
    if chosen is None or report.verdict.outcome == "cannot_tell":
        return ""
    if report.verdict.outcome == "none_feasible":
        return f"It is barred by: {limits(chosen)}."
    found = reference(report.verdict, chosen)
    return _paired(report, chosen, found[0]) if found else ""


def next_step(report: Report) -> str:
    """What to do next, without the change of advice that `changes` tells."""
    seen = report.verdict.outlook
    return report.verdict.next_step.replace(first_change(seen), "") if seen else \
        report.verdict.next_step


def changes(report: Report) -> str:
    """The numbers that would change the advice, the nearest first; empty without an outlook."""
    seen = report.verdict.outlook
    if seen is None or not seen.flips:
        return ""
    found = sorted((one for one in seen.flips if one.at is not None), key=_distance)
    if not found:
        return "No number searched would, alone: " \
               f"{listed([flip_name(one) for one in seen.flips], 12)}."
    said = [f"{flip_name(one)} {flip_words(one)}" for one in found]
    return f"{'; '.join(said[:CHANGES])}."


def flip_name(flip: Flip) -> str:
    """The number in words; on the command line it is `flip.parameter`."""
    suite = flip.parameter.removeprefix("protect.")
    return FLIP_WORDS.get(flip.parameter) or f"margin on {words(suite)}"


def _distance(flip: Flip) -> float:
    """How far off in proportion; numbers that were not said, or are zero, come last."""
    now, at = flip.now, flip.at
    return abs(log(at / now)) if now and at and now > 0 and at > 0 else inf


def _paired(report: Report, one: Standing, other: Standing) -> str:
    paired = compared(report.verdict, one.contender, other.contender)
    if paired is None:
        return f"No paired comparison of {one.contender} and {other.contender} was recorded."
    size = paired.difference
    text = (
        f"Paired on the same {plural(size.n, 'item')}, {one.contender} minus {other.contender} is "
        f"{points_measure(size)} points ({level(report.run)}, p {_equals(paired.p_value)}). "
        f"A true difference of {points(paired.detectable, signed=False)} points or more "
        "would have been found with 80% power."
    )
    if paired.rows_to_decide is not None:
        text += f" About {whole(paired.rows_to_decide)} rows would decide it."
    return text


def _equals(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def limits(standing: Standing) -> str:
    """The limits a contender breaks, in words, or that it holds them all."""
    return "; ".join(words(one) for one in standing.barred_by) or "within all limits"


def forgotten(forgetting: Forgetting | str) -> tuple[str, str]:
    """Forgetting in two short lines: the pooled drop, and the state of its gate."""
    if not isinstance(forgetting, Forgetting):
        return "unchanged", "by construction"
    pooled = forgetting.pooled
    return points_measure(pooled.drop), gate_words(pooled.state, pooled.upper, pooled.margin)


def gate_words(state: GateState, upper: float, margin: float | None) -> str:
    """`pass (upper 1.4)`: the gate and the bound, in points, that it compares."""
    text = GATE_WORDS[state]
    if margin is None or not known(upper):
        return text
    return f"{text} (upper {points(upper, signed=False)})"


def tiles(report: Report) -> tuple[Tile, ...]:
    """The figures of the first screen, about the contender the verdict is about."""
    chosen = lead(report.verdict)
    if chosen is None:
        return ()
    quality, cost = chosen.quality, chosen.cost
    groups = len({example.group for example in report.task.test})
    shown = [
        Tile(
            f"Quality: {words(report.task.primary)}",
            percent(quality.value),
            (
                f"{level(report.run)} {bounds(quality)}",
                f"guessing earns {percent(report.task.chance)}",
            ),
        ),
        Tile(
            "Costs, per 1,000 calls",
            money(cost.usd_per_1k),
            (f"{money(cost.usd_per_1k_all_in)} with preparation", _monthly(report, chosen)),
        ),
        _forgets(chosen),
        Tile("Latency, p95", milliseconds(cost.p95_ms), _latency(report, chosen)),
        Tile(
            "Test items",
            whole(quality.n),
            (
                f"cut from {plural(groups, 'source')}",
                plural(len(report.verdict.standings), "contender"),
            ),
        ),
    ]
    return tuple(shown)


def _monthly(report: Report, chosen: Standing) -> str:
    calls = report.task.context.calls_per_month
    return f"{money(chosen.cost.usd_per_1k * calls / 1000)} a month at {whole(calls)} calls"


def _latency(report: Report, chosen: Standing) -> tuple[str, ...]:
    limit = report.task.context.latency_limit_ms
    bound = "no limit was set" if limit is None else f"the limit is {milliseconds(limit)}"
    return (f"half in {milliseconds(chosen.cost.p50_ms)}, n = {whole(chosen.cost.probe_n)}", bound)


def _forgets(chosen: Standing) -> Tile:
    if not isinstance(chosen.forgetting, Forgetting):
        return Tile("Forgets", "nothing", ("the weights are the untouched base:", UNCHANGED_WORDS))
    pooled = chosen.forgetting.pooled
    size = pooled.drop.value
    bound = f"at most {points(pooled.upper, signed=False)}"
    if pooled.margin is not None:
        bound += f"; {points(pooled.margin, signed=False)} are allowed"
    return Tile(
        f"Forgets (gate: {GATE_WORDS[pooled.state]})",
        f"{decimal(size * 100)} points" if known(size) else points(None),
        (f"lost elsewhere {bounds(pooled.drop)}{', a gain' if size < 0 else ''}", bound),
    )


def contended(report: Report) -> str:
    """Whose latency and cost were taken beside other work; empty where nobody's were."""
    busy = crowded(report)
    if not busy:
        return ""
    most = percent(max(busy.values()), 0)
    names = [one.contender for one in ranked(report.verdict) if one.contender in busy]
    return (f"Other work took up to {most} of the processor while {listed(names)} "
            f"{'was' if len(names) == 1 else 'were'} timed: their latency and cost are too high.")


def unchanged_sentence(report: Report) -> str:
    """Which contenders cannot have forgotten anything, and why."""
    names = [
        one.contender
        for one in ranked(report.verdict)
        if not isinstance(one.forgetting, Forgetting)
    ]
    if not names:
        return ""
    verb = "runs" if len(names) == 1 else "run"
    return f"{listed(names, 12)} {verb} on the untouched base weights: {UNCHANGED_WORDS}."


def limited_banner(report: Report) -> str:
    """Why the figures may not be quoted, or nothing when the run is final."""
    if report.verdict.final:
        return ""
    return (
        "Not final. This run is limited: its figures were not confirmed on the locked test "
        "split, so do not quote them or ship on them."
    )
