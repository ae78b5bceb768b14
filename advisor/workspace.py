"""A workspace: the folder with `advisor.yaml`, and what lies below it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from advisor.config import Recipe, Settings
from advisor.errors import AdvisorError, Faults, did_you_mean
from advisor.yamlfiles import load

SETTINGS = "advisor.yaml"
SHIPPED_FOLDERS = ("evals", "baselines")

# Reports are made anew by every run; one that should be kept is added with `git add -f`.
REPORTS_IGNORED = "*\n!.gitignore\n"

# In a checkout the schemas lie in the package; a new workspace gets copies beside its files,
# because a folder named `advisor` there could be mistaken for the package.
SCHEMAS = "schemas"
_SCHEMA_LINE = re.compile(rb"(# yaml-language-server: \$schema=(?:\.\./)*)advisor/schemas/")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Names and paths below `root`; nothing is read before a method is called."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> Workspace:
        """The nearest folder with `advisor.yaml`, from `start` upwards.

        Raises AdvisorError when there is none.
        """
        begin = start.resolve()
        for folder in (begin, *begin.parents):
            if (folder / SETTINGS).is_file():
                return cls(folder)
        raise AdvisorError(f"no {SETTINGS} in {begin} or in a folder above it",
                           fix="advisor init")

    @property
    def reports(self) -> Path:
        """The folder that holds one folder for each run; it may not exist yet."""
        return self.root / "reports"

    def settings(self) -> Settings:
        """`advisor.yaml`, checked; raises AdvisorError for what is wrong in it."""
        return load(self.root / SETTINGS, Settings)

    def tasks(self) -> tuple[str, ...]:
        """The folders of `evals/` that hold a task.yaml, by name."""
        return tuple(sorted(path.parent.name for path in self.root.glob("evals/*/task.yaml")))

    def task_folder(self, name: str) -> Path:
        """The folder of a task, given its name, or the path of its folder or task.yaml.

        A name of this workspace goes before a path. Raises AdvisorError for neither.
        """
        names = self.tasks()
        if name in names:
            return self.root / "evals" / name
        path = Path(name)
        folder = path.parent if path.name == "task.yaml" else path
        if (folder / "task.yaml").is_file():
            return folder.resolve()
        if not names:
            raise AdvisorError(f"task {name!r}: {self.root / 'evals'} holds no task",
                               fix="advisor init, in a new folder, gives one to start from")
        raise AdvisorError(f"unknown task {name!r}{did_you_mean(name, names)}",
                           fix=f"name a folder of {self.root / 'evals'}, or a path to a task")

    def recipes(self) -> tuple[str, ...]:
        """The contenders: the files of `baselines/` without their suffix, by name."""
        return tuple(sorted(path.stem for path in self.root.glob("baselines/*.yaml")))

    def recipe(self, name: str) -> Recipe:
        """One contender, checked; raises AdvisorError for an unknown name or a bad file."""
        names = self.recipes()
        if name in names:
            return load(self.root / "baselines" / f"{name}.yaml", Recipe)
        folder = self.root / "baselines"
        if not names:
            raise AdvisorError(f"recipe {name!r}: {folder} holds no recipe",
                               fix=f"create {folder / name}.yaml")
        raise AdvisorError(f"unknown recipe {name!r}{did_you_mean(name, names)}",
                           fix=f"name a file of {folder}")

    def retention_file(self, suite: str) -> Path | None:
        """The YAML of a suite kept in this workspace; None for a suite of lm-eval itself."""
        folder = self.root / "evals" / "retention"
        found = [path for path in folder.glob("*.yaml") if path.stem == suite]
        return found[0] if found else None


def scaffold(
    target: Path, *, source: Path | None = None, tasks: Collection[str] | None = None
) -> list[Path]:
    """Make `target` a workspace with the shipped tasks and recipes; returns the new files.

    `source` is a workspace to copy from, by default the shipped one; `tasks` keeps only
    these of its tasks. Nothing is ever overwritten: raises Faults with every file that is
    already there, and AdvisorError when the folder cannot be written; either way no new
    file is left behind.
    """
    origin = shipped() if source is None else source
    contents = {path: _at_home((origin / path).read_bytes()) for path in _to_copy(origin)
                if tasks is None or _is_kept(path, tasks)}
    contents[Path("reports") / ".gitignore"] = REPORTS_IGNORED.encode()
    if source is None:
        package = Path(str(files("advisor")))
        contents |= {Path(SCHEMAS) / path.name: path.read_bytes()
                     for path in sorted((package / "schemas").glob("*.json"))}
        contents[Path("ci") / "github-actions.yml"] = (package / "ci.yml").read_bytes()
    taken = [path for path in sorted(contents) if _is_taken(target, path)]
    if taken:
        raise Faults(f"{target}: nothing was written",
                     [f"{path.as_posix()} is already there" for path in taken],
                     fix="advisor init in an empty folder, or move these files away")
    made: list[Path] = []
    try:
        for path, content in sorted(contents.items()):
            file = target / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("xb") as stream:
                made.append(file)
                stream.write(content)
    except OSError as error:
        for file in made:
            file.unlink()
        raise AdvisorError(f"{error.filename or target}: {error.strerror}",
                           fix="choose a folder that can be written and has space") from error
    return made


def shipped() -> Path:
    """The workspace that comes with the package: installed, or the checkout's root.

    Raises AdvisorError when the installation lacks it.
    """
    package = Path(str(files("advisor")))
    for folder in (package / "_shipped", package.parent):
        if (folder / SETTINGS).is_file():
            return folder
    raise AdvisorError(f"{package}: the shipped tasks and recipes are missing",
                       fix="pip install --force-reinstall adaptation-advisor")


def _to_copy(origin: Path) -> Iterator[Path]:
    yield Path(SETTINGS)
    for name in SHIPPED_FOLDERS:
        for path in sorted((origin / name).rglob("*")):
            relative = path.relative_to(origin)
            # Hidden files and caches are left over from work in a checkout.
            litter = any(part[0] == "." or part == "__pycache__" for part in relative.parts)
            if path.is_file() and not litter:
                yield relative


def _at_home(content: bytes) -> bytes:
    """The file with its first line pointing to the schema's copy in a workspace."""
    return _SCHEMA_LINE.sub(rb"\1schemas/", content, count=1)


def _is_kept(path: Path, tasks: Collection[str]) -> bool:
    """Whether `path` belongs to no task, or to one of `tasks`; suites are no tasks."""
    return path.parts[0] != "evals" or path.parts[1] in ("retention", *tasks)


def _is_taken(target: Path, path: Path) -> bool:
    """Whether `path` exists in `target`, or a file stands where its folder should be."""
    folders = [target / parent for parent in path.parents]
    blocked = any(os.path.lexists(folder) and not folder.is_dir() for folder in folders)
    return blocked or os.path.lexists(target / path)
