"""The audit of equal conditions: prompts, templates, and the machine while calls were timed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_fixture import build_report

from advisor.report import Report, html, markdown
from advisor.report.audit import audit
from advisor.report.conditions import Check, crowded

PROMPTS = {"majority": 0, "zero-shot": 0, "few-shot-8": 8, "nearest-8": 8, "rag": 8, "lora": 0}


def told(report: Report) -> dict[str, Check]:
    return {check.title: check for check in audit(report)}


def recipes(**more: dict[str, Any]) -> dict[str, Any]:
    """What run.yaml holds of the fixture's contenders."""
    made: dict[str, Any] = {}
    for name, shots in PROMPTS.items():
        tuned = name == "lora"
        prompt = {"kind": "none" if name == "majority" else "instruct", "shots": shots,
                  "instruction": "brief" if tuned else "full"}
        made[name] = {"prompt": prompt, "weights": {"kind": "lora" if tuned else "base"}}
    return made | more


def described(**run: Any) -> Report:
    plain = build_report(rows=30)
    return replace(plain, run={**plain.run, "contenders": recipes(), **run})


def test_who_was_told_what_is_said_side_by_side():
    found = told(described())["Equal prompt effort"]
    assert found.state == "ok"
    assert "the full instruction for nearest-8, rag, few-shot-8 and zero-shot" in found.finding
    assert "the brief one for lora" in found.finding
    assert "8 for nearest-8, rag and few-shot-8; none for lora and zero-shot" in found.finding


def test_a_leader_that_was_searched_beside_a_rival_that_was_not_is_told():
    lora = {**recipes()["lora"], "weights": {"kind": "lora", "tune": {"rates": [1e-3]}}}
    found = told(described(contenders=recipes(lora=lora)))["Unequal prompt effort"]
    assert found.state == "note"
    assert "Settings chosen on dev: lora." in found.finding
    assert "lora was searched on dev, nearest-8, which it is measured against, was not" in \
        found.finding


def test_a_leader_that_shows_more_examples_than_its_rival_is_told():
    lora = {**recipes()["lora"], "prompt": {"kind": "instruct", "shots": 12}}
    found = told(described(contenders=recipes(lora=lora)))["Unequal prompt effort"]
    assert found.finding.endswith(
        "lora shows more of them than nearest-8, which it is measured against.")


def test_one_chat_template_is_said_and_a_server_s_is_unseen():
    assert told(described())["Equal templates"].state == "ok"
    rag = {**recipes()["rag"], "weights": {"kind": "endpoint", "name": "x"}}
    found = told(described(contenders=recipes(rag=rag)))["Templates that cannot be compared"]
    assert "What serves rag writes its own prompts" in found.finding


@pytest.mark.parametrize(("shares", "title"), [
    ({"lora": 0.01, "rag": 0.08}, "No contention"),
    ({"lora": 0.01, "rag": 0.53}, "Contention while measuring"),
])
def test_other_work_while_calls_were_timed_is_told(shares, title):
    noted = {name: {"busy_with_other_work": share} for name, share in shares.items()}
    assert title in told(described(measured=noted))


def test_contenders_that_came_out_the_same_are_named():
    found = told(described(measured={"lora": {}, "lora-dpo": {"same_as": "lora"}}))
    assert "lora-dpo as lora" in found["The same system under two names"].finding
    assert "The same system under two names" not in told(described(measured={"lora": {}}))


def test_contention_is_said_on_the_first_screen_and_in_markdown():
    noted = {"lora": {"busy_with_other_work": 0.52}, "lora@1": {"busy_with_other_work": 0.2},
             "rag": {"busy_with_other_work": None}}
    report = described(measured=noted)
    assert crowded(report) == {"lora": 0.52}
    for text in (html(report), markdown(report)):
        assert "Other work took up to 52% of the processor while lora was timed" in text


def test_a_run_that_tells_nothing_of_its_contenders_claims_nothing():
    titles = told(build_report(rows=30))
    assert not [title for title in titles if "effort" in title or "emplates" in title]
