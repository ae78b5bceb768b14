"""The engine against transformers, lm-eval and peft: faster, and still the same numbers."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import pickle
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from material import ROOT, tiny_model

from advisor.config import LoraWeights
from advisor.engines.models import ModelFiles, resolve
from advisor.engines.protocol import Course, Lesson, Message, Sampling
from advisor.engines.transformers import TransformersEngine
from advisor.engines.weights import Weights
from advisor.errors import AdvisorError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
generation = pytest.importorskip("advisor.engines.generation")
adapters = pytest.importorskip("advisor.engines.adapters")
checkpoint = pytest.importorskip("advisor.engines.checkpoint")
packing = pytest.importorskip("advisor.engines.packing")
attention = pytest.importorskip("advisor.engines.attention")
layout = pytest.importorskip("advisor.engines.layout")
rehearsal = pytest.importorskip("advisor.engines.rehearsal")
scoring = pytest.importorskip("advisor.engines.scoring")
training = pytest.importorskip("advisor.engines.training")
transformers_engine = pytest.importorskip("advisor.engines.transformers")
tuning = pytest.importorskip("advisor.engines.tuning")

CPU = torch.device("cpu")
SPEC = LoraWeights(kind="lora", rank=4, alpha=8.0, learning_rate=5e-3, epochs=3.0, batch_size=4,
                   checks=3)
PLAIN = Message("system", "Answer every question with the toll of the bridge and nothing else.")
NAMES = ("elm", "red oak", "the old willow", "ash", "hawthorn and briar", "yew")
BOTH = ["tiny", pytest.param("smollm2-135m-instruct", marks=pytest.mark.model)]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelFiles:
    return resolve(str(tiny_model(tmp_path_factory.mktemp("models") / "tiny")))


@pytest.fixture(scope="session", params=BOTH)
def engine(request: pytest.FixtureRequest, tiny: ModelFiles) -> Any:
    """In single precision, so that "the same" can be asked for digit by digit."""
    files = tiny if request.param == "tiny" else resolve(request.param)
    return transformers_engine.engine(files, dtype="float32")


def lessons() -> tuple[Lesson, ...]:
    return tuple(
        Lesson((PLAIN, Message("user", f"The {name} bridge?")), f"{7 + 3 * number} pence")
        for number, name in enumerate((*NAMES, "rowan", "lime"))
    )


def weights_digest(engine: Any) -> str:
    total = hashlib.sha256()
    for name, value in sorted(engine.weights.model.state_dict().items()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        total.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


# ------------------------------------------------------------------ rows in one pass


def test_the_shared_prefix_leaves_every_row_a_token():
    start = tuple(range(20))
    assert layout.shared_prefix([(*start, 1), (*start, 2, 3)]) == 20
    assert layout.shared_prefix([start, (*start, 2, 3)]) == 19
    assert layout.shared_prefix([start, start]) == 19


@pytest.mark.parametrize("rows", [[], [(1, 2, 3)], [(1,) * 30], [(1,) * 10, (1,) * 10],
                                  [(1,) * 30, (2,) * 30], [(1,) * 30, (1,)]])
def test_a_prefix_that_saves_nothing_is_none(rows):
    assert layout.shared_prefix(rows) == 0


def test_padding_stands_between_the_prefix_and_a_rows_own_tokens():
    batch = layout.pad([(1, 2, 3, 4), (1, 2, 5)], 2, device=CPU)
    assert batch.ids.tolist() == [[3, 4], [0, 5]]
    assert batch.mask.tolist() == [[True, True], [False, True]]
    assert batch.positions[:, -1].tolist() == [3, 2]


def test_positions_do_not_depend_on_the_company():
    alone = layout.pad([(5, 6, 7)], 0, device=CPU)
    among = layout.pad([(5, 6, 7), (1,) * 9], 0, device=CPU)
    assert among.positions[0, -3:].tolist() == alone.positions[0].tolist() == [0, 1, 2]


def rows_of(pairs: list[tuple[tuple[int, ...], tuple[int, ...]]], context: int = 4000) -> Any:
    return scoring._rows(scoring._requests(pairs, context))


def test_requests_that_begin_alike_are_fed_what_they_share_once():
    [row] = rows_of([((1, 2), (3, 4, 5)), ((9,), (8,)), ((1, 2), (3, 6, 7)), ((1, 2), (5,))])
    assert row.ids == [1, 2, 3, 4, 6, 9]
    assert row.positions == [0, 1, 2, 3, 3, 0]
    assert row.parents == [-1, 0, 1, 2, 2, -1]
    columns = {one.index: found for one, found in zip(row.requests, row.columns, strict=True)}
    assert columns == {0: [1, 2, 3], 1: [5], 2: [1, 2, 4], 3: [1]}


def test_a_token_sees_itself_and_those_that_stand_before_it_in_its_own_text():
    rows = rows_of([((1, 2), (3, 4)), ((1, 5), (6,))])
    batch = scoring._batch(rows, 10, CPU)
    assert batch.ids.tolist() == [[1, 2, 3, 5]]
    assert batch.positions.tolist() == [[10, 11, 12, 11]]
    assert batch.mask[0, 0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0],
                                               [1, 0, 0, 1]]


def test_rows_are_filled_to_their_width_and_wider_only_by_what_shares_more_than_it_adds():
    apart = [((n,) * 30, (1,)) for n in range(2, 7)]
    assert [len(row.ids) for row in rows_of(apart)] == [30, 60, 60]
    long = tuple(range(500))
    answers = [(long, (1000 + n, 1)) for n in range(30)]
    assert [len(row.ids) for row in rows_of([*answers, ((7,) * 100, (1,))])] == [100, 530]


def test_no_request_is_lost_and_a_long_context_leaves_room_for_its_continuation():
    pairs = [((1, 2, 3), (4,) * size) for size in (1, 5, 6, 2, 7, 9)]
    rows = rows_of(pairs, 10)
    assert sorted(one.index for row in rows for one in row.requests) == list(range(6))
    assert max(len(one.fed) for row in rows for one in row.requests) == 10


def test_passes_keep_every_row_in_the_order_of_width():
    rows = rows_of([((n,) * n, (1,)) for n in (700, 300, 900, 400)])
    passes = [[len(row.ids) for row in batch] for batch in scoring._passes(rows, 1500)]
    assert passes == [[300, 400], [700], [900]]


class Plain:
    """As much of a model as says how it attends."""

    class config:  # noqa: N801
        _attn_implementation = attention.NAME


def test_nothing_is_shared_where_a_model_keeps_its_own_attention(monkeypatch):
    rows = [(1,) * 40 + (n,) for n in range(2)]
    assert layout.shareable(Plain(), rows) == 40
    monkeypatch.setattr(Plain.config, "_attn_implementation", "sdpa")
    assert layout.shareable(Plain(), rows) == 0


def test_contexts_that_begin_alike_are_scored_behind_that_beginning():
    shots = tuple(range(100, 100 + scoring.BEGINNING))
    pairs = [((*shots, 1, 2, 3), (9,)), ((5,), (6,)), ((*shots, 1, 4), (8,)), ((*shots, 7), (8,))]
    families = list(scoring._families(Plain(), scoring._requests(pairs, 200)))
    assert [beginning for beginning, _ in families] == [shots, ()]
    assert [[one.context for one in requests] for _, requests in families] == [
        [(1, 2, 3), (1, 4), (7,)], [(5,)]
    ]


def test_an_empty_continuation_is_certain(engine):
    assert engine.score([((1, 2), ())]) == [(0.0, True)]


def test_an_engine_goes_to_another_process_without_its_weights(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    pair = (engine.tokenize("The toll"), engine.tokenize(" is low"))
    said = engine.score([pair])
    sent = pickle.loads(pickle.dumps(engine))
    assert sent.weights._model is None
    assert (sent.digest, sent.score([pair])) == (engine.digest, said)


# ------------------------------------------------------------------ generating


@cache
def as_it_came(folder: Path, dtype: str = "float32") -> Any:
    """The model as transformers reads it, with nothing of ours in it."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    return model.requires_grad_(False).eval()


def reference(engine: Any, prompt: tuple[int, ...], limit: int) -> list[int]:
    """What transformers' own greedy search says, the end token left out."""
    ids = torch.tensor([prompt])
    out = as_it_came(engine.weights.files.folder).generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=limit,
        pad_token_id=0, eos_token_id=sorted(engine._ends()),
    )
    said: list[int] = out[0, len(prompt):].tolist()
    return list(itertools.takewhile(lambda token: token not in engine._ends(), said))


def prompts(engine: Any) -> list[tuple[int, ...]]:
    return [engine.encode((PLAIN, Message("user", f"The {name} bridge?"))) for name in NAMES]


def test_greedy_answers_are_those_of_transformers_token_by_token(engine):
    asked = prompts(engine)
    assert layout.shared_prefix(asked) > 0
    assert len({len(prompt) for prompt in asked}) > 3
    decode = engine.weights.tokenizer.decode
    wanted = {i: reference(engine, prompt, 16) for i, prompt in enumerate(asked)}
    for index, said in engine.generate(asked, max_tokens=16):
        assert said.text == decode(wanted.pop(index), skip_special_tokens=True)
        assert said.tokens_out == len(reference(engine, asked[index], 16))
    assert wanted == {}


def test_prompts_that_share_nothing_are_answered_the_same(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    asked = [engine.tokenize(text) for text in ("a", "bridge", "the toll of the willow bridge")]
    assert layout.shared_prefix(asked) == 0
    for index, said in engine.generate(asked, max_tokens=20):
        wanted = reference(engine, asked[index], 20)
        assert said.text == engine.weights.tokenizer.decode(wanted, skip_special_tokens=True)


def test_more_rows_than_a_batch_holds_are_all_answered_the_same(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    asked = [engine.encode((PLAIN, Message("user", f"Bridge {n}?" * (n % 3 + 1))))
             for n in range(40)]
    answers = dict(engine.generate(asked, max_tokens=8))
    assert sorted(answers) == list(range(40))
    for index in (0, 17, 39):
        [(_, alone)] = engine.generate([asked[index]], max_tokens=8)
        assert answers[index].text == alone.text


def test_a_few_other_beginnings_leave_the_rest_what_they_share(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    shots = engine.tokenize("The willow bridge takes no toll. " * 20)
    asked = [shots + engine.tokenize(f"Bridge {n}?" * (n % 3 + 1)) for n in range(30)]
    asked[7], asked[19] = engine.tokenize("The toll of"), shots[:40] + engine.tokenize("is due.")
    apart = layout.families(engine.weights.model, asked)
    assert [sorted(part) for part in apart] == [[7, 19], sorted({*range(30)} - {7, 19})]
    limits = [4 + n % 5 for n in range(30)]
    answers = dict(engine.generate(asked, max_tokens=limits))
    for index in (3, 7, 19):
        wanted = reference(engine, asked[index], limits[index])
        assert answers[index].text == engine.weights.tokenizer.decode(
            wanted, skip_special_tokens=True)
    assert engine.weights._kept.tokens[: len(shots)] == shots


def test_prompts_read_in_small_parts_are_answered_the_same(tiny, monkeypatch):
    engine = transformers_engine.engine(tiny, dtype="float32")
    asked = [engine.encode((PLAIN, Message("user", f"Bridge {n}?" * (n % 5 + 1))))
             for n in range(20)]
    whole = dict(engine.generate(asked, max_tokens=12))
    monkeypatch.setattr(generation, "CPU_TOKENS", 64)
    parts = dict(engine.generate(asked, max_tokens=12))
    assert {n: one.text for n, one in parts.items()} == {n: one.text for n, one in whole.items()}


def test_sampled_text_continues_its_start_and_follows_the_seed(tiny):
    model = transformers_engine.engine(tiny, dtype="float32").weights.model
    starts = [(5, 6), (7,), (8, 9, 10)]
    texts = generation.sampled(model, starts, tokens=6, seed=1)
    assert texts == generation.sampled(model, starts, tokens=6, seed=1)
    assert texts != generation.sampled(model, starts, tokens=6, seed=2)
    for start, text in zip(starts, texts, strict=True):
        assert text[: len(start)] == start
        assert len(text) == len(start) + 6


def test_generating_nothing_is_no_work(engine):
    assert list(engine.generate([], max_tokens=8)) == []


def test_a_prompt_ends_where_the_answer_begins(engine):
    taught = engine.encode((PLAIN, Message("user", "Why?"), Message("assistant", "So."),
                            Message("user", "And?")))
    start = engine.encode((PLAIN, Message("user", "Why?")))
    assert taught[: len(start)] == start
    assert taught[len(start) :][: len(engine.tokenize("So."))] == engine.tokenize("So.")


# ------------------------------------------------------------------ scoring


def multiple_choice(rows: int) -> list[tuple[str, str]]:
    path = ROOT / "evals" / "retention" / "general_knowledge.jsonl"
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:rows]]
    return [(f"Question: {item['question']}\nAnswer:", f" {choice}")
            for item in items for choice in item["choices"]]


def requests(kind: str, arguments: list[tuple[str, ...]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, given, number) for number, given in enumerate(arguments)]


def both(engine: Any) -> tuple[Any, Any]:
    """Our model class and lm-eval's own, on the same weights."""
    models = pytest.importorskip("lm_eval.models.huggingface")
    from advisor.measures.lm_eval_model import EngineModel

    model = as_it_came(engine.weights.files.folder)
    theirs = models.HFLM(pretrained=model, tokenizer=engine.weights.tokenizer,
                         batch_size=1)
    return EngineModel(engine), theirs


def test_scores_are_those_of_lm_eval(engine):
    pairs = [*multiple_choice(10), ("", "A sentence with no context."), ("The toll", " is")]
    ours, theirs = (model.loglikelihood(requests("loglikelihood", pairs)) for model in both(engine))
    assert [one[0] for one in ours] == pytest.approx([one[0] for one in theirs], abs=1e-3)
    assert [one[1] for one in ours] == [bool(one[1]) for one in theirs]


def test_scores_behind_a_shared_beginning_are_those_of_lm_eval(engine):
    shots = "".join(f"{context}{answer}\n\n" for context, answer in multiple_choice(12))
    shots = shots[:110] if engine.context_length < 512 else shots
    pairs = [(f"{shots}{context}", answer) for context, answer in multiple_choice(6)]
    assert len(engine.tokenize(shots)) > scoring.BEGINNING
    ours, theirs = (model.loglikelihood(requests("loglikelihood", pairs)) for model in both(engine))
    assert [one[0] for one in ours] == pytest.approx([one[0] for one in theirs], abs=1e-3)
    assert [one[1] for one in ours] == [bool(one[1]) for one in theirs]


def test_a_context_too_long_is_cut_as_lm_eval_cuts_it(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    pairs = [("The toll of the bridge. " * 20, " is low"), ("x" * 256, "yz"), ("x" * 255, "y")]
    ours, theirs = (model.loglikelihood(requests("loglikelihood", pairs)) for model in both(engine))
    assert [one[0] for one in ours] == pytest.approx([one[0] for one in theirs], abs=1e-3)


@pytest.mark.parametrize("repeats", [1, 40])
def test_whole_texts_are_scored_in_the_windows_of_lm_eval(tiny, repeats):
    engine = transformers_engine.engine(tiny, dtype="float32")
    texts = [("The toll is low. " * repeats,), ("Rowan.",)]
    ours, theirs = (model.loglikelihood_rolling(requests("loglikelihood_rolling", texts))
                    for model in both(engine))
    assert ours == pytest.approx(theirs, abs=1e-2)


def test_a_score_does_not_depend_on_the_other_requests(engine):
    pairs = [(engine.tokenize(one), engine.tokenize(other)) for one, other in multiple_choice(3)]
    alone = [engine.score([pair])[0][0] for pair in pairs]
    assert [one[0] for one in engine.score(pairs)] == pytest.approx(alone, abs=1e-3)


def test_scoring_leaves_half_precision_weights_as_they_were(tiny):
    half = transformers_engine.engine(tiny, dtype="bfloat16")
    before = weights_digest(half)
    [(low, _)] = half.score([(half.tokenize("The toll"), half.tokenize(" is low"))])
    assert weights_digest(half) == before
    wide = transformers_engine.engine(tiny, dtype="float32")
    wide.weights.model.load_state_dict(half.weights.model.float().state_dict())
    [(high, _)] = wide.score([(wide.tokenize("The toll"), wide.tokenize(" is low"))])
    assert low == pytest.approx(high, abs=1e-4)


# ------------------------------------------------------------------ tuning


@pytest.fixture(scope="session")
def taught(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One tuning, and what was true before it."""
    folder = tmp_path_factory.mktemp("adapter") / "a"
    samples = [tuning.sample(engine, lesson.prompt, lesson.completion) for lesson in lessons()]
    before = training.dev_loss(engine.weights.model, samples, batch_size=8)
    digest = weights_digest(engine)
    cost = engine.tune(Course(lessons(), lessons()), SPEC, folder=folder, seed=3)
    return {"folder": folder, "loss": before, "digest": digest, "cost": cost}


def test_tuning_lowers_the_dev_loss(taught):
    assert min(taught["cost"].dev_loss) < taught["loss"]
    assert taught["cost"].train_loss[-1] < taught["cost"].train_loss[0]
    assert len(taught["cost"].dev_loss) == SPEC.checks
    assert taught["cost"].tokens_trained > 0


def test_tuning_leaves_the_base_weights_as_they_were(engine, taught):
    assert weights_digest(engine) == taught["digest"]
    assert not any(p.requires_grad for p in engine.weights.model.parameters())
    assert not hasattr(engine.weights.model, "peft_config")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft about its own future
def test_an_adapter_is_two_files_that_peft_loads(engine, taught):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder: Path = taught["folder"]
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors"]
    fresh = AutoModelForCausalLM.from_pretrained(engine.weights.files.folder, dtype=torch.float32)
    ids = torch.tensor([prompts(engine)[0]])
    with torch.inference_mode():
        base = fresh(input_ids=ids).logits
        peft = PeftModel.from_pretrained(fresh, str(folder))(input_ids=ids).logits
        ours = engine.with_weights(folder).weights.model(input_ids=ids).logits
    assert (peft - base).abs().max() > 1e-3
    assert torch.allclose(peft, ours, atol=2e-3)


def test_a_tuned_model_holds_only_what_its_adapter_changes(engine, tmp_path):
    spec = SPEC.model_copy(update={"top_layers": 0.5, "targets": "attention"})
    engine.tune(Course(lessons(), lessons()), spec, folder=tmp_path / "a", seed=3)
    base, before = engine.weights.model, weights_digest(engine)
    tuned = engine.with_weights(tmp_path / "a")
    apart = Weights(engine.weights.files, engine.weights.dtype, "none", tmp_path / "a")
    of_base = {id(parameter) for parameter in base.parameters()}
    own = [parameter for parameter in tuned.weights.model.parameters()
           if id(parameter) not in of_base]
    assert len(own) == 4 * (len(base.model.layers) // 2)  # q, k, v, o of the upper layers
    ids = torch.tensor([prompts(engine)[0]])
    with torch.inference_mode():
        assert torch.equal(tuned.weights.model(input_ids=ids).logits,
                           apart.model(input_ids=ids).logits)
    assert tuned.score([((1, 2), (3,))]) == TransformersEngine(apart).score([((1, 2), (3,))])
    assert weights_digest(engine) == before


@pytest.mark.parametrize("rehearsal", [0.0, 1.0])
def test_an_update_in_parts_is_the_same_update(tiny, tmp_path, rehearsal):
    course, found, needed = Course(lessons(), lessons()), [], []
    for at_once in (None, 3, 1):
        engine = transformers_engine.engine(tiny, dtype="float32")
        spec = SPEC.model_copy(update={"rows_at_once": at_once, "rehearsal": rehearsal})
        found.append(engine.tune(course, spec, folder=tmp_path / str(at_once), seed=1))
        rows = [tuning.sample(engine, one.prompt, one.completion) for one in course.train]
        needed.append(tuning._needed(engine.weights.model, spec, tuning.NEXT_TOKEN, rows))
    whole, *parted = found
    for one in parted:
        assert one.train_loss == pytest.approx(whole.train_loss, abs=1e-4)
        assert one.dev_loss == pytest.approx(whole.dev_loss, abs=1e-4)
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] < needed[0]


def test_the_best_check_is_the_one_that_is_kept(engine, taught):
    tuned = engine.with_weights(taught["folder"])
    samples = [tuning.sample(engine, lesson.prompt, lesson.completion) for lesson in lessons()]
    kept = training.dev_loss(tuned.weights.model, samples, batch_size=8)
    assert kept == pytest.approx(min(taught["cost"].dev_loss), abs=1e-3)


def test_an_output_layer_that_does_more_is_refused(tiny, monkeypatch):
    plain = layout.logits
    monkeypatch.setattr(layout, "logits", lambda model, hidden: plain(model, hidden) * 3)
    with pytest.raises(AdvisorError, match="changes its logits"):
        list(transformers_engine.engine(tiny, dtype="float32").generate([(1, 2)], max_tokens=1))


def test_layers_that_are_not_attention_are_refused(tiny, tmp_path):
    shutil.copytree(tiny.folder, tmp_path / "mixed")
    path = tmp_path / "mixed" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "layer_types": ["full_attention", "conv"]}))
    with pytest.raises(AdvisorError, match="layers of kind 'conv'"):
        transformers_engine.engine(resolve(str(tmp_path / "mixed")))


def test_weights_adapter_precision_and_scheme_are_in_the_digest(engine, taught):
    half = transformers_engine.engine(engine.weights.files, dtype="bfloat16")
    others = [engine, engine.with_weights(taught["folder"]), engine.quantised("nf4"), half,
              engine.quantised("nf4").with_weights(taught["folder"])]
    assert len({one.digest for one in others}) == len(others)
    assert engine.quantised("none").digest == engine.digest


def test_the_same_seed_trains_the_same_adapter(tiny, tmp_path):
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        engine = transformers_engine.engine(tiny, dtype="float32")
        engine.tune(Course(lessons(), lessons()), SPEC, folder=tmp_path / name, seed=seed)
    one, two, other = ((tmp_path / name / "adapter_model.safetensors").read_bytes()
                       for name in ("one", "two", "other"))
    assert one == two != other
    config = json.loads((tmp_path / "one" / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of peft about its own future
def test_adapters_are_tuned_in_half_precision_too(tiny, tmp_path):
    engine = transformers_engine.engine(tiny, dtype="bfloat16")
    spec = SPEC.model_copy(update={"rehearsal": 1.0})
    cost = engine.tune(Course(lessons(), lessons()), spec, folder=tmp_path / "a", seed=1)
    assert min(cost.dev_loss) < cost.train_loss[0]
    model = engine.weights.model
    with packing.plain(model):
        tuned = pytest.importorskip("peft").get_peft_model(
            model, tuning._lora_config(spec, model)).base_model.model
        layers = [m for m in tuned.modules() if hasattr(m, "cast_input_dtype_enabled")]
        assert layers
        with training._mixed(tuned, tuned.dtype):
            assert not any(layer.cast_input_dtype_enabled for layer in layers)
        assert all(layer.cast_input_dtype_enabled for layer in layers)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft asks transformers of old names
def test_the_losses_of_fifty_updates_are_those_of_a_plain_loop(tiny, tmp_path):
    """transformers' own loss, peft's own layers, the same batches, one row at a time."""
    peft = pytest.importorskip("peft")
    spec = SPEC.model_copy(update={"epochs": 50 * SPEC.batch_size / len(lessons()), "checks": 1})
    engine = transformers_engine.engine(tiny, dtype="float32")
    cost = engine.tune(Course(lessons(), lessons()), spec, folder=tmp_path / "a", seed=3)
    torch.manual_seed(3)
    model = as_it_came.__wrapped__(tiny.folder)
    tuned = peft.get_peft_model(model, tuning._lora_config(spec, model)).train()
    weights = [weight for weight in tuned.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=spec.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, training._warmup_then_linear(50, spec.warmup))
    samples = [tuning.sample(engine, lesson.prompt, lesson.completion) for lesson in lessons()]
    losses = []
    for batch in training._batches(samples, spec, steps=50, seed=3):
        graded = sum(sample.graded for sample in batch)
        total = torch.zeros(())
        for sample in batch:
            ids = torch.tensor([sample.tokens])
            labels = ids.clone()
            labels[:, : -sample.graded] = -100
            loss = tuned(input_ids=ids, labels=labels).loss
            total = total + loss * sample.graded / graded
        total.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(float(total.detach()))
    assert len(cost.train_loss) == 50
    assert cost.train_loss == pytest.approx(losses, abs=1e-3)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_adapters_that_cannot_be_merged_are_tuned_as_peft_has_them(tiny, tmp_path):
    engine = transformers_engine.engine(tiny, dtype="float32")
    spec = SPEC.model_copy(update={"dropout": 0.1})
    engine.tune(Course(lessons(), lessons()), spec, folder=tmp_path / "a", seed=1)
    model = engine.weights.model
    with packing.plain(model):
        tuned = pytest.importorskip("peft").get_peft_model(
            model, tuning._lora_config(spec, model))
        assert not any(adapters._mergeable(layer) for layer in tuned.modules())


def test_drawn_answers_do_not_depend_on_their_company(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    asked = prompts(engine)
    sampling = Sampling(temperature=0.7, top_p=0.9, seed=5)
    together = dict(engine.generate(asked, max_tokens=8, sampling=sampling))
    fewer = dict(engine.generate(asked[:2], max_tokens=8, sampling=sampling))
    assert {n: together[n].text for n in fewer} == {n: one.text for n, one in fewer.items()}
    other = dict(engine.generate(asked, max_tokens=8, sampling=replace(sampling, seed=6)))
    assert {n: one.text for n, one in other.items()} != {
        n: one.text for n, one in together.items()}


def test_too_few_limits_are_refused():
    rules = generation.Rules(frozenset(), lambda _: False, generation.most_likely)
    with pytest.raises(ValueError, match="1 limits for 2 prompts"):
        list(generation.write(None, [(1,), (2,)], [4], rules))


def test_every_prompt_has_its_own_limit(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    asked = prompts(engine)
    limits = [1 + n % 5 for n in range(len(asked))]
    whole = dict(engine.generate(asked, max_tokens=8))
    for index, said in engine.generate(asked, max_tokens=limits):
        assert said.tokens_out <= limits[index]
        assert whole[index].text.startswith(said.text)


def test_rows_take_the_places_of_finished_ones_and_answer_the_same(tiny, monkeypatch):
    engine = transformers_engine.engine(tiny, dtype="float32")
    asked = [engine.encode((PLAIN, Message("user", f"Bridge {n}?" * (n % 4 + 1))))
             for n in range(24)]
    limits = [2 + 5 * n % 11 for n in range(24)]
    whole = {n: one.text for n, one in engine.generate(asked, max_tokens=limits)}
    monkeypatch.setattr(generation, "ROWS", 4)
    assert {n: one.text for n, one in engine.generate(asked, max_tokens=limits)} == whole


def test_a_single_call_reuses_the_beginning_of_the_last_ones(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    asked = prompts(engine)
    whole = {n: one.text for n, one in engine.generate(asked, max_tokens=8)}
    kept = engine.weights._kept
    assert len(kept) >= layout.MIN_PREFIX
    for n, prompt in enumerate(asked):
        assert [one.text for _, one in engine.generate([prompt], max_tokens=8)] == [whole[n]]
    assert engine.weights._kept is kept


def test_what_prompts_share_is_computed_alike_whatever_was_asked_before(tiny):
    engine = transformers_engine.engine(tiny, dtype="float32")
    asked = prompts(engine)
    shared = engine.weights.beginning(asked)
    longer = [(*asked[0], 5, 6), (*asked[0], 7, 8)]
    assert len(engine.weights.beginning(longer)) > len(shared)
    assert len(engine.weights._kept) > len(shared)
    assert engine.weights.beginning(asked) is engine.weights._kept
    assert len(engine.weights._kept) == len(shared)


@torch.inference_mode()
@pytest.mark.parametrize("earlier", [0, 3])  # tokens that a cache held before
@pytest.mark.parametrize("behind", [0, 5])
def test_attention_in_blocks_is_attention_at_once(behind, earlier, monkeypatch):
    draw = torch.Generator().manual_seed(7)
    query = torch.randn(3, 6, 11, 8, generator=draw)
    key, value = (torch.randn(3, 2, 11 + earlier, 8, generator=draw) for _ in "kv")
    before = tuple(torch.randn(1, 2, behind, 8, generator=draw) for _ in "kv") if behind else None
    visible = torch.ones(11, 11 + earlier, dtype=torch.bool).tril(earlier)
    visible[4, 2] = False  # as where a row is a tree
    mask = attention.additive(visible[None, None], torch.float32)
    whole = attention._plain(query, key, value, mask, before=before)
    monkeypatch.setattr(attention, "BLOCK", 4)
    monkeypatch.setattr(attention, "SCORES", 600)  # two rows at a time, or one
    parts = attention._in_blocks(query, key, value, mask, before=before)
    assert torch.allclose(parts, whole, atol=1e-6)


def test_attention_that_this_package_cannot_do_stays_as_it_came(tiny, monkeypatch):
    monkeypatch.setattr(attention, "_plain", lambda query, *_, **__: torch.zeros_like(query))
    engine = transformers_engine.engine(tiny, dtype="float32")
    assert not layout.shares(engine.weights.model)
    assert layout.shareable(engine.weights.model, prompts(engine)) == 0
    wanted = reference(engine, prompts(engine)[0], 8)
    [(_, said)] = engine.generate(prompts(engine)[:1], max_tokens=8)
    assert said.text == engine.weights.tokenizer.decode(wanted, skip_special_tokens=True)


def test_an_interrupted_tuning_goes_on_and_ends_where_it_would_have(tiny, tmp_path, monkeypatch):
    course = Course(lessons(), lessons())
    engine = transformers_engine.engine(tiny, dtype="float32")
    whole = engine.tune(course, SPEC, folder=tmp_path / "whole", seed=1)
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "APART", 0)
    plain, calls = training._losses, itertools.count()

    def power_cut(*given: Any) -> Any:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(training, "_losses", power_cut)
    with pytest.raises(KeyboardInterrupt):
        engine.tune(course, SPEC, folder=tmp_path / "part", seed=1)
    cost = engine.tune(course, SPEC, folder=tmp_path / "part", seed=1)
    assert next(calls) == len(whole.train_loss) + 1  # one was cut short, none was done twice
    assert cost.train_loss == whole.train_loss
    one, two = ((tmp_path / name / "adapter_model.safetensors").read_bytes()
                for name in ("whole", "part"))
    assert one == two


@pytest.mark.parametrize("harm", ["other", "cut"])
def test_a_checkpoint_that_does_not_fit_is_ignored(tiny, tmp_path, monkeypatch, harm):
    course = Course(lessons(), lessons())
    engine = transformers_engine.engine(tiny, dtype="float32")
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoint, "APART", 0)
    engine.tune(course, SPEC, folder=tmp_path / "a", seed=1 if harm == "cut" else 2)
    written = tmp_path / "a.checkpoint"
    if harm == "cut":
        written.write_bytes(written.read_bytes()[:-9])
    cost = engine.tune(course, SPEC, folder=tmp_path / "a", seed=1)
    assert cost.train_loss == engine.tune(course, SPEC, folder=tmp_path / "b", seed=1).train_loss


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_on_four_bits_answers_and_is_scored(tiny, tmp_path, dtype):
    pytest.importorskip("bitsandbytes")
    base = transformers_engine.engine(tiny, dtype=dtype).quantised("nf4")
    base.tune(Course(lessons(), lessons()), SPEC, folder=tmp_path / "a", seed=1)
    tuned = base.with_weights(tmp_path / "a")
    [(_, said)] = tuned.generate(prompts(tuned)[:1], max_tokens=4)
    assert said.tokens_out <= 4
    pair = (tuned.tokenize("The toll"), tuned.tokenize(" is low"))
    [(first, _)] = tuned.score([pair])
    assert first < 0
    assert tuned.score([pair])[0][0] == first


def test_a_second_tuning_starts_from_the_base(tiny, tmp_path):
    engine = transformers_engine.engine(tiny, dtype="float32")
    for name in ("one", "two"):
        engine.tune(Course(lessons(), lessons()), SPEC, folder=tmp_path / name, seed=1)
    one, two = ((tmp_path / name / "adapter_model.safetensors").read_bytes()
                for name in ("one", "two"))
    assert one == two


def test_rehearsal_keeps_the_tuned_model_near_the_base(tiny, tmp_path):
    engine = transformers_engine.engine(tiny, dtype="float32")
    text, earlier = engine.rehearsal(seed=0)
    again, spent = engine.rehearsal(seed=0)
    assert (earlier, spent) == (0.0, text.seconds)
    assert again is text
    assert len(text.texts) == len(text.hidden) == rehearsal.ROWS

    def divergence(model: Any) -> float:
        with torch.no_grad():
            return float(text.divergence(model, layout.hidden(model, text.texts)))

    assert divergence(engine.weights.model) == pytest.approx(0, abs=1e-5)
    drift = {}
    for weight in (0.0, 50.0):
        folder, spec = tmp_path / str(weight), SPEC.model_copy(update={"rehearsal": weight})
        engine.tune(Course(lessons(), lessons()), spec, folder=folder, seed=1)
        drift[weight] = divergence(engine.with_weights(folder).weights.model)
    assert 0 < drift[50.0] < drift[0.0] / 2


def test_a_full_disk_is_told_as_such_when_an_adapter_is_saved(tmp_path):
    from safetensors import SafetensorError

    class Full:
        peft_config: Any = None

        def save_pretrained(self, *_: Any, **__: Any) -> None:
            raise SafetensorError("I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError, match="No space left") as told:
        tuning._save(Full(), tmp_path, base="x", dtype=torch.float32)
    assert told.value.errno == errno.ENOSPC


def test_rehearsing_beside_the_lessons_is_the_same_as_apart(engine):
    samples = [tuning.sample(engine, lesson.prompt, lesson.completion) for lesson in lessons()][:3]
    model, part = engine.weights.model, engine.rehearsal(seed=0)[0].part(0, 2)
    with torch.no_grad():
        loss, drift = training._losses(model, samples, part)
        apart = training._loss(model, samples)
    assert float(loss) == pytest.approx(float(apart), rel=1e-4)
    assert float(drift) == pytest.approx(0, abs=1e-4)


def test_only_the_top_layers_get_an_adapter(tiny, tmp_path):
    from safetensors import safe_open

    engine = transformers_engine.engine(tiny, dtype="float32")
    spec = SPEC.model_copy(update={"top_layers": 0.5})
    engine.tune(Course(lessons(), lessons()), spec, folder=tmp_path / "a", seed=1)
    with safe_open(tmp_path / "a" / "adapter_model.safetensors", "pt") as file:
        changed = {name.split(".layers.")[1].split(".")[0] for name in file.keys()}  # noqa: SIM118
    count = engine.weights.model.config.num_hidden_layers
    assert changed == {str(layer) for layer in range(count - count // 2, count)}


def test_every_text_is_rehearsed_in_its_turn():
    texts = tuple((number,) for number in range(10))
    written = rehearsal.Rehearsal(texts, torch.arange(10.0)[:, None, None], 0.0, None)
    parts = [written.part(step, 4) for step in range(3)]
    assert [[n for (n,) in part.texts] for part in parts] == [[0, 1, 2, 3], [4, 5, 6, 7],
                                                              [8, 9, 0, 1]]
    assert parts[2].hidden.flatten().tolist() == [8.0, 9.0, 0.0, 1.0]


def test_a_lesson_too_long_for_the_model_is_refused(tiny, tmp_path):
    engine = transformers_engine.engine(tiny, dtype="float32")
    long = replace(lessons()[0], completion="x" * 300)
    with pytest.raises(AdvisorError, match="the model reads 256"):
        engine.tune(Course((long,), lessons()), SPEC, folder=tmp_path / "a", seed=1)
    assert not hasattr(engine.weights.model, "peft_config")


def test_a_lesson_grades_its_completion_and_the_end_only(engine):
    lesson = lessons()[0]
    sample = tuning.sample(engine, lesson.prompt, lesson.completion)
    said = (*engine.tokenize(lesson.completion), engine.weights.tokenizer.eos_token_id)
    assert sample.graded == len(said)
    assert sample.tokens == (*engine.encode(lesson.prompt), *said)


def test_the_loss_with_a_shared_prefix_is_the_loss_without(engine):
    samples = [tuning.sample(engine, lesson.prompt, lesson.completion) for lesson in lessons()[:5]]
    model = engine.weights.model
    part = next(iter(model.get_decoder().layers)).self_attn.q_proj.weight
    results = []
    part.requires_grad_(True)
    # A row alone shares its beginning with nobody.
    with packing.plain(model):
        for batches in ([samples], [[sample] for sample in samples]):
            total = sum(training._loss(model, batch) for batch in batches)
            results.append((float(total.detach()), torch.autograd.grad(total, part)[0]))
    part.requires_grad_(False)
    (one, slope), (other, steepness) = results
    count = training.NEXT_TOKEN.count(samples)
    assert one / count == pytest.approx(other / count, abs=1e-4)
    assert torch.allclose(slope, steepness, atol=1e-3 * float(slope.abs().max()))


# ------------------------------------------------------------------ four bits


def test_four_bit_weights_pass_the_same_gradient_after_they_answered(engine):
    pytest.importorskip("bitsandbytes")
    model = tuning._base(engine.quantised("nf4").weights)
    ids = torch.tensor([prompts(engine)[0]])

    def gradient() -> Any:
        given = model.get_input_embeddings()(ids).detach().requires_grad_()
        model(inputs_embeds=given).logits.float().square().mean().backward()
        return given.grad

    before = gradient()
    with torch.no_grad():
        model.eval()(ids)
    assert torch.equal(gradient(), before)


def test_four_bit_weights_answer_and_can_be_tuned(engine, tmp_path):
    pytest.importorskip("bitsandbytes")
    packed = engine.quantised("nf4")
    answers = dict(packed.generate(prompts(engine)[:2], max_tokens=6))
    assert sorted(answers) == [0, 1]
    packed.tune(Course(lessons()[:4], lessons()[:4]), SPEC, folder=tmp_path / "a", seed=1)
    tuned = packed.with_weights(tmp_path / "a")
    pair = [(engine.tokenize("The toll"), engine.tokenize(" is low"))]
    assert tuned.score(pair) != packed.score(pair)
