"""Grading: what each scorer reads, what that is worth, and that no text breaks it."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from advisor.core import Answer, Example, Grade, Question, ScorerSpec, Usage, Voice
from advisor.measures.scorers import grade, part_names
from advisor.measures.scorers.short_answer import tokens

CITIES = ("Paris", "London", "New York")
SPECS = {
    "exact": (ScorerSpec("exact"), "exact"),
    "choice": (ScorerSpec("choice"), "exact"),
    "short_answer": (ScorerSpec("short_answer"), "f1"),
    "reply": (ScorerSpec("reply", voice=Voice(
        opening=("Hello!",), sign_off=("Bye.",), sentence_words=9, sentences=2,
        forbidden=("sorry",), units=(("kilometres", "km"),))), "both"),
    "json": (ScorerSpec("json", ("severity", "who.name")), "field_accuracy"),
}
TICKET = {"severity": 2, "who": {"name": "Ann"}, "note": "a } brace"}


def graded(kind: str, text: str, *targets: str, choices: tuple[str, ...] = ()) -> Grade:
    spec, primary = SPECS[kind]
    example = Example(Question("q", "?", choices), targets, "q")
    return grade(Answer("q", text, Usage(1, 1, 0.1)), example, spec, primary=primary)


def ticket(text: str, **change: Any) -> Grade:
    return graded("json", text, json.dumps({**TICKET, **change}))


# ------------------------------------------------------------------ every scorer


def test_a_failure_is_not_a_wrong_answer() -> None:
    answer = Answer("q", "", Usage(0, 0, 0.0), failure="out of memory")
    example = Example(Question("q", "?"), ("x",), "q")
    assert grade(answer, example, ScorerSpec("exact"), primary="exact") == Grade(
        None, "", "out of memory", "failed", {}
    )


@pytest.mark.parametrize("kind", SPECS)
def test_an_empty_answer_earns_nothing_in_every_part(kind: str) -> None:
    target = json.dumps(TICKET)
    found = graded(kind, " \n", target)
    assert (found.credit, found.status, found.why) == (0.0, "empty", "the answer is empty")
    assert dict(found.parts) == dict.fromkeys(part_names(SPECS[kind][0]), 0.0)


def hostile_texts() -> list[str]:
    draw = random.Random(0)
    alphabet = '{}[]":,\\\n aA1.-)(\u0000\u2028\ud800\udfff😀éﬁ０'
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(60))) for _ in range(1500)]
    texts += ["".join(chr(draw.randrange(0x110000)) for _ in range(20)) for _ in range(300)]
    texts += ['{"a":' * 50_000, "[" * 100_000, "{" * 100_000, '{"' * 50_000, '{"a":{"' * 30_000]
    texts += ['{"a": "' + '\\"{' * 50_000, '{"a":' + "[" * 5000 + "]" * 5000 + "}"]
    texts += ['{"severity": ' + "9" * 9000 + "}", '{"severity": NaN}', '{"severity": 1e999}']
    texts += ['{"severity": 2, "severity": 3}', '{"severity": "\\ud800"}', "a) " * 30_000]
    return texts


@pytest.mark.parametrize("kind", SPECS)
def test_no_text_raises_and_every_part_is_a_share(kind: str) -> None:
    spec = SPECS[kind][0]
    for text in hostile_texts():
        found = graded(kind, text, '{"severity":2,"who":{"name":"Ann"}}', choices=CITIES)
        assert found.credit is not None
        assert tuple(sorted(found.parts)) == tuple(sorted(part_names(spec)))
        assert all(0.0 <= part <= 1.0 for part in found.parts.values())
        (found.read_as + found.why).encode("utf-8")


@pytest.mark.parametrize("text", ['{"' * 100_000, '{"a":{"\\"' * 50_000, '"\\"' * 100_000])
def test_reading_takes_time_in_proportion_to_the_text(text: str) -> None:
    started = time.process_time()
    assert graded("json", text, "{}").status == "unreadable"
    assert time.process_time() - started < 2.0


# ------------------------------------------------------------------ exact


@pytest.mark.parametrize("text", ["Paris", " PARIS. ", "paris\n", "PARIS ."])
def test_exact_ignores_case_space_and_a_full_stop(text: str) -> None:
    assert graded("exact", text, "London", "Paris").credit == 1.0


def test_exact_says_what_it_expected() -> None:
    found = graded("exact", "In Paris", "Paris", "paris, France")
    assert (found.credit, found.read_as) == (0.0, "in paris")
    assert found.why == "expected 'Paris | paris, France', found 'in paris'"


def test_a_lone_full_stop_is_unreadable() -> None:
    assert graded("exact", ".", "x").status == "unreadable"


# ------------------------------------------------------------------ choice

READ_AS = [
    ("Paris", "Paris"), ("paris.", "Paris"), ("B", "London"), ("b)", "London"), ("(B)", "London"),
    ("B. London", "London"), ("C: New York, of course", "New York"), ("B", "London"),
    ("The capital is London!", "London"), ("It is new york", "New York"),
    ("A) Paris, not London", "Paris"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "choice"), READ_AS)
def test_a_choice_is_read_by_text_or_by_letter(text: str, choice: str) -> None:
    found = graded("choice", text, choice, choices=CITIES)
    assert (found.read_as, found.credit, found.why) == (choice, 1.0, f"chose {choice!r}")


UNREAD = [
    ("London or Paris", "ambiguous: names 'Paris' and 'London'"),
    ("A) London", "ambiguous: letter A and 'London'"),
    ("Berlin", "names none of the choices"),
    ("F", "names none of the choices"),
    ("Comparisons", "names none of the choices"),
    ("a dog", "names none of the choices"),
]


@pytest.mark.parametrize(("text", "why"), UNREAD)
def test_an_unclear_choice_is_unreadable(text: str, why: str) -> None:
    found = graded("choice", text, "Paris", choices=CITIES)
    assert (found.credit, found.status, found.why) == (0.0, "unreadable", why)


def test_a_wrong_choice_is_read_and_earns_nothing() -> None:
    found = graded("choice", "B", "Paris", choices=CITIES)
    assert (found.credit, found.status) == (0.0, "read")
    assert found.why == "expected 'Paris', chose 'London'"


def test_a_choice_inside_a_longer_one_is_not_named_by_it() -> None:
    found = graded("choice", "He is not guilty", "not guilty", choices=("guilty", "not guilty"))
    assert found.credit == 1.0


def test_a_letter_that_is_itself_a_choice_means_that_choice() -> None:
    assert graded("choice", "A)", "A", choices=("B", "A")).credit == 1.0


# ------------------------------------------------------------------ short answer

NORMAL = [
    ("The Eiffel Tower!", "eiffel tower"),
    ("twenty days", "20 days"),
    ("1,000 €", "1000 €"),
    ("-3.5", "-3.5"),
    ("3-5 days of Covid-19.", "3-5 days of covid19"),
    ("“A”", "a"),
]


@pytest.mark.parametrize(("text", "words"), NORMAL)
def test_short_answers_are_normalised_as_in_squad(text: str, words: str) -> None:
    assert " ".join(tokens(text)) == words


def test_a_longer_answer_contains_the_target_and_shares_f1() -> None:
    found = graded("short_answer", "It takes fourteen days.", "30 days", "14 days")
    assert found.parts == {"f1": pytest.approx(2 / 3), "exact": 0.0, "contains": 1.0}
    assert (found.read_as, found.why) == ("it takes 14 days", "f1 0.67 with '14 days'")


def test_words_out_of_order_are_not_contained() -> None:
    assert graded("short_answer", "days 14", "14 days").parts == {
        "f1": 1.0, "exact": 0.0, "contains": 0.0
    }  # fmt: skip


def test_a_decimal_point_matters() -> None:
    assert graded("short_answer", "35", "3.5").credit == 0.0


def test_an_answer_of_punctuation_is_unreadable() -> None:
    assert graded("short_answer", "?!", "x").why == "the answer holds no word and no number"


# ------------------------------------------------------------------ json


def test_the_target_itself_earns_everything() -> None:
    found = ticket(json.dumps(TICKET))
    assert set(found.parts.values()) == {1.0}
    assert (found.read_as, found.why) == (
        '{"note":"a } brace","severity":2,"who":{"name":"Ann"}}', "equal to the target"
    )


@pytest.mark.parametrize("frame", ["```json\n{}\n```", "Use {{x}} and \\frac{{a}}: {}. Done {{"])
def test_an_object_in_prose_is_read_but_is_not_valid(frame: str) -> None:
    found = ticket(frame.replace("{}", json.dumps(TICKET), 1))
    assert (found.credit, found.parts["exact"], found.parts["valid"]) == (1.0, 1.0, 0.0)


def test_wrong_fields_are_listed_with_what_was_expected() -> None:
    found = ticket('{"severity": 3, "who": "Ann"}')
    assert found.why == 'severity: expected 2, found 3; who.name: expected "Ann", found nothing'
    assert found.parts["field:severity"] == 0.0
    assert found.credit == 0.0


@pytest.mark.parametrize("value", ["2.0", '"2"', "true", "[2]", "null"])
def test_a_value_of_another_type_is_wrong(value: str) -> None:
    found = ticket(f'{{"severity": {value}, "who": {{"name": "Ann"}}}}')
    assert found.parts["field:severity"] == 0.0
    assert found.credit == 0.5


def test_true_is_not_one() -> None:
    assert ticket('{"severity": true}', severity=1).parts["field:severity"] == 0.0


def test_other_keys_cost_exactness_only() -> None:
    found = ticket('{"severity": 2, "who": {"name": "Ann"}}')
    assert (found.credit, found.parts["exact"], found.parts["valid"]) == (1.0, 0.0, 1.0)
    assert found.why == "all graded fields agree, the rest does not"


UNREADABLE = [
    ("no braces", "no JSON object in it"),
    ('{"severity": 2, "who": {"name": "Ann"}', "the JSON object is cut off"),
    ('{"severity": 2, "severity": 2}', "the JSON object is broken: key 'severity' stands twice"),
    ("{'severity': 2}", "no JSON object in it"),
    ('{"severity": Infinity}', "the JSON object is broken: Infinity is not JSON"),
    ('{"a":' * 70 + "1" + "}" * 70, "the JSON object is broken: nested deeper than 64 levels"),
]


@pytest.mark.parametrize(("text", "why"), UNREADABLE)
def test_what_is_no_object_is_unreadable_and_earns_nothing(text: str, why: str) -> None:
    found = ticket(text)
    assert (found.status, found.why, found.credit) == ("unreadable", why, 0.0)
    assert set(found.parts.values()) == {0.0}


def test_a_broken_object_does_not_hide_a_good_one_after_it() -> None:
    assert ticket('{"severity": ...} becomes ' + json.dumps(TICKET)).credit == 1.0


def test_the_target_that_agrees_best_counts() -> None:
    other = json.dumps({"severity": 9, "who": {"name": "Bo"}})
    assert graded("json", json.dumps(TICKET), other, json.dumps(TICKET)).credit == 1.0


# ------------------------------------------------------------------ reply


GOOD = "Hello! It rides 42 km on one charge. Bye."


@pytest.mark.parametrize(("text", "fact", "broken"), [
    (GOOD, 1, ""),
    ("Hello! It rides 42km now. Bye.", 1, ""),
    ("Hello! It rides 42 kilometres. Bye.", 1, "units"),
    ("Hello! It rides 43 km. Bye.", 0, ""),
    ("Hello! It rides 142 km. Bye.", 0, ""),
    ("Hi! It rides 42 km. Bye.", 1, "opening"),
    ("Hello! It rides 42 km.", 1, "sign_off"),
    ("Hello! Sorry, it rides 42 km. Bye.", 1, "forbidden"),
    ("Hello! It is sorrynot 42 km. Bye.", 1, ""),
    ("Hello! It rides a very long way of about 42 km. Bye.", 1, "sentence_words"),
    ("Hello! It rides 42 km. Yes. Really. Bye.", 1, "sentences"),
    ("Hello! Bye.", 0, "sentences"),
    ("Hello!\nIt rides 42 km.\nBye.", 1, ""),
])
def test_a_reply_is_graded_by_fact_and_voice_apart_and_together(text, fact, broken) -> None:
    grade_ = graded_reply(text)
    rules = {name.partition(":")[2] for name, value in grade_.parts.items()
             if name.startswith("rule:") and not value}
    assert grade_.parts["fact"] == fact
    assert rules == ({broken} if broken else set())
    assert grade_.credit == fact * (not broken)


def graded_reply(text: str) -> Grade:
    spec, primary = SPECS["reply"]
    example = Example(Question("q", "?"), (GOOD,), "q", facts=("42 km", "42km", "42 kilometres"))
    return grade(Answer("q", text, Usage(1, 1, 0.1)), example, spec, primary=primary)
