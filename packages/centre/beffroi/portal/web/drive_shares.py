"""Coffre: shares with colleagues, groups, roles and other collectivités, as both sides see them.

Input:  hostile: identifiers, words and the form. Every change is a POST with a token of the session.
Access: ``drive.sharing``; the référent answers for the collectivité.
"""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from beffroi.core.identity.actor import Actor
from beffroi.drive.sharing import shareable
from beffroi.drive.store import seen, shares
from beffroi.drive.store.model import StoreFull
from beffroi.drive.store.shares import NEVER, Kind, Rights, Wish
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.portal import drive_share_words, drive_sharing, scan_words
from beffroi.portal.counts import Count
from beffroi.portal.drive_access import has_drive, view_of
from beffroi.portal.pages import for_agents, sought
from beffroi.portal.web import drive

MAX_SEARCH_CHARS = 100
_KINDS: dict[str, Kind] = {
    "person": "person",
    "group": "group",
    "role": "role",
    "collectivite": "collectivite",
}


@require_http_methods(["GET", "POST"])
@for_agents
def of_node(request: HttpRequest, actor: Actor, node_id: int) -> HttpResponse:
    """Who has a file or folder and from where, and the form of another share. Errors: AbsentNode, ReadOnly."""
    view, asked = view_of(request, actor), sought(request, MAX_SEARCH_CHARS)
    sharing = drive_sharing.sharing_of(actor, view)
    with view.database.reading() as reading:
        place = shareable(view, reading, node_id)
        steps = drive.trail(reading, view, place)
        is_held = scan_words.line(reading, actor, place).tone == "bad"
    errors: dict[str, str] = {}
    if request.method == "POST" and not is_held:
        wish, errors = _wish(request)
        if not errors:
            try:
                sharing.make(node_id, wish, lambda wished: drive_sharing.known(actor, wished))
            except Invalid:
                errors["with"] = _("Choisissez une personne, un groupe ou une commune de la liste.")
            else:
                messages.success(
                    request,
                    _("C’est proposé à %(commune)s : sa personne référente doit accepter.")
                    % {"commune": drive_sharing.name_of_commune(actor, wish.target)}
                    if wish.kind == "collectivite"
                    else _("C’est partagé."),
                )
                return HttpResponseRedirect(reverse("drive_share", args=[node_id]))
    with view.database.reading() as reading:
        reached = sharing.reached(reading, place)
        lines = drive_sharing.rows(reading, actor, [one.share for one in reached])
        for line, one in zip(lines, reached, strict=True):
            line["above"] = one.node.name if one.node.id != node_id else ""
        choices = drive_sharing.choices(reading, actor, asked)
    context: dict[str, Any] = {
        "node": place.node,
        "trail": steps[:-1],
        "at": drive.at_of(place),
        "rows": lines,
        "asked": asked,
        "choices": choices,
        "found": any(several for _kind, several in choices),
        "rights": drive_share_words.RIGHTS.items(),
        "ends": drive_share_words.ends(),
        "form": request.POST,
        "error": errors,
        "is_held": is_held,
    }
    refused = HTTPStatus.BAD_REQUEST if errors else HTTPStatus.FORBIDDEN
    status = refused if request.method == "POST" else HTTPStatus.OK
    return drive.drive_page(request, view, "portal/drive_share.html", context, status=status)


@require_GET
@for_agents
def mine(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What this person shares, wherever; links have a page of their own."""
    view = view_of(request, actor)
    with view.database.reading() as reading:
        found = shares.made_by(reading, view.who.person_id, now_s=clock.epoch_s())
        lines = drive_sharing.rows(reading, actor, [one for one in found if one.kind != "link"])
    return drive.drive_page(request, view, "portal/drive_my_shares.html", {"at": "mine", "rows": lines})


@require_POST
@for_agents
def end(request: HttpRequest, actor: Actor, share_id: str) -> HttpResponse:
    """One press ends it. Errors: AbsentNode."""
    ended = drive_sharing.sharing_of(actor, view_of(request, actor)).end(share_id)
    messages.success(request, _("Le partage est arrêté."))
    if request.POST.get("retour") == "page":
        return HttpResponseRedirect(reverse("drive_share", args=[ended.node]))
    return HttpResponseRedirect(reverse("drive_my_shares"))


@require_http_methods(["GET", "POST"])
@for_agents
def with_me(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What others share with this person; for the référent, what other collectivités offer."""
    view = view_of(request, actor)
    if request.method == "POST":
        _answer(request, actor)
        return HttpResponseRedirect(reverse("drive_shared"))
    with view.database.reading() as reading:
        context: dict[str, Any] = {
            "at": "shared",
            "rows": drive_sharing.came(view, reading, actor),
            "offers": drive_sharing.offers(view, reading, actor),
        }
    context |= drive_sharing.lacking(actor, view)
    now_s = clock.epoch_s()
    with suppress(StoreFull):  # the list is read all the same
        view.database.write(lambda writing: seen.look(writing, view.who.person_id, now_s=now_s))
    return drive.drive_page(request, view, "portal/drive_shared.html", context)


def told(request: HttpRequest, actor: Actor) -> list[dict[str, str]]:
    """For the home page: what came since the person looked, and what waits for the référent's answer."""
    try:
        if not has_drive(actor.collectivite_id):
            return []
        view = view_of(request, actor)
        with view.database.reading() as reading:
            new = drive_sharing.news(view, reading)
            accepted = drive_sharing.accepted_since(view, reading)
            waiting = [one for one in drive_sharing.offers(view, reading, actor) if one["state"] == "offered"]
    except BeffroiError:  # the Coffre does not answer: its own pages say so
        return []
    lines = [
        {
            "title": _("%(from)s propose de partager « %(name)s »")
            % {"from": one["from"], "name": one["label"]},
            "why": _("Acceptez ou refusez, pour toute la collectivité."),
            "url": "drive_shared",
            "button": _("Répondre"),
        }
        for one in waiting
    ]
    if new:
        title = ngettext("%(n)s nouveau partage avec vous", "%(n)s nouveaux partages avec vous", len(new))
        lines.append(
            {
                "title": title % {"n": Count(len(new))},
                "why": _("Une ou un collègue vous a donné accès à des fichiers du Coffre."),
                "url": "drive_shared",
                "button": _("Voir"),
            }
        )
    if accepted:
        title = ngettext(
            "Votre collectivité a accepté %(n)s partage d’une autre commune",
            "Votre collectivité a accepté %(n)s partages d’autres communes",
            accepted,
        )
        lines.append(
            {
                "title": title % {"n": Count(accepted)},
                "why": _("Chaque membre de la collectivité y a accès, dans le Coffre."),
                "url": "drive_shared",
                "button": _("Voir"),
            }
        )
    return lines


def _answer(request: HttpRequest, actor: Actor) -> None:
    """Errors: Invalid, NotAllowed, AbsentNode."""
    sharing = drive_sharing.sharing_of(actor, view_of(request, actor))
    share_id, what = request.POST.get("partage", ""), request.POST.get("what", "")
    match what:
        case "accept" | "refuse":
            sharing.answer(share_id, accepted=what == "accept")
            said = (
                _("C’est accepté : chaque membre de la collectivité le trouve dans « Partagé avec moi ».")
                if what == "accept"
                else _("C’est refusé : personne ici ne le voit.")
            )
            said += " " + _("Vous pouvez changer d’avis plus bas, tant que l’autre commune partage.")
        case "leave":
            sharing.leave(share_id)
            said = _("Vous ne le voyez plus. Rien n’est supprimé : « Le reprendre » le rend.")
        case "back":
            sharing.leave(share_id, left=False)
            said = _("Le voici de nouveau.")
        case _:
            raise Invalid("what")
    messages.success(request, said)


def _wish(request: HttpRequest) -> tuple[Wish, dict[str, str]]:
    """What the form says, and what is wrong with it by its fields."""
    errors = {}
    kind, _colon, target = request.POST.get("with", "").partition(":")
    rights, days = request.POST.get("rights", ""), request.POST.get("days", "")
    if kind not in _KINDS or not target or len(target) > 100:
        errors["with"] = _("Choisissez une personne, un groupe ou une commune de la liste.")
    if rights not in drive_share_words.RIGHTS:
        errors["rights"] = _("Choisissez ce qui est permis.")
    if days not in {value for value, _words in drive_share_words.ends()}:
        errors["days"] = _("Choisissez jusqu’à quand.")
    if errors:
        return Wish("person"), errors
    expires_s = clock.epoch_s() + int(days) * drive_share_words.DAY_S if days else NEVER
    return Wish(_KINDS[kind], target, cast(Rights, rights), expires_s=expires_s), errors
