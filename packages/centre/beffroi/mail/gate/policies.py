"""Which kinds of attached files each collectivité lets pass, from the routes' projection.

Process: mailgate; any thread.
Fails:   closed: without the file, or for a recipient whose collectivité is not known, nothing is let pass.
Source:  mail/projections.py (the writer).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger("beffroi.mailgate")


class Policies:
    """Some rows, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = (-1, -1)
        self._allowed: dict[str, frozenset[str]] = {}

    def allowed(self, communes: Iterable[str]) -> frozenset[str]:
        """What all of them let pass: one mail is one verdict, and the strictest of them holds it."""
        current = self._current()
        each = [current.get(one, frozenset()) for one in communes]
        return frozenset.intersection(*each) if each else frozenset()

    def _current(self) -> dict[str, frozenset[str]]:
        try:
            status = self._path.stat()
            mark = (status.st_mtime_ns, status.st_ino)
            if mark != self._read_at:
                uri = f"{self._path.absolute().as_uri()}?mode=ro"
                connection = sqlite3.connect(uri, uri=True, timeout=1)
                try:
                    rows = connection.execute(
                        "SELECT collectivite_id, allowed FROM attachment_policy"
                    ).fetchall()
                finally:
                    connection.close()
                self._allowed = {commune: frozenset(text.split()) for commune, text in rows}
                self._read_at = mark
        except (OSError, sqlite3.Error) as error:
            log.warning("policies of attachments are not read: %s", type(error).__name__)
            self._allowed = {}
        return self._allowed
