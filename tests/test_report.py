"""The report as text and data: true to its input, the same every time, safe to open."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from report_fixture import build_report, unmeasured

from advisor.reasons import first_change
from advisor.report import Report, figures, html, markdown, verdict_json, write
from advisor.report.audit import audit
from advisor.report.labels import Box, place
from advisor.report.model import family, visible
from advisor.report.outlook import sheets
from advisor.report.rows import PAGE, rows_data, worst_rows
from advisor.report.scatter import drawable, front
from advisor.report.tables import fields_table, standings_table
from advisor.report.wording import changes, next_step
from advisor.verdict import Chance, Measure, Outcome

OUTCOMES: tuple[Outcome, ...] = ("recommend", "cannot_tell", "none_feasible")
NAN = float("nan")


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report()


def faults(data: object) -> list[str]:
    schema = json.loads((files("advisor.report") / "verdict.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    return [error.message for error in Draft202012Validator(schema).iter_errors(data)]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_verdict_of_every_outcome_fits_its_schema(outcome: Outcome) -> None:
    assert faults(verdict_json(build_report(outcome=outcome, rows=30))) == []


def test_a_figure_that_was_not_measured_is_null_in_the_data(report: Report) -> None:
    data = verdict_json(unmeasured(report))
    blank = next(one for one in data["standings"] if one["contender"] == "majority")
    assert blank["quality"] == {"value": None, "low": None, "high": None, "n": 0}
    assert blank["cost"]["usd_per_1k"] is None
    assert faults(data) == []


def test_a_figure_that_was_not_measured_is_a_dash_and_never_a_zero(report: Report) -> None:
    shown = (
        figures.percent,
        figures.points,
        figures.money,
        figures.milliseconds,
        figures.mebibytes,
        figures.octets,
        figures.seconds,
        figures.whole,
        figures.p_value,
    )
    assert {form(value) for form in shown for value in (None, NAN)} == {figures.MISSING}
    line = next(one for one in markdown(unmeasured(report)).splitlines() if "| majority" in one)
    assert line.count(figures.MISSING) >= 6


def test_an_unmeasured_contender_is_named_and_not_drawn_at_zero(report: Report) -> None:
    shown, left_out = drawable(unmeasured(report))
    assert left_out == ["majority"]
    assert len(shown) == 7
    assert "was not measured: majority" in html(unmeasured(report))


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (figures.money, 0.0, "$0"),
        (figures.money, 0.0021, "$0.0021"),
        (figures.money, 0.00000123, "$0.0000012"),
        (figures.money, 2.5e-10, "<$0.000001"),
        (figures.money, 0.214, "$0.21"),
        (figures.money, 0.9999, "$1.00"),
        (figures.money, 1240.4, "$1,240"),
        (figures.percent, 0.9117, "91.2%"),
        (figures.points, -0.0123, "\u22121.2"),
        (figures.points, -0.0001, "0.0"),
        (figures.milliseconds, 3.42, "3.4 ms"),
        (figures.milliseconds, 12_400, "12.4 s"),
        (figures.mebibytes, 6042, "5.9 GiB"),
        (figures.seconds, 0, "0 s"),
        (figures.seconds, 4.28, "4.3 s"),
        (figures.p_value, 0.00001, "< 0.001"),
    ],
)
def test_figures_have_the_digits_that_matter(form: object, value: float, text: str) -> None:
    assert callable(form)
    assert form(value) == text


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write(build_report(3, rows=40), tmp_path / folder)
    for name in ("report.html", "report.md", "verdict.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_writing_replaces_the_files_and_leaves_no_draft(report: Report, tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_text("old")
    write(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report.html",
        "report.md",
        "verdict.json",
    ]
    assert json.loads((tmp_path / "verdict.json").read_text("utf-8")) == verdict_json(report)


def test_the_headline_names_winner_quality_interval_gain_and_cost(report: Report) -> None:
    first = markdown(report).splitlines()[2]
    assert first.startswith("**Use lora: 8")
    assert "points above nearest-8 (the best prompt alone)" in first
    assert "for $0.044 per 1,000 calls" in first


def test_without_a_winner_no_contender_is_recommended() -> None:
    for outcome in OUTCOMES[1:]:
        page = html(build_report(outcome=outcome, rows=30))
        assert ">recommended</em>" not in page
        assert "It is not a recommendation." in page


def test_only_a_pair_whose_interval_holds_zero_is_too_close_to_call() -> None:
    close = build_report(1, outcome="cannot_tell")
    assert "are too close to call on 150 items" in markdown(close)
    apart = tuple(
        replace(one, difference=Measure(-0.2, -0.3, -0.1, 150)) for one in close.verdict.comparisons
    )
    settled = replace(close, verdict=replace(close.verdict, comparisons=apart))
    assert "too close to call" not in markdown(settled)


def test_a_run_that_is_not_final_says_so_in_every_file() -> None:
    limited = build_report(rows=30, final=False)
    assert 'class="banner"' in html(limited)
    assert "Not final." in markdown(limited)
    assert verdict_json(limited)["final"] is False


def test_markdown_tables_survive_pipes_and_line_breaks_in_names(report: Report) -> None:
    odd = replace(report.verdict.standings[0], contender="a|b\n| c <b> `d`")
    rest = report.verdict.standings[1:]
    broken = replace(report, verdict=replace(report.verdict, standings=(odd, *rest)))
    lines = [line for line in markdown(broken).splitlines() if line.startswith("|")]
    line = next(one for one in lines if "a\\|b" in one)
    assert line.replace("\\|", "").count("|") == lines[0].count("|")
    assert "\\<b\\>" in line


def test_untouched_weights_are_unchanged_by_construction(report: Report) -> None:
    for text in (html(report), markdown(report)):
        assert "run on the untouched base weights: unchanged by construction." in text
    data = {one["contender"]: one["forgetting"] for one in verdict_json(report)["standings"]}
    assert data["rag"] == "unchanged"
    assert data["lora"]["pooled"]["state"] == "pass"


def test_hostile_text_reaches_the_page_only_escaped() -> None:
    bad = ("</script><script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "\ud800\x00")
    page = html(build_report(rows=30, hostile=bad))
    assert page.count("<script") == 3
    assert "<img" not in page
    assert "\x00" not in page
    page.encode("utf-8")


def test_the_page_has_no_inline_style_handler_or_address(report: Report) -> None:
    page = html(report)
    assert " style=" not in page
    assert " onclick=" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page


def test_ten_contenders_and_500_long_rows_stay_under_3_mb() -> None:
    large = build_report(rows=500, hostile=("x" * 20_000,))
    twice = tuple(replace(trial, contender=f"{trial.contender}-2") for trial in large.trials[:2])
    assert len(html(replace(large, trials=large.trials + twice))) < 3_000_000


def test_rows_start_where_the_winner_fails_and_a_page_holds_a_few(report: Report) -> None:
    worst = worst_rows(report)
    assert len(worst.rows) == len(report.task.test)
    assert len(worst.page) == PAGE
    assert worst.qualifying == len(worst.rows)
    assert worst.about == "lora"
    assert "lead" in worst.rows[0].keys
    assert len(worst.rows[0].said) == 8


def test_the_script_gets_every_row_and_each_text_once(report: Report) -> None:
    worst = worst_rows(report)
    data = rows_data(worst.rows, worst.contenders)
    assert [row["id"] for row in data["rows"]] == [row.id for row in worst.rows]
    assert len(data["texts"]) == len(set(data["texts"]))
    who, verdict, credit, text, *_ = data["rows"][0]["said"][0]
    first = worst.rows[0].said[0]
    assert (data["names"][who], data["texts"][verdict]) == (first.contender, first.verdict)
    assert (data["texts"][credit], data["texts"][text]) == (first.credit, first.text)


def test_the_audit_finds_a_contender_that_skipped_an_item(report: Report) -> None:
    first, *rest = report.trials
    short = replace(report, trials=(replace(first, rows=first.rows[1:]), *rest))
    found = {check.title: check for check in audit(short)}
    assert found["Not the same items"].state == "fault"
    assert "majority lacks 1" in found["Not the same items"].finding
    assert "Same items" in {check.title for check in audit(report)}


def test_fields_have_a_table_of_their_own(report: Report) -> None:
    assert fields_table(report) is None
    score = Measure(0.5, 0.4, 0.6, 24)
    standings = tuple(replace(one, parts={**one.parts, "field:customer.tier": score})
                      for one in report.verdict.standings)
    wide = replace(report, verdict=replace(report.verdict, standings=standings))
    assert standings_table(wide).heads == standings_table(report).heads
    fields = fields_table(wide)
    assert fields is not None
    assert fields.heads == (("customer.tier", "%"),)
    assert "Field by field" in html(wide)
    assert "Field by field" not in html(report)


def test_the_audit_names_contenders_that_are_missing(report: Report) -> None:
    run = {**report.run, "failed": {"qlora": "bitsandbytes is not installed."},
           "skipped": {"rag": "the task has no corpus"}}
    found = {check.title: check for check in audit(replace(report, run=run))}
    missing = found["Contenders not measured"]
    assert missing.state == "fault"
    assert missing.finding == (
        "qlora (bitsandbytes is not installed) and rag (the task has no corpus)."
    )
    left = replace(report, run={**run, "failed": {}})
    assert "Contenders left out" in {check.title for check in audit(left)}


def test_the_audit_counts_what_could_not_be_read_or_did_not_fit(report: Report) -> None:
    found = {check.title: check.finding for check in audit(report)}
    assert "unreadable" in found["Answers that could not be read"]
    assert "nearest-8" in found["Shortened prompts"]
    assert "qlora 22 of 24" in found["Probe and batch differ"]
    assert "everyday physics" in found["Suites that cannot gate"]


def test_what_would_change_the_advice_is_told_on_the_page_and_in_markdown(report: Report) -> None:
    for text in (html(report), markdown(report)):
        assert "below 3,100 calls a month: then zero-shot" in text
        assert "nowhere from 0 to 1 of the facts a month" in text
        assert "below 0.00012 USD a correct answer: then the data cannot tell" in text
        assert "they pay from $0.0094 a correct answer" in text
        assert "2,100 calls a month" in text
        assert "By customer tier" in text


def test_the_first_screen_says_what_would_change_the_advice_nearest_first(report: Report) -> None:
    assert changes(report) == (
        "quality margin above 31 points of quality: then none may be used; "
        "volume below 3,100 calls a month: then zero-shot; "
        "worth of a correct answer below 0.00012 USD a correct answer: then the data cannot tell.")
    assert "Would change it: quality margin above 31" in markdown(report)
    seen = report.verdict.outlook
    assert seen is not None
    steady = replace(seen, flips=tuple(replace(one, at=None) for one in seen.flips))
    same = replace(report, verdict=replace(report.verdict, outlook=steady))
    assert changes(same).startswith("No number searched would, alone: volume, quality margin")


def test_the_next_step_does_not_say_again_what_would_change_the_advice(report: Report) -> None:
    seen = report.verdict.outlook
    assert seen is not None
    step = f"Ship lora.{first_change(seen)} Label more rows."
    assert "The advice changes first above 31 points" in step
    told = replace(report, verdict=replace(report.verdict, next_step=step))
    assert next_step(told) == "Ship lora. Label more rows."


def test_who_was_never_the_best_shares_a_line(report: Report) -> None:
    seen = report.verdict.outlook
    assert seen is not None
    never = tuple(Chance(name, 0.0, 0.0, None) for name in ("rag", "zero-shot"))
    odd = replace(report.verdict, outlook=replace(seen, chances=(*seen.chances, *never)))
    [sheet] = [one for one in sheets(replace(report, verdict=odd)) if one.title == "How sure it is"]
    assert sheet.lines[-1] == ("never: rag and zero-shot", "0.0%", "0.0%")


def test_long_parts_of_the_run_are_folded(report: Report) -> None:
    files = {f"corpus/{at}.md": "ab" * 32 for at in range(40)}
    noted = replace(report, run={**report.run, "data": files})
    page, text = html(noted), markdown(noted)
    assert "<summary>data <small>40 values, as in run.yaml</small></summary>" in page
    assert '<h3>machine</h3>' in page
    assert "- in run.yaml: data" in text
    assert "corpus/39.md" not in text
    assert "- machine.cores: 8" in text


def test_a_report_without_an_outlook_has_no_section_for_it(report: Report) -> None:
    bare = replace(report.verdict, outlook=None, seeds=(), slices=())
    page = html(replace(report, verdict=bare))
    assert "How far the advice holds" not in page
    assert "#outlook\"" not in page


def test_the_audit_tells_rules_that_came_late_or_were_changed(report: Report) -> None:
    def found(**other: object) -> str:
        rules = {"hash": "ab" * 32, "answers_before": 0, "changed": {}, **other}
        checks = audit(replace(report, run={**report.run, "registration": rules}))
        return next(one.finding for one in checks if "Rules" in one.title)

    assert found().endswith("registered as abababababababab, before the first answer.")
    assert found(answers_before=12).endswith("but only after 12 answers.")
    moved = {"policy.alpha": (0.05, 0.2)}
    assert found(changed=moved).endswith("changed since: policy.alpha from 0.05 to 0.2.")


def test_the_front_holds_no_barred_and_no_beaten_contender(report: Report) -> None:
    shown, _ = drawable(report)
    assert [one.contender for one in front(shown)] == ["majority", "zero-shot", "lora"]


def test_labels_of_crowded_points_are_kept_apart() -> None:
    anchors = [(200.0 + 6 * at, 150.0 + 3 * at, f"contender-{at}") for at in range(6)]
    boxes = [one.box for one in place(anchors, obstacles=[], frame=Box(0, 0, 400, 300))]
    pairs = [(one, other) for at, one in enumerate(boxes) for other in boxes[at + 1 :]]
    assert sum(one.overlap(other) for one, other in pairs) == 0
    assert sum(one.outside(Box(0, 0, 400, 300)) for one in boxes) == 0


def test_the_four_choices_decide_the_family(report: Report) -> None:
    kinds = {one.contender: family(one.axes) for one in report.verdict.standings}
    assert kinds["majority"] == "floor"
    assert kinds["few-shot-8"] == "prompt"
    assert kinds["rag"] == "retrieval"
    assert kinds["qlora"] == "tuned"
    assert kinds["rag-lora"] == "both"


def test_a_verdict_without_contenders_still_makes_a_page(report: Report) -> None:
    empty = replace(
        report.verdict, outcome="cannot_tell", winner=None, because=(), standings=(), comparisons=()
    )
    bare = replace(report, verdict=empty, trials=(), run={})
    assert "No contender was measured." in html(bare)
    assert "No contender was measured." in markdown(bare)


def test_a_figure_without_an_interval_is_shown_without_brackets(report: Report) -> None:
    first, *rest = report.verdict.standings
    point = replace(first, quality=Measure(0.2, NAN, NAN, 150))
    one = replace(report, verdict=replace(report.verdict, standings=(point, *rest)))
    line = next(text for text in markdown(one).splitlines() if "| majority" in text)
    assert "| 20.0% |" in line


def test_long_text_is_cut_with_the_rest_counted() -> None:
    assert visible("abcdef", 4) == "abcd\u2026 (2 more characters)"
    assert visible("a\x1b[31m\ud800") == "a\ufffd[31m\ufffd"
