"""Coffre: what another collectivité shares, seen from here: its list, its files, and what may be done with them.

Input:  hostile: identifiers of the address and names of the form. Every change is a POST with a token of the session.
Access: a ``Visit``: the référent accepted it, and the owner stands by it; asked again inside each change.
Rule:   each page is a line in the owner's audit log before it is shown (``portal.drive_visits``).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from beffroi.core.identity.actor import Actor
from beffroi.drive.crossing import What
from beffroi.drive.store import favourites, listing, names, tree, versions
from beffroi.drive.store.model import AbsentNode, NameTaken
from beffroi.drive.store.names import NameRefused
from beffroi.drive.store.writing import Reading, Writing
from beffroi.drive.views import Place, Visit
from beffroi.drive.web.dav import properties
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.portal import drive_sharing, drive_visits, drive_words, scan_words
from beffroi.portal.drive_access import act_of, require_movable, require_writable, view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_act, drive_office, drive_undo, drive_version
from beffroi.portal.words import size


@require_http_methods(["GET", "POST"])
@for_agents
def visit(request: HttpRequest, actor: Actor, share_id: str, node_id: int = 0) -> HttpResponse:
    """A folder's list or a file's page; 0 for what is shared itself. Errors: AbsentNode."""
    home = view_of(request, actor)
    what: What = "change" if request.method == "POST" else "list"
    there = drive_visits.visit(home, actor, share_id, node_id, what)
    if request.method == "POST":
        return HttpResponseRedirect(_changed(request, there, node_id))
    with home.database.reading() as own:
        stars = favourites.of(own, home.who, there.collectivite_id)
    with there.database.reading() as reading:
        place = _place(there, reading, node_id)
        entries = listing.folder(reading, place.node.id, newest_first=False) if place.node.is_folder else []
        steps = drive.trail(reading, there, place)
        context = {} if place.node.is_folder else _file(reading, actor, place)
    context |= drive_visits.addresses(there)
    context |= drive.sent(request)
    context |= {
        "at": "shared",
        "office_editor": bool(settings.BEFFROI.office_editor),
        "node": place.node,
        "stars": stars,
        "title": place.path[-1],
        "trail": steps[:-1],
        "owner": drive_sharing.name_of_commune(actor, there.collectivite_id),
        "may_write": place.rights.may_write,
        "is_mount": place.rights.is_mount,
        "size": size(place.node.size_bytes),
        "changed": datetime.fromtimestamp(place.node.mtime_s, UTC),
        "rows": drive.rows(actor, entries, {}),
        "refused_name": drive_act.refused_name(request, share_id, place.node.id),
    }
    if done := drive_undo.last_done(request, share_id, place.node.id):
        context["done"] = done | {"sentence": drive_words.done_there(done["what"])}
    return drive.drive_page(request, home, "portal/drive_visit.html", context)


@require_safe
@for_agents
def opened(request: HttpRequest, actor: Actor, number: int) -> HttpResponse:
    """To the page of a file, from the number by which programs know it (``oc:fileid``). Errors: AbsentNode."""
    home = view_of(request, actor)
    with home.database.reading() as reading:
        try:
            return redirect("drive_node", home.at(reading, number).node.id)
        except AbsentNode:
            visits = home.visits(reading)
    for there in visits:
        node_id = number - properties.shift(there.collectivite_id, home.collectivite_id)
        try:
            with there.database.reading() as reading:
                there.at(reading, node_id)
        except BeffroiError:  # not in this one, or it does not answer
            continue
        return redirect("drive_visit_node", there.share_id, node_id)
    raise AbsentNode("file")


def _file(reading: Reading, actor: Actor, place: Place) -> dict[str, Any]:
    """What the page of a file has beside that of a folder."""
    node, scan = place.node, scan_words.line(reading, actor, place)
    return {
        "scan": scan,
        "versions": drive_version.listed(reading, node),
        "compares": "" if scan.is_held else drive_words.compares(node.name),
        "preview": "" if scan.is_held else drive_words.preview(node.name, node.size_bytes),
        **({} if scan.is_held else drive_office.offered(place)),
    }


def _place(there: Visit, reading: Reading, node_id: int) -> Place:
    mount = there.mount(reading)
    return there.at(reading, node_id or (mount.node.id if mount is not None else 0))


def _page(there: Visit, reading: Reading, node_id: int) -> Place:
    """Where *Annuler* was pressed; what is shared itself, where that page has gone meanwhile. Errors: AbsentNode."""
    try:
        return _place(there, reading, node_id)
    except AbsentNode:
        return _place(there, reading, 0)


def _changed(request: HttpRequest, there: Visit, node_id: int) -> str:
    """Where to go after what the pressed button says. Errors: Invalid, AbsentNode."""
    doing, what = act_of(there), request.POST.get("what", "")
    if what not in ("folder", "rename", "delete", "version", "undo"):
        raise Invalid("what")
    with there.database.reading() as reading:
        folder = _page(there, reading, node_id) if what == "undo" else _place(there, reading, node_id)

    def change(writing: Writing) -> drive_undo.Row | None:
        nonlocal folder
        place = _place(there, writing, node_id)
        if what == "folder":
            require_writable(place)
            tree.make_folder(writing, doing, place.node.id, _name(request))
            return None
        if what == "version":
            require_writable(place)
            versions.restore(writing, doing, place.node.id, drive.number(request.POST.get("etag", "")))
            return None
        require_movable(place)
        one = place.node
        if what == "rename":
            after, _fresh = tree.move(writing, doing, one.id, one.parent, _name(request))
            if after.name == one.name:
                return None
            # A folder has another number with each change in it, which its name has nothing to do with.
            etag = 0 if one.is_folder else after.etag
            return drive_undo.Row(one.id, one.parent, one.name, after.name, etag)
        tree.delete(writing, doing, one.id)
        folder = there.at(writing, one.parent)
        return drive_undo.Row(one.id, one.parent, one.name)

    try:
        if what == "undo":
            drive_undo.undo(request, there, folder)
        elif row := there.database.write(change):
            drive_undo.note(request, folder, there, "renamed" if what == "rename" else "deleted", [row])
        else:
            if what == "version":
                drive_undo.forget(request, folder, there)
            messages.success(request, _("C’est fait, chez la commune qui partage."))
    except (NameTaken, NameRefused) as error:
        if what == "undo":
            messages.error(request, drive_words.refusal(error))
        else:
            drive_act.keep_name(request, there.share_id, folder.node.id, drive_words.refusal(error))
    except BeffroiError as error:
        messages.error(request, drive_words.refusal(error))
    return reverse("drive_visit_node", args=[there.share_id, folder.node.id])


def _name(request: HttpRequest) -> str:
    return names.normal(request.POST.get("name", "").strip())
