"""Versions copied to MLflow: to a store on disk, and to a server where one is installed.

`make mlflow-check` installs the server in an environment of its own, beside which no other
package has to give way, and sets ADVISOR_MLFLOW to its command.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from shipping import finished, home
from standing import until

from advisor.cli import main
from advisor.ship.bundle import digests
from advisor.ship.registry import Registry

mlflow = pytest.importorskip("mlflow", reason="pip install 'adaptation-advisor[mlflow]'")
SERVER = os.environ.get("ADVISOR_MLFLOW", "")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    root = home(tmp_path_factory.mktemp("mirror") / "home", "floor", "zero-shot", "rag")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        finished(root)
        assert main(["ship", "reports/tolls-fake", "--contender", "rag"]) == 0
    return root


@pytest.fixture
def workspace(shipped, tmp_path, monkeypatch):
    root = shutil.copytree(shipped, tmp_path / "home")
    monkeypatch.chdir(root)
    return root


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real server on a free port, its figures in SQLite."""
    if not SERVER:
        pytest.skip("no MLflow server: make mlflow-check")
    folder = tmp_path_factory.mktemp("server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (folder / "log").open("wb") as log, subprocess.Popen(
        [SERVER, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
         "--artifacts-destination", str(folder / "artifacts")],
        stdout=log, stderr=log, start_new_session=True,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": ""},
    ) as process:
        try:
            until(lambda: process.poll() is not None or healthy(port), seconds=180)
            assert process.poll() is None, (folder / "log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)


def test_a_version_is_copied_to_a_server_with_its_files_figures_and_digests(
    workspace, server, tmp_path, capsys
):
    from advisor.ship.mirror import mirror

    assert main(["registry", "mirror", "tolls@1", "--mlflow", server]) == 0
    assert "model tolls, version 1" in capsys.readouterr().out
    registry = Registry(workspace)
    one = registry.find("tolls@1")
    client = mlflow.MlflowClient(server, server)
    [found] = client.search_model_versions("name = 'tolls'")
    assert found.tags["advisor.id"] == one.id
    for name, sha in one.files.items():
        assert found.tags[f"advisor.file.{name}"] == sha
    figures = client.get_run(found.run_id).data
    assert figures.metrics["contains.low"] <= figures.metrics["contains"]
    assert figures.metrics["contains.n"] == 24
    assert figures.params["contender"] == "rag"
    back = Path(client.download_artifacts(found.run_id, "bundle", str(tmp_path)))
    assert digests(back) == digests(registry.checkout("tolls@1"))
    again = mirror(registry, "tolls@1", server)
    assert (again.new, again.version) == (False, "1")
    assert len(client.search_model_versions("name = 'tolls'")) == 1


def test_a_version_that_may_not_be_used_is_not_copied(workspace, capsys):
    path = Registry(workspace).checkout("tolls@1") / "system.json"
    path.chmod(0o644)
    path.write_bytes(b"?")
    assert main(["registry", "mirror", "tolls@1", "--mlflow", "http://127.0.0.1:9"]) == 2
    assert "system.json: its content is not what the manifest says" in capsys.readouterr().err


@pytest.mark.usefixtures("workspace")
def test_a_server_that_is_not_there_is_named_and_how_to_name_another(capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main(["registry", "mirror", "tolls@1", "--mlflow", "http://127.0.0.1:9"]) == 2
    said = capsys.readouterr().err
    assert "http://127.0.0.1:9" in said
    assert "see that an MLflow server runs there" in said


@pytest.mark.usefixtures("workspace")
def test_the_password_of_an_address_is_not_repeated(capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert main(["registry", "mirror", "tolls@1", "--mlflow", "http://me:secret@127.0.0.1:9"]) == 2
    assert "secret" not in capsys.readouterr().err


def test_metrics_carry_their_intervals():
    from advisor.ship.mirror import _metrics

    found = {"primary": "f1", "value": 0.5, "low": 0.4, "high": 0.6, "n": 10,
             "parts": {"exact": {"value": 0.25, "low": 0.1, "high": float("nan"), "n": 10}}}
    assert dict(_metrics(found)) == {
        "f1": 0.5, "f1.low": 0.4, "f1.high": 0.6, "f1.n": 10.0,
        "exact": 0.25, "exact.low": 0.1, "exact.n": 10.0}
