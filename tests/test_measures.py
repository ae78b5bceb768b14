"""Cost, forgetting and the standing they amount to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from advisor.core import Answer, Example, Grade, Question, Usage
from advisor.errors import AdvisorError
from advisor.measures.cost import cost
from advisor.measures.forgetting import forgetting, suspicious
from advisor.measures.standing import standing
from advisor.trial import PrepareCost, Probe, Row, SuiteScores, Trial
from advisor.verdict import Policy

POLICY = Policy(
    quality_margin=0.05,
    retention_margin=0.05,
    alpha=0.05,
    latency_limit_ms=4000,
    max_failed=0.01,
    horizon_months=10,
    calls_per_month=1000,
    usd_per_machine_hour=3.6,
    utilisation=0.5,
)


def row(index, credit, *, failure=""):
    question = Question(f"q{index}", "?")
    answer = Answer(question.id, "a", Usage(100, 10, 2.0), failure=failure)
    parts = {} if credit is None else {"exact": credit, "valid": 1.0}
    grade = Grade(credit, "a", "", "failed" if credit is None else "read", parts)
    return Row(Example(question, ("a",), f"source{index // 2}"), answer, grade)


def trial(rows, *, retention=None, latencies=(100.0, 200.0, 300.0)):
    return Trial(
        contender="lora",
        seed=0,
        digest="d",
        rows=tuple(rows),
        retention=retention,
        prepare=PrepareCost(seconds=1000.0, tokens_trained=5, artefact_bytes=7),
        probe=Probe(latencies, same_text=3, peak_memory_mib=512.0),
        axes={},
    )


def suite(name, values, *, metric="acc", chance=0.25):
    return SuiteScores(name, metric, chance, {f"i{k}": float(v) for k, v in enumerate(values)})


def share(right, size=200):
    return np.arange(size) < right


def suites(right, *, bits=1.0):
    """Three accuracy suites of 200 items with `right` of them right, and plain text."""
    text = np.linspace(0.8, 1.2, 60) * bits
    found = {name: suite(name, share(right)) for name in ("facts", "grammar", "physics")}
    return {**found, "text": suite("text", text, metric="bits_per_byte", chance=0.0)}


def test_cost_follows_from_seconds_price_and_utilisation():
    found = cost(trial([row(0, 1.0), row(1, 0.0)]), POLICY)
    # 3.6 USD an hour is 0.001 a second; 2 s a call at half use; 1 USD over 10,000 calls.
    assert found.usd_per_1k == pytest.approx(4.0)
    assert found.usd_per_1k_all_in == pytest.approx(4.1)
    assert (found.tokens_in, found.tokens_out, found.seconds_per_call) == (100.0, 10.0, 2.0)


def test_latency_percentiles_are_median_unbiased():
    found = cost(trial([row(0, 1.0)], latencies=tuple(map(float, range(1, 101)))), POLICY)
    assert found.p50_ms == pytest.approx(50.5)
    assert found.p95_ms == pytest.approx(95 + 0.65 * 1, abs=0.3)
    assert found.probe_n == 100


def test_a_trial_without_answers_has_no_cost():
    with pytest.raises(AdvisorError, match="no answer of 0 can be priced, it was asked nothing"):
        cost(trial([]), POLICY)
    with pytest.raises(AdvisorError, match="no answer of 1 can be priced, all of them failed"):
        cost(trial([row(0, None, failure="out of memory")]), POLICY)
    with pytest.raises(AdvisorError, match="no call was timed"):
        cost(trial([row(0, 1.0)], latencies=()), POLICY)


def test_a_small_drop_passes_and_a_large_one_fails_the_pooled_gate():
    small = forgetting(suites(140), suites(139), POLICY, seed=0).pooled
    large = forgetting(suites(140), suites(110), POLICY, seed=0).pooled
    assert (small.state, large.state) == ("pass", "fail")
    assert large.drop.value == pytest.approx(0.15)
    assert (large.lost, large.gained, large.drop.n) == (90, 0, 600)


def test_a_drop_near_the_margin_is_inconclusive():
    found = forgetting(suites(140), suites(131), POLICY, seed=0).pooled
    assert found.state == "inconclusive"
    assert found.drop.value < 0.05 < found.upper


def test_every_suite_weighs_the_same_in_the_pool():
    base = {"big": suite("big", share(300, 400)), "little": suite("little", share(75, 100))}
    tuned = {"big": suite("big", share(300, 400)), "little": suite("little", share(65, 100))}
    assert forgetting(base, tuned, POLICY, seed=0).pooled.drop.value == pytest.approx(0.05)


def test_a_suite_at_chance_is_shown_but_not_pooled():
    base, tuned = suites(140), suites(140)
    base["guess"], tuned["guess"] = suite("guess", share(50)), suite("guess", share(0))
    found = forgetting(base, tuned, POLICY, seed=0)
    assert found.pooled.drop.value == 0.0
    assert {one.suite: one.state for one in found.suites}["guess"] == "cannot_gate"


def test_single_suites_are_shown_without_a_margin():
    found = forgetting(suites(140), suites(110), POLICY, seed=0)
    assert {one.state for one in found.suites} == {"shown"}
    assert {one.margin for one in found.suites} == {None}


def test_more_bits_per_byte_count_as_a_loss():
    found = forgetting(suites(140), suites(140, bits=1.1), POLICY, seed=0)
    [text] = [one for one in found.suites if one.metric == "bits_per_byte"]
    assert text.drop.value == pytest.approx(0.1)
    assert 0 < text.drop.low < text.drop.value < text.upper < text.drop.high


def test_a_missing_item_is_refused_by_suite_and_id():
    tuned = suites(140)
    tuned["facts"] = suite("facts", share(140, 199))
    with pytest.raises(AdvisorError, match="retention suite facts: 1 items on one side only: i199"):
        forgetting(suites(140), tuned, POLICY, seed=0)


def test_a_missing_suite_is_refused_by_name():
    tuned = suites(140)
    del tuned["physics"]
    with pytest.raises(AdvisorError, match="one side only: physics"):
        forgetting(suites(140), tuned, POLICY, seed=0)


def test_a_tuned_model_equal_on_every_item_is_suspicious():
    assert suspicious(forgetting(suites(140), suites(140), POLICY, seed=0))
    assert not suspicious(forgetting(suites(140), suites(140, bits=1.01), POLICY, seed=0))


def test_no_change_at_all_still_has_an_upper_bound_above_zero():
    pooled = forgetting(suites(140), suites(140), POLICY, seed=0).pooled
    assert pooled.drop.value == 0.0
    assert 0.002 < pooled.upper < 0.01


def test_the_pooled_upper_bound_holds_about_95_times_in_100():
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(150):
        base = {name: suite(name, generator.random(120) < 0.6) for name in "abc"}
        tuned = {}
        for name, scores in base.items():
            right = np.array(list(scores.values.values()))
            lost, gained = generator.random(120) < 0.12, generator.random(120) < 0.05
            tuned[name] = suite(name, np.where(right == 1, ~lost, gained))
        # Of the 60% right 12% are lost, of the 40% wrong 5% gained.
        held += forgetting(base, tuned, POLICY, seed=0).pooled.upper >= 0.6 * 0.12 - 0.4 * 0.05
    assert held / 150 >= 0.89


def test_a_standing_averages_graded_rows_and_counts_the_failed():
    rows = [row(k, float(k % 4 != 0)) for k in range(80)] + [row(80, None, failure="no memory")]
    found = standing(trial(rows), POLICY, None, primary="exact", seed=0)
    assert found.quality.value == pytest.approx(0.75)
    assert (found.quality.n, found.counts.asked, found.counts.failed) == (80, 81, 1)
    assert found.parts["valid"].value == 1.0
    assert found.forgetting == "unchanged"


def test_each_violated_constraint_is_named_with_its_figures():
    rows = [row(k, 1.0) for k in range(157)] + [row(k, None, failure="x") for k in range(157, 160)]
    slow = trial(rows, retention=suites(110), latencies=(5210.0,) * 8)
    found = standing(slow, POLICY, suites(140), primary="exact", seed=0)
    assert found.barred_by[0].startswith("forgetting: retention accuracy fell by 15.0 points")
    assert "margin 5.0" in found.barred_by[0]
    assert found.barred_by[1:] == (
        "p95 latency 5210 ms over the limit 4000 ms",
        "3 of 160 answers failed (limit 1%)",
    )


def test_inconclusive_forgetting_bars_too():
    tuned = trial([row(k, 1.0) for k in range(20)], retention=suites(131))
    found = standing(tuned, POLICY, suites(140), primary="exact", seed=0)
    assert found.barred_by[0].startswith("forgetting inconclusive: retention accuracy fell by 4.5")


def test_without_a_latency_limit_no_latency_bars():
    slow = trial([row(0, 1.0), row(2, 0.0)], latencies=(90_000.0,))
    free = replace(POLICY, latency_limit_ms=None)
    assert standing(slow, free, None, primary="exact", seed=0).barred_by == ()


def test_a_trial_without_graded_answers_has_no_standing():
    with pytest.raises(AdvisorError, match="lora: none of 1 answers could be graded"):
        standing(trial([row(0, None, failure="x")]), POLICY, None, primary="exact", seed=0)


def test_an_unknown_primary_metric_names_those_there_are():
    with pytest.raises(AdvisorError, match="found: exact, valid"):
        standing(trial([row(0, 1.0)]), POLICY, None, primary="f1", seed=0)
