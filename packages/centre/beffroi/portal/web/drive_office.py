"""Coffre: a document in the office editor, and what the pages of a file and of a folder offer about documents.

Input:  hostile: identifiers of the address.
Access: ``View``. The editor gets a token of one file for one person (``drive.office.tokens``), by a form that posts it
        into the frame: it stands in no address of ours. It lives as long as this session, whose term begins anew here.
Rule:   the frame may be of the editor's origin, and forms may go there, on this page alone.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.csp import CSP
from django.utils.translation import get_language
from django.views.decorators.csp import csp_override
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.core.planes.sessions import Session
from beffroi.drive.office import tokens
from beffroi.drive.office.discovery import Editor, editor
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.views import Place
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.portal import drive_visits, drive_words
from beffroi.portal.drive_access import GRANT_KEY
from beffroi.portal.pages import for_agents, session_of
from beffroi.portal.web import drive
from beffroi.previews import wire

OFFICE_SUFFIXES = wire.SUFFIXES - {"pdf"}


@cache
def _editor(config: Config) -> Editor | None:
    return editor(config)


def suffix_of(name: str) -> str:
    """The ending of an office document's name, in small letters; "" of another file."""
    found = wire.suffix_of(name)
    return found if found in OFFICE_SUFFIXES else ""


def offered(place: Place) -> dict[str, Any]:
    """For the page of a file or a folder."""
    config: Config = settings.BEFFROI
    node = place.node
    is_document = not node.is_folder and bool(suffix_of(node.name))
    large = (
        "" if node.is_folder else drive_words.too_large(node.name, node.size_bytes, documents=config.previews)
    )
    return {
        "office": is_document,
        "office_editor": bool(config.office_editor),
        "office_preview": is_document and config.previews and not large,
        "preview_note": large,
        "office_words": {code: str(text) for code, text in drive_words.PREVIEWS.items()},
    }


@require_GET
@for_agents
def edit(request: HttpRequest, actor: Actor, node_id: int, share_id: str = "") -> HttpResponse:
    """The editor in a frame, or why there is none. ``share_id``: of what another collectivité shares.

    Errors: AbsentNode, Unavailable.
    """
    view, found = drive_visits.view_towards(request, actor, share_id, node_id), _editor(settings.BEFFROI)
    with view.database.reading() as reading:
        place = view.at(reading, node_id)
        trail = drive.trail(reading, view, place)[:-1]
    if not place.node.parent:
        raise AbsentNode("file")
    may_write, file = place.rights.may_write, tokens.File(view.collectivite_id, node_id)
    address = ""
    if found is not None and not place.node.is_folder:
        address = found.discovery().page(
            wire.suffix_of(place.node.name),
            f"{settings.BEFFROI.portal_origin}{file.path}",
            may_write=may_write,
            language=(get_language() or "fr")[:2],
        )
    context = {
        "node": place.node,
        "trail": trail,
        "at": drive.at_of(place),
        "may_write": may_write,
        "address": address,
        "origin": found.origin if found is not None else "",
    } | drive_visits.addresses(view)
    if found is None or not address:
        return drive.drive_page(request, view, "portal/drive_edit.html", context)
    key = settings.BEFFROI.secret(GRANT_KEY)
    context["token"] = tokens.make(
        key, view.who, file, may_write=may_write, session=_session(request).sealed(key), share_id=share_id
    )
    context["ends_ms"] = (clock.epoch_s() + tokens.TTL_S) * 1000

    def shown(request: HttpRequest) -> HttpResponse:
        return drive.drive_page(request, view, "portal/drive_edit.html", context)

    return csp_override(_policy(found.origin))(shown)(request)


def _session(request: HttpRequest) -> Session:
    request.session.modified = True  # it does not end while the editor goes on
    return session_of(request)


def _policy(origin: str) -> dict[str, Any]:
    return settings.SECURE_CSP | {"frame-src": [origin], "form-action": [CSP.SELF, origin]}
