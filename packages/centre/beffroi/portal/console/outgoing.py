"""Courrier sortant: accounts that sent too much, what waits to leave, and what may be done about both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from beffroi.core.communes import queries as communes
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid
from beffroi.mail import queries as mail
from beffroi.mail.filters import actions as filters_actions
from beffroi.mail.filters import queries as filters
from beffroi.mail.reports import queries as reports
from beffroi.mail.sending import actions, queries
from beffroi.mail.sending.models import AddressListing, SendingAlarm
from beffroi.mail.sending.queue import QueueUnavailable
from beffroi.portal import sending_words
from beffroi.portal.console import exits
from beffroi.portal.forwarding import listed
from beffroi.portal.pages import for_administrators, page, pressed

SHOWN = 200
DAYS = 30
_STATES = {
    "incoming": gettext_lazy("arrive"),
    "active": gettext_lazy("en cours d’envoi"),
    "deferred": gettext_lazy("sera réessayé"),
    "hold": gettext_lazy("retenu"),
}
_QUESTIONS = {
    "return": gettext_lazy("Rendre ce courriel à son expéditeur ?"),
    "delete": gettext_lazy("Supprimer ce courriel ?"),
}


@require_GET
@for_administrators
def outgoing(request: HttpRequest, actor: Actor) -> HttpResponse:
    return _shown(request, actor)


def _shown(request: HttpRequest, actor: Actor, **more: Any) -> HttpResponse:
    """``more``: a form that was refused."""
    status = 400 if more else 200
    context: dict[str, Any] = {
        "place": "mail",
        "forwards": [
            one | {"commune": communes.access_collectivite(actor, one["row"].collectivite_id).name}
            for one in listed(actor)
        ],
        "alarms": [_alarm(actor, one) for one in queries.alarms(actor)],
        "leaves": settings.BEFFROI.outgoing_mail,
        "partners": queries.chosen_partners(actor),
        **more,
        "protected": queries.protected(actor, days=DAYS),
        "days": DAYS,
        "complaints": reports.complaints(actor, days=DAYS),
        **exits.context(actor),
        "listings": [_listing(one) for one in queries.listings(actor)],
    }
    try:
        found = queries.outgoing(actor, settings.BEFFROI)
    except QueueUnavailable:
        return page(request, "console/outgoing.html", {**context, "away": True}, status=status)
    names = communes.visible_names(actor)
    context |= {
        "total": found.total,
        "more": found.total - min(len(found.rows), SHOWN),
        "accounts": found.accounts[:10],
        "rows": [_row(one, names) for one in found.rows[:SHOWN]],
    }
    return page(request, "console/outgoing.html", context, status=status)


@require_http_methods(["GET", "POST"])
@for_administrators
def queued(request: HttpRequest, actor: Actor, queue_id: str) -> HttpResponse:
    """Ask before what cannot be undone; then do it. Errors: NotFound, Invalid, Conflict, QueueUnavailable."""
    one = queries.access_queued(actor, settings.BEFFROI, queue_id)
    verb = (request.POST if request.method == "POST" else request.GET).get("word", "")
    if request.method == "POST":
        actions.change_queued(actor=actor, verb=verb, messages=[one.mail])
        return HttpResponseRedirect(reverse("outgoing"))
    if verb not in _QUESTIONS:
        raise Invalid("word")
    names = communes.visible_names(actor)
    context = {"place": "mail", "one": _row(one, names), "word": verb, "question": _QUESTIONS[verb]}
    return page(request, "console/outgoing_confirm.html", context)


@require_http_methods(["POST"])
@for_administrators
def account(request: HttpRequest, actor: Actor, alarm_id: str) -> HttpResponse:
    """Hold an account, or give it back. Errors: NotFound, Invalid."""
    alarm = queries.access_alarm(actor, alarm_id)
    acts: dict[str, Callable[..., object]] = {
        "contain": actions.contain,
        "give_back": actions.give_back,
        "spare": partial(actions.give_back, spared=True),
    }
    pressed(request, acts)(actor=actor, alarm=alarm)
    return HttpResponseRedirect(reverse("outgoing"))


@require_http_methods(["POST"])
@for_administrators
def end_forward(request: HttpRequest, actor: Actor, forward_id: str) -> HttpResponse:
    """Errors: NotFound."""
    filters_actions.end_forward(actor=actor, row=filters.access_forward(actor, forward_id))
    return HttpResponseRedirect(f"{reverse('outgoing')}#h-forwards")


@require_http_methods(["POST"])
@for_administrators
def partners(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Demand encryption with a domain, or not any more. Errors: NotFound, Invalid."""
    word, domain = request.POST.get("word", ""), request.POST.get("domain", "")[:300]
    if word not in ("choose", "leave"):
        raise Invalid("word")
    if word == "leave":
        actions.leave_partner(actor=actor, domain=domain)
    else:
        try:
            actions.choose_partner(actor=actor, name=domain)
        except actions.PartnerInvalid:
            return _shown(request, actor, partner=domain, partner_error=True)
    return HttpResponseRedirect(f"{reverse('outgoing')}#h-partners")


def _row(one: queries.Outgoing, names: dict[str, str]) -> dict[str, Any]:
    return {
        "mail": one.mail,
        "state": _STATES.get(one.mail.queue, one.mail.queue),
        "who": one.mail.account
        or (_("avis d’un serveur de courrier") if one.mail.passed_on else _("le centre lui-même")),
        "commune": names.get(one.collectivite_id, ""),
        "to": [address for address, why in one.mail.recipients[:3]],
        "more_to": max(0, len(one.mail.recipients) - 3),
    }


_LISTINGS = {
    "listed": ("domain_bad", gettext_lazy("sur la liste")),
    "clear": ("domain_ok", gettext_lazy("pas sur la liste")),
    "refused": (
        "domain_unknown",
        gettext_lazy("la liste refuse de nous répondre : voyez ses conditions d’usage"),
    ),
    "unanswered": ("domain_unknown", gettext_lazy("la liste ne répond pas")),
}


def _listing(one: AddressListing) -> dict[str, Any]:
    tag, said = _LISTINGS[one.state]
    return {"row": one, "tag": tag, "said": said, "listed": one.state == "listed"}


def _alarm(actor: Actor, one: SendingAlarm) -> dict[str, Any]:
    mailbox = mail.visible_mailboxes(actor).filter(pk=one.mailbox_id).first()
    return {
        "alarm": one,
        "address": mailbox.address if mailbox else "",
        "name": identity.person_name(one.person_id) if one.person_id else "",
        "commune": communes.access_collectivite(actor, one.collectivite_id).name,
        "said": sending_words.why(one),
    }
