"""The wheel outside the checkout, the speed of the command, and what the repo may name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).resolve().parents[1]

# None of these is a dependency of the wheel without extras.
HEAVY = ("torch", "transformers", "sentence_transformers", "faiss", "lm_eval", "peft",
         "gguf", "bitsandbytes", "bm25s", "llguidance", "openai", "datasets",
         "huggingface_hub", "sklearn", "pandas")

# In two halves, so that this file passes its own test.
REGISTRY_HOSTS = tuple(
    ".".join(halves)
    for halves in (("pypi", "org"), ("pythonhosted", "org"), ("download.pytorch", "org"),
                   ("npmjs", "org"), ("anaconda", "org"), ("deb.debian", "org"),
                   ("crates", "io"), ("proxy.golang", "org"))
)


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel, unpacked in a folder of its own and run from another one."""

    site: Path
    cwd: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items()
               if not name.startswith(("ADVISOR_", "PYTHON"))}
        env |= {"PYTHONPATH": str(self.site), "HF_HUB_OFFLINE": "1", "NO_COLOR": "1",
                "ADVISOR_CACHE": str(self.cwd / "cache")}
        return subprocess.run([sys.executable, *command], cwd=self.cwd, env=env, timeout=300,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)


def said(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"


def quiet(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=300)
    assert done.returncode == 0, said(done)
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    quiet(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), ".")
    [path] = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    site = tmp_path_factory.mktemp("site")
    quiet(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
          "--disable-pip-version-check", "--target", str(site), str(wheel))
    # Whatever else this environment holds, the wheel must do with its own dependencies.
    for name in HEAVY:
        stand_in = site / f"{name}.py"
        stand_in.write_text(f"raise ModuleNotFoundError('no {name} here', name={name!r})\n")
    return Installed(site, tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="session")
def workspace(installed: Installed) -> Installed:
    done = installed.run("-m", "advisor", "init", "mine")
    assert done.returncode == 0, said(done)
    return Installed(installed.site, installed.cwd / "mine")


def names_in(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        return archive.namelist()


def files_of_the_repo() -> Iterator[Path]:
    """What is tracked, or would be with `git add`."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing is tracked")
    listed = quiet("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            yield ROOT / name


def test_the_wheel_brings_one_importable_package(wheel):
    top = {name.split("/")[0] for name in names_in(wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == {"advisor"}


@pytest.mark.parametrize("folder", ["evals", "baselines"])
def test_the_wheel_holds_every_file_of(wheel, folder):
    names = {name for name in names_in(wheel) if name.startswith(f"advisor/_shipped/{folder}/")}
    wanted = {f"advisor/_shipped/{file.relative_to(ROOT).as_posix()}"
              for file in files_of_the_repo() if file.is_relative_to(ROOT / folder)}
    assert wanted
    assert names == wanted


def test_the_wheel_holds_the_settings_of_a_new_workspace(wheel):
    with ZipFile(wheel) as archive:
        assert archive.read("advisor/_shipped/advisor.yaml") == (ROOT / "advisor.yaml").read_bytes()


def test_the_wheel_holds_no_runs_and_no_tests(wheel):
    assert not [name for name in names_in(wheel) if "verdict.json" in name or "/tests/" in name]


def test_the_installed_package_is_not_the_checkout(installed):
    done = installed.run("-c", "import advisor; print(advisor.__file__)")
    assert Path(done.stdout.strip()).is_relative_to(installed.site), said(done)


def test_the_installed_command_explains_itself(installed):
    done = installed.run("-m", "advisor", "--help")
    assert done.returncode == 0, said(done)
    assert "init" in done.stdout


def test_a_new_workspace_holds_the_shipped_tasks_and_recipes(workspace):
    assert (workspace.cwd / "advisor.yaml").is_file()
    assert (workspace.cwd / "evals" / "ticket-triage" / "task.yaml").is_file()
    assert (workspace.cwd / "baselines" / "zero-shot.yaml").is_file()


@pytest.mark.slow
def test_a_run_on_the_fake_engine_needs_no_extras(workspace):
    done = workspace.run("-m", "advisor", "run", "ticket-triage", "--engine", "fake", "--limit",
                         "20", "--contender", "floor", "--contender", "zero-shot", "--no-input")
    assert done.returncode == 0, said(done)
    assert list(workspace.cwd.glob("reports/*/verdict.json")), said(done)


def test_help_answers_in_under_half_a_second(installed):
    took = []
    for _ in range(5):
        start = time.perf_counter()
        done = installed.run("-m", "advisor", "--help")
        took.append(time.perf_counter() - start)
        assert done.returncode == 0, said(done)
    # The fastest: whatever else the machine was doing only ever adds.
    assert min(took) < 0.5, took


def test_help_imports_nothing_heavy():
    script = ("import runpy, sys\n"
              "sys.argv = ['advisor', '--help']\n"
              "try:\n    runpy.run_module('advisor', run_name='__main__')\n"
              "except SystemExit as end:\n    assert not end.code, end.code\n"
              f"print(*sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)\n")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, said(done)
    assert done.stderr.strip() == ""


def test_every_constraint_is_one_exact_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if pin.count("==") != 1 or "/" in pin or "+" in pin] == []


def test_no_file_names_a_package_registry():
    found = [f"{file.relative_to(ROOT)}: {host}"
             for file in files_of_the_repo() for host in REGISTRY_HOSTS
             if host.encode() in file.read_bytes()]
    assert found == []


def test_ci_ends_with_the_tests():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert "set -euo pipefail" in lines
    assert lines[-1] == "make test"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
