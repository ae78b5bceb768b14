"""Where an answer ends: stop strings, in every engine."""

from __future__ import annotations

import pytest
from material import tiny_model

from advisor.engines.fake import FakeEngine
from advisor.stops import cut, stopped


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


def test_lm_eval_ends_an_answer_that_has_not_begun():
    assert cut("\n\nblue", ("\n",), begun=True) == ""


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
    # A token of this model is a byte, and not every byte is a letter.
    letters = {n: [one for one in said.text if "!" <= one <= "~"] for n, said in free.items()}
    assert any(letters.values())
    for index, found in letters.items():
        for letter in found[:1]:
            [(_, ended)] = engine.generate([asked[index]], max_tokens=20, stop=(letter,))
            assert ended.text == cut(free[index].text, (letter,)) != free[index].text
            assert ended.tokens_out < free[index].tokens_out
