"""The rule in the page and the rule in Python give one answer, whatever is set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from math import inf, nextafter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from report_fixture import build_report
from test_report_browser import CHROMIUM, FLAGS, Seen, opened
from whatif_fixture import ALL, NO_LIMIT, POLICY, RUNS, case, reported

from advisor.decide import Case, conclude
from advisor.decide.changes import KEYS, PROTECT, changed
from advisor.decide.conclusion import evidence_of
from advisor.decide.evidence import Contest, contest
from advisor.decide.rule import choose
from advisor.measures.standing import standing_of
from advisor.report import Basis, html, write
from advisor.report.whatif import WhatIf, what_if
from advisor.stats import coded, p_greater
from advisor.stats.spread import t_tail
from advisor.verdict import Policy

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH"
)
SETTINGS = 45  # drawn for each run, besides those at its edges


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Any page that can decide again; the rule is asked about other runs through it."""
    folder = tmp_path_factory.mktemp("any")
    write(reported(*RUNS["usual"]), folder)
    return opened(browser, folder)[0]


@cache
def gaps(name: str) -> Contest:
    """A run's differences, which no number that the page offers can change."""
    held, policy = RUNS[name]
    return contest(evidence_of(held, conclude(held, policy).standings), alpha=policy.alpha)


def in_python(name: str, policy: Policy) -> dict[str, Any]:
    """What `advisor decide` finds, without the odds and the flips, which take most of it."""
    held, _ = RUNS[name]
    codes = coded(held.groups)
    standings = tuple(
        standing_of(list(found), codes, policy, held.base, primary=held.primary, seed=held.seed)
        for _, found in groupby(held.trials, key=lambda one: one.contender)
    )
    seen = choose(gaps(name).again(standings), policy)
    costs = {one.contender: one.cost for one in standings}
    return {
        "outcome": seen.outcome,
        "winner": seen.lead.contender if seen.lead and not seen.pair else None,
        "lead": seen.lead.contender if seen.lead else None,
        "pair": [one.contender for one in seen.pair] if seen.pair else None,
        "barred": sorted(one.contender for one in standings if one.barred_by),
        "usd": {name: (one.usd_per_1k, one.usd_per_1k_all_in, one.fixed_usd,
                       one.usd_per_1k_all_in * policy.calls_per_month / 1000)
                for name, one in costs.items()},
    }


def in_page(page: Page, found: WhatIf, given: Sequence[dict[str, float | None]]) -> list[Any]:
    return page.evaluate(
        """([data, given]) => given.map((one) => {
             const seen = deciding.decide(data, { ...data.rules, ...one });
             return { ...seen, standings: undefined,
               barred: seen.standings.filter((s) => s.bars.length).map((s) => s.name).sort(),
               usd: Object.fromEntries(seen.standings.map((s) =>
                 [s.name, [s.serving, s.allIn, s.fixed, s.month]])) };
           })""",
        [dict(found.data), list(given)],
    )


def under(policy: Policy, given: dict[str, float | None]) -> Policy:
    """The policy that the command line would make of the same numbers."""
    texts = [f"{name}={'none' if value is None else repr(value)}" for name, value in given.items()]
    return changed(policy, texts, suites=["grammar", "facts", "text", "apart"])


def drawn(found: WhatIf, dice: np.random.Generator) -> dict[str, float | None]:
    """One setting: some of the page's numbers moved, each somewhere on its slider or past it."""
    given: dict[str, float | None] = {}
    for knob in found.knobs:
        if dice.random() > 0.4:
            continue
        share = float(dice.random())
        value = knob.least + (knob.most - knob.least) * share
        if knob.ratio:
            value = knob.least * (knob.most / knob.least) ** share
        if dice.random() < 0.3:  # as people type
            value = float(f"{value:.2g}")
        key = knob.key
        value = min(max(value, key.low if key.at_low else nextafter(key.low, inf)), key.high)
        given[knob.name] = None if key.optional and dice.random() < 0.25 else value
    return given


def edges(found: WhatIf, held: Case, policy: Policy) -> Iterator[dict[str, float | None]]:
    """Where answers turn: flips, measured latencies, bounds of forgetting, ends of ranges."""
    yield {}
    for flip in conclude(held, policy).outlook.flips:
        if flip.at is not None and flip.parameter in {knob.name for knob in found.knobs}:
            for value in (flip.at, flip.at * (1 - 1e-9), flip.at * (1 + 1e-9)):
                yield {flip.parameter: value}
    for one in found.data["contenders"]:
        if one["p95"] > 0:
            yield {"latency": one["p95"]}
            yield {"latency": nextafter(one["p95"], 0)}
        for gate in one["gates"]:
            for bound in (gate["upper"], gate["lower"]):
                for value in (bound, nextafter(bound, 0)):
                    if 0 <= value <= 1:
                        yield {gate["rule"]: value}
    for knob in found.knobs:
        key = knob.key
        ends = [key.low if key.at_low else 1e-300, min(key.high, 1e12)]
        yield from ({knob.name: value} for value in ends)
        if key.optional:
            yield {knob.name: None}


def agree(ours: dict[str, Any], theirs: dict[str, Any], said: str) -> None:
    for key in ("outcome", "winner", "lead", "pair", "barred"):
        assert theirs[key] == ours[key], (said, key, ours[key], theirs[key])
    for name, costs in ours["usd"].items():
        assert theirs["usd"][name] == pytest.approx(costs, rel=1e-9, abs=0), (said, name)


# ------------------------------------------------------------------ one rule


@pytest.mark.parametrize("name", RUNS)
def test_page_and_python_decide_alike(page: Page, name: str) -> None:
    held, policy = RUNS[name]
    found = what_if(reported(held, policy))
    assert found is not None
    dice = np.random.default_rng(sum(map(ord, name)))
    given = [*edges(found, held, policy), *(drawn(found, dice) for _ in range(SETTINGS))]
    for one, theirs in zip(given, in_page(page, found, given), strict=True):
        agree(in_python(name, under(policy, one)), theirs, f"{name}: {one}")


def test_the_runs_show_every_outcome_and_many_winners(page: Page) -> None:
    """A grid on which nothing ever changes would prove nothing."""
    outcomes, winners = set(), set()
    for name, (held, policy) in RUNS.items():
        found = what_if(reported(held, policy))
        dice = np.random.default_rng(sum(map(ord, name)))
        for one in in_page(page, found, [drawn(found, dice) for _ in range(SETTINGS)]):
            outcomes.add(one["outcome"])
            winners.add((name, one["winner"]))
    assert outcomes == {"recommend", "cannot_tell", "none_feasible"}
    assert len(winners) > 30


def test_the_whole_verdict_agrees_with_the_page(page: Page) -> None:
    held, policy = RUNS["usual"]
    found = what_if(reported(held, policy))
    dice = np.random.default_rng(1)
    given = [drawn(found, dice) for _ in range(12)]
    for one, theirs in zip(given, in_page(page, found, given), strict=True):
        verdict = conclude(held, under(policy, one))
        assert (verdict.outcome, verdict.winner) == (theirs["outcome"], theirs["winner"]), one


def test_students_tail_is_that_of_python(page: Page) -> None:
    values = [*np.linspace(-9, 9, 61).tolist(), 1e-3, -1e-3, 40.0, -40.0, 1e6]
    freedoms = [1, 1.37, 2, 3.5, 7, 29, 59.9, 149, 399, 4999, 2.5e5]
    theirs = page.evaluate("([a, b]) => b.map((f) => a.map((t) => deciding.tail(t, f)))",
                           [values, freedoms])
    ours = [[t_tail(value, freedom) for value in values] for freedom in freedoms]
    for one, other in zip(ours, theirs, strict=True):
        assert other == pytest.approx(one, rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("name", ["usual", "clustered", "seeds", "tie", "few rows", "half sure"])
def test_every_pair_is_tested_alike(page: Page, name: str) -> None:
    found = what_if(reported(*RUNS[name]))
    names = [one["name"] for one in found.data["contenders"]]
    thans = [-1e9, -0.5, -0.21, -0.05, -1e-4, 0.0, 0.013, 0.3, 2.0]
    theirs = page.evaluate(
        "([pairs, thans]) => pairs.map((gap) => thans.map((one) => deciding.pGreater(gap, one)))",
        [found.data["pairs"], thans])
    for gap, chances in zip(found.data["pairs"], theirs, strict=True):
        seen = gaps(name).gaps[names[gap["one"]], names[gap["other"]]]
        ours = [p_greater(seen, than) for than in thans]
        assert chances == pytest.approx(ours, rel=1e-10, abs=1e-300), gap


# ------------------------------------------------------------------ what is offered


def test_only_numbers_that_can_matter_are_offered() -> None:
    plain = case([one for one in ALL if one.tuning == 0 and not one.reads])
    names = {knob.name for knob in what_if(reported(plain, POLICY)).knobs}
    assert names == {"volume", "value", "margin", "latency", "price.machine_hour",
                     "price.utilisation", "price.label", "horizon"}
    served = {knob.name for knob in what_if(reported(*RUNS["served"])).knobs}
    assert {"price.tokens", "retention_margin", "base_replaced"} <= served


def test_every_number_offered_is_one_of_the_command_line() -> None:
    for held, policy in RUNS.values():
        for knob in what_if(reported(held, policy)).knobs:
            assert knob.name in KEYS or knob.name.removeprefix(PROTECT) in policy.protect


def test_a_report_without_figures_offers_nothing() -> None:
    assert what_if(build_report(rows=12)) is None
    assert "what-if" not in html(build_report(rows=12)).partition("<body>")[2]


# ------------------------------------------------------------------ the panel


@pytest.fixture
def panel(browser: Browser, tmp_path: Path) -> tuple[Page, Seen, Path]:
    write(reported(*RUNS["usual"]), tmp_path)
    page, seen = opened(browser, tmp_path)
    return page, seen, tmp_path


def knob(page: Page, name: str) -> Any:
    return page.locator(f'[data-knob="{name}"]')


def type_in(page: Page, name: str, text: str) -> None:
    knob(page, name).locator("input[type=text]").fill(text)


def state(page: Page) -> tuple[str | None, str | None]:
    found = page.locator("#what-if")
    return found.get_attribute("data-outcome"), found.get_attribute("data-winner")


def test_the_panel_begins_with_the_verdict_of_the_report(panel: tuple[Page, Seen, Path]) -> None:
    page, seen, folder = panel
    verdict = reported(*RUNS["usual"]).verdict
    assert state(page) == (verdict.outcome, verdict.winner)
    assert page.locator("#if-was").inner_text() == "These are the numbers of the report."
    assert seen == Seen(requests=[(folder / "report.html").as_uri()])


def test_what_is_typed_decides_as_the_command_line_does(panel: tuple[Page, Seen, Path]) -> None:
    page, seen, _ = panel
    _, policy = RUNS["usual"]
    found = set()
    for texts in (["latency=250"], ["latency="], ["value=.00001"], ["margin=50"],
                  ["margin=2.3", "value=.1"], ["volume=2e6", "value=0.0005"],
                  ["volume=3", "price.label=2"],
                  ["retention_margin=0.1"], ["retention_margin=20", "latency=1000", "value=1"],
                  ["churn=33.3", "horizon=18", "price.machine_hour=4.2", "value=0.004"]):
        if found:
            page.locator("#if-reset").click()
        given: dict[str, float | None] = {}
        for text in texts:
            name, _, value = text.partition("=")
            type_in(page, name, value)
            share = name in ("margin", "retention_margin", "churn", "price.utilisation")
            given[name] = float(value) / (100 if share else 1) if value else None
        ours = in_python("usual", under(policy, given))
        assert state(page) == (ours["outcome"], ours["winner"] or ""), texts
        shown = {row.get_attribute("data-name"): float(row.locator("[data-usd]").get_attribute(
            "data-usd") or "nan") for row in page.locator(".if-standings tbody tr").all()}
        assert shown == pytest.approx({name: usd[3] for name, usd in ours["usd"].items()})
        assert list(shown) == sorted(shown, key=lambda name: (shown[name], name))
        found.add(state(page))
    assert len(found) > 3
    assert seen.errors == seen.console == []


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("volume", "0", "more than 0 and at most 1000000000000. The verdict stays"),
        ("volume", "", "Expected a number of more than 0"),
        ("volume", "a lot", "Expected a number"),
        ("volume", "20,000", "write 20000"),
        ("volume", "1e13", "at most"),
        ("volume", "0x10", "Expected a number"),
        ("volume", "Infinity", "Expected a number"),
        ("margin", "101", "0 or more and at most 100"),
        ("margin", "-1", "0 or more and at most 100"),
        ("latency", "fast", "more than 0, or nothing"),
        ("price.utilisation", "0", "more than 0 and at most 100"),
        ("value", "<img src=x onerror=alert(1)>", "Expected a number"),
    ],
)
def test_what_is_no_number_is_told_at_its_field_and_changes_nothing(
    panel: tuple[Page, Seen, Path], name: str, text: str, fault: str
) -> None:
    page, seen, _ = panel
    before = page.locator(".again").get_attribute("data-winner"), state(page)
    table = page.locator(".if-standings").inner_text()
    type_in(page, name, text)
    field = knob(page, name).locator("input[type=text]")
    assert fault in knob(page, name).locator(".fault").inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    assert (page.locator(".again").get_attribute("data-winner"), state(page)) == before
    assert page.locator(".if-standings").inner_text() == table
    page.locator("#if-reset").click()
    assert field.get_attribute("aria-invalid") is None
    assert knob(page, name).locator(".fault").is_hidden()
    assert seen.errors == seen.dialogs == []


def test_sliders_move_by_keys_and_reset_brings_the_report_back(
    panel: tuple[Page, Seen, Path]
) -> None:
    page, _, _ = panel
    first = state(page)
    slider = knob(page, "latency").locator("input[type=range]")
    slider.press("Home")
    assert state(page) == ("none_feasible", "")
    assert page.locator("#if-was").inner_text().startswith("The report, with its own numbers: ")
    slider.press("End")  # the right end is no limit
    assert knob(page, "latency").locator("input[type=text]").input_value() == ""
    assert slider.get_attribute("aria-valuetext") == "none"
    page.locator("#if-reset").press("Enter")
    assert state(page) == first
    assert page.locator("#if-reset").is_disabled()


def test_a_link_shows_the_same_numbers_and_the_command_says_them(
    panel: tuple[Page, Seen, Path], browser: Browser
) -> None:
    page, _, folder = panel
    type_in(page, "margin", "2.3")
    type_in(page, "latency", "")
    said = page.locator("#if-command").inner_text()
    assert said == "advisor decide reports/tickets --set margin=0.023 --set latency=none"
    again = browser.new_page()
    again.goto((folder / "report.html").as_uri() + page.evaluate("location.hash"))
    assert knob(again, "margin").locator("input[type=text]").input_value() == "2.3"
    assert state(again) == state(page)
    assert again.locator("#if-command").inner_text() == said


def test_a_broken_link_is_told_and_leaves_the_verdict(
    panel: tuple[Page, Seen, Path], browser: Browser
) -> None:
    page, _, folder = panel
    again = browser.new_page()
    again.goto((folder / "report.html").as_uri()
               + "#what-if?margin=9&volume=<script>&nothing=3&&=&latency=250")
    assert knob(again, "margin").locator(".fault").is_visible()
    assert knob(again, "volume").locator(".fault").is_visible()
    type_in(page, "latency", "250")
    assert state(again) == state(page)


def test_every_field_and_slider_has_a_name_and_nothing_scrolls_sideways(
    panel: tuple[Page, Seen, Path]
) -> None:
    page, _, _ = panel
    controls = page.locator("#what-if input")
    assert controls.count() == 2 * page.locator(".knob").count() > 20
    for control in controls.all():
        assert control.evaluate("(one) => one.labels.length > 0 || one.ariaLabel")
    type_in(page, "volume", "x" * 90)
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_shows_the_verdict_of_the_report_alone(panel: tuple[Page, Seen, Path]) -> None:
    page, _, _ = panel
    type_in(page, "latency", "1")
    page.emulate_media(media="print")
    assert page.locator("#what-if").is_hidden()
    assert page.locator("h1").is_visible()


def test_without_a_script_there_is_no_panel(browser: Browser, tmp_path: Path) -> None:
    write(reported(*RUNS["usual"]), tmp_path)
    still = browser.new_context(java_script_enabled=False).new_page()
    still.goto((tmp_path / "report.html").as_uri())
    assert still.locator("#what-if").is_hidden()
    assert still.get_by_text("What if?").first.is_hidden()


def test_ten_contenders_on_500_rows_open_in_time_with_the_panel(
    browser: Browser, tmp_path: Path
) -> None:
    large = build_report(rows=500)
    more = [replace(one, contender=f"{one.contender}-2") for one in large.trials[:2]]
    entrants = [replace(ALL[at % 6], name=f"c{at}") for at in range(10)]
    held = case(entrants, rows=500, together=3)
    full = replace(large, trials=(*large.trials, *more), verdict=conclude(held, NO_LIMIT),
                   basis=Basis(held, NO_LIMIT))
    write(full, tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    page, seen = opened(browser, tmp_path)
    took = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert took < 2000
    assert seen == Seen(requests=[(tmp_path / "report.html").as_uri()])
    slid = page.evaluate("""() => {
      const slider = document.querySelector('[data-knob=volume] input[type=range]');
      const start = performance.now();
      for (let at = 0; at <= 1000; at += 50) {
        slider.value = at;
        slider.dispatchEvent(new Event('input', { bubbles: true }));
      }
      return (performance.now() - start) / 21;
    }""")
    assert slid < 50  # milliseconds for one step of a slider
