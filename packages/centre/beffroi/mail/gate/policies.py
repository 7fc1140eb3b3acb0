"""Which kinds of attached files each collectivité lets pass, from the routes' projection.

Process: mailgate; any thread.
Fails:   closed: without the file, or for a recipient whose collectivité is not known, nothing is let pass.
Source:  mail/projections.py (the writer).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from beffroi.mail.gate.projected import Projected, opened

log = logging.getLogger("beffroi.mailgate")


class Policies:
    """Some rows, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._projected = Projected(path, _allowed)

    def allowed(self, communes: Iterable[str]) -> frozenset[str]:
        """What all of them let pass: one mail is one verdict, and the strictest of them holds it."""
        current = self._current()
        each = [current.get(one, frozenset()) for one in communes]
        return frozenset.intersection(*each) if each else frozenset()

    def _current(self) -> dict[str, frozenset[str]]:
        try:
            return self._projected.current()
        except (OSError, sqlite3.Error) as error:
            log.warning("policies of attachments are not read: %s", type(error).__name__)
            return {}


def _allowed(path: Path) -> dict[str, frozenset[str]]:
    with closing(opened(path)) as routes:
        rows = routes.execute("SELECT collectivite_id, allowed FROM attachment_policy")
        return {commune: frozenset(text.split()) for commune, text in rows}
