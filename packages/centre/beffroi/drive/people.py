"""Who belongs to a collectivité, as sync clients may choose them for a share, and what collectivités are called.

Process: drive; reads STATE/projections/dav.db, which the worker writes. No Django.
Fails:   closed: without the file nobody can be chosen, and no collectivité has a name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import LiteralString

from beffroi.drive import projections
from beffroi.drive.projections import Member
from beffroi.lib.config import Config

_MEMBERS: LiteralString = (
    "SELECT person_id, collectivite_id, login, display_name FROM member WHERE collectivite_id = ?"
    " ORDER BY display_name, person_id"
)

type People = Callable[[str], Sequence[Member]]
"""The current members of a collectivité, by name."""
type Named = Callable[[str], str]
"""The name of a collectivité; "" where it is not known."""


def of(config: Config, collectivite_id: str) -> list[Member]:
    return [Member(*row) for row in projections.read(config, "people", _MEMBERS, collectivite_id)]


def name_of(config: Config, collectivite_id: str) -> str:
    """ "" where it is not known."""
    found = projections.read(config, "people", "SELECT name FROM collectivite WHERE id = ?", collectivite_id)
    return str(found[0][0]) if found else ""
