"""Successful sign-ins that Dovecot and the drive tell of, on their way to the table ``sign_in``.

Purpose: IMAP, submission and DAV in the evidence that looking back reads (core.identity.sign_ins).
Process: mailgate; told by its requests, emptied by the thread that also empties the spool.
Input:   addresses of who knew an app password. The portal's own reading comes from the loopback and is left out.
Limits:  a mail program signs in each minute: what repeats is counted and written each ``AGAIN_S``; what waits is
         bounded. Which app password it was, Dovecot says too, for the person's list of devices.
Fails:   open. What waits when the process is killed, ten minutes of repetitions at most, is lost.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from dataclasses import dataclass
from datetime import datetime

from beffroi.core.planes.db import Database
from beffroi.lib import clock

AGAIN_S = 600.0
MAX_REMEMBERED = 20_000
_Key = tuple[str, str, str, str]


@dataclass
class Count:
    """Sign-ins of one mailbox from one address at one door that are not written yet."""

    login: str
    address: str
    door: str
    first_at: datetime
    last_at: datetime
    count: int = 1
    app_password: str = ""


class SignIns:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: dict[_Key, float] = {}
        self._waiting: dict[_Key, Count] = {}

    def add(self, *, address: str, login: str, door: str, app_password: str = "") -> bool:
        """Count one; True when it is to be written now. ``app_password``: its identifier; "" for a token."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        if parsed.is_loopback:
            return False
        key = (login.lower()[:320], str(parsed), door[:16], app_password[:40])
        now = clock.now()
        with self._lock:
            if (known := self._waiting.get(key)) is not None:
                known.count, known.last_at = known.count + 1, now
            elif len(self._waiting) < MAX_REMEMBERED:
                self._waiting[key] = Count(*key[:3], now, now, app_password=key[3])
            return self._due(key)

    def take(self) -> list[Count]:
        """Return what is to be written now; ``put_back`` what could not be."""
        with self._lock:
            due = [key for key in self._waiting if self._due(key)]
            taken = [self._waiting.pop(key) for key in due]
            if len(self._written) > MAX_REMEMBERED:
                self._written.clear()
            self._written.update((key, time.monotonic()) for key in due)
            return taken

    def put_back(self, taken: list[Count]) -> None:
        with self._lock:
            for one in taken:
                key = (one.login, one.address, one.door, one.app_password)
                self._written.pop(key, None)
                if (newer := self._waiting.get(key)) is not None:
                    newer.count, newer.first_at = newer.count + one.count, one.first_at
                else:
                    self._waiting[key] = one

    def _due(self, key: _Key) -> bool:
        return time.monotonic() - self._written.get(key, -AGAIN_S) >= AGAIN_S


def write(database: Database, one: Count) -> None:
    """Add it to its day, for the person of that mailbox or app password; a shared mailbox has none. Inside of a
    transaction."""
    if one.app_password:
        database.execute(
            "UPDATE app_password SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)",
            (one.last_at, one.app_password, one.last_at),
        )
    found = database.execute(
        "SELECT person_id, collectivite_id FROM mail_mailbox WHERE address = ? AND person_id IS NOT NULL"
        # Whoever signs in to the drive may have no mailbox.
        " UNION SELECT membership.person_id, membership.collectivite_id FROM app_password"
        " JOIN membership ON membership.id = app_password.membership_id"
        " WHERE app_password.id = ? AND ? = 'dav'",
        (one.login, one.app_password, one.door),
    )
    for person_id, collectivite_id in found:
        database.execute(
            "INSERT INTO sign_in (person_id, collectivite_id, door, address, day, count, first_at, last_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (person_id, collectivite_id, door, address, day)"
            " DO UPDATE SET count = sign_in.count + excluded.count, last_at = excluded.last_at",
            (
                person_id,
                collectivite_id,
                one.door,
                one.address,
                one.last_at.date().isoformat(),
                one.count,
                one.first_at,
                one.last_at,
            ),
        )
