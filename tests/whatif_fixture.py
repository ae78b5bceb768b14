"""Made-up runs in figures, each odd in its own way, for whatever decides them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from report_fixture import build_report

from advisor.decide import Case, conclude
from advisor.measures.cost import Work
from advisor.measures.marks import Marks
from advisor.report import Basis, Report
from advisor.trial import PrepareCost, SuiteScores
from advisor.verdict import Counts, Policy

POLICY = Policy(
    quality_margin=0.05, retention_margin=0.05, alpha=0.05, latency_limit_ms=800.0,
    max_failed=0.01, horizon_months=12.0, calls_per_month=20_000.0, usd_per_machine_hour=0.1,
    utilisation=0.5, bootstrap=20, churn_per_month=0.02,
)
NO_LIMIT = replace(POLICY, latency_limit_ms=None)


@dataclass(frozen=True)
class Entrant:
    """A made-up contender: how often it is right, a call's seconds and p95, what it took."""

    name: str
    right: float
    seconds: float = 0.5
    ms: float = 300.0
    tuning: float = 0.0
    rows: int = 0
    reads: bool = False
    usd: float | None = None
    lost: float | None = None  # retention items of a hundred
    failed: int = 0
    seeds: int = 1
    stale: tuple[float | None, float | None] = (None, None)  # with the old index, and the new
    paid: float = 0.0  # USD for a teacher


def _scores(
    share: float, dice: np.random.Generator, *, text: bool, items: int = 120
) -> Mapping[str, SuiteScores]:
    def suite(name: str) -> SuiteScores:
        values = {f"{name}{at}": float(at / items < share) for at in range(items)}
        return SuiteScores(name, "acc", 0.5 if name == "grammar" else 0.25, values)

    found = {"facts": suite("facts"), "grammar": suite("grammar")}
    if text:
        bits = {f"t{at}": 0.9 + (0.7 - share) + float(dice.normal(0, 0.02)) for at in range(12)}
        found["text"] = SuiteScores("text", "bits_per_byte", 0.0, bits)
        nats = {f"n{at}": max(0.0, value - 0.8) for at, value in enumerate(bits.values())}
        found["apart"] = SuiteScores("apart", "nats_per_token", 0.0, nats)
    return found


def _marks(one: Entrant, seed: int, hard: np.ndarray, dice: np.random.Generator, *,
           graded: bool, text: bool) -> Marks:
    share = np.clip(one.right + hard + (0.03 * seed - 0.03 if one.seeds > 1 else 0), 0, 1)
    credits = dice.binomial(3, share) / 3 if graded else (dice.random(len(hard)) < share) * 1.0
    if one.right in (0.0, 1.0):
        credits = np.full(len(hard), one.right)
    credits[:one.failed] = np.nan
    took = PrepareCost(one.tuning + 2.0, 0, 10, tuning_seconds=one.tuning, rows_learnt=one.rows,
                       usd_paid=one.paid)
    return Marks(
        contender=one.name, seed=seed, credits=credits, parts={"exact": credits},
        counts=Counts(len(hard), len(hard) - one.failed, 0, 0, one.failed, 0),
        work=Work(one.seconds, 100.0, 10.0, tuple(one.ms * x for x in (0.9, 1.0, 1.1)), 500.0,
                  took, one.usd, *one.stale),
        retention=None if one.lost is None else _scores(
            0.7 - one.lost / 100 - 0.04 * seed, dice, text=text),
        axes={"prompt": "none" if one.name == "floor" else "zero-shot", "decoding": "free",
              "retrieval": "dense top 3" if one.reads else "none",
              "weights": "-" if one.name == "floor" else "LoRA r=8" if one.tuning else "base"},
    )


def case(entrants: Sequence[Entrant], *, rows: int = 150, together: int = 1, seed: int = 0,
         graded: bool = False, text: bool = False) -> Case:
    """The case of these contenders on `rows` items, `together` of them from each source; with
    `text`, a suite in bits per byte is kept too."""
    dice = np.random.default_rng(seed)
    hard = np.repeat(dice.uniform(-0.15, 0.15, -(-rows // together)), together)[:rows]
    trials = tuple(_marks(one, at, hard, dice, graded=graded, text=text)
                   for one in entrants for at in range(one.seeds))
    tuned = any(one.lost is not None for one in entrants)
    floor = next((one.name for one in entrants if one.name == "floor"), None)
    return Case("exact", tuple(f"s{at // together:03d}" for at in range(rows)), {}, trials,
                _scores(0.7, dice, text=text) if tuned else None, floor, True, 0)


def reported(held: Case, policy: Policy) -> Report:
    """A report of the case; its rows and task are those of another, made-up run."""
    plain = build_report(rows=12)
    return replace(plain, verdict=conclude(held, policy), basis=Basis(held, policy))


FLOOR = Entrant("floor", 0.2, 0.0, 0.0)
ZERO = Entrant("zero-shot", 0.45, 0.3)
FEW = Entrant("few-shot", 0.6, 0.8, 420.0, rows=8)
RAG = Entrant("rag", 0.68, 1.1, 610.0, reads=True)
LORA = Entrant("lora", 0.75, 0.35, 310.0, tuning=900.0, rows=300, lost=1)
WORN = Entrant("rag-lora", 0.8, 1.3, 900.0, tuning=1400.0, rows=300, reads=True, lost=5)
ALL = (FLOOR, ZERO, FEW, RAG, LORA, WORN)

RUNS: Mapping[str, tuple[Case, Policy]] = {
    "usual": (case(ALL), POLICY),
    "clustered": (case(ALL, rows=240, together=4, seed=1, graded=True), POLICY),
    "worth": (case(ALL, rows=400, seed=2), replace(POLICY, value_per_correct=0.002)),
    "close": (case([FLOOR, replace(ZERO, right=0.66, seconds=0.2), replace(FEW, right=0.7),
                    replace(RAG, right=0.71)], rows=80, seed=3), NO_LIMIT),
    "nobody": (case([FLOOR, replace(ZERO, right=0.22), replace(LORA, right=0.24)], seed=4),
               POLICY),
    "tie": (case([replace(ZERO, name=name, right=1.0) for name in ("one", "other", "third")],
                 rows=60), NO_LIMIT),
    "twins": (case([replace(ZERO, right=0.93)] + [
        replace(RAG, name=name, right=1.0) for name in ("rag", "rag-again")], rows=60, seed=13),
        NO_LIMIT),
    "alone": (case([LORA], seed=5), POLICY),
    "against the floor": (case([FLOOR, replace(ZERO, right=0.31)], rows=40, seed=6), POLICY),
    "served": (case([FLOOR, replace(ZERO, name="served", right=0.8, usd=0.9, seconds=2.0),
                     replace(ZERO, name="given", right=0.6, usd=0.0),
                     replace(ZERO, name="own", right=0.7, seconds=0.0), LORA], seed=7), POLICY),
    "seeds": (case([FLOOR, replace(FEW, seeds=3), replace(LORA, seeds=3, right=0.7),
                    RAG], rows=200, seed=8), POLICY),
    "protected": (case([*ALL, replace(LORA, name="qlora", lost=3)], seed=9, text=True),
                  replace(POLICY, protect={"grammar": 0.06, "text": 0.02, "facts": 0.08,
                                           "apart": 0.06})),
    "stale": (case([FLOOR, replace(RAG, stale=(0.7, 0.2)), replace(FEW, stale=(0.9, None)),
                    replace(LORA, stale=(0.4, None), paid=3.0),
                    replace(WORN, name="reader", ms=300.0, lost=0, stale=(0.6, 0.1))], seed=15),
              replace(POLICY, usd_per_label=0.1, churn_per_month=0.08, value_per_correct=0.01)),
    "failing": (case([FLOOR, replace(RAG, failed=4), replace(LORA, failed=1), ZERO], seed=10),
                replace(POLICY, base_replaced_months=5.0, usd_per_label=0.4, max_failed=0.02)),
    "few rows": (case([FLOOR, ZERO, replace(LORA, lost=0)], rows=9, seed=11), NO_LIMIT),
    "handful": (case([replace(ZERO, right=0.5), replace(ZERO, name="other", right=0.6)], rows=10,
                     seed=14), NO_LIMIT),
    "half sure": (case([replace(one, right=0.5 + 0.02 * at, seconds=1.0 + 0.09 * at)
                        for at, one in enumerate((ZERO, FEW, RAG))], rows=330, together=3,
                       seed=12), replace(NO_LIMIT, value_per_correct=0.01)),
}
