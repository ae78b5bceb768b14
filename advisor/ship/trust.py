"""Who may do what: the trust file, and signatures by the keys in it.

`trust.yaml` at the root of a workspace lists people with their public keys and roles, and
what a move of an alias demands. Whoever acts is known by the private key, not by a claim.
Without a trust file anybody who can write the folder may do anything, under the name of
the operating system's user.
"""

from __future__ import annotations

import base64
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from advisor.config import Strict
from advisor.errors import AdvisorError
from advisor.ship.registry_log import Actor, Event
from advisor.yamlfiles import load

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

TRUST = "trust.yaml"
Role = Literal["trainer", "approver", "auditor"]


class Person(Strict):
    """Somebody who may act, known by an Ed25519 key."""

    key: str = Field(description="The public key as one OpenSSH line: ssh-ed25519 AAAA...")
    former_keys: tuple[str, ...] = Field(
        (), description="Keys that signed in the past and sign no more."
    )
    roles: tuple[Role, ...] = Field(
        description="trainer registers versions; approver moves aliases, deletes and erases; "
        "auditor only reads."
    )


class AliasRule(Strict):
    """What a promotion to this alias demands."""

    gate: bool = Field(False, description="A gate result that says `pass` for this version.")
    second_person: bool = Field(
        False, description="Somebody other than the one who registered the version."
    )
    protected: bool = Field(True, description="The alias cannot be removed.")


class TrustFile(Strict):
    """`trust.yaml`, at the root of a workspace."""

    people: dict[str, Person] = Field(min_length=1)
    aliases: dict[str, AliasRule] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_key_one_person(self) -> TrustFile:
        owner: dict[str, str] = {}
        for name, person in self.people.items():
            for key in (person.key, *person.former_keys):
                plain = plain_key(key)
                if plain.split(" ")[0] != "ssh-ed25519" or len(plain.split(" ")) != 2:
                    raise ValueError(f"people.{name}: {key[:40]!r} is no ssh-ed25519 public key")
                if owner.setdefault(plain, name) != name:
                    raise ValueError(f"people.{name}: has the key of {owner[plain]}; "
                                     "two people with one key are one person")
        return self


@dataclass(frozen=True, slots=True)
class Trust:
    """The rules in force; `file` is None when there is no trust file."""

    file: TrustFile | None
    path: Path
    digest: str = ""

    def rule(self, alias: str) -> AliasRule:
        """What a promotion to `alias` demands; without rules `production` is protected."""
        given = self.file.aliases if self.file else {}
        return given.get(alias, AliasRule(protected=alias == "production"))

    def may(self, actor: Actor, role: Role, doing: str) -> None:
        """Raise AdvisorError unless the trust file gives `actor` the role."""
        if self.file is None:
            return
        roles = self.file.people[actor.name].roles
        if role not in roles:
            raise AdvisorError(
                f"{actor.name} is {' and '.join(roles) or 'without a role'} in {self.path}, and "
                f"only {'an' if role[0] in 'ao' else 'a'} {role} may {doing}",
                fix=f"ask {self._who(role)}",
            )

    def _who(self, role: Role) -> str:
        assert self.file is not None
        names = [name for name, person in self.file.people.items() if role in person.roles]
        return " or ".join(names) or f"for somebody to be made {role} in {self.path}"


def load_trust(root: Path) -> Trust:
    """The trust file of a workspace, checked; none is fine."""
    from advisor.engines.models import file_digest

    path = root / TRUST
    if not path.is_file():
        return Trust(None, path)
    return Trust(load(path, TrustFile), path, file_digest(path))


def acting(trust: Trust, key_file: Path | None) -> Actor:
    """Who acts. With a trust file, the person in it whose private key `key_file` is.

    Raises AdvisorError when there must be a key and none is given, and for a key that the
    trust file does not name.
    """
    if key_file is None:
        if trust.file is not None:
            raise AdvisorError(f"{trust.path} demands a signature, and no key is given",
                               fix="--key PATH of your private key, or set ADVISOR_KEY to it")
        return Actor(_user())
    private = private_key(key_file)
    public = public_line(private)
    name = _user()
    if trust.file is not None:
        people = {plain_key(person.key): who for who, person in trust.file.people.items()}
        if public not in people:
            raise AdvisorError(f"{key_file}: its public key is not in {trust.path}",
                               fix="add the person and the line below to the trust file, or use "
                               f"another key\n       key: {public}")
        name = people[public]
    return Actor(name, public, trust.digest, lambda body: sign(private, body))


def faulty_signature(event: Event, trust: Trust) -> str:
    """What is wrong with an event's signature, or an empty string."""
    fields = event.fields
    name, key = fields["actor"]["name"], fields["actor"]["key"]
    if not key:
        return f"unsigned, although under {TRUST}" if fields["trust"] else ""
    if not signed_by(key, event.body.encode(), event.signature):
        return f"its signature is not that of the key it names ({name})"
    if trust.file is not None and fields["trust"]:
        person = trust.file.people.get(name)
        known = [plain_key(one) for one in (person.key, *person.former_keys)] if person else []
        if key not in known:
            return f"signed as {name} by a key that {trust.path.name} does not name"
    return ""


def private_key(path: Path) -> Ed25519PrivateKey:
    """An unencrypted Ed25519 private key, OpenSSH or PEM; raises AdvisorError."""
    with _needed():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    make = f"ssh-keygen -t ed25519 -N '' -f {path.name} makes one"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AdvisorError(f"{path}: {error.strerror}", fix=make) from error
    openssh = b"OPENSSH PRIVATE KEY" in content
    try:
        key: object = (
            serialization.load_ssh_private_key(content, password=None) if openssh
            else serialization.load_pem_private_key(content, password=None)
        )
    except TypeError as error:
        raise AdvisorError(f"{path}: the key has a passphrase, which is not supported",
                           fix=make) from error
    except Exception as error:  # the reader raises many kinds; each means "no such key"
        raise AdvisorError(f"{path}: is no private key", fix=make) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise AdvisorError(f"{path}: is no Ed25519 key", fix=make)
    return key


def sign(private: Ed25519PrivateKey, body: bytes) -> str:
    """The signature in base64."""
    return base64.b64encode(private.sign(body)).decode()


def signed_by(public: str, body: bytes, signature: str) -> bool:
    """Whether `signature` is that of the key in the OpenSSH line `public`."""
    with _needed():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    try:
        key = serialization.load_ssh_public_key(public.encode())
        if not isinstance(key, Ed25519PublicKey):
            return False
        key.verify(base64.b64decode(signature, validate=True), body)
    except Exception:  # a bad key, bad base64, InvalidSignature: each means "no"
        return False
    return True


def public_line(private: Ed25519PrivateKey) -> str:
    with _needed():
        from cryptography.hazmat.primitives import serialization
    line = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return line.decode()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"uid-{os.getuid()}"


def plain_key(line: str) -> str:
    """The key without the comment that ends an OpenSSH line."""
    return " ".join(line.split()[:2])


@contextmanager
def _needed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as missing:
        raise AdvisorError(f"signatures need {missing.name}, which is not installed",
                           fix="pip install 'adaptation-advisor[ship]'") from missing
