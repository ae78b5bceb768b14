"""Where an answer ends: stop strings, in every engine."""

from __future__ import annotations

import pytest
from material import tiny_model

from advisor.engines.fake import FakeEngine
from advisor.engines.stops import cut, stopped


@pytest.mark.parametrize(("said", "kept"), [
    ("blue\nred", "blue"),
    ("blue", "blue"),
    ("", ""),
    ("\n\nblue\nred", "\n\nblue"),  # nothing has been said before the first newlines
    ("\n", "\n"),
    ("blue END red\n", "blue "),
])
def test_a_stop_ends_an_answer_that_has_begun(said, kept):
    assert cut(said, ("\n", "END")) == kept
    assert stopped(said, ("\n", "END")) == (kept != said)
    assert cut(said, ()) == said
    assert not stopped(said, ())


def test_the_fake_engine_stops():
    engine = FakeEngine(learnt=(("colour", "blue\nred"),))
    [(_, said)] = engine.generate([engine.tokenize("<user>colour</user>")], max_tokens=8,
                                  stop=("\n",))
    assert said.text == "blue"


def test_generation_stops_where_the_text_says_so(tmp_path):
    from advisor.engines.models import resolve

    transformers_engine = pytest.importorskip("advisor.engines.transformers")
    files = resolve(str(tiny_model(tmp_path / "tiny")))
    engine = transformers_engine.engine(files, dtype="float32")
    asked = [engine.tokenize(text) for text in ("a", "bridge", "the toll of the willow bridge")]
    free = dict(engine.generate(asked, max_tokens=20))
    for index, said in free.items():
        middle = said.text.strip()[len(said.text.strip()) // 2]
        [(_, ended)] = engine.generate([asked[index]], max_tokens=20, stop=(middle,))
        assert ended.text == cut(said.text, (middle,)) != said.text
        assert ended.tokens_out <= said.tokens_out
