"""Which tree a page of the Coffre is about: the person's own, or what another collectivité shares.

Access: a ``Visit``: the référent accepted it, and the owner stands by it; asked again inside each change.
Rule:   each page is a line in the owner's audit log before it is shown; of lists one an hour.
"""

from __future__ import annotations

from functools import partial

from django.http import HttpRequest

from beffroi.core.identity.actor import Actor
from beffroi.drive import crossing, recorded
from beffroi.drive.crossing import Crossing, What
from beffroi.drive.views import View, Visit
from beffroi.drive.web.granted import IN_PATH, OUT_PATH
from beffroi.drive.web.visiting import ABROAD, enter, pages
from beffroi.portal.drive_access import view_of

_TOLD = crossing.Told()


def view_towards(request: HttpRequest, actor: Actor, share_id: str, node_id: int) -> View:
    """``share_id``: "" for the person's own tree. Errors: AbsentNode, NotAllowed, StoreFull, Unavailable."""
    home = view_of(request, actor)
    return visit(home, actor, share_id, node_id) if share_id else home


def visit(home: View, actor: Actor, share_id: str, node_id: int, what: What = "list") -> Visit:
    """Errors: AbsentNode, Unavailable."""
    return enter(home, share_id, what, node_id, partial(tell, actor))


def tell(actor: Actor, told: Crossing) -> None:
    _TOLD(told, partial(recorded.crossed, actor=actor))


def addresses(view: View) -> dict[str, str]:
    """For the templates; a node's number follows."""
    abroad = f"/{ABROAD}/{view.share_id}" if view.share_id else ""
    return {
        "share_id": view.share_id,
        "at_pages": pages(view),
        "at_bytes": f"{OUT_PATH}{abroad}/",
        "at_office": f"{OUT_PATH}/bureau{abroad}/",
        "at_send": f"{IN_PATH}{abroad}/",
    }
