"""Whose a recipient or a sign-in is: domain -> collectivité, from the routes' projection.

Process: mailgate; any thread.
Fails:   closed: where nobody is known to own a domain, no local exception counts.
Source:  mail/projections.py (the writer).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

log = logging.getLogger("beffroi.mailgate")


class Owners:
    """Some hundred rows, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = (-1, -1)
        self._owners: dict[str, str] = {}

    def of(self, addresses: Iterable[str]) -> frozenset[str]:
        """Return the collectivités of these mail addresses; empty when one address belongs to nobody here: an
        exception must not open what also goes elsewhere."""
        owners = self.current()
        found = {owners.get(address.lower().rpartition("@")[2], "") for address in addresses}
        return frozenset() if "" in found else frozenset(found)

    def known(self, addresses: Iterable[str]) -> frozenset[str]:
        """The collectivités among the owners of these addresses, whoever else gets the mail."""
        owners = self.current()
        return frozenset(owners.get(one.lower().rpartition("@")[2], "") for one in addresses) - {""}

    def current(self) -> dict[str, str]:
        """Domain -> collectivité; empty while it cannot be read. Not to be changed."""
        try:
            status = self._path.stat()
            mark = (status.st_mtime_ns, status.st_ino)
            if mark != self._read_at:
                uri = f"{self._path.absolute().as_uri()}?mode=ro"
                connection = sqlite3.connect(uri, uri=True, timeout=1)
                try:
                    self._owners = dict(connection.execute("SELECT domain, collectivite_id FROM owner"))
                finally:
                    connection.close()
                self._read_at = mark
        except (OSError, sqlite3.Error) as error:
            log.warning("owners of domains are not read: %s", type(error).__name__)
        return self._owners
