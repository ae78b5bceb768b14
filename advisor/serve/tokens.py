"""Who may ask: bearer tokens, of which only digests are kept."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from advisor.errors import AdvisorError

VARIABLE = "ADVISOR_TOKEN"
SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Tokens:
    """Digests of the tokens that open the door; without any it stands open."""

    digests: tuple[bytes, ...] = ()

    def allow(self, header: str) -> bool:
        """Whether an Authorization header holds one; how long this takes says nothing."""
        kind, _, token = header.partition(" ")
        given = sha256(token.strip().encode("utf-8", "replace")).digest()
        matches = [hmac.compare_digest(given, one) for one in self.digests]
        return not self.digests or (kind.lower() == "bearer" and any(matches))


def tokens(file: Path | None) -> Tokens:
    """From a file with one token a line, or else from the variable ADVISOR_TOKEN.

    Raises AdvisorError for a file that holds none, and for tokens that could be guessed.
    """
    if file is None:
        return _kept([os.environ[VARIABLE]] if VARIABLE in os.environ else [], VARIABLE)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AdvisorError(f"{file} cannot be read: {error}",
                           fix="name a text file with one token a line") from error
    found = _kept([line.strip() for line in lines if line.strip()], str(file))
    if not found.digests:
        raise AdvisorError(f"{file} holds no token", fix="write one token a line into it")
    return found


def _kept(given: Iterable[str], where: str) -> Tokens:
    digests = []
    for number, token in enumerate(given, start=1):
        if len(token) < SHORTEST or not token.isprintable() or " " in token:
            raise AdvisorError(
                f"{where}: token {number} is not {SHORTEST} or more characters without blanks",
                fix="make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'")
        digests.append(sha256(token.encode()).digest())
    return Tokens(tuple(digests))
