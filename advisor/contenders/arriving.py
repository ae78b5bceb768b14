"""Questions that arrive while others are being answered, as when a system is served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, overload

from advisor.contenders.composed import Asked, Composed
from advisor.core import Answer, Question, System
from advisor.engines.protocol import Engine, TokenIds

# Asked with the first questions of each round, for one token: what it shares with them is
# what all questions share, so the beginning that is read once suits whoever comes later.
_STRANGER = Question("stranger", "?", ("?",))
# A round that has let in so many ends before more are: what it holds is then given back.
MOST = 256

More = Callable[[int], Sequence[Question]]


class Listener(Protocol):
    """Who wants to hear answers while they are written, by the question's id."""

    def wants(self, id: str) -> bool: ...

    def hears(self, id: str, more: str) -> None:
        """The next piece; all pieces together begin the text of the answer."""
        ...


def answers(
    system: System, first: Sequence[Question], more: More, listener: Listener | None = None
) -> Iterator[Answer]:
    """Answer `first`, and what `more(places)` hands over meanwhile; ends when all have been.

    Only a model of this process takes newcomers in: with any other system `more` is not
    called. All ids must differ. What `answer` raises ends everybody. `listener` hears answers
    in which nothing is changed once they are written.
    """
    engine = system.engine if isinstance(system, Composed) else None
    if not isinstance(system, Composed) or engine is None:
        yield from system.answer(first)
        return
    waiting = list(first)
    while waiting:
        answering = _Round(system, more, listener if system.verbatim else None)
        answering.add(waiting)
        yield from answering.answers(engine)
        waiting = answering.left


class _Round(Sequence[TokenIds]):
    """The prompts of one call of an engine; see `engines.protocol.Arriving` and `Followed`."""

    def __init__(self, system: Composed, more: More, listener: Listener | None) -> None:
        self._listener = listener
        self._heard: dict[int, int] = {}  # letters of each answer that were passed on
        self.left: list[Question] = []
        self._system = system
        self._more = more
        self._refused: deque[Answer] = deque()
        self._asked = system.asked([_STRANGER])
        self._constraints = system.constraints([_STRANGER])

    def add(self, questions: Sequence[Question], beginning: TokenIds = ()) -> None:
        """Let in those whose prompts begin so; others are left for the next round."""
        for one in self._system.asked(questions):
            if not one.prompt.fits:
                self._refused.append(self._system.refused(one))
            elif _tokens(one)[: len(beginning)] == beginning:
                self._constraints += self._system.constraints([one.question])
                self._asked.append(one)
            else:
                self.left.append(one.question)

    def take(self, beginning: TokenIds, places: int) -> None:
        if self.left or places < 1 or len(self) >= MOST:
            return
        if new := self._more(places):
            self.add(new, beginning)

    def follows(self, index: int) -> bool:
        return self._listener is not None and self._listener.wants(self._asked[index].question.id)

    def written(self, index: int, text: str) -> None:
        heard = self._heard.get(index, 0)
        if self._listener is not None and len(text) > heard:
            self._heard[index] = len(text)
            self._listener.hears(self._asked[index].question.id, text[heard:])

    def answers(self, engine: Engine) -> Iterator[Answer]:
        system, known = self._system, len(self)
        if known > 1:
            for index, said in engine.generate(
                self, max_tokens=[1] + [system.max_tokens] * (known - 1), stop=system.stop,
                constraints=self._constraints,
            ):
                if index:
                    yield system.answered(self._asked[index], said)
                yield from self._refusals()
        yield from self._refusals()

    def _refusals(self) -> Iterator[Answer]:
        while self._refused:
            yield self._refused.popleft()

    def __len__(self) -> int:
        return len(self._asked)

    @overload
    def __getitem__(self, index: int) -> TokenIds: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[TokenIds]: ...
    def __getitem__(self, index: int | slice) -> TokenIds | Sequence[TokenIds]:
        if isinstance(index, slice):
            return [_tokens(one) for one in self._asked[index]]
        return _tokens(self._asked[index])


def _tokens(asked: Asked) -> TokenIds:
    return asked.prompt.conversation.tokens
