"""Who belongs to a collectivité, as sync clients may choose them for a share, and what collectivités are called.

Process: drive; reads STATE/projections/dav.db, which the worker writes. No Django.
Fails:   closed: without the file nobody can be chosen, and no collectivité has a name.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, LiteralString

from beffroi.drive import projections
from beffroi.drive.projections import Member
from beffroi.lib.config import Config

log = logging.getLogger("beffroi.drive")

type People = Callable[[str], Sequence[Member]]
"""The current members of a collectivité, by name."""
type Named = Callable[[str], str]
"""The name of a collectivité; "" where it is not known."""


def of(config: Config, collectivite_id: str) -> list[Member]:
    return [Member(*row) for row in _rows(config, projections.MEMBERS_OF, collectivite_id)]


def name_of(config: Config, collectivite_id: str) -> str:
    """ "" where it is not known."""
    found = _rows(config, projections.NAME_OF, collectivite_id)
    return str(found[0][0]) if found else ""


def _rows(config: Config, asked: LiteralString, collectivite_id: str) -> list[tuple[Any, ...]]:
    path = projections.path(config)
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            return database.execute(asked, (collectivite_id,)).fetchall()
    except sqlite3.Error as error:
        log.error("people cannot be read: %s", type(error).__name__)
        return []
