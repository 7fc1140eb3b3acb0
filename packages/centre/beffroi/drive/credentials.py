"""Who signs in to calendars, contacts and files: app passwords made for DAV, and nothing else.

Purpose: ``Credentials(config).check(login, password)``, for each process of the drive. The account password never
         opens anything here.
Process: calendars, and whatever else serves files; no Django, no database of ours: reads STATE/projections/dav.db.
Hostile: login and password are anybody's. The password is looked up by its SHA-256, so that what is compared early
         is a digest that nobody can steer; the login is compared in constant time, also where no password was found.
Login:   the person's address of sign-in at the portal (``Person.email``). Not a mailbox: who has none has calendars
         and files all the same, and the address does not change when a mailbox does.
Fails:   closed: without the file, or with one that cannot be read, nobody is let in.
"""

from __future__ import annotations

import hmac
from typing import Literal, LiteralString

from beffroi.drive import projections
from beffroi.drive.who import Who
from beffroi.lib import hashed
from beffroi.lib.config import Config

MAX_CHARS = 320
"""Of a login or a password; longer ones are nobody's."""
_ROW: LiteralString = (
    "SELECT person_id, membership_id, collectivite_id, role, login, display_name, id FROM app_password"
)
"""Columns in the order of ``Who``."""
_ASKED: dict[str, LiteralString] = {"sha256": _ROW + " WHERE sha256 = ?", "id": _ROW + " WHERE id = ?"}


class Credentials:
    """Reads the projection anew at each question: what was revoked opens nothing from then on."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def check(self, login: str, password: str, *, address: str = "") -> Who | None:
        """None for whatever reason; nothing tells apart a wrong login, a wrong password and a revoked one."""
        if len(login) > MAX_CHARS or len(password) > MAX_CHARS:
            return None
        found = self._find("sha256", hashed.sha256(password))
        known = found.login if found is not None else ""
        same = hmac.compare_digest(_bytes(known), _bytes(login.strip().lower()))
        return found if found is not None and same else None

    def holder(self, app_password_id: str) -> Who | None:
        """Whose an app password is, while it stands; for who proved otherwise that it is theirs."""
        return self._find("id", app_password_id)

    def _find(self, column: Literal["sha256", "id"], value: str) -> Who | None:
        rows = projections.read(self._config, "app passwords", _ASKED[column], value)
        return Who(*rows[0]) if rows else None


def _bytes(login: str) -> bytes:
    return login.encode("utf-8", "replace")
