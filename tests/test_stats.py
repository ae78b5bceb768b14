"""Intervals, tests and sizes: known answers. Coverage and power are in test_validity.py."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from advisor.errors import AdvisorError
from advisor.stats import (
    benjamini_hochberg,
    compare,
    detectable,
    difference,
    expected_gain,
    gain_of_more,
    holm,
    lower_bound,
    measure,
    measure_seeds,
    p_greater,
    p_less,
    redrawn_means,
    rows_to_decide,
    upper_bound,
)


def named(values):
    return {f"q{index}": float(value) for index, value in enumerate(values)}


def alone(values):
    return {f"q{index}": f"q{index}" for index in range(len(values))}


def gap(differences, groups=None):
    """The comparison whose differences (-1..1) are these."""
    values = np.asarray(differences, dtype=float)
    first, second = named(np.maximum(values, 0)), named(np.maximum(-values, 0))
    return compare(first, second, groups=groups or alone(values), alpha=0.05)


def test_the_same_answers_twice_differ_by_exactly_zero():
    answers = named(np.tile([0.0, 0.3, 1.0], 40))
    found = compare(answers, dict(answers), groups=alone(answers), alpha=0.05)
    assert found.interval.value == 0.0
    assert found.p_value == 1.0
    assert found.interval.low < 0 < found.interval.high


def test_equal_credits_everywhere_never_give_an_interval_of_zero_width():
    for value in (0.0, 0.7, 1.0):
        found = measure([value] * 40, [str(index // 4) for index in range(40)], seed=0)
        assert found.value == pytest.approx(value)
        assert found.high - found.low > 0.1


def test_zero_and_one_credits_of_single_rows_get_the_jeffreys_interval():
    found = measure([1.0] * 45 + [0.0] * 5, [str(index) for index in range(50)], seed=0)
    # Brown, Cai and DasGupta (2001): 2.5% of Beta(45.5, 5.5) lies beyond either end.
    tails = beta(45.5, 5.5).cdf([found.low, found.high])
    assert list(tails) == pytest.approx([0.025, 0.975])


def test_rows_cut_from_one_source_widen_the_interval():
    values = np.repeat(np.tile([0.0, 1.0], 10), 5)
    together = measure(values, [str(index // 5) for index in range(100)], seed=0)
    apart = measure(values, [str(index) for index in range(100)], seed=0)
    assert together.high - together.low > 1.8 * (apart.high - apart.low)


def test_an_unbounded_mean_is_the_same_for_the_same_seed():
    values, groups = list(np.random.default_rng(3).lognormal(size=80)), list(map(str, range(80)))
    first, again = (measure(values, groups, seed=5, bounded=False) for _ in range(2))
    assert first == again
    assert first != measure(values, groups, seed=6, bounded=False)


def test_no_values_and_credits_out_of_range_are_refused():
    with pytest.raises(AdvisorError, match="the mean of nothing is not zero"):
        measure([], [], seed=0)
    with pytest.raises(AdvisorError, match=r"expected 0\.\.1"):
        measure([0.5, 1.2], ["a", "b"], seed=0)


def test_a_comparison_refuses_different_question_ids_and_names_them():
    with pytest.raises(AdvisorError, match="1 ids stand on one side only: q2"):
        compare(named([1, 0, 1]), named([1, 0]), groups=alone([0] * 3), alpha=0.05)
    with pytest.raises(AdvisorError, match="have no group: q0"):
        compare(named([1]), named([0]), groups={}, alpha=0.05)


def test_few_zero_or_one_rows_get_mcnemars_mid_p():
    found = gap([1] * 10 + [-1] * 2 + [0] * 88)
    assert found.method == "McNemar mid-p"
    # 2 x (P(0) + P(1) + P(2)/2) of Binomial(12, 1/2)
    assert found.p_value == pytest.approx(2 * (1 + 12 + 33) / 4096)


def test_no_difference_at_all_still_leaves_about_three_in_n_open():
    found = gap([0] * 100)
    assert upper_bound(found, 0.05) == pytest.approx(0.027, abs=0.003)
    assert detectable(found) > 0.03


def test_one_sided_bounds_and_p_values_agree():
    for few in ([1] * 9 + [-1] * 3 + [0] * 60, [-0.5, 0.25] * 20, [0] * 30 + [-1]):
        found = gap(few)
        assert p_greater(found, lower_bound(found, 0.05)) == pytest.approx(0.05, abs=1e-6)
        assert p_less(found, upper_bound(found, 0.05)) == pytest.approx(0.05, abs=1e-6)


def test_holm_adjusts_the_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


def test_benjamini_hochberg_adjusts_the_papers_example():
    # The first and the last of the fifteen in Benjamini and Hochberg (1995), section 3.
    found = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240,
             0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    adjusted = benjamini_hochberg(found)
    assert sum(p <= 0.05 for p in adjusted) == 4
    assert adjusted[0] == pytest.approx(0.0015)


def seeds_of(means, rows=200):
    """Seeds x rows of 0/1 credits with exactly these means, the same rows right first."""
    return np.array([np.arange(rows) < round(mean * rows) for mean in means], dtype=float)


def test_the_luck_of_the_seeds_widens_the_interval_of_a_recipe():
    codes = np.arange(200)
    one, three = seeds_of([0.8]), seeds_of([0.75, 0.8, 0.85])
    checkpoint, recipe = (measure_seeds(found, codes, alpha=0.05) for found in (one, three))
    assert checkpoint.value == recipe.value == pytest.approx(0.8)
    assert recipe.high - recipe.low > 1.5 * (checkpoint.high - checkpoint.low)


def test_a_recipe_is_told_from_another_by_seeds_and_rows_together():
    codes, plain = np.arange(200), seeds_of([0.7])
    steady = difference(seeds_of([0.8, 0.8, 0.8]), plain, codes, alpha=0.05)
    moody = difference(seeds_of([0.7, 0.8, 0.9]), plain, codes, alpha=0.05)
    assert steady.interval.value == moody.interval.value == pytest.approx(0.1)
    assert steady.interval.low > 0 > moody.interval.low
    assert moody.method == "clustered t, 200 clusters, up to 3 seeds"


def test_what_seeds_add_to_the_doubt_no_row_takes_away():
    moody = difference(seeds_of([0.7, 0.8, 0.9]), seeds_of([0.78]), np.arange(200), alpha=0.05)
    assert rows_to_decide(moody, 0, level=0.025) is None


def test_more_rows_are_worth_less_the_clearer_the_lead():
    worth = [gain_of_more(lead, 0.02, rows=200, more=200) for lead in (0.0, 0.02, 0.06)]
    assert worth == sorted(worth, reverse=True)
    # s phi(0): with twice the rows half of the variance is learnt.
    assert worth[0] == pytest.approx(0.02 * np.sqrt(0.5) * 0.39894, rel=1e-3)
    assert expected_gain(0.02, 0.0) == 0.0


def test_rows_to_decide_agrees_with_the_published_formula():
    # n = (1.96 + 0.84)^2 (q - d^2) / d^2 with q = .2, d = .03 is 1,736
    found = gap([1] * 23 + [-1] * 17 + [0] * 160)
    assert rows_to_decide(found, 0, level=0.025) == pytest.approx(1736, rel=0.01)


def test_rows_to_decide_is_none_when_decided_and_when_no_number_would_do():
    assert rows_to_decide(gap([1] * 50 + [0] * 50), 0, level=0.025) is None
    assert rows_to_decide(gap([1, -1] * 20), 0, level=0.025) is None


def test_a_planted_effect_is_found_at_the_computed_number_of_rows():
    rows = rows_to_decide(gap([1] * 15 + [-1] * 5 + [0] * 80), 0.0, level=0.01)
    assert rows is not None
    generator = np.random.default_rng(11)
    draws = generator.choice([1.0, -1.0, 0.0], size=(150, rows), p=[0.15, 0.05, 0.8])
    found = np.mean([p_greater(gap(draw), 0) <= 0.01 for draw in draws])
    assert 0.75 <= found <= 0.92


def test_redraws_keep_whole_groups_and_pair_the_contenders():
    credits = np.array([[1.0, 1.0, 0.0, 0.0]])
    means = redrawn_means([credits, credits], np.array([0, 0, 1, 1]), seed=0, draws=50)
    assert means.shape == (50, 2)
    assert set(means[:, 0]) <= {0.0, 0.5, 1.0}
    assert (means[:, 0] == means[:, 1]).all()
