"""Who may do what: known by a key, allowed by a role, and a second person where demanded."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from test_registry import made

from advisor.errors import AdvisorError
from advisor.ship.registry import Move, Registry
from advisor.ship.registry_log import LOG, SEAL, _hash
from advisor.ship.registry_verify import faults
from advisor.ship.trust import TRUST, private_key, public_line

ROLES = {"tina": ["trainer"], "abe": ["approver"], "both": ["trainer", "approver"],
         "aud": ["auditor"], "eve": []}
RULES = {"production": {"gate": True, "second_person": True}}


def trusted(root: Path) -> Path:
    """Give the workspace a trust file, and everybody in ROLES a key; eve is not in the file."""
    people = {}
    for name, roles in ROLES.items():
        key = Ed25519PrivateKey.generate()
        kind = PrivateFormat.OpenSSH if name == "tina" else PrivateFormat.PKCS8
        (root / name).write_bytes(key.private_bytes(Encoding.PEM, kind, NoEncryption()))
        people[name] = {"key": public_line(key) + f" {name}@here", "roles": roles}
    del people["eve"]
    (root / TRUST).write_text(yaml.safe_dump({"people": people, "aliases": RULES}))
    return root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return trusted(tmp_path / "home")


def by(home: Path, name: str) -> Registry:
    return Registry(home, home / name)


@pytest.fixture
def one(home: Path) -> Registry:
    """One version, registered by tina."""
    by(home, "tina").register(made(home, "one"), "tolls")
    return by(home, "abe")


def gate(registry: Registry, result: str = "pass") -> Path:
    path = registry.root / "gate.json"
    path.write_text(json.dumps({"candidate": registry.find("tolls@1").id, "result": result}))
    return path


def test_a_trainer_registers_and_an_approver_promotes(one):
    alias = one.promote(Move("tolls@1", "production", gate=gate(one)))
    assert (one.find("tolls@1").by, alias.by) == ("tina", "abe")
    assert faults(one) == []


@pytest.mark.parametrize(("name", "said"), [
    ("tina", r"tina is trainer .* only an approver may move tolls@production"),
    ("aud", r"aud is auditor"), ("eve", r"its public key is not in .*trust\.yaml"),
])
def test_others_may_not_promote(one, home, name, said):
    with pytest.raises(AdvisorError, match=said):
        by(home, name).promote(Move("tolls@1", "production", gate=gate(one)))


@pytest.mark.usefixtures("one")
def test_without_a_key_nothing_is_changed(home):
    with pytest.raises(AdvisorError, match="demands a signature, and no key is given"):
        Registry(home).promote(Move("tolls@1", "candidate"))


def test_an_approver_registers_nothing(home):
    with pytest.raises(AdvisorError, match="only a trainer may register"):
        by(home, "abe").register(made(home, "one"), "tolls")


def test_nobody_promotes_alone_what_they_registered(home):
    both = by(home, "both")
    both.register(made(home, "one"), "tolls")
    with pytest.raises(AdvisorError, match="registered by both, and production demands a second"):
        both.promote(Move("tolls@1", "production", gate=gate(both)))
    by(home, "abe").promote(Move("tolls@1", "production", gate=gate(both)))


def test_a_version_that_nobody_signed_has_no_first_person(home):
    (home / TRUST).rename(home / "later")
    Registry(home).register(made(home, "one"), "tolls")
    (home / "later").rename(home / TRUST)
    abe = by(home, "abe")
    with pytest.raises(AdvisorError, match="without a signature"):
        abe.promote(Move("tolls@1", "production", gate=gate(abe)))


@pytest.mark.parametrize("result", ["fail", "inconclusive", ""])
def test_a_demanded_gate_must_have_been_passed(one, result):
    path = gate(one, result) if result else None
    with pytest.raises(AdvisorError, match=r"demands a gate that was passed|the gate says"):
        one.promote(Move("tolls@1", "production", gate=path))


@pytest.mark.usefixtures("one")
def test_a_registry_under_a_trust_file_is_not_changed_without_it(home):
    (home / TRUST).unlink()
    with pytest.raises(AdvisorError, match="is missing, and this registry is under one"):
        Registry(home).promote(Move("tolls@1", "production"))


def test_a_signature_by_a_key_that_left_the_trust_file_is_a_fault(one, home):
    content = yaml.safe_load((home / TRUST).read_text())
    gone = content["people"].pop("tina")
    (home / TRUST).write_text(yaml.safe_dump(content))
    [fault] = faults(one)
    assert "event 1: signed as tina by a key that trust.yaml does not name" in fault
    content["people"]["tina"] = {**content["people"]["both"], "former_keys": [gone["key"]]}
    del content["people"]["both"]
    (home / TRUST).write_text(yaml.safe_dump(content))
    assert faults(one) == []


def test_a_forged_event_is_a_fault(one):
    [event] = one.log.read()
    body = event.body.replace('"number":1', '"number":7')
    connection = sqlite3.connect(one.folder / LOG)
    connection.execute("DROP TRIGGER events_stay")
    connection.execute("UPDATE events SET body = ?, hash = ?",
                       (body, _hash(body, event.signature)))
    connection.commit()
    connection.close()
    (one.folder / SEAL).unlink()  # whoever can write the folder can also forge the seal
    assert any("its signature is not that of the key it names" in fault for fault in faults(one))


def test_two_people_with_one_key_are_refused(home):
    content = yaml.safe_load((home / TRUST).read_text())
    content["people"]["twin"] = {**content["people"]["abe"], "roles": ["trainer"]}
    (home / TRUST).write_text(yaml.safe_dump(content))
    with pytest.raises(AdvisorError, match="has the key of abe"):
        by(home, "abe").register(made(home, "one"), "tolls")


@pytest.mark.parametrize(("text", "said"), [
    ("people: {}\n", "people"), ("peple: {}\n", r"did you mean 'people'"),
    ("people: {abe: {key: nonsense, roles: [approver]}}\n", "is no ssh-ed25519 public key"),
    ("people: {abe: {key: ssh-ed25519 AAAA, role: [approver]}}\n", r"did you mean 'roles'"),
    ("people: {abe: {key: ssh-ed25519 AAAA, roles: [king]}}\n", "trainer"),
])
def test_a_bad_trust_file_is_refused_with_the_reason(home, text, said):
    (home / TRUST).write_text(text)
    with pytest.raises(AdvisorError, match=said):
        by(home, "abe").gc()


def test_a_key_with_a_passphrase_or_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "key"
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8,
                                       BestAvailableEncryption(b"secret")))
    with pytest.raises(AdvisorError, match="has a passphrase"):
        private_key(path)
    path.write_bytes(generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(AdvisorError, match="is no Ed25519 key"):
        private_key(path)
    path.write_bytes(b"nothing")
    with pytest.raises(AdvisorError, match="is no private key"):
        private_key(path)
