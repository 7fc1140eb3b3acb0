"""Coffre: one file, what it is and what can be done with it; of a folder, its list.

Input:  hostile: identifiers of the address; the name, which templates escape.
Access: ``View``: what does not lie in the person's own folder or in the collectivité's is "no such page".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.drive import handed_in, sharing
from beffroi.drive.store import listing
from beffroi.drive.store.listing import Entry
from beffroi.portal import drive_seal_words, drive_tag_words, drive_words, scan_words, words
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_act, drive_office, drive_version


@require_GET
@for_agents
def node(request: HttpRequest, actor: Actor, node_id: int) -> HttpResponse:
    """A folder's list or a file's page. Errors: AbsentNode."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        place = view.at(reading, node_id)
        if place.node.is_folder:
            return drive.folder_page(request, actor, view, place)
        entry, scan = Entry(*place.node[:7]), scan_words.line(reading, actor, place)
        context: dict[str, Any] = {
            "node": place.node,
            "trail": drive.trail(reading, view, place)[:-1],
            "at": drive.at_of(place),
            "may_share": place.rights.may_share,
            "is_mount": place.rights.is_mount,
            "reach": drive.reach(reading, place),
            "may_write": place.rights.may_write,
            "may_delete": drive_version.may_delete(reading, view, place),
            "size": words.size(place.node.size_bytes),
            "changed": datetime.fromtimestamp(place.node.mtime_s, UTC),
            "created": datetime.fromtimestamp(place.node.created_s, UTC),
            "versions": drive_version.listed(reading, place.node),
            "compares": "" if scan.is_held else drive_words.compares(place.node.name),
            "scan": scan,
            "has_links": scan.is_held and sharing.has_links(reading, node_id),
            "preview": "" if scan.is_held else drive_words.preview(place.node.name, place.node.size_bytes),
            **({} if scan.is_held else drive_office.offered(place)),
            "sender": handed_in.sender(reading, node_id) if place.rights.may_share else None,
            "changed_by": drive.rows(actor, [entry], listing.changed_by(reading, [entry]))[0]["who"],
        } | drive_seal_words.of_place(reading, actor, place)
        context |= drive_tag_words.of_place(reading, view, place)
    context["refused_name"] = drive_act.refused_name(request, actor.collectivite_id, node_id)
    context |= drive.sent(request)
    return drive.drive_page(request, view, "portal/drive_file.html", context)
