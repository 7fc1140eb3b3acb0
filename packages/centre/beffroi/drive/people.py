"""Who belongs to a collectivité, as sync clients may choose them for a share.

Process: drive; reads STATE/projections/dav.db, which the worker writes. No Django.
Fails:   closed: without the file nobody can be chosen.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing

from beffroi.drive import projections
from beffroi.drive.projections import Member
from beffroi.lib.config import Config

log = logging.getLogger("beffroi.drive")

type People = Callable[[str], Sequence[Member]]
"""The current members of a collectivité, by name."""


def of(config: Config, collectivite_id: str) -> list[Member]:
    path = projections.path(config)
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            rows = database.execute(projections.MEMBERS_OF, (collectivite_id,)).fetchall()
    except sqlite3.Error as error:
        log.error("people cannot be read: %s", type(error).__name__)
        return []
    return [Member(*row) for row in rows]
