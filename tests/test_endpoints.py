"""Endpoints, asked over a socket: what a real server may do to a run, and what that costs."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from behind import Reply, Server, behind, refused, said
from material import ROOT, Silent, own, plan, recipe, small_task

from advisor.config import EndpointFile, Settings
from advisor.core import Task
from advisor.engines.openai import Endpoint, endpoint
from advisor.engines.protocol import Constraint, Conversation, Generation, Message
from advisor.errors import AdvisorError
from advisor.measures.retention import load_suites
from advisor.runner.plan import Plan
from advisor.runner.run import Finished, run
from advisor.workspace import Workspace
from advisor.yamlfiles import load

pytest.importorskip("openai")

KEY = "sk-planted-5f2c"
Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as running:
        yield lambda reply, **more: running.enter_context(behind(reply, **more))


def given(url: str, **more: Any) -> EndpointFile:
    fields = {"url": url, "model": "m", "usd_per_million_in": 0.0, "usd_per_million_out": 0.0,
              "retries": 2, "timeout_seconds": 5.0, **more}
    return EndpointFile(**fields)


def at(server: Server, **more: Any) -> Endpoint:
    return endpoint("local", given(server.url, **more))


def asked(count: int) -> list[Conversation]:
    return [Conversation((Message("user", f"question {n}"),), 20) for n in range(count)]


def answers(one: Endpoint, count: int, **more: Any) -> dict[int, Generation]:
    return dict(one.speak(asked(count), max_tokens=8, **more))


# ------------------------------------------------------------------ what works


def test_every_conversation_is_sent_as_it_is_and_answered(serve):
    server = serve(lambda _, body: said(body["messages"][0]["content"].upper()))
    found = answers(at(server), 5)
    assert {n: one.text for n, one in found.items()} == {n: f"QUESTION {n}" for n in range(5)}
    assert {(one.tokens_in, one.tokens_out) for one in found.values()} == {(12, 3)}
    assert {(body["model"], body["max_tokens"], body["temperature"]) for body in server.seen} == {
        ("m", 8, 0.0)}


def test_no_more_calls_are_in_flight_than_allowed(serve):
    def slow(*_: object) -> Reply:
        time.sleep(0.05)
        return said("yes")

    server = serve(slow)
    assert len(answers(at(server, concurrency=3), 12)) == 12
    assert server.most_at_once == 3


def test_an_answer_ends_at_a_stop_string(serve):
    server = serve(lambda *_: said("\nyes\nand more"))
    assert answers(at(server), 1, stop=["\n"])[0].text == "\nyes"


def test_seconds_add_up_to_the_time_that_passed(serve):
    server = serve(lambda *_: said("yes"))
    started = time.perf_counter()
    found = answers(at(server, concurrency=2), 6)
    assert sum(one.seconds for one in found.values()) <= time.perf_counter() - started


def test_a_schema_is_sent_as_the_response_format(serve):
    server = serve(lambda *_: said('{"a":1}'))
    schema = '{"type": "object", "properties": {"a": {"type": "integer"}}}'
    answers(at(server), 1, constraints=[Constraint(schema=schema)])
    sent = server.seen[0]["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"] == json.loads(schema)


def test_a_choice_is_taken_out_of_the_object_it_is_asked_for_in(serve):
    server = serve(lambda *_: said('{"answer": "no"}'))
    found = answers(at(server), 1, constraints=[Constraint(("yes", "no"))])
    assert found[0].text == "no"


# ------------------------------------------------------------------ what is tried again


def test_a_server_error_is_tried_again(serve):
    server = serve(lambda number, _: refused(500) if number == 0 else said("yes"))
    assert answers(at(server), 1)[0].text == "yes"
    assert len(server.seen) == 2


def test_a_rate_limit_is_waited_out_as_the_server_asks(serve):
    server = serve(lambda number, _: refused(429, headers={"Retry-After": "1"})
                   if number == 0 else said("yes"))
    assert answers(at(server), 1)[0].text == "yes"
    assert server.at[1] - server.at[0] >= 1.0


# ------------------------------------------------------------------ what ends it


def fault(one: Endpoint, count: int = 4) -> tuple[AdvisorError, dict[int, Generation]]:
    """The error that ended it, and what was answered before."""
    found = {}
    with pytest.raises(AdvisorError) as caught:
        for index, answer in one.speak(asked(count), max_tokens=8):
            found[index] = answer
    return caught.value, found


def test_an_endpoint_that_is_down_is_named():
    one = endpoint("local", given("http://127.0.0.1:9/v1", retries=0))
    error, found = fault(one)
    assert "endpoint 'local' (http://127.0.0.1:9/v1): no connection" in error.problem
    assert found == {}


def test_a_wrong_key_names_the_variable_and_never_the_key(serve, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    server = serve(lambda *_: refused(401))
    error, _ = fault(at(server, api_key_env="MY_KEY"))
    assert "refuses the key (HTTP 401)" in error.problem
    assert error.fix == "correct MY_KEY"
    assert set(server.keys) == {f"Bearer {KEY}"}
    assert KEY not in str(error) + repr(error.__cause__)


def test_an_unset_key_is_told_before_anything_is_sent(serve, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    server = serve(lambda *_: said("yes"))
    error, _ = fault(at(server, api_key_env="MY_KEY"))
    assert "MY_KEY is not set" in error.problem
    assert server.seen == []


def test_a_key_of_another_service_is_not_sent(serve, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = serve(lambda *_: said("yes"))
    answers(at(server), 1)
    assert KEY not in server.keys[0]


def test_an_unknown_model_is_named(serve):
    error, _ = fault(at(serve(lambda *_: refused(404))))
    assert "knows no model 'm'" in error.problem


def test_a_rate_limit_that_stays_ends_it(serve):
    server = serve(lambda *_: refused(429, headers={"Retry-After-Ms": "1"}))
    error, _ = fault(at(server, retries=1, concurrency=1))
    assert "still limits our rate after 2 tries" in error.problem
    assert len(server.seen) == 2


def test_an_endpoint_too_slow_for_everything_ends_it(serve):
    def slow(*_: object) -> Reply:
        time.sleep(0.6)
        return said("late")

    error, found = fault(at(serve(slow), timeout_seconds=0.1, retries=0))
    assert "answers nothing: no answer within 0.1 s, tried 1 times" in error.problem
    assert found == {}


def test_an_answer_that_comes_byte_by_byte_is_too_slow_too(serve):
    error, found = fault(at(serve(lambda *_: said("yes"), pause=0.05), timeout_seconds=0.3,
                            retries=0), count=1)
    assert "no answer within 0.3 s" in error.problem
    assert found == {}


def test_a_response_without_end_fills_no_memory(serve):
    endless = (200, {"Content-Type": "application/json"}, b"[" * 5_000_000)
    error, _ = fault(at(serve(lambda *_: endless)), count=1)
    assert "its response cannot be read" in error.problem


@pytest.mark.parametrize("garbage", [
    (200, {"Content-Type": "text/html"}, b"<html>hello</html>"),
    (200, {"Content-Type": "application/json"}, b"{not json"),
    (200, {"Content-Type": "application/json"}, b"{}"),
    (200, {"Content-Type": "application/json"}, b"[1]"),
    (200, {"Content-Type": "application/json"}, b'{"choices": [{"message": {"content": "x"}}]}'),
    (200, {"Content-Type": "application/json"}, b""),
], ids=["html", "broken", "empty object", "list", "no usage", "nothing"])
def test_an_endpoint_that_talks_garbage_ends_it(serve, garbage):
    error, found = fault(at(serve(lambda *_: garbage)))
    assert "answers nothing: its response" in error.problem
    assert found == {}


# ------------------------------------------------------------------ one bad question


def test_one_refused_question_is_a_failure_and_the_others_are_answered(serve):
    server = serve(lambda _, body: refused(400) if "question 2" in str(body) else said("yes"))
    found = answers(at(server, concurrency=1), 5)
    assert [found[n].text for n in (0, 1, 3, 4)] == ["yes"] * 4
    assert found[2].failure == "HTTP 400: Error code: 400 - status 400"


def test_failures_before_the_end_of_a_dying_endpoint_are_not_kept(serve):
    server = serve(lambda number, _: said("yes") if number < 3 else refused(503))
    error, found = fault(at(server, concurrency=1, retries=0), count=10)
    assert "HTTP 503" in error.problem
    assert {n: one.failure for n, one in found.items()} == {0: "", 1: "", 2: ""}


def test_many_refused_questions_do_not_end_a_run_that_answers(serve):
    server = serve(lambda number, _: refused(422) if number % 5 else said("yes"))
    found = answers(at(server, concurrency=1), 11)
    assert sum(bool(one.failure) for one in found.values()) == 8


# ------------------------------------------------------------------ money


PRICED = {"usd_per_million_in": 1000.0, "usd_per_million_out": 1000.0}


def test_nothing_is_sent_that_could_pass_the_limit(serve):
    # A call may cost 20 + 8 thousandths of a dollar, and does cost 15.
    server = serve(lambda *_: said("yes"))
    one = at(server, **PRICED, spend_limit_usd=0.1, concurrency=4)
    error, found = fault(one, count=50)
    assert "USD 0.0750 spent, and the next call could pass the limit of USD 0.1" in error.problem
    assert one.purse.spent == pytest.approx(0.015 * len(found))
    assert one.purse.spent <= 0.1
    assert len(found) == len(server.seen) == 5


def test_calls_that_timed_out_are_reckoned_as_paid(serve):
    def slow(*_: object) -> Reply:
        time.sleep(0.3)
        return said("late")

    one = at(serve(slow), **PRICED, spend_limit_usd=9.0, timeout_seconds=0.1, retries=1)
    fault(one, count=1)
    assert one.purse.spent == pytest.approx(2 * 0.028)


def test_prices_without_a_limit_are_a_fault_of_the_settings(tmp_path):
    path = tmp_path / "advisor.yaml"
    path.write_text("endpoints: {big: {url: 'https://x/v1', model: m, usd_per_million_in: 1, "
                    "usd_per_million_out: 2}}\n")
    with pytest.raises(AdvisorError, match="spend_limit_usd is required"):
        load(path, Settings)


def test_an_unknown_key_of_an_endpoint_is_told_with_its_like(tmp_path):
    path = tmp_path / "advisor.yaml"
    path.write_text("endpoints: {big: {url: 'https://x/v1', modl: m}}\n")
    with pytest.raises(AdvisorError, match=r"endpoints\.big\.modl: unknown key .*'model'"):
        load(path, Settings)


# ------------------------------------------------------------------ in a run


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


def planned(task: Task, folder: Path, server: Server, **more: Any) -> Plan:
    """zero-shot on the fake engine beside a served contender."""
    spec = given(server.url, **more)
    served = recipe("weights: {kind: endpoint, name: local}\n", folder)
    made = plan(task, folder / "run", recipes={**own("zero-shot"), "served": served})
    return replace(
        made, settings=made.settings.model_copy(update={"endpoints": {"local": spec}}),
        tools=replace(made.tools, endpoints={"local": endpoint("local", spec)}),
    )


def go(made: Plan) -> Finished:
    return run(made, Silent())


def test_a_served_contender_sits_in_the_table_priced_by_its_tokens(serve, task, tmp_path):
    server = serve(lambda *_: said("x", tokens=(100, 10)))
    done = go(planned(task, tmp_path, server, usd_per_million_in=2.0, usd_per_million_out=10.0,
                      spend_limit_usd=5.0))
    [place] = [one for one in done.verdict.standings if one.contender == "served"]
    assert place.cost.usd_per_1k == pytest.approx((100 * 2 + 10 * 10) / 1e6 * 1000)
    assert place.forgetting == "unchanged"
    assert place.cost.p50_ms > 0


@pytest.mark.parametrize("bad", [refused(401), refused(404), (200, {}, b"garbage")],
                         ids=["wrong key", "no model", "garbage"])
def test_the_other_contenders_go_on(serve, bad, task, tmp_path):
    done = go(planned(task, tmp_path, serve(lambda *_: bad)))
    assert list(done.failed) == ["served"]
    assert "endpoint 'local'" in done.failed["served"]
    assert [one.contender for one in done.verdict.standings] == ["zero-shot"]
    assert not done.verdict.final


def test_what_was_answered_before_the_limit_is_never_asked_again(serve, task, tmp_path):
    server = serve(lambda *_: said("x", tokens=(100, 10)))
    made = planned(task, tmp_path, server, **PRICED, spend_limit_usd=2.0, concurrency=1)
    done = go(made)
    assert "spend_limit_usd" in done.failed["served"]
    first = len(server.seen)
    assert 0 < first < len(task.test)
    spec = made.settings.endpoints["local"].model_copy(update={"spend_limit_usd": 50.0})
    again = replace(made, tools=replace(made.tools, endpoints={"local": endpoint("local", spec)}))
    assert go(again).failed == {}
    assert len(server.seen) == len(task.test) + made.settings.latency_probe


def test_a_served_teacher_is_paid_for_once_even_if_its_limit_ends_the_first_run(
    serve, task, tmp_path
):
    server = serve(lambda *_: said("12 pence", tokens=(100, 10)))
    made = planned(task, tmp_path, server, **PRICED, spend_limit_usd=0.6, concurrency=1)
    student = recipe("weights: {kind: lora, teacher: {recipe: {weights: {kind: endpoint, "
                     "name: local}}}}\n", tmp_path)
    made = replace(made, recipes={**own("zero-shot"), "student": student},
                   suites=load_suites(("grammar",), Workspace(ROOT).retention_file))
    assert "spend_limit_usd" in go(made).failed["student"]
    assert 0 < len(server.seen) < len(task.material.train)
    spec = made.settings.endpoints["local"].model_copy(update={"spend_limit_usd": 50.0})
    done = go(replace(made, tools=replace(made.tools,
                                          endpoints={"local": endpoint("local", spec)})))
    assert len(server.seen) == len(task.material.train)
    [place] = [one for one in done.verdict.standings if one.contender == "student"]
    assert place.cost.usd_paid == pytest.approx(len(task.material.train) * 0.11)


def test_a_task_that_stays_on_premises_is_not_sent_away(serve, task, tmp_path):
    server = serve(lambda *_: said("x"))
    kept = replace(task, context=replace(task.context, residency="on-premises"))
    done = go(planned(kept, tmp_path, server))
    assert "may be processed on-premises only" in done.skipped["served"]
    assert server.seen == []


def test_the_key_stands_in_no_file_and_in_no_log(serve, task, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    server = serve(lambda number, _: refused(500) if number == 1 else said("x"))
    go(planned(task, tmp_path, server, api_key_env="MY_KEY"))
    assert f"Bearer {KEY}" in server.keys
    assert KEY not in caplog.text
    for path in (tmp_path / "run").rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes()
    described = yaml.safe_load((tmp_path / "run" / "run.yaml").read_text())
    assert described["settings"]["endpoints"]["local"]["api_key_env"] == "MY_KEY"


def test_an_endpoint_that_changed_is_not_mixed_with_the_one_measured(serve, task, tmp_path):
    server = serve(lambda *_: said("x"))
    go(planned(task, tmp_path, server))
    before = len(server.seen)
    go(planned(task, tmp_path, server, model="another"))
    assert len(server.seen) == 2 * before


def test_an_endpoint_that_is_not_set_up_is_left_out_with_its_name(serve, task, tmp_path):
    made = planned(task, tmp_path, serve(lambda *_: said("x")))
    bare = replace(made, settings=made.settings.model_copy(update={"endpoints": {}}))
    assert go(bare).skipped == {"served": "advisor.yaml has no endpoint 'local'"}


def test_a_stopped_run_leaves_no_call_behind(serve):
    server = serve(lambda *_: said("x"))
    with closing(iter(at(server, concurrency=2).speak(asked(30), max_tokens=8))) as speaking:
        next(speaking)
    sent = len(server.seen)
    time.sleep(0.1)
    assert len(server.seen) == sent < 30
