"""The verdict: planted winners, planted ties, bars and floors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from advisor.decide import Evidence, decide
from advisor.errors import AdvisorError
from advisor.verdict import Cost, Counts, Measure, Policy, Standing

POLICY = Policy(
    quality_margin=0.05,
    retention_margin=0.05,
    alpha=0.05,
    latency_limit_ms=4000,
    max_failed=0.01,
    horizon_months=12,
    calls_per_month=1000,
    usd_per_machine_hour=1.0,
    utilisation=0.5,
    bootstrap=200,
)


def standing(name, credits, *, usd=1.0, barred=()):
    mean = float(credits.mean())
    rows = credits.shape[1]
    return Standing(
        contender=name,
        quality=Measure(mean, max(0.0, mean - 0.05), min(1.0, mean + 0.05), rows),
        parts={},
        counts=Counts(credits.size, credits.size, 0, 0, 0, 0),
        forgetting="unchanged",
        # A machine hour of POLICY is one dollar, at half use: a call takes 1.8 s a dollar.
        cost=Cost(usd, usd, 100, 200, 8, 10, 10, 1.8 * usd, 500, 0, 0),
        axes={"prompt": name, "retrieval": "none", "weights": "base"},
        barred_by=tuple(barred),
    )


def evidence(credits, *, usd, barred=None, floor=None, final=True):
    rows = {name: np.atleast_2d(np.asarray(c, dtype=float)) for name, c in credits.items()}
    bars = barred or {}
    table = tuple(
        standing(name, rows[name], usd=usd[name], barred=bars.get(name, ())) for name in rows
    )
    codes = np.arange(next(iter(rows.values())).shape[1])
    return Evidence(rows, codes, table, floor, final)


def right(share, rows=200, *, start=0):
    """Exactly this share of the rows right, from row `start` on, round the end."""
    credits = np.zeros(rows)
    credits[(np.arange(round(share * rows)) + start) % rows] = 1.0
    return credits


def clear(**options):
    credits = {"floor": right(0.2), "zero-shot": right(0.5), "lora": right(0.9)}
    return evidence(credits, usd={"floor": 0, "zero-shot": 1, "lora": 3}, floor="floor", **options)


def test_a_clearly_better_contender_is_recommended_with_figures():
    verdict = decide(clear(), POLICY, seed=0)
    assert (verdict.outcome, verdict.winner) == ("recommend", "lora")
    assert 3 <= len(verdict.because) <= 6
    assert verdict.because[0].startswith("lora earns 90.0 of 100 points (85.0 to 95.0, 200 rows)")
    assert "lora earns 40.0 points more than zero-shot" in verdict.because[1]
    assert "lora earns 70.0 points more than floor" in verdict.because[2]
    assert "USD 3.00 per 1,000 calls with preparation, against USD 1.00" in verdict.because[4]


def test_the_cheaper_of_two_that_answer_alike_is_recommended():
    credits = {"cheap": right(0.8), "dear": right(0.805)}
    verdict = decide(evidence(credits, usd={"cheap": 1, "dear": 5}), POLICY, seed=0)
    assert (verdict.outcome, verdict.winner) == ("recommend", "cheap")


def test_a_cheaper_contender_that_may_or_may_not_be_worse_blocks_the_verdict():
    credits = {"cheap": right(0.7), "dear": right(0.74, start=100)}
    verdict = decide(evidence(credits, usd={"cheap": 1, "dear": 5}), POLICY, seed=0)
    assert (verdict.outcome, verdict.winner) == ("cannot_tell", None)
    assert "cheap loses more than 5.0 points to dear is open" in verdict.because[1]
    [found] = verdict.comparisons
    assert found.rows_to_decide is not None
    assert f"Add about {found.rows_to_decide - 200:,} test rows" in verdict.next_step
    assert verdict.next_step.endswith("until then cheap leads.")


def test_two_of_the_same_price_that_are_close_do_not_block_each_other():
    credits = {"one": right(0.7), "other": right(0.74, start=100)}
    verdict = decide(evidence(credits, usd={"one": 1, "other": 1.05}), POLICY, seed=0)
    assert (verdict.outcome, verdict.winner) == ("recommend", "other")


def test_two_of_the_same_price_on_a_handful_of_rows_cannot_be_told_apart():
    credits = {"one": right(0.5, 10), "other": right(0.6, 10, start=5)}
    verdict = decide(evidence(credits, usd={"one": 1, "other": 1}), POLICY, seed=0)
    assert verdict.outcome == "cannot_tell"
    assert verdict.winner is None


def test_a_dear_contender_that_could_be_much_better_blocks_the_cheap_one():
    credits = {"cheap": right(0.72), "dear": right(0.7, start=80)}
    verdict = decide(evidence(credits, usd={"cheap": 1, "dear": 5}), POLICY, seed=0)
    assert verdict.outcome == "cannot_tell"
    assert "about" in verdict.next_step


def test_when_all_are_barred_none_is_feasible_and_each_bar_is_named():
    slow = ("p95 latency 5210 ms over the limit 4000 ms",)
    forgets = ("forgetting: retention accuracy fell by 6.1 points",)
    verdict = decide(clear(barred={"zero-shot": slow, "lora": forgets}), POLICY, seed=0)
    assert (verdict.outcome, verdict.winner) == ("none_feasible", None)
    assert f"zero-shot is barred: {slow[0]}." in verdict.because
    assert f"lora is barred: {forgets[0]}." in verdict.because
    assert "lora: raise weights.rehearsal" in verdict.next_step


def test_when_nothing_beats_the_floor_none_is_feasible():
    credits = {"floor": right(0.5), "lora": right(0.52, start=30)}
    found = evidence(credits, usd={"floor": 0, "lora": 1}, floor="floor")
    verdict = decide(found, POLICY, seed=0)
    assert verdict.outcome == "none_feasible"
    assert verdict.because[0].startswith("Nothing beats always answering as floor does")
    assert verdict.next_step


def test_the_floor_is_never_recommended():
    credits = {"floor": right(0.9), "lora": right(0.5)}
    found = evidence(credits, usd={"floor": 0, "lora": 1}, floor="floor")
    assert decide(found, POLICY, seed=0).winner is None


def test_a_better_but_barred_contender_is_mentioned():
    verdict = decide(
        clear(barred={"lora": ("3 of 200 answers failed (limit 1%)",)}), POLICY, seed=0
    )
    assert verdict.winner == "zero-shot"
    assert "but is barred: 3 of 200 answers failed" in verdict.because[-1]


def test_a_limited_run_says_that_it_is_not_final():
    verdict = decide(clear(final=False), POLICY, seed=0)
    assert not verdict.final
    assert verdict.because[-1] == "This run was limited or incomplete and is not final."
    assert verdict.next_step.startswith("Run it in full")


def test_a_failed_answer_is_left_out_of_the_pair_not_counted_as_wrong():
    found = clear()
    rows = {name: credits.copy() for name, credits in found.credits.items()}
    rows["lora"][0, 0] = np.nan
    table = tuple(
        replace(one, counts=replace(one.counts, failed=1, read=199))
        if one.contender == "lora"
        else one
        for one in found.standings
    )
    verdict = decide(replace(found, credits=rows, standings=table), POLICY, seed=0)
    assert {one.difference.n for one in verdict.comparisons} == {199}


def test_a_reader_that_is_given_the_wrong_documents_is_to_be_repaired_first():
    credits = {"floor": right(0.5), "rag": right(0.52, start=30)}
    found = evidence(credits, usd={"floor": 0, "rag": 1}, floor="floor")
    poor = {"retrieved": Measure(0.41, 0.34, 0.48, 200)}
    table = tuple(replace(one, parts=poor) if one.contender == "rag" else one
                  for one in found.standings)
    step = decide(replace(found, standings=table), POLICY, seed=0).next_step
    assert "given a document that holds the answer for 41% of the rows" in step
    assert step.endswith("repair retrieval before tuning.")


def test_a_winner_that_does_not_read_leaves_a_poor_retriever_named():
    found = clear()
    poor = {"retrieved": Measure(0.41, 0.34, 0.48, 200)}
    table = tuple(replace(one, parts=poor) if one.contender == "zero-shot" else one
                  for one in found.standings)
    verdict = decide(replace(found, standings=table), POLICY, seed=0)
    assert verdict.winner == "lora"
    assert "zero-shot is given a document that holds the answer for 41%" in verdict.next_step


def test_credits_that_do_not_match_the_table_are_refused():
    found = clear()
    rows = {**found.credits, "lora": np.full((1, 200), np.nan)}
    rows["lora"][0, 0] = 1.0
    with pytest.raises(AdvisorError, match="lora: credits for 1 rows, the table says 200"):
        decide(replace(found, credits=rows), POLICY, seed=0)


def test_a_barred_contender_is_never_recommended():
    for seed in range(60):
        generator = np.random.default_rng(seed)
        names = [f"c{index}" for index in range(int(generator.integers(1, 6)))]
        credits = {name: generator.random(80) < generator.uniform(0.2, 1) for name in names}
        barred = {name: ("too slow",) for name in names if generator.random() < 0.5}
        usd = {name: float(generator.uniform(0.5, 5)) for name in names}
        verdict = decide(evidence(credits, usd=usd, barred=barred), POLICY, seed=seed)
        assert verdict.winner not in barred
        assert (verdict.winner is not None) == (verdict.outcome == "recommend")
        assert verdict.because
        assert verdict.next_step


def outcomes(means, usd, *, rows, draws):
    """Whom the verdict names over many runs whose true qualities are `means`."""
    generator = np.random.default_rng(5)
    found = []
    for seed in range(draws):
        luck = generator.random(rows)
        # Contenders share half of each row's luck, as answers to one question do.
        own = {
            name: np.where(generator.random(rows) < 0.5, luck, generator.random(rows))
            for name in means
        }
        credits = {name: own[name] < mean for name, mean in means.items()}
        found.append(decide(evidence(credits, usd=usd), POLICY, seed=seed).winner)
    return found


def test_a_contender_that_loses_the_margin_is_seldom_recommended():
    means = {"poor": 0.72, "worse": 0.73, "good": 0.78}
    found = outcomes(means, {"poor": 1, "worse": 1.5, "good": 3}, rows=400, draws=100)
    assert sum(name in ("poor", "worse") for name in found) <= 10


def test_planted_ties_seldom_go_to_a_dearer_contender():
    means = {"cheap": 0.75, "dear": 0.75, "dearest": 0.75}
    found = outcomes(means, {"cheap": 1, "dear": 2, "dearest": 4}, rows=300, draws=100)
    assert sum(name in ("dear", "dearest") for name in found) <= 10


def test_a_large_planted_effect_is_recommended_nearly_always():
    found = outcomes({"plain": 0.6, "tuned": 0.8}, {"plain": 1, "tuned": 2}, rows=200, draws=60)
    assert sum(name == "tuned" for name in found) >= 55
