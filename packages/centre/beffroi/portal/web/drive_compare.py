"""Coffre: an earlier content of a text beside the present one, or beside another earlier one.

Input:  hostile: identifiers of the address, both contents; templates escape every line.
Access: ``View``; the contents come from the process drive under a grant of this person, bounded, and are kept nowhere.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.drive import asking
from beffroi.drive.store import versions
from beffroi.drive.store.frozen import Frozen
from beffroi.drive.store.model import AbsentNode, Node
from beffroi.drive.store.versions import Version
from beffroi.drive.views import COMMON_NAME, View
from beffroi.drive.words import texts
from beffroi.portal import drive_compare, drive_words
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive

MOST_BYTES = 1_000_000


@require_GET
@for_agents
def compare(request: HttpRequest, actor: Actor, node_id: int, etag: int) -> HttpResponse:
    """``?avec=ETAG``: another earlier content; without it the present one. Errors: AbsentNode, Unavailable."""
    view = view_of(request, actor)
    with_etag = drive.number(request.GET.get("avec", ""))
    with view.database.reading() as reading:
        place = view.at(reading, node_id)
        if place.node.is_folder:
            raise AbsentNode("file")
        every = versions.of(reading, node_id)
        old = versions.find(reading, node_id, etag)
        new = versions.find(reading, node_id, with_etag) if with_etag else None
        trail = drive.trail(reading, view, place)
    context: dict[str, Any] = {
        "node": place.node,
        "trail": trail,
        "at": "common" if place.path[0] == COMMON_NAME else "own",
        "old": {"etag": old.etag, "at": datetime.fromtimestamp(old.mtime_s, UTC)},
        "new": {
            "etag": new.etag if new else 0,
            "at": datetime.fromtimestamp((new or place.node).mtime_s, UTC),
        },
        "others": [
            {"etag": one.etag, "at": datetime.fromtimestamp(one.mtime_s, UTC)}
            for one in every
            if one.etag != etag
        ],
    }
    context |= _compared(view, place.node, old, new)
    return drive.drive_page(request, view, "portal/drive_compare.html", context)


def _compared(view: View, node: Node, old: Version, new: Version | None) -> dict[str, Any]:
    """``found``, or ``refused``: why there is none and what to do."""
    largest_bytes = max(old.size_bytes, (new or node).size_bytes)
    if drive_words.preview(node.name, largest_bytes) != "text":
        return {"refused": _("Seuls les fichiers de texte se comparent ici. Téléchargez les deux versions.")}
    if largest_bytes > MOST_BYTES:
        return {
            "refused": _("Ce fichier est trop grand pour être comparé ici. Téléchargez les deux versions.")
        }
    try:
        both = [
            texts.decoded(asking.content(settings.BEFFROI, view.who, node.id, one, most_bytes=MOST_BYTES))
            for one in (old.etag, new.etag if new else None)
        ]
    except Frozen:
        return {"refused": drive_words.held()}
    if both[0] is None or both[1] is None:
        return {"refused": _("Une des deux versions n’est pas du texte. Téléchargez-les pour les comparer.")}
    try:
        return {"found": drive_compare.compare(both[0], both[1])}
    except drive_compare.TooLong:
        return {
            "refused": _("Ce fichier a trop de lignes pour être comparé ici. Téléchargez les deux versions.")
        }
