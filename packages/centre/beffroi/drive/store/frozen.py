"""Contents that a decision holds: their hash, not their bytes, and only where a collectivité has them.

Rule:    a file is frozen by its content, or by that of a file in it (``carried``). Nobody reads, copies or shares it
         while a decision stands (``findings.require_free``); it may be moved and deleted, brought back as it was, and
         is free again when the decision ends. Shares of before, and those of a folder above it, give nobody its
         content. Nothing is read or opened to find it.
Source:  docs/internals/drive.md, "The door of files".
"""

from __future__ import annotations

from typing import NamedTuple

from beffroi.drive.store.scalars import scalar
from beffroi.drive.store.writing import Reading, Writing
from beffroi.lib.errors import BeffroiError


class Frozen(BeffroiError):
    """The Département holds this file back: it was recognised as dangerous. Decision {}."""

    code = "drive.frozen"
    http_status = 403


class Held(NamedTuple):
    """How much of one collectivité a decision holds. ``versions``: older contents of files that changed since."""

    files: int
    versions: int


def count(database: Reading, sha256: str) -> Held:
    """Where this content lies, deleted files among the files: by index, whatever the collectivité's size."""
    # "<> ''": as the condition of the index says
    files = scalar(database, "SELECT COUNT(*) FROM node WHERE sha256 = ? AND sha256 <> ''", (sha256,))
    return Held(files, scalar(database, "SELECT COUNT(*) FROM version WHERE sha256 = ?", (sha256,)))


def brought_by(database: Reading, sha256: str) -> str:
    """Who wrote this content into a file last, as far as the journal goes: the device, the person where the centre
    wrote on their word, the link by which it was handed in; "" for nobody known."""
    row = database.one(
        "SELECT device_id, person_id FROM (SELECT id AS node, etag FROM node WHERE sha256 = ? AND sha256 <> ''"
        " UNION ALL SELECT node, etag FROM version WHERE sha256 = ?) held JOIN change ON change.node = held.node"
        " AND change.number <= held.etag AND change.kind IN ('created', 'changed') ORDER BY number DESC LIMIT 1",
        (sha256, sha256),
    )
    return str(row[0] or row[1]) if row else ""


def concerned(database: Reading, sha256: str) -> list[str]:
    """Contents that a decision about this one holds, or held: itself where it lies or is frozen, all that carry it. By
    index, whatever the collectivité's size."""
    rows = database.all(
        "SELECT sha256 FROM node WHERE sha256 = ? AND sha256 <> '' UNION SELECT sha256 FROM version WHERE sha256 = ?"
        " UNION SELECT sha256 FROM frozen WHERE sha256 = ? UNION SELECT sha256 FROM carried WHERE packed = ?",
        (sha256, sha256, sha256, sha256),
    )
    return [str(row[0]) for row in rows]


def held_by(database: Reading, decision_id: str) -> Held:
    """All that a decision holds here."""
    rows = database.all("SELECT sha256 FROM frozen WHERE decision_id = ?", (decision_id,))
    counts = [count(database, row[0]) for row in rows]
    return Held(sum(one.files for one in counts), sum(one.versions for one in counts))


def decision_of(database: Reading, sha256: str) -> str:
    """The decision that holds this content here; "" for none."""
    row = database.one("SELECT decision_id FROM frozen WHERE sha256 = ?", (sha256,))
    return str(row[0]) if row else ""


def freeze(writing: Writing, *, sha256: str, decision_id: str, now_s: int) -> bool:
    """False when it was known. Its words leave the index."""
    if decision_of(writing, sha256):
        writing.run("UPDATE frozen SET decision_id = ? WHERE sha256 = ?", (decision_id, sha256))
        return False
    writing.run(
        "INSERT INTO frozen (sha256, decision_id, since_s) VALUES (?, ?, ?)", (sha256, decision_id, now_s)
    )
    _read_anew(writing, sha256)
    return True


def thaw(writing: Writing, *, sha256: str) -> bool:
    """False when it was not frozen."""
    if not writing.run("DELETE FROM frozen WHERE sha256 = ?", (sha256,)):
        return False
    _read_anew(writing, sha256)
    return True


def _read_anew(writing: Writing, sha256: str) -> None:
    writing.run(
        "INSERT INTO word_due (node) SELECT id FROM node WHERE sha256 = ? AND sha256 <> '' ON CONFLICT DO NOTHING",
        (sha256,),
    )


def all_frozen(database: Reading) -> list[str]:
    return [str(row[0]) for row in database.all("SELECT sha256 FROM frozen")]
