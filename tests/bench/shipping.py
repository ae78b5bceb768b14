"""Whether what ships is what was measured, contender by contender of a finished run.

    python -m tests.bench.shipping RUN [--contender NAME ...] [--items N] [--unmerged]

Each is shipped into a registry that is thrown away, which is then verified; answers the test
items in a process of its own, text for text against the journal; is merged, where it has
weights to merge; and is served and asked by the official openai client, whole and as a stream.
Rows are kept in a JSON file, so that contenders can be checked a few at a time.

All test items are asked unless --items says less: in bfloat16 sums depend on the company a row
has, so fewer items, which make other batches, may be answered otherwise. So may the one question
that is asked over HTTP; what is served is therefore counted but fails no check.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from advisor.cli.tools import for_bundle, quiet
from advisor.config import TunedWeights
from advisor.core import Answer, Question
from advisor.errors import AdvisorError
from advisor.runner.record import open_record
from advisor.ship.exporting import export
from advisor.ship.measured import measured
from advisor.ship.parity import Diverged
from advisor.ship.registry import Registry
from advisor.ship.registry_verify import faults
from advisor.ship.shipping import Order, ship, task_of
from advisor.workspace import Workspace
from tests.processes import fresh, serving

SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a contender. `packed`, `fresh` and `merged` are (the same text, of so many
    items), or None; `served` is how many of the two answers over HTTP, one streamed, are the
    journal's text. `refused` says why it does not ship, `wrong` each thing that must not be."""

    contender: str
    kind: str
    packed: tuple[int, int] | None = None
    fresh: tuple[int, int] | None = None
    merged: tuple[int, int] | None = None
    merged_note: str = ""
    served: int | None = None
    refused: str = ""
    wrong: tuple[str, ...] = ()


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shipping")
    parser.add_argument("run", type=Path)
    parser.add_argument("--contender", action="append", default=[], metavar="NAME",
                        help="only this one (repeatable); rows of others are kept")
    parser.add_argument("--items", type=int, help="asked in a fresh process (default: all)")
    parser.add_argument("--unmerged", action="store_true", help="do not merge, which takes longest")
    parser.add_argument("--model", metavar="PATH_OR_ID", help="as for advisor ship")
    parser.add_argument("--out", type=Path, help="default: ship-check.json in the run's folder")
    options = parser.parse_args(given)
    quiet()
    run = options.run.resolve()
    out = options.out or run / "ship-check.json"
    workspace = Workspace.find(run)
    os.chdir(workspace.root)  # endpoints are looked up where the command is given
    try:
        record = open_record(run)  # of one at several seeds the first ships
        names = options.contender or [one for one in record.measured if one in record.recipes]
        rows = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
        for name in names:
            order = Order(run, name, "checked", model=options.model)
            rows[name] = asdict(checked(order, workspace, options.items,
                                        merge=not options.unmerged))
            out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    except AdvisorError as error:
        print(f"{error.problem}\nfix: {error.fix}", file=sys.stderr)
        return 2
    Console(soft_wrap=True).print(_table(run, rows))
    for row in rows.values():
        for wrong in row["wrong"]:
            print(f"{row['contender']}: {wrong}")
    return int(any(row["wrong"] for row in rows.values()))


def checked(
    order: Order, workspace: Workspace, items: int | None, *, merge: bool
) -> Checked:
    """Ship the contender and try what shipped; raises AdvisorError if it was not measured."""
    one = measured(order.run, order.contender)
    kind = ", ".join(one.recipe.axes.values())
    with tempfile.TemporaryDirectory(prefix="advisor-ship-check-") as work:
        registry = Registry(Path(work))
        try:
            done = ship(order, workspace, registry, open_tools=for_bundle)
        except Diverged as error:
            return Checked(order.contender, kind, wrong=(str(error),))
        except AdvisorError as error:
            return Checked(order.contender, kind, refused=error.problem)
        wrong = faults(registry)
        bundle = registry.checkout(done.version.label)
        task, _ = task_of(one, workspace)
        journal, _ = one.answers(task)
        asked = [example.question for example in task.test[:items]]
        said = fresh({"it": (bundle, asked)}, seconds=SECONDS)["it"]
        wrong += [f"{one.id}: was {journal[one.id].text!r}, a fresh process says {said[one.id]!r}"
                  for one in asked if said[one.id] != journal[one.id].text]
        same = sum(said[one.id] == journal[one.id].text for one in asked)
        served, amiss = _served(bundle, task.name, asked[0], journal)
        merge = merge and isinstance(one.recipe.weights, TunedWeights)
        merged, note = _merged(order, workspace, Path(work) / "merged") if merge else (None, "")
    return Checked(
        order.contender, kind, packed=(done.parity.same, done.parity.rows),
        fresh=(same, len(asked)), merged=merged, merged_note=note, served=served,
        wrong=(*wrong, *amiss))


def _merged(
    order: Order, workspace: Workspace, target: Path
) -> tuple[tuple[int, int] | None, str]:
    """How many test rows the merged export answers alike, and its quality; or why there is none."""
    order = Order(order.run, order.contender, allowed=1.0, model=order.model)
    try:
        parity = export(order, "merged", target, workspace=workspace,
                        open_tools=for_bundle).parity
    except AdvisorError as error:
        return None, error.problem
    return (parity.same, parity.rows), f"{parity.value:.3f}, measured {parity.value_was:.3f}"


def _served(
    bundle: Path, model: str, question: Question, journal: Mapping[str, Answer]
) -> tuple[int, list[str]]:
    """How many of two answers to a question are the journal's, and what must not be: that the
    stream says something else than the whole answer."""
    from openai import OpenAI

    with serving(bundle) as (_, port):
        client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", timeout=120,
                        max_retries=0)
        ask: dict[str, Any] = {
            "model": model, "messages": [{"role": "user", "content": question.text}],
            "extra_body": {"choices": list(question.choices)} if question.choices else {}}
        whole = client.chat.completions.create(**ask).choices[0].message.content
        chunks = list(client.chat.completions.create(**ask, stream=True))
    streamed = "".join(part.choices[0].delta.content or "" for part in chunks if part.choices)
    amiss = [] if streamed == whole else [f"the stream says {streamed!r}, not {whole!r}"]
    return [whole, streamed].count(journal[question.id].text), amiss


def _table(run: Path, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title=f"what ships of {run}: the same text as the journal's, of so many items")
    for head in ("contender", "packed", "fresh process", "merged", "served", ""):
        table.add_column(head, no_wrap=head != "")
    for name, row in rows.items():
        said = ("DIVERGED" if row["wrong"] else "", row["refused"] and f"refused: {row['refused']}",
                row["merged_note"] and f"merged: {row['merged_note']}")
        table.add_row(name, *(_share(row[key]) for key in ("packed", "fresh", "merged")),
                      "-" if row["served"] is None else f"{row['served']} of 2",
                      "; ".join(filter(None, said)))
    return table


def _share(found: Sequence[int] | None) -> str:
    return f"{found[0]} of {found[1]}" if found else "-"


if __name__ == "__main__":
    sys.exit(main())
