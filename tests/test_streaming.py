"""Answers sent while they are written: all pieces together are the answer, to the letter."""

from __future__ import annotations

import random
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from material import tiny_model
from shipping import finished, home
from standing import Held, standing, until

from advisor.cli import main
from advisor.engines.fake import FakeEngine
from advisor.engines.protocol import Generation
from advisor.serve.app import Limits
from advisor.ship.registry import Registry
from advisor.stops import cut, settled, stopped

openai = pytest.importorskip("openai")

ASKED = "What is the toll of the oak bridge? Größe, 價格, 🌉?"
MORE = {
    "cited": "prompt: {shots: 2}\nretrieval: {kind: dense, cite: true}\n",
    "reasoning": "prompt: {shots: 2, reasoning: steps}\n",
}
NAMES = ("floor", "zero-shot", "rag", *MORE)
WRITTEN = ("zero-shot", "rag")  # the others are read out of what is written, or write nothing


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    root = home(tmp_path_factory.mktemp("stream") / "home", "floor", "zero-shot", "rag")
    for name, text in MORE.items():
        (root / "baselines" / f"{name}.yaml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finished(root)
        for name in NAMES:
            assert main(["ship", "reports/tolls-fake", "--contender", name, "--as", name]) == 0
    return root


def bundle(root, name):
    return Registry(root).checkout(f"{name}@1")


def client(server):
    return openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=30)


def opened(server, text=ASKED):
    return client(server).chat.completions.create(
        model="tolls", messages=[{"role": "user", "content": text}], stream=True)


def pieces(chunks):
    return [chunk.choices[0].delta.content for chunk in chunks
            if chunk.choices and chunk.choices[0].delta.content]


@dataclass(frozen=True, slots=True)
class Slow(Held):
    """Is heard to write, but does not come to the end of an answer before `gate` is open."""

    def generate(self, prompts, **options):
        for index, said in FakeEngine.generate(self, prompts, **options):
            assert not index or self.gate.wait(20)  # the first stands for whoever comes later
            yield index, said


# ------------------------------------------------------------------ over the socket


@pytest.mark.parametrize("name", NAMES)
def test_the_pieces_of_a_stream_are_the_whole_answer(name, shipped):
    with standing(bundle(shipped, name)) as server:
        whole = server.ask(ASKED)[1]
        chunks = list(opened(server))
    found = pieces(chunks)
    assert "".join(found) == whole["choices"][0]["message"]["content"]
    assert (len(found) > 1) == (name in WRITTEN)
    assert [c.choices[0].delta.role for c in chunks[:2]] == ["assistant", None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].model_extra["sources"] == whole["sources"]
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_first_piece_comes_before_the_answer_is_finished(shipped):
    engine = Slow()
    with standing(bundle(shipped, "zero-shot"), open=engine.open) as server:
        engine.gate.clear()
        stream = opened(server)
        first = next(stream)
        assert first.choices[0].delta.content
        assert server.service.desk.inside == 1
        engine.gate.set()
        assert len(pieces(stream)) > 1


def test_streams_side_by_side_do_not_mix(shipped):
    texts = [f"Tell of the {word} bridge {'ü' * n}." for n, word in enumerate("abcdefghij" * 4)]
    with standing(bundle(shipped, "zero-shot")) as server, ThreadPoolExecutor(16) as pool:
        expected = [server.ask(text)[1]["choices"][0]["message"]["content"] for text in texts]
        found = list(pool.map(lambda text: "".join(pieces(opened(server, text))), texts))
    assert found == expected


def test_a_server_that_is_stopped_brings_its_streams_to_their_end(shipped):
    engine = Slow()
    with standing(bundle(shipped, "zero-shot"), open=engine.open) as server:
        engine.gate.clear()
        stream = opened(server)
        first = next(stream)
        server.server.handle_exit(signal.SIGTERM, None)
        assert server.send("GET", "/healthz")[0] == 503
        engine.gate.set()
        chunks = [first, *stream]
        assert chunks[-1].choices[0].finish_reason == "stop"
        server.thread.join(10)
        assert not server.thread.is_alive()


def test_a_client_that_leaves_its_stream_is_not_waited_for(shipped):
    engine = Slow()
    body = b'{"stream": true, "messages": [{"role": "user", "content": "Which bridge?"}]}'
    head = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: "
            b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
    with standing(bundle(shipped, "zero-shot"), open=engine.open) as server:
        engine.gate.clear()
        with socket.create_connection(("127.0.0.1", server.port)) as one:
            one.sendall(head + body)
            assert b"200 OK" in one.recv(4096)
            assert server.server.api.inside == 1
        until(lambda: server.server.api.inside == 0)
        engine.gate.set()
        assert server.ask(ASKED)[0] == 200


def test_a_stream_that_takes_too_long_ends_with_the_reason(shipped):
    engine = Slow()
    limits = Limits(seconds=0.5)
    with standing(bundle(shipped, "zero-shot"), open=engine.open, limits=limits) as server:
        engine.gate.clear()
        with pytest.raises(openai.APIError, match=r"no answer within 0\.5 seconds"):
            list(opened(server))
        engine.gate.set()
        until(lambda: server.server.api.inside == 0)


@dataclass(frozen=True, slots=True)
class Fickle(Held):
    """Writes one answer and gives another, or none while its gate is closed."""

    gives: str | None = None

    def generate(self, prompts, **options):
        for index, said in FakeEngine.generate(self, prompts, **options):
            if not self.gate.is_set() and (index or len(prompts) == 1):
                raise RuntimeError("out of memory")
            yield index, Generation(self.gives or said.text, 1, 0.0)


def test_an_answer_that_becomes_another_while_written_is_not_passed_off_as_one(shipped):
    engine = Fickle(gives="something else")
    with standing(bundle(shipped, "zero-shot"), open=engine.open) as server, \
            pytest.raises(openai.APIError, match="became another"):
        list(opened(server))


def test_what_fails_while_it_is_written_ends_the_stream_with_an_error(shipped):
    engine = Fickle()
    with standing(bundle(shipped, "zero-shot"), open=engine.open) as server:
        engine.gate.clear()
        with pytest.raises(openai.APIError, match="the log says why"):
            list(opened(server))
        until(lambda: server.server.api.inside == 0)


def test_what_is_refused_before_the_first_piece_keeps_its_status(shipped):
    with standing(bundle(shipped, "zero-shot")) as server:
        with pytest.raises(openai.BadRequestError, match="prompt too long"):
            opened(server, "toll " * 9000)
        with pytest.raises(openai.NotFoundError):
            client(server).chat.completions.create(
                model="none", messages=[{"role": "user", "content": "?"}], stream=True)


# ------------------------------------------------------------------ what stays


@pytest.mark.parametrize("stop", [(), ("\n",), ("END", "\n\n"), ("aab",), ("ab", "bab", "aaaa")])
def test_what_was_passed_on_is_never_taken_back(stop):
    draw = random.Random(11)
    for _ in range(300):
        text = "".join(draw.choices("ab\nEND ü🌉", k=draw.randint(0, 24)))
        sent = ""
        for end in range(1, len(text) + 1):
            if stopped(text[:end], stop):
                text = text[:end]
                break
            now = settled(text[:end], stop)
            assert now.startswith(sent)
            sent = now
        assert cut(text, stop).startswith(sent)


def test_without_stop_strings_nothing_is_held_back_but_half_a_letter():
    assert settled("toll \n", ()) == "toll \n"
    whole = "a🌉b".encode()
    assert [settled(whole[:n].decode(errors="replace"), ()) for n in range(1, 7)] == [
        "a", "a", "a", "a", "a🌉", "a🌉b"]


class Listened(list):
    """Prompts of which each is followed."""

    def __init__(self, prompts):
        super().__init__(prompts)
        self.heard = {}

    def follows(self, index):
        return index % 2 == 0

    def written(self, index, text):
        assert text.startswith(self.heard.get(index, ""))
        self.heard[index] = text


@pytest.mark.model
@pytest.mark.parametrize("stop", [(), ("e", "\n")])
def test_what_a_model_is_heard_to_write_begins_its_answer(stop, tmp_path):
    pytest.importorskip("torch")
    from advisor.engines import transformers
    from advisor.engines.models import resolve

    # Random weights write random bytes: few of them are letters, some become ones later.
    engine = transformers.engine(resolve(str(tiny_model(tmp_path / "tiny"))), dtype="float32")
    prompts = [engine.tokenize(f"Größe {n} 🌉 {'x' * n}") for n in range(40)]
    listened = Listened(prompts)
    said = dict(engine.generate(listened, max_tokens=24, stop=stop))
    alone = dict(engine.generate(prompts, max_tokens=24, stop=stop))
    assert {n: one.text for n, one in said.items()} == {n: one.text for n, one in alone.items()}
    assert listened.heard
    assert {index % 2 for index in listened.heard} == {0}
    assert all(said[index].text.startswith(text) for index, text in listened.heard.items())
    assert sum(len(text) for text in listened.heard.values()) > 20


@pytest.mark.model
def test_a_real_model_streams_what_it_says_whole(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    root = home(tmp_path / "home", "zero-shot")
    monkeypatch.chdir(root)
    tiny_model(root / "tiny", context=1024)
    settings = (root / "advisor.yaml").read_text() + "model: tiny\nprecision: float32\n"
    (root / "advisor.yaml").write_text(settings)
    assert main(["run", "tolls", "--no-input"]) == 0
    assert main(["ship", "reports/tolls", "--contender", "zero-shot"]) == 0
    texts = [f"What of bridge {n}? ü價🌉" for n in range(24)]
    with standing(Registry(root).checkout("tolls@1")) as server, ThreadPoolExecutor(6) as pool:
        whole = [server.ask(text)[1]["choices"][0]["message"]["content"] for text in texts]
        found = list(pool.map(lambda text: pieces(opened(server, text)), texts))
    assert ["".join(one) for one in found] == whole
    assert max(map(len, found)) > 3
