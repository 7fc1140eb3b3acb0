"""Mails that the relay answered for and the centre does not have yet.

Purpose: a mail for which a device heard "250" survives a crash, a power cut and days without the centre.
Process: ``beffroi-box relay``; the directory is its own.
Format:  ``ID.mail``: the mail as it stands on the wire (CRLF, dots doubled), without the final dot; ``ID.json``: for
         whom. A mail counts when both have their final name; ``ID`` sorts by age. ``belongs-to``: whose they are.
Bounds:  ``MAX_BYTES``, ``MAX_MAILS``, and room that is left to others on the disk.
Fails:   SpoolFull before anything was promised. What a full or read-only disk would not take of a delivery is kept in
         memory: else the same mail would be sent every few minutes. A crash after the centre took a mail and before it
         is forgotten here sends it again, with the same Message-ID.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
from beffroi_protocol.errors import UNDECODABLE

from beffroi_box.store import sync_directory, write_atomic

MAX_BYTES = 512 << 20
MAX_MAILS = 2000
BELONGS_TO = "belongs-to"
SPARE_BYTES = 64 << 20
"""The agent's own state must find room on the same disk."""


class SpoolFull(Exception):
    """No room: the device must try again later."""


class Envelope(msgspec.Struct, frozen=True):
    """``accepted_at``: epoch seconds. ``notice``: written by the relay itself, about a mail that is not delivered."""

    v: int
    device: str
    recipients: tuple[str, ...]
    accepted_at: int
    notice: bool = False


class Draft:
    """A mail that is being received. ``keep`` or ``drop`` ends it."""

    def __init__(self, directory: Path, most_bytes: float) -> None:
        """Errors: SpoolFull."""
        self.id = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        self._directory = directory
        self._room = most_bytes
        self._path = directory / f"{self.id}.part"
        try:
            self._file = self._path.open("xb")
        except OSError:
            raise SpoolFull from None

    def write(self, data: bytes) -> None:
        """Errors: SpoolFull."""
        self._room -= len(data)
        if self._room < 0:
            raise SpoolFull
        try:
            self._file.write(data)
        except OSError:
            raise SpoolFull from None

    def keep(self, envelope: Envelope) -> None:
        """Return when the mail is on the disk for good. Errors: SpoolFull."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._path.rename(self._directory / f"{self.id}.mail")
            # The rename of the envelope is the moment that counts, and its directory holds both names.
            write_atomic(self._directory / f"{self.id}.json", msgspec.json.encode(envelope))
        except OSError:
            self.drop()
            raise SpoolFull from None

    def drop(self) -> None:
        try:
            self._file.close()
        except OSError:
            pass
        for suffix in ("part", "mail", "json"):
            (self._directory / f"{self.id}.{suffix}").unlink(missing_ok=True)


class Spool:
    """One thread receives, one delivers: each mail is written by the first and removed by the second."""

    def __init__(self, directory: Path) -> None:
        """Removes what was not received whole. Errors: OSError."""
        self._directory = directory
        self._unwritten: dict[str, Envelope | None] = {}
        """What the disk would not take: for whom a mail still is, None for nobody."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = {path.stem for path in directory.glob("*.json")}
        for path in self._files():
            if path.suffix not in (".json", ".mail") or path.stem not in known:
                path.unlink(missing_ok=True)

    def move_in(self, owner: str) -> int:
        """Leave nothing to another collectivité: only the former one's key could send it. What is being received ends
        with "try again". Return how many mails were deleted. Errors: OSError."""
        mark = self._directory / BELONGS_TO
        before = mark.read_text("utf-8") if mark.exists() else owner
        deleted = self.size()[0] if before != owner else 0
        if before != owner:
            for path in self._files():
                path.unlink(missing_ok=True)
        if before != owner or not mark.exists():
            write_atomic(mark, owner.encode())
        return deleted

    def _files(self) -> list[Path]:
        return [path for path in self._directory.iterdir() if path.name != BELONGS_TO]

    def draft(self, *, notice: bool = False) -> Draft:
        """``notice``: it takes the place of a mail, and finds room as long as the disk has any. Errors: SpoolFull."""
        if notice:
            return Draft(self._directory, math.inf)
        count, taken = self.size()
        try:
            disk = os.statvfs(self._directory)
        except OSError:
            raise SpoolFull from None
        room = min(MAX_BYTES - taken, disk.f_bavail * disk.f_frsize - SPARE_BYTES)
        if count >= MAX_MAILS or room <= 0:
            raise SpoolFull
        return Draft(self._directory, room)

    def size(self) -> tuple[int, int]:
        """Return mails and bytes."""
        sizes = []
        for path in self._directory.glob("*.mail"):
            try:
                sizes.append(path.stat().st_size)
            except FileNotFoundError:
                continue
        return len(sizes), sum(sizes)

    def waiting(self) -> Iterator[tuple[str, Envelope]]:
        """Oldest first. What a damaged disk made unreadable is removed."""
        for path in sorted(self._directory.glob("*.json")):
            try:
                if path.stem in self._unwritten:
                    if (envelope := self._unwritten[path.stem]) is not None:
                        yield path.stem, envelope
                    continue
                yield path.stem, msgspec.json.decode(path.read_bytes(), type=Envelope)
            except FileNotFoundError:
                continue
            except (OSError, *UNDECODABLE):
                self.forget(path.stem)

    def open(self, mail_id: str) -> BinaryIO:
        """Errors: OSError."""
        return (self._directory / f"{mail_id}.mail").open("rb")

    def keep_for(self, mail_id: str, envelope: Envelope) -> None:
        """Some of its recipients have it. A disk that takes nothing any more must not send it to them again."""
        self._unwritten[mail_id] = envelope
        with contextlib.suppress(OSError):
            write_atomic(self._directory / f"{mail_id}.json", msgspec.json.encode(envelope))
            del self._unwritten[mail_id]

    def clock_was_set(self, by_s: float, now: int) -> None:
        """What waits is no older for it: a box that was off for days had no chance to send it. A mail that would be of
        tomorrow then was taken by a right clock, and stays. ``now``: epoch seconds."""
        for mail_id, envelope in list(self.waiting()):
            moved = envelope.accepted_at + max(0, int(by_s))
            at = moved if moved <= now else min(envelope.accepted_at, now)
            if at != envelope.accepted_at:
                self.keep_for(mail_id, msgspec.structs.replace(envelope, accepted_at=at))

    def forget(self, mail_id: str) -> None:
        self._unwritten[mail_id] = None
        with contextlib.suppress(OSError):
            for suffix in ("json", "mail"):
                (self._directory / f"{mail_id}.{suffix}").unlink(missing_ok=True)
            sync_directory(self._directory)
            del self._unwritten[mail_id]
