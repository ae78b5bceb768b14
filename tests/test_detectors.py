"""Signs of forgetting beside the gate: the base reworded, and its own text."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from report_fixture import build_report
from test_measures import POLICY, share, suite, suites

from advisor.engines.fake import FakeEngine
from advisor.errors import AdvisorError
from advisor.measures import owntext
from advisor.measures.forgetting import forgetting, suspicious
from advisor.measures.retention import Suite, load_suites, measure
from advisor.measures.rewording import reworded
from advisor.measures.standing import forgetting_bars
from advisor.report.detectors import detectors
from advisor.report.page import html
from advisor.report.text import markdown
from advisor.trial import Reworded, SuiteScores

SUITE = """\
task: mine
dataset_path: json
dataset_kwargs: {data_files: {test: mine.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{question}}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc}]
metadata: {version: 1.0, chance: 0.5, rewordings: REWORDINGS}
"""
needs_lm_eval = pytest.mark.skipif(
    importlib.util.find_spec("lm_eval") is None, reason="lm_eval not installed")


def flipped(before: SuiteScores, many: int) -> Reworded:
    """The base asked in other words, which costs it its first `many` right items."""
    right = [one for one, value in before.values.items() if value == 1.0][:many]
    after = {**before.values, **dict.fromkeys(right, 0.0)}
    return Reworded(before.suite, "prompt", before.values, after)


def beside(lost: int, floor: int):
    """A tuned model that loses so many of 140 right items of 200, beside such a floor."""
    base, tuned = suites(140), suites(140 - lost)
    found = [flipped(base[name], floor) for name in ("facts", "grammar", "physics")]
    return forgetting(base, tuned, POLICY, seed=0, reworded=found)


def test_what_rewording_flips_as_well_is_within_the_floor():
    noise = beside(lost=6, floor=8).pooled.noise
    assert noise is not None
    assert not noise.above
    assert noise.lost == pytest.approx(0.04)
    assert noise.excess.value == pytest.approx(-0.01)


def test_what_tuning_alone_flips_is_above_the_floor():
    noise = beside(lost=30, floor=8).pooled.noise
    assert noise is not None
    assert noise.above
    assert noise.excess.low > 0
    assert noise.drop.low < 0.04 < noise.drop.high


def test_a_bar_says_when_rewording_alone_flips_as_much():
    [within] = forgetting_bars(beside(lost=20, floor=30))
    assert within.endswith("rewording the prompts of the untouched base flips as many items")
    [above] = forgetting_bars(beside(lost=20, floor=0))
    assert "rewording" not in above


def test_without_rewordings_there_is_no_floor_and_the_gate_is_the_same():
    plain = forgetting(suites(140), suites(130), POLICY, seed=0)
    assert plain.pooled.noise is None
    assert replace(beside(lost=10, floor=5).pooled, noise=None) == plain.pooled


def test_a_suite_without_a_floor_leaves_the_pool_without_one():
    base = suites(140)
    found = forgetting(base, suites(130), POLICY, seed=0, reworded=[flipped(base["facts"], 5)])
    assert found.pooled.noise is None
    assert [one.suite for one in found.suites if one.noise] == ["facts"]


# ------------------------------------------------------------------ asking the base


def opened(folder: Path, rewordings: str) -> Suite:
    (folder / "mine.yaml").write_text(SUITE.replace("REWORDINGS", rewordings), encoding="utf-8")
    rows = [{"question": f"What is {k}?", "choices": ["one", "two"], "answer": 0}
            for k in range(40)]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    [found] = load_suites(["mine"], lambda name: folder / f"{name}.yaml")
    return found


@dataclass(frozen=True, slots=True)
class Knowing(FakeEngine):
    """Always finds `one` likelier than `two`, and nothing when it reads `word`."""

    word: str = "never"

    def _score(self, pair):
        context, continuation = ("".join(map(chr, part)) for part in pair)
        lost = self.word in context
        return (-1.0 if ("one" in continuation) != lost else -2.0), True


@needs_lm_eval
def test_the_base_is_asked_in_other_words_and_paired_with_itself(tmp_path):
    mine = opened(tmp_path, '{prompt: "Q: {{question}}", odd: "odd {{question}}"}')
    engine = Knowing(word="odd")
    known = measure(engine, [mine])
    odd, prompt = reworded(engine, [mine], known)
    assert (prompt.how, odd.how) == ("prompt", "odd")
    assert set(prompt.after.values()) == {1.0}
    assert set(odd.after.values()) == {0.0}
    assert prompt.before == odd.before == known["mine"].values


@needs_lm_eval
def test_two_orders_count_only_where_the_base_can_answer_at_all(tmp_path):
    mine = opened(tmp_path, '{order: ["odd {{question}}", "even {{question}}"]}')
    for word, many in (("odd", 0), ("even", 1)):
        engine = Knowing(word=word)
        assert len(reworded(engine, [mine], measure(engine, [mine]))) == many


@pytest.mark.parametrize("given", ["3", "{prompt: 3}", "{prompt: [a, b, c]}", "[a]"])
def test_rewordings_that_are_none_are_refused_with_an_example(tmp_path, given):
    mine = opened(tmp_path, given)
    with pytest.raises(AdvisorError, match=r"'mine': metadata\.rewordings: expected") as caught:
        reworded(FakeEngine(), [mine], {})
    assert "prompt:" in caught.value.fix


# ------------------------------------------------------------------ its own text


def test_the_base_gives_its_own_text_its_entropy():
    engine = Knowing()
    texts = owntext.write(engine)
    assert len(texts) == owntext.TEXTS
    assert texts[0].opening == owntext.OPENINGS[0]
    found = owntext.measure(engine, [owntext.OwnText("A", " one")])
    assert (found.metric, found.values) == ("nats_per_token", {"text-00": 0.25})


def test_nats_above_the_base_are_the_divergence_and_are_shown():
    def nats(size):
        values = [size + k / 100 for k in range(40)]
        return {**suites(140), "own_text": suite("own_text", values, metric="nats_per_token")}

    found = forgetting(nats(3.0), nats(3.2), POLICY, seed=0)
    [moved] = [one for one in found.suites if one.metric == "nats_per_token"]
    assert moved.drop.value == pytest.approx(0.2)
    assert moved.state == "shown"
    held = forgetting(nats(3.0), nats(3.2), replace(POLICY, protect={"own_text": 0.1}), seed=0)
    assert "nats for a token of the protected suite own_text rose by 0.200" in forgetting_bars(
        held)[0]


def test_an_adapter_that_changes_no_likelihood_raises_the_alarm():
    base = {"facts": suite("facts", share(140)),
            "own_text": suite("own_text", [3.0, 3.1, 2.9], metric="nats_per_token")}
    moved = {**base, "own_text": suite("own_text", [3.0, 3.1, 2.8], metric="nats_per_token")}
    assert suspicious(forgetting(base, base, POLICY, seed=0))
    assert not suspicious(forgetting(base, moved, POLICY, seed=0))


def test_a_base_that_writes_nothing_is_an_error_with_a_way_out():
    @dataclass(frozen=True, slots=True)
    class Mute(FakeEngine):
        def generate(self, prompts, **options):
            return iter(())

    with pytest.raises(AdvisorError, match="ends every text") as caught:
        owntext.write(Mute())
    assert "own_text" in caught.value.fix


def test_the_report_puts_the_floor_and_the_nats_beside_each_tuned_contender():
    report = build_report(outcome="recommend")
    floor, moved = detectors(report)
    assert [line[0] for line in floor.lines] == [line[0] for line in moved.lines]
    assert {line[-1] for line in floor.lines} <= {"above the floor", "within the floor"}
    for text in (html(report), markdown(report)):
        assert "Beside the noise floor" in text
        assert "How far the weights moved" in text
