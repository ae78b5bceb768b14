"""`advisor serve`, asked over a real socket."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import ROOT, serving
from shipping import finished, home
from standing import Held, standing, until

from advisor.cli import main
from advisor.cli.tools import Opener
from advisor.core import Question
from advisor.serve.app import Limits
from advisor.serve.service import Registered
from advisor.serve.tokens import tokens
from advisor.ship.registry import Registry

openai = pytest.importorskip("openai")

NAMES = ("floor", "zero-shot", "few-shot", "rag", "lora")
ASKED = "What is the toll of the oak bridge?"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A workspace whose contenders are registered as a version each, in the order of NAMES."""
    root = home(tmp_path_factory.mktemp("serve") / "home", *NAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finished(root)
        for name in NAMES:
            assert main(["ship", "reports/tolls-fake", "--contender", name, "--as", "tolls"]) == 0
    return root


@pytest.fixture
def workspace(shipped, tmp_path, monkeypatch):
    """A copy, to be changed."""
    root = shutil.copytree(shipped, tmp_path / "home")
    monkeypatch.chdir(root)
    return root


def bundle(root: Path, name: str) -> Path:
    return Registry(root).checkout(f"tolls@{NAMES.index(name) + 1}")


def client(server, token="none"):
    return openai.OpenAI(base_url=server.url, api_key=token, max_retries=0, timeout=30)


def said(server, text=ASKED, **more):
    return client(server).chat.completions.create(
        model="tolls", messages=[{"role": "user", "content": text}], **more)


def asked(folder: Path, *texts: str) -> list[str]:
    """What `advisor ask` says to each."""
    _, system = Opener().open(folder)
    return [next(iter(system.answer([Question("ask", text)]))).text for text in texts]


# ------------------------------------------------------------- what it answers


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_contender_answers_the_openai_client_as_ask_does(name, shipped):
    folder = bundle(shipped, name)
    with standing(folder) as server:
        reply = said(server, temperature=0)
    assert [reply.choices[0].message.content] == asked(folder, ASKED)
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.model == "tolls"
    assert re.fullmatch("[0-9a-f]{64}", reply.model_extra["version"])


def test_an_answer_that_was_retrieved_names_its_sources(shipped):
    with standing(bundle(shipped, "rag")) as server:
        reply = said(server)
    assert "oak.md" in reply.model_extra["sources"]
    assert any("oak bridge" in passage for passage in reply.model_extra["passages"])


def test_the_client_of_the_readme_gets_an_answer_and_its_sources(shipped, capsys):
    text = (ROOT / "README.md").read_text("utf-8")
    [block] = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    with standing(bundle(shipped, "rag")) as server:
        block = block.replace("http://127.0.0.1:8000/v1", server.url).replace("production", "tolls")
        exec(re.sub(r'"How long .*?"', repr(ASKED), block), {})
    assert "oak.md" in capsys.readouterr().out


def test_a_stream_says_what_a_whole_answer_says(shipped):
    with standing(bundle(shipped, "rag")) as server:
        whole = said(server)
        chunks = list(said(server, stream=True, stream_options={"include_usage": True}))
    parts = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(p.delta.content or "" for p in parts) == whole.choices[0].message.content
    assert [part.finish_reason for part in parts] == [None] * (len(parts) - 1) + ["stop"]
    assert chunks[-1].usage == whole.usage
    assert chunks[-2].model_extra["sources"] == whole.model_extra["sources"]
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_without_usage_ends_with_its_reason(shipped):
    with standing(bundle(shipped, "floor")) as server:
        assert [chunk.usage for chunk in said(server, stream=True)] == [None, None]


def test_racing_requests_are_answered_as_ask_answers_them(shipped):
    folder = bundle(shipped, "rag")
    bridges = [f"What is the toll of the {name} bridge?" for name in ("oak", "ivy", "fir", "larch")]
    expected = dict(zip(bridges, asked(folder, *bridges), strict=True))
    with standing(folder) as server, ThreadPoolExecutor(16) as pool:
        texts = bridges * 30
        replies = list(pool.map(lambda text: server.ask(text), texts))
    assert [r["choices"][0]["message"]["content"] for _, r in replies] == [
        expected[text] for text in texts]


def test_models_are_listed_by_every_name_that_a_request_may_use(workspace):
    main(["registry", "promote", "tolls@2", "production"])
    with standing(Registered(Registry(workspace), "production")) as server:
        names = [model.id for model in client(server).models.list()]
        assert names == ["tolls@2", "production", "tolls"]
        assert client(server).models.retrieve("tolls@2").model_extra["contender"] == "zero-shot"
        with pytest.raises(openai.NotFoundError, match="tolls@1' is not served here"):
            client(server).models.retrieve("tolls@1")
        assert server.ask(ASKED, model="tolls@1")[0] == 404
        assert server.ask(ASKED, model="production")[1]["model"] == "tolls@2"


# ------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(("more", "why"), [
    ({"n": 2}, "one answer"),
    ({"temperature": 0.7}, "as measured"),
    ({"top_p": 0.5}, "as measured"),
    ({"logprobs": True}, "not given out"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "measured without"),
    ({"response_format": {"type": "json_object"}}, "form of an answer"),
    ({"stop": ["\n"]}, "what ends an answer"),
    ({"max_tokens": 5}, "up to 40 tokens"),
    ({"max_completion_tokens": 0}, "up to 40 tokens"),
    ({"messages": []}, "user's question"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "user", "content": "  "}]}, "empty"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "text only"),
    ({"messages": [{"role": "user", "content": "\ud800"}]}, "UTF-8"),
    ({"choices": ["a"] * 27}, "1 to 26"),
])
def test_what_was_not_measured_is_refused_with_the_reason(more, why, served):
    status, body = served.ask(ASKED, **more)
    assert status == 400
    assert why in body["error"]["message"]
    assert body["error"]["type"] == "invalid_request_error"


@pytest.fixture(scope="module")
def served(shipped):
    with standing(bundle(shipped, "few-shot")) as server:
        yield server


@pytest.mark.parametrize("more", [
    {"temperature": 0}, {"temperature": 0, "top_p": 0.1}, {"n": 1}, {"max_tokens": 4096},
    {"tools": []}, {"stop": None}, {"seed": 7}, {"user": "ada"}, {"metadata": {"a": "b"}},
    {"response_format": {"type": "text"}}, {"something_new": [1, 2]}, {"logprobs": False},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}]},
])
def test_what_changes_nothing_is_accepted(more, served):
    assert served.ask(ASKED, **more)[0] == 200


TALK = [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Yes."}, {"role": "user", "content": ASKED}]


def test_a_conversation_is_refused_because_single_questions_were_measured(served):
    status, body = served.ask("", messages=TALK)
    assert (status, body["error"]["code"]) == (400, "single_question_only")
    assert "instruction that it was measured with" in body["error"]["message"]
    assert "single questions" in served.ask("", messages=TALK[1:])[1]["error"]["message"]


def test_a_conversation_can_be_reduced_to_its_last_question(shipped):
    with standing(bundle(shipped, "zero-shot"), history="ignore") as server:
        status, body = server.ask("", messages=TALK)
        assert (status, body["ignored_messages"]) == (200, 3)
        assert body["choices"][0]["message"]["content"] == ASKED
        assert server.ask("", messages=TALK[:3])[0] == 400


def test_a_question_too_long_says_so(served):
    status, body = served.ask("toll " * 9000)
    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")


def test_a_body_too_large_is_refused_before_it_is_read(served):
    assert served.send("POST", "/v1/chat/completions", b" " * (1 << 20) + b"{}")[0] == 413


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/chat/completions", 405), ("POST", "/v1/completions", 404), ("GET", "/", 404),
    ("DELETE", "/v1/models", 405), ("GET", "/v1/models/", 404), ("GET", "/docs", 404),
])
def test_other_routes_are_refused_in_the_same_shape(method, path, status, served):
    found, _, raw = served.send(method, path)
    assert found == status
    assert json.loads(raw)["error"]["message"]


def test_a_form_of_a_web_page_cannot_ask(served):
    body = {"messages": [{"role": "user", "content": ASKED}]}
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert served.send("POST", "/v1/chat/completions", body, **{"Content-Type": kind})[0] == 415
    assert served.send("POST", "/v1/chat/completions", body, Host="evil.example")[0] == 421


def mangled(draw: random.Random) -> bytes:
    """A body that is wrong in one of many ways, or by chance right."""
    values = [None, True, -1, 1e308, "", "x", "\ud800", "\0", [], {}, [[]], {"a": []}, 10**30,
              ["user"], {"role": "user"}, "user", float("nan")]
    body = {"messages": [{"role": "user", "content": ASKED}]}
    for _ in range(draw.randint(1, 3)):
        kind = draw.randrange(4)
        field = draw.choice(["messages", "model", "stream", "stream_options", "max_tokens", "n",
                             "temperature", "top_p", "choices", "tools", "stop", "logit_bias"])
        if kind == 0:
            body[field] = draw.choice(values)
        elif kind == 1 and isinstance(body["messages"], list):
            body["messages"] = [*body["messages"], draw.choice(values)]
        elif kind == 2:
            body["messages"] = [{"role": draw.choice(values), "content": draw.choice(values)}]
        else:
            body["messages"] = [{"role": "user", "content": [draw.choice(values)]}]
    raw = bytearray(json.dumps(body).encode())
    for _ in range(draw.choice([0, 0, 1, 3])):
        raw[draw.randrange(len(raw))] = draw.randrange(256)
    return bytes(raw[: draw.choice([len(raw), len(raw), draw.randrange(len(raw))])])


def test_thousands_of_malformed_bodies_are_no_fault_of_the_server(served):
    import http.client

    draw, seen = random.Random(7), set()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    for body in [b"", b"[" * 100_000, b'{"a":' * 50_000, b"9" * 10_000, b"\xff\xfe{}", b"null",
                 *(mangled(draw) for _ in range(2500))]:
        connection.request("POST", "/v1/chat/completions", body,
                           {"Content-Type": "application/json"})
        reply = connection.getresponse()
        seen.add(reply.status)
        told = reply.read()
        assert reply.status in (200, 400, 404), (reply.status, told, body[:300])
    connection.close()
    assert seen >= {200, 400}
    assert served.ask(ASKED)[0] == 200


def test_what_is_no_http_at_all_does_not_end_it(served):
    for raw in (b"\0" * 100, b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02"):
        with socket.create_connection(("127.0.0.1", served.port), timeout=5) as one:
            one.sendall(raw)
    assert served.ask(ASKED)[0] == 200


# ------------------------------------------------------------- who may ask, and how much

SECRET = "a-token-of-twenty-letters"


def test_without_its_token_nothing_but_its_health_is_told(shipped, monkeypatch):
    monkeypatch.setenv("ADVISOR_TOKEN", SECRET)
    with standing(bundle(shipped, "floor"), tokens=tokens(None)) as server:
        routes = [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/metrics"),
                  ("GET", "/v1/models/tolls"), ("GET", "/nowhere"), ("POST", "/healthz/")]
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": SECRET},
                      {"Authorization": f"Basic {SECRET}"}, {"Authorization": "Bearer"}):
            assert {server.send(*route, **given)[0] for route in routes} == {401}
        assert server.send("GET", "/healthz")[0] == 200
        assert client(server, SECRET).models.list().data[0].id == "tolls"


def test_a_token_file_holds_one_token_a_line(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(f"{SECRET}\n\nanother-{SECRET}\n")
    found = tokens(path)
    assert found.allow(f"bearer another-{SECRET}")
    assert not found.allow("Bearer ")
    assert SECRET not in repr(found)


@pytest.mark.parametrize("content", ["", "short\n", "with blanks in the middle of it\n"])
def test_a_token_that_could_be_guessed_is_refused(content, tmp_path, shipped, monkeypatch, capsys):
    monkeypatch.chdir(shipped)
    (tmp_path / "tokens").write_text(content)
    assert main(["serve", "tolls@1", "--token-file", str(tmp_path / "tokens")]) == 2
    assert "token" in capsys.readouterr().err


def test_a_server_that_others_reach_needs_a_token(shipped, monkeypatch, capsys):
    monkeypatch.chdir(shipped)
    assert main(["serve", "tolls@1", "--host", "0.0.0.0"]) == 2
    assert "set ADVISOR_TOKEN" in capsys.readouterr().err


def test_who_finds_no_place_is_told_when_to_come_again(shipped):
    engine = Held()
    with standing(bundle(shipped, "few-shot"), open=engine.open, queue=3) as server:
        engine.gate.clear()
        with ThreadPoolExecutor(3) as pool:
            inside = [pool.submit(server.ask, ASKED) for _ in range(3)]
            until(lambda: server.service.desk.waiting + server.service.desk.inside == 3)
            body = {"messages": [{"role": "user", "content": ASKED}]}
            status, headers, _ = server.send("POST", "/v1/chat/completions", body)
            assert status == 429
            assert 1 <= int(headers["retry-after"]) <= 60
            engine.gate.set()
            assert [one.result()[0] for one in inside] == [200] * 3
        assert server.ask(ASKED)[0] == 200


def test_an_answer_that_takes_too_long_is_given_up(shipped):
    engine = Held()
    limits = Limits(seconds=0.3)
    with standing(bundle(shipped, "few-shot"), open=engine.open, limits=limits) as server:
        engine.gate.clear()
        status, body = server.ask(ASKED)
        assert (status, body["error"]["code"]) == (504, "timeout")
        engine.gate.set()
        until(lambda: server.service.desk.inside == 0)
        assert server.ask(ASKED)[0] == 200


def test_a_client_that_leaves_makes_room(shipped):
    engine = Held()
    with standing(bundle(shipped, "few-shot"), open=engine.open) as server:
        engine.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(server.ask, ASKED)
            until(lambda: server.service.desk.inside == 1)
            body = json.dumps({"messages": [{"role": "user", "content": ASKED}]}).encode()
            head = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
                    b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            with socket.create_connection(("127.0.0.1", server.port)) as one:
                one.sendall(head + body)
                until(lambda: server.service.desk.waiting == 1)
            until(lambda: server.service.desk.waiting == 0)
            engine.gate.set()
            assert first.result()[0] == 200
        assert sum(engine.asked) <= 4  # the warm-up and the first question, a stranger each


def test_one_question_that_fails_does_not_cost_the_others_their_answer(shipped):
    class Poisoned(Held):
        def encode(self, messages):
            if "poison" in messages[-1].content:
                raise RuntimeError("poisoned")
            return super().encode(messages)

    engine = Poisoned()
    with standing(bundle(shipped, "few-shot"), open=engine.open) as server:
        engine.gate.clear()
        with ThreadPoolExecutor(3) as pool:
            first = pool.submit(server.ask, ASKED)
            until(lambda: server.service.desk.inside == 1)
            others = [pool.submit(server.ask, text) for text in ("poison", ASKED)]
            until(lambda: server.service.desk.waiting == 2)
            engine.gate.set()
            assert [one.result()[0] for one in (first, *others)] == [200, 500, 200]


def test_metrics_count_what_was_answered(shipped):
    with standing(bundle(shipped, "rag")) as server:
        server.ask(ASKED)
        server.ask(ASKED, n=2)
        text = server.send("GET", "/metrics")[2].decode()
    for line in ('advisor_responses_total{route="/v1/chat/completions",status="200"} 1.0',
                 'advisor_responses_total{route="/v1/chat/completions",status="400"} 1.0',
                 "advisor_request_seconds_count 1.0", "advisor_waiting 0.0",
                 'advisor_tokens_total{kind="out"}', 'advisor_version{id="'):
        assert line in text


# ------------------------------------------------------------- how it ends, and how it changes


def test_a_server_that_is_stopped_answers_those_inside_and_lets_nobody_in(shipped):
    engine = Held()
    with standing(bundle(shipped, "few-shot"), open=engine.open) as server:
        engine.gate.clear()
        with ThreadPoolExecutor(8) as pool:
            inside = [pool.submit(server.ask, ASKED) for _ in range(8)]
            until(lambda: server.service.desk.waiting + server.service.desk.inside == 8)
            server.server.handle_exit(signal.SIGTERM, None)
            status, headers, raw = server.send(
                "POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "?"}]})
            assert (status, headers["retry-after"]) == (503, "1")
            assert json.loads(raw)["error"]["code"] == "draining"
            assert server.send("GET", "/healthz")[0] == 503
            engine.gate.set()
            assert [one.result()[0] for one in inside] == [200] * 8
        server.thread.join(10)
        assert not server.thread.is_alive()


@pytest.fixture
def process(shipped):
    """`advisor serve tolls@3` in a process of its own, and its port."""
    with serving("tolls@3", cwd=shipped) as started:
        yield started


def test_sigterm_loses_no_request_that_came_before_it(process):
    one, port = process
    results, stop = [], threading.Event()

    def keep_asking():
        import http.client

        body = json.dumps({"messages": [{"role": "user", "content": ASKED}]})
        while not stop.is_set():
            began, status = time.monotonic(), 0
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            try:
                connection.request("POST", "/v1/chat/completions", body,
                                   {"Content-Type": "application/json"})
                status = connection.getresponse().status
            except OSError:
                stop.wait(0.01)
            finally:
                connection.close()
            results.append((began, status))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(keep_asking)
        until(lambda: len(results) > 100, seconds=30)
        at = time.monotonic()
        one.send_signal(signal.SIGTERM)
        assert one.wait(20) == 0
        stop.set()
    before = [status for began, status in results if began < at]
    assert len(before) > 100
    assert set(before) == {200} or set(before) == {200, 503}
    # A request may have been on its way when the signal came: then it was told so.
    assert before.count(503) <= 8
    assert {status for began, status in results if began > at} <= {0, 200, 503}


def test_a_port_in_use_is_named(process, shipped, monkeypatch, capsys):
    monkeypatch.chdir(shipped)
    assert main(["serve", "tolls@1", "--port", str(process[1])]) == 2
    assert f"port {process[1]} of 127.0.0.1 is in use" in capsys.readouterr().err


def test_an_alias_that_moves_takes_no_request_with_it(workspace):
    registry = Registry(workspace)
    main(["registry", "promote", "tolls@1", "production"])
    with standing(Registered(registry, "production")) as server, ThreadPoolExecutor(8) as pool:
        floor = server.ask(ASKED)[1]
        replies = [pool.submit(server.ask, ASKED) for _ in range(100)]
        for number in (4, 1, 4):
            main(["registry", "promote", f"tolls@{number}", "production"])
            until(lambda n=number: server.service.current.name == f"tolls@{n}")
            replies += [pool.submit(server.ask, ASKED) for _ in range(100)]
        done = [one.result() for one in replies]
    assert {status for status, _ in done} == {200}
    texts = {(body["model"], body["choices"][0]["message"]["content"]) for _, body in done}
    assert ("tolls@1", floor["choices"][0]["message"]["content"]) in texts
    assert len(texts) == 2  # each version always says the same
    assert server.service.switches == {"done": 3, "failed": 0}


def test_who_is_inside_when_the_alias_moves_is_answered_by_the_version_they_came_to(workspace):
    main(["registry", "promote", "tolls@3", "production"])
    engine = Held()
    with standing(Registered(Registry(workspace), "production"), open=engine.open) as server:
        engine.gate.clear()
        with ThreadPoolExecutor(4) as pool:
            inside = [pool.submit(server.ask, ASKED) for _ in range(4)]
            until(lambda: server.service.desk.waiting + server.service.desk.inside == 4)
            main(["registry", "promote", "tolls@2", "production"])
            time.sleep(0.2)
            engine.gate.set()
            assert {one.result()[1]["model"] for one in inside} == {"tolls@3"}
        until(lambda: server.service.current.name == "tolls@2")
        assert server.ask(ASKED)[1]["model"] == "tolls@2"


def flip(path: Path) -> None:
    path.chmod(0o644)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(bytes(raw))


def test_a_version_with_a_flipped_bit_is_refused_by_name(workspace, capsys):
    flip(bundle(workspace, "few-shot") / "system.json")
    assert main(["serve", "tolls@3", "--port", "0"]) == 2
    assert "system.json: its content is not what the manifest says" in capsys.readouterr().err


def test_an_alias_that_moves_to_a_damaged_version_leaves_the_old_one_serving(workspace):
    main(["registry", "promote", "tolls@1", "production"])
    with standing(Registered(Registry(workspace), "production")) as server:
        flip(bundle(workspace, "few-shot") / "system.json")
        main(["registry", "promote", "tolls@3", "production"])
        until(lambda: server.service.trouble)
        assert "refused" in server.service.trouble
        assert server.ask(ASKED)[1]["model"] == "tolls@1"
        assert "advisor_trouble 1.0" in server.send("GET", "/metrics")[2].decode()


def test_a_version_made_from_erased_data_is_not_served_any_more(tmp_path, monkeypatch):
    root = home(tmp_path / "home", "few-shot", subject=True)
    monkeypatch.chdir(root)
    finished(root)
    main(["ship", "reports/tolls-fake", "--contender", "few-shot", "--as", "tolls"])
    main(["registry", "promote", "tolls@1", "production"])
    with standing(Registered(Registry(root), "production")) as server:
        assert server.ask(ASKED)[0] == 200
        main(["registry", "erase", "--subject", "ada-7"])
        until(lambda: server.service.withdrawn)
        status, body = server.ask(ASKED)
        assert (status, body["error"]["code"]) == (503, "withdrawn")
        assert server.send("GET", "/healthz")[0] == 503


def test_a_hangup_does_not_end_it(process):
    one, port = process
    one.send_signal(signal.SIGHUP)
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as asking:
        assert asking.models.list().data[0].id == "tolls@3"


@pytest.mark.parametrize("given", [["nowhere"], ["tolls@9"], ["tolls@1", "--port", "70000"],
                                   ["tolls@1", "--timeout", "0"], ["pyproject.toml"]])
def test_what_cannot_be_served_is_said(given, shipped, monkeypatch, capsys):
    monkeypatch.chdir(shipped)
    assert main(["serve", *given]) == 2
    assert "fix:" in capsys.readouterr().err


@pytest.mark.model
def test_a_real_model_asked_by_many_at_once_says_what_it_says_alone(tmp_path, monkeypatch):
    from material import TEST, tiny_model

    root = home(tmp_path / "home", "few-shot")
    monkeypatch.chdir(root)
    tiny_model(root / "tiny", context=1024)
    settings = (root / "advisor.yaml").read_text() + "model: tiny\nprecision: float32\n"
    (root / "advisor.yaml").write_text(settings)
    assert main(["run", "tolls", "--no-input"]) == 0
    assert main(["ship", "reports/tolls", "--contender", "few-shot"]) == 0
    folder = Registry(root).checkout("tolls@1")
    texts = [f"What is the toll of the {bridge} bridge?" for bridge in TEST]
    expected = asked(folder, *texts)
    with standing(folder) as server, ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda text: server.ask(text)[1], texts * 2))
    assert [reply["choices"][0]["message"]["content"] for reply in replies] == expected * 2
