"""The benchmark's own logic: what is run, in which turn, and what is said of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("psutil", reason="not installed: psutil (make setup)")

from tests.bench import table
from tests.bench.timing import Peer, Side, Work, best, compared, doubling, interleaved

CEILINGS = {"float32": 100.0}


def sleeper(seconds: float, said: str = "same") -> Side:
    def side(share: float) -> Callable[[], str]:
        def run() -> str:
            time.sleep(seconds * share)
            return said
        return run
    return side


def work(*peers: Peer) -> Work:
    return Work("sleeping", "naps/s", 2, 1e9, "float32", sleeper(0.01), peers,
                lambda ours, theirs: f"{ours} and {theirs}")


def test_a_peer_is_compared_at_its_fastest_setting() -> None:
    peer = Peer("sleeper", lambda setting: sleeper(float(setting)), ["0.4", "0.02", "0.2"])
    rows, skipped = compared(work(peer), repeats=3, ceilings=CEILINGS, say=lambda _: None)
    assert [row["setting"] for row in rows] == ["0.02"]
    assert rows[0]["n"] == 3
    assert rows[0]["ratio_min"] <= rows[0]["ratio"] <= rows[0]["ratio_max"]
    assert rows[0]["agreement"] == "same and same"
    assert skipped == []


def test_a_peer_that_is_not_installed_is_named() -> None:
    peer = Peer("absent", lambda _: sleeper(0), needs=["no_such_package_at_all"])
    rows, skipped = compared(work(peer), repeats=1, ceilings=CEILINGS, say=lambda _: None)
    assert rows == []
    assert skipped[0]["peer_name"] == "absent"
    assert "not installed: no_such_package_at_all" in skipped[0]["reason"]


def test_a_peer_that_fails_leaves_the_others_alone() -> None:
    def broken(_: str) -> Side:
        raise RuntimeError("cannot read\nthese weights")

    rows, skipped = compared(work(Peer("broken", broken), Peer("well", lambda _: sleeper(0.01))),
                             repeats=1, ceilings=CEILINGS, say=lambda _: None)
    assert [row["peer_name"] for row in rows] == ["well"]
    assert skipped[0]["reason"] == "RuntimeError: cannot read these weights"


def test_one_setting_that_fails_leaves_the_other_settings() -> None:
    def opened(setting: str) -> Side:
        if setting == "broken":
            raise ValueError(setting)
        return sleeper(0.01)

    assert best(Peer("peer", opened, ["broken", "well"]))[0] == "well"


def test_every_repeat_runs_all_sides_and_another_one_first() -> None:
    order: list[str] = []

    def noted(name: str) -> Side:
        return lambda _: lambda: order.append(name)

    interleaved({name: noted(name) for name in "abc"}, 3)
    assert "".join(order) == "abcbcacab"


def test_what_a_side_prepares_is_not_timed() -> None:
    def side(_: float) -> Callable[[], None]:
        time.sleep(0.2)
        return lambda: None

    assert interleaved({"": side}, 1)[""].seconds[0] < 0.1


def test_the_worst_step_tells_what_twice_the_size_costs() -> None:
    assert doubling([1, 4, 16], [1.0, 4.0, 64.0]) == pytest.approx(4.0)
    assert doubling([1, 4, 16], [1.0, 2.0, 4.0]) == pytest.approx(2**0.5)


def found(**changes: Any) -> dict[str, Any]:
    row = {
        "work": "generation", "unit": "tokens/s", "ours": 200.0, "peer": 100.0,
        "peer_name": "transformers", "setting": "batch 32", "ratio": 2.0, "ratio_min": 1.9,
        "ratio_max": 2.1, "ceiling_share_ours": 0.2, "ceiling_share_peer": 0.1,
        "added_mib_ours": 10.0, "added_mib_peer": 20.0, "agreement": "all equal",
    }
    slower = {**row, "peer_name": "lm-eval", "ratio": 4.0}
    return {"commit": "0123456789", "changed": False, "quick": False, "growth": [],
            "ceiling_gflops": {"float32": 100}, "works": [row, slower], "checks": [],
            "skipped": [], **changes}


def test_a_bar_is_held_against_the_fastest_peer() -> None:
    assert "generation: 2.00 times transformers, 1.8 aimed at" in table.rendered(found())


def test_a_missed_bar_is_named() -> None:
    assert table.judged(1.7, 1.8, 3) == "**missed**"
    assert table.judged(1.8, 1.8, 3) == "reached"
    assert table.judged(3.0, 1.8, 3) == "reached, at best too"


def test_no_bar_is_judged_while_one_of_its_peers_is_missing() -> None:
    alone = found(works=found()["works"][:1])
    assert "aimed at" not in table.rendered(alone)


def test_skipped_peers_stand_in_the_table() -> None:
    skipped = [{"work": "generation", "peer_name": "OpenVINO", "reason": "not installed"}]
    assert "- skipped: generation, OpenVINO: not installed" in table.rendered(
        found(skipped=skipped))


def test_the_table_goes_between_its_marks_and_nowhere_else() -> None:
    text = f"before\n{table.MARKS[0]}\nold\n{table.MARKS[1]}\nafter\n"
    assert table.put(text, "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="no <!-- bench"):
        table.put("no marks", "new")
