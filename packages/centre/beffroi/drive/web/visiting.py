"""Which tree a request of the portal's pages is about: the person's own, or what another collectivité shares.

Rule:    addresses that begin with ``chez/SHARE/`` are a visit: accepted by the person's collectivité, in the owner's
         metadata, with the owner's key, told before anything is done.
Process: drive, under the portal's grant (``granted``). Hostile: addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from beffroi.drive import crossing
from beffroi.drive.crossing import Crossing, Told, What
from beffroi.drive.store.commune import Communes
from beffroi.drive.views import View, Visit
from beffroi.drive.web import numbered
from beffroi.drive.web.bodies import Bodies, BodiesOf
from beffroi.drive.who import Who
from beffroi.lib import digits

ABROAD = "chez"


class Entered(NamedTuple):
    """``steps``: what follows of the address."""

    view: View
    bodies: Bodies
    steps: list[str]


@dataclass(frozen=True)
class Visits:
    communes: Communes
    bodies: BodiesOf
    crossed: crossing.Tell
    _told: Told = field(default_factory=Told)

    def enter(self, who: Who, address: str, what: What, *, goes_on: bool = False) -> Entered:
        """``address``: below the grant's path. ``goes_on``: another part of what was read before, or is being sent.
        Blocking.

        Errors: AbsentNode, OtherCollectivite, Unavailable.
        """
        steps = [numbered.plain(step, who.collectivite_id) for step in address.strip("/").split("/")]
        home = View.of_page(who, self.communes.metadata)
        if steps[0] != ABROAD or len(steps) < 3:
            return Entered(home, self.bodies(who.collectivite_id), steps)
        told = partial(self._told, tell=self.crossed, goes_on=goes_on)
        visit = enter(home, steps[1], what, digits.number(steps[2]) or 0, told)
        return Entered(visit, self.bodies(visit.collectivite_id, who.collectivite_id), steps[2:])

    def require(self, who: Who, view: View) -> None:
        """That they may still be where they entered; what the owner gives is asked in each change. Blocking.

        Errors: AbsentNode (their collectivité, or they, take it no more), Unavailable.
        """
        if view.share_id:
            accepted(View.of(who, self.communes.metadata), view.share_id)


def pages(view: View) -> str:
    """Where the portal has the pages of this tree; a node's number follows."""
    return f"/coffre/{ABROAD}/{view.share_id}/" if view.share_id else "/coffre/"


def accepted(home: View, share_id: str) -> Visit:
    """A visit that nobody is told of. Errors: AbsentNode, Unavailable."""
    with home.database.reading() as reading:
        return home.visit(reading, share_id)


def enter(
    home: View, share_id: str, what: What, node_id: int, crossed: Callable[[Crossing], object]
) -> Visit:
    """A visit that was told. Errors: AbsentNode, Unavailable."""
    visit = accepted(home, share_id)
    crossed(visit.crossing(what, node_id))
    return visit
