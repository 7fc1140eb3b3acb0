"""Coffre: devices that were stopped because they changed files as ransomware does, and what becomes of their work.

Input:  hostile: identifiers of the form. Every change is a POST with a token of the session.
Access: the collectivité's référent sees all and decides, after a step-up that it was meant; others see their own
        devices, without a button.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import actions, alarms, browsers, recovery
from beffroi.drive.alarms import Raised
from beffroi.drive.recovery import Line
from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.writing import Reading
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.lib.ids import is_id
from beffroi.portal import drive_words
from beffroi.portal.counts import Count
from beffroi.portal.drive_access import view_of
from beffroi.portal.pages import for_agents, page
from beffroi.portal.web import step_up

LINES_SHOWN = 100


def shown(reading: Reading, actor: Actor) -> list[Raised]:
    """What this person may see, newest first."""
    found = alarms.every(reading)
    if actor.manages(actor.collectivite_id or ""):
        return found
    return [one for one in found if one.person_id == actor.id]


@require_http_methods(["GET", "POST"])
@for_agents
def drive_alarms(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The list; POST looks ahead, takes all back, asks whether it was meant, or says so. Errors: NotFound, NotAllowed,
    Invalid."""
    view = view_of(request, actor)
    owner, what = view.who.collectivite_id, request.POST.get("what", "")
    device_id = request.POST.get("device", "")
    if request.method == "POST" and not (is_id(device_id, "apw") or browsers.kind_of(device_id)):
        raise NotFound("alarm")
    previewed: list[Line] | None = None
    if request.method == "POST" and what not in ("preview", "ask"):
        _answer(request, actor, what, device_id)
        return HttpResponseRedirect(reverse("drive_alarms"))
    with view.database.reading() as reading:
        found = shown(reading, actor)
        if request.method == "POST":
            actions.require(actor, reading, owner, device_id)
            previewed = recovery.preview(reading, device_id) if what == "preview" else None
    persons = {one.person_id for one in found} | {one.person_id for one in previewed or ()}
    named = identity.visible_names(actor, persons)
    labels = identity.device_labels(actor, [one.device_id for one in found])
    context: dict[str, Any] = {"place": "drive"} | {
        "at": "alarms",
        "may_answer": actor.manages(owner),
        "rows": [
            {
                "alarm": one,
                "who": named.get(one.person_id, ""),
                "is_own": one.person_id == actor.id,
                "label": labels.get(one.device_id, "") or _of_browser(one.device_id),
                "is_browser": browsers.kind_of(one.device_id) is not None,
                "since": datetime.fromtimestamp(one.since_s, UTC),
                "at": datetime.fromtimestamp(one.at_s, UTC),
                "settled": clock.moment(one.settled_s),
                "reasons": drive_words.signs(one.counts),
                "missed": drive_words.missed(one.missed),
                "lines": _lines(previewed, named) if one.device_id == device_id else None,
                "more": max(0, len(previewed or ()) - LINES_SHOWN),
                "asks": what == "ask" and one.device_id == device_id and one.state == "open",
            }
            for one in found
        ],
    }
    return page(request, "portal/drive_alarms.html", context)


def _of_browser(device_id: str) -> str:
    kinds = {"office": _("L’éditeur en ligne"), "page": _("Le portail, dans un navigateur")}
    return kinds.get(browsers.kind_of(device_id) or "", "")


def _answer(request: HttpRequest, actor: Actor, what: str, device_id: str) -> None:
    view = view_of(request, actor)
    to: dict[str, Any] = {
        "actor": actor,
        "database": view.database,
        "collectivite_id": view.who.collectivite_id,
        "device_id": device_id,
    }
    if what == "settle":
        with view.database.reading() as reading:
            actions.require(actor, reading, view.who.collectivite_id, device_id)
        step_up.require(request)  # the one action that takes all back is gone then
        if actions.settle(**to):
            noted = _("C’est noté : rien n’est défait. Un nouveau mot de passe d’application peut être créé.")
            of_browser = _("C’est noté : rien n’est défait. La personne peut de nouveau écrire.")
            messages.info(request, of_browser if browsers.kind_of(device_id) else noted)
        else:
            messages.error(request, _("Quelqu’un a déjà répondu à cette alerte."))
        return
    if what != "restore":
        raise Invalid("what")
    try:
        over = actions.take_back(**to)
    except Conflict:
        messages.error(request, _("Quelqu’un a déjà répondu à cette alerte."))
        return
    except StoreFull:
        messages.error(
            request,
            _(
                "Le disque du Département est plein : la remise comme avant s’est arrêtée en chemin, "
                "rien n’est perdu. Prévenez le Département, puis reprenez-la."
            ),
        )
        return
    done = over.done - over.missed
    messages.info(
        request,
        ngettext(
            "Remis comme avant : %(n)s changement défait.",
            "Remis comme avant : %(n)s changements défaits.",
            done,
        )
        % {"n": Count(done)},
    )
    if over.missed:
        messages.error(request, drive_words.missed(over.missed))


def _lines(previewed: list[Line] | None, named: dict[str, str]) -> list[dict[str, Any]] | None:
    if previewed is None:
        return None
    return [
        {
            "where": named.get(one.person_id, "") if one.person_id else one.path,
            "is_person": bool(one.person_id),
            "back": one.reverted + one.revived,
            "moved": one.moved,
            "copied": one.copied,
            "removed": one.removed,
            "lost": one.lost,
        }
        for one in previewed[:LINES_SHOWN]
    ]
