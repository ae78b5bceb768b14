"""Whether contenders met equal conditions: what they were told, how, and on what machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from advisor.report.figures import known, listed, percent, whole
from advisor.report.model import Report, lead, ranked, reference

# Of all processor time: less is the system itself, more is somebody else's work.
CROWDED = 0.10
NAMES = 6


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: `ok`, `note` (read it) or `fault` (the figures do not compare)."""

    state: Literal["ok", "note", "fault"]
    title: str
    finding: str


def conditions(report: Report) -> tuple[Check, ...]:
    """Those that run.yaml tells of; nothing where it names no contenders."""
    recipes = _asked(report)
    if not recipes:
        return ()
    return (_effort(report, recipes), _template(report, recipes), *_alike(report),
            *_machine(report))


def crowded(report: Report) -> dict[str, float]:
    """Contenders timed beside other work, and the share of all processor time it took; of
    several seeds the most."""
    found: dict[str, float] = {}
    for label, share in _shares(report).items():
        if share > CROWDED:
            name = label.partition("@")[0]
            found[name] = max(share, found.get(name, 0.0))
    return found


def _asked(report: Report) -> dict[str, Mapping[str, Any]]:
    """Recipes of those that were measured and call a model, the best first."""
    recipes = _mapping(report.run, "contenders")
    names = [one.contender for one in ranked(report.verdict)]
    found = {name: _mapping(recipes, name) for name in names}
    return {name: one for name, one in found.items()
            if one and _mapping(one, "prompt").get("kind") != "none"}


def _effort(report: Report, recipes: Mapping[str, Mapping[str, Any]]) -> Check:
    """Instructions, solved examples and searches, side by side."""
    prompts = {name: _mapping(one, "prompt") for name, one in recipes.items()}
    own = [name for name, one in prompts.items() if one.get("wording")]
    brief = [name for name, one in prompts.items()
             if one.get("instruction") == "brief" and name not in own]
    full = [name for name in prompts if name not in own and name not in brief]
    said = [f"{words} for {_listed(names)}" for words, names in (
        ("the full instruction", full), ("the brief one", brief), ("one of their own", own))
        if names]
    text = f"Told: {'; '.join(said)}. Solved examples: {_shots(prompts)}."
    searched = [name for name, one in recipes.items() if _searched(one)]
    if searched:
        text += f" Settings chosen on dev: {_listed(searched)}."
    uneven = _uneven(report, recipes, searched)
    return Check("note" if uneven else "ok",
                     "Unequal prompt effort" if uneven else "Equal prompt effort",
                     f"{text}{' ' if uneven else ''}{uneven}")


def _shots(prompts: Mapping[str, Mapping[str, Any]]) -> str:
    by_count: dict[int, list[str]] = {}
    for name, one in prompts.items():
        by_count.setdefault(int(one.get("shots") or 0), []).append(name)
    return "; ".join(f"{whole(count) if count else 'none'} for {_listed(by_count[count])}"
                     for count in sorted(by_count, reverse=True))


def _uneven(
    report: Report, recipes: Mapping[str, Mapping[str, Any]], searched: Sequence[str]
) -> str:
    """How the leader was favoured over the one that it is measured against; empty if not."""
    chosen = lead(report.verdict)
    found = reference(report.verdict, chosen) if chosen else None
    if chosen is None or found is None:
        return ""
    one, other = chosen.contender, found[0].contender
    if not {one, other} <= recipes.keys():
        return ""
    if one in searched and other not in searched:
        return f"{one} was searched on dev, {other}, which it is measured against, was not."
    shots = [int(_mapping(recipes[name], "prompt").get("shots") or 0) for name in (one, other)]
    if shots[0] > shots[1] > 0:
        return f"{one} shows more of them than {other}, which it is measured against."
    return ""


def _searched(recipe: Mapping[str, Any]) -> bool:
    return any(_mapping(recipe, axis).get("tune") for axis in ("prompt", "retrieval", "weights"))


def _template(report: Report, recipes: Mapping[str, Mapping[str, Any]]) -> Check:
    """One chat template for all, as far as it can be seen."""
    kinds = {name: _mapping(one, "weights").get("kind") for name, one in recipes.items()}
    elsewhere = [name for name, kind in kinds.items() if kind in ("endpoint", "own")]
    here = len(kinds) - len(elsewhere)
    base = str(_mapping(report.run, "model").get("name") or "the base model")
    said = f"{'All' if not elsewhere else f'{here} contenders'} were asked through the chat " \
           f"template of {base}, tuned ones as they were taught."
    if not elsewhere:
        return Check("ok", "Equal templates", said)
    verb = "writes its" if len(elsewhere) == 1 else "write their"
    unseen = f"What serves {_listed(elsewhere)} {verb} own prompts, which cannot be seen from here."
    return Check("note", "Templates that cannot be compared",
                     f"{said} {unseen}" if here else unseen)


def _alike(report: Report) -> tuple[Check, ...]:
    """Contenders that came out as another one."""
    noted = _mapping(report.run, "measured")
    firsts = {str(name): _mapping(noted, name).get("same_as") for name in noted}
    names = [f"{name} as {first}" for name, first in firsts.items() if first]
    if not names:
        return ()
    text = f"What was settled and saved is the same, to the byte: {_listed(names)}. They were " \
           "asked once, and a difference between them would say nothing."
    return (Check("note", "The same system under two names", text),)


def _machine(report: Report) -> tuple[Check, ...]:
    shares = _shares(report)
    if not shares:
        return ()
    busy = crowded(report)
    if not busy:
        text = "Other work took at most " \
               f"{percent(max(shares.values()), 0)} of the processor while calls were timed."
        return (Check("ok", "No contention", text),)
    names = [f"{name} {percent(share, 0)}" for name, share in busy.items()]
    text = f"Share of the processor that other work took while calls were timed: {_listed(names)}."
    if len(busy) < len({label.partition('@')[0] for label in shares}):
        text += " Their latency and cost are too high beside those of the others."
    else:
        text += " Latencies and costs are too high."
    return (Check("note", "Contention while measuring", text),)


def _shares(report: Report) -> dict[str, float]:
    """Contender, or contender@seed, to the share of others, where the system told."""
    noted = _mapping(report.run, "measured")
    found = {str(name): _mapping(noted, name).get("busy_with_other_work") for name in noted}
    return {name: float(share) for name, share in found.items()
            if isinstance(share, int | float) and known(share)}


def _mapping(holder: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = holder.get(key)
    return found if isinstance(found, Mapping) else {}


def _listed(names: Sequence[str]) -> str:
    return listed(list(names), NAMES)
