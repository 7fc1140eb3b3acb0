"""Whom an alias or a catch-all leads to: evidence of a mail names the mailboxes it goes to, too.

Process: mailgate; any thread.
Fails:   open: without the projection the mail is evidence for the address that was written to, and the copies wait for
         the sweep.
Source:  mail/alias_routes.py (what Postfix asks).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from beffroi.mail.gate.projected import Projected, opened

log = logging.getLogger("beffroi.mailgate")


class Aliases:
    """Some thousand rows, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path, self._projected = path, Projected(path, "aliases", _live)

    def expanded(self, addresses: Iterable[str]) -> list[str]:
        """These addresses (lower case, without "+detail") and those that they lead to, each once."""
        written = list(addresses)
        found = dict.fromkeys(written)
        targets, catching = self._projected.current() or ({}, frozenset())
        for one in written:
            found.update(dict.fromkeys(targets.get(one, ())))
        unknown = [one for one in written if one.rpartition("@")[2] in catching]
        try:
            found.update(dict.fromkeys(self._caught(unknown) if unknown else ()))
        except sqlite3.Error as error:
            log.warning("catch-alls are not read: %s", type(error).__name__)
        return list(found)

    def _caught(self, addresses: Iterable[str]) -> list[str]:
        """Where those among them go that nobody has."""
        asked = (
            "SELECT target FROM catch_all_live WHERE domain = ?"
            " AND NOT EXISTS (SELECT 1 FROM mailbox WHERE address = ?)"
            " AND NOT EXISTS (SELECT 1 FROM alias WHERE address = ?)"
            " AND NOT EXISTS (SELECT 1 FROM reserved WHERE address = ?)"
        )
        with opened(self._path) as routes:
            rows = [
                row
                for one in addresses
                for row in routes.execute(asked, (one.rpartition("@")[2], one, one, one))
            ]
        return [target for (target,) in rows]


def _live(path: Path) -> tuple[Mapping[str, list[str]], frozenset[str]]:
    """(targets of each alias, domains with a catch-all)."""
    targets: dict[str, list[str]] = {}
    with opened(path) as routes:
        for address, target in routes.execute("SELECT address, target FROM alias_live"):
            targets.setdefault(address, []).append(target)
        return targets, frozenset(one for (one,) in routes.execute("SELECT domain FROM catch_all"))
