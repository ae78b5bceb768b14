"""The gate's decisions on made-up trials, and its error rates by simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from advisor.core import Answer, Example, Grade, Question, Usage
from advisor.errors import AdvisorError
from advisor.gate.judge import Case, Judgement, fails_already, judge, noise, pairs
from advisor.trial import PrepareCost, Probe, Row, SuiteScores, Trial
from advisor.verdict import Policy

POLICY = Policy(
    quality_margin=0.05, retention_margin=0.05, alpha=0.05, latency_limit_ms=None,
    max_failed=0.01, horizon_months=12, calls_per_month=1000, usd_per_machine_hour=0.1,
    utilisation=0.5,
)
ROWS, SUITE, SUITES = 160, 95, 4


def trial(credits, *, scores=None, rows_a_group=1) -> Trial:
    rows = tuple(
        Row(
            Example(Question(f"q{at:04d}", "?"), ("a",), f"g{at // rows_a_group}"),
            Answer(f"q{at:04d}", "a", Usage(1, 1, 0.1), failure="" if one is not None else "dead"),
            Grade(one, "a", "", "read" if one is not None else "failed", {"exact": one or 0.0}),
        )
        for at, one in enumerate(credits)
    )
    return Trial("x", 0, "d", rows, scores, PrepareCost(0, 0, 0), Probe((100.0,), 1, 1.0), {})


def suites(values) -> dict[str, SuiteScores]:
    """Suites of equal size from one array of 0/1 values."""
    return {
        f"s{at}": SuiteScores(f"s{at}", "acc", 0.0, {str(i): float(v) for i, v in enumerate(part)})
        for at, part in enumerate(np.split(np.asarray(values), SUITES))
    }


def case(champion, candidate, *, base=None, tuned=None, rows_a_group=1, **more) -> Case:
    return Case(
        candidate=trial(candidate, scores=tuned, rows_a_group=rows_a_group),
        champion=trial(champion, rows_a_group=rows_a_group),
        base=base, same=False, changed=tuned is not None, noise=None, **more,
    )


def judged(one: Case, policy: Policy = POLICY) -> Judgement:
    return judge(one, policy, seed=0)


def state(found: Judgement, name: str) -> str:
    return next(check.state for check in found.checks if check.name == name)


def flipped(values, share, dice):
    """The values with a share of the ones turned to zero."""
    values = np.array(values, dtype=float)
    ones = np.flatnonzero(values)
    values[dice.choice(ones, round(share * len(values)), replace=False)] = 0.0
    return values


def test_a_failed_answer_is_counted_and_is_not_a_wrong_one():
    found = judged(case([1.0] * ROWS, [None] * 5 + [1.0] * (ROWS - 5)))
    assert state(found, "answers") == "fail"
    assert found.gap is not None
    assert found.gap.interval.value == 0.0
    assert found.gap.interval.n == ROWS - 5


def test_nothing_graded_is_a_failure_of_the_answers_and_says_nothing_of_quality():
    found = judged(case([1.0] * 40, [None] * 40))
    assert (found.result, state(found, "quality")) == ("fail", "inconclusive")


def test_one_failing_check_outweighs_an_inconclusive_one():
    champion = [1.0, 0.0] * 10
    found = judged(case(champion, [None, *champion[1:]]))
    assert {check.state for check in found.checks} == {"fail", "inconclusive", "pass"}
    assert found.result == "fail"


def test_a_base_at_chance_everywhere_leaves_forgetting_open():
    dice = np.random.default_rng(1)
    base = {name: replace(one, chance=0.9)
            for name, one in suites(dice.random(SUITE * SUITES) < 0.5).items()}
    tuned = {name: replace(one, chance=0.9)
             for name, one in suites(dice.random(SUITE * SUITES) < 0.5).items()}
    found = judged(case([1.0] * ROWS, [1.0] * ROWS, base=base, tuned=tuned))
    assert state(found, "forgetting") == "inconclusive"
    assert found.result == "inconclusive"


def test_weights_that_change_nothing_anywhere_were_not_applied():
    bits = {"t": SuiteScores("t", "bits_per_byte", 0.0, {"1": 1.0, "2": 1.5})}
    scores = {**suites([1.0] * SUITE * SUITES), **bits}
    with pytest.raises(AdvisorError, match="probably not applied"):
        judged(case([1.0] * ROWS, [1.0] * ROWS, base=scores, tuned=scores))


def test_two_seeds_say_nothing_of_the_noise_and_more_seeds_narrow_it():
    assert noise([0.80, 0.81], 0.80, 0.05) is None
    three, six = noise([0.80, 0.81, 0.79], 0.80, 0.05), noise([0.80, 0.81, 0.79] * 2, 0.80, 0.05)
    assert three is not None
    assert six is not None
    assert three.floor > six.floor > 0


def test_a_lucky_champion_has_a_higher_floor():
    lucky, plain = noise([0.85, 0.80, 0.79], 0.85, 0.05), noise([0.85, 0.80, 0.79], 0.79, 0.05)
    assert lucky is not None
    assert plain is not None
    assert lucky.floor > plain.floor


def test_a_noise_floor_above_the_margin_turns_a_failure_into_a_question():
    champion = np.ones(ROWS)
    candidate = flipped(champion, 0.15, np.random.default_rng(0))
    one = case(champion, candidate)
    assert state(judged(one), "quality") == "fail"
    floor = noise([0.9, 1.0, 0.95], 1.0, 0.05)
    assert state(judged(replace(one, noise=floor)), "quality") == "inconclusive"


def test_the_worst_regression_comes_first_and_a_failed_answer_lost_all():
    found = pairs(case([1.0, 0.5, 1.0, 0.0], [1.0, 0.0, None, 1.0]))
    assert [one.champion.example.question.id for one in found] == [
        "q0002", "q0001", "q0000", "q0003"
    ]


def test_failing_is_adjusted_for_two_checks():
    dice = np.random.default_rng(3)
    base = np.ones(SUITE * SUITES)
    lost = suites(flipped(base, 0.075, dice))
    champion = np.ones(ROWS)
    one = case(champion, champion, base=suites(base), tuned=lost)
    [found] = [check for check in judged(one).checks if check.name == "forgetting"]
    alone = judged(replace(one, same=True))
    [single] = [check for check in alone.checks if check.name == "forgetting"]
    assert found.figures["p_fail"] == pytest.approx(2 * single.figures["p_fail"])


# ------------------------------------------------------------------ error rates


def rates(draw, replays: int) -> dict[str, float]:
    results = [judged(draw(np.random.default_rng(seed))).result for seed in range(replays)]
    return {name: results.count(name) / replays for name in ("pass", "fail", "inconclusive")}


def simulated(dice, *, loss: float, lost: float, rows_a_group: int = 1) -> Case:
    """Two models of correlated items; the candidate is worse by `loss` and forgets `lost`."""
    groups = ROWS // rows_a_group
    skill = np.repeat(dice.beta(4, 2, groups), rows_a_group)
    champion = dice.random(ROWS) < skill
    redrawn = dice.random(ROWS) < 0.3
    worse = np.where(redrawn, dice.random(ROWS) < skill, champion)
    # E(loss) = share flipped x mean of ones.
    candidate = worse & (dice.random(ROWS) >= loss / (4 / 6))
    knows = dice.beta(4, 2, SUITE * SUITES)
    base = dice.random(SUITE * SUITES) < knows
    drifted = np.where(dice.random(base.size) < 0.1, dice.random(base.size) < knows, base)
    tuned = drifted & (dice.random(base.size) >= lost / (4 / 6))
    return case(champion.astype(float), candidate.astype(float), base=suites(base),
                tuned=suites(tuned), rows_a_group=rows_a_group)


@pytest.mark.parametrize("rows_a_group", [1, 4])
def test_an_equal_candidate_is_failed_less_often_than_alpha(rows_a_group):
    found = rates(lambda dice: simulated(dice, loss=0, lost=0, rows_a_group=rows_a_group), 200)
    assert found["fail"] <= POLICY.alpha


@pytest.mark.parametrize("rows_a_group", [1, 4])
def test_a_candidate_at_both_limits_is_failed_at_most_at_alpha(rows_a_group):
    """The hardest case: no worse than allowed, but on both margins at once."""
    found = rates(lambda dice: simulated(dice, loss=0.05, lost=0.05, rows_a_group=rows_a_group),
                  300)
    # 300 replays: a true rate of alpha + 1 point stays under this in 99 of 100 runs.
    assert found["fail"] <= POLICY.alpha + 0.01 + 2.33 * (0.06 * 0.94 / 300) ** 0.5


def test_a_candidate_over_the_margin_is_passed_at_most_at_alpha():
    found = rates(lambda dice: simulated(dice, loss=0.05, lost=0.0), 200)
    assert found["pass"] <= POLICY.alpha + 2.33 * (0.05 * 0.95 / 200) ** 0.5


def test_the_stated_power_is_kept():
    """A planted loss of the size that is said to fail four times in five does."""
    stated = [
        check.figures["fails_from"]
        for seed in range(20)
        for check in judged(simulated(np.random.default_rng(seed), loss=0, lost=0)).checks
        if check.name == "quality"
    ]
    size = float(np.mean(stated))
    found = rates(lambda dice: simulated(dice, loss=size, lost=0.0), 100)
    assert found["fail"] >= 0.8 - 0.1


def test_what_fails_already_fails_whatever_was_forgotten():
    """The early answer is never another than the whole gate's."""
    generator = np.random.default_rng(3)
    early = 0
    for lost in np.linspace(0.0, 0.5, 40):
        champion = (generator.random(ROWS) < 0.8) * 1.0
        candidate = np.where(generator.random(ROWS) < lost, 0.0, champion)
        base = (generator.random(SUITE * SUITES) < 0.7) * 1.0
        tuned = np.where(generator.random(len(base)) < generator.choice([0.0, 0.1, 0.4]), 0, base)
        whole = case(champion, candidate, base=suites(base), tuned=suites(tuned))
        if fails_already(replace(whole, base=None), POLICY):
            early += 1
            found = judge(whole, POLICY, seed=0)
            alone = judge(replace(whole, base=None, unscored=True), POLICY, seed=0)
            assert found.result == alone.result == "fail"
            assert {one.name: one.state for one in found.checks}["quality"] == "fail"
    assert 5 < early < 40
