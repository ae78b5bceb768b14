"""Answers held to a schema or to choices: derived from train, kept by the model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from material import ROOT, Silent, own, plan, recipe, small_task, suited, tiny_model

from advisor.config import Recipe
from advisor.contenders import decoding
from advisor.contenders.recipe import fits
from advisor.core import Example, Question, Task
from advisor.data.task import load_task
from advisor.engines.protocol import Constraint, Message
from advisor.errors import AdvisorError
from advisor.runner.run import run

SCHEMA = json.dumps({
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12},
                   "size": {"enum": ["small", "large"]}, "new": {"type": "boolean"}},
    "required": ["name", "size", "new"], "additionalProperties": False,
})


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


def learning(task: Task, *targets: Any, choices: tuple[str, ...] = ()) -> Any:
    """The task's material with these targets in train."""
    train = tuple(
        Example(Question(f"t{n}", f"{n}?", choices),
                (one if isinstance(one, str) else json.dumps(one),), f"t{n}")
        for n, one in enumerate(targets)
    )
    return replace(task.material, train=train)


def derived(task: Task, *targets: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(decoding.schema(learning(task, *targets)))
    return found


# ------------------------------------------------------------------ what is derived


def test_a_field_whose_values_repeat_becomes_an_enumeration(task):
    found = derived(task, {"a": "x"}, {"a": "y"}, {"a": "x"}, {"a": "y"})
    assert found["properties"]["a"] == {"enum": ["x", "y"]}


def test_a_field_of_free_text_is_bounded_at_half_as_long_again(task):
    found = derived(task, *({"a": "abcd" * n} for n in (1, 2, 3)))
    assert found["properties"]["a"] == {"type": "string", "maxLength": 18}


def test_a_field_that_some_targets_lack_is_optional(task):
    found = derived(task, {"a": 1, "b": True}, {"a": 1})
    assert found["required"] == ["a"]
    assert list(found["properties"]) == ["a", "b"]


def test_objects_lists_and_mixed_fields_keep_their_shape(task):
    values = [{"a": {"b": n}, "c": ["x"] * n, "d": None if n % 2 else n} for n in range(9)]
    found = derived(task, *values)
    for value in values:
        jsonschema.validate(value, found)


def test_every_target_of_the_shipped_json_task_fits_its_derived_schema():
    tickets = load_task(ROOT / "evals" / "ticket-triage")
    found = json.loads(decoding.schema(tickets.material))
    for example in (*tickets.material.train, *tickets.material.dev, *tickets.test):
        jsonschema.validate(json.loads(example.targets[0]), found)


def test_the_schema_of_the_task_goes_before_a_derived_one(task):
    material = replace(learning(task, {"a": 1}), answer_schema=SCHEMA)
    assert decoding.schema(material) == SCHEMA


def test_targets_that_are_no_objects_give_no_schema(task):
    with pytest.raises(AdvisorError, match="no JSON object") as caught:
        decoding.schema(learning(task, "12 pence"))
    assert "answer_schema" in caught.value.fix


def test_labels_are_the_targets_of_rows_without_choices(task):
    assert decoding.labels(learning(task, "yes", "no", "yes")) == ("no", "yes")
    assert decoding.labels(learning(task, "yes", choices=("yes", "no"))) == ()


def test_targets_that_never_repeat_are_no_labels(task):
    with pytest.raises(AdvisorError, match="labels that repeat"):
        decoding.labels(learning(task, *(f"{n} pence" for n in range(20))))


@pytest.mark.parametrize("kind", ["json", "choices"])
def test_a_task_whose_answers_are_neither_is_left_out_with_the_reason(kind, task, tmp_path):
    held = recipe(f"decoding: {{kind: {kind}}}", tmp_path)
    reason = fits(held, task.material)
    assert f"decoding.kind: {kind} needs" in reason
    assert fits(held, suited(task, kind).material) == ""


def test_reasoning_first_and_a_held_answer_exclude_each_other(tmp_path):
    with pytest.raises(AdvisorError, match=r"needs `decoding\.kind: free`"):
        recipe("prompt: {reasoning: steps}\ndecoding: {kind: json}", tmp_path)


# ------------------------------------------------------------------ what the model keeps


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("llguidance")
    transformers = pytest.importorskip("advisor.engines.transformers")
    from advisor.engines.models import resolve

    folder = tiny_model(tmp_path_factory.mktemp("models") / "tiny", context=512)
    made = transformers.engine(resolve(str(folder)), dtype="float32")
    # Its letters are end tokens too, which no schema could do without.
    made.weights.model.generation_config.eos_token_id = 0
    return made


def generated(engine: Any, constraints: list[Constraint], *, max_tokens: int = 80) -> list[str]:
    """What a model of random weights says, held to the constraints."""
    prompts = [engine.encode([Message("user", f"{'long ' * (n % 3)}question {n}")])
               for n in range(len(constraints))]
    found = dict(engine.generate(prompts, max_tokens=max_tokens, constraints=constraints))
    return [found[n].text for n in range(len(constraints))]


def test_every_answer_of_a_random_model_fits_the_schema(engine):
    for text in generated(engine, [Constraint(schema=SCHEMA)] * 40):
        jsonschema.validate(json.loads(text), json.loads(SCHEMA))
        assert list(json.loads(text)) == ["name", "size", "new"]
        assert text == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


def test_every_answer_is_a_choice_of_its_own_question(engine):
    sets = [("yes", "no"), ("a longer one", "a longer two", "a"), ('"quoted"', "back\\slash", "ü")]
    held = [Constraint(sets[n % 3]) for n in range(12)]
    for text, constraint in zip(generated(engine, held), held, strict=True):
        assert text in constraint.choices


def test_without_constraints_nothing_changes(engine):
    prompts = [engine.encode([Message("user", "Why?")])]
    free = [one.text for _, one in engine.generate(prompts, max_tokens=8)]
    assert [one.text for _, one in engine.generate(prompts, max_tokens=8, constraints=[])] == free


@pytest.mark.parametrize(("schema", "what"), [
    ('{"type": "string", "format": "my-own"}', "cannot be held to"),
    ('{"type": "object", "properties": {"a": {"not": {"type": "null"}}}}', "cannot be held to"),
    ('{"type": "strin"}', "cannot be held to"),
    ("[]", "cannot be"),
], ids=["format", "not", "type", "list"])
def test_a_schema_that_cannot_be_expressed_is_refused_before_anything_is_said(
    engine, schema, what
):
    with pytest.raises(AdvisorError, match=what) as caught:
        generated(engine, [Constraint(schema=schema)])
    assert "task.yaml" in caught.value.fix


def test_the_other_contenders_go_on_when_a_schema_cannot_be_expressed(task, engine, tmp_path):
    odd = replace(task, material=replace(task.material, answer_schema='{"type": "strin"}'))
    held = Recipe.model_validate({"decoding": {"kind": "json"}})
    made = plan(odd, tmp_path / "run", recipes={**own("floor"), "held": held})
    done = run(replace(made, tools=replace(made.tools, engine=engine)), Silent())
    assert "cannot be held to" in done.failed["held"]
    assert [one.contender for one in done.verdict.standings] == ["floor"]


def test_a_task_may_bring_its_schema(tmp_path: Path):
    from material import write_task

    folder = write_task(tmp_path / "tolls")
    with (folder / "task.yaml").open("a", encoding="utf-8") as stream:
        stream.write(f"answer_schema: {SCHEMA}\n")
    found = load_task(folder).material
    assert json.loads(found.answer_schema) == json.loads(SCHEMA)
