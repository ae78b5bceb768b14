"""Write a tuned contender's weights for other programs: peft, vLLM, llama.cpp, Ollama, the hub.

What is written is opened again and asked every test question. Where an answer differs from
the journal's, nothing is kept, the rows are named, and the exit code is 3.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from advisor.cli.tools import for_bundle
from advisor.workspace import Workspace


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, help="a run folder, such as reports/policy-qa")
    add("--contender", default="", metavar="NAME", help="default: the verdict's winner")
    add("--as", dest="form", choices=["adapter", "merged", "gguf"], default="adapter",
        help="adapter: to be served beside its base; merged: a model of its own; gguf: that "
             "for llama.cpp, with a Modelfile for Ollama")
    add("--llama-cpp", type=Path, metavar="DIR",
        help="where convert_hf_to_gguf.py is, for gguf (default: the variable LLAMA_CPP)")
    add("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    add("--tolerance", type=float, default=0.0, metavar="SHARE",
        help="share of test rows whose text may differ (default: 0), if they do not earn less by "
             "more than the run's quality margin")
    add("--model", metavar="PATH_OR_ID",
        help="where the base model is, if not where it was when measured")


def execute(options: argparse.Namespace) -> int:
    from advisor.ship.exporting import export
    from advisor.ship.llamacpp import converter
    from advisor.ship.shipping import Order

    order = Order(options.run, options.contender, allowed=options.tolerance, model=options.model)
    done = export(order, options.form, options.out, workspace=Workspace.find(Path.cwd()),
                  open_tools=for_bundle,
                  converter=converter(options.llama_cpp) if options.form == "gguf" else None)
    parity = done.parity
    print(f"{done.folder}: it answers {parity.same} of {parity.rows} test rows as measured "
          f"({parity.value:.3f}, measured {parity.value_was:.3f})")
    print(f"serve it: {done.command}")
    if done.speed:
        print(f"speed: {done.speed}")
    for note in done.notes:
        print(f"  - {note}")
    return 0
