"""Coffre of one collectivité: its room, its keys, and the erasure of all of it. Nothing of a file.

Access: administrators. Keys are replaced and files erased with a present code; an erasure needs two of them.
"""

from __future__ import annotations

import json
from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import erasures, quotas, removal
from beffroi.drive.store import keys, resealing, room, seals
from beffroi.drive.store.keys import Certificate, Keys, KeysMissing
from beffroi.lib import clock, gigabytes
from beffroi.lib.errors import Conflict, Invalid
from beffroi.portal import drive_backup_words, drive_erasure_file, room_words, words
from beffroi.portal.console.incidents import step_up
from beffroi.portal.drive_access import metadata_of
from beffroi.portal.pages import for_administrators, page
from beffroi.portal.web.drive_room import shown


@require_http_methods(["GET", "POST"])
@for_administrators
def drive(request: HttpRequest, actor: Actor, collectivite_id: str) -> HttpResponse:
    """Show; POST ``word``: limit, rotate, ask, grant, refuse, call_back, file.

    Errors: NotFound, SamePerson, Conflict.
    """
    collectivite = communes.access_collectivite(actor, collectivite_id)
    certificate = keys.certificate(settings.BEFFROI, collectivite.id)
    errors: dict[str, str] = {}
    if request.method == "POST":
        if request.POST.get("word") == "file":
            return drive_erasure_file.answer(actor, collectivite)
        errors = _act(request, actor, collectivite)
        if not errors:
            return HttpResponseRedirect(reverse("commune_drive", args=[collectivite.id]))
    context: dict[str, Any] = {"place": "communes", "collectivite": collectivite, "errors": errors}
    context["typed"] = {name: request.POST.get(name, "")[:300] for name in ("limit", "reason", "name")}
    context["drive_backup"] = drive_backup_words.backup(
        settings.BEFFROI, now_s=clock.epoch_s(), names={collectivite.id: collectivite.name}
    )
    context |= _erased(certificate) if certificate else _standing(actor, collectivite)
    status = HTTPStatus.FORBIDDEN if "code" in errors else HTTPStatus.BAD_REQUEST if errors else HTTPStatus.OK
    return page(request, "console/drive.html", context, status=status)


def _act(request: HttpRequest, actor: Actor, collectivite: Collectivite) -> dict[str, str]:
    """What is wrong, by field; nothing when it was done."""
    word = request.POST.get("word", "")
    if word == "limit":
        limit_bytes, error = room_words.limit(request.POST.get("limit", ""))
        if error:
            return {"limit": error}
        quotas.limit_collectivite(
            actor=actor,
            database=metadata_of(collectivite.id),
            collectivite_id=collectivite.id,
            limit_bytes=limit_bytes,
        )
        messages.success(request, room_words.LIMIT_KEPT)
        return {}
    if refused := _unsure(request, actor, collectivite, word):
        return refused
    if word == "rotate":
        quotas.replace_key(actor=actor, keys=Keys(settings.BEFFROI, collectivite.id))
    elif word == "ask":
        try:
            erasures.request(
                actor=actor,
                collectivite=collectivite,
                reason=request.POST.get("reason", ""),
                ends_seals=_ends_seals(request),
            )
        except Invalid:
            return {"reason": _("Dites en une phrase pourquoi.")}
    elif word in ("grant", "refuse"):
        _answer(request, actor, collectivite, word)
    elif word == "call_back":
        if (granted := erasures.granted(collectivite.id)) is None:
            raise Conflict("no erasure is granted")
        erasures.call_back(actor=actor, approval=granted)
    else:
        raise Conflict("nothing that is done here")
    return {}


def _unsure(request: HttpRequest, actor: Actor, collectivite: Collectivite, word: str) -> dict[str, str]:
    """What must be said before it is done, by field: a name, the seals that end, a present code."""
    if word == "ask" and request.POST.get("name", "").strip() != collectivite.name:
        return {"name": _("Écrivez le nom de la collectivité tel qu’il est affiché.")}
    if word in ("ask", "grant") and not _ends_seals(request) and erasures.running_seals(collectivite.id):
        return {
            "seals": _("Des dossiers seraient détruits avant leur terme : cochez la case, ou attendez."),
            "word": word,
        }
    if word in ("rotate", "ask", "grant") and (error := step_up(request, actor)):
        return {"code": error, "word": word}
    return {}


def _answer(request: HttpRequest, actor: Actor, collectivite: Collectivite, word: str) -> None:
    """Errors: Conflict, those of ``erasures``."""
    approval = erasures.waiting(collectivite.id).first()
    if approval is None:
        raise Conflict("no erasure waits")
    if word == "grant":
        erasures.grant(actor=actor, approval=approval, ends_seals=_ends_seals(request))
    else:
        erasures.refuse(actor=actor, approval=approval)


def _ends_seals(request: HttpRequest) -> bool:
    return bool(request.POST.get("seals"))


def _standing(actor: Actor, collectivite: Collectivite) -> dict[str, Any]:
    named = {one.person_id: one.person.name for one in identity.memberships_in(actor, collectivite.id)}
    with metadata_of(collectivite.id).reading() as reading:
        context = shown(reading, named)
        progress = resealing.read(reading)
        context["running_seals"] = seals.running(reading, now_s=clock.paced())
        own = room.has_own_limit(reading, room.WHOLE)
        context["own_gb"] = (
            room_words.typed(gigabytes.written(room.limit(reading, room.WHOLE))) if own else ""
        )
    asked = erasures.waiting(collectivite.id).first()
    context |= {"usual_whole": words.size(settings.BEFFROI.drive_collectivite_gb * gigabytes.GB)}
    context |= {"progress": progress, "percent": 0, "key_made": None, "keys": 0}
    try:
        generations = Keys(settings.BEFFROI, collectivite.id).generations()
    except KeysMissing:
        generations = ()
    if generations:
        context |= {"key_made": datetime.fromisoformat(generations[-1].made_at), "keys": len(generations)}
    if progress is not None and progress.total:
        context["percent"] = min(100, progress.done * 100 // progress.total)
    if asked is not None:
        context["asked"] = {
            "at": asked.requested_at,
            "reason": json.loads(asked.payload).get("reason", ""),
            "by": _administrator(asked.requested_by),
            "mine": asked.requested_by == actor.id,
        }
    context["call_back_h"] = erasures.CALL_BACK_H
    if (granted := erasures.granted(collectivite.id)) is not None:
        context["granted"] = {"at": erasures.due_at(granted), "by": _administrator(granted.decided_by)}
    return context


def _erased(certificate: Certificate) -> dict[str, Any]:
    return {
        "certificate": certificate,
        "erased_at": datetime.fromisoformat(certificate.erased_at),
        "erased_by": [_administrator(one) for one in certificate.erased_by.split()],
        "is_whole": removal.is_whole(settings.BEFFROI, certificate.collectivite_id),
    }


def _administrator(administrator_id: str) -> str:
    return identity.administrator_name(administrator_id) or _("Un administrateur parti")
