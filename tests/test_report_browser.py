"""The page in a real browser: quiet, closed to the network, and usable on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from gate_fixture import build_gated
from report_fixture import build_report

from advisor.report import write
from advisor.report.gatepage import gate_page
from advisor.report.index import Listed, index_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome on the PATH"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
ADDRESS = "http://127.0.0.1:9/"

_SHAPES = (
    "<script>{js}</script>",
    "</script><script>{js}</script>",
    "<img src=x onerror={js}>",
    "\"'><img src={url} onerror='{js}'>",
    "<svg onload={js}>",
    "</title><svg/onload={js}>",
    "<svg><script>{js}</script></svg>",
    "</svg><script>{js}</script>",
    "<iframe srcdoc='<script>{js}</script>'></iframe>",
    "<iframe src='javascript:{js}'></iframe>",
    "<body onload={js}>",
    "<details open ontoggle={js}>",
    "<input autofocus onfocus={js}>",
    "<video><source onerror={js}></video>",
    "<a href='javascript:{js}'>click</a>",
    "<link rel=stylesheet href={url}>",
    "<style>@import '{url}';</style>",
    "</style><script>{js}</script>",
    "<meta http-equiv=refresh content='0;url={url}'>",
    "<base href={url}>",
    "<form action={url}><button autofocus>go</button></form>",
    "<object data={url}></object>",
    "<embed src={url}>",
    "<math><mtext><script>{js}</script></mtext></math>",
    "<!--<script>{js}//-->",
    "]]><script>{js}</script>",
    "{{{{ 7*7 }}}}{{% for x in y %}}",
    "${{{js}}}",
    "`{js}`",
    "\\u003cscript\\u003e{js}\\u003c/script\\u003e",
    "&lt;script&gt;{js}&lt;/script&gt;",
    "&#60;script&#62;{js}",
    "%3Cscript%3E{js}",
    "' onmouseover='{js}' x='",
    '" autofocus onfocus="{js}" x="',
    "\u2028{js}\u2029",
    "\x00<script>{js}</script>",
    "\ud800<script>{js}</script>",
    "\u202e<script>{js}</script>",
    "\x1b[2J<script>{js}</script>",
    "<scr<script>ipt>{js}</scr</script>ipt>",
    "<ScRiPt src={url}></sCrIpT>",
    "<img srcset={url}>",
    "<div style='background:url({url})'>",
    "<template><script>{js}</script></template>",
    "<noscript><p title='</noscript><img src=x onerror={js}>'>",
    "<textarea></textarea><script>{js}</script>",
    "</details></section></main></body></html><script>{js}</script>",
    "<table><td background={url}>",
    "<marquee onstart={js}>",
)
PAYLOADS = tuple(shape.format(js="alert(1)", url=ADDRESS) for shape in _SHAPES)


@dataclass
class Seen:
    """What a page did besides showing itself."""

    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("report")
    write(build_report(), made / "plain")
    write(build_report(rows=60, final=False, hostile=PAYLOADS), made / "hostile")
    return made


def opened(
    browser: Browser, path: Path, *, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> tuple[Page, Seen]:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    page, seen = context.new_page(), Seen()
    page.on("console", lambda said: seen.console.append(said.text))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda asked: seen.requests.append(asked.url))

    def dismiss(dialog: Dialog) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.goto((path / "report.html").as_uri())
    return page, seen


def leads(page: Page) -> list[str]:
    """The contenders in the order in which the standings show them."""
    found: list[str] = page.locator(".standings tbody th b").all_inner_texts()
    return found


def unfold(page: Page) -> None:
    """Open every row, and what is folded inside: answers are built when a row is opened."""
    for _ in range(2):
        page.evaluate("document.querySelectorAll('details').forEach((o) => { o.open = true; })")
        page.wait_for_timeout(50)


@pytest.mark.parametrize("kind", ["plain", "hostile"])
def test_the_page_is_quiet_and_asks_for_nothing_but_itself(
    browser: Browser, folder: Path, kind: str
) -> None:
    page, seen = opened(browser, folder / kind)
    for _ in range(3):
        unfold(page)
        page.locator("#next").click(force=True)
    for control in page.locator("thead button").all():
        control.click()
    page.wait_for_timeout(300)
    assert seen == Seen(requests=[(folder / kind / "report.html").as_uri()])
    assert page.locator("section").count() == 9


def test_fifty_hostile_texts_are_shown_as_text(browser: Browser, folder: Path) -> None:
    page, seen = opened(browser, folder / "hostile")
    assert len(PAYLOADS) == 50
    assert page.locator("script").count() == 3
    assert page.locator("img, iframe, object, embed, form, base, video, link").count() == 0
    unfold(page)
    assert "alert(1)" in (page.locator(".rows .said").first.text_content() or "")
    assert seen.dialogs == []


def test_the_policy_stops_a_script_that_was_let_in(
    browser: Browser, tmp_path: Path, folder: Path
) -> None:
    page = (folder / "plain" / "report.html").read_text("utf-8")
    planted = page.replace("</main>", f"<script>alert(1)</script><img src={ADDRESS}></main>")
    (tmp_path / "report.html").write_text(planted, "utf-8")
    _, seen = opened(browser, tmp_path)
    assert seen.dialogs == []
    for kind in ("inline script", "image"):
        assert any(kind in said and "Content Security Policy" in said for said in seen.console)


def test_a_click_on_a_column_sorts_it_both_ways(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "plain")
    assert leads(page)[0] == "rag-lora"
    cost = page.locator(".standings thead button", has_text="Cost")
    cost.click()
    assert leads(page)[0] == "majority"
    cost.press("Enter")
    assert leads(page)[0] == "nearest-8"
    head = page.locator(".standings thead th", has_text="Cost")
    assert head.get_attribute("aria-sort") == "descending"


def test_what_was_not_measured_sorts_last_both_ways(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "plain")
    memory = page.locator(".standings thead button", has_text="Memory")
    for _ in range(2):
        memory.click()
        assert leads(page)[-1] == "majority"


def test_rows_can_be_filtered_by_text_and_by_kind(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "plain")
    shown = page.locator("details.row:visible")
    assert shown.count() == 25
    page.locator("#only").select_option("unread")
    assert 0 < shown.count() < 25
    page.locator("#only").select_option("")
    page.locator("#find").fill("no row has this text")
    assert shown.count() == 0
    assert page.locator("#found").inner_text() == "0 rows"


def test_rows_are_paged_and_a_filter_starts_at_the_first_page(
    browser: Browser, folder: Path
) -> None:
    page, _ = opened(browser, folder / "plain")
    first = page.locator("details.row .gist").first
    before = first.inner_text()
    assert page.locator("#back").is_disabled()
    page.locator("#next").press("Enter")
    assert page.locator("#found").inner_text() == "26 to 50 of 150 rows"
    assert first.inner_text() != before
    page.locator("#order").select_option("id")
    assert page.locator("#found").inner_text() == "1 to 25 of 150 rows"
    page.locator("details.row summary").first.press("Enter")
    assert page.locator("details.row .question small").first.inner_text() == "tickets-0000"


def test_what_the_script_draws_is_what_stands_in_the_page(browser: Browser, folder: Path) -> None:
    """The first rows are in the file for those who have no script: both must say the same."""
    page, _ = opened(browser, folder / "plain")
    unfold(page)
    drawn = page.locator(".rows").text_content() or ""
    still = browser.new_context(java_script_enabled=False).new_page()
    still.goto((folder / "plain" / "report.html").as_uri())
    assert still.locator(".tools").is_hidden()
    written = still.locator(".rows").text_content() or ""
    assert "".join(drawn.split()) == "".join(written.split())


def test_the_largest_page_opens_in_time_and_is_not_too_large(
    browser: Browser, tmp_path: Path
) -> None:
    large = build_report(rows=500)
    names = [replace(trial, contender=f"{trial.contender}-2") for trial in large.trials[:2]]
    write(replace(large, trials=(*large.trials, *names)), tmp_path)
    assert (tmp_path / "report.html").stat().st_size < 3_000_000
    page, seen = opened(browser, tmp_path)
    took = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    assert took < 2000
    assert seen.errors == []
    assert page.locator("#found").inner_text() == "1 to 25 of 500 rows"


def test_the_page_of_the_gate_is_quiet_narrow_and_can_be_filtered(
    browser: Browser, tmp_path: Path
) -> None:
    judged = build_gated(build_report(rows=60, hostile=PAYLOADS), "few-shot-8", "lora")
    (tmp_path / "report.html").write_text(gate_page(judged, "Fail.", at="now"), "utf-8")
    page, seen = opened(browser, tmp_path, width=390, scheme="dark")
    unfold(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    total = page.locator("#found").inner_text()
    page.locator("#only").select_option("worse")
    assert page.locator("#found").inner_text() != total
    assert page.locator("details.row .tags").first.inner_text().startswith("\N{MINUS SIGN}")
    assert seen == Seen(requests=[(tmp_path / "report.html").as_uri()])


def test_a_pair_of_runs_can_be_chosen_in_the_index(browser: Browser, tmp_path: Path) -> None:
    reports = [build_report(seed, rows=30) for seed in range(3)]
    runs = [Listed(f"run-{at}", replace(one, task=reports[0].task))
            for at, one in enumerate(reports)]
    (tmp_path / "report.html").write_text(index_page(runs), "utf-8")
    page, seen = opened(browser, tmp_path)
    rows = page.locator("#pairs-table tbody")
    assert page.locator("#pair option").count() == 3
    before = rows.inner_text()
    page.locator("#pair").select_option("2")
    assert rows.inner_text() != before
    assert "lora" in rows.inner_text()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert seen == Seen(requests=[(tmp_path / "report.html").as_uri()])


@pytest.mark.parametrize("kind", ["plain", "hostile"])
def test_the_page_never_scrolls_sideways(browser: Browser, folder: Path, kind: str) -> None:
    page, _ = opened(browser, folder / kind)
    unfold(page)
    for width in (320, 390, 768, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_chart_labels_do_not_cover_each_other(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "plain")
    for width, chart in ((1280, ".wide"), (390, ".narrow")):
        page.set_viewport_size({"width": width, "height": 800})
        boxes = page.evaluate(
            "([chart, names]) => [...document.querySelectorAll(`#cost ${chart} .role-mark text`)]"
            ".filter((one) => names.includes(one.textContent)).map((one) => {"
            " const b = one.getBoundingClientRect();"
            " return [b.x, b.y + 2, b.x + b.width, b.y + b.height - 2]; })",
            [chart, leads(page)],
        )
        assert len(boxes) == 8
        for at, one in enumerate(boxes):
            for other in boxes[at + 1 :]:
                assert (
                    one[2] <= other[0]
                    or other[2] <= one[0]
                    or one[3] <= other[1]
                    or other[3] <= one[1]
                ), (one, other)


def test_every_picture_has_a_name_and_every_control_takes_the_focus(
    browser: Browser, folder: Path
) -> None:
    page, _ = opened(browser, folder / "plain")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('svg, .strip')].filter((one) => "
        "!one.getAttribute('aria-label')).length"
    )
    assert unnamed == 0
    page.locator(".standings thead button").first.focus()
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"


def test_the_arrow_keys_go_from_value_to_value_of_a_chart(browser: Browser, folder: Path) -> None:
    page, seen = opened(browser, folder / "plain")
    tip = page.locator(".tip")
    marks = page.locator("#cost .wide .role-mark [aria-label]")
    assert page.locator("#cost .wide [tabindex='0']").count() == 1
    marks.first.focus()
    said = [tip.inner_text()]
    for key in ("ArrowRight", "End", "Home"):
        page.keyboard.press(key)
        said.append(tip.inner_text())
    assert said[0].startswith("rag-lora: 9")
    assert [said[1][:5], said[2][:9], said[3]] == ["lora:", "majority:", said[0]]
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    assert seen.console == []


def test_a_value_is_told_where_the_chart_is_pointed_at(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "hostile", width=390)
    mark = page.locator("#cost .narrow .role-mark [aria-label]").first
    mark.scroll_into_view_if_needed()
    page.wait_for_timeout(100)  # scrolling takes a value away
    mark.hover()
    assert page.locator(".tip").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.mouse.wheel(0, 400)
    page.wait_for_timeout(100)
    assert page.locator(".tip").is_hidden()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_text_of_charts_can_be_read(browser: Browser, folder: Path, width: int) -> None:
    page, _ = opened(browser, folder / "plain", width=width)
    sizes = page.evaluate(
        "[...document.querySelectorAll('svg.figure')].filter((one) => one.checkVisibility())"
        ".flatMap((one) => [...one.querySelectorAll('text')].map((text) =>"
        " parseFloat(getComputedStyle(text).fontSize) * one.getScreenCTM().a))"
    )
    assert len(sizes) > 100
    assert min(sizes) >= 11


def test_charts_take_the_colours_of_the_page(browser: Browser, folder: Path) -> None:
    inks = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page, _ = opened(browser, folder / "plain", scheme=scheme)
        inks.append(page.evaluate(
            "(() => { const text = [...document.querySelectorAll('#cost .wide text')].at(-1);"
            " return [getComputedStyle(text).fill, getComputedStyle(document.body).color]; })()"))
    assert all(ink == body for ink, body in inks)
    assert inks[0] != inks[1]


def test_paper_gets_the_wide_charts(browser: Browser, folder: Path) -> None:
    page, _ = opened(browser, folder / "plain", width=680)
    assert page.locator("#cost .narrow").is_visible()
    page.emulate_media(media="print")
    assert page.locator("#cost .wide").is_visible()
    assert page.locator("#cost .narrow").is_hidden()


def test_dark_and_light_are_told_apart(browser: Browser, folder: Path) -> None:
    papers = set()
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page, _ = opened(browser, folder / "plain", scheme=scheme)
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(papers) == 2
