"""Texts one behind another in a row say, and learn, what each alone would."""

from __future__ import annotations

from typing import Any

import pytest
from material import tiny_model

from advisor.engines.models import resolve

torch = pytest.importorskip("torch")
transformers_engine = pytest.importorskip("advisor.engines.transformers")

from torch.nn import functional  # noqa: E402

from advisor.engines import layout, unpadded  # noqa: E402
from advisor.engines.rowwise import rowwise  # noqa: E402
from advisor.engines.unpadded import Texts  # noqa: E402

ROWS = [
    Texts((4,)),
    Texts((4, 1, 6)),
    Texts((4, 1, 6), shared=3, behind=3),
    Texts((4, 1, 6, 2), shared=3, behind=2),
]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    files = resolve(str(tiny_model(tmp_path_factory.mktemp("models") / "tiny")))
    return transformers_engine.engine(files, dtype="float32").weights.model


def drawn(texts: Texts) -> list[Any]:
    """Queries of 4 heads, keys and values of 2."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, heads, texts.ends[-1], 8, generator=generator).requires_grad_()
            for heads in (4, 2, 2)]


def one_by_one(query: Any, key: Any, value: Any, texts: Texts) -> Any:
    """The same by the attention of torch, text by text."""
    out, start = [], 0
    for number, end in enumerate((*((texts.shared,) if texts.shared else ()), *texts.ends)):
        seen = start > 0 and number <= texts.behind
        at = [*range(texts.shared if seen else 0), *range(start, end)]
        out.append(functional.scaled_dot_product_attention(
            query[:, :, start:end], key[:, :, at], value[:, :, at], enable_gqa=True,
            attn_mask=torch.ones(end - start, len(at), dtype=torch.bool).tril(len(at) - end + start)
        ))
        start = end
    return torch.cat(out, dim=2)


@pytest.mark.parametrize("kept", [0, unpadded.KEPT])
@pytest.mark.parametrize("texts", ROWS, ids=str)
def test_attention_and_its_gradients_are_those_of_each_text_alone(texts, kept, monkeypatch):
    monkeypatch.setattr(unpadded, "KEPT", kept)
    given = drawn(texts)
    ours = unpadded.attend(*given, texts, scale=8**-0.5)
    theirs = one_by_one(*given, texts)
    torch.testing.assert_close(ours, theirs)
    slope = torch.randn(ours.shape, generator=torch.Generator().manual_seed(2))
    for found, wanted in zip(torch.autograd.grad(ours, given, slope),
                             torch.autograd.grad(theirs, given, slope), strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("apart", [True, False], ids=["unpadded", "padded"])
def test_states_are_those_of_each_text_alone(model, apart, monkeypatch):
    assert layout._unpadded(model)
    monkeypatch.setattr(layout, "_unpadded", lambda _: apart)
    start = tuple(range(2, 22))
    rows = [(*start, 30, 31, 32), (*start, 33), (40, 41)]
    with torch.no_grad():
        together = layout.hidden(model, rows, 20, behind=2)
        alone = [model.get_decoder()(input_ids=torch.tensor([row])).last_hidden_state[0]
                 for row in rows]
    wanted = torch.cat([alone[0][-3:], alone[1][-1:], alone[2][-2:]])
    torch.testing.assert_close(together.last([3, 1, 2]), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together.part(1, 3).last([0, 1]), wanted[-1:], rtol=1e-4, atol=1e-4)


def test_attention_with_dropout_keeps_its_rows_padded(model, monkeypatch):
    monkeypatch.setattr(model.config, "attention_dropout", 0.1)
    assert not layout._unpadded(model)


@pytest.mark.parametrize("tuned", [True, False], ids=["head tuned", "head frozen"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_values_row_by_row_have_the_gradients_of_all_at_once(size, tuned):
    head = torch.nn.Linear(8, 5).requires_grad_(tuned)
    states, wanted = torch.randn(7, 8), torch.tensor([0, 1, 2, 3, 4, 0, 1])
    weights = torch.arange(7.0)

    def values(some: Any, part: slice) -> Any:
        return functional.cross_entropy(head(some), wanted[part], reduction="none")

    found = []
    for ours in (True, False):
        given = states.clone().requires_grad_()
        each = rowwise(values, given, head, size=size) if ours else values(given, slice(None))
        found.append((each, *torch.autograd.grad((weights * each).sum(), [
            given, *(head.parameters() if tuned else ())])))
    for mine, plain in zip(*found, strict=True):
        torch.testing.assert_close(mine, plain)
