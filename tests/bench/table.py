"""bench.json as the tables of docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

MARKS = ("<!-- bench: begin -->", "<!-- bench: end -->")
# Work and peers -> times that ours should be as fast, at least and at best. Of several peers
# the fastest counts.
LM_EVAL, PLAIN, TRL = ("lm-eval",), ("lm-eval", "transformers"), ("trl, default",)
BARS: dict[str, tuple[tuple[str, ...], float, float]] = {
    "multiple choice": (LM_EVAL, 3, 5),
    "multiple choice behind 600 tokens": (LM_EVAL, 20, 40),
    "generation": (PLAIN, 1.8, 3),
    "generation behind 1000 tokens": (PLAIN, 4, 8),
    "LoRA tuning": (TRL, 3.3, 5),
}
HELD = 0.8  # of the tokens each second without a schema
DOUBLING = 2.0  # times as long for twice as much, at most
CEILING_BARS = {"LoRA tuning": (0.4, 0.6)}


def rendered(found: dict[str, Any]) -> str:
    """Everything between the marks."""
    parts = [
        "\n".join(_rows(found["works"])), "\n".join(_bars(found["works"])),
        "\n".join(_growth(found["growth"])),
        "\n".join(_held(found.get("held", []))),
        "\n".join(_identity(found["identity"])), "\n".join(_precision(found["precision"])),
        "\n".join(_rows(found["candidates"])),
        "\n".join(f"- skipped: {one['work']}, {one['peer_name']}: {one['reason']}"
                  for one in found["skipped"]),
    ]
    return "\n\n".join(part for part in parts if part)


def put(text: str, table: str) -> str:
    """`text` with `table` between its marks."""
    before, begin, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise ValueError(f"no {MARKS[0]} and {MARKS[1]} to write between")
    return f"{before}{begin}\n{table}\n{end}{after}"


def _rows(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    ceilings = sorted({row["ceiling_gflops"] for row in rows})
    yield (f"{_where(rows)}; ceilings of these works: "
           f"{', '.join(f'{one:.0f}' for one in ceilings)} GFLOP/s.\n")
    yield "| work | ours | peer [setting] | ratio (smallest to largest), n | of the ceiling | " \
          "peak MiB | outputs |"
    yield "|---|---|---|---|---|---|---|"
    for row in rows:
        part = "" if row["share"] == 1 else f", {row['share']:.3g} of the work"
        yield (f"| {row['work']} | {row['ours']:.3g} {row['unit']} | {row['peer_name']} "
               f"[{row['setting']}{part}]: {row['peer']:.3g} | "
               f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f}), "
               f"{row['n']} | "
               f"{row['ceiling_share_ours']:.0%}, {row['ceiling_share_peer']:.0%} | "
               f"{row['peak_mib_ours']:.0f}, {row['peak_mib_peer']:.0f} | "
               f"{row['agreement']} |")


def _where(rows: Sequence[dict[str, Any]]) -> str:
    commits = sorted({_commit(row) for row in rows})
    threads = sorted({str(row["threads"]) for row in rows})
    return f"At commit {', '.join(commits)}, threads: {', '.join(threads)}"


def _commit(row: dict[str, Any]) -> str:
    """The plus of a tree with changes stays."""
    return str(row["commit"])[:7] + "+" * str(row["commit"]).endswith("+") + (
        ", quick" if row["quick"] else "")


def _bars(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for work, (names, least, best) in BARS.items():
        held = [row for row in rows if row["work"] == work and row["peer_name"] in names]
        if not held:
            continue
        row = min(held, key=lambda row: float(row["ratio"]))
        yield (f"- {work}: {row['ratio']:.2f} times {row['peer_name']}, {least:g} aimed at "
               f"(at best {best:g}): {judged(row['ratio'], least, best)}")
    for work, (least, best) in CEILING_BARS.items():
        for row in [row for row in rows if row["work"] == work][:1]:
            share = row["ceiling_share_ours"]
            yield (f"- {work}: {share:.0%} of the ceiling, {least:.0%} aimed at (at best "
                   f"{best:.0%}): {judged(share, least, best)}")


def judged(reached: float, least: float, best: float) -> str:
    if reached < least:
        return "**missed**"
    return "reached" if reached < best else "reached, at best too"


def _growth(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield f"{_where(rows)}; twice the size should take at most {DOUBLING:g} times as long.\n"
    yield "| what grows | sizes | seconds, n | twice the size takes at most |"
    yield "|---|---|---|---|"
    for row in rows:
        sizes = ", ".join(str(size) for size in row["sizes"])
        seconds = ", ".join(f"{second:.2f}" for second in row["seconds"])
        held = "reached" if row["doubling"] <= DOUBLING else "**missed**"
        yield (f"| {row['growth']} | {sizes} | {seconds}, {row['n']} | {row['doubling']:.2f} "
               f"times: {held} |")


def _held(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield (f"- Held to the schema ({row['held']}, {row['of']} rows): {row['steered']:.0f} "
               f"tokens/s, free {row['free']:.0f}; ratio {row['ratio']:.2f} "
               f"({row['ratio_min']:.2f} to {row['ratio_max']:.2f}), n = {row['n']}; at least 0.8 "
               f"aimed at: {judged(row['ratio'], HELD, 1)}; {row['valid']} of {row['of']} held "
               f"answers are valid (commit {_commit(row)})")


def _identity(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        same = f"{row['same']} of {row['of']}" if "same" in row else f"over {row['of']} updates"
        largest = f", largest difference {row['largest']:.1e}" if "largest" in row else ""
        yield (f"- In float32 {row['identity']}: {'yes' if row['holds'] else '**no**'}; {same}"
               f"{largest}; {row['note']} (commit {_commit(row)})")


def _precision(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield (f"- {row['precision']}, {row['note']} (n = {row['of']}): "
               f"{row['text_differs']:.0%} of the texts and {row['grade_differs']:.0%} of the "
               f"grades differ; mean {row['mean_bfloat16']:.3f} and {row['mean_float32']:.3f} "
               f"(commit {_commit(row)})")
