"""Personal data that can be found by its form; values are named masked, never in full.

Numbers with a check digit are verified by python-stdnum, telephone numbers by phonenumbers.
Names of people have no form: they are not looked for, and the finding says so.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from advisor.checks.finding import Finding, Looked

E_MAIL = re.compile(r"\b[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}\b", re.IGNORECASE)
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
CARD = re.compile(r"(?<![\w.-])[3-6]\d{3}(?:[ -]?\d){9,15}(?![\w-])")
ADDRESS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])|"
                     r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}(?![\w:])", re.IGNORECASE)
RESERVED = re.compile(r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net)|[\w-]+\.(?:example|invalid))$",
                      re.IGNORECASE)


def personal(looked: Looked, *, region: str | None) -> Iterator[Finding]:
    """A finding for each kind of personal data in rows and documents.

    `region` is the country (such as GB) whose numbers may stand without a leading +.
    """
    try:
        import phonenumbers  # noqa: F401
        import stdnum  # noqa: F401
    except ModuleNotFoundError as missing:
        yield Finding("personal data", "skipped", f"needs {missing.name}, which is not installed",
                      (), "pip install 'adaptation-advisor[check]'")
        return
    places: dict[str, list[str]] = defaultdict(list)
    for where, text in _texts(looked):
        for kind, value in personal_values(text, region=region):
            places[kind].append(f"{where} {masked(value)}")
    for kind, found in places.items():
        yield Finding(
            "personal data", "warn", f"{kind} in {len(found)} places", tuple(found),
            "replace them before tuning: a tuned model may repeat what it was taught",
        )
    what = "nothing with the form of" if not places else "beside these, nothing of"
    yield Finding("personal data", "note" if places else "ok",
                  f"{what} e-mail, telephone, IBAN, card or IP address; names of people: "
                  "NOT CHECKED (they have no form)")


def personal_values(text: str, *, region: str | None = None) -> Iterator[tuple[str, str]]:
    """(kind, value) of what is personal in a text, each verified where it can be."""
    import phonenumbers
    from stdnum import iban, luhn

    yield from (("e-mail addresses", match) for match in E_MAIL.findall(text)
                if not RESERVED.search(match))
    ibans = [match for match in IBAN.findall(text) if iban.is_valid(match)]
    yield from (("IBANs", match) for match in ibans)
    cards = [match for match in CARD.findall(text)
             if luhn.is_valid(re.sub(r"\D", "", match)) and len(set(match)) > 4]
    yield from (("card numbers", match) for match in cards)
    yield from (("IP addresses", match) for match in ADDRESS.findall(text) if _routed(match))
    for match in phonenumbers.PhoneNumberMatcher(text, region):
        number = match.raw_string
        if not any(number in other for other in (*ibans, *cards)):
            yield "telephone numbers", number


def masked(value: str) -> str:
    """Enough to find the place again, too little to use it."""
    return f"{value[0]}***{value[-1]}"


def _routed(text: str) -> bool:
    """Whether it is an address of the network at large; 10.0.0.1 names nobody."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _texts(looked: Looked) -> Iterator[tuple[str, str]]:
    for example in looked.examples:
        yield looked.place(example), "\n".join(_of(example.question.text, example.targets))
    for document in looked.task.material.corpus:
        yield f"corpus/{document.id}", document.text


def _of(text: str, targets: Iterable[str]) -> list[str]:
    return [text, *targets]
