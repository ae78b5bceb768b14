"""Change some of a task's facts, in its documents and in the accepted answers alike.

Numbers, dates, times and labels of a closed set become others of the same form; the task
itself stays as it is. The result is versions/DATE/ in the task's folder, which
`advisor run TASK --freshness` asks about. The same seed changes the same facts.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path

from advisor.changing.choosing import Changes, choose
from advisor.changing.version import dated, files, stale, write
from advisor.cli.tell import brief, say, table
from advisor.data.task import load_task
from advisor.errors import AdvisorError
from advisor.workspace import Workspace

STALE = 1
SHOWN = 8  # examples to look at; --all has every one


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("task", metavar="TASK", help="a folder of evals/, or a path to a task")
    add("--share", type=share, default=0.15, metavar="SHARE",
        help="of the facts behind train, and of those behind test; default: 15%%")
    add("--date", default="", metavar="YYYY-MM-DD",
        help="from when on; default: the task's last version, or the January after its documents")
    add("--seed", type=int, default=0, help="which facts change; default: 0")
    add("--check", action="store_true",
        help="write nothing; exit 1 if the version is not what this command writes")
    add("--force", action="store_true", help="make a version anew that is there already")
    add("--all", action="store_true", help="show every change, not only some")


def execute(options: argparse.Namespace) -> int:
    if options.seed < 0:
        raise AdvisorError(f"--seed: expected 0 or more, found {options.seed}", fix="--seed 0")
    folder = Workspace.find(Path.cwd()).task_folder(options.task)
    task = load_task(folder)
    when = dated(folder, task, options.date)
    place = folder / "versions" / when
    changes = choose(task, share=options.share, seed=options.seed)
    made = files(changes, folder, when)
    if options.check:
        wrong = stale(made, place)
        for name in wrong:
            say(f"{place / name}: differs from what this command writes")
        if not wrong:
            say(f"{place}: as this command writes it ({len(made)} files)")
        return STALE if wrong else 0
    write(made, place, task, force=options.force)
    _tell(task.name, changes, everything=options.all)
    say(f"written: {place} ({len(made)} files)")
    say(f"next: advisor run {options.task} --freshness")
    return 0


def share(text: str) -> float:
    """A share above 0 and at most 1, of `15%` or `0.15`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    value = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(
            f"expected a share of more than 0% and at most 100%, such as 15% or 0.15, "
            f"found {text!r}")
    return value


def _tell(name: str, changes: Changes, *, everything: bool) -> None:
    kinds = ", ".join(_many(count, kind) for kind, count in changes.able.most_common())
    asked = sum(changes.asked.values())
    say(f"{name}: {changes.able.total()} of {changes.total.total()} facts behind train and test "
        f"can be changed ({kinds}); asked for {asked}")
    for why, count in changes.left.most_common():
        say(f"  left {count}: {why}")
    done = Counter(one.fact.split for one in changes.chosen)
    splits = ", ".join(f"{done[split]} of {changes.total[split]} of {split}"
                       for split in changes.asked)
    rows = sum(len(one.rows) for one in changes.chosen)
    say(f"changed: {_many(len(changes.chosen), 'fact')} ({splits}) in {_many(rows, 'row')} and "
        f"{_many(len(changes.bodies), 'document')}")
    if len(changes.chosen) < asked:
        say(f"  that is {asked - len(changes.chosen)} fewer than asked for: no more can change")
    shown = changes.chosen if everything else changes.chosen[:SHOWN]
    table(["  document", "before", "after", "question"],
          [[f"  {one.fact.document}", brief(one.old, 30), brief(one.new, 30),
            brief(one.rows[0].question.text, 60)] for one in shown])
    if more := len(changes.chosen) - len(shown):
        say(f"  ... and {more} more (--all shows them)")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
