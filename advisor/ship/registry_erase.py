"""What holds data of a person: found by lineage, blocked, and a plan to be rid of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from advisor.data.corpus import SUFFIXES
from advisor.data.digest import canonical
from advisor.errors import AdvisorError
from advisor.ship.governance.lineage import (
    HELD,
    LINEAGE,
    document_subject,
    parse,
    row_digest,
    subject_digest,
    task_rows,
)
from advisor.ship.registry import OPEN, Registry
from advisor.ship.registry_log import Actor, Event, Writer, write_synced
from advisor.ship.registry_rebuild import successor
from advisor.ship.registry_state import State, Version

CERTIFICATE, PLAN = "certificate.json", "retraining-plan.md"
REMAINS = (
    "rows stand in the task's files until they are removed there (see the plan)",
    "bytes of the blocked versions stay in registry/objects/ until they are deleted and "
    "`advisor registry gc` is run, and so do run folders, exports, backups and copies that "
    "were mirrored to an MLflow server",
    "tasks that lie outside evals/ of this workspace were not searched",
    "whether weights that were trained on a row still tell it is not measured here; "
    "a model trained without the row is what removes it",
)


def erase(registry: Registry, subject: str, *, out: Path | None = None) -> dict[str, Any]:
    """Record that the rows of `subject` must not be used, and block what holds them.

    `subject` is compared with the `subject` of rows and documents, by digest: neither log
    nor certificate names the person. What an index or a prompt held is taken out, and the rest
    registered as a new version that nobody has measured. Writes a retraining plan and a
    certificate, and may be given again. Raises AdvisorError when no row, no document and no
    version knows the person.
    """
    wanted = subject_digest(subject)
    who = registry.actor("approver", "erase")
    with registry.writing() as (writer, state):
        sources = list(_in_tasks(registry.root, subject))
        affected, unknown = _affected(registry, state, wanted)
        rows = {row["sha256"] for found in (*affected.values(), sources) for row in found}
        if not rows:
            raise _nobody(subject, unknown)
        blocked = [key for key, found in affected.items()
                   if any(row["use"] in HELD for row in found)]
        event = _earlier(writer, wanted)
        new = rows - state.rows or {key for key in blocked if not state.versions[key].blocked}
        if new or event is None:
            data = {"subject": wanted, "rows": sorted(rows), "versions": blocked}
            event = writer.add("erased", who, data)
    for key in blocked:
        shutil.rmtree(registry.folder / OPEN / key, ignore_errors=True)
    after = {key: successor(registry, registry.state().versions[key], who) for key in blocked}
    now = registry.state()
    found = {
        "subject": wanted, "event": {"seq": event.seq, "at": event.fields["at"],
                                     "hash": event.hash, "by": event.fields["actor"]["name"]},
        "rows": sources, "versions": [{**_said(now, key, held), "successor": after.get(key)}
                                      for key, held in affected.items()],
        "without_lineage": [one.label for one in unknown],
    }
    folder = out or registry.root / "reports" / f"erasure-{wanted[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    write_synced(folder / PLAN, "\n".join([*_plan(found), ""]).encode())
    write_synced(folder / CERTIFICATE, _certificate(found, who).encode())
    return {**found, "folder": str(folder)}


def lines(found: dict[str, Any]) -> list[str]:
    """What was done, for a screen."""
    said = [f"subject {found['subject'][:12]}: {len(found['rows'])} rows in the tasks"]
    for one in found["versions"]:
        aliases = f" ({', '.join(one['aliases'])})" if one["aliases"] else ""
        state = "BLOCKED" if one["blocked"] else "only measured on such rows"
        said.append(f"  {one['version']}{aliases}: {state}, {len(one['rows'])} rows")
        if after := one["successor"]:
            said.append(f"    without them: {after['version']}, not measured and not promoted"
                        if after["version"] else f"    no version without them: {after['why']}")
    said += [f"  {label}: has no lineage, so this is not known" for label in
             found["without_lineage"]]
    return [*said, f"plan: {found['folder']}/{PLAN}",
            f"certificate: {found['folder']}/{CERTIFICATE}"]


def _nobody(subject: str, unknown: Sequence[Version]) -> AdvisorError:
    labels = ", ".join(one.label for one in unknown)
    but = f"; {labels} have no lineage, so of them this is not known" if unknown else ""
    return AdvisorError(f"no row and no document has the subject {subject!r}{but}",
                        fix="give the subject as it stands in the rows' `subject`")


def _earlier(writer: Writer, subject: str) -> Event | None:
    """The newest event that erased the subject's rows."""
    for event in reversed(writer.events):
        fields = event.fields
        if fields["kind"] == "erased" and fields["data"]["subject"] == subject:
            return event
    return None


def _affected(
    registry: Registry, state: State, subject: str
) -> tuple[dict[str, list[dict[str, Any]]], list[Version]]:
    """The subject's rows by the version that has to do with them, and versions that do not
    tell what they were made from."""
    affected, unknown = {}, []
    for one in state.versions.values():
        if one.deleted:
            continue
        if LINEAGE not in one.files:
            unknown.append(one)
            continue
        records = parse(registry.objects.read(one.files[LINEAGE]))
        if mine := [row for row in records if row["subject"] == subject]:
            affected[one.id] = mine
    return affected, unknown


def _in_tasks(root: Path, subject: str) -> Iterable[dict[str, Any]]:
    """Rows and documents of the workspace's tasks that are about the subject."""
    for file in sorted(root.glob("evals/*/*.jsonl")):
        for line, raw in task_rows(file):
            if isinstance(raw, dict) and raw.get("subject") == subject:
                yield {"file": file.relative_to(root).as_posix(), "line": line,
                       "sha256": row_digest(raw)}
    for file in sorted(root.glob("evals/*/corpus/**/*")):
        if not file.is_file() or file.suffix.lower() not in SUFFIXES:
            continue
        content = file.read_bytes()
        if document_subject(content.decode("utf-8-sig", "replace")) == subject:
            yield {"file": file.relative_to(root).as_posix(), "line": 0,
                   "sha256": sha256(content).hexdigest()}


def _said(state: State, key: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    one = state.versions[key]
    return {
        "version": one.label, "id": key, "task": one.about["task"]["name"],
        "contender": one.about["contender"],
        "aliases": sorted(alias.label for alias in state.pointing_at(key)),
        "blocked": bool(one.blocked),
        "rows": [{name: row[name] for name in ("file", "line", "sha256", "use")} for row in rows],
    }


def _plan(found: dict[str, Any]) -> list[str]:
    said = ["# Retraining plan", "", f"Erasure recorded as event {found['event']['seq']} on "
            f"{found['event']['at'][:10]}. Steps, in this order:", "",
            "1. Remove these rows and documents:", ""]
    said += [f"   - `{row['file']}`" + (f" line {row['line']}" if row["line"] else "")
             for row in found["rows"]] or ["   - none is left in the workspace's tasks"]
    said += ["", "2. Measure and ship again what held them:", ""]
    again = [one for one in found["versions"] if one["blocked"]]
    for one in again:
        said.append(f"   - {one['version']}: `advisor run {one['task']}`, then "
                    f"`advisor ship reports/{one['task']} --contender {one['contender']} "
                    f"--as {one['version'].split('@')[0]}`")
    said += [] if again else ["   - no version is blocked"]
    if rebuilt := [one for one in again if one["successor"]["version"]]:
        said += ["", "   Until then, versions without the data are registered. Nobody has measured "
                 "them; each can be promoted once it passes a gate:", ""]
        said += [f"   - {one['successor']['version']}: `advisor gate "
                 f"{one['successor']['version']} --against VERSION`, then `advisor registry "
                 f"promote {one['successor']['version']} ALIAS --gate GATE.json`"
                 for one in rebuilt]
    said += ["", "3. Point these aliases at the new versions, or roll back:", ""]
    said += [f"   - `advisor registry rollback {alias}`" for one in again
             for alias in one["aliases"]] or ["   - no alias is affected"]
    said += ["", "4. Delete the blocked versions, then their files:", ""]
    said += [f"   - `advisor registry delete {one['version']}`" for one in again]
    said += ["   - `advisor registry gc`", "", "What this plan does not reach:", ""]
    said += [f"- {one}" for one in REMAINS]
    said += [f"- {label} has no lineage: whether it holds the rows is not known"
             for label in found["without_lineage"]]
    return said


def _certificate(found: dict[str, Any], who: Actor) -> str:
    body = {"type": "advisor erasure certificate", "version": 1, **found,
            "done": ["rows recorded as erased: no bundle that holds them can be registered",
                     "versions that hold them blocked: none can be promoted, asked or served",
                     "where an index or a prompt held them, a version without was made from the "
                     "blocked one (`successor`), not measured and not promoted"],
            "remains": list(REMAINS)}
    signature = who.sign(canonical(body).encode())
    signed = {"by": who.name, "key": who.key, "signature": signature} if signature else None
    return json.dumps({**body, "signed": signed}, indent=2, ensure_ascii=False) + "\n"
