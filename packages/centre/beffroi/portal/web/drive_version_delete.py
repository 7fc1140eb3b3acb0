"""Coffre: an earlier content of a file is deleted for good, after a page that says what that means.

Input:  hostile: identifiers of the address. The change is a POST with a token of the session.
Access: ``View.may_destroy``: of one's own files, of the collectivité's for a référent, after a step-up; others are told
        who may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from beffroi.core.identity.actor import Actor
from beffroi.drive import version_actions
from beffroi.drive.backup.vault import PIECES_DAYS
from beffroi.drive.store import versions
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.versions import Version
from beffroi.drive.views import View
from beffroi.lib.errors import BeffroiError
from beffroi.portal import drive_seal_words, drive_words
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents
from beffroi.portal.web import drive, drive_version, step_up

_FROZEN = gettext_lazy(
    "Le Département retient ce contenu, car il a été reconnu comme dangereux : cette version se supprime quand il ne "
    "le retient plus. Demandez-le au Département."
)


@require_http_methods(["GET", "POST"])
@for_agents
def delete(request: HttpRequest, actor: Actor, node_id: int, etag: int) -> HttpResponse:
    """What would go, and for whom it stays; POST deletes it. Errors: AbsentNode, VersionAbsent."""
    view = view_of(request, actor)
    if request.method == "POST":
        with view.database.reading() as reading:
            is_yours = view.may_destroy(view.at(reading, node_id))
        if is_yours:  # others are told who may, and asked for nothing
            step_up.require(request)
        return _delete(request, actor, view, node_id, etag)
    with view.database.reading() as reading:
        place = view.at(reading, node_id)
        if place.node.is_folder:
            raise AbsentNode("file")
        old, every = versions.find(reading, node_id, etag), versions.of(reading, node_id)
        context: dict[str, Any] = {
            "node": place.node,
            "version": drive_version.row(place.node, old, drive_version.written(every)[etag]),
            "trail": drive.trail(reading, view, place)[:-1],
            "at": drive.at_of(place),
            "may_delete": drive_version.may_delete(reading, view, place),
            "is_yours": view.may_destroy(place),
            "is_present": old.sha256 == place.node.sha256,
            "same": _same(every, old),
            "backup_days": settings.BEFFROI.backup_keep_days + PIECES_DAYS,
            "refused": str(drive_words.REFUSALS["drive.not_yours_to_delete"]),
        }
        context |= drive_seal_words.of_place(reading, actor, place)
    return drive.drive_page(request, view, "portal/drive_version_delete.html", context)


def _same(every: Sequence[Version], old: Version) -> int:
    """How many other versions of the file hold the same: who deletes personal data deletes them, too."""
    return sum(one.sha256 == old.sha256 and one.etag != old.etag for one in every)


def _delete(request: HttpRequest, actor: Actor, view: View, node_id: int, etag: int) -> HttpResponse:
    try:
        version_actions.delete(actor=actor, view=view, node_id=node_id, etag=etag)
    except AbsentNode as error:
        if error.code == AbsentNode.code:
            raise
        messages.error(request, drive_words.refusal(error))
    except BeffroiError as error:
        words = str(_FROZEN) if error.code == "drive.frozen" else drive_words.refusal(error)
        messages.error(request, words)
    else:
        messages.success(
            request, _("Cette version est supprimée pour de bon. Le fichier et ses autres versions restent.")
        )
    return HttpResponseRedirect(reverse("drive_node", args=[node_id]))
