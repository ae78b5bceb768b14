"""The command line: every mistake gets a message, a next step and exit code 2."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from material import BASELINES, RECIPES, ROOT, tiny_model, write_task

from advisor.cli import VERBS, main
from advisor.cli.schema import MODELS
from advisor.config import Recipe, Settings, Strict, TaskFile
from advisor.runner.ahead import cores
from advisor.runner.journal import RunLock
from advisor.yamlfiles import load

FAKE = ("--engine", "fake", "--no-input")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "home"
    write_task(root / "evals" / "tolls")
    (root / "advisor.yaml").write_text("latency_probe: 1\n", encoding="utf-8")
    (root / "baselines").mkdir()
    for name in ("floor", "rag", "zero-shot"):
        (root / "baselines" / f"{name}.yaml").write_text(RECIPES[name], encoding="utf-8")
    monkeypatch.chdir(root)
    return root


def refused(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """What the command says on standard error when it ends with exit code 2."""
    capsys.readouterr()
    assert main(given) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("advisor: ")
    assert "\n  fix: " in said.err
    return said.err


def fake_run(*given: str) -> int:
    return main(["run", "tolls", *FAKE, *given])


def command(*given: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "advisor", *given], cwd=cwd, text=True, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", **env},
    )


# ------------------------------------------------------------------ names


def test_an_unknown_verb_gets_a_near_one(capsys):
    assert "unknown verb 'rnu' (did you mean 'run'?)" in refused(capsys, "rnu")


def test_an_unknown_verb_far_from_all_gets_the_list(capsys):
    assert f"expected one of: {', '.join(sorted(VERBS))}" in refused(capsys, "zzzzzz")


@pytest.mark.usefixtures("workspace")
def test_an_unknown_task_gets_a_near_one(capsys):
    said = refused(capsys, "run", "toll", *FAKE)
    assert "unknown task 'toll' (did you mean 'tolls'?)" in said


@pytest.mark.usefixtures("workspace")
def test_an_unknown_contender_gets_a_near_one(capsys):
    said = refused(capsys, "run", "tolls", "--contender", "zeroshot", *FAKE)
    assert "unknown recipe 'zeroshot' (did you mean 'zero-shot'?)" in said


def test_outside_of_a_workspace_the_next_step_is_init(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    said = refused(capsys, "run", "tolls")
    assert f"no advisor.yaml in {tmp_path}" in said
    assert "fix: advisor init" in said


@pytest.mark.parametrize("given", [
    ["run"], ["run", "tolls", "--engine", "none"], ["run", "tolls", "--limit", "few"], ["ask"],
    ["schema", "recipes"], ["init", "a", "b"], ["run", "tolls", "--sed", "1", "--bogus"],
], ids=" ".join)
def test_wrong_usage_exits_with_2_and_names_the_verb(given, capsys):
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert f"usage: advisor {given[0]}" in capsys.readouterr().err


# ------------------------------------------------------------------ recipes and settings


def spoilt(workspace: Path, text: str) -> str:
    path = workspace / "baselines" / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_unknown_key_gets_its_line_and_a_near_key(workspace, capsys):
    path = spoilt(workspace, "# mine\nprompt:\n  shot: 3\n")
    said = refused(capsys, "run", "tolls", "--contender", "bad", *FAKE)
    assert f"{path}: 1 fault" in said
    assert "line 3: prompt.shot: unknown key (did you mean 'shots'?)" in said


def test_an_unknown_key_of_an_adapter_gets_its_line_and_a_near_key(workspace, capsys):
    spoilt(workspace, "weights:\n  kind: lora\n  rnk: 3\n")
    said = refused(capsys, "run", "tolls", "--contender", "bad", *FAKE)
    assert "line 3: weights.rnk: unknown key (did you mean 'rank'?)" in said


def test_all_faults_of_a_file_are_told_together(workspace, capsys):
    spoilt(workspace, "prompts: {}\nprompt:\n  shots: -1\nretrieval:\n  kind: sparse\n")
    said = refused(capsys, "run", "tolls", "--contender", "bad", *FAKE)
    assert "3 faults" in said
    for fault in ("line 1: prompts: unknown key (did you mean 'prompt'?)",
                  "line 3: prompt.shots: ", "line 5: retrieval.kind: "):
        assert fault in said
    assert "found 'sparse'" in said


@pytest.mark.parametrize(("text", "fault"), [
    ("prompt: [", "not valid YAML"),
    ("- a\n- b\n", "expected keys and values, found list"),
    ("weights: {kind: lara}\n", "weights"),
    ("prompt: !!python/object:os.system {}\n", "not valid YAML"),
    ("prompt: 2024-02-31\n", "not valid YAML"),
    ("prompt: {shots: 3, shots: 4}\n", "shots"),
], ids=["cut", "list", "kind", "code", "date", "twice"])
def test_a_broken_recipe_is_named_with_its_fault(workspace, capsys, text, fault):
    path = spoilt(workspace, text)
    said = refused(capsys, "run", "tolls", "--contender", "bad", *FAKE)
    assert path in said
    assert fault in said


def test_a_recipe_that_is_not_text_is_named_with_its_line(workspace, capsys):
    (workspace / "baselines" / "bad.yaml").write_bytes(b"prompt:\n  shots: \xff\n")
    said = refused(capsys, "run", "tolls", "--contender", "bad", *FAKE)
    assert "bad.yaml:2: not UTF-8" in said


def test_a_bad_file_among_the_contenders_stops_the_run_before_anything_is_asked(
    workspace, capsys
):
    spoilt(workspace, "prompt: {shots: -1}")
    assert "bad.yaml" in refused(capsys, "run", "tolls", *FAKE)
    assert not (workspace / "reports").exists()


def test_bad_settings_are_told_with_their_line(workspace, capsys):
    (workspace / "advisor.yaml").write_text("seed: 1\npolicy:\n  alpha: 0.9\n")
    said = refused(capsys, "run", "tolls", *FAKE)
    assert "line 3: policy.alpha: " in said


@pytest.mark.parametrize(("option", "value"), [("--limit", "0"), ("--limit", "-1"),
                                               ("--seed", "-1"), ("--jobs", "0"),
                                               ("--jobs", "4096")])
@pytest.mark.usefixtures("workspace")
def test_a_number_out_of_range_is_refused(capsys, option, value):
    said = refused(capsys, "run", "tolls", option, value, *FAKE)
    assert option.removeprefix("--") in said
    assert value in said


@pytest.mark.usefixtures("workspace")
def test_a_time_limit_is_kept_by_one_process_only(capsys):
    said = refused(capsys, "run", "tolls", "--jobs", "2", "--time-limit", "30m", *FAKE)
    assert "--jobs and --time-limit: " in said


@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_two_processes_measure_what_the_command_line_plans(workspace):
    assert fake_run("--jobs", "2") == 0
    assert (workspace / "reports" / "tolls-fake" / "winner" / "manifest.json").is_file()


def test_bad_rows_of_a_task_are_told_together_with_their_lines(workspace, capsys):
    path = workspace / "evals" / "tolls" / "train.jsonl"
    path.write_text('{"id": "a"}\nnonsense\n')
    said = refused(capsys, "run", "tolls", *FAKE)
    assert "train.jsonl:1: missing key 'text'" in said
    assert "train.jsonl:2: not valid JSON" in said


# ------------------------------------------------------------------ models


def test_a_model_that_cannot_be_found_lists_what_was_tried(workspace):
    done = command("run", "tolls", "--model", "nowhere/none", cwd=workspace)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "model 'nowhere/none' cannot be resolved; tried:" in done.stderr
    for place in ("packaged models: smollm2-135m-instruct", "nowhere/none (no config.json there)",
                  "hub nowhere/none ("):
        assert place in done.stderr
    assert "fix: set `model:` in advisor.yaml" in done.stderr


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(workspace, tmp_path, package):
    (tmp_path / f"{package}.py").write_text(
        f"raise ModuleNotFoundError('no {package} here', name={package!r})\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = command("run", "tolls", cwd=workspace, PYTHONPATH=paths)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert package in done.stderr
    assert "pip install 'adaptation-advisor[models]'" in done.stderr


# ------------------------------------------------------------------ asking


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_question_is_refused(capsys, text):
    assert "the question is empty" in refused(capsys, "ask", "reports/tolls", text)


def test_asking_what_is_no_run_says_what_to_name(workspace, capsys):
    said = refused(capsys, "ask", str(workspace), "Why?")
    assert "is no bundle" in said
    assert "fix: name a run folder with a winner/, or a bundle" in said


@pytest.mark.model  # of the two packaged models only the embedder is used
def test_a_base_model_that_moved_is_named_with_an_option(workspace, tmp_path, capsys):
    place = tiny_model(tmp_path / "here")
    for name in ("floor", "rag"):
        (workspace / "baselines" / f"{name}.yaml").unlink()
    text = f"model: {place}\nlatency_probe: 1\n"
    (workspace / "advisor.yaml").write_text(text, encoding="utf-8")
    assert main(["run", "tolls", "--no-input"]) == 0
    moved = place.rename(tmp_path / "there")
    said = refused(capsys, "ask", "reports/tolls", "Why?")
    assert "cannot be resolved" in said
    assert "--model PATH_OR_ID" in said
    assert main(["ask", "reports/tolls", "Why?", "--model", str(moved)]) == 0


# ------------------------------------------------------------------ running


def test_a_run_tells_the_verdict_the_report_and_how_to_ask(workspace, capsys):
    assert fake_run() == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "tolls: use rag" in said
    assert "report.html" in said
    assert "try it: advisor ask" in said
    assert (workspace / "reports" / "tolls-fake" / "winner").is_dir()


@pytest.mark.usefixtures("workspace")
def test_json_is_one_document_alone_on_standard_output(capsys):
    assert fake_run("--json") == 0
    said = capsys.readouterr()
    [verdict] = json.loads(said.out)
    assert (verdict["winner"], verdict["failed"], verdict["skipped"]) == ("rag", {}, {})
    assert "use rag" in said.err
    assert json.loads((Path(verdict["folder"]) / "verdict.json").read_text())["winner"] == "rag"


def test_two_tasks_give_one_document(workspace, capsys):
    other = write_task(workspace / "evals" / "more")
    text = (other / "task.yaml").read_text().replace("name: tolls", "name: more")
    (other / "task.yaml").write_text(text)
    assert main(["run", "tolls", "more", *FAKE, "--json"]) == 0
    assert [one["task"]["name"] for one in json.loads(capsys.readouterr().out)] == ["tolls", "more"]


def test_a_failed_contender_is_named_and_the_exit_code_is_1(workspace, capsys):
    spoilt(workspace, "prompt: {shots: 99}")
    assert fake_run("--json") == 1
    said = capsys.readouterr()
    [verdict] = json.loads(said.out)
    assert "prompt.shots is 99, but train has 12 rows" in verdict["failed"]["bad"]
    assert "failed bad: prompt.shots is 99" in said.err


@pytest.mark.usefixtures("workspace")
def test_a_limited_run_has_its_own_folder_and_is_not_final(capsys):
    assert fake_run("--limit", "5", "--json") == 0
    [verdict] = json.loads(capsys.readouterr().out)
    assert verdict["final"] is False
    assert Path(verdict["folder"]).name == "tolls-fake-limit-5"


def test_a_run_that_is_held_by_another_process_exits_with_75(workspace, capsys):
    folder = workspace / "reports" / "tolls-fake"
    folder.mkdir(parents=True)
    with RunLock(folder):
        assert fake_run() == 75
    assert f"is in use by process {os.getpid()}" in capsys.readouterr().err


# ------------------------------------------------------------------ help, schemas, files


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {verb} " in said for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: advisor {verb}" in said
    assert len(said.splitlines()) > 4


@pytest.mark.parametrize("name", MODELS)
def test_the_committed_schema_is_what_the_command_prints(name, capsys):
    assert main(["schema", name]) == 0
    committed = (ROOT / "advisor" / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == committed.strip()


def shipped_yaml() -> dict[str, tuple[Path, type[Strict]]]:
    files: dict[Path, type[Strict]] = {ROOT / "advisor.yaml": Settings}
    files |= dict.fromkeys(BASELINES.values(), Recipe)
    files |= dict.fromkeys(sorted(ROOT.glob("evals/*/task.yaml")), TaskFile)
    return {path.relative_to(ROOT).as_posix(): (path, model) for path, model in files.items()}


@pytest.mark.parametrize("name", shipped_yaml())
def test_a_shipped_file_loads_and_its_first_line_names_its_schema(name):
    path, model = shipped_yaml()[name]
    load(path, model)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named, first
    schema = json.loads((path.parent / named[1]).read_text(encoding="utf-8"))
    assert schema["title"] == model.__name__
    jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)


@pytest.mark.parametrize("name", ["ci.yml", "templates/advisor-gate.yml"])
def test_a_shipped_workflow_names_its_schema_first(name):
    first = (ROOT / "advisor" / name).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=https://json.schemastore.org/")


def test_the_trust_file_of_the_readme_names_its_schema_and_fits_it():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```yaml\n(.*?people:.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    block = block.rpartition("```yaml\n")[2]
    assert block.startswith("# yaml-language-server: $schema=schemas/trust.json\n")
    schema = json.loads((ROOT / "advisor" / "schemas" / "trust.json").read_text("utf-8"))
    jsonschema.validate(yaml.safe_load(block), schema)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_says_what_it_is_and_the_command_that_runs_it(name):
    lines = BASELINES[name].read_text(encoding="utf-8").splitlines()[1:]
    *about, run_it = itertools.takewhile(lambda line: line.startswith("#"), lines)
    assert re.fullmatch(r"# [A-Z].*\.", " ".join(about))
    assert run_it == f"# advisor run TASK --contender {name}"


def test_every_retention_suite_of_the_settings_is_shipped():
    settings = load(ROOT / "advisor.yaml", Settings)
    assert settings.retention
    assert all((ROOT / "evals" / "retention" / f"{name}.yaml").is_file()
               for name in settings.retention if name != "own_text")
