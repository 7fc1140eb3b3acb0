"""What a sealed folder holds: a list of hashes, one root over it, a signed statement.

Purpose: years later, without this centre, one can show that nothing in the folder was changed, or that one file was in
         it: ``sha256sum``, ``openssl pkeyutl`` and ``openssl ts`` are enough.
Input:   hostile when it is read again: a list, statement or signature that was changed is said so, not believed.
Format:  two texts, UTF-8, each line ended by LF (docs/internals/drive-archives.md): ``fichiers.txt``, a line a file in
         order of its bytes, and ``sceau.txt``, the statement. ``sceau.sig`` is Ed25519 over the statement's bytes,
         whose first line is its mark: it is no statement of the audit log (core/audit/signing.py).
Fails:   closed: what is not of this form is Malformed; a signature by no trusted key proves nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from beffroi.drive.archives import merkle, names
from beffroi.drive.archives.entries import Entries, Entry, SamePath
from beffroi.lib.errors import Invalid

MARK, PROOF_MARK = "beffroi/seal/1", "seal-proof/1"
STATEMENT, FILES, SIGNATURE, STAMP = "sceau.txt", "fichiers.txt", "sceau.sig", "sceau.tsr"
PUBLIC, PROOF = "cle.pem", "preuve.json"
"""Beside them: the key that a signature is checked by; the proof of one file."""
PARTS = (STATEMENT, FILES, SIGNATURE, STAMP, PUBLIC)
"""Of a seal, as it goes with a package."""
NO_END = "none"
_LINE = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]{0,18}) (0|-?[1-9][0-9]{0,18}) ([^\n]*)", re.DOTALL)
_FIELDS = (
    "collectivite",
    "folder",
    "name",
    "sealed-at",
    "until",
    "by",
    "rule",
    "audit-position",
    "audit-hash",
    "files",
    "bytes",
    "root",
)


class Malformed(Invalid):
    """This is no statement or list of a sealed folder: {}."""

    code = "drive.manifest_malformed"


@dataclass(frozen=True)
class Subject:
    """What is sealed, by whom, until when. ``audit_position`` and ``audit_hash``: the head of the audit log when it was
    sealed: the log is append-only and its head is signed each day, so the folder was sealed after that entry."""

    collectivite_id: str
    folder_id: str
    name: str
    sealed_at_s: int
    until_s: int | None
    by: str
    rule: str
    audit_position: int
    audit_hash: str


@dataclass(frozen=True)
class Statement:
    subject: Subject
    files: int
    size_bytes: int
    root: str

    def text(self) -> bytes:
        one = self.subject
        values = (
            one.collectivite_id,
            one.folder_id,
            one.name,
            instant(one.sealed_at_s),
            NO_END if one.until_s is None else instant(one.until_s),
            one.by,
            one.rule,
            one.audit_position,
            one.audit_hash,
            self.files,
            self.size_bytes,
            self.root,
        )
        lines = [
            MARK,
            *(f"{field}: {names.escaped(str(value))}" for field, value in zip(_FIELDS, values, strict=True)),
        ]
        return ("\n".join(lines) + "\n").encode()


@dataclass(frozen=True)
class Sealed:
    """The texts of one seal. ``files``: lines; ``signature``: 64 bytes; ``stamp``: an RFC 3161 response over the
    statement, in DER, where an authority was asked (``stamps``)."""

    statement: bytes
    files: bytes
    signature: bytes
    stamp: bytes | None = None

    def parts(self) -> dict[str, bytes]:
        """As files of a package, by name."""
        parts = {STATEMENT: self.statement, FILES: self.files, SIGNATURE: self.signature}
        return parts if self.stamp is None else {**parts, STAMP: self.stamp}


@dataclass(frozen=True)
class Line:
    """One file of the list. ``path``: escaped."""

    path: str
    size_bytes: int
    mtime_s: int
    sha256: str

    def text(self) -> bytes:
        return f"{self.sha256} {self.size_bytes} {self.mtime_s} {self.path}".encode()


@dataclass(frozen=True)
class Proof:
    """That one file was in the folder: its line, and the way from it to the root that the statement names."""

    line: bytes
    index: int
    count: int
    path: tuple[bytes, ...]

    def holds(self, statement: Statement) -> bool:
        return self.count == statement.files and merkle.leads_to(
            bytes.fromhex(statement.root), self.line, index=self.index, count=self.count, path=self.path
        )

    def as_json(self) -> dict[str, object]:
        return {
            "beffroi": PROOF_MARK,
            "line": self.line.decode(),
            "index": self.index,
            "count": self.count,
            "path": [one.hex() for one in self.path],
        }


def seal(entries: Entries, subject: Subject, key: Ed25519PrivateKey) -> Sealed:
    """List every file by the store's hashes, sign: whoever asks has read the contents just before.

    Errors: SamePath for two paths that are one in NFC."""
    lines, size_bytes = [], 0
    paths: set[str] = set()
    for number, entry in enumerate(entries, 1):
        line = line_of(entry)
        if line.path in paths:
            raise SamePath(number)
        paths.add(line.path)
        lines.append(line)
        size_bytes += entry.size_bytes
    lines.sort(key=lambda line: line.path.encode())
    texts = [line.text() for line in lines]
    statement = Statement(subject, len(lines), size_bytes, merkle.root(texts).hex()).text()
    return Sealed(statement, b"".join(text + b"\n" for text in texts), key.sign(statement))


def line_of(entry: Entry) -> Line:
    return Line(names.escaped(entry.path), entry.size_bytes, entry.mtime_s, entry.sha256)


def read_statement(text: bytes) -> Statement:
    """Errors: Malformed, also for another spelling of the same."""
    try:
        first, *rest = text.decode().removesuffix("\n").split("\n")
        pairs = [line.partition(": ") for line in rest]
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    if first != MARK or tuple(pair[0] for pair in pairs) != _FIELDS:
        raise Malformed("not the fields of a statement")
    try:
        value = {pair[0]: names.unescaped(pair[2]) for pair in pairs}
        until_s = None if value["until"] == NO_END else _epoch_s(value["until"])
        subject = Subject(
            value["collectivite"],
            value["folder"],
            value["name"],
            _epoch_s(value["sealed-at"]),
            until_s,
            value["by"],
            value["rule"],
            int(value["audit-position"]),
            value["audit-hash"],
        )
        found = Statement(subject, int(value["files"]), int(value["bytes"]), value["root"])
        if len(bytes.fromhex(found.root)) != 32 or found.text() != text:
            raise Malformed("another spelling")
    except (ValueError, OverflowError):
        raise Malformed("a value cannot be read") from None
    return found


def read_files(text: bytes) -> list[Line]:
    """Errors: Malformed, also for lines out of order or twice."""
    if text and not text.endswith(b"\n"):
        raise Malformed("the list ends early")
    found: list[Line] = []
    for raw in text.split(b"\n")[:-1]:
        try:
            parts = _LINE.fullmatch(raw.decode())
        except UnicodeDecodeError:
            raise Malformed("not UTF-8") from None
        if parts is None:
            raise Malformed(f"line {len(found) + 1}")
        found.append(Line(parts[4], int(parts[2]), int(parts[3]), parts[1]))
    for before, after in itertools.pairwise(found):
        if before.path.encode() >= after.path.encode():
            raise Malformed("the lines are not in order")
    return found


def signed_by(keys: Sequence[bytes], sealed: Sealed) -> bytes | None:
    """The trusted key (32 bytes) that signed the statement, or None."""
    for key in keys:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(sealed.signature, sealed.statement)
        except (InvalidSignature, ValueError):
            continue
        return key
    return None


def prove(sealed: Sealed, path: str) -> Proof | None:
    """None for a path that is not in the list. Errors: Malformed."""
    lines = read_files(sealed.files)
    texts = [line.text() for line in lines]
    wanted = names.escaped(path)
    for index, line in enumerate(lines):
        if line.path == wanted:
            return Proof(texts[index], index, len(texts), tuple(merkle.path(texts, index)))
    return None


def read_proof(said: object) -> Proof:
    """Of what ``Proof.as_json`` gave. Errors: Malformed."""
    match said:
        case {
            "beffroi": "seal-proof/1",
            "line": str(line),
            "index": int(index),
            "count": int(count),
            "path": list(path),
        }:
            try:
                return Proof(line.encode(), index, count, tuple(bytes.fromhex(one) for one in path))
            except (ValueError, TypeError):
                pass
    raise Malformed("not a proof")


def instant(epoch_s: int) -> str:
    """``2026-11-27T05:00:00Z``. Errors: ValueError, OverflowError past year 9999."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _epoch_s(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
