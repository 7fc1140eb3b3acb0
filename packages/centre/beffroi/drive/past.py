"""A folder of the Coffre as it was, as one person may see it.

Access: ``View``, then ``moments.seen``: of their own files and of the collectivité's. What others share with them has
        no past here: who had it shared saw it from that day on, not before.
Errors: AbsentNode, MomentAhead, MomentAbsent, MomentPrivate, MomentForgotten.
Source: docs/internals/drive.md, "Points in time".
"""

from __future__ import annotations

from beffroi.drive.store import look, moments
from beffroi.drive.store.model import AbsentNode, Content
from beffroi.drive.store.moments import Moment, MomentAbsent, Past
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import SHARED_NAME, Place, View
from beffroi.lib import clock
from beffroi.lib.errors import Invalid


class MomentAhead(Invalid):
    """This moment is not over yet; choose an earlier one."""

    code = "drive.moment_ahead"


def has_past(view: View, place: Place) -> bool:
    is_elsewhere = view.share_id or place.rights.is_shared or place.owner != view.collectivite_id
    return bool(place.node.is_folder and not is_elsewhere and place.path[:1] != (SHARED_NAME,))


def folder(view: View, reading: Reading, folder_id: int) -> Place:
    """A folder whose past this person may ask for. Errors: AbsentNode."""
    place = view.at(reading, folder_id)
    if not has_past(view, place):
        raise AbsentNode("folder")
    return place


def moment(view: View, reading: Reading, folder_id: int, at_s: int) -> Moment:
    place = folder(view, reading, folder_id)
    now_s = clock.epoch_s()
    if at_s >= now_s:
        raise MomentAhead("moment")
    if at_s < look.above(reading, place.node.id)[-1].created_s:
        raise MomentAbsent("folder")
    return moments.seen(reading, folder_id, at_s, now_s)


def way(then: Moment, folder_id: int, node_id: int) -> list[Past]:
    """From what lay in the folder down to a node that lay below it; empty for the folder itself. Errors: AbsentNode."""
    above = then.above(node_id)
    depth = next((depth for depth, one in enumerate(above) if one.node == folder_id), None)
    if depth is None:
        raise AbsentNode("file")
    return above[:depth][::-1]


def file(view: View, folder_id: int, at_s: int, node_id: int) -> tuple[Past, Content]:
    """What lay below a folder, and what it held then. Errors: also AbsentNode where that is not kept."""
    with view.database.reading() as reading:
        steps = way(moment(view, reading, folder_id, at_s), folder_id, node_id)
        past = steps[-1] if steps else None
        kept = moments.content(reading, past) if past and past.is_kept and not past.is_folder else None
    if past is None or kept is None:
        raise AbsentNode("file")
    return past, kept
