"""How far weights have moved from the base, on text that the base itself wrote.

Text drawn from the base at temperature 1 makes the mean of log p_base - log p_tuned an
unbiased estimate of KL(base || tuned), and that of -log p_tuned one of the soft
cross-entropy: no outside text, no answer key, and no more than log-likelihoods is needed.
The openings are not those of rehearsal, nor is the seed, so nothing was tuned on it.

Two things make it an estimate: text is tokenised again before it is scored, and it was
drawn at the precision that answers, but is scored in single precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from advisor.data.digest import digest
from advisor.engines.protocol import Engine, Sampling
from advisor.errors import AdvisorError
from advisor.trial import SuiteScores

NAME = "own_text"
TEXTS = 48
TOKENS = 48
SEED = 20_260_701  # any, as long as rehearsal, which counts from the recipe's seed, has another
OPENINGS = (
    "People often", "On the way", "By the time", "Nobody knew", "Most of", "For years",
    "An old", "During the", "At first", "This book", "Last summer", "Good morning",
    "Two friends", "Under the", "Water is", "Between the", "Our school", "Music has",
    "Before you", "Many animals", "His letter", "Winter came", "Good food", "Computers can",
    "Her mother", "From the window", "Several studies", "Learning to", "Every family",
    "Small towns", "Health is", "Trains were",
)
DIGEST = digest([NAME, TEXTS, TOKENS, SEED, OPENINGS])


@dataclass(frozen=True, slots=True)
class OwnText:
    """One text: how it was begun, and what the base went on to say."""

    opening: str
    text: str


def write(base: Engine) -> tuple[OwnText, ...]:
    """Let the base go on from each opening; texts that it ended at once are left out.

    Raises AdvisorError when it wrote nothing at all.
    """
    starts = [OPENINGS[at % len(OPENINGS)] for at in range(TEXTS)]
    said = base.generate(
        [base.tokenize(start) for start in starts], max_tokens=TOKENS,
        sampling=Sampling(temperature=1.0, top_p=1.0, seed=SEED),
    )
    found = {index: one.text for index, one in said if one.text}
    if not found:
        raise AdvisorError(
            f"{base.name} ends every text that it is to go on with at once",
            fix=f"take {NAME} out of `retention` in advisor.yaml",
        )
    return tuple(OwnText(starts[index], found[index]) for index in sorted(found))


def measure(engine: Engine, texts: Sequence[OwnText]) -> SuiteScores:
    """Nats for each token of the texts, by text: -log p / tokens.

    For the base this is its entropy, for other weights their soft cross-entropy with the
    base; the second less the first is KL(base || other).
    """
    pairs = [(engine.tokenize(one.opening), engine.tokenize(one.text)) for one in texts]
    scores = engine.score(pairs)
    values = {
        f"text-{at:02d}": -log_likelihood / len(tokens)
        for at, ((_, tokens), (log_likelihood, _)) in enumerate(zip(pairs, scores, strict=True))
    }
    return SuiteScores(NAME, "nats_per_token", 0.0, values)
