"""The command line. One module a verb; nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from advisor import __version__
from advisor.cli.environment import read_env_file, with_variables
from advisor.errors import AdvisorError, did_you_mean

# verb -> what --help says; the module of the same name has `arguments` and `execute`.
VERBS = {
    "init": "make a folder a workspace, or a task from your own rows",
    "check": "look for what would make a result worthless, before anything is spent",
    "plan": "say what a run will take before it starts, and how true that was",
    "change": "change some of a task's facts, for `advisor run --freshness`",
    "run": "measure contenders on tasks, decide, write the report and the winner",
    "decide": "decide a finished run again under other prices, volumes or margins",
    "report": "write a run's report again in any format, or an index of all runs",
    "list": "list the tasks, the contenders and the finished runs",
    "show": "show a finished run, or one contender with its worst rows",
    "compare": "compare two runs, paired by question, what got worse first",
    "gate": "judge a candidate against a champion, with an exit code for CI",
    "ask": "ask a finished run's winner, or any bundle",
    "serve": "answer over HTTP as OpenAI's API does, from a version, an alias or a bundle",
    "ship": "re-score a contender as it is packed, and register it as a version",
    "export": "write a tuned contender for peft, vLLM, Ollama or the hub, if it answers alike",
    "registry": "versions: list, promote, roll back, trace, verify, erase",
    "doctor": "look whether this machine has all that a run needs",
    "completion": "print a completion script for your shell",
    "schema": "print the JSON schema of a YAML file, for editors",
}

INTERRUPTED = 130

OVERVIEW = """\
Should we prompt, retrieve or fine-tune? advisor runs one task as every way of
adapting a model, measures quality, forgetting and cost, and says which to choose.

verbs:
{verbs}

`advisor VERB --help` tells more. Every option is a variable too: ADVISOR_LIMIT=20 is
--limit 20, in the environment or in a .env beside advisor.yaml. Exit codes: 0 done or
passed, 1 crash, 2 usage or bad input, 3 gate failed, check says no-go, or what is packed
answers otherwise than was measured, 4 gate inconclusive, 75 another process holds the run
or moved the alias, 130 interrupted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code."""
    # Not list(...): once the verb `list` is loaded, that name means its module here.
    given = [*(sys.argv[1:] if argv is None else argv)]
    if not given or given[0] in ("-h", "--help"):
        verbs = "\n".join(f"  {verb:<10} {about}" for verb, about in VERBS.items())
        print(OVERVIEW.format(verbs=verbs))
        return 0
    if given[0] in ("-V", "--version"):
        print(f"advisor {__version__}")
        return 0
    try:
        if given[0] not in VERBS:
            raise AdvisorError(
                f"unknown verb {given[0]!r}{did_you_mean(given[0], VERBS)}", fix="advisor --help"
            )
        return _execute(given[0], given[1:])
    except AdvisorError as error:
        print(f"advisor: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("advisor: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return 0  # the reader has seen enough
    except OSError as error:
        print(f"advisor: {_refused(error)}", file=sys.stderr)
        return AdvisorError.exit_code


def _refused(error: OSError) -> AdvisorError:
    """What the system would not do, and that nothing acknowledged was lost by it."""
    where = error.filename or "a file"
    fix = "check the path and its permissions"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        fix = "free some space; every answer so far is kept, the same command continues"
    return AdvisorError(f"{where}: {error.strerror or error}", fix=fix)


def _execute(verb: str, given: Sequence[str]) -> int:
    module = import_module(f"advisor.cli.{verb}")
    parser = argparse.ArgumentParser(
        prog=f"advisor {verb}", description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.arguments(parser)
    read_env_file(Path.cwd())
    code: int = module.execute(parser.parse_args(with_variables(parser, given, os.environ)))
    return code
