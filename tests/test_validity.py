"""Small versions of `make validity-sim`; what each check means stands in tests/validity."""

from __future__ import annotations

import time

import numpy as np
import pytest
from validity import checks
from validity.journals import SETTINGS

from advisor.decide import Case, conclude, decide
from advisor.measures.cost import Work
from advisor.measures.marks import Marks
from advisor.trial import PrepareCost
from advisor.verdict import Counts, Policy


def passes(*found):
    assert [str(one) for one in found if not one.passed] == []


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_intervals_cover_the_truth_about_95_times_in_100(setting):
    passes(*checks.coverage(setting, 300))


@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_intervals_of_a_recipe_hold_the_luck_of_its_seeds(spread):
    passes(*checks.recipe_coverage(spread, 200))


@pytest.mark.parametrize("setting", SETTINGS[::5], ids=str)
def test_equal_systems_are_seldom_told_apart(setting):
    passes(checks.false_wins(setting, 1000))


def test_equal_recipes_are_seldom_told_apart_and_single_seeds_often():
    honest, naive = checks.false_wins_of_seeds(400)
    passes(honest)
    assert naive.found > 15


@pytest.mark.parametrize("effect", checks.EFFECTS[:5])
def test_a_planted_effect_is_found_at_the_computed_number_of_rows(effect):
    *pilot, target = effect
    passes(checks.power(*pilot, replays=1000, target=target))


def test_planted_ties_and_losers_are_seldom_named():
    passes(*checks.ties(100), checks.wrong_winners(80))


def test_the_odds_of_being_best_are_calibrated():
    passes(checks.calibration(200))


def test_when_nobody_may_be_used_the_verdict_always_says_so():
    generator = np.random.default_rng(3)
    for _ in range(50):
        names = [f"c{k}" for k in range(int(generator.integers(1, 6)))]
        credits = {name: (generator.random((1, 60)) < generator.random()) * 1.0 for name in names}
        usd = {name: float(generator.uniform(0.1, 5)) for name in names}
        bars = dict.fromkeys(names, ("forgetting inconclusive: upper bound 6.1, margin 5.0",))
        found = decide(checks.evidence(credits, usd, barred=bars), checks.POLICY, seed=0)
        assert (found.outcome, found.winner) == ("none_feasible", None)


def large(contenders, items, seeds):
    """A run of this size, as its journal keeps it."""
    generator = np.random.default_rng(1)
    hard = generator.random(items)
    trials = []
    for k in range(contenders):
        for seed in range(seeds):
            luck = hard * 0.5 + generator.random(items) * 0.5
            credits = (luck < 0.5 + 0.01 * k).astype(float)
            prepare = PrepareCost(100.0 * k, 0, 0, tuning_seconds=50.0 * k)
            done = Work(0.1 * (k + 1), 100, 10, (100.0,) * 5, 500.0, prepare)
            trials.append(Marks(f"c{k}", seed, credits, {"exact": credits},
                                Counts(items, items, 0, 0, 0, 0), done, None, {}))
    groups = tuple(f"s{item // 4}" for item in range(items))
    return Case("exact", groups, {}, tuple(trials), None, None, True, 0)


def test_twenty_contenders_at_five_seeds_are_decided_within_five_seconds():
    policy = Policy(0.05, 0.05, 0.05, 4000, 0.01, 12, 1000, 1.0, 0.5, value_per_correct=0.01)
    case = large(20, 5000, 5)
    started = time.process_time()
    assert conclude(case, policy).outlook.flips
    assert time.process_time() - started < 5
