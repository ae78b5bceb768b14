"""The benchmark's own logic: what is run, in which turn, and what is said of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.bench import table, works
from tests.bench.sides import CANDIDATES, OURS, SIDES, Entrant, Measured, entrants
from tests.bench.timing import Entered, Rules, compared, doubling, interleaved
from tests.bench.worker import Failed

WORK = works.Work("napping", "generation", 8, new=4)
CEILINGS = {"auto": 100.0}


@dataclass
class Napper:
    """A side whose settings are seconds; "broken" fails. Closed ones are noted."""

    asked: list[str]
    closed: list[str] = field(default_factory=list)
    name: str = ""
    setting: str = ""

    def ask(self, verb: str, *given: Any, limit: float | None = None) -> Any:
        self.asked.append(self.name)
        if self.setting == "broken":
            raise Failed("RuntimeError: cannot read these weights")
        output = [(1, 2, 3, 4)] * round(WORK.count * given[0])
        seconds = float(self.setting or 1.0) * given[0]
        return Measured(seconds, WORK.new * len(output), 1e9, 100.0, math.nan, output)

    def tell(self, _: str, *given: Any) -> None:
        _, self.name, self.setting = given

    def wait(self, limit: float) -> None: ...

    def reply(self, limit: float | None = None) -> None: ...

    def close(self) -> None:
        if (said := f"{self.name} {self.setting}".strip()) not in self.closed:
            self.closed.append(said)


def rules(asked: list[str], closed: list[str]) -> Rules:
    return Rules(repeats=3, say=lambda _: None, make=lambda: Napper(asked, closed))


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def closed() -> list[str]:
    return []


def test_a_peer_is_compared_at_its_fastest_setting_and_the_others_end_before(
    asked: list[str], closed: list[str]
) -> None:
    peers = [Entrant("napper", ("4", "2", "3"))]
    [row], _ = compared(WORK, peers, rules(asked, closed), CEILINGS)
    assert row["setting"] == "2"
    assert closed[:2] == ["napper 4", "napper 3"]


def test_a_row_holds_the_ratio_of_what_both_do_in_a_second(
    asked: list[str], closed: list[str]
) -> None:
    peers = [Entrant("napper", ("2",), share=0.5)]
    [row], skipped = compared(WORK, peers, rules(asked, closed), CEILINGS)
    assert (row["ours"], row["peer"], row["ratio"], row["n"]) == (32.0, 16.0, 2.0, 3)
    assert row["ratio_min"] <= row["ratio"] <= row["ratio_max"]
    assert row["agreement"] == "100% of tokens equal, 4 of 4 first ones"
    assert row["others_busy"] is None
    assert skipped == []
    assert set(closed) == {OURS, "napper 2"}


def test_a_peer_that_is_not_installed_is_named(asked: list[str], closed: list[str]) -> None:
    peers = [Entrant("absent", needs=["no_such_package_at_all"])]
    rows, skipped = compared(WORK, peers, rules(asked, closed), CEILINGS)
    assert rows == []
    assert skipped == [{"work": "napping", "peer_name": "absent",
                        "reason": "not installed: no_such_package_at_all"}]


def test_a_peer_that_fails_leaves_the_others_alone(asked: list[str], closed: list[str]) -> None:
    peers = [Entrant("broken", ("broken",)), Entrant("well", ("2",))]
    rows, skipped = compared(WORK, peers, rules(asked, closed), CEILINGS)
    assert [row["peer_name"] for row in rows] == ["well"]
    assert skipped[0]["reason"] == "RuntimeError: cannot read these weights"


def test_one_setting_that_fails_leaves_the_other_settings(
    asked: list[str], closed: list[str]
) -> None:
    peers = [Entrant("napper", ("broken", "2"))]
    [row], _ = compared(WORK, peers, rules(asked, closed), CEILINGS)
    assert row["setting"] == "2"


def test_every_repeat_runs_all_sides_and_another_one_first(asked: list[str]) -> None:
    interleaved({name: Entered(Napper(asked, name=name)) for name in "abc"}, Rules())
    assert "".join(asked) == "abcbcacab"


def test_what_a_peer_leaves_out_is_every_nth_of_the_items() -> None:
    assert works.part(list(range(8)), 1 / 4) == [0, 4]
    assert works.part(list(range(3)), 1.0) == [0, 1, 2]


def test_what_texts_begin_with_in_common_is_one_piece_of_work() -> None:
    assert works.distinct([(1, 2, 3), (1, 2), (1, 4), (1, 2, 3), (5,)]) == 5


@pytest.mark.parametrize("work", works.WORKS, ids=lambda work: work.name)
def test_every_bar_has_its_peers_and_one_of_them_when_it_is_quick(work: works.Work) -> None:
    names, _, _ = table.BARS[work.name]
    assert set(names) <= {peer.name for peer in entrants(work, quick=False)}
    quick = entrants(work, quick=True)
    assert set(names) & {peer.name for peer in quick}
    assert all(len(peer.settings) == 1 for peer in quick)


def test_every_peer_can_be_opened_by_its_name() -> None:
    for work in works.WORKS:
        assert {peer.name for peer in entrants(work, quick=False)} <= set(SIDES[work.kind])
    for work, peers in CANDIDATES:
        assert {peer.name for peer in peers} <= set(SIDES[work.kind])


# ------------------------------------------------------------------ what is said


def test_the_worst_step_tells_what_twice_the_size_costs() -> None:
    assert doubling([1, 4, 16], [1.0, 4.0, 64.0]) == pytest.approx(4.0)
    assert doubling([1, 4, 16], [1.0, 2.0, 4.0]) == pytest.approx(2**0.5)


def found(**changes: Any) -> dict[str, Any]:
    row = {
        "work": "generation", "unit": "tokens/s", "ours": 200.0, "peer": 100.0,
        "peer_name": "transformers", "setting": "batch 32", "ratio": 2.0, "ratio_min": 1.9,
        "ratio_max": 2.1, "ceiling_share_ours": 0.2, "ceiling_share_peer": 0.1, "n": 3,
        "peak_mib_ours": 10.0, "peak_mib_peer": 20.0, "agreement": "all equal", "share": 1.0,
        "commit": "0123456789", "quick": False, "threads": 2, "ceiling_gflops": 100.0,
    }
    slower = {**row, "peer_name": "lm-eval", "ratio": 4.0}
    return {"growth": [], "works": [row, slower], "identity": [], "precision": [], "candidates": [],
            "skipped": [], **changes}


def test_a_bar_is_held_against_the_fastest_peer() -> None:
    assert "generation: 2.00 times transformers, 1.8 aimed at" in table.rendered(found())


def test_a_missed_bar_is_named() -> None:
    assert table.judged(1.7, 1.8, 3) == "**missed**"
    assert table.judged(1.8, 1.8, 3) == "reached"
    assert table.judged(3.0, 1.8, 3) == "reached, at best too"


def test_growth_that_is_faster_than_what_grows_is_named() -> None:
    row = {"growth": "rows tuned on", "sizes": [8, 32], "seconds": [1.0, 5.0], "n": 3,
           "doubling": doubling([8, 32], [1.0, 5.0]), "threads": 2, "commit": "0123456789",
           "quick": False}
    said = table.rendered(found(growth=[row, {**row, "doubling": 1.9}]))
    assert "| rows tuned on | 8, 32 | 1.00, 5.00, 3 | 2.24 times: **missed** |" in said
    assert "1.90 times: reached" in said
    assert "At commit 0123456, threads: 2; twice the size" in said


def test_a_broken_identity_is_named() -> None:
    row = {"identity": "scores are those of lm-eval", "of": 4, "same": 3, "largest": 0.01,
           "holds": False, "note": "", "commit": "0123456789", "quick": False}
    assert "scores are those of lm-eval: **no**; 3 of 4, largest difference 1.0e-02" in (
        table.rendered(found(identity=[row])))


def test_skipped_peers_stand_in_the_table() -> None:
    skipped = [{"work": "generation", "peer_name": "OpenVINO", "reason": "not installed"}]
    assert "- skipped: generation, OpenVINO: not installed" in table.rendered(
        found(skipped=skipped))


def test_the_table_goes_between_its_marks_and_nowhere_else() -> None:
    text = f"before\n{table.MARKS[0]}\nold\n{table.MARKS[1]}\nafter\n"
    assert table.put(text, "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="no <!-- bench"):
        table.put("no marks", "new")
