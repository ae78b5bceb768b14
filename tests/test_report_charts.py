"""The charts: what they say, what they leave out, and that they need nothing from elsewhere."""

from __future__ import annotations

import re
import sys
from dataclasses import replace

import pytest
from report_fixture import build_report, unmeasured

from advisor.errors import AdvisorError
from advisor.report import Basis, Report, html, markdown
from advisor.report.curves import costs, learning, losses
from advisor.report.drawing import Figure, Frame, amount, apart, decades, domain, layer, picture
from advisor.report.intervals import bits, differences, forgetting, quality
from advisor.report.scatter import scatter
from advisor.verdict import BreakEven, LearningCurve, Measure, Policy

NAN = float("nan")
POLICY = Policy(
    quality_margin=0.05, retention_margin=0.05, alpha=0.05, latency_limit_ms=800.0,
    max_failed=0.01, horizon_months=12.0, calls_per_month=20_000.0, usd_per_machine_hour=0.1,
    utilisation=0.5,
)
CURVE = LearningCurve("lora", (
    (25, Measure(0.52, 0.45, 0.6, 150)), (100, Measure(0.79, 0.72, 0.85, 150)),
), "Still rising at 100 rows.")


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report()


@pytest.fixture(scope="module")
def ruled(report: Report) -> Report:
    """With the rules, one crossing, and a curve: nothing is left out of the page."""
    outlook = report.verdict.outlook
    assert outlook is not None
    fixed = {"lora": 2.0, "rag": 1.0}
    standings = tuple(
        replace(one, cost=replace(one.cost, fixed_usd=fixed.get(one.contender, 0.0)))
        for one in report.verdict.standings)
    crossing = replace(outlook, break_even=(
        BreakEven("rag", "lora", 1.0 / (0.093 - 0.044) * 1000 / 12),))
    verdict = replace(report.verdict, outlook=crossing, standings=standings, curves=(CURVE,))
    return replace(report, verdict=verdict, basis=Basis(None, POLICY))  # type: ignore[arg-type]


def figures(report: Report) -> list[Figure]:
    found = [quality(report), scatter(report), differences(report), costs(report),
             learning(report), *forgetting(report), *bits(report), *losses(report)]
    return [one for one in found if one is not None]


def said(figure: Figure | None) -> list[str]:
    """What the points of a chart say."""
    assert figure is not None
    return re.findall('aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="point"',
                      figure.wide)


def test_a_chart_names_no_colour_of_its_own_and_refers_to_nothing(ruled: Report) -> None:
    """Two charts of a page would share what `url(#id)` points at."""
    drawn = "".join(one.wide + (one.narrow or "") for one in figures(ruled))
    colours = set(re.findall(' (?:fill|stroke)="([^"]*)"', drawn))
    assert all(one == "none" or one.startswith("var(--") for one in colours), colours
    assert not re.search(' id=|url[(]|href|<image|style=', drawn)


def test_every_chart_and_every_value_has_a_name(ruled: Report) -> None:
    found = figures(ruled)
    assert len(found) == 13
    for one in found:
        assert re.match('<svg class="figure" viewBox="[^"]*" width="[^"]*" height="[^"]*" '
                        'role="graphics-document" aria-label="[^"]+">', one.wide)
        assert said(one)


def test_hostile_names_are_text_in_a_chart() -> None:
    bad = "</svg><script>alert(1)</script>'\"{{datum}}"
    rows = [{"name": bad, "at": 1.0}]
    drawn = picture([layer(rows, "text", x=amount("at"), text={"field": "name"})],
                    Frame(100, 40, 0, 0, 0, 20), label=bad)
    assert "<script" not in drawn
    assert "&lt;/svg&gt;&lt;script&gt;alert(1)" in drawn
    assert drawn.count("</svg>") == 1


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    """Each of these alone makes the library end the process."""
    for bad in ("\x00", "\x1b", "\ud800", "\ufffe", "\uffff"):
        drawn = picture([layer([{"name": f"a{bad}b", "at": 1.0}], "text", x=amount("at"),
                               text={"field": "name"})], Frame(9, 9, 0, 0, 0, 0), label="any")
        assert ">a\ufffdb<" in drawn


def test_a_hostile_contender_is_drawn_whole(report: Report) -> None:
    bad = "a</text><img src=x>\ud800\x00\ufffe\u202e\n" + "x" * 500
    odd = replace(report.verdict.standings[0], contender=bad)
    broken = replace(report, verdict=replace(
        report.verdict, winner=bad, standings=(odd, *report.verdict.standings[1:])))
    for one in (quality(broken), scatter(broken)):
        assert one is not None
        assert "<img" not in one.wide
        one.wide.encode("utf-8")


def test_what_was_not_measured_has_no_point(report: Report) -> None:
    for one in (quality(report), scatter(report)):
        assert len(said(one)) == 8
    for one in (quality(unmeasured(report)), scatter(unmeasured(report))):
        assert len(said(one)) == 7
        assert not any("majority" in text for text in said(one))


def test_a_value_without_an_interval_is_drawn_alone(report: Report) -> None:
    bare = tuple(replace(one, quality=Measure(one.quality.value, NAN, NAN, 150))
                 for one in report.verdict.standings)
    points = said(quality(replace(report, verdict=replace(report.verdict, standings=bare))))
    assert len(points) == 8
    assert not any("[" in text for text in points)


def test_a_report_without_contenders_has_no_charts(report: Report) -> None:
    empty = replace(report.verdict, winner=None, standings=(), comparisons=(), outlook=None)
    assert figures(replace(report, verdict=empty, trials=())) == []


def test_values_that_are_all_alike_are_drawn(report: Report) -> None:
    """No extent of an axis may be empty, not even that of zeros."""
    same = tuple(replace(one, quality=Measure(0.0, 0.0, 0.0, 150),
                         cost=replace(one.cost, usd_per_1k=0.0))
                 for one in report.verdict.standings)
    flat = replace(report, verdict=replace(report.verdict, standings=same))
    assert len(said(scatter(flat))) == 8
    assert "NaN" not in scatter(flat).wide  # type: ignore[union-attr]
    assert domain([0.0]) == [-1e-6, 1e-6]


def test_costs_cross_where_the_verdict_says(report: Report, ruled: Report) -> None:
    assert costs(report) is None, "the rules are not known"
    [crossing] = said(costs(ruled))
    assert crossing == "lora and rag cost the same, $0.24 a month, at 1,701 calls a month"


def test_a_crossing_far_outside_any_volume_leaves_the_picture_readable(ruled: Report) -> None:
    outlook = ruled.verdict.outlook
    assert outlook is not None
    far = replace(outlook, break_even=(BreakEven("rag", "lora", 1e30),))
    drawn = costs(replace(ruled, verdict=replace(ruled.verdict, outlook=far)))
    assert drawn is not None
    assert said(drawn) == []
    assert "today" in drawn.wide


def test_of_many_contenders_the_best_have_cost_lines_named_inside_the_frame(ruled: Report) -> None:
    dear = next(one for one in ruled.verdict.standings if one.contender == "rag")
    more = [replace(dear, contender=f"rag-{at:02}",
                    quality=replace(dear.quality, value=dear.quality.value - at / 100))
            for at in range(1, 19)]
    outlook = ruled.verdict.outlook
    pairs = tuple(BreakEven("lora", one.contender, None) for one in more)
    verdict = replace(ruled.verdict, standings=(*ruled.verdict.standings, *more),
                      outlook=replace(outlook, break_even=(*outlook.break_even, *pairs)))
    drawn = costs(replace(ruled, verdict=verdict))
    assert "8 of 20 contenders" in drawn.wide
    assert "the best of each kind; the others are in the table" in drawn.keys
    names = re.findall(r'translate\([\d.]+,(-?[\d.]+)\)"[^>]*>rag-?\d*<', drawn.wide)
    assert len(names) == 7
    assert all(0 <= float(height) <= 320 for height in names)


def test_one_that_costs_nothing_has_no_line_to_cross(ruled: Report) -> None:
    free = tuple(replace(one, cost=replace(one.cost, usd_per_1k=0.0))
                 if one.contender == "lora" else one for one in ruled.verdict.standings)
    assert costs(replace(ruled, verdict=replace(ruled.verdict, standings=free))) is None


def test_a_learning_curve_is_drawn_written_and_read(ruled: Report, report: Report) -> None:
    assert said(learning(ruled)) == ["lora with 25 train rows: 52.0% [45.0, 60.0]",
                                     "lora with 100 train rows: 79.0% [72.0, 85.0]"]
    drawn = replace(ruled, basis=None)
    for text in (html(drawn), markdown(drawn)):
        assert "Learning curves" in text
        assert "Still rising at 100 rows." in text
    assert "Learning curves" not in html(report)


@pytest.mark.parametrize("points", [
    (), ((25, Measure(NAN, NAN, NAN, 0)),), ((0, Measure(0.2, 0.1, 0.3, 9)),),
    ((0, Measure(0.2, 0.1, 0.3, 9)), (50, Measure(0.4, NAN, NAN, 9))),
])
def test_an_odd_curve_breaks_nothing(
    report: Report, points: tuple[tuple[int, Measure], ...]
) -> None:
    odd = replace(report, verdict=replace(
        report.verdict, curves=(LearningCurve("unheard-of", points, ""),)))
    drawn = learning(odd)
    assert (drawn is None) == (not any(one.value == one.value for _, one in points))
    assert drawn is None or "NaN" not in drawn.wide


def test_the_loss_curve_marks_its_lowest_check(report: Report) -> None:
    lora = next(one for one in losses(report) if one.heading == "lora")
    assert re.search('aria-label="lora: dev loss by check, lowest 0[.]4[0-9]+ at check 7 of 8"',
                     lora.wide)
    assert len(said(lora)) == 8


def test_labels_stand_a_line_apart_and_in_order() -> None:
    assert apart([5.0, 5.0, 1.0], 2.0, 0.0) == [5.0, 7.0, 1.0]
    assert apart([-9.0, -9.0], 2.0, 0.0) == [0.0, 2.0]


def test_ticks_of_a_narrow_and_of_a_wide_logarithmic_scale() -> None:
    assert decades(1, 1e6, 7) == [10.0**power for power in range(7)]
    assert decades(0.02, 0.3, 5) == pytest.approx([0.02, 0.05, 0.1, 0.2])
    assert decades(0.0211, 0.0212, 5) == [0.0211]


def test_without_the_library_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(AdvisorError) as fault:
        picture([layer([{"at": 0.123}], "point", x=amount("at"))], Frame(9, 9, 0, 0, 0, 0),
                label="any")
    assert "vl-convert-python" in fault.value.problem
    assert fault.value.fix == "pip install vl-convert-python"
