"""What would change the advice, the odds, factors, curves, seeds and slices: sheets of cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from advisor.reasons import flip_number, flip_words
from advisor.report.figures import (
    MISSING,
    decimal,
    known,
    listed,
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
from advisor.report.model import Report, level, ranked
from advisor.report.wording import flip_name
from advisor.verdict import Flip, Outlook

COSTS, LEARNT = "Where costs cross", "Learning curves"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A small table: heads (name, unit), and lines whose first cell names them."""

    title: str
    lede: str
    heads: tuple[tuple[str, str], ...]
    lines: tuple[tuple[str, ...], ...]


def sheets(report: Report) -> tuple[Sheet, ...]:
    """The sheets that have something to show, the advice's own first."""
    found: list[Sheet] = []
    seen = report.verdict.outlook
    if seen is not None:
        found += [_flips(seen), _odds(seen), _break_even(seen)]
    found += [*_effects(report), _learnt(report), _seeds(report), *_slices(report)]
    return tuple(one for one in found if one.lines)


def _flips(seen: Outlook) -> Sheet:
    lines = tuple(
        (flip_name(flip), flip.parameter, _now(flip), flip_words(flip)) for flip in seen.flips
    )
    lede = (
        "Each number alone, all others as they are: the nearest value at which the advice "
        "becomes another. advisor decide RUN --set volume=2e6 decides again with yours."
    )
    return Sheet("What would change the advice", lede,
                 (("Number", ""), ("Key", "of --set"), ("Today", ""), ("The advice changes", "")),
                 lines)


def _now(flip: Flip) -> str:
    return "not said" if flip.now is None else f"{flip_number(flip, flip.now)} {flip.unit}"


def _odds(seen: Outlook) -> Sheet:
    """A line each for those with a chance, one for all the others."""
    able = [one for one in seen.chances if one.best or one.within]
    lines: list[tuple[str, ...]] = [
        (one.contender, percent(one.best), percent(one.within), money(one.utility_usd))
        for one in able
    ]
    if rest := [one.contender for one in seen.chances if one not in able]:
        lines.append((f"never: {listed(rest, 20)}", percent(0.0), percent(0.0), MISSING))
    heads: tuple[tuple[str, str], ...] = (
        ("Contender", ""), ("Best", "of redraws"), ("Within the margin", "of the best"),
        ("Utility", "over the horizon"),
    )
    if not any(known(one.utility_usd) for one in able):
        heads, lines = heads[:3], [line[:3] for line in lines]
    return Sheet("How sure it is", _stake(seen), heads, tuple(lines))


def _stake(seen: Outlook) -> str:
    usd = f" ({money(seen.regret_usd)} over the horizon)" if known(seen.regret_usd) else ""
    said = (f"Rows and seeds drawn again: how often each is the best that may be used. Following "
            f"{seen.about} loses {points(seen.regret, signed=False)} points on average against "
            f"the best{usd}.")
    more = seen.more
    if more is None:
        return said
    said += (f" {plural(more.rows, 'more test row')} would gain "
             f"{decimal(more.points * 100, 2)} points on average and cost {money(more.price_usd)}")
    if known(more.usd):
        return f"{said}; that gain is worth {money(more.usd)}."
    if known(more.worth_from):
        return f"{said}: they pay from {money(more.worth_from)} a correct answer."
    return f"{said}."


def _break_even(seen: Outlook) -> Sheet:
    lines = tuple(
        (one.first, one.later,
         "never" if one.calls_per_month is None else
         f"{whole(one.calls_per_month)} calls a month")
        for one in seen.break_even if seen.about in (one.first, one.later)
    )
    lede = (f"Between {seen.about} and each other that may be used, all costs of the horizon "
            "counted. Best quality for its cost: " + ", ".join(seen.front) + ".")
    heads = (("Cheaper at first", ""), ("Cheaper later", ""), ("From", ""))
    return Sheet(COSTS, lede, heads, lines)


def _effects(report: Report) -> list[Sheet]:
    """What each factor of a factorial adds, and each pair."""
    seen = report.verdict.effects
    if seen is None:
        return []
    said = level(report.run)
    single = tuple((words(one.factor), points_measure(one.alone), points_measure(one.average))
                   for one in seen.factors)
    double = tuple(
        (" and ".join(map(words, one.pair)), points_measure(one.first),
         points_measure(one.second), points_measure(one.together), points_measure(one.beyond),
         one.reading)
        for one in seen.interactions
    )
    lede = (f"Every combination of the factors answered the same {seen.rows} rows. Alone: added "
            "to the plain prompt. On average: over every combination of the others.")
    without = report.run.get("factorial_without")
    if isinstance(without, Mapping) and without:
        lede += " Left out: " + "; ".join(f"{words(str(factor))} ({reason})"
                                          for factor, reason in without.items()) + "."
    both = ("Two factors added to the plain prompt. Beyond: what both add less what each adds "
            "alone; below 0 they do the same work.")
    return [
        Sheet("What each factor adds", lede,
              (("Factor", ""), ("Alone", f"points, {said}"), ("On average", f"points, {said}")),
              single),
        Sheet("What factors add together", both,
              (("Factors", ""), ("First", "points"), ("Second", "points"), ("Together", "points"),
               ("Beyond", "points"), ("Reading", "")), double),
    ]


def _learnt(report: Report) -> Sheet:
    """Each recipe on parts of the train rows; what follows stands at its last line."""
    curves = {one.contender: one for one in report.verdict.curves}
    found = [curves[one.contender] for one in ranked(report.verdict) if one.contender in curves]
    lines = tuple(
        (one.contender, whole(rows) if rows else "none", percent_measure(quality),
         one.reading if at + 1 == len(one.points) else "")
        for one in found for at, (rows, quality) in enumerate(one.points)
    )
    lede = ("The same recipe and settings on parts of the train rows, each within the next and "
            "groups whole; the same test rows, and all of dev, at every size. Fewer rows at as "
            "many passes are fewer updates too. A size is tuned once a seed: of a single seed the "
            "intervals hold the luck of the test rows, not that of the part or of the tuning. "
            "Nothing is foretold beyond the rows there are.")
    heads = (("Contender", ""), ("Train rows", ""), ("Quality", f"%, {level(report.run)}"),
             ("Reading", ""))
    return Sheet(LEARNT, lede, heads, (*lines, *_without_curve(report)))


def _without_curve(report: Report) -> list[tuple[str, ...]]:
    """Tuned contenders whose curve was asked for, and why they have none."""
    noted = report.run.get("learning_curves")
    why = noted.get("without") if isinstance(noted, Mapping) else None
    return [(str(name), MISSING, MISSING, f"no curve: {reason}")
            for name, reason in why.items()] if isinstance(why, Mapping) else []


def _seeds(report: Report) -> Sheet:
    lines = tuple(
        (one.contender, ", ".join(percent(mean) for mean in one.means),
         points(one.deviation, signed=False), percent_measure(one.checkpoint),
         percent_measure(one.recipe))
        for one in report.verdict.seeds
    )
    means = [one.quality.value for one in report.verdict.standings if not one.barred_by]
    lede = ("The same recipe with another seed. This checkpoint is the one that ships: its "
            "interval holds the luck of the rows. The recipe holds that of the seeds too.")
    if len(means) > 1 and all(map(known, means)):
        apart = points(max(means) - min(means), signed=False)
        lede += f" Between the recipes that may be used lie {apart} points."
    heads = (("Contender", ""), ("Each seed", ""), ("Deviation", "points"),
             ("This checkpoint", level(report.run)), ("The recipe", level(report.run)))
    return Sheet("Seeds", lede, heads, lines)


def _slices(report: Report) -> list[Sheet]:
    """A sheet a column, about the contender the verdict is about."""
    seen = report.verdict.outlook
    about = seen.about if seen else report.verdict.winner
    mine = [one for one in report.verdict.slices if one.contender == about]
    made = []
    for column in dict.fromkeys(one.column for one in mine):
        lines = tuple(
            (one.value, whole(one.quality.n), percent_measure(one.quality),
             points_measure(one.gap), p_value(one.adjusted), "yes" if one.stands_out else "no")
            for one in mine if one.column == column
        )
        lede = (f"{about} on the rows of each {words(column)}, against its other rows. p is "
                "adjusted over all slices (Benjamini and Hochberg); verdict.json has every "
                "contender.")
        heads = ((words(column), ""), ("Rows", ""), ("Quality", f"%, {level(report.run)}"),
                 ("Against the rest", f"points, {level(report.run)}"), ("p", "adjusted"),
                 ("Stands out", ""))
        made.append(Sheet(f"By {words(column)}", lede, heads, lines))
    return made
