"""The one error a user can cause."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class AdvisorError(Exception):
    """What is wrong and where, and what to type or change next.

    `problem` names the file, line or key and what was expected there; `fix` is
    one imperative sentence or a command. The command line prints both and exits
    with `exit_code` (2: the input is at fault).
    """

    exit_code = 2

    def __init__(self, problem: str, *, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem}\n  fix: {self.fix}"


class Faults(AdvisorError):
    """Every fault found in one input, reported together."""

    def __init__(self, where: str, faults: Iterable[str], *, fix: str) -> None:
        self.faults = tuple(faults)
        count = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        lines = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(f"{where}: {count}{lines}", fix=fix)


class Unfit(AdvisorError):
    """A contender cannot take part in this task, and nothing is wrong with either."""


class Busy(AdvisorError):
    """Another process holds the run."""

    exit_code = 75


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for a close match, otherwise the allowed words."""
    names = sorted(allowed)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else f" (expected one of: {', '.join(names)})"
