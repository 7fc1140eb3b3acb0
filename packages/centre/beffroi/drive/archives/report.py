"""What a look at a sealed folder found: as a value. Pure.

Purpose: say whether each file is there as it was, whether the signature is ours and what proves the time; nothing is
         called intact that was not compared.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from cryptography.x509 import Certificate

from beffroi.drive.archives import manifest, merkle, stamps
from beffroi.drive.archives.entries import Entries

type Difference = Literal["content", "size", "date"]
type StampState = Literal["none", "unchecked", "valid", "invalid"]


@dataclass(frozen=True)
class Report:
    """Paths are escaped (``names.escaped``), in order. ``listed``: the list is the one that the statement's root
    covers. ``whole``: a statement and a list could be read at all; without, nothing else is said. ``stamp``: of the
    outside authority, "unchecked" where none is trusted; ``stamped_at_s``, ``stamped_by``: of a valid one."""

    whole: bool
    signed: bool = False
    listed: bool = False
    statement: manifest.Statement | None = None
    present: int = 0
    absent: tuple[str, ...] = ()
    changed: tuple[tuple[str, tuple[Difference, ...]], ...] = ()
    added: tuple[str, ...] = ()
    stamp: StampState = "none"
    stamped_at_s: int = 0
    stamped_by: str = ""

    @property
    def intact(self) -> bool:
        differences = self.absent or self.changed or self.added
        return self.whole and self.signed and self.listed and not differences and self.stamp != "invalid"


def verify(
    sealed: manifest.Sealed,
    entries: Entries,
    *,
    keys: Sequence[bytes],
    damaged: Collection[str],
    authorities: Sequence[Certificate] = (),
) -> Report:
    """Compare a folder with its seal. ``keys``: trusted public keys; ``authorities``: trusted roots of time stamps;
    ``damaged``: every content was read again just before, and these escaped paths are what was not sound then."""
    try:
        statement = manifest.read_statement(sealed.statement)
        lines = {line.path: line for line in manifest.read_files(sealed.files)}
    except manifest.Malformed:
        return Report(whole=False)
    texts = [line.text() for line in lines.values()]
    size_bytes = sum(line.size_bytes for line in lines.values())
    listed = (statement.files, statement.size_bytes, statement.root) == (
        len(texts),
        size_bytes,
        merkle.root(texts).hex(),
    )
    present, seen = 0, set[str]()
    changed: list[tuple[str, tuple[Difference, ...]]] = []
    added: list[str] = []
    for entry in entries:
        now = manifest.line_of(entry)
        then = lines.get(now.path)
        if then is None or now.path in seen:
            added.append(now.path)
            continue
        seen.add(now.path)
        same: dict[Difference, bool] = {
            "content": then.sha256 == now.sha256 and now.path not in damaged,
            "size": then.size_bytes == now.size_bytes,
            "date": then.mtime_s == now.mtime_s,
        }
        if all(same.values()):
            present += 1
        else:
            changed.append((now.path, tuple(what for what, well in same.items() if not well)))
    state, at_s, by = _stamped(sealed, authorities)
    return Report(
        whole=True,
        signed=manifest.signed_by(keys, sealed) is not None,
        listed=listed,
        statement=statement,
        present=present,
        absent=tuple(sorted(path for path in lines if path not in seen)),
        changed=tuple(sorted(changed)),
        added=tuple(sorted(added)),
        stamp=state,
        stamped_at_s=at_s,
        stamped_by=by,
    )


def _stamped(sealed: manifest.Sealed, authorities: Sequence[Certificate]) -> tuple[StampState, int, str]:
    if sealed.stamp is None:
        return "none", 0, ""
    if not authorities:
        return "unchecked", 0, ""
    try:
        stamp = stamps.verify(sealed.stamp, sealed.statement, authorities)
    except stamps.StampInvalid:
        return "invalid", 0, ""
    return "valid", int(stamp.at.timestamp()), stamp.authority
