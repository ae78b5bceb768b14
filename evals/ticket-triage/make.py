"""Make the ticket-triage task: support tickets of Brackwater Home and their JSON.

    python evals/ticket-triage/make.py            write the three splits
    python evals/ticket-triage/make.py --check    exit 1 if the files are stale

The labels come first: a scenario fixes product, intent and household severity,
shuffled decks fix the customer and whether a picture is attached, and only then
is a text composed that tells all of it.  So no label is guessed from a text.

The output is the same on every run and on Python 3.11 and later: each generator
is seeded with a string (hashed by SHA-512, not by the salted `hash`), and only
`choice`, `shuffle`, `random` and `randrange` are drawn from it.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

import phrases as ph
from scenarios import SCENARIOS, Scenario

SEED = 4107
HERE = Path(__file__).resolve().parent
SIZES = {"train": 310, "dev": 80, "test": 160}

INTENTS = ("repair", "connect", "refund", "order", "howto", "cancel")
FIELDS = ("product", "intent", "queue", "customer.tier", "customer.region", "severity", "photo")
# Plumbed-in products are repaired on site, the others are sent in.
PLUMBED = frozenset({"VLV-41", "FLT-23", "PMP-55", "TAP-34"})
APP = "SUB-01"

# How a round of seven scenarios is dealt out, and how many dealings are tried for
# the one that spreads products, queues, severities and intents most evenly.
DEAL = ("train", "test", "train", "dev", "train", "test", "train")
DEALINGS = 1500

TIERS = ("gold", "silver", "trade", "none")
REGIONS = ("north",) * 4 + ("south",) * 4 + ("east",) * 4 + ("west",) * 4 + ("none",) * 3
PHOTOS = (True,) * 2 + (False,) * 3
REGISTERS = (
    ("plain",) * 8
    + ("terse",) * 3
    + ("formal",) * 2
    + ("angry",) * 2
    + ("rambling",)
    + ("bullets",) * 2
    + ("forwarded", "voicemail", "chat")
)
NICKNAMED = (True,) + (False,) * 5
TYPO_SHARE = 0.3

WORD_LIMITS = {"terse": (10, 36), "bullets": (18, 52), "rambling": (30, 64)}
DEFAULT_WORD_LIMITS = (16, 48)
# A candidate closer than this to a row of another split is thrown away.
MAX_SHINGLE_JACCARD = 0.10
MAX_WORD_JACCARD = 0.45
SHINGLE = 8
ATTEMPTS = 500
# Each slang word must be in at least this many training rows.
MIN_SLANG_ROWS = 3

LABEL_WORDS = """
    attached attach enclosed photo picture pictures photograph image snapshot never nothing
    without dead water refund money cancel order offline district
"""
# Misspelling one of these could change or hide a label.
PROTECTED = frozenset(
    word
    for phrase in (
        LABEL_WORDS,
        *ph.BUSINESSES,
        *chain(*ph.NAMES.values(), *ph.OTHERS.values(), *ph.NICKNAMES.values()),
        *chain(*ph.PLACES.values(), *ph.PLANS.values()),
    )
    for word in phrase.lower().split()
)

T = TypeVar("T")


class Deck(Generic[T]):
    """Deals its cards in shuffled rounds, so shares come out even."""

    def __init__(self, cards: Sequence[T], rng: Random) -> None:
        self._cards = list(cards)
        self._rng = rng
        self._left: list[T] = []

    def draw(self) -> T:
        if not self._left:
            self._left = list(self._cards)
            self._rng.shuffle(self._left)
        return self._left.pop()


@dataclass(frozen=True)
class Facts:
    """All that decides a row's labels, and the words that carry them."""

    scenario: Scenario
    telling: str
    tier: str
    region: str
    photo: bool
    place: str
    plan: str
    business: str
    nickname: str
    register: str


@dataclass(frozen=True)
class Row:
    """One row of a split."""

    id: str
    text: str
    target: str
    group: str

    def line(self) -> str:
        row = {"id": self.id, "text": self.text, "targets": [self.target], "group": self.group}
        return json.dumps(row, ensure_ascii=False) + "\n"


# --- labels --------------------------------------------------------------------


def queue_of(product: str, intent: str) -> str:
    """The queue rules of the instruction."""
    if intent in ("refund", "cancel"):
        return "BILLING"
    if intent == "order":
        return "BILLING" if product == APP else "PARTS"
    if intent == "howto":
        return "CARE"
    if intent == "connect" or product == APP:
        return "NETOPS"
    return "FIELD" if product in PLUMBED else "BENCH"


def target_of(facts: Facts) -> str:
    """The compact JSON a perfect answer consists of."""
    scenario = facts.scenario
    severity = scenario.severity
    if facts.tier == "trade":
        severity = max(1, severity - 1)
    # Each value comes after those that its rule needs: a model writes from left to right.
    answer = {
        "product": scenario.product,
        "intent": scenario.intent,
        "queue": queue_of(scenario.product, scenario.intent),
        "customer": {"tier": facts.tier, "region": facts.region},
        "severity": severity,
        "photo": facts.photo,
    }
    return json.dumps(answer, separators=(",", ":"))


def flat(target: str) -> dict[str, str]:
    """A target as {dotted field: value written as JSON}."""
    answer = json.loads(target)
    answer |= {f"customer.{key}": value for key, value in answer.pop("customer").items()}
    return {field: json.dumps(answer[field]) for field in FIELDS}


# --- texts ---------------------------------------------------------------------


class Writer:
    """Composes the text of one ticket from its facts."""

    def __init__(self, facts: Facts, rng: Random) -> None:
        self.facts = facts
        self.rng = rng
        number = rng.randrange(10_000, 99_999)
        self._slots = {
            "p": facts.nickname or rng.choice(ph.NAMES[facts.scenario.product]),
            "room": rng.choice(ph.ROOMS),
            "order": rng.choice((f"order {number}", f"order no. {number}", f"order BW-{number}")),
            "number": str(rng.randrange(100_000, 999_999)),
            "place": facts.place,
            "plan": facts.plan,
            "biz": facts.business,
        }
        self._person = rng.choice(ph.PEOPLE)

    def write(self) -> str:
        registers: dict[str, Callable[[], str]] = {
            "plain": self._plain,
            "terse": self._terse,
            "formal": self._formal,
            "angry": self._angry,
            "rambling": self._rambling,
            "bullets": self._bullets,
            "forwarded": self._forwarded,
            "voicemail": self._voicemail,
            "chat": self._chat,
        }
        return registers[self.facts.register]()

    # Registers.

    def _plain(self) -> str:
        head = self._pick(ph.OPENINGS) if self._chance(0.75) else ""
        return _letter(head, " ".join(self._body()), self._sign_off(ph.CLOSINGS, 0.6), self.rng)

    def _formal(self) -> str:
        head = self._pick(ph.FORMAL_OPENINGS)
        body = " ".join(self._body())
        for short, long in (
            ("I'm", "I am"),
            ("can't", "cannot"),
            ("won't", "will not"),
            ("I'd", "I would"),
            ("don't", "do not"),
            ("We're", "We are"),
            ("doesn't", "does not"),
            ("I've", "I have"),
        ):
            body = body.replace(short, long)
        return f"{head}\n\n{body}\n\n{self._pick(ph.FORMAL_CLOSINGS)}\n{self._person}"

    def _angry(self) -> str:
        body = self._body()
        # Shouting one sentence that names nobody keeps proper names readable.
        body.insert(self.rng.choice((0, 1)), self._pick(ph.ANGRY_OPENINGS))
        text = " ".join(body)
        if self._chance(0.4):
            text = text.replace(". ", "! ", 1)
        return f"{text} {self._pick(ph.ANGRY_CLOSINGS)}"

    def _rambling(self) -> str:
        head = self._pick(ph.OPENINGS)
        body = self._body()
        body.insert(self.rng.randrange(2), self._pick(ph.RAMBLES))
        if self._chance(0.3):
            body.append(self._pick(ph.LAST_WORDS))
        return _letter(head, " ".join(body), self._sign_off(ph.CLOSINGS, 0.4), self.rng)

    def _bullets(self) -> str:
        items = [*self._who(), self._telling()]
        for extra, share in (
            (self._distractor, 0.5),
            (self._backstory, 0.2),
            (self._last_word, 0.2),
        ):
            if self._chance(share):
                items.append(extra())
        items.extend(self._photo())
        self.rng.shuffle(items)
        # An ask with a pronoun would dangle between unordered points.
        ask = self._ask(named=True)
        mark = self.rng.choice(("- ", "* ", "• "))
        points = [mark + item for item in [*items, *ask]]
        return "\n".join([self._pick(ph.BULLET_HEADS), *points])

    def _forwarded(self) -> str:
        head = self._pick(ph.FORWARD_HEADS)
        return f"{head}\n\n{self._plain()}"

    def _voicemail(self) -> str:
        fillers = " ".join([self._pick(ph.VOICE_FILLERS), *self._body()])
        return f"{self._pick(ph.VOICE_HEADS)} {fillers} {self._pick(ph.LAST_WORDS)} Bye."

    def _chat(self) -> str:
        return f"{self._pick(ph.CHAT_HEADS)} " + self.rng.choice((" ", "\n")).join(self._body())

    def _terse(self) -> str:
        who = self._who(short=True)
        self.rng.shuffle(who)
        core = [self._telling(), *self._ask(named=False, share=0.5)]
        photo = self._photo(short=True)
        extra = [self._distractor()] if self._chance(0.4) else []
        parts = self.rng.choice(
            (
                [*core, *who, *extra, *photo],
                [*who, *core, *photo, *extra],
                [*core, *photo, *extra, *who],
            )
        )
        glue = self.rng.choice((". ", " - ", "\n", ", "))
        text = glue.join(part.rstrip(".") for part in parts).lower()
        if self._chance(0.5):
            text = re.sub(r"\b(the|our|my) ", "", text, count=2)
        if self._chance(0.5):
            text = text.replace("'", "")
        return text

    # Parts.

    def _body(self) -> list[str]:
        """The sentences of a ticket, in one of several orders.

        A pronoun ask follows the incident directly, or "it" would point at
        whatever product was mentioned in between.
        """
        who, photo, telling = self._who(), self._photo(), self._telling()
        back = [self._backstory()] if self._chance(0.15) else []
        other = [self._distractor()] if self._chance(0.4) else []
        other += [self._other_place()] if self.facts.place and self._chance(0.1) else []
        last = [self._last_word()] if self._chance(0.1) else []
        shape = self.rng.randrange(6)
        if shape == 0:
            return [*who, *back, telling, *self._ask(), *other, *photo, *last]
        if shape == 1:
            return [*back, *who, telling, *self._ask(), *photo, *other, *last]
        if shape == 2:
            return [telling, *self._ask(), *who, *other, *photo, *back]
        if shape == 3:
            return [telling, *photo, *back, *who, *self._ask(named=True), *last]
        if shape == 4:
            return [*self._ask(named=True), telling, *who, *photo, *other, *last]
        return [*back, telling, *self._ask(), *other, *photo, *who]

    def _telling(self) -> str:
        return self._fill(self.facts.telling)

    def _ask(self, *, named: bool = False, share: float = 0.7) -> list[str]:
        intent = self.facts.scenario.intent
        # A fault told without a wish still means "mend it", but money is only
        # paid back to those who ask for it.
        if intent != "refund" and not self._chance(share):
            return []
        if not named:
            return [self._pick(ph.ASKS[intent])]
        # People rarely give a thing the same full name twice; slang they stick to.
        again = self.facts.nickname or self.rng.choice(ph.NAMES[self.facts.scenario.product])
        return [self._pick(ph.ASKS_NAMED[intent], p=again)]

    def _who(self, *, short: bool = False) -> list[str]:
        """Tier and region, each said or left out as the labels require."""
        tier, place = self.facts.tier, self.facts.place
        both = {
            "gold": ph.TIER_AND_REGION_PLAN,
            "silver": ph.TIER_AND_REGION_PLAN,
            "trade": ph.TIER_AND_REGION_BUSINESS,
        }
        if place and tier in both and not short and self._chance(0.5):
            parts = [self._pick(both[tier])]
        else:
            parts = self._tier(short=short)
            if place:
                parts.append(self._pick(ph.REGION_SHORT if short else ph.REGION))
        # Business premises outrank a plan; some tickets name both.
        if tier == "trade" and self.facts.plan:
            parts.append(self._pick(ph.TIER_PLAN_SHORT if short else ph.TIER_PLAN))
        return parts

    def _tier(self, *, short: bool) -> list[str]:
        if self.facts.tier == "none":
            bank = ph.TIER_NONE_SHORT if short else ph.TIER_NONE
            return [self._pick(bank)] if self._chance(0.4) else []
        if self.facts.tier == "trade":
            return [self._pick(ph.TIER_BUSINESS_SHORT if short else ph.TIER_BUSINESS)]
        return [self._pick(ph.TIER_PLAN_SHORT if short else ph.TIER_PLAN)]

    def _photo(self, *, short: bool = False) -> list[str]:
        if self.facts.photo:
            return [self._pick(ph.PHOTO_YES_SHORT if short else ph.PHOTO_YES)]
        if self._chance(0.4):
            return [self._pick(ph.PHOTO_NO_SHORT if short else ph.PHOTO_NO)]
        return []

    def _backstory(self) -> str:
        own = ph.BUSINESS_BACKSTORIES if self.facts.tier == "trade" else ph.HOME_BACKSTORIES
        return self._pick(own if self._chance(0.3) else ph.BACKSTORIES)

    def _last_word(self) -> str:
        return self._pick(ph.LAST_WORDS)

    def _distractor(self) -> str:
        """A sentence on products that are not the matter of the ticket."""
        # Skip what the incident itself mentions, or the two might disagree.
        free = [
            code
            for code, names in sorted(ph.OTHERS.items())
            if code != self.facts.scenario.product
            and names[-1].split()[0] not in self.facts.telling
        ]
        self.rng.shuffle(free)
        bank = ph.TWO_DISTRACTORS if self._chance(0.2) else ph.DISTRACTORS
        return self._pick(
            bank, o=self.rng.choice(ph.OTHERS[free[0]]), o2=self.rng.choice(ph.OTHERS[free[1]])
        )

    def _other_place(self) -> str:
        elsewhere = [
            place
            for _, places in sorted(ph.PLACES.items())
            for place in places
            if place != self.facts.place
        ]
        return self._pick(ph.OTHER_PLACE, place=self.rng.choice(elsewhere))

    def _sign_off(self, bank: Sequence[str], share: float) -> str:
        if not self._chance(share):
            return ""
        return f"{self._pick(bank)}\n{self._person}"

    # Filling.

    def _chance(self, share: float) -> bool:
        return self.rng.random() < share

    def _pick(self, bank: Sequence[str], **slots: str) -> str:
        return self._fill(self.rng.choice(bank), **slots)

    def _fill(self, template: str, **slots: str) -> str:
        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in slots:
                return slots[name]
            if name.lower() == "when":
                return self._fill(self.rng.choice(ph.WHEN))
            if name == "date":
                return self._date()
            if name == "month":
                return self.rng.choice(ph.MONTHS)
            if name == "person":
                return self._person
            if name == "subject":
                return self.rng.choice(ph.SUBJECTS)
            return self._slots[name]

        text = re.sub(r"\{(\w+)\}", value, template)
        return text[:1].upper() + text[1:] if template[:2] in ("{W", "{o") else text

    def _date(self) -> str:
        day, month = self.rng.randrange(1, 29), self.rng.choice(ph.MONTHS)
        return self.rng.choice((f"{day} {month}", f"{month} {day}", f"{day} {month[:3]}"))


def _letter(head: str, body: str, sign_off: str, rng: Random) -> str:
    """Join greeting, body and signature on one line or on several."""
    gap = rng.choice((" ", "\n", "\n\n"))
    return gap.join(part for part in (head, body, sign_off) if part)


def misspell(text: str, rng: Random) -> str:
    """Text with the slips of a hurried writer, none of them in a telling word."""
    if rng.random() < 0.35:
        text = text.replace("'", "")
    # Lower-case words only: a slip in a capital is rare.
    words = [
        m for m in re.finditer(r"(?<![\w'-])[a-z]{5,}(?![\w'-])", text) if m[0] not in PROTECTED
    ]
    rng.shuffle(words)
    for match in sorted(words[: rng.randrange(1, 4)], key=lambda m: -m.start()):
        text = text[: match.start()] + _slip(match[0], rng) + text[match.end() :]
    return text


def _slip(word: str, rng: Random) -> str:
    at = rng.randrange(1, len(word) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + word[at] + word[at:]


# --- similarity ----------------------------------------------------------------


@dataclass(frozen=True)
class Print:
    """What two texts are compared by: normalised words and runs of them."""

    normal: str
    words: frozenset[str]
    shingles: frozenset[tuple[str, ...]]


def fingerprint(text: str) -> Print:
    words = re.findall(r"[a-z0-9]+", text.lower().replace("'", ""))
    runs = frozenset(tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))
    return Print(" ".join(words), frozenset(words), runs)


def jaccard(one: frozenset[T], other: frozenset[T]) -> float:
    return len(one & other) / max(1, len(one | other))


def too_close(candidate: Print, others: Sequence[Print]) -> bool:
    return any(
        candidate.normal == other.normal
        or jaccard(candidate.words, other.words) > MAX_WORD_JACCARD
        or jaccard(candidate.shingles, other.shingles) > MAX_SHINGLE_JACCARD
        for other in others
    )


# --- splits --------------------------------------------------------------------


def deal_scenarios() -> dict[str, list[Scenario]]:
    """Whole scenarios to splits: the most even of many random dealings.

    A single dealing leaves products out of dev, which holds few scenarios.
    """
    rng = Random(f"{SEED} deal")
    return min((_deal_once(rng) for _ in range(DEALINGS)), key=_unevenness)


def _deal_once(rng: Random) -> dict[str, list[Scenario]]:
    shuffled = list(SCENARIOS)
    rng.shuffle(shuffled)
    splits: dict[str, list[Scenario]] = {name: [] for name in SIZES}
    # Dealing intent by intent already gives every split its share of each.
    for i, scenario in enumerate(sorted(shuffled, key=lambda s: INTENTS.index(s.intent))):
        splits[DEAL[i % len(DEAL)]].append(scenario)
    return splits


def _unevenness(splits: dict[str, list[Scenario]]) -> float:
    """Summed squared distance of label shares from those of all scenarios."""
    whole = _shares(SCENARIOS)
    total = 0.0
    for scenarios in splits.values():
        shares = _shares(scenarios)
        for label, share in sorted(whole.items()):
            # A label that a split never sees costs more than any skew.
            total += (shares[label] - share) ** 2 if label in shares else 1.0
    return total


def _shares(scenarios: Sequence[Scenario]) -> dict[str, float]:
    counts = Counter(
        label
        for s in scenarios
        for label in (s.product, queue_of(s.product, s.intent), f"severity {s.severity}", s.intent)
    )
    return {label: counts[label] / len(scenarios) for label in counts}


def deal_tellings(
    scenarios: Sequence[Scenario], size: int, rng: Random
) -> list[tuple[Scenario, str]]:
    """`size` pairs of scenario and telling, as even as they can be, shuffled."""
    tellings = {s: Deck(s.tellings, rng) for s in scenarios}
    deck = Deck(scenarios, rng)
    dealt = [deck.draw() for _ in range(size)]
    rng.shuffle(dealt)
    return [(s, tellings[s].draw()) for s in dealt]


def facts_of_split(split: str, scenarios: Sequence[Scenario]) -> Iterator[Facts]:
    """The labels of every row of a split, before a word of text exists."""
    rng = Random(f"{SEED} {split}")
    tiers, regions, photos = Deck(TIERS, rng), Deck(REGIONS, rng), Deck(PHOTOS, rng)
    registers, businesses = Deck(REGISTERS, rng), Deck(ph.BUSINESSES, rng)
    # Slang from decks, so that each word of it occurs often enough to be learnt.
    places = {region: Deck(names, rng) for region, names in sorted(ph.PLACES.items())}
    nicknamed = {product: Deck(NICKNAMED, rng) for product in sorted(ph.NICKNAMES)}
    nicknames = {product: Deck(names, rng) for product, names in sorted(ph.NICKNAMES.items())}
    plans = {tier: Deck((new, new, new, old), rng) for tier, (new, old) in sorted(ph.PLANS.items())}
    for scenario, telling in deal_tellings(scenarios, SIZES[split], rng):
        tier, region, photo = tiers.draw(), regions.draw(), photos.draw()
        plan_of = tier if tier in plans else None
        if tier == "trade" and rng.random() < 0.25:
            plan_of = rng.choice(sorted(plans))
        slang = nicknamed[scenario.product].draw()
        yield Facts(
            scenario=scenario,
            telling=telling,
            tier=tier,
            region=region,
            photo=photo,
            place=places[region].draw() if region in places else "",
            plan=plans[plan_of].draw() if plan_of else "",
            business=businesses.draw() if tier == "trade" else "",
            nickname=nicknames[scenario.product].draw() if slang else "",
            register=_fitting(registers.draw(), scenario, photo=photo),
        )


def _fitting(register: str, scenario: Scenario, *, photo: bool) -> str:
    """Nobody rages about a question or an order, or attaches a picture to a call."""
    calm = scenario.intent in ("howto", "order", "cancel")
    odd = (register == "angry" and calm) or (register == "voicemail" and photo)
    return "plain" if odd else register


def compose(facts: Facts, rng: Random, elsewhere: Sequence[Print], taken: set[str]) -> str:
    """A text of the right length that is unlike any row of another split."""
    low, high = WORD_LIMITS.get(facts.register, DEFAULT_WORD_LIMITS)
    for _ in range(ATTEMPTS):
        text = Writer(facts, rng).write()
        if rng.random() < TYPO_SHARE:
            text = misspell(text, rng)
        mark = fingerprint(text)
        if (
            low <= len(text.split()) <= high
            and mark.normal not in taken
            and not too_close(mark, elsewhere)
        ):
            return text
    raise RuntimeError(f"no acceptable text for {facts}")


def make() -> dict[str, list[Row]]:
    """All rows of all splits."""
    splits: dict[str, list[Row]] = {}
    elsewhere: list[Print] = []
    for split, scenarios in deal_scenarios().items():
        rows: list[Row] = []
        taken: set[str] = set()
        for i, facts in enumerate(facts_of_split(split, scenarios), start=1):
            text = compose(facts, Random(f"{SEED} {split} {i}"), elsewhere, taken)
            taken.add(fingerprint(text).normal)
            group = f"{facts.scenario.product.lower()}-{facts.scenario.key}"
            rows.append(Row(f"tt-{split}-{i:03d}", text, target_of(facts), group))
        splits[split] = rows
        elsewhere += [fingerprint(row.text) for row in rows]
    return splits


# --- report and check ----------------------------------------------------------


def majority(rows: Sequence[Row]) -> dict[str, str]:
    """The most frequent value of each field, ties broken by the value."""
    counts: dict[str, Counter[str]] = {field: Counter() for field in FIELDS}
    for row in rows:
        for field, value in flat(row.target).items():
            counts[field][value] += 1
    return {field: min(count, key=lambda v: (-count[v], v)) for field, count in counts.items()}


def chance(splits: dict[str, list[Row]]) -> float:
    """Field accuracy on dev of always answering train's majority values."""
    answer = majority(splits["train"])
    hits = [flat(row.target)[field] == answer[field] for row in splits["dev"] for field in FIELDS]
    return sum(hits) / len(hits)


def similarity(splits: dict[str, list[Row]]) -> tuple[float, float]:
    """The largest 8-gram and word Jaccard found between rows of two splits."""
    prints = {split: [fingerprint(row.text) for row in rows] for split, rows in splits.items()}
    pairs = [
        (a, b) for one, two in combinations(prints, 2) for a in prints[one] for b in prints[two]
    ]
    by_shingles = max(jaccard(a.shingles, b.shingles) for a, b in pairs)
    return by_shingles, max(jaccard(a.words, b.words) for a, b in pairs)


def report(splits: dict[str, list[Row]]) -> None:
    for split, rows in splits.items():
        words = sorted(len(row.text.split()) for row in rows)
        groups = len({row.group for row in rows})
        spread = f"{words[0]} to {words[-1]} words, median {words[len(words) // 2]}"
        print(f"{split}: {len(rows)} rows, {groups} groups, {spread}")
        for field in FIELDS:
            counts = Counter(flat(row.target)[field] for row in rows)
            shares = (f"{value} {counts[value] / len(rows):.0%}" for value in sorted(counts))
            print(f"  {field}: {', '.join(shares)}")
    shingles, bags = similarity(splits)
    print(f"most similar across splits: {SHINGLE}-gram Jaccard {shingles:.3f}, word {bags:.3f}")
    targets = [row.target for rows in splits.values() for row in rows]
    print(f"target length: {sum(map(len, targets)) / len(targets):.1f} characters")
    print(f"chance: {chance(splits):.3f}")


def problems(splits: dict[str, list[Row]]) -> Iterator[str]:
    """What is wrong with the rows themselves or with the files beside them."""
    groups = {split: {row.group for row in rows} for split, rows in splits.items()}
    for one, two in combinations(groups, 2):
        if shared := groups[one] & groups[two]:
            yield f"groups in both {one} and {two}: {sorted(shared)}"
    taught = Counter(
        word for row in splits["train"] for word in _slang() if word in row.text.lower()
    )
    for word in _slang():
        if taught[word] < MIN_SLANG_ROWS:
            yield f"'{word}' is in {taught[word]} rows of train, too few to learn it from"
    for split, rows in splits.items():
        path = HERE / f"{split}.jsonl"
        if not path.is_file() or path.read_text(encoding="utf-8") != _lines(rows):
            yield f"{path.name} is not what make.py writes"
    stated = re.search(
        r"^chance: ([0-9.]+)", (HERE / "task.yaml").read_text(encoding="utf-8"), re.MULTILINE
    )
    if stated is None or stated[1] != f"{chance(splits):.3f}":
        yield f"task.yaml should say chance: {chance(splits):.3f}"


def _slang() -> list[str]:
    """The words of which only training rows tell the meaning, in lower case."""
    banks = [*ph.NICKNAMES.values(), *ph.PLACES.values(), *((old,) for _, old in ph.PLANS.values())]
    return sorted(word.lower() for bank in banks for word in bank)


def _lines(rows: Sequence[Row]) -> str:
    return "".join(row.line() for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the rows of the ticket-triage task.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the files are stale"
    )
    options = parser.parse_args()
    splits = make()
    if not options.check:
        for split, rows in splits.items():
            (HERE / f"{split}.jsonl").write_text(_lines(rows), encoding="utf-8", newline="\n")
        report(splits)
    found = list(problems(splits))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
