"""What is found, by words, by meaning and by both; what is kept of it; what it is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from material import Listening, Silent, own, plan, recipe, small_task

from advisor.config import RetrievalSpec
from advisor.contenders import citing, search
from advisor.contenders.composed import Composed, Tools
from advisor.contenders.prompt import Passage
from advisor.contenders.recipe import Prepared, prepare, reopen
from advisor.contenders.retrieval import build, fuse, load, vectors_by_text, words
from advisor.core import Document, Example, Question, Task
from advisor.engines.embedders import FakeEmbedder, Vectors
from advisor.engines.fake import FakeEngine
from advisor.engines.rerankers import reranker
from advisor.errors import AdvisorError, Unfit
from advisor.measures.recall import rank, recall, right_passages
from advisor.report import Report
from advisor.report.lookups import advice, lookups
from advisor.runner.plan import Plan
from advisor.runner.run import run
from advisor.trial import Retrieved
from advisor.verdict import Measure

KINDS = ("lexical", "dense", "hybrid")
DOCUMENTS = (
    Document("hours.md", "The office opens at nine. It closes at five.", title="Hours"),
    Document("fees.md", "A permit costs 12 euros. A copy costs 2 euros.", title="Fees"),
    Document("pets.md", "Dogs are welcome. Cats stay outside.", title="Pets"),
)


@dataclass
class Counting:
    """An embedder that remembers what it embedded."""

    inner: FakeEmbedder = field(default_factory=FakeEmbedder)
    seen: list[str] = field(default_factory=list)
    name: str = "counting"
    digest: str = "counting"

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.seen += texts
        return self.inner.embed(texts)


def spec(kind: str = "hybrid", **more: Any) -> RetrievalSpec:
    return RetrievalSpec.model_validate({"kind": kind, "chunk_words": 10, **more})


def documents(index: Any, text: str, top_k: int = 1) -> list[str]:
    return [passage.document for passage in index.search([text], top_k)[0]]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


def made(text: str, task: Task, folder: Path, *, engine: FakeEngine | None = None,
         **more: Any) -> Prepared:
    tools = Tools(engine or FakeEngine(), more.pop("embedder", FakeEmbedder()))
    return prepare(recipe(text, folder), task.material, tools=tools, workdir=folder / "work",
                   seed=0, **more)


# ------------------------------------------------------------------ finding


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_finds_the_passage_and_is_the_same_after_saving(kind, tmp_path):
    index = build(DOCUMENTS, spec(kind), embedder=FakeEmbedder())
    index.save(tmp_path / "index")
    again = load(tmp_path / "index", spec(kind), embedder=FakeEmbedder())
    for one in (index, again):
        assert documents(one, "What does a permit cost?") == ["fees.md"]
        assert documents(one, "When does the office close?") == ["hours.md"]
    assert (tmp_path / "index" / "vectors.npy").is_file() == (kind != "lexical")


def test_words_that_stand_nowhere_find_nothing_by_words_alone():
    assert documents(build(DOCUMENTS, spec("lexical"), embedder=FakeEmbedder()), "zebra", 2) == []
    hybrid = build(DOCUMENTS, spec("hybrid"), embedder=FakeEmbedder())
    assert len(documents(hybrid, "zebra", 2)) == 2


@pytest.mark.parametrize("text", ["", "?!", "\ud800"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_question_without_words_breaks_nothing(kind, text):
    index = build(DOCUMENTS, spec(kind), embedder=FakeEmbedder())
    assert len(index.search([text, "permit"], 3)) == 2


def test_a_corpus_without_words_breaks_nothing():
    index = build([Document("a.md", "???"), Document("b.md", "!!!")], spec("lexical"),
                  embedder=FakeEmbedder())
    assert index.search(["permit"], 2) == [()]


def test_a_plural_finds_its_singular_and_a_number_is_a_word():
    assert words("Hours, 12 trams; glass 5s") == ["hour", "12", "tram", "glass", "5s"]


def test_fusion_adds_reciprocal_ranks():
    assert fuse([1, 2, 3], [3, 1]) == [1, 3, 2]
    assert fuse([1, 2], [2, 1]) == [1, 2]
    assert fuse([], [4]) == [4]


def test_what_a_recipe_cannot_combine_is_told(tmp_path):
    with pytest.raises(AdvisorError, match="`rerank` needs kind lexical, dense or hybrid"):
        recipe("retrieval: {kind: everything, rerank: x}", tmp_path)
    with pytest.raises(AdvisorError, match="`cite` needs something to read"):
        recipe("retrieval: {cite: true}", tmp_path)
    with pytest.raises(AdvisorError, match="at least two values"):
        recipe("retrieval: {kind: dense, tune: {top_k: [2]}}", tmp_path)


# ------------------------------------------------------------------ one document changes


def changed(at: int, text: str) -> tuple[Document, ...]:
    return tuple(replace(one, text=text) if i == at else one for i, one in enumerate(DOCUMENTS))


def test_a_changed_document_embeds_its_own_new_passages_and_no_other(tmp_path):
    build(DOCUMENTS, spec(), embedder=FakeEmbedder()).save(tmp_path / "index")
    counting = Counting()
    known = vectors_by_text(tmp_path / "index", FakeEmbedder())
    later = changed(1, "A permit costs 15 euros. A copy costs 2 euros.")
    index = build(later, spec(), embedder=counting, known=known)
    assert counting.seen == ["Fees\nA permit costs 15 euros.\nA copy costs 2 euros."]
    fresh = build(later, spec(), embedder=FakeEmbedder())
    assert index.passages == fresh.passages
    assert (index.vectors == fresh.vectors).all()


def test_a_removed_document_is_found_no_more(tmp_path):
    build(DOCUMENTS, spec(), embedder=FakeEmbedder()).save(tmp_path / "index")
    known = vectors_by_text(tmp_path / "index", FakeEmbedder())
    index = build(DOCUMENTS[1:], spec(), embedder=Counting(), known=known)
    assert "hours.md" not in {passage.document for passage in index.passages}
    assert len(index.vectors) == len(index.passages)


def harm_vectors(folder: Path) -> None:
    data = bytearray((folder / "vectors.npy").read_bytes())
    data[-1] ^= 1
    (folder / "vectors.npy").write_bytes(data)


def harm_about(folder: Path) -> None:
    (folder / "index.json").write_text("{")


def harm_passages(folder: Path) -> None:
    (folder / "passages.jsonl").write_text("")


@pytest.mark.parametrize("harm", [harm_vectors, harm_about, harm_passages])
def test_vectors_of_a_damaged_index_are_made_anew(harm, tmp_path):
    build(DOCUMENTS, spec(), embedder=FakeEmbedder()).save(tmp_path / "index")
    harm(tmp_path / "index")
    assert vectors_by_text(tmp_path / "index", FakeEmbedder()) == {}


def test_vectors_of_another_embedder_are_not_reused(tmp_path):
    build(DOCUMENTS, spec(), embedder=FakeEmbedder()).save(tmp_path / "index")
    assert vectors_by_text(tmp_path / "index", FakeEmbedder(128)) == {}


def test_a_run_after_one_changed_document_embeds_only_that(task, tmp_path):
    recipes = {"rag": own("rag")["rag"]}
    planned = plan(task, tmp_path / "run", recipes=recipes)
    counting = Counting()
    planned = replace(planned, tools=replace(planned.tools, embedder=counting))
    run(planned, Silent())
    counting.seen.clear()
    first, *rest = task.material.corpus
    later = replace(first, text="At the acorn bridge the toll is now 7 pence.")
    material = replace(task.material, corpus=(later, *rest), digest="later")
    run(replace(planned, task=replace(task, material=material)), Silent())
    embedded = [text for text in counting.seen if "?" not in text]
    assert embedded == ["The acorn bridge\nAt the acorn bridge the toll is now 7 pence."]


# ------------------------------------------------------------------ reranking


def test_a_cross_encoder_orders_what_was_found_again(tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    vocabulary = {token: n for n, token in enumerate(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(w for d in DOCUMENTS for w in words(d.text))])}
    plain = Tokenizer(models.WordLevel(dict(vocabulary), unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tmp_path / "tiny-reranker"
    PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]",
                            cls_token="[CLS]", sep_token="[SEP]").save_pretrained(folder)
    BertForSequenceClassification(BertConfig(
        vocab_size=max(vocabulary.values()) + 1, hidden_size=16, num_hidden_layers=1,
        num_attention_heads=2, intermediate_size=16, num_labels=1, max_position_embeddings=64,
    )).save_pretrained(folder)
    judge = reranker(str(folder))
    pairs = [("permit", DOCUMENTS[n].text) for n in range(3)]
    expected = sentence_transformers.CrossEncoder(str(folder)).predict(pairs)
    assert judge.score(pairs) == pytest.approx(expected.tolist())
    index = build(DOCUMENTS, spec(rerank=str(folder)), embedder=FakeEmbedder(), reranker=judge)
    scores = dict(zip(index.passages, judge.score(
        [("permit", one.text) for one in index.passages]), strict=True))
    found = index.search(["permit"], 3)[0]
    assert [scores[one] for one in found] == sorted(scores.values(), reverse=True)[:3]


def test_a_reranker_that_is_nowhere_is_told_with_its_key(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(AdvisorError, match="reranker 'no/such-one' cannot be resolved") as caught:
        reranker("no/such-one")
    assert "retrieval.rerank" in caught.value.fix


# ------------------------------------------------------------------ everything


def test_the_whole_corpus_stands_behind_the_instruction_and_before_the_shots(task, tmp_path):
    engine = Listening()
    text = "prompt: {shots: 2}\nretrieval: {kind: everything}\n"
    system = made(text, task, tmp_path, engine=engine).system
    [answer] = system.answer([task.test[0].question])
    said = "".join(map(chr, engine.asked[0]))
    assert said.count("Passage: ") == len(task.material.corpus) == len(answer.passages)
    assert said.rindex("Passage: ") < said.index("</system>") < said.index("<assistant>")


def test_a_corpus_that_does_not_fit_is_left_out_with_the_figures(task, tmp_path):
    text = "retrieval: {kind: everything}"
    with pytest.raises(Unfit, match=r"the whole corpus needs [\d,]+ tokens .* reads 2,000"):
        made(text, task, tmp_path, engine=FakeEngine(context_length=2000))
    recipes = {**own("zero-shot"), "whole": recipe(text, tmp_path)}
    small = plan(task, tmp_path / "run", recipes=recipes, engine=FakeEngine(context_length=2000))
    done = run(small, Silent())
    assert "the whole corpus needs" in done.skipped["whole"]
    assert done.failed == {}
    assert done.verdict.final


# ------------------------------------------------------------------ chosen on dev


SEARCHED = """\
retrieval:
  kind: lexical
  tune: {top_k: [1, 2, 4], chunk_words: [10, 40]}
"""


def test_the_search_takes_the_fewest_words_that_find_the_answer(task, tmp_path):
    found = made(SEARCHED, task, tmp_path)
    chosen = found.found["retrieval"]["chosen"]
    assert chosen == {"top_k": 1, "chunk_words": 10}
    assert (found.recipe.retrieval.top_k, found.recipe.retrieval.tune) == (1, None)
    assert [one["recall"] for one in found.found["retrieval"]["tried"]] == [1.0] * 6


def test_more_is_read_where_it_finds_more(task, tmp_path):
    # Every word of a question stands in the decoy too, which comes first.
    decoys = tuple(Document(f"a-{one.id}", f"{one.title}. What is the toll of it? Ask.",
                            title=one.title) for one in task.material.corpus)
    material = replace(task.material, corpus=(*decoys, *task.material.corpus))
    found = made(SEARCHED, replace(task, material=material), tmp_path)
    assert found.recipe.retrieval.top_k == 2


def test_the_chosen_values_are_saved_and_reported(task, tmp_path):
    system = made(SEARCHED, task, tmp_path).system
    (tmp_path / "system").mkdir()
    system.save(tmp_path / "system")
    saved = json.loads((tmp_path / "system" / "system.json").read_text())
    assert saved["recipe"]["retrieval"]["chunk_words"] == 10
    again, _ = reopen(tmp_path / "system", Tools(FakeEngine(), FakeEmbedder()))
    assert isinstance(again, Composed)
    assert again.recipe.retrieval.tune is None
    done = run(plan(task, tmp_path / "run", recipes={"rag": recipe(SEARCHED, tmp_path)}), Silent())
    assert done.verdict.standings[0].axes["retrieval"] == "lexical top 1"
    assert "chosen_on_dev" in (tmp_path / "run" / "run.yaml").read_text()


def test_without_a_known_passage_nothing_can_be_searched(task, tmp_path):
    dev = tuple(replace(one, sources=(), targets=("no passage says so",))
                for one in task.material.dev)
    bare = replace(task, material=replace(task.material, dev=dev))
    with pytest.raises(AdvisorError, match="no row of dev names a source"):
        made(SEARCHED, bare, tmp_path)


def test_the_search_sees_dev_alone(task):
    asked: list[str] = []

    class Watching(FakeEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            asked.extend(texts)
            return FakeEmbedder.embed(self, texts)

    tuned = RetrievalSpec.model_validate({"kind": "dense", "tune": {"top_k": [1, 2]}})
    search.retrieval(tuned, task.material, lambda one: build(
        task.material.corpus, one, embedder=Watching()))
    questions = {text for text in asked if text.endswith("?")}
    assert questions == {example.question.text for example in task.material.dev}


# ------------------------------------------------------------------ citations


READ = (Passage("a.md", "A."), Passage("b.md", "B."))


def test_a_citation_is_taken_off_and_names_its_passage():
    assert citing.checked("12 euros [2]", READ) == ("12 euros", (READ[1],), ())


def test_a_citation_of_what_was_not_read_is_made_up():
    text, cited, made_up = citing.checked("12 euros [1] [7] [0]", READ)
    assert (text, cited) == ("12 euros", (READ[0],))
    assert made_up == ("citation [7]: only 2 passages were read",
                       "citation [0]: only 2 passages were read")


def test_an_answer_cites_what_its_shots_showed(task, tmp_path):
    text = "prompt: {shots: 2}\nretrieval: {kind: dense, top_k: 2, cite: true}\n"
    engine = Listening()
    system = made(text, task, tmp_path, engine=engine).system
    [answer] = system.answer([task.test[0].question])
    said = "".join(map(chr, engine.asked[0]))
    assert "Passage [2]: " in said
    assert answer.text.endswith("pence")  # the last shot's answer, its mark taken off
    assert len(answer.sources) == 1


# ------------------------------------------------------------------ right passages


def row(target: str, *, sources: tuple[str, ...] = (), facts: tuple[str, ...] = ()) -> Example:
    return Example(Question("q", "?"), (target,), "q", sources, facts)


PASSAGES = (Passage("a.md", "It costs 12 euros."), Passage("b.md", "It costs 12 euros."),
            Passage("b.md", "It costs 120 euros."))


def test_a_right_passage_holds_the_answer_in_a_document_of_the_row():
    assert right_passages(row("12 euros"), PASSAGES) == {0, 1}
    assert right_passages(row("12 euros", sources=("b.md",)), PASSAGES) == {1}
    assert right_passages(row("long reply", sources=("b.md",), facts=("120 EUR", "120 euros")),
                          PASSAGES) == {2}


def test_an_answer_that_is_not_copied_makes_all_of_its_document_right():
    assert right_passages(row("a summary", sources=("b.md",)), PASSAGES) == {1, 2}
    assert right_passages(row("a summary"), PASSAGES) == frozenset()


def test_ranks_count_from_one_and_recall_counts_to_the_depth():
    assert [rank(frozenset({7}), found) for found in ([7, 1], [1, 7], [1, 2])] == [1, 2, 0]
    assert [recall([1, 2, 0, 3], depth) for depth in (1, 2, 5)] == [0.25, 0.5, 0.75]


# ------------------------------------------------------------------ in a run and its report


def looked_up(task: Task, folder: Path, *, text: str, engine: FakeEngine | None = None) -> Plan:
    made = plan(task, folder / "run", recipes={"rag": recipe(text, folder)}, engine=engine)
    return replace(made, settings=made.settings.model_copy(update={"oracle_probe": 24}))


def retrieved(done_in: Plan) -> Retrieved:
    from advisor.runner.journal import Journal
    from advisor.runner.trial import run_trial

    with Journal(done_in.folder / "journal.db") as journal:
        trial, _ = run_trial("rag", done_in.recipes["rag"], plan=done_in, journal=journal,
                             watch=Silent(), seed=done_in.seed)
    assert trial.retrieved is not None
    return trial.retrieved


def test_a_retriever_that_misses_is_told_from_a_model_that_misreads(task, tmp_path):
    # Decoys that look more like the question than the right document does.
    decoys = tuple(Document(f"a-{one.id}", f"What is the toll of {one.title.lower()}? Ask.",
                            title=one.title) for one in task.material.corpus)
    misled = replace(task, material=replace(
        task.material, corpus=(*decoys, *task.material.corpus), digest="misled"))
    planned = looked_up(misled, tmp_path, text="retrieval: {kind: lexical, top_k: 1}")
    done = run(planned, Silent())
    found = retrieved(planned)
    assert set(found.ranks.values()) == {2}
    assert set(found.oracle.values()) == {1.0}
    assert done.verdict.standings[0].quality.value == 0.0
    page = (planned.folder / "report.html").read_text(encoding="utf-8")
    assert "What was found, and what was made of it" in page
    assert "fix retrieval" in page
    assert "fix retrieval" in (planned.folder / "report.md").read_text(encoding="utf-8")


def test_a_model_that_misreads_is_told_from_a_retriever_that_misses(task, tmp_path):
    # Shots make the fake engine repeat them, whatever it reads.
    text = "prompt: {shots: 1}\nretrieval: {kind: lexical, top_k: 1}"
    planned = looked_up(task, tmp_path, text=text)
    run(planned, Silent())
    found = retrieved(planned)
    assert set(found.ranks.values()) == {1}
    assert set(found.oracle.values()) == {0.0}
    assert "fix the generator" in (planned.folder / "report.html").read_text(encoding="utf-8")


def test_a_second_run_looks_nothing_up_again(task, tmp_path):
    engine = Listening()
    planned = looked_up(task, tmp_path, text="retrieval: {kind: lexical, top_k: 1}", engine=engine)
    run(planned, Silent())
    asked = len(engine.asked)
    run(planned, Silent())
    assert len(engine.asked) == asked


def test_what_is_looked_up_is_embedded_once_for_all_contenders(task, tmp_path):
    class Watching(FakeEmbedder):
        def embed(self, texts: Sequence[str]) -> Vectors:
            asked.append(len(texts))
            return FakeEmbedder.embed(self, texts)

    asked: list[int] = []
    recipes = {f"rag-{top_k}": recipe(f"retrieval: {{kind: dense, top_k: {top_k}}}", tmp_path)
               for top_k in (1, 2)}
    made = plan(task, tmp_path / "run", recipes=recipes)
    made = replace(made, tools=replace(made.tools, embedder=Watching()))
    run(replace(made, settings=made.settings.model_copy(update={"oracle_probe": 0})), Silent())
    # The corpus once, then each contender's own answers, and what was found for them once.
    assert asked.count(len(task.test)) == 3
    assert asked.count(len(task.material.corpus)) == 1


def test_what_the_oracle_reads_never_counts_as_an_answer(task, tmp_path):
    planned = looked_up(task, tmp_path, text="retrieval: {kind: lexical, top_k: 1}")
    done = run(planned, Silent())
    assert done.verdict.standings[0].counts.asked == len(task.test)


@pytest.mark.parametrize(("gain", "ceiling", "said"), [
    (Measure(0.4, 0.3, 0.5, 60), Measure(0.9, 0.8, 0.95, 60), "fix retrieval"),
    (Measure(0.1, -0.1, 0.3, 60), Measure(0.4, 0.3, 0.5, 60), "fix the generator"),
    (Measure(0.2, 0.1, 0.3, 60), Measure(0.4, 0.3, 0.5, 60), "fix the generator, then retrieval"),
    (Measure(0.1, -0.1, 0.3, 60), Measure(0.95, 0.8, 1.0, 60), "cannot tell"),
    (Measure(0.4, 0.3, 0.5, 10), Measure(0.9, 0.8, 0.95, 10), "too few rows to tell (n = 10)"),
])
def test_the_advice_weighs_what_is_missing_with_and_without_the_right_passage(gain, ceiling, said):
    assert advice(gain, ceiling) == said


def test_a_report_without_retrieval_has_no_such_part(task, tmp_path):
    done = run(plan(task, tmp_path / "run", recipes=own("zero-shot")), Silent())
    assert lookups(Report(task, (), done.verdict, {})) == ()
    assert "What was found" not in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_an_index_saved_before_there_was_index_json_still_opens(tmp_path):
    build(DOCUMENTS, spec("dense"), embedder=FakeEmbedder()).save(tmp_path / "index")
    (tmp_path / "index" / "index.json").unlink()
    again = load(tmp_path / "index", spec("dense"), embedder=FakeEmbedder())
    assert documents(again, "What does a permit cost?") == ["fees.md"]


def test_a_search_embeds_each_passage_once(task, tmp_path):
    counting = Counting()
    text = "retrieval: {kind: dense, tune: {top_k: [1, 2], chunk_words: [10, 40]}}"
    made(text, task, tmp_path, embedder=counting)
    passages = [one for one in counting.seen if "?" not in one]
    assert len(passages) == len(set(passages))


def test_made_up_citations_shorten_no_prompt_and_are_noted(task, tmp_path):
    text = "retrieval: {kind: lexical, top_k: 1, cite: true}"
    rows = tuple(replace(one, question=replace(one.question, text=f"[7] {one.question.text}"))
                 for one in task.test)
    done = run(plan(replace(task, test=rows), tmp_path / "run", engine=Echo(),
                    recipes={"rag": recipe(text, tmp_path)}), Silent())
    assert done.verdict.standings[0].counts.shortened_prompts == 0
    assert "cite a passage that was not read: rag 24 of 24" in (
        tmp_path / "run" / "report.md").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Echo(FakeEngine):
    """Says all that it was asked."""

    def _say(self, turns: Any) -> str:
        return str(turns[-1][1])
