"""Learning curves: nested parts, what they say, and that nothing is tuned or asked twice."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonschema import Draft202012Validator
from material import ROOT, TEST, Listening, Silent, own, plan, recipe, small_task, write_task
from report_fixture import build_report
from test_detectors import needs_lm_eval, opened

from advisor.cli import main
from advisor.core import Example, Question, Task
from advisor.data.parts import nested, too_few
from advisor.engines.fake import FakeEngine
from advisor.engines.protocol import Course
from advisor.measures.curves import curve, more_rows_help
from advisor.measures.retention import Suite
from advisor.report import html, markdown, verdict_json
from advisor.runner.ledger import recall
from advisor.runner.limit import Limit
from advisor.runner.plan import Plan
from advisor.runner.record import open_record, read_report
from advisor.runner.run import Finished, run
from advisor.verdict import LearningCurve, Measure

# ------------------------------------------------------------------ parts


def rows(*sizes: int) -> tuple[Example, ...]:
    """Train rows in groups of these sizes, the groups' rows dealt in turn."""
    dealt = sorted((at, group) for group, size in enumerate(sizes) for at in range(size))
    return tuple(Example(Question(f"q{n}", f"What is {n}?"), (str(n),), group=f"g{group}")
                 for n, (_, group) in enumerate(dealt))


def ids(part: Any) -> set[str]:
    return {one.question.id for one in part}


def groups(part: Any) -> set[str]:
    return {one.group for one in part}


def test_single_rows_make_a_quarter_and_a_half_in_the_order_of_train():
    whole = rows(*[1] * 40)
    quarter, half = nested(whole, seed=0)
    assert (len(quarter), len(half)) == (10, 20)
    assert ids(quarter) < ids(half) < ids(whole)
    assert [one for one in whole if one in half] == list(half)


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_never_parted_and_each_part_holds_the_smaller(seed):
    whole = rows(12, 9, 7, 5, 4, 3, 2, 2, 1, 1)
    quarter, half = nested(whole, seed=seed)
    assert ids(quarter) < ids(half)
    assert len(quarter) <= len(whole) / 4 < len(half) <= len(whole) / 2
    for part in (quarter, half):
        rest = [one for one in whole if one not in part]
        assert not groups(part) & groups(rest)


def test_the_seed_alone_decides_the_parts():
    whole = rows(*[2] * 20)
    assert nested(whole, seed=1) == nested(whole, seed=1)
    assert nested(whole, seed=1) != nested(whole, seed=2)
    assert [ids(one) for one in nested(whole[::-1], seed=1)] == [
        ids(one) for one in nested(whole, seed=1)]


def test_one_group_of_nearly_all_rows_leaves_one_part_without_it():
    [part] = nested(rows(97, 1, 1, 1), seed=0)
    assert len(part) == 3


@pytest.mark.parametrize(("sizes", "why"), [
    ((1,) * 7, "train has 7 rows in 7 groups; a learning curve needs at least 8 in 4"),
    ((5, 5, 5), "train has 15 rows in 3 groups"),
    ((), "train has 0 rows"),
    ((2, 2, 2, 2), ""),
])
def test_too_few_rows_or_groups_are_told(sizes, why):
    assert too_few(rows(*sizes)).startswith(why)
    assert bool(too_few(rows(*sizes))) == bool(why)


# ------------------------------------------------------------------ what they say


def seen(*shares: float, n: int = 200, margin: float = 0.05) -> LearningCurve:
    """Sizes 50, 100, ... of which each answers that share of the same test rows right."""
    sizes = [(50 * (at + 1), (np.arange(n) < round(share * n)).astype(float))
             for at, share in enumerate(shares)]
    found = curve("lora", [sizes], np.arange(n), alpha=0.05, margin=margin)
    assert found is not None
    return found


def test_a_curve_that_still_rises_says_so_and_by_how_much():
    found = seen(0.3, 0.5, 0.7)
    assert found.reading.startswith("still rising: the last 50 rows brought 20.0 points [1")
    assert found.reading.endswith("; label more")
    assert more_rows_help([found], "lora")
    assert not more_rows_help([found], "full")
    assert not more_rows_help([], "lora")


def test_a_flat_curve_says_that_more_rows_would_hardly_help():
    found = seen(0.3, 0.7, 0.705)
    assert found.reading.startswith("flat: the last 50 rows brought 0.5 points [")
    assert "less than the 5.0 that matter" in found.reading
    assert not more_rows_help([found], "lora")


def test_a_step_that_could_be_nothing_or_much_cannot_be_told():
    found = seen(0.3, 0.5, 0.6, n=20)
    assert found.reading.startswith("cannot tell yet: the last 50 rows brought 10.0 points [")
    assert not more_rows_help([found], "lora")


def test_rows_that_made_it_worse_are_pointed_at():
    assert seen(0.3, 0.7, 0.5).reading.startswith("falling: the last 50 rows brought -20.0 points")


def test_a_gain_that_the_margin_forgives_is_flat_though_it_is_sure():
    assert seen(0.3, 0.70, 0.71, n=5000, margin=0.05).reading.startswith("flat")
    assert seen(0.3, 0.70, 0.71, n=5000, margin=0.001).reading.startswith("still rising")


def test_each_size_has_its_interval_and_rows_alike_widen_it():
    values = (np.arange(200) < 120).astype(float)
    sizes = [(0, values[::-1]), (100, values)]
    single = curve("lora", [sizes], np.arange(200), alpha=0.05, margin=0.05)
    alike = curve("lora", [sizes], np.arange(200) // 10, alpha=0.05, margin=0.05)
    assert single is not None
    assert alike is not None
    for (_, one), (_, other) in zip(single.points, alike.points, strict=True):
        assert one.value == other.value == 0.6
        assert other.high - other.low > one.high - one.low > 0
    assert "still rising" not in alike.reading


def test_of_sizes_that_are_equally_good_a_rise_is_announced_about_once_in_forty():
    drawn, risen = np.random.default_rng(6), 0
    for _ in range(600):
        sizes = [(k, (drawn.random(150) < 0.6).astype(float)) for k in (50, 100)]
        found = curve("lora", [sizes], np.arange(150), alpha=0.05, margin=0.0)
        assert found is not None
        risen += more_rows_help([found], "lora")
    assert 0.01 <= risen / 600 <= 0.04


def test_several_seeds_are_one_curve_whose_intervals_hold_their_luck():
    lucky, unlucky = ((np.arange(200) < many).astype(float) for many in (150, 110))
    before = (np.arange(200) < 100).astype(float)
    one = curve("lora", [[(50, before), (100, lucky)]], np.arange(200), alpha=0.05, margin=0.05)
    both = curve("lora", [[(50, before), (100, lucky)], [(52, before), (100, unlucky)]],
                 np.arange(200), alpha=0.05, margin=0.05)
    assert one is not None
    assert both is not None
    assert more_rows_help([one], "lora")
    assert [(rows, at.value) for rows, at in both.points] == [(51, 0.5), (100, 0.65)]
    assert both.reading.startswith("cannot tell yet: the last 49 rows brought 15.0 points")


def test_failed_answers_count_for_neither_size_and_a_size_of_them_for_nothing():
    before, after, failed = np.zeros(50), np.ones(50), np.full(50, np.nan)
    before[:10] = np.nan
    found = curve("lora", [[(10, failed), (20, before), (40, after)]], np.arange(50), alpha=0.05,
                  margin=0.05)
    assert found is not None
    assert [(size, one.n) for size, one in found.points] == [(20, 40), (40, 50)]
    assert curve("lora", [[(20, failed), (40, after)]], np.arange(50), alpha=0.05,
                 margin=0.05) is None
    assert curve("lora", [], np.arange(50), alpha=0.05, margin=0.05) is None


# ------------------------------------------------------------------ a run

PART, HALF, WHOLE = 3, 6, 12  # the train rows of the made-up task


@dataclass(frozen=True, slots=True)
class Pupil(Listening):
    """Tuned on so many rows, it is right on so many of the first test bridges."""

    def _say(self, turns):
        bridges = TEST[: 2 * len(self.learnt)]
        if any(f"toll of the {bridge} bridge" in turns[-1][1] for bridge in bridges):
            return FakeEngine._say(replace(self, learnt=()), turns)
        return "nobody knows"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return opened(tmp_path_factory.mktemp("suite"), "{}")


@pytest.fixture
def planned(task: Task, suite: Suite, tmp_path: Path) -> Plan:
    tuned = recipe("retrieval: {kind: dense}\nweights: {kind: lora}\n", tmp_path)
    recipes = {**own("floor", "rag"), "rag-lora": tuned}
    made = plan(task, tmp_path / "run", recipes=recipes, engine=Pupil())
    return replace(made, suites=(suite,), learning_curve=True)


def go(planned: Plan, limit: Limit | None = None) -> Finished:
    return run(planned, Silent(), limit)


def using(planned: Plan, engine: FakeEngine) -> Plan:
    return replace(planned, tools=replace(planned.tools, engine=engine))


def taught(planned: Plan) -> list[int]:
    courses: list[Course] = planned.tools.engine.taught
    return [len(one.train) for one in courses]


def said(planned: Plan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((planned.folder / "verdict.json").read_text())
    return found


@needs_lm_eval
def test_a_tuned_contender_gets_a_curve_that_ends_in_its_own_quality(planned):
    done = go(planned)
    assert done.failed == done.without_curve == {}
    assert taught(planned) == [WHOLE, PART, HALF]
    [found] = done.verdict.curves
    assert found.contender == "rag-lora"
    assert [size for size, _ in found.points] == [0, PART, HALF, WHOLE]
    assert [one.value for _, one in found.points] == [0.0, 0.25, 0.5, 1.0]
    quality = {one.contender: one.quality for one in done.verdict.standings}
    assert (found.points[0][1], found.points[-1][1]) == (quality["rag"], quality["rag-lora"])
    assert found.reading.startswith("still rising: the last 6 rows brought 50.0 points")
    assert not (planned.folder / ".curves").exists()
    schema = json.loads((ROOT / "advisor/report/verdict.schema.json").read_text())
    Draft202012Validator(schema).validate(said(planned))


@needs_lm_eval
def test_nothing_of_a_curve_is_tuned_or_asked_twice(planned):
    go(planned)
    first = said(planned)
    again = using(planned, Pupil())
    go(again)
    assert taught(again) == again.tools.engine.asked == []
    assert said(planned) == first


@needs_lm_eval
def test_a_curve_asked_for_later_tunes_the_parts_alone_and_costs_the_contender_nothing(planned):
    go(replace(planned, learning_curve=False))
    plain = said(planned)
    assert "curves" not in plain
    later = using(planned, Pupil())
    go(later)
    assert taught(later) == [PART, HALF]
    assert len(later.tools.engine.asked) == 2 * len(TEST)
    assert said(planned)["standings"] == plain["standings"]
    go(replace(planned, learning_curve=False))
    assert said(planned) == plain


@needs_lm_eval
@pytest.mark.parametrize("answers", [0, 5, len(TEST), len(TEST) + 5])
def test_a_run_stopped_between_or_within_points_goes_on_where_it_was(planned, answers):
    go(replace(planned, learning_curve=False))
    stopped = using(planned, Pupil(patience=answers))
    with pytest.raises(KeyboardInterrupt):
        go(stopped)
    again = using(planned, Pupil())
    done = go(again)
    # What was tuned before the stop is not tuned again, and no answer that was given is lost.
    assert taught(stopped) + taught(again) == [PART, HALF]
    assert len(again.tools.engine.asked) == 2 * len(TEST) - answers
    assert [one.value for _, one in done.verdict.curves[0].points] == [0.0, 0.25, 0.5, 1.0]


@needs_lm_eval
def test_a_curve_is_read_again_without_a_model_and_decided_again_from_the_ledger(planned):
    done = go(planned)
    found = read_report(open_record(planned.folder), planned.task)
    assert found.verdict.curves == done.verdict.curves
    sizes = {one.contender: one.learning for one in recall(planned.folder).case.trials}
    assert [size for size, _ in sizes["rag-lora"]] == [0, PART, HALF, WHOLE]
    assert sizes["rag"] == ()


@needs_lm_eval
def test_every_seed_has_its_own_parts(planned):
    done = go(replace(planned, seeds=2))
    assert sorted(taught(planned)) == [PART, PART, HALF, HALF, WHOLE, WHOLE]
    [found] = done.verdict.curves
    quality = {one.contender: one.quality for one in done.verdict.standings}
    assert (found.points[0][1], found.points[-1][1]) == (quality["rag"], quality["rag-lora"])
    assert read_report(open_record(planned.folder), planned.task).verdict.curves == (found,)


@needs_lm_eval
def test_a_changed_train_row_tunes_the_parts_anew(planned):
    go(planned)
    material = replace(planned.task.material, digest="another")
    again = using(replace(planned, task=replace(planned.task, material=material)), Pupil())
    # The lessons are as they were, so that their tunings are found; the answers are not.
    assert go(again).verdict.curves
    assert taught(again) == []
    assert len(again.tools.engine.asked) > 3 * len(TEST)


@needs_lm_eval
def test_a_changed_target_grades_a_curve_anew_and_asks_nothing(planned):
    go(planned)
    first, *rest = planned.task.test
    changed = replace(planned.task, test=(replace(first, targets=("nothing",)), *rest))
    again = using(replace(planned, task=changed), Pupil())
    [found] = go(again).verdict.curves
    assert again.tools.engine.asked == []
    assert found.points[-1][1].value == pytest.approx(23 / 24)


@needs_lm_eval
def test_a_train_set_that_is_too_small_gets_a_note_and_no_curve(planned):
    material = replace(planned.task.material, train=planned.task.material.train[:7])
    small = replace(planned, task=replace(planned.task, material=material))
    done = go(small)
    assert done.verdict.curves == ()
    assert done.without_curve == {
        "rag-lora": "train has 7 rows in 7 groups; a learning curve needs at least 8 in 4"}
    assert taught(small) == [7]
    written = yaml.safe_load((small.folder / "run.yaml").read_text())
    assert written["learning_curves"] == {"without": done.without_curve}
    for name in ("report.html", "report.md"):
        assert "no curve: train has 7 rows" in (small.folder / name).read_text()


@needs_lm_eval
def test_what_learns_from_a_teacher_has_no_curve(planned, tmp_path):
    text = "weights: {kind: lora, teacher: {recipe: {prompt: {shots: 1}}}}\n"
    pupil = replace(planned, recipes={"distilled": recipe(text, tmp_path)})
    done = go(pupil)
    assert done.verdict.curves == ()
    assert "what a teacher says" in done.without_curve["distilled"]


@needs_lm_eval
def test_a_part_that_cannot_be_tuned_costs_its_curve_and_nothing_else(planned, tmp_path):
    text = "prompt: {shots: 4}\nweights: {kind: lora}\n"
    done = go(replace(planned, recipes={"lora": recipe(text, tmp_path)}))
    assert done.failed == {}
    assert done.without_curve == {"lora": "prompt.shots is 4, but train has 3 rows"}


@needs_lm_eval
def test_a_crash_while_a_part_answers_costs_its_curve_and_nothing_else(planned):
    go(replace(planned, learning_curve=False))
    done = go(using(planned, Pupil(patience=5, fault=RuntimeError)))
    assert done.without_curve == {"rag-lora": "crashed with RuntimeError: no more"}
    assert len(done.verdict.standings) == 3
    assert go(using(planned, Pupil())).verdict.curves


@needs_lm_eval
def test_a_curve_that_would_not_end_in_time_is_not_begun(planned):
    go(replace(planned, learning_curve=False))
    done = go(planned, Limit(0.0, lambda: 0.0))
    assert "of the time limit are left" in done.without_curve["rag-lora"]
    assert go(planned, Limit(3600.0, lambda: 0.0)).without_curve == {}
    # What is measured already needs no time.
    assert go(planned, Limit(0.0, lambda: 0.0)).without_curve == {}


# ------------------------------------------------------------------ what is shown

CURVES = (
    LearningCurve("lora", ((0, Measure(0.4, 0.3, 0.5, 150)), (77, Measure(0.7, 0.6, 0.8, 150)),
                           (310, Measure(0.9, 0.8, 0.95, 150))), "still rising: by <b>much</b>"),
)


def test_curves_stand_in_the_page_in_markdown_and_in_json():
    report = build_report()
    report = replace(report, verdict=replace(report.verdict, curves=CURVES))
    page, text = html(report), markdown(report)
    assert "<h3>Learning curves</h3>" in page
    assert "by &lt;b&gt;much&lt;/b&gt;" in page
    assert "| lora | 310 | 90.0% \\[80.0, 95.0\\] | still rising: by \\<b\\>much\\</b\\> |" in text
    [one] = json.loads(json.dumps(verdict_json(report)))["curves"]
    assert tuple((at["rows"], Measure(**at["quality"])) for at in one["points"]) == CURVES[0].points


def test_a_report_without_curves_does_not_name_them():
    report = build_report()
    assert "Learning curves" not in html(report)
    assert "Learning curves" not in markdown(report)
    assert "curves" not in verdict_json(report)


# ------------------------------------------------------------------ the command

FAKE = ("--engine", "fake", "--no-input")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_task(tmp_path / "evals" / "tolls")
    opened(tmp_path, "{}")
    (tmp_path / "evals" / "retention").mkdir(parents=True)
    for name in ("mine.yaml", "mine.jsonl"):
        (tmp_path / name).rename(tmp_path / "evals" / "retention" / name)
    (tmp_path / "advisor.yaml").write_text("latency_probe: 1\nretention: [mine]\n")
    (tmp_path / "baselines").mkdir()
    for name, text in (("zero-shot", "{}\n"), ("lora", "weights: {kind: lora}\n")):
        (tmp_path / "baselines" / f"{name}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@needs_lm_eval
@pytest.mark.usefixtures("home")
def test_run_and_show_tell_the_curve(capsys):
    assert main(["run", "tolls", *FAKE, "--learning-curve"]) == 0
    assert "learning curve of lora: " in " ".join(capsys.readouterr().out.split())
    assert main(["show", "tolls-fake"]) == 0
    told = capsys.readouterr().out
    assert "learning curve" in told
    assert "the last 6 rows brought" in told


@needs_lm_eval
def test_show_reads_a_verdict_that_knows_no_curves(home, capsys):
    assert main(["run", "tolls", *FAKE, "--learning-curve"]) == 0
    path = home / "reports" / "tolls-fake" / "verdict.json"
    older = {key: value for key, value in json.loads(path.read_text()).items() if key != "curves"}
    path.write_text(json.dumps(older))
    capsys.readouterr()
    assert main(["show", "tolls-fake"]) == 0
    assert "learning curve" not in capsys.readouterr().out


@needs_lm_eval
def test_run_and_show_tell_why_there_is_no_curve(home, capsys):
    path = home / "evals" / "tolls" / "train.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:7]))
    assert main(["run", "tolls", *FAKE, "--contender", "lora", "--learning-curve"]) == 0
    assert "no learning curve of lora: train has 7 rows" in capsys.readouterr().out
    assert main(["show", "tolls-fake"]) == 0
    assert "no learning curve of lora: train has 7 rows" in capsys.readouterr().out


@pytest.mark.usefixtures("home")
def test_a_curve_needs_a_tuned_contender(capsys):
    assert main(["run", "tolls", *FAKE, "--contender", "zero-shot", "--learning-curve"]) == 2
    told = capsys.readouterr().err
    assert "none of the contenders is tuned on train rows" in told
    assert "--contender lora" in told
