"""Coffre: a new folder, new names, moving, copying, deleting.

Input:  hostile: identifiers and names of the form. Every change is a POST with a token of the session.
Access: ``View``: each file is looked up again inside the change, so that what moved away meanwhile is refused.
Rule:   what is ticked is done whole or not at all. Moving and copying need no second list of folders: what is to go
        elsewhere is kept in the session, and put down in the folder that the person opens next.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from beffroi.core.identity.actor import Actor
from beffroi.drive import carrying
from beffroi.drive.archives.rules import Sealed
from beffroi.drive.store import look, names, seals, tree, versions
from beffroi.drive.store.model import AbsentNode, Act, Changed, NameTaken, Node
from beffroi.drive.store.names import NameRefused
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place, View
from beffroi.drive.web.given import NothingTicked
from beffroi.lib import clock, digits
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.portal import drive_words
from beffroi.portal.drive_access import act_of, require_movable, require_writable, view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive_undo

MAX_NODES = 5000
CARRIED_KEY, NAME_KEY = "drive_carried", "drive_name"


class TooMany(Invalid):
    """More than {} files and folders cannot be changed at once."""

    code = "drive.too_many"


@require_POST
@for_agents
def act(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Do what the pressed button says; then the folder again. Errors: AbsentNode (the folder), Invalid."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        place = view.at(reading, digits.needed(request.POST.get("dossier", "")))
    what = request.POST.get("what", "")
    if what not in _ACTS:
        raise Invalid("what")
    target = folder_address(view, place)
    try:
        return _ACTS[what](request, view, place) or HttpResponseRedirect(target)
    except (NameTaken, NameRefused) as error:
        return HttpResponseRedirect(_ask_again(request, view, place, error) or target)
    except Sealed as error:
        messages.error(request, drive_words.sealed(_sealed_ones(request, view)) or drive_words.refusal(error))
    except BeffroiError as error:
        messages.error(request, drive_words.refusal(error))
    return HttpResponseRedirect(target)


def waiting(request: HttpRequest, actor: Actor, folder_id: int) -> dict[str, Any]:
    """What the page of a folder shows of the last change, if it was made there, and of what is to go elsewhere."""
    found: dict[str, Any] = {"done": drive_undo.last_done(request, actor.collectivite_id, folder_id)}
    carried = drive_undo.kept(request, CARRIED_KEY, actor.collectivite_id)
    if carried is not None:
        found["carried"] = {
            "sentence": drive_words.carried(carried["what"], len(carried["nodes"])),
            "what": carried["what"],
            "mark": carried.get("mark", ""),
        }
    found["refused_name"] = refused_name(request, actor.collectivite_id, folder_id)
    return found


def keep_name(request: HttpRequest, owner: str, number: int, sentence: str) -> None:
    """For the page of a node or a label (``owner``: a collectivité, a share, labels): what was typed there, and why
    it is no name.

    In the session, since a name never stands in an address.
    """
    request.session[NAME_KEY] = {
        "at": [owner, number],
        "what": request.POST["what"],
        "name": request.POST.get("name", "")[: 2 * names.MAX_NAME_BYTES],
        "sentence": sentence,
    }


def refused_name(request: HttpRequest, owner: str | None, number: int) -> dict[str, Any] | None:
    """What ``keep_name`` kept for this page, once."""
    if request.session.get(NAME_KEY, {}).get("at") != [owner, number]:
        return None
    found: dict[str, Any] = request.session.pop(NAME_KEY)
    return found


def folder_address(view: View, place: Place) -> str:
    """Of the page of a folder, or of the folder of a file."""
    folder_id = place.node.id if place.node.is_folder else place.node.parent
    with view.database.reading() as reading:
        own = view.roots(reading)[0].id
    if place.rights.is_shared and place.rights.is_mount and not place.node.is_folder:
        return reverse("drive_shared")  # its folder is its owner's alone
    return reverse("drive") if folder_id == own else reverse("drive_node", args=[folder_id])


def ticked(request: HttpRequest) -> list[int]:
    """Identifiers of what was ticked, each once. A script may send them in one field, with commas.

    Errors: NothingTicked, TooMany.
    """
    texts = [one for several in request.POST.getlist("n") for one in several.split(",") if one]
    if not texts:
        raise NothingTicked("n")
    if len(texts) > MAX_NODES:
        raise TooMany(MAX_NODES)
    return list(dict.fromkeys(digits.needed(one) for one in texts))


# -- what the buttons do ---------------------------------------------------------------------------------------


def _new_folder(request: HttpRequest, view: View, place: Place) -> HttpResponse:
    name = names.normal(request.POST.get("name", "").strip())
    require_writable(place)
    refuse_reserved(view, place, name)
    doing = act_of(view)
    made = view.database.write(lambda writing: tree.make_folder(writing, doing, place.node.id, name))
    return HttpResponseRedirect(reverse("drive_node", args=[made.id]))


def _rename(request: HttpRequest, view: View, place: Place) -> HttpResponse | None:
    """Of the node that the field ``n`` names, which lies in the folder, or is it."""
    (node_id,) = ticked(request)[:1]
    name = names.normal(request.POST.get("name", "").strip())

    def change(writing: Writing) -> drive_undo.Row:
        one = view.at(writing, node_id)
        require_movable(one)
        refuse_reserved(view, view.at(writing, one.node.parent), name)
        tree.move(writing, doing, node_id, one.node.parent, name)
        return drive_undo.Row(one.node.id, one.node.parent, one.node.name, name)

    doing = act_of(view)
    row = view.database.write(change)
    if row.name != name:
        drive_undo.note(request, place, view, "renamed", [row])
    return None if place.node.id != node_id else HttpResponseRedirect(reverse("drive_node", args=[node_id]))


def _delete(request: HttpRequest, view: View, place: Place) -> None:
    wanted, doing = ticked(request), act_of(view)

    def change(writing: Writing) -> list[drive_undo.Row]:
        found = [_in_folder(view, writing, one, place) for one in wanted]
        for one in found:
            tree.delete(writing, doing, one.id)
        return [drive_undo.Row(one.id, one.parent, one.name) for one in found]

    drive_undo.note(request, place, view, "deleted", view.database.write(change))


def _carry(request: HttpRequest, view: View, place: Place) -> None:
    wanted, what = ticked(request), request.POST["what"]
    with view.database.reading() as reading:
        for one in wanted:
            view.at(reading, one)
    if what == "move":
        require_writable(place)
    request.session.pop(drive_undo.DONE_KEY, None)
    request.session[CARRIED_KEY] = {
        "owner": drive_undo.owner_of(view),
        "what": what,
        "nodes": wanted,
        "at_s": clock.epoch_s(),
        "mark": drive_undo.new_mark(),
    }


def _drop(request: HttpRequest, view: View, place: Place) -> None:
    carried = drive_undo.offered(request, CARRIED_KEY, view)
    what, nodes, doing = carried["what"], carried["nodes"], act_of(view)
    done, left = view.database.write(
        lambda writing: _put_in(view, writing, doing, view.at(writing, place.node.id), what=what, nodes=nodes)
    )
    del request.session[CARRIED_KEY]
    if done:
        drive_undo.note(request, place, view, "copied" if what == "copy" else "moved", done)
    elif not left:
        messages.info(request, _("C’est déjà dans ce dossier : rien n’a changé."))


def _into(request: HttpRequest, view: View, place: Place) -> None:
    """What was dragged goes into the folder ``vers``; the page stays where it is."""
    nodes, goal, doing = ticked(request), digits.needed(request.POST.get("vers", "")), act_of(view)
    require_writable(place)
    done, _left = view.database.write(
        lambda writing: _put_in(view, writing, doing, view.at(writing, goal), what="move", nodes=nodes)
    )
    if done:
        drive_undo.note(request, place, view, "moved", done)


def _put_down(request: HttpRequest, view: View, place: Place) -> None:
    """Nothing is to go elsewhere any more."""
    request.session.pop(CARRIED_KEY, None)


def _version(request: HttpRequest, view: View, place: Place) -> HttpResponse:
    """An earlier content of the file ``n`` becomes the present one, which stays in the list."""
    (node_id,), etag = ticked(request)[:1], digits.needed(request.POST.get("etag", ""))
    doing = act_of(view)

    def change(writing: Writing) -> None:
        require_writable(view.at(writing, node_id))
        versions.restore(writing, doing, node_id, etag)

    view.database.write(change)
    messages.info(
        request, _("Cette version est rétablie. Celle d’avant reste dans la liste : rien n’est perdu.")
    )
    return HttpResponseRedirect(reverse("drive_node", args=[node_id]))


_ACTS: dict[str, Callable[[HttpRequest, View, Place], HttpResponse | None]] = {
    "folder": _new_folder,
    "rename": _rename,
    "delete": _delete,
    "move": _carry,
    "copy": _carry,
    "drop": _drop,
    "into": _into,
    "put_down": _put_down,
    "undo": drive_undo.undo,
    "version": _version,
}


def _ask_again(request: HttpRequest, view: View, place: Place, error: BeffroiError) -> str:
    """Keep a name that was refused for the form that it was typed in; the address of its page, "" for the folder's."""
    what = request.POST["what"]
    if what not in ("folder", "rename"):
        messages.error(request, drive_words.refusal(error))
        return ""
    node_id = place.node.id if what == "folder" else ticked(request)[0]
    keep_name(request, view.who.collectivite_id, node_id, drive_words.refusal(error))
    return "" if what == "folder" else reverse("drive_node", args=[node_id])


def _sealed_ones(request: HttpRequest, view: View) -> list[str]:
    """Names of those that were to change and are sealed, or hold something sealed; none where one alone was to."""
    wanted: list[int] = []
    if request.POST["what"] in ("delete", "into"):
        wanted = ticked(request)
    elif request.POST["what"] == "drop":
        carried = drive_undo.kept(request, CARRIED_KEY, drive_undo.owner_of(view))
        wanted = carried["nodes"] if carried is not None else []
    found: list[str] = []
    with view.database.reading() as reading:
        looking = seals.Looking(reading)
        for one in wanted if len(wanted) > 1 else []:
            with suppress(AbsentNode):
                node = view.at(reading, one).node
                found += [node.name] if looking.reach(node) else []
    return found


# -- inside ----------------------------------------------------------------------------------------------------


def refuse_reserved(view: View, folder: Place, name: str) -> None:
    """Errors: NameTaken, for a name that stands for the collectivité's folder."""
    if view.is_reserved((*folder.path, name)):
        raise NameTaken("reserved")


def _put_in(
    view: View, writing: Writing, doing: Act, target: Place, *, what: str, nodes: list[int]
) -> tuple[list[drive_undo.Row], int]:
    """What is moved or copied (``what``) into a folder; and how many became copies there, which no step takes back."""
    require_writable(target)
    out: list[drive_undo.Row] = []
    left = 0
    for node_id in nodes:
        one = view.at(writing, node_id)
        name = _name_there(view, writing, target, one.node.name)
        if what == "copy":
            made, _ = tree.copy(writing, doing, node_id, target.node.id, name)
            out.append(drive_undo.Row(made.id, target.node.id, name))
        elif one.node.parent != target.node.id:
            require_movable(one)
            moved, _fresh = carrying.move(writing, doing, one, target, name)
            if moved.id == node_id:  # else it is a copy (``carrying``)
                out.append(drive_undo.Row(one.node.id, one.node.parent, one.node.name))
            else:
                left += 1
    return out, left


def _name_there(view: View, reading: Reading, folder: Place, name: str) -> str:
    if view.is_reserved((*folder.path, name)):
        name += " (2)"
    return look.free_name(reading, folder.node.id, name)


def _in_folder(view: View, reading: Reading, node_id: int, folder: Place) -> Node:
    """A node that lies where the page showed it. Errors: AbsentNode, Changed, ReadOnly."""
    one = view.at(reading, node_id)
    require_movable(one)
    if one.node.parent != folder.node.id:
        raise Changed
    return one.node
