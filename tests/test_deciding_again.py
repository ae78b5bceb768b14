"""Seeds, registered rules, protected suites, and `advisor decide` on a finished run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, replace

import pytest
import yaml
from material import Listening, Silent, own, plan, recipe, small_task
from test_measures import POLICY, suites

from advisor.cli import main
from advisor.config import PolicyFile, Settings
from advisor.decide import conclude
from advisor.decide.changes import changed
from advisor.engines.fake import FakeEngine
from advisor.errors import AdvisorError, Faults
from advisor.measures.forgetting import forgetting
from advisor.measures.standing import forgetting_bars
from advisor.runner.journal import Journal
from advisor.runner.ledger import recall
from advisor.runner.run import run
from advisor.trial import PrepareCost

NAMES = ("floor", "zero-shot", "few-shot", "rag")


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return small_task(tmp_path_factory.mktemp("task") / "tolls")


@pytest.fixture(scope="module")
def finished(task, tmp_path_factory):
    """A finished run folder that no test changes."""
    folder = tmp_path_factory.mktemp("runs") / "tolls"
    run(plan(task, folder, recipes=own(*NAMES)), Silent())
    return folder


# ------------------------------------------------------------------ deciding again


def test_the_journal_gives_the_verdict_of_the_run_again(finished):
    ledger = recall(finished)
    again = conclude(ledger.case, ledger.policy)
    kept = json.loads((finished / "verdict.json").read_text())
    assert (again.outcome, again.winner) == (kept["outcome"], kept["winner"]) == (
        "recommend", "rag")
    assert list(again.because) == kept["because"]


def test_whether_the_right_document_was_at_hand_is_counted_for_readers_alone(finished):
    parts = {one.contender: one.parts for one in recall(finished).case.trials}
    assert parts["rag"]["retrieved"].mean() == 1.0
    assert not any("retrieved" in parts[name] for name in NAMES[:3])


def test_a_limit_of_latency_that_all_break_is_told_with_what_it_was(finished, capsys):
    assert main(["decide", str(finished), "--set", "latency=1e-6"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("tolls: no contender is acceptable\n  it was: use rag\n")
    assert "set: latency none -> 1e-06, after the answers were known" in said
    assert "about: the systems that were measured" in said
    assert "what would change the advice" in said


def test_deciding_again_writes_nothing(finished):
    before = {path: path.read_bytes() for path in finished.rglob("*")
              if path.is_file() and path.suffix not in (".db-wal", ".db-shm")}
    assert main(["decide", str(finished), "--set", "margin=0.2"]) == 0
    assert {path: path.read_bytes() for path in before} == before


def test_json_has_both_verdicts_and_what_was_set(finished, capsys):
    given = ["--set", "volume=2e6", "--set", "price.gpu_hour=1.2", "--json"]
    assert main(["decide", str(finished), *given]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["set"] == {"calls_per_month": {"was": 1000.0, "now": 2e6},
                           "usd_per_machine_hour": {"was": 0.1, "now": 1.2}}
    assert data["before"]["winner"] == data["after"]["winner"] == "rag"
    costs = [{one["contender"]: one["cost"]["usd_per_1k"] for one in data[when]["standings"]}
             for when in ("before", "after")]
    assert costs[1]["rag"] == pytest.approx(12 * costs[0]["rag"])


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("volum=3", "unknown key (did you mean 'volume'?)"),
        ("volume", "'volume': expected KEY=VALUE"),
        ("volume=0", "volume: expected a number of more than 0 and at most 1e+12, found '0'"),
        ("churn=1.5", "churn: expected a number of 0 or more and at most 1, found '1.5'"),
        ("value=nan", "value: expected a number of more than 0 and at most 1e+09, or none, found "
         "'nan'"),
        ("price.machine_hour=inf", "more than 0 and at most 1e+09, found 'inf'"),
        ("protect.grammer=0.1", "protect.grammer: not a measured suite (did you mean 'grammar'?)"),
    ],
)
def test_a_number_that_cannot_be_is_refused_with_what_could(given, fault):
    with pytest.raises(Faults) as caught:
        changed(POLICY, [given], suites=["grammar"])
    assert fault in str(caught.value)


def test_all_faults_of_the_command_are_told_together():
    with pytest.raises(Faults) as caught:
        changed(POLICY, ["x=1", "margin=2", "alpha=0"])
    assert len(caught.value.faults) == 3


def test_a_folder_that_is_no_run_and_one_without_a_ledger_say_what_to_do(tmp_path, task):
    with pytest.raises(AdvisorError, match="not a run folder"):
        recall(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run(plan(task, tmp_path / "half", recipes=own("rag"), engine=Listening(patience=3)),
            Silent())
    with pytest.raises(AdvisorError, match="has not finished") as caught:
        recall(tmp_path / "half")
    assert "again" in caught.value.fix


def test_deciding_again_loads_neither_torch_nor_a_reader_of_yaml(finished):
    program = (
        "import sys\nfrom advisor.cli import main\n"
        f"main(['decide', {str(finished)!r}])\n"
        "print(sorted({'torch', 'transformers', 'pydantic', 'yaml', 'jinja2', 'scipy.stats'}"
        " & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          timeout=60, check=True)
    assert done.stderr.strip() == "[]"


# ------------------------------------------------------------------ seeds


@dataclass(frozen=True, slots=True)
class Lucky(Listening):
    """Tuned at an odd seed, it learns the wrong answers."""

    def tune(self, course, spec, *, folder, seed: int, start=None) -> PrepareCost:
        lessons = [replace(one, completion="no idea") if seed % 2 else one
                   for one in course.train]
        return FakeEngine.tune(self, replace(course, train=tuple(lessons)), spec, folder=folder,
                               seed=seed)


def seeded(task, folder, *names, seeds=3):
    return replace(plan(task, folder, recipes=own(*names), engine=Lucky()), seeds=seeds)


def test_only_what_a_seed_can_change_is_measured_at_several(task, tmp_path):
    planned = seeded(task, tmp_path / "run", *NAMES)
    done = run(planned, Silent())
    described = yaml.safe_load((done.folder / "run.yaml").read_text(encoding="utf-8"))
    assert list(described["measured"]) == [
        "floor", "zero-shot", "few-shot", "few-shot@1", "few-shot@2", "rag"]
    assert [one.seeds for one in done.verdict.seeds] == [(0, 1, 2)]
    assert (done.folder / "contenders" / "few-shot@2" / "system").is_dir()
    asked = len(planned.tools.engine.asked)
    run(planned, Silent())
    assert len(planned.tools.engine.asked) == asked


def test_more_seeds_ask_nothing_twice_and_ship_the_first(task, tmp_path):
    shots = recipe("prompt: {shots: 2}\nretrieval: {kind: dense}\n", tmp_path)
    first = plan(task, tmp_path / "run", recipes={"reader": shots}, engine=Listening())
    run(first, Silent())
    asked = len(first.tools.engine.asked)
    run(replace(first, seeds=2), Silent())
    assert len(first.tools.engine.asked) == 2 * asked


def test_the_two_questions_have_different_intervals(task, tmp_path):
    folder = tmp_path / "run"
    trials = run(seeded(task, folder, "floor", "few-shot", "rag"), Silent()).verdict.seeds
    [spread] = trials
    assert len(spread.means) == 3
    assert spread.checkpoint.value == spread.means[0]
    assert spread.recipe.value == pytest.approx(sum(spread.means) / 3)
    alone = recall(folder).case.first_seeds()
    assert [one.seed for one in alone.trials] == [0, 0, 0]
    assert conclude(alone, recall(folder).policy).seeds == ()


# ------------------------------------------------------------------ rules that stand


def registration(folder):
    return json.loads((folder / "verdict.json").read_text())["registration"]


def test_the_rules_are_kept_before_the_first_answer(task, tmp_path):
    planned = plan(task, tmp_path / "run", recipes=own(*NAMES), engine=Listening(patience=1))
    with pytest.raises(KeyboardInterrupt):
        run(planned, Silent())
    run(plan(task, tmp_path / "run", recipes=own(*NAMES)), Silent())
    found = registration(tmp_path / "run")
    assert (found["answers_before"], found["changed"]) == (0, {})
    assert len(found["hash"]) == 64


def test_a_rule_that_is_changed_afterwards_is_named_with_both_values(task, tmp_path):
    planned = plan(task, tmp_path / "run", recipes=own(*NAMES))
    run(planned, Silent())
    first = registration(tmp_path / "run")["hash"]
    wider = planned.settings.model_copy(update={"policy": PolicyFile(quality_margin=0.2)})
    run(replace(planned, settings=wider), Silent())
    found = registration(tmp_path / "run")
    assert found == {"hash": first, "answers_before": 0,
                     "changed": {"policy.quality_margin": [0.05, 0.2]}}
    assert "quality_margin" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_rule_that_was_not_known_then_is_not_told_as_changed(task, tmp_path):
    planned = plan(task, tmp_path / "run", recipes=own("zero-shot", "rag"))
    run(planned, Silent())
    with Journal(tmp_path / "run" / "journal.db") as journal:
        stored = journal.stage("registration")
        del stored["rules"]["policy"]["token_price"]
        journal.put_stage("registration", "registration", stored)
    run(planned, Silent())
    assert registration(tmp_path / "run")["changed"] == {}


def test_the_rules_cover_clusters_and_targets(task, tmp_path):
    planned = plan(task, tmp_path / "run", recipes=own("zero-shot", "rag"))
    run(planned, Silent())
    first, *rest = task.test
    bent = (replace(first, group="other", targets=("nothing",)), *rest)
    run(replace(planned, task=replace(task, test=bent)), Silent())
    assert set(registration(tmp_path / "run")["changed"]) == {"clusters", "targets"}


# ------------------------------------------------------------------ protected suites


def gate(tuned, protect):
    policy = replace(POLICY, protect=protect)
    return forgetting(suites(140), tuned, policy, seed=0)


def test_a_protected_suite_bars_though_the_pool_passes():
    tuned = {**suites(140), "grammar": suites(118)["grammar"]}
    found = gate(tuned, {"grammar": 0.02})
    assert found.pooled.state in ("pass", "inconclusive")
    [said] = [bar for bar in forgetting_bars(found) if "grammar" in bar]
    assert said.startswith("forgetting: accuracy on the protected suite grammar fell by 11.0")
    assert forgetting_bars(gate(tuned, {})) == tuple(
        bar for bar in forgetting_bars(found) if "grammar" not in bar)


def test_a_protected_suite_that_cannot_show_its_margin_never_ships():
    found = gate(suites(139), {"facts": 0.01})
    assert {one.suite: one.state for one in found.suites}["facts"] == "inconclusive"
    assert any(bar.startswith("forgetting inconclusive: accuracy on the protected suite facts")
               for bar in forgetting_bars(found))


def test_a_protected_suite_the_base_guesses_cannot_be_judged():
    base, tuned = suites(140), suites(140)
    base["facts"] = tuned["facts"] = suites(55)["facts"]
    found = forgetting(base, tuned, replace(POLICY, protect={"facts": 0.05}), seed=0)
    assert any("cannot be judged: accuracy on the protected suite facts" in bar
               for bar in forgetting_bars(found))


def test_bits_per_byte_can_be_protected_in_their_own_unit():
    found = gate(suites(140, bits=1.1), {"text": 0.02})
    assert any("bits per byte of the protected suite text rose by 0.100" in bar
               for bar in forgetting_bars(found))
    assert gate(suites(140, bits=1.001), {"text": 0.02}).suites[-1].state == "pass"


def test_a_protected_suite_that_is_not_measured_is_refused():
    with pytest.raises(AdvisorError, match=r"policy\.protect names arithmetic"):
        gate(suites(140), {"arithmetic": 0.05})


def test_a_slip_in_the_name_of_a_protected_suite_costs_nothing(task, tmp_path):
    settings = Settings(policy=PolicyFile(protect={"grammer": 0.05}))
    planned = replace(plan(task, tmp_path / "run", recipes=own("rag")), settings=settings)
    with pytest.raises(AdvisorError, match="'grammer' is not measured"):
        run(planned, Silent())
    assert not (tmp_path / "run").exists()


def test_a_list_of_suites_is_protected_at_the_retention_margin(task, tmp_path):
    settings = Settings(policy=PolicyFile(protect=("grammar",), retention_margin=0.03))
    planned = replace(plan(task, tmp_path, recipes=own("rag")), settings=settings)
    assert planned.policy.protect == {"grammar": 0.03}
    assert asdict(planned.policy)["protect"] == {"grammar": 0.03}
