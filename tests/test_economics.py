"""Costs over the horizon, where they cross, the odds, and what would change the advice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from validity.checks import POLICY, evidence
from validity.journals import seeded

from advisor.decide import decide
from advisor.decide.outlook import break_even, front
from advisor.measures.cost import priced, renewal_months, stale
from advisor.verdict import Cost

READS, TUNED, BOTH = {"retrieval": "dense top 2"}, {"weights": "LoRA"}, {"retrieval": "dense"}
MACHINE = replace(POLICY, usd_per_machine_hour=3.6, horizon_months=12, calls_per_month=1000)


def measured(*, seconds=1.0, preparing=0.0, tuning=0.0, rows=0):
    return Cost(0, 0, 100, 200, 8, 10, 10, seconds, 500, preparing, 0, tuning, rows)


def right(share, rows=400, *, start=0):
    credits = np.zeros(rows)
    credits[(np.arange(round(share * rows)) + start) % rows] = 1.0
    return credits[None]


# ------------------------------------------------------------------ what it costs


def test_facts_that_do_not_change_are_prepared_once():
    found = priced(measured(preparing=1000, tuning=900), MACHINE, axes=TUNED)
    assert (found.retunes, found.reindexes) == (0, 0)
    assert found.fixed_usd == pytest.approx(1.0)  # 1,000 s at 0.1 cent a second


def test_the_stale_share_follows_the_formula_and_its_inverse():
    # 1 - (1 - e^-1) / 1 at one expected change.
    assert stale(0.1, 10) == pytest.approx(0.36788, abs=1e-4)
    assert stale(0.1, renewal_months(0.1, 0.05)) == pytest.approx(0.05, abs=1e-6)


def test_weights_that_hold_facts_are_tuned_again_and_an_index_is_built_again():
    churning = replace(MACHINE, churn_per_month=0.10)
    # At 10% a month, 5% are stale on average after 1.03 months: eleven renewals in twelve.
    tuned = priced(measured(preparing=1000, tuning=1000), churning, axes=TUNED)
    reads = priced(measured(preparing=10), churning, axes=READS)
    both = priced(measured(preparing=1010, tuning=1000), churning, axes=BOTH)
    prompt = priced(measured(preparing=1), churning, axes={})
    assert (tuned.retunes, tuned.reindexes) == (11, 0)
    assert (reads.retunes, reads.reindexes) == (0, 11)
    assert (both.retunes, both.reindexes) == (0, 11)
    assert (prompt.retunes, prompt.reindexes) == (0, 0)
    assert tuned.fixed_usd == pytest.approx(12.0)
    assert both.fixed_usd == pytest.approx(1.0 + 12 * 0.01)


def test_a_new_base_model_costs_the_tuned_contenders_alone():
    moving = replace(MACHINE, base_replaced_months=4)
    assert priced(measured(preparing=10, tuning=10), moving, axes=BOTH).retunes == 2
    assert priced(measured(preparing=10), moving, axes=READS).retunes == 0


def test_labels_are_paid_for_by_those_that_learn_from_them():
    dear = replace(MACHINE, usd_per_label=2.0)
    assert priced(measured(rows=300), dear, axes={}).fixed_usd == pytest.approx(600)
    churning = replace(dear, churn_per_month=0.05)
    again = priced(measured(rows=300, tuning=1, preparing=1), churning, axes=TUNED)
    assert again.fixed_usd > 600 + 2.0 * 300 * 0.05 * again.retunes


def test_the_price_of_tokens_counts_for_those_that_pay_it_alone():
    dearer = replace(MACHINE, token_price=3.0)
    served = replace(measured(), usd_tokens=0.5)
    assert priced(served, dearer, axes={}).usd_per_1k == pytest.approx(1.5)
    assert priced(measured(), dearer, axes={}) == priced(measured(), MACHINE, axes={})


def test_break_even_is_where_the_totals_are_equal_or_never():
    cheap_start = standing_of("rag", seconds=2.0, preparing=0.0)
    cheap_later = standing_of("lora", seconds=1.0, preparing=3600.0)
    found = break_even(cheap_later, cheap_start, MACHINE)
    assert (found.first, found.later) == ("rag", "lora")
    # 3.6 USD of tuning against 0.2 cents a call less (half use): 1,800 calls in 12 months.
    assert found.calls_per_month == pytest.approx(150)
    level = replace(MACHINE, calls_per_month=found.calls_per_month)
    assert total(cheap_start, level) == pytest.approx(total(cheap_later, level))
    dearer = standing_of("slow lora", seconds=3.0, preparing=3600.0)
    assert break_even(cheap_start, dearer, MACHINE).calls_per_month is None


def standing_of(name, **took):
    [found] = evidence({name: right(0.7)}, {name: 1}).standings
    return replace(found, cost=priced(measured(**took), MACHINE, axes={}))


def total(one, policy):
    return priced(one.cost, policy, axes={}).usd_per_1k_all_in


def test_nobody_on_the_front_is_beaten_in_both():
    credits = {"a": right(0.5), "b": right(0.6), "c": right(0.55), "d": right(0.9)}
    found = evidence(credits, {"a": 1, "b": 2, "c": 3, "d": 4})
    assert front(found.standings) == ("a", "b", "d")


# ------------------------------------------------------------------ what would change it


def flip(verdict, name):
    return next(one for one in verdict.outlook.flips if one.parameter == name)


def choice():
    """A cheap contender, and one 20 points better at three times the price."""
    return evidence({"plain": right(0.6), "tuned": right(0.8)}, {"plain": 1, "tuned": 3})


def test_the_worth_of_an_answer_decides_between_cheap_and_good():
    cheap = decide(choice(), replace(POLICY, value_per_correct=0.001), seed=0)
    good = decide(choice(), replace(POLICY, value_per_correct=1.0), seed=0)
    assert (cheap.winner, good.winner) == ("plain", "tuned")
    # 0.2 cents a call more buy 0.2 correct answers more: even at one cent, net of the margin.
    found = flip(good, "value")
    assert 0.005 < found.at < 0.02
    assert found.becomes != "tuned"
    below = decide(choice(), replace(POLICY, value_per_correct=found.at * 0.98), seed=0)
    above = decide(choice(), replace(POLICY, value_per_correct=found.at * 1.02), seed=0)
    assert above.winner == "tuned" != below.winner


def test_a_flip_of_the_latency_limit_is_a_measured_latency():
    fast = evidence({"plain": right(0.6), "tuned": right(0.8)}, {"plain": 1, "tuned": 3})
    slow = tuple(replace(one, cost=replace(one.cost, p95_ms=900.0)) if one.contender == "tuned"
                 else one for one in fast.standings)
    verdict = decide(replace(fast, standings=slow), POLICY, seed=0)
    found = flip(verdict, "latency")
    assert (verdict.winner, found.becomes) == ("tuned", "plain")
    assert found.at == pytest.approx(900.0)
    assert found.at < 900.0


def test_every_flip_is_real_and_nothing_nearer_was_skipped():
    generator = np.random.default_rng(5)
    for _ in range(8):
        hard = generator.uniform(-0.2, 0.2, 200)
        means = generator.uniform(0.5, 0.8, 3)
        credits = {f"c{k}": seeded(means[[k]], 200, generator, hard=hard) for k in range(3)}
        found = evidence(credits, {f"c{k}": float(generator.uniform(0.5, 4)) for k in range(3)})
        verdict = decide(found, POLICY, seed=0)
        today = verdict.winner or verdict.outcome
        margin = flip(verdict, "margin")
        if margin.at is not None:
            again = decide(found, replace(POLICY, quality_margin=margin.at), seed=0)
            assert (again.winner or again.outcome) == margin.becomes != today


def test_without_a_worth_the_price_of_the_machine_changes_nothing():
    verdict = decide(choice(), POLICY, seed=0)
    assert flip(verdict, "price.machine_hour").at is None


def test_the_price_of_tokens_flips_only_where_somebody_pays_it():
    plain = decide(choice(), replace(POLICY, value_per_correct=0.02), seed=0)
    assert "price.tokens" not in {one.parameter for one in plain.outlook.flips}
    paid = tuple(replace(one, cost=replace(one.cost, usd_tokens=one.cost.usd_per_1k))
                 for one in choice().standings)
    found = decide(replace(choice(), standings=paid),
                   replace(POLICY, value_per_correct=0.02), seed=0)
    assert flip(found, "price.tokens").at > 1


def test_the_odds_add_up_and_the_regret_of_a_clear_winner_is_nothing():
    verdict = decide(choice(), replace(POLICY, value_per_correct=1.0), seed=0)
    assert sum(one.best for one in verdict.outlook.chances) == pytest.approx(1)
    assert verdict.outlook.regret == pytest.approx(0, abs=1e-6)
    utilities = {one.contender: one.utility_usd for one in verdict.outlook.chances}
    # 12,000 calls at one dollar a correct answer, less 3 dollars per 1,000 calls.
    assert utilities["tuned"] == pytest.approx(12_000 * (0.8 - 0.003))


def test_a_close_race_has_a_regret_and_more_rows_a_worth():
    close = evidence({"one": right(0.7, 100), "other": right(0.72, 100, start=50)},
                     {"one": 1, "other": 2})
    policy = replace(POLICY, value_per_correct=1.0, usd_per_label=0.5)
    seen = decide(close, policy, seed=0).outlook
    assert 0 < seen.regret < 0.2
    assert seen.more.points > 0
    assert seen.more.price_usd > 0.5 * seen.more.rows
    assert seen.more.worth_from == pytest.approx(seen.more.price_usd / (seen.more.points * 12_000))


def test_what_is_decided_never_breaks_a_limit_at_any_price():
    generator = np.random.default_rng(9)
    for _ in range(40):
        credits = {f"c{k}": (generator.random((1, 80)) < generator.uniform(0.3, 1)) * 1.0
                   for k in range(4)}
        usd = {name: float(generator.uniform(0.1, 5)) for name in credits}
        barred = {name: ("too slow",) for name in credits if generator.random() < 0.5}
        worth = float(10 ** generator.uniform(-4, 1))
        policy = replace(POLICY, value_per_correct=worth)
        assert decide(evidence(credits, usd, barred=barred), policy, seed=0).winner not in barred
