"""Finding a workspace, naming what is in it, and making a new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from advisor.config import LoraWeights, Recipe
from advisor.errors import AdvisorError, Faults
from advisor.workspace import Workspace, scaffold, shipped

TASK = """
name: {name}
title: T
instruction: Answer.
scorer: {{kind: exact}}
primary: exact
context: {{calls_per_month: 1}}
"""
FILES = {
    "advisor.yaml": "seed: 7\n",
    "evals/tickets/task.yaml": TASK.format(name="tickets"),
    "evals/policy/task.yaml": TASK.format(name="policy"),
    "evals/retention/grammar.yaml": "task: grammar\n",
    "baselines/lora.yaml": "weights: {kind: lora, rank: 4}\n",
    "baselines/zero-shot.yaml": "{}\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "home"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def test_a_workspace_is_found_from_a_folder_below_it(root: Path) -> None:
    workspace = Workspace.find(root / "evals" / "tickets")
    assert workspace == Workspace(root.resolve())
    assert workspace.settings().seed == 7


def test_without_a_workspace_the_fix_is_init(tmp_path: Path) -> None:
    with pytest.raises(AdvisorError, match=r"no advisor.yaml in .* or in a") as caught:
        Workspace.find(tmp_path)
    assert caught.value.fix == "advisor init"


def test_tasks_are_the_folders_with_a_task_yaml(root: Path) -> None:
    assert Workspace(root).tasks() == ("policy", "tickets")


def test_a_task_is_named_or_given_as_a_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, folder = Workspace(root), root / "evals" / "tickets"
    monkeypatch.chdir(root / "baselines")
    for name in ("tickets", str(folder), str(folder / "task.yaml"), "../evals/tickets"):
        assert workspace.task_folder(name) == folder


def test_an_unknown_task_gets_a_near_name(root: Path) -> None:
    with pytest.raises(AdvisorError, match=r"unknown task 'ticket' \(did you mean 'tickets'\?\)"):
        Workspace(root).task_folder("ticket")


def test_a_workspace_without_tasks_says_so(tmp_path: Path) -> None:
    with pytest.raises(AdvisorError, match="evals holds no task"):
        Workspace(tmp_path).task_folder("tickets")


def test_a_recipe_is_named_by_its_file(root: Path) -> None:
    workspace = Workspace(root)
    assert workspace.recipes() == ("lora", "zero-shot")
    assert workspace.recipe("zero-shot") == Recipe()
    weights = workspace.recipe("lora").weights
    assert isinstance(weights, LoraWeights)
    assert weights.rank == 4


def test_an_unknown_recipe_gets_a_near_name(root: Path) -> None:
    with pytest.raises(AdvisorError, match=r"unknown recipe 'loar' \(did you mean 'lora'\?\)"):
        Workspace(root).recipe("loar")


def test_a_recipe_is_never_looked_for_outside_the_workspace(root: Path) -> None:
    with pytest.raises(AdvisorError, match="unknown recipe"):
        Workspace(root).recipe("../advisor")


def test_a_retention_suite_is_a_file_or_belongs_to_lm_eval(root: Path) -> None:
    workspace = Workspace(root)
    assert workspace.retention_file("grammar") == root / "evals" / "retention" / "grammar.yaml"
    assert workspace.retention_file("hellaswag") is None
    assert workspace.retention_file("../policy/task") is None


# ------------------------------------------------------------------ a new one


def test_a_scaffold_is_a_workspace_with_the_same_content(root: Path, tmp_path: Path) -> None:
    made = scaffold(tmp_path / "new", source=root)
    workspace = Workspace.find(tmp_path / "new" / "evals")
    assert workspace.tasks() == ("policy", "tickets")
    names = {path.relative_to(tmp_path / "new").as_posix() for path in made}
    assert names == {*FILES, "reports/.gitignore"}
    assert (workspace.reports / ".gitignore").read_text(encoding="utf-8") == "*\n!.gitignore\n"


def test_hidden_files_and_caches_are_not_copied(root: Path, tmp_path: Path) -> None:
    (root / "evals" / ".cache").mkdir()
    (root / "evals" / ".cache" / "x").write_text("", encoding="utf-8")
    (root / "baselines" / "__pycache__").mkdir()
    (root / "baselines" / "__pycache__" / "x.pyc").write_text("", encoding="utf-8")
    assert len(scaffold(tmp_path / "new", source=root)) == len(FILES) + 1


def test_a_scaffold_overwrites_nothing_and_lists_what_is_there(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "new"
    (target / "baselines").mkdir(parents=True)
    (target / "baselines" / "lora.yaml").write_text("mine", encoding="utf-8")
    (target / "advisor.yaml").symlink_to("nowhere")
    with pytest.raises(Faults) as caught:
        scaffold(target, source=root)
    assert caught.value.faults == ("advisor.yaml is already there",
                                   "baselines/lora.yaml is already there")
    assert sorted(path.name for path in target.rglob("*")) == [
        "advisor.yaml", "baselines", "lora.yaml"
    ]  # fmt: skip


def test_a_file_in_the_place_of_a_folder_is_listed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "evals").write_text("mine", encoding="utf-8")
    with pytest.raises(Faults, match=r"evals/tickets/task.yaml is already there"):
        scaffold(tmp_path, source=root)


def test_every_yaml_of_a_new_workspace_names_a_schema_that_lies_there(tmp_path: Path) -> None:
    made = [path for path in scaffold(tmp_path / "new")
            if path.suffix == ".yaml" and "retention" not in path.parts]
    named = {path: path.read_text(encoding="utf-8").splitlines()[0] for path in made}
    found = {path: (path.parent / line.rpartition("$schema=")[2]) for path, line in named.items()
             if line.startswith("# yaml-language-server: $schema=")}
    # The source from which a shipped task is made is for no loader.
    assert {path.name for path in named.keys() - found.keys()} <= {"questions.yaml"}
    assert all(schema.is_file() for schema in found.values())


def test_only_the_tasks_that_are_wanted_are_copied(root: Path, tmp_path: Path) -> None:
    scaffold(tmp_path / "new", source=root, tasks=("policy",))
    assert Workspace(tmp_path / "new").tasks() == ("policy",)
    assert (tmp_path / "new" / "evals" / "retention" / "grammar.yaml").is_file()


def test_the_shipped_workspace_can_be_made_and_all_of_it_loads(tmp_path: Path) -> None:
    scaffold(tmp_path / "new")
    workspace = Workspace.find(tmp_path / "new")
    assert workspace.settings()
    assert workspace.tasks()
    assert all(isinstance(workspace.recipe(name), Recipe) for name in workspace.recipes())
    assert Workspace(shipped()).recipes() == workspace.recipes() != ()
