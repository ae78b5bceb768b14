"""The Modelfile says to Ollama what a model was tuned with."""

from __future__ import annotations

import jinja2
import pytest
from material import CHAT

from advisor.config import Recipe
from advisor.ship.modelfile import around, modelfile

CHATML = (
    "{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system\n"
    "Be helpful.<|im_end|>\n{% endif %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'system' %}<<SYS>>{{ m.content }}<</SYS>>"
    "{% elif m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }} </s>{% endif %}{% endfor %}")
TRIMS = CHATML.replace("{{ m.content }}", "{{ m.content | trim | upper }}")
COUNTS = CHATML.replace("{{ m.role }}", "{{ m.role }}{{ loop.index }}")
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise('none') }}{% endif %}" + CHATML
BRACES = CHATML.replace("<|im_end|>", "{{ '{{' }}")


def renders(template: str):
    compiled = jinja2.Environment(keep_trailing_newline=True).from_string(template)
    return lambda turns: compiled.render(messages=list(turns), add_generation_prompt=True)


@pytest.mark.parametrize("template", [CHAT, CHATML, LLAMA2])
def test_what_stands_around_turns_is_read_off_the_template(template):
    found = around(renders(template))
    turns = [{"role": role, "content": role.upper()}
             for role in ("system", "user", "assistant", "user")]
    assert found.render(turns) == renders(template)(turns)


@pytest.mark.parametrize("template", [TRIMS, COUNTS, NO_SYSTEM, BRACES, "", "{{ messages }}"])
def test_a_template_that_does_more_than_that_is_left_to_the_file(template):
    assert around(renders(template)) is None


def test_the_template_of_go_says_each_turn_between_its_texts():
    assert around(renders(CHATML)).go == (
        '{{ range .Messages }}{{ if eq .Role "system" }}<|im_start|>system\n{{ .Content }}'
        '{{ else if eq .Role "user" }}<|im_end|>\n<|im_start|>user\n{{ .Content }}<|im_end|>\n'
        '<|im_start|>assistant\n{{ else if eq .Role "assistant" }}{{ .Content }}{{ end }}'
        "{{ end }}")


def test_a_modelfile_carries_instruction_limit_and_what_ends_an_answer():
    described = {"recipe": Recipe().model_dump(mode="json"),
                 "manner": {"instruction": 'Say "yes".', "max_tokens": 40, "stop": ["\n", "END"]}}
    text = modelfile(described, None, ends=["<|end|>"], context=512)
    assert text == (
        'FROM ./model.gguf\nSYSTEM """Say "yes"."""\nPARAMETER temperature 0\n'
        "PARAMETER num_ctx 512\nPARAMETER num_predict 40\n"
        'PARAMETER stop "<|end|>"\nPARAMETER stop """\n"""\nPARAMETER stop "END"\n')
