"""Changed facts: what is read, what is asked, and what goes stale."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from material import BRIDGES, ROOT, TEST, TRAIN, Listening, Silent, own, plan, small_task, toll
from test_measures import POLICY

from advisor.data.task import load_task
from advisor.data.versions import Version, load_version, need_version
from advisor.errors import AdvisorError, Faults
from advisor.measures.cost import priced
from advisor.measures.freshness import figures, stale_share
from advisor.report.model import Report
from advisor.runner.record import open_record, read_report
from advisor.runner.run import run
from advisor.trial import FreshAnswers, Freshness
from advisor.verdict import Cost

DATE = "2027-01-01"
MOVED = (TRAIN[0], TEST[0], TEST[1])


def new_toll(bridge: str) -> str:
    return f"{BRIDGES.index(bridge) + 501} pence"


def write_version(folder: Path, *, date: str = DATE, lines: list[str] | None = None) -> Path:
    place = folder / "versions" / date
    (place / "corpus").mkdir(parents=True)
    good = [json.dumps({"id": f"q-{bridge}", "targets": [new_toll(bridge)]}) for bridge in MOVED]
    (place / "changed.jsonl").write_text("\n".join(good if lines is None else lines) + "\n")
    for bridge in MOVED:
        text = f"At the {bridge} bridge the toll is {new_toll(bridge)}. Cyclists ride free."
        page = f"---\ntitle: The {bridge} bridge\n---\n{text}\n"
        (place / "corpus" / f"{bridge}.md").write_text(page)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    small_task(tmp_path / "tolls")
    return tmp_path / "tolls"


def version(folder: Path) -> Version:
    return need_version(folder, load_task(folder))


# ------------------------------------------------------------------ what is read


def test_a_version_pairs_each_changed_fact_with_as_many_that_stay(folder):
    found = version(write_version(folder))
    assert [one.after.targets for one in found.changed] == [(new_toll(b),) for b in MOVED]
    assert [one.before.targets for one in found.changed] == [(toll(b),) for b in MOVED]
    assert len(found.same) == len(MOVED)
    assert not {one.question.id for one in found.same} & {f"q-{b}" for b in MOVED}


def test_new_documents_take_the_place_of_the_old_or_stand_beside_them(folder):
    found, corpus = version(write_version(folder)), load_task(folder).material.corpus
    after, both = found.corpus(corpus), found.both(corpus)
    assert [one.id for one in after] == [one.id for one in corpus]
    assert sum("5" in one.text for one in after) > 0
    assert len(both) == len(corpus) + len(MOVED)


def test_the_last_date_counts_and_without_one_there_is_nothing(folder):
    assert load_version(folder, load_task(folder)) is None
    write_version(folder)
    write_version(folder, date="2026-01-01", lines=["{}"])
    assert version(folder).date == DATE


def test_asking_for_freshness_without_a_version_says_what_to_write(folder):
    with pytest.raises(AdvisorError, match="no later version") as caught:
        version(folder)
    assert "changed.jsonl" in caught.value.fix


@pytest.mark.parametrize(("line", "fault"), [
    ('{"id": "q-acorm", "targets": ["1"]}', r"no row 'q-acorm' .*did you mean 'q-acorn'"),
    ('{"id": "q-acorn"}', "`targets` must be a list"),
    ('{"id": "q-acorn", "targets": "1"}', "`targets` must be a list"),
    ('{"id": "q-acorn", "targets": [" "]}', "`targets` must be a list"),
    ('{"id": "q-acorn", "targets": ["101 pence"]}', "'101 pence' was right before too"),
    ('{"id": "q-acorn", "targts": ["1"]}', "expected an object with `id`"),
    ('["q-acorn"]', "expected an object"),
    ('{"id": ', "Expecting value"),
    ('{"id": "q-acorn", "targets": ["1"]}\n{"id": "q-acorn", "targets": ["2"]}', "stands twice"),
    ("", "has no lines"),
])
def test_a_bad_line_is_named_with_what_was_expected(folder, line, fault):
    write_version(folder, lines=[line])
    with pytest.raises(Faults, match=fault) as caught:
        version(folder)
    assert "changed.jsonl" in str(caught.value)


def test_folders_and_documents_that_fit_nothing_are_named(folder):
    write_version(folder, date="2027-13-01")
    (folder / "versions" / "2027-13-01" / "corpus" / "acorm.md").write_text("x")
    with pytest.raises(Faults, match=r"must be a date(.|\n)*acorm\.md.*did you mean"):
        version(folder)


def test_the_shipped_version_is_read():
    found = version(ROOT / "evals" / "policy-qa")
    assert len(found.changed) == len(found.same) >= 60
    assert len(found.documents) >= 25


# ------------------------------------------------------------------ what is asked


@pytest.fixture
def done(folder, tmp_path):
    task = load_task(write_version(folder))
    recipes = own("floor", "zero-shot", "rag")
    planned = replace(plan(task, tmp_path / "run", recipes=recipes, engine=Listening()),
                      version=version(folder))
    run(planned, Silent())
    return planned


def report(planned) -> Report:
    return read_report(open_record(planned.folder), planned.task)


def test_what_reads_follows_the_documents_and_is_stale_without_new_ones(done):
    [rag] = [one for one in report(done).trials if one.contender == "rag"]
    assert rag.fresh is not None
    before, after, both = figures(rag.fresh, alpha=0.05)
    assert (before.anew.value, before.stale.value) == (0.0, 1.0)
    assert (after.anew.value, after.stale.value) == (1.0, 0.0)
    assert before.unchanged is not None
    assert before.unchanged.value == 1.0
    assert both.index == "both"
    assert both.anew.n == len(MOVED)


def test_a_contender_that_reads_nothing_is_asked_once_and_the_floor_never(done):
    fresh = {one.contender: one.fresh for one in report(done).trials}
    assert fresh["floor"] is None
    assert fresh["zero-shot"] is not None
    assert len(fresh["zero-shot"].answers) == 1


def test_nothing_is_asked_twice_and_the_report_can_be_read_without_a_model(done):
    engine = done.tools.engine
    before = len(engine.asked)
    run(done, Silent())
    assert len(engine.asked) == before
    written = yaml.safe_load((done.folder / "run.yaml").read_text())
    assert written["changed_facts"]["date"] == DATE
    said = json.loads((done.folder / "verdict.json").read_text())
    assert set(said["freshness"]) == {"zero-shot", "rag"}
    assert "Facts as of 2027-01-01" in (done.folder / "report.md").read_text()
    assert "Facts as of 2027-01-01" in (done.folder / "report.html").read_text()


def test_quality_does_not_depend_on_asking_about_changed_facts(done, tmp_path):
    plain = run(replace(done, version=None, folder=tmp_path / "plain"), Silent())
    asked = {one.contender: one.quality for one in report(done).verdict.standings}
    assert asked == {one.contender: one.quality for one in plain.verdict.standings}


# ------------------------------------------------------------------ what it costs


def credits(*pairs: tuple[float, float]) -> Freshness:
    changed = {f"r{at}": pair for at, pair in enumerate(pairs)}
    return Freshness(DATE, (FreshAnswers("before", changed, {}),), {one: one for one in changed})


def test_an_answer_is_stale_when_it_is_nearer_the_old_answer():
    assert stale_share(credits((0.0, 1.0), (0.5, 0.5), (1.0, 0.0), (0.2, 0.4)), "before") == 0.5
    assert stale_share(credits((0.0, 1.0)), "after") is None
    assert stale_share(None, "before") is None


BARE = Cost(1.0, 1.0, 1.0, 1.0, 5, 1.0, 1.0, 1.0, 1.0, prepare_seconds=200.0, artefact_bytes=1,
            tuning_seconds=100.0, rows_learnt=10)
CHURNING = replace(POLICY, churn_per_month=0.1)


def times(axes: dict[str, str], **stale: float | None) -> tuple[int, int]:
    found = priced(replace(BARE, **stale), CHURNING, axes=axes)
    return found.retunes, found.reindexes


def test_weights_that_answer_little_of_what_changed_are_renewed_less():
    often, _ = times({"retrieval": "none"})
    less, _ = times({"retrieval": "none"}, stale_before=0.3)
    never, _ = times({"retrieval": "none"}, stale_before=0.0)
    assert often > less > never == 0


def test_what_a_new_index_does_not_mend_is_tuned_again():
    reads = {"retrieval": "dense"}
    assert times(reads)[0] == 0
    retunes, reindexes = times(reads, stale_before=0.8, stale_after=0.2)
    assert 0 < retunes < reindexes
    assert times(reads, stale_before=0.8, stale_after=0.0)[0] == 0
