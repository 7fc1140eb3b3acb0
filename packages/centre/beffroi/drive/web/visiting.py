"""Which tree a request of the portal's pages is about: the person's own, or what another collectivité shares.

Rule:    addresses that begin with ``chez/SHARE/`` are a visit: accepted by the person's collectivité, in the owner's
         metadata, with the owner's key, told before anything is done.
Process: drive, under the portal's grant (``granted``). Hostile: addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from beffroi.drive import crossing
from beffroi.drive.crossing import Crossing, What
from beffroi.drive.store.commune import Communes
from beffroi.drive.views import View, Visit
from beffroi.drive.web.bodies import Bodies, BodiesOf
from beffroi.drive.who import Who

ABROAD = "chez"


class Entered(NamedTuple):
    """``steps``: what follows of the address. ``pages``: of the portal, for this tree; a folder's number follows."""

    view: View
    bodies: Bodies
    steps: list[str]
    pages: str


@dataclass(frozen=True)
class Visits:
    communes: Communes
    bodies: BodiesOf
    crossed: crossing.Tell

    def enter(self, who: Who, address: str, what: What) -> Entered:
        """``address``: below the grant's path. Blocking. Errors: AbsentNode, Unavailable."""
        steps = address.strip("/").split("/")
        home = View(self.communes.metadata(who.collectivite_id), who, self.communes.metadata)
        if steps[0] != ABROAD or len(steps) < 3:
            return Entered(home, self.bodies(who.collectivite_id), steps, "/coffre/")
        visit = enter(home, steps[1], what, _node_of(steps[2]), self.crossed)
        pages = f"/coffre/{ABROAD}/{visit.share_id}/"
        return Entered(visit, self.bodies(visit.collectivite_id), steps[2:], pages)


def enter(
    home: View, share_id: str, what: What, node_id: int, crossed: Callable[[Crossing], object]
) -> Visit:
    """A visit that was told. Errors: AbsentNode, Unavailable."""
    with home.database.reading() as reading:
        visit = home.visit(reading, share_id)
    who = home.who
    crossed(
        Crossing(
            share_id,
            visit.collectivite_id,
            who.collectivite_id,
            who.person_id,
            who.app_password_id,
            what,
            node_id,
        )
    )
    return visit


def _node_of(step: str) -> int:
    return int(step) if step.isascii() and step.isdigit() and len(step) < 19 else 0
