"""The forecast: lines through two probes, what is kept, and the truth beside it."""

from __future__ import annotations

import json
import math

import pytest
from behind import behind, said
from material import RECIPES, write_task

from advisor.cli import main
from advisor.forecast.figures import Check, Forecast, Planned, against, read, save
from advisor.forecast.probe import BATCH, Answering, _line


def one(name: str, **more: float) -> Forecast:
    figures = dict.fromkeys(("prepare_seconds", "shared_seconds", "seconds_per_call", "p50_ms",
                             "tokens_in", "tokens_out", "tokens_trained", "retention_seconds",
                             "peak_memory_mib", "run_seconds", "run_usd", "usd_per_1k"), 0.0)
    return Forecast(name, **{**figures, **more})


def planned(*contenders: Forecast) -> Planned:
    return Planned("tolls", "d", 24, 10.0, 1.0, contenders)


def test_two_probes_tell_what_a_batch_costs_and_what_a_row_adds():
    assert _line((6.0, 5.0), (24.0, 14.0)) == (2.0, 0.5)
    assert Answering(2.0, 0.5, 0, 0, 0).seconds(BATCH + 1) == 2 * 2.0 + 0.5 * (BATCH + 1)


def test_noise_never_foresees_a_negative_time():
    assert _line((6.0, 5.0), (24.0, 4.0)) == (4.0, 0.0)
    assert _line((6.0, 1.0), (24.0, 12.0)) == (0.0, 0.5)


def test_what_contenders_share_is_counted_once():
    made = planned(one("a", run_seconds=100, shared_seconds=20),
                   one("b", run_seconds=50, shared_seconds=20))
    assert made.seconds == 10 + 150 - 20


def test_a_plan_is_kept_and_read_again(tmp_path):
    save(planned(one("a", run_seconds=3.0, peak_memory_mib=math.nan)), tmp_path)
    found = read(tmp_path)
    assert found.contenders[0].run_seconds == 3.0
    assert math.isnan(found.contenders[0].peak_memory_mib)
    assert json.loads((tmp_path / "plan.json").read_text())["version"] == 1


def test_a_ratio_of_noise_is_not_reported():
    cost = {"prepare_seconds": 0.1, "seconds_per_call": 0.1, "tokens_in": 10, "tokens_out": None,
            "p50_ms": 100.0, "usd_per_1k": 0.0, "peak_memory_mib": None}
    verdict = {"standings": [{"contender": "a", "cost": cost}]}
    found = against(planned(one("a", seconds_per_call=0.12, tokens_in=14, p50_ms=200.0)), verdict)
    assert [(c.figure, c.close) for c in found] == [
        ("seconds_per_call", True), ("tokens_in", False), ("p50_ms", False)]
    assert Check("a", "x", 3.0, 2.0).ratio == 1.5


@pytest.fixture
def home(tmp_path, monkeypatch):
    write_task(tmp_path / "evals" / "tolls")
    (tmp_path / "advisor.yaml").write_text("latency_probe: 1\nretention: []\n", encoding="utf-8")
    (tmp_path / "baselines").mkdir()
    for name in RECIPES:
        (tmp_path / "baselines" / f"{name}.yaml").write_text(RECIPES[name], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_contender_is_foreseen_without_a_run(home, capsys):
    assert main(["plan", "tolls", "--engine", "fake", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    by_name = {one["contender"]: one for one in found["contenders"]}
    assert by_name.keys() == RECIPES.keys()
    assert by_name["floor"]["run_seconds"] == 0.0
    assert by_name["lora"]["tokens_trained"] > by_name["zero-shot"]["tokens_trained"] == 0.0
    assert by_name["few-shot"]["tokens_in"] > by_name["zero-shot"]["tokens_in"] > 0
    assert not (home / "reports" / "tolls" / "journal.db").exists()


def test_a_run_ends_with_how_true_its_plan_was(home, capsys):
    assert main(["plan", "tolls", "--engine", "fake", "--contender", "zero-shot"]) == 0
    (home / "reports" / "tolls").rename(home / "reports" / "tolls-fake")
    assert main(["run", "tolls", "--engine", "fake", "--no-input", "--contender",
                 "zero-shot"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "figures within 25% of what was measured" in said
    page = (home / "reports" / "tolls-fake" / "report.html").read_text(encoding="utf-8")
    assert "The plan that was made before the run: " in page
    line = page.partition("made before the run: ")[2].partition(".</li>")[0]
    assert line in said
    assert main(["report", "reports/tolls-fake", "-o", "again.html"]) == 0
    assert line in (home / "again.html").read_text(encoding="utf-8")


def test_the_truth_is_set_beside_the_plan(home, capsys):
    assert main(["plan", "tolls", "--engine", "fake", "--contender", "zero-shot"]) == 0
    assert main(["run", "tolls", "--engine", "fake", "--no-input", "--contender",
                 "zero-shot"]) == 0
    capsys.readouterr()
    assert main(["plan", "tolls", "--truth", "tolls-fake"]) == 0
    said = capsys.readouterr().out
    assert "zero-shot  tokens_in" in said
    assert "figures within 25%" in said
    assert home.is_dir()


def planned_for(capsys, *options: str) -> set[str]:
    assert main(["plan", "tolls", "--engine", "fake", "--json", *options]) == 0
    return {one["contender"] for one in json.loads(capsys.readouterr().out)["contenders"]}


@pytest.fixture
def sets(home):
    with (home / "advisor.yaml").open("a", encoding="utf-8") as settings:
        settings.write("optional: [lora]\npresets: {quick: [zero-shot, floor]}\n"
                       "factorial: {prompt: few-shot, retrieval: rag}\n")
    return home


@pytest.mark.usefixtures("sets")
def test_a_plan_takes_the_sets_of_contenders_that_a_run_takes(capsys):
    assert planned_for(capsys) == RECIPES.keys() - {"lora"}
    assert planned_for(capsys, "--all") == RECIPES.keys()
    assert planned_for(capsys, "--preset", "quick") == {"zero-shot", "floor"}
    assert main(["plan", "tolls", "--engine", "fake", "--preset", "quik"]) == 2
    assert "did you mean 'quick'" in capsys.readouterr().err


def test_the_plan_of_a_factorial_lies_where_its_run_will(sets, capsys):
    cells = {"plain", "prompt", "retrieval", "prompt+retrieval"}
    assert planned_for(capsys, "--factorial") == cells
    assert (sets / "reports" / "tolls-factorial" / "plan.json").is_file()
    assert not (sets / "reports" / "tolls").exists()


@pytest.mark.usefixtures("home")
def test_without_a_plan_there_is_no_truth_to_tell(capsys):
    assert main(["plan", "tolls", "--truth"]) == 2
    assert "advisor plan TASK, before the run" in capsys.readouterr().err


def test_who_cannot_be_prepared_is_left_out_with_the_reason(home, capsys):
    (home / "baselines" / "greedy.yaml").write_text("prompt: {shots: 9999}\n", encoding="utf-8")
    assert main(["plan", "tolls", "--engine", "fake"]) == 0
    told = capsys.readouterr()
    assert "greedy, left out: prompt.shots is 9999" in told.err
    assert "few-shot" in told.out


def test_a_factor_that_is_left_out_is_told(sets, capsys):
    text = (sets / "advisor.yaml").read_text(encoding="utf-8")
    (sets / "advisor.yaml").write_text(text.replace("rag}", "rag, decoding: held}"))
    (sets / "baselines" / "held.yaml").write_text("decoding: {kind: json}\n", encoding="utf-8")
    assert main(["plan", "tolls", "--engine", "fake", "--factorial"]) == 0
    assert "without the factor decoding: decoding.kind: json needs a" in capsys.readouterr().err


def test_a_served_contender_and_a_served_teacher_are_foreseen_with_their_price(home, capsys):
    pytest.importorskip("openai")
    teacher = "teacher: {recipe: {weights: {kind: endpoint, name: local}}}"
    with behind(lambda *_: said("12 pence", tokens=(100, 10))) as server:
        (home / "advisor.yaml").write_text(
            f"latency_probe: 1\nretention: []\nendpoints: {{local: {{url: '{server.url}', "
            "model: m, usd_per_million_in: 2, usd_per_million_out: 10, spend_limit_usd: 1}}\n")
        for name, text in (("served", "weights: {kind: endpoint, name: local}"),
                           ("distilled", f"weights: {{kind: lora, {teacher}}}")):
            (home / "baselines" / f"{name}.yaml").write_text(text, encoding="utf-8")
        assert main(["plan", "tolls", "--engine", "fake", "--json", "--contender", "served",
                     "--contender", "distilled", "--contender", "lora"]) == 0
    by_name = {one["contender"]: one for one in json.loads(capsys.readouterr().out)["contenders"]}
    call = (100 * 2 + 10 * 10) / 1e6
    assert by_name["served"]["usd_per_1k"] == pytest.approx(1000 * call)
    assert by_name["served"]["run_usd"] == pytest.approx((24 + 1) * call)
    assert by_name["distilled"]["run_usd"] > 12 * call > by_name["lora"]["run_usd"]
    assert len(server.seen) < 24


def test_who_may_not_be_asked_is_not_asked_by_a_plan(home, capsys):
    (home / "baselines" / "served.yaml").write_text("weights: {kind: endpoint, name: local}\n")
    assert main(["plan", "tolls", "--engine", "fake"]) == 0
    assert "served, left out: advisor.yaml has no endpoint 'local'" in capsys.readouterr().err
