"""Ship a measured contender: re-score what is packed, document it, register it.

The packed files are asked every test question again. Where an answer differs from the
journal's, nothing is shipped, the rows are named, and the exit code is 3.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from advisor.cli.tools import for_bundle
from advisor.errors import AdvisorError
from advisor.workspace import Workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, help="a run folder, such as reports/policy-qa")
    add("--contender", default="", metavar="NAME", help="default: the verdict's winner")
    add("--as", dest="name", default="", metavar="NAME", help="default: the task's name")
    add("--tolerance", type=float, default=0.0, metavar="SHARE",
        help="share of test rows whose text may differ (default: 0), if they do not earn less by "
             "more than the run's quality margin")
    add("--model", metavar="PATH_OR_ID",
        help="where the base model is, if not where it was when measured")
    add("--key", type=Path, metavar="PATH",
        help="sign with this Ed25519 private key (default: ADVISOR_KEY)")
    add("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    from advisor.ship.registry import Registry, key_from_environment
    from advisor.ship.shipping import Order, ship

    if not 0 <= options.tolerance <= 1:
        raise AdvisorError(f"--tolerance: expected 0 to 1, found {options.tolerance:g}",
                           fix="--tolerance 0.02 lets 2% of the rows differ")
    workspace = Workspace.find(Path.cwd())
    registry = Registry(workspace.root, options.key or key_from_environment())
    order = Order(options.run, options.contender, options.name, options.tolerance, options.model)
    done = ship(order, workspace, registry, open_tools=for_bundle)
    version, parity = done.version, done.parity
    if options.json:
        print(json.dumps({
            "version": version.label, "id": version.id, "rows": parity.rows,
            "same": parity.same, "value": parity.value, "measured_value": parity.value_was,
            "final": done.final, "barred_by": list(done.barred_by),
        }, indent=2))
        return 0
    print(f"{version.label} ({version.id[:12]}): packed, it answers {parity.same} of "
          f"{parity.rows} test rows as measured ({parity.value:.3f}, measured "
          f"{parity.value_was:.3f})")
    if done.endpoint:
        print(f"it answers through {done.endpoint['model']} at {done.endpoint['url']}: these "
              "weights are not in the bundle and cannot be verified")
    for reason in done.barred_by:
        print(f"the verdict bars this contender: {reason}")
    if not done.final:
        print("not final: rows were left out, or no real model answered")
    print(f'ask it:   advisor ask {version.label} "..."')
    print(f"use it:   advisor registry promote {version.label} production")
    print(f"serve it: advisor serve {version.label}")
    print(f"files:    {registry.checkout(version.label)}")
    return 0
