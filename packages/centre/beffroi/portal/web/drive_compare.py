"""Coffre: an earlier content of a text or document beside the present one, or beside another earlier one.

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
from beffroi.drive.views import View
from beffroi.drive.words import texts
from beffroi.lib.errors import TooLarge
from beffroi.portal import drive_compare, drive_visits, drive_words
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_version
from beffroi.portal.words import since

MOST_BYTES = 1_000_000
type Both = tuple[tuple[int | None, int], ...]
"""(etag, size in bytes) of the two contents; None for the present one."""


@require_GET
@for_agents
def compare(request: HttpRequest, actor: Actor, node_id: int, etag: int, share_id: str = "") -> HttpResponse:
    """``?avec=ETAG``: another earlier content; without it the present one. ``share_id``: of what another collectivité
    shares.

    Errors: AbsentNode, Unavailable.
    """
    view = drive_visits.view_towards(request, actor, share_id, node_id)
    with_etag = drive.number(request.GET.get("avec", ""))
    with view.database.reading() as reading:
        place = view.at(reading, node_id)
        if place.node.is_folder:
            raise AbsentNode("file")
        every = versions.of(reading, node_id)
        old = versions.find(reading, node_id, etag)
        new = versions.find(reading, node_id, with_etag) if with_etag else None
        trail, said = drive.trail(reading, view, place), drive_version.written(every)
    context: dict[str, Any] = {
        "node": place.node,
        "trail": trail,
        "at": drive.at_of(place),
        "old": {"etag": old.etag, "at": said[old.etag]},
        "new": {
            "etag": new.etag if new else 0,
            "at": said[new.etag] if new else since(datetime.fromtimestamp(place.node.mtime_s, UTC)),
        },
        "others": [{"etag": one.etag, "at": said[one.etag]} for one in every if one.etag != etag],
    } | drive_visits.addresses(view)
    context |= _compared(view, place.node, old, new)
    return drive.drive_page(request, view, "portal/drive_compare.html", context)


def _compared(view: View, node: Node, old: Version, new: Version | None) -> dict[str, Any]:
    """``found``, or ``refused``: why there is none and what to do."""
    how = drive_words.compares(node.name)
    if not how:
        return {
            "refused": _("Seuls les textes et les documents se comparent ici. Téléchargez les deux versions.")
        }
    both = ((old.etag, old.size_bytes), (new.etag if new else None, (new or node).size_bytes))
    try:
        if how == "document":
            return _documents(view, node.id, both)
        return _texts(view, node.id, both)
    except Frozen:
        return {"refused": drive_words.held()}
    except (TooLarge, drive_compare.TooLong):
        return {
            "refused": _("Ce fichier est trop grand pour être comparé ici. Téléchargez les deux versions.")
        }


def _texts(view: View, node_id: int, both: Both) -> dict[str, Any]:
    """Errors: TooLarge, TooLong, Frozen, AbsentNode, Unavailable."""
    found = []
    for etag, size_bytes in both:
        if size_bytes > MOST_BYTES:
            raise TooLarge(MOST_BYTES)
        data = asking.content(
            settings.BEFFROI, view.who, node_id, etag, most_bytes=MOST_BYTES, share_id=view.share_id
        )
        text = texts.decoded(data)
        if text is None:
            return {
                "refused": _("Une des deux versions n’est pas du texte. Téléchargez-les pour les comparer.")
            }
        found.append(text)
    return {"found": drive_compare.compare(*found)}


def _documents(view: View, node_id: int, both: Both) -> dict[str, Any]:
    """By what is written in them. Errors: as ``_texts``."""
    told = [
        asking.text(settings.BEFFROI, view.who, node_id, etag, share_id=view.share_id) for etag, _ in both
    ]
    if not all(one.text.strip() for one in told):
        return {
            "refused": _(
                "Aucun texte n’a pu être lu dans une des deux versions. Téléchargez-les pour les comparer."
            )
        }
    lines = ["\n".join(line for line in one.text.splitlines() if line.strip()) for one in told]
    return {
        "found": drive_compare.compare(*lines),
        "by_text": True,
        "is_beginning": any(one.is_cut for one in told),
    }
