"""The registry: versions stay, aliases move one at a time, and damage is found."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from advisor.cli import main
from advisor.data.digest import digest
from advisor.errors import AdvisorError
from advisor.ship.bundle import MANIFEST, ModelIdentity, Origin, digests, pack, verify
from advisor.ship.registry import Move, Moved, Registry
from advisor.ship.registry_log import LOG, SEAL
from advisor.ship.registry_verify import faults

ROOT = Path(__file__).resolve().parents[1]


def made(folder: Path, answer: str, name: str = "bundle") -> Path:
    """A bundle that always gives one answer."""
    system = folder / f"system-{digest(answer)[:8]}"
    system.mkdir(exist_ok=True, parents=True)
    (system / "floor.json").write_text(json.dumps({"majority": answer}))
    pack(system, folder / name, Origin(
        contender="floor", task={"name": "tolls", "digest": "t"}, recipe="{}",
        base=ModelIdentity("fake", "b"), embedder=ModelIdentity("fake", "e"),
        precision="float32", data={"test.jsonl": "d"},
        metrics={"primary": "exact", "value": 0.5, "low": 0.4, "high": 0.6, "n": 20},
    ))
    return folder / name


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Two versions, the first in production."""
    found = Registry(tmp_path / "home")
    for answer in ("one", "two"):
        found.register(made(tmp_path, answer), "tolls")
    found.promote(Move("tolls@1", "production"))
    return found


def run(script: str, *given: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, given)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


# ------------------------------------------------------------------ versions


def test_the_same_bundle_again_is_the_version_it_is(registry, tmp_path):
    again = registry.register(made(tmp_path, "two"), "tolls")
    assert (again.label, len(registry.log.read())) == ("tolls@2", 3)


def test_a_bundle_that_was_changed_is_not_registered(registry, tmp_path):
    folder = made(tmp_path, "three")
    (folder / "floor.json").write_text('{"majority": "four"}')
    with pytest.raises(AdvisorError, match=r"floor\.json: its content is not"):
        registry.register(folder, "tolls")
    assert len(registry.state().versions) == 2


def test_a_version_is_named_by_number_alias_or_digest(registry):
    first = registry.find("tolls@1")
    assert registry.find("production") == registry.find("tolls@production") == first
    assert registry.find(first.id[:10]) == first


def test_a_name_with_two_versions_leaves_doubt(registry):
    with pytest.raises(AdvisorError, match="could be any of tolls@1, tolls@2"):
        registry.find("tolls")


def test_an_unknown_version_gets_a_near_one(registry):
    with pytest.raises(AdvisorError, match="did you mean 'tolls@production'"):
        registry.find("tolls@produktion")


def test_a_version_laid_out_is_the_bundle_that_was_registered(registry, tmp_path):
    folder = registry.checkout("tolls@2")
    verify(folder)
    assert digests(folder) == digests(tmp_path / "bundle")


# ------------------------------------------------------------------ aliases


def test_an_alias_moves_only_from_where_it_was_expected(registry):
    with pytest.raises(Moved, match="points at tolls@1, not at nothing") as caught:
        registry.promote(Move("tolls@2", "production", expect="none"))
    assert caught.value.exit_code == 75


RACE = """
import sys
from pathlib import Path
from advisor.ship.registry import Move, Moved, Registry
root, go, ref = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
registry = Registry(root)
print("ready", flush=True)
while not go.exists(): pass
try:
    registry.promote(Move(ref, "candidate", expect="none"))
except Moved:
    print("lost")
else:
    print("won")
"""


def test_of_eight_racing_promotions_exactly_one_wins(registry, tmp_path):
    go = tmp_path / "go"
    racers = [run(RACE, registry.root, go, f"tolls@{i % 2 + 1}") for i in range(8)]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    go.touch()
    said = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    assert sorted(said) == ["lost"] * 7 + ["won"]
    assert [e.fields["kind"] for e in registry.log.read()].count("promoted") == 2
    assert faults(registry) == []


def test_rollback_goes_back_in_less_than_a_second(registry):
    registry.promote(Move("tolls@2", "production"))
    started = time.perf_counter()
    alias = registry.rollback("production")
    assert time.perf_counter() - started < 1
    assert alias.version == registry.find("tolls@1").id


def test_there_may_be_nothing_to_roll_back_to(registry):
    with pytest.raises(AdvisorError, match="no earlier version"):
        registry.rollback("tolls@production")


def test_rolling_back_twice_does_not_come_back(registry, tmp_path):
    registry.register(made(tmp_path, "three"), "tolls")
    for ref in ("tolls@2", "tolls@3"):
        registry.promote(Move(ref, "production"))
    registry.rollback("production")
    assert registry.rollback("production").version == registry.find("tolls@1").id


def test_what_an_alias_points_at_cannot_be_deleted(registry):
    with pytest.raises(AdvisorError, match="tolls@production points at it"):
        registry.delete("tolls@1")


def test_a_protected_alias_stays_and_another_goes(registry):
    registry.promote(Move("tolls@2", "candidate"))
    registry.unalias("candidate")
    with pytest.raises(AdvisorError, match="protected"):
        registry.unalias("production")


def test_a_name_that_is_a_number_is_no_alias(registry):
    with pytest.raises(AdvisorError, match="is no alias"):
        registry.promote(Move("tolls@2", "7"))


# ------------------------------------------------------------------ gates


def gate(folder: Path, **fields: object) -> Path:
    (folder / "gate.json").write_text(json.dumps(fields))
    return folder / "gate.json"


@pytest.mark.parametrize(("fields", "said"), [
    ({"result": "pass"}, "no `candidate`"),
    ({"candidate": "f" * 64, "result": "pass"}, "is about ffffffffffff, not about tolls@2"),
    ({"candidate": "two", "result": "inconclusive"}, "the gate says 'inconclusive'"),
    ({"candidate": "two", "result": "pass", "against": "0" * 64}, "compares with 000000000000"),
], ids=["no gate", "another version", "not passed", "against another"])
def test_a_gate_that_does_not_speak_for_the_move_stops_it(registry, tmp_path, fields, said):
    two = registry.find("tolls@2").id
    fields = {name: two if value == "two" else value for name, value in fields.items()}
    with pytest.raises(AdvisorError, match=said):
        registry.promote(Move("tolls@2", "production", gate=gate(tmp_path, **fields)))


def test_a_passed_gate_is_kept_with_the_promotion(registry, tmp_path):
    path = gate(tmp_path, candidate=registry.find("tolls@2").id, result="pass",
                against=registry.find("tolls@1").id)
    registry.promote(Move("tolls@2", "production", gate=path))
    kept = registry.log.read()[-1].fields["data"]["gate"]
    registry.gc()
    assert registry.objects.read(kept) == path.read_bytes()


# ------------------------------------------------------------------ what is damaged


def everything(registry: Registry) -> list[Path]:
    registry.checkout("tolls@1")
    return sorted(path for path in registry.folder.rglob("*") if path.is_file())


def test_a_sound_registry_has_no_faults(registry):
    registry.checkout("tolls@1")
    assert faults(registry) == []


def test_one_flipped_bit_of_any_file_is_found_and_the_file_named(registry):
    tried = 0
    for path in everything(registry):
        content = path.read_bytes()
        step = max(1, len(content) // 24)
        for at in [*range(0, len(content), step), len(content) - 1] if content else ():
            path.chmod(0o644)
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1:])
            assert any(str(path) in fault or path.name in fault for fault in faults(registry)), (
                path, at)
            path.write_bytes(content)
            tried += 1
    assert tried > 100
    assert faults(registry) == []


def test_nothing_is_written_over_a_damaged_log(registry, tmp_path):
    path = registry.folder / LOG
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(AdvisorError, match="damaged"):
        registry.register(made(tmp_path, "three"), "tolls")


@pytest.mark.parametrize("name", ["objects", LOG, SEAL])
def test_a_missing_part_is_found(registry, name):
    path = registry.folder / name
    path.rename(registry.root / "elsewhere")
    assert any(name in fault for fault in faults(registry))


def test_a_log_that_was_cut_and_chained_anew_is_found(registry):
    with sqlite3.connect(registry.folder / LOG) as connection:
        connection.executescript("DROP TRIGGER events_last; DELETE FROM events WHERE seq = 3")
    connection.close()
    assert any("event 3" in fault for fault in faults(registry))


def test_events_can_neither_be_changed_nor_removed(registry):
    connection = sqlite3.connect(registry.folder / LOG)
    for statement in ("UPDATE events SET body = ''", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="an event cannot"):
            connection.execute(statement)
    connection.close()


def test_a_stranger_in_the_folder_is_found(registry):
    (registry.folder / "notes.txt").write_text("x")
    assert faults(registry) == [
        f"{registry.folder / 'notes.txt'}: does not belong into a registry"]


# ------------------------------------------------------------------ killed


WRITE = """
import sys
from pathlib import Path
from advisor.ship.registry import Move, Registry
registry = Registry(Path(sys.argv[1]))
one = registry.register(Path(sys.argv[2]), "tolls")
print("registered", flush=True)
registry.promote(Move(one.label, "production"))
print("promoted", flush=True)
registry.rollback("production")
registry.gc()
"""


@pytest.mark.parametrize("call", ["fsync", "fdatasync", "pwrite64", "rename", "unlink"])
def test_killed_at_any_call_that_writes_the_store_is_consistent(registry, tmp_path, call):
    if shutil.which("strace") is None:
        pytest.skip("not installed: strace")
    for when in range(1, 60, 7):
        folder = made(tmp_path, f"{call} {when}", name=f"bundle-{when}")
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
             f"inject={call}:signal=KILL:when={when}", sys.executable, "-c", WRITE,
             str(registry.root), str(folder)], cwd=ROOT, text=True, capture_output=True,
            timeout=60, check=False)
        state = registry.state()
        assert faults(registry) == []
        # What was acknowledged is there.
        if "registered" in done.stdout:
            assert digests(folder)[MANIFEST] in state.versions
        if "promoted" in done.stdout:
            assert digests(folder)[MANIFEST] in {
                event.fields["data"].get("to") for event in registry.log.read()}
        if done.returncode == 0:
            break
    assert when > 1, "the call was never made"


# ------------------------------------------------------------------ gc


def test_gc_keeps_what_versions_need_and_removes_the_rest(registry):
    registry.promote(Move("tolls@2", "candidate"))
    registry.unalias("candidate")
    assert registry.gc() == (0, 0)
    registry.delete("tolls@2")
    count, freed = registry.gc()
    assert (count, freed > 0) == (2, True)
    assert faults(registry) == []
    registry.checkout("production")


def test_a_deleted_version_is_not_found(registry):
    registry.delete("tolls@2")
    with pytest.raises(AdvisorError, match="unknown version"):
        registry.find("tolls@2")


# ------------------------------------------------------------------ any order


def test_whatever_is_done_in_whatever_order_no_alias_hangs_and_the_store_is_sound(tmp_path):
    rng = random.Random(4)
    registry = Registry(tmp_path / "home")
    refused = 0
    for step in range(120):
        refs = [v.label for v in registry.state().versions.values() if not v.deleted]
        aliases = ["production", "candidate", "canary"]
        if step % 6 == 0:
            registry.register(made(tmp_path, f"answer {rng.randrange(12)}"), "tolls")
            continue
        do = rng.choice([
            lambda: registry.promote(Move(rng.choice(refs), rng.choice(aliases))),  # noqa: B023
            lambda: registry.promote(Move(rng.choice(refs), "canary", "none")),  # noqa: B023
            lambda: registry.rollback(rng.choice(aliases)),  # noqa: B023
            lambda: registry.unalias(rng.choice(aliases)),  # noqa: B023
            lambda: registry.delete(rng.choice(refs)), registry.gc,  # noqa: B023
        ])
        try:
            do()
        except AdvisorError:
            refused += 1
        state = registry.state()
        for alias in state.aliases.values():
            assert not state.versions[alias.version].deleted
            registry.checkout(alias.label)
    assert 0 < refused < 80
    assert faults(registry) == []
    for one in registry.state().versions.values():
        if not one.deleted:
            verify(registry.checkout(one.id))


# ------------------------------------------------------------------ the command


@pytest.fixture
def command(registry, monkeypatch, capsys) -> Callable[..., str]:
    """Runs `advisor registry ...` and returns what it prints."""
    (registry.root / "advisor.yaml").write_text("{}\n")
    monkeypatch.chdir(registry.root)

    def run_it(*given: str, code: int = 0) -> str:
        assert main(["registry", *given]) == code
        said = capsys.readouterr()
        return said.err if code else said.out
    return run_it


def test_list_and_show_say_what_is_where(command, registry):
    assert [line.split()[0] for line in command("list").splitlines()] == ["tolls@1", "tolls@2"]
    first = json.loads(command("list", "--json"))[0]
    assert (first["aliases"], first["id"]) == (["production"], registry.find("tolls@1").id)
    said = command("show", "production")
    assert "aliases: production" in said
    assert "exact 0.500 [0.400, 0.600], n=20" in said
    assert json.loads(command("show", "tolls@2", "--json"))["manifest"]["contender"] == "floor"


def test_history_tells_every_move_and_its_head(command, registry):
    command("promote", "tolls@2", "production")
    command("rollback", "production")
    lines = command("history", "production").splitlines()
    assert "promoted tolls@production: nothing -> tolls@1" in lines[0]
    assert "rolled_back tolls@production: tolls@2 -> tolls@1" in lines[2]
    assert lines[-1] == f"head {registry.log.read()[-1].hash}"


def test_verify_names_the_file_and_exits_with_2(command, registry):
    assert command("verify").startswith("sound: 2 versions, 4 files, 3 events")
    path = registry.objects.path(registry.find("tolls@2").files["floor.json"])
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"two", b"too"))
    said = command("verify", code=2)
    assert f"{path}: its content is not what its name says (floor.json of tolls@2)" in said


def test_a_lost_race_exits_with_75(command):
    assert "somebody else moved it" in command(
        "promote", "tolls@2", "production", "--expect", "none", code=75)


def test_a_promotion_to_where_it_stands_is_no_event(command, registry):
    command("promote", "tolls@1", "production")
    assert len(registry.log.read()) == 3


def test_a_version_without_lineage_says_so_when_traced(command):
    assert "rows: not recorded" in command("trace", "tolls@1")


@pytest.mark.parametrize("verb", ["list", "history", "verify"])
def test_an_empty_registry_is_no_fault(verb, tmp_path, monkeypatch, capsys):
    (tmp_path / "advisor.yaml").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["registry", verb]) == 0
    assert not (tmp_path / "registry").exists()
    capsys.readouterr()
