"""Coffre: one step back: what the session keeps of the last change, and how it is taken back.

Input:  hostile: what the session says is looked up again inside the change, as any identifier is.
Access: ``View``; a change is taken back in the tree that it was made in, by who may change that tree now.
Rule:   all of it comes back, or nothing does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.contrib import messages
from django.http import HttpRequest
from django.utils.translation import ngettext

from beffroi.drive import carrying
from beffroi.drive.store import trash, tree
from beffroi.drive.store.model import AbsentNode, Act, Changed
from beffroi.drive.store.writing import Writing
from beffroi.drive.views import Place, View
from beffroi.lib import clock
from beffroi.portal import drive_words
from beffroi.portal.counts import Count
from beffroi.portal.drive_access import act_of, require_movable, require_writable

UNDO_S = 600
"""How long the page offers to take the last change back."""
DONE_KEY = "drive_done"


class Row(NamedTuple):
    """A node, the folder and the name that it had before. ``new_name``: of what was renamed. ``etag``: as the change
    left it, of what is taken back only while nobody wrote it since; else 0."""

    node_id: int
    parent: int
    name: str
    new_name: str = ""
    etag: int = 0


def note(request: HttpRequest, place: Place, view: View, what: str, rows: Sequence[Row]) -> None:
    """Keep what was done on the page of a place, for it to say and to take back."""
    request.session[DONE_KEY] = {
        "owner": owner_of(view),
        "folder": place.node.id,
        "what": what,
        "count": len(rows),
        "rows": [list(one) for one in rows],
        "at_s": clock.epoch_s(),
        "mark": new_mark(),
    }


def last_done(request: HttpRequest, owner: str | None, folder_id: int) -> dict[str, Any] | None:
    """The last change, if it was made in this folder. ``owner``: a collectivité, or the share that leads to another."""
    done = kept(request, DONE_KEY, owner)
    if done is None or done["folder"] != folder_id:
        return None
    is_new, done["was_seen"] = not done.get("was_seen"), True
    request.session.modified = True
    return {
        "is_new": is_new,
        "mark": done.get("mark", ""),
        "what": done["what"],
        "sentence": drive_words.done(done["what"], done["count"]),
        "can_undo": done["what"] in _UNDONE,
    }


def forget(request: HttpRequest, place: Place, view: View) -> None:
    """Something else was done on this page, after which what was done there before is not taken back."""
    done = kept(request, DONE_KEY, owner_of(view))
    if done is not None and done["folder"] == place.node.id:
        del request.session[DONE_KEY]


def undo(request: HttpRequest, view: View, place: Place) -> None:
    """Take the last change back, in the tree that it was made in. Errors: Changed, those of the change."""
    done = offered(request, DONE_KEY, view)
    if done["what"] not in _UNDONE:
        raise Changed
    back = [Row(*one) for one in done["rows"]]
    doing = act_of(view)
    view.database.write(lambda writing: [_UNDONE[done["what"]](view, writing, doing, one) for one in back])
    request.session.pop(DONE_KEY, None)
    count = len(back)
    messages.info(
        request,
        ngettext("C’est annulé : %(n)s élément.", "C’est annulé : %(n)s éléments.", count)
        % {"n": Count(count)},
    )


def owner_of(view: View) -> str:
    """Whose tree a view is of, for the session: a share, or the person's own collectivité."""
    return view.share_id or view.who.collectivite_id


def kept(request: HttpRequest, key: str, owner: str | None) -> dict[str, Any] | None:
    """What the session keeps of this tree, while it is fresh."""
    found: dict[str, Any] | None = request.session.get(key)
    if not found or found.get("owner") != owner or clock.epoch_s() - found["at_s"] > UNDO_S:
        return None
    return found


def new_mark() -> str:
    """By which a page names what it offers."""
    return secrets.token_hex(4)


def offered(request: HttpRequest, key: str, view: View) -> dict[str, Any]:
    """What is kept, if the page that was pressed on offers it: one of another tab may be older.

    Errors: Changed."""
    found = kept(request, key, owner_of(view))
    if found is None or request.POST.get("fait", found.get("mark")) != found.get("mark"):
        raise Changed
    return found


# -- of one node -----------------------------------------------------------------------------------------------


def _move_back(view: View, writing: Writing, doing: Act, row: Row) -> None:
    one, target = view.at(writing, row.node_id), view.at(writing, row.parent)
    require_movable(one)
    require_writable(target)
    carrying.move(writing, doing, one, target, row.name)


def _name_back(view: View, writing: Writing, doing: Act, row: Row) -> None:
    """Errors: Changed (it has another name or place by now, or was written where that is asked), NameTaken."""
    place = view.at(writing, row.node_id)
    require_movable(place)
    one = place.node
    if (one.parent, one.name) != (row.parent, row.new_name) or (row.etag and one.etag != row.etag):
        raise Changed
    tree.move(writing, doing, one.id, one.parent, row.name)


def _delete_again(view: View, writing: Writing, doing: Act, row: Row) -> None:
    require_movable(view.at(writing, row.node_id))
    tree.delete(writing, doing, row.node_id)


def take_from_trash(view: View, writing: Writing, doing: Act, node_id: int) -> Row:
    """Back to where it was deleted from. Errors: AbsentNode (also for another's), ReadOnly, those of ``restore``."""
    roots = [] if view.share_id else [one.id for one in view.roots(writing)]
    row = writing.one("SELECT root, parent, person_id, name FROM trash WHERE node = ?", (node_id,))
    if row is None or (row[0] not in roots and row[2] != view.who.person_id):
        raise AbsentNode("file")
    if row[0] in roots:
        require_writable(view.at(writing, row[0]))
        back = trash.restore(writing, doing, row[0], node_id)
    else:  # what they deleted from a share: to the folder it lay in and no other, while they may write there
        require_writable(view.at(writing, row[1]))
        back = trash.bring_back(writing, doing, node_id, row[1], row[3])
    return Row(back.id, back.parent, back.name)


def _take_back(view: View, writing: Writing, doing: Act, row: Row) -> None:
    take_from_trash(view, writing, doing, row.node_id)


_UNDONE: dict[str, Callable[[View, Writing, Act, Row], None]] = {
    "moved": _move_back,
    "renamed": _name_back,
    "copied": _delete_again,
    "returned": _delete_again,
    "deleted": _take_back,
}
