"""The simulated checks: each says what it expects, what it found, and whether that passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from advisor.decide import Evidence, decide
from advisor.stats import (
    Difference,
    difference,
    measure_seeds,
    p_greater,
    redrawn_means,
    rows_to_decide,
)
from advisor.verdict import Cost, Counts, Measure, Policy, Standing

from .journals import SETTINGS, Floats, Setting, seeded

POLICY = Policy(
    quality_margin=0.05, retention_margin=0.05, alpha=0.05, latency_limit_ms=None, max_failed=0.01,
    horizon_months=12, calls_per_month=1000, usd_per_machine_hour=1.0, utilisation=0.5,
    bootstrap=50,
)


@dataclass(frozen=True, slots=True)
class Found:
    """One line of the table; shares are percent."""

    check: str
    expected: str
    found: float
    passed: bool

    def __str__(self) -> str:
        state = "ok  " if self.passed else "MISS"
        return f"{state} {self.found:6.1f}  {self.expected:>11}  {self.check}"


def between(check: str, share: float, low: float, high: float, journals: int) -> Found:
    """`share` against its bar; small simulations are given three of their standard errors."""
    slack = 0.0 if journals >= 5000 else 3 * np.sqrt(0.05 * 0.95 / journals)
    passed = low - slack <= share <= high + slack
    return Found(check, f"{low * 100:.0f} to {high * 100:.0f}", share * 100, bool(passed))


# Thirteen sources, of which often all and seldom more than two lose anything: no interval
# that holds when the rows of a source are alike is as narrow as the bar asks.
WIDE = 0.99


def coverage(setting: Setting, journals: int) -> Iterator[Found]:
    """How often 95% intervals hold the true score, and the true difference of two."""
    generator = np.random.default_rng(17)
    codes, held = setting.codes, np.zeros(2)
    for _ in range(journals):
        one, other = setting.near(generator), setting.near(generator)
        first, second = (setting.credits(mean, generator)[None] for mean in (one, other))
        seen = measure_seeds(first, codes, alpha=0.05)
        apart = difference(first, second, codes, alpha=0.05).interval
        held += [seen.low <= one <= seen.high, apart.low <= one - other <= apart.high]
    few = (setting.score, setting.rows) == (0.97, 50) and setting.together > 1
    high = WIDE if few else 0.97
    for what, share in zip(("score", "difference"), held / journals, strict=True):
        yield between(f"{what} covered, {setting}", float(share), 0.93, high, journals)


def recipe_coverage(spread: float, journals: int) -> Iterator[Found]:
    """Three seeds a recipe whose means vary by `spread`: the recipe's score and difference.

    Intervals of few seeds are allowed to be too wide. Beside them, what the quantiles of the
    redraws cover, from which P(best) comes.
    """
    generator = np.random.default_rng(23)
    codes, held = np.arange(300), np.zeros(3)
    for _ in range(journals):
        hard = generator.uniform(-0.25, 0.25, 300)
        truth = generator.uniform(0.6, 0.7, 2)
        first, second = (
            seeded(generator.normal(mean, spread, 3), 300, generator, hard=hard) for mean in truth
        )
        seen = measure_seeds(first, codes, alpha=0.05)
        apart = difference(first, second, codes, alpha=0.05).interval
        means = redrawn_means([first, second], codes, seed=0, draws=400)
        low, high = np.quantile(means[:, 0] - means[:, 1], [0.025, 0.975])
        gap = truth[0] - truth[1]
        held += [seen.low <= truth[0] <= seen.high, apart.low <= gap <= apart.high,
                 low <= gap <= high]
    shares = held / journals
    what = f"3 seeds that differ by {spread * 100:.0f} points"
    yield between(f"recipe's score covered, {what}", float(shares[0]), 0.93, 1.0, journals)
    yield between(f"recipes' difference covered, {what}", float(shares[1]), 0.93, 1.0, journals)
    yield Found(f"(the same by redraws, {what})", "-", float(shares[2]) * 100, True)


def false_wins(setting: Setting, replays: int) -> Found:
    """A/A: two systems of the same true score, told apart at alpha."""
    generator = np.random.default_rng(29)
    won = 0
    for _ in range(replays):
        mean = setting.near(generator)
        first, second = (setting.credits(mean, generator)[None] for _ in range(2))
        won += difference(first, second, setting.codes, alpha=0.05).p_value <= 0.05
    return at_most(f"A/A told apart, {setting}", won / replays, 0.06)


def false_wins_of_seeds(replays: int) -> Iterator[Found]:
    """A/A with the luck of training: one recipe against itself, three other seeds."""
    generator = np.random.default_rng(31)
    won, naive = 0, 0
    for _ in range(replays):
        hard = generator.uniform(-0.2, 0.2, 300)
        first, second = (
            seeded(generator.normal(0.7, 0.03, 3), 300, generator, hard=hard) for _ in range(2)
        )
        codes = np.arange(300)
        won += difference(first, second, codes, alpha=0.05).p_value <= 0.05
        naive += difference(first[:1], second[:1], codes, alpha=0.05).p_value <= 0.05
    yield at_most("A/A of recipes told apart, seeds 3 points apart", won / replays, 0.06)
    yield Found("(the same from one seed a recipe)", "-", naive / replays * 100, True)


def at_most(check: str, share: float, bar: float) -> Found:
    return Found(check, f"at most {bar * 100:.0f}", share * 100, share <= bar)


def power(up: int, down: int, of: int, *, replays: int, target: float = 0.0) -> Found:
    """A planted effect at the computed number of rows, one-sided at 2.5%.

    In `of` rows `up` are won and `down` lost; the pilot holds exactly these shares.
    """
    pilot = np.repeat([1.0, -1.0, 0.0], [up, down, of - up - down])
    wanted = rows_to_decide(_gap(pilot), target, level=0.025)
    assert wanted is not None, "the pilot is too small to tell"
    generator = np.random.default_rng(37)
    shares = [up / of, down / of, 1 - (up + down) / of]
    draws = generator.choice([1.0, -1.0, 0.0], size=(replays, wanted), p=shares)
    found = float(np.mean([p_greater(_gap(draw), target) <= 0.025 for draw in draws]))
    effect = (up - down) / of - target
    return Found(f"{effect * 100:.0f} points over {target * 100:.0f} found at {wanted:,} rows",
                 "at least 78", found * 100, found >= 0.78)


def _gap(gaps: Floats) -> Difference:
    first, second = np.maximum(gaps, 0)[None], np.maximum(-gaps, 0)[None]
    return difference(first, second, np.arange(len(gaps)), alpha=0.05)


def ties(replays: int) -> Iterator[Found]:
    """Three contenders of one true score at three prices: who is named?"""
    generator = np.random.default_rng(41)
    dear, named = 0, 0
    for _ in range(replays):
        hard = generator.uniform(-0.2, 0.2, 300)
        credits = {name: seeded(np.array([0.75]), 300, generator, hard=hard)
                   for name in ("cheap", "dear", "dearest")}
        winner = decide(evidence(credits, {"cheap": 1, "dear": 2, "dearest": 4}), POLICY,
                        seed=0).winner
        dear += winner in ("dear", "dearest")
        named += winner == "cheap"
    yield at_most("a dearer contender named on a planted tie", dear / replays, 0.06)
    yield Found("(the cheapest shown to lose less than the margin; else cannot_tell)", "-",
                named / replays * 100, True)


def wrong_winners(replays: int) -> Found:
    """A contender that truly loses the margin to another is named."""
    generator = np.random.default_rng(43)
    wrong = 0
    for _ in range(replays):
        hard = generator.uniform(-0.2, 0.2, 400)
        means = {"poor": 0.70, "poorer": 0.69, "good": 0.75}
        credits = {name: seeded(np.array([mean]), 400, generator, hard=hard)
                   for name, mean in means.items()}
        winner = decide(evidence(credits, {"poor": 1, "poorer": 1.5, "good": 3}), POLICY,
                        seed=0).winner
        wrong += winner in ("poor", "poorer")
    return at_most("a contender named that loses the margin", wrong / replays, 0.06)


def calibration(replays: int) -> Found:
    """P(best) against how often the one it speaks of is the best (error by ten bins)."""
    generator = np.random.default_rng(47)
    said, was = [], []
    for _ in range(replays):
        truth = generator.uniform(0.55, 0.75, 4)
        hard = generator.uniform(-0.2, 0.2, 200)
        credits = [seeded(truth[[k]], 200, generator, hard=hard) for k in range(4)]
        means = redrawn_means(credits, np.arange(200), seed=0, draws=400)
        share = np.bincount(means.argmax(axis=1), minlength=4) / len(means)
        said += list(share)
        was += list(np.arange(4) == truth.argmax())
    bins = np.minimum((np.array(said) * 10).astype(int), 9)
    error = sum(
        abs(float(np.mean(np.array(said)[bins == one]) - np.mean(np.array(was)[bins == one])))
        * float(np.mean(bins == one)) for one in np.unique(bins)
    )
    return at_most("P(best), expected calibration error", error, 0.05)


def evidence(
    credits: Mapping[str, Floats], usd: Mapping[str, float], *,
    barred: Mapping[str, tuple[str, ...]] | None = None,
) -> Evidence:
    """Contenders of these credits (seeds x rows) at these prices for 1,000 calls."""
    rows = next(iter(credits.values())).shape[1]
    return Evidence(
        credits, np.arange(rows),
        tuple(_standing(name, found, usd[name], (barred or {}).get(name, ()))
              for name, found in credits.items()),
        None, True,
    )


def _standing(name: str, credits: Floats, usd: float, barred: tuple[str, ...]) -> Standing:
    mean = float(credits.mean())
    return Standing(
        name, Measure(mean, mean, mean, credits.shape[1]), {},
        Counts(credits.size, credits.size, 0, 0, 0, 0), "unchanged",
        # A machine hour of POLICY is one dollar, at half use: a call takes 1.8 s a dollar.
        Cost(usd, usd, 100, 200, 8, 10, 10, 1.8 * usd, 500, 0, 0), {}, barred,
    )


def everything(journals: int, replays: int) -> Iterator[Found]:
    """All checks; `journals` for each coverage, `replays` for each of the others."""
    for setting in SETTINGS:
        yield from coverage(setting, journals)
    for spread in (0.0, 0.02, 0.05):
        yield from recipe_coverage(spread, replays)
    for setting in SETTINGS:
        yield false_wins(setting, journals)
    yield from false_wins_of_seeds(replays)
    for up, down, of, target in EFFECTS:
        yield power(up, down, of, replays=replays, target=target)
    yield from ties(replays)
    yield wrong_winners(replays)
    yield calibration(replays)


# Won, lost and all rows of a pilot, and the difference that is to be refuted.
EFFECTS = ((5, 3, 40, 0.0), (6, 2, 40, 0.0), (23, 17, 200, 0.0), (3, 1, 100, 0.0),
           (2, 2, 40, -0.05), (9, 9, 180, -0.03))
