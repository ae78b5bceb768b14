"""An Ollama Modelfile: the chat template that was tuned on, the instruction, what ends answers.

Ollama's templates are Go's, a model's are Jinja. What the model's template puts around each
turn is read off conversations of known texts, and kept if it gives the same text for others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from advisor.config import Recipe
from advisor.contenders.prompt import Style, compose
from advisor.core import Question
from advisor.ship.llamacpp import GGUF

MODELFILE = "Modelfile"

Turns = Sequence[Mapping[str, str]]
# A conversation, its last turn the user's, as the text that the model is to continue.
Render = Callable[[Turns], str]
_MARKS = ("\u241e1\u241e", "\u241e2\u241e", "\u241e3\u241e", "\u241e4\u241e")


@dataclass(frozen=True, slots=True)
class Around:
    """What stands before and after a turn of each role, and before the answer."""

    system: tuple[str, str]
    user: tuple[str, str]
    assistant: tuple[str, str]
    answer: str

    def render(self, turns: Turns) -> str:
        parts = [getattr(self, turn["role"])[0] + turn["content"] + getattr(self, turn["role"])[1]
                 for turn in turns]
        return "".join(parts) + self.answer

    @property
    def go(self) -> str:
        """The same as a template of Go."""
        one = "{{ .Content }}".join
        return (f'{{{{ range .Messages }}}}{{{{ if eq .Role "system" }}}}{one(self.system)}'
                f'{{{{ else if eq .Role "user" }}}}{one(self.user)}'
                f'{{{{ else if eq .Role "assistant" }}}}{one(self.assistant)}'
                f"{{{{ end }}}}{{{{ end }}}}{self.answer}")


def around(render: Render) -> Around | None:
    """What `render` puts around turns, or None where that depends on more than their role."""
    said, asked, replied, asked_again = _MARKS
    talk = [_turn("system", said), _turn("user", asked), _turn("assistant", replied),
            _turn("user", asked_again)]
    try:
        begin, said_asked, asked_replied, replied_asked, end = _between(render(talk), _MARKS)
    except Exception:  # templates refuse what they do not know with errors of many kinds
        return None
    # Where two gaps end alike, that is taken to be the next turn's beginning.
    before_user = _common_end(said_asked, replied_asked)
    after_user = _common_start(asked_replied, end)
    found = Around(
        system=(begin, said_asked.removesuffix(before_user)),
        user=(before_user, after_user),
        assistant=(asked_replied.removeprefix(after_user), replied_asked.removesuffix(before_user)),
        answer=end.removeprefix(after_user),
    )
    texts = ["Be brief.", "One?\nTwo?", "1 \u00e9", "Three?", "3", "Four?"]
    roles = ["system", "user", "assistant", "user", "assistant", "user"]
    for length in (2, 4, 6):
        turns = [_turn(role, text) for role, text in
                 zip(roles[:length], texts[:length], strict=True)]
        if found.render(turns) != render(turns):
            return None
    literal = "".join((*found.system, *found.user, *found.assistant, found.answer))
    return None if "{{" in literal or '"""' in literal else found


def modelfile(
    described: Mapping[str, Any], turns: Around | None, *, ends: Sequence[str], context: int
) -> str:
    """The text of a Modelfile for the system that `described` (its system.json) tells of."""
    recipe, manner = Recipe.model_validate(described["recipe"]), described["manner"]
    reasons = recipe.prompt.reasoning != "none"
    style = Style(reasons, recipe.retrieval.cite)
    told = compose(manner["instruction"], Question("", ""), style=style)[0].content
    limit = manner["max_tokens"] + (recipe.prompt.reasoning_tokens if reasons else 0)
    lines = [f"FROM ./{GGUF}"]
    if turns is not None:
        lines.append(f'TEMPLATE """{turns.go}"""')
    lines += [f"SYSTEM {_quoted(told)}", "PARAMETER temperature 0",
              f"PARAMETER num_ctx {context}", f"PARAMETER num_predict {limit}"]
    stop = dict.fromkeys((*ends, *(() if reasons else manner["stop"])))
    lines += [f"PARAMETER stop {_quoted(text)}" for text in stop if text]
    return "\n".join(lines) + "\n"


def write_modelfile(folder: Path, engine: Any, described: Mapping[str, Any]) -> None:
    """Write it beside the GGUF file of `engine`, whose `measured` has the tokenizer."""
    tokenizer = engine.measured.weights.tokenizer

    def render(turns: Turns) -> str:
        return str(tokenizer.apply_chat_template(
            [dict(turn) for turn in turns], tokenize=False, add_generation_prompt=True))

    text = modelfile(described, around(render), ends=[tokenizer.eos_token],
                     context=engine.context_length)
    (folder / MODELFILE).write_text(text, encoding="utf-8")


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _between(text: str, marks: Sequence[str]) -> list[str]:
    """What stands before, between and after the marks; ValueError if one is not there once."""
    parts = []
    for mark in marks:
        before, found, text = text.partition(mark)
        if not found:
            raise ValueError(mark)
        parts.append(before)
    return [*parts, text]


def _common_end(one: str, other: str) -> str:
    return _common_start(one[::-1], other[::-1])[::-1]


def _common_start(one: str, other: str) -> str:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(letter for letter, _ in pairs)


def _quoted(text: str) -> str:
    """As Ollama reads it: nothing is escaped, so what holds a quote or a line stands in three."""
    return f'"""{text}"""' if '"' in text or "\n" in text else f'"{text}"'
