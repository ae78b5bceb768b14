"""Changed facts for any task: which values change and how, and what is left as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from material import BRIDGES, ROOT, Silent, own, plan, toll, write_rows, write_task

from advisor.changing.choosing import choose
from advisor.changing.values import Value, values, whole
from advisor.cli import main
from advisor.data.task import load_task
from advisor.data.versions import need_version
from advisor.errors import AdvisorError
from advisor.measures.freshness import figures
from advisor.runner.record import open_record, read_report
from advisor.runner.run import run

# ------------------------------------------------------------------ values in a text


def first(value: Value) -> str:
    """The first other value, as it would be written."""
    return next((said for new in value.others() if (said := value.written(new))), "")


@pytest.mark.parametrize(("text", "kind", "after"), [
    ("17 days", "number", "19 days"),
    ("£1,450", "number", "£1,600"),
    ("2860EUR", "number", "3150EUR"),
    ("2.6 metres", "number", "2.9 metres"),
    ("2,5 kg", "number", "2,8 kg"),
    ("1.450,50 Euro", "number", "1.595,60 Euro"),
    ("92\u202f000 litres", "number", "101\u202f000 litres"),
    ("95%", "number", "85%"),
    ("58 percent", "number", "64 percent"),
    ("nine visitors", "number", "ten visitors"),
    ("in 2019", "number", "in 2016"),
    ("1000 km", "number", "1100 km"),
    ("17-day", "number", "19-day"),
    ("30 November", "date", "21 November"),
    ("November 3rd, 2026", "date", "November 12th, 2026"),
    ("2026-01-31", "date", "2026-01-22"),
    ("03.11.2026", "date", "12.11.2026"),
    ("14/11/2026", "date", "23/11/2026"),
    ("le 5 février", "date", "le 14 février"),
    ("8:25", "time", "8:55"),
    ("03:10 am", "time", "03:40 am"),
    ("6 p.m", "time", "7 p.m"),
    ("11:45pm", "time", "11:15pm"),
])
def test_a_value_becomes_another_of_the_same_form(text, kind, after):
    [found] = values(text)
    assert found.kind == kind
    assert text[: found.start] + first(found) + text[found.end :] == after


@pytest.mark.parametrize("text", [
    "W-27", "T-03-A", "A4", "3D", "27th floor", "#7", "+44 20 7946 0000", "007", "5-7", "1/2",
    "10.0.0.1", "version 1.2.3", "12 000", "1234567", "week 12", "3 of 5", "8 o'clock", "3/4/2027",
    "Monday, 30 November", "twenty-first", "one", "8:75", "two-thirds",
])
def test_what_is_part_of_something_longer_is_no_value(text):
    assert [one for one in values(text) if first(one)] == []


@pytest.mark.parametrize(("one", "other"), [
    ("£1,450", "1450 pounds"), ("21 weeks", "twenty-one"), ("03:10", "3:10 am"),
    ("30 November", "Nov 30, 2026"), ("2026-11-30", "30.11.2026"), ("2.50", "2.5"),
])
def test_the_same_value_is_known_in_other_forms(one, other):
    assert values(one)[0].same(values(other)[0])
    assert not values(one)[0].same(values("19")[0])


def test_one_day_never_becomes_one_of_another_number():
    assert first(values("1 day")[0]) == ""
    assert all(new.written != "1" for new in values("2 days")[0].others())


def test_a_label_becomes_another_that_fits_its_article():
    text, labels = "Staff wear an olive badge.", ("maroon", "olive", "orange", "peach")
    [found] = values(text, labels)
    assert first(found) == "orange"
    assert values("A badge of olive-green, yes or no", ("A", "yes", "olive")) == []


@pytest.mark.parametrize(("answer", "text", "times"), [
    ("17 days", "17 days, 117 days, 17 days.5, 3.17 days, 17\ndays", 3),
    ("27", "W-27, 27%, 8:27, 27.5, 127, £27.", 2), ("olive", "olive-green, olives, olive.", 1),
])
def test_an_answer_stands_only_as_a_whole(answer, text, times):
    assert len(whole(answer).findall(text)) == times


# ------------------------------------------------------------------ facts of a task


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "advisor.yaml").write_text("model: m\n")
    return write_task(tmp_path / "evals" / "tolls")


def rewrite(folder: Path, bridge: str, page: str, **more: object) -> None:
    """Another text of a bridge's document, and other keys of its row."""
    (folder / "corpus" / f"{bridge}.md").write_text(page, encoding="utf-8")
    for path in folder.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        write_rows(path, [{**row, **more} if row["id"] == f"q-{bridge}" else row for row in rows])


def changed(folder: Path, bridge: str) -> dict[str, object]:
    """What the version of all facts says of a bridge; nothing where it stays."""
    for one in choose(load_task(folder), share=1.0, seed=0).chosen:
        for row in one.rows:
            if row.question.id == f"q-{bridge}":
                return {"old": one.old, "new": one.new, "targets": row.targets}
    return {}


def test_accepted_answers_change_alike_each_in_its_own_form(folder):
    rewrite(folder, "oak", "The oak bridge costs £1,450 in toll.",
            targets=["£1,450", "1450 pounds", "about £1450"])
    assert changed(folder, "oak") == {
        "old": "£1,450", "new": "£1,600", "targets": ("£1,600", "1600 pounds", "about £1600")}


@pytest.mark.parametrize(("page", "more"), [
    ("The oak toll is 9 pence, yes, 9 pence.", {"targets": ["9 pence"]}),
    ("The oak toll is 9 pence, that is nine pence.", {"targets": ["9 pence", "nine pence"]}),
    ("The oak toll is 19 pence.", {"targets": ["9 pence"]}),
    ("The oak toll is P-9.", {"targets": ["P-9"]}),
    ("The oak toll is 5 to 9 pence.", {"targets": ["5 to 9 pence"]}),
    ("The oak toll is 9 pence.", {"targets": ["9 pence", "a ninepence"]}),
    ("The oak toll is 9 pence.", {"targets": ["9 pence"], "text": "Is the oak toll 9 pence?"}),
    ("The oak toll is free.", {"targets": ["free"]}),
])
def test_a_fact_that_cannot_plainly_change_is_left(folder, page, more):
    rewrite(folder, "oak", page, **more)
    assert changed(folder, "oak") == {}
    assert changed(folder, "yarrow") != {}


def test_a_value_that_stands_in_the_document_already_is_not_taken(folder):
    rewrite(folder, "oak", "Toll: 20 pence. By night: 22 pence; by day: 24 pence.",
            targets=["20 pence"])
    assert changed(folder, "oak")["new"] == "26 pence"


def test_questions_of_one_value_change_together_and_others_keep_theirs(folder):
    text = "The oak toll is 20 pence for 12 carts at the oak gate."
    rewrite(folder, "oak", text, targets=["20 pence"])
    rewrite(folder, "pansy", "Nothing.", sources=["oak.md"], text="What do I pay at oak?",
            targets=["20 pence", "20"])
    rewrite(folder, "rowan", "Nothing.", sources=["oak.md"], text="How many carts pay?",
            targets=["20 pence for 12 carts"])
    assert changed(folder, "oak") == {}  # what pays for 12 carts needs the old value
    rewrite(folder, "rowan", "Nothing.", targets=["12 carts"])
    both = [one for one in choose(load_task(folder), share=1.0, seed=0).chosen
            if one.old == "20 pence"]
    assert [[row.targets for row in one.rows] for one in both] == [[("22 pence",),
                                                                     ("22 pence", "22")]]


def test_what_another_document_states_too_is_left(folder):
    rewrite(folder, "oak", "The bridge toll is 20 pence.", targets=["20 pence"],
            text="What is the bridge toll?")
    rewrite(folder, "pansy", "A bridge, whose toll is 20 pence.")
    assert changed(folder, "oak") == {}


def test_rows_without_sources_are_found_by_their_words(folder):
    rewrite(folder, "oak", "The bridge of oak, toll 20 pence.", sources=[], targets=["20 pence"])
    assert changed(folder, "oak")["new"] == "22 pence"
    rewrite(folder, "pansy", "Cheese costs 20 pence.")
    assert changed(folder, "oak") == {}


def test_choices_are_a_closed_set(folder):
    badges = ["maroon", "olive", "peach"]
    rewrite(folder, "oak", "Guards of the bridge wear a maroon badge.", targets=["maroon"],
            choices=badges)
    assert changed(folder, "oak")["targets"] == ("peach",)  # not "a olive badge"


def test_answers_that_repeat_in_train_are_a_closed_set(folder):
    colours = ["white", "green", "black"]
    for path in folder.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        write_rows(path, [{**row, "targets": [colours[at % 3]]} for at, row in enumerate(rows)])
        for at, row in enumerate(rows):
            (folder / "corpus" / row["sources"][0]).write_text(f"It is {colours[at % 3]} there.")
    found = choose(load_task(folder), share=1.0, seed=0)
    assert set(found.able) == {"label"}
    assert {one.old for one in found.chosen} == set(colours)


def test_a_reply_and_its_facts_change_alike():
    found = choose(load_task(ROOT / "evals" / "brand-reply"), share=0.1, seed=3)
    assert len(found.chosen) == 21
    for one in found.chosen:
        number = next(word for word in one.new.split() if word.isdigit())
        for row in one.rows:
            assert all(number in text for text in (*row.targets, *row.facts))


def test_the_share_is_met_in_each_split_and_spread_over_the_documents(folder):
    found = choose(load_task(folder), share=0.25, seed=0)
    assert found.asked == {"train": 3, "test": 6}
    assert len(found.chosen) == len(found.bodies) == 9
    assert {one.fact.split for one in found.chosen} == {"train", "test"}


def test_the_seed_and_nothing_else_says_which_facts_change(folder):
    task = load_task(folder)
    assert choose(task, share=0.2, seed=1) == choose(task, share=0.2, seed=1)
    assert choose(task, share=0.2, seed=1).chosen != choose(task, share=0.2, seed=2).chosen


# ------------------------------------------------------------------ the verb


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder.parents[1])
    return folder


def test_it_says_what_changed_and_what_to_type_next(here, capsys):
    assert main(["change", "tolls", "--share", "25%", "--date", "2027-01-01"]) == 0
    said = capsys.readouterr().out
    assert "36 of 36 facts behind train and test can be changed (36 numbers); asked for 9" in said
    assert "3 of 12 of train, 6 of 24 of test" in said
    assert " pence" in said
    assert said.endswith("next: advisor run tolls --freshness\n")
    found = need_version(here, load_task(here))
    assert (found.date, len(found.changed), len(found.same), len(found.documents)) == (
        "2027-01-01", 9, 9, 9)


def test_only_the_value_and_the_date_of_a_document_change(here):
    head = "---\r\ntitle: Oak\r\nvalid_from: 2025-02-03\r\n---\r\n"
    page = f"{head}\r\nIt is 20 pence,\r\nup to 90.\r\n"
    (here / "corpus" / "oak.md").write_bytes(page.encode("utf-8-sig"))
    rows = (here / "test.jsonl").read_text()
    (here / "test.jsonl").write_text(rows.replace(toll("oak"), "20 pence"))
    assert main(["change", "tolls", "--share", "100%"]) == 0
    written = (here / "versions" / "2026-01-01" / "corpus" / "oak.md").read_bytes().decode()
    assert written == page.replace("2025-02-03", "2026-01-01").replace("20 pence", "22 pence")


def test_check_tells_a_version_that_is_not_what_would_be_written(here, capsys):
    command = ["change", "tolls", "--date", "2027-01-01"]
    assert main([*command, "--check"]) == 1
    assert main(command) == 0
    assert main([*command, "--check"]) == 0
    assert main(["change", "tolls", "--check"]) == 0  # of the last version
    (here / "versions" / "2027-01-01" / "corpus" / "more.md").write_text("x")
    assert main([*command, "--check"]) == 1
    assert "more.md: differs" in capsys.readouterr().out


def test_a_version_is_overwritten_only_when_told_to_and_then_whole(here, capsys):
    place = here / "versions" / "2027-01-01"
    assert main(["change", "tolls", "--date", "2027-01-01"]) == 0
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    assert main(["change", "tolls", "--share", "50%"]) == 2
    assert "--force to make it anew, or --date 2028-01-01" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
    assert main(["change", "tolls", "--share", "50%", "--force"]) == 0
    assert len((place / "changed.jsonl").read_text().splitlines()) == 18
    assert not list(here.glob(".versions*"))


@pytest.mark.parametrize(("given", "fault"), [
    (["--date", "2027-13-01"], "expected a date such as 2027-01-31"),
    (["--date", "20270101"], "expected a date such as 2027-01-31"),
    (["--date", "2025-02-03"], "must be after the newest document, .* 2025-02-03"),
    (["--seed", "-1"], "expected 0 or more, found -1"),
])
def test_a_bad_option_is_told_with_what_was_expected(here, capsys, given, fault):
    rewrite(here, "oak", "---\nvalid_from: 2025-02-03\n---\nOak.")
    assert main(["change", "tolls", *given]) == 2
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError(capsys.readouterr().err)


@pytest.mark.parametrize("share", ["0%", "101%", "-5%", "many", "0", "1.5"])
def test_a_share_is_above_nothing_and_at_most_all(capsys, share):
    with pytest.raises(SystemExit):
        main(["change", "tolls", f"--share={share}"])
    assert "more than 0% and at most 100%" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_date_before_the_last_version_would_not_be_read(capsys):
    assert main(["change", "tolls", "--date", "2027-01-01"]) == 0
    assert main(["change", "tolls", "--date", "2026-01-01"]) == 2
    assert "has versions/2027-01-01 already" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_an_unknown_task_is_told_with_its_neighbour(capsys):
    assert main(["change", "tols"]) == 2
    assert "did you mean 'tolls'" in capsys.readouterr().err


def test_without_documents_or_answers_in_them_it_says_why(here):
    for bridge in BRIDGES:
        rewrite(here, bridge, "No toll is told." if bridge < "m" else "Free, quite free.")
    task = load_task(here)
    with pytest.raises(AdvisorError, match=r"the 36 rows of train and test can be changed") as one:
        choose(task, share=0.5, seed=0)
    assert "36: no accepted answer stands in a document of the row" in one.value.problem
    bare = replace(task, material=replace(task.material, corpus=()))
    with pytest.raises(AdvisorError, match="tolls has no documents"):
        choose(bare, share=0.5, seed=0)


def test_what_was_changed_is_answered_anew_with_the_new_documents(here, tmp_path):
    """The whole way: the verb writes the version, a run asks about it."""
    assert main(["change", "tolls", "--share", "25%"]) == 0
    task = load_task(here)
    planned = replace(plan(task, tmp_path / "run", recipes=own("floor", "rag")),
                      version=need_version(here, task))
    run(planned, Silent())
    report = read_report(open_record(planned.folder), planned.task)
    [rag] = [one for one in report.trials if one.contender == "rag"]
    assert rag.fresh is not None
    before, after, _ = figures(rag.fresh, alpha=0.05)
    assert (before.anew.value, before.stale.value) == (0.0, 1.0)
    assert (after.anew.value, after.stale.value) == (1.0, 0.0)
