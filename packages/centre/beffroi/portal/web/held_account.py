"""Boîte suspendue: what happened to an account that is held, what to do, whom to call; and the same to print.

Access: who reads the mailbox, and the référent of its collectivité; for everybody else there is no such page.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.lib.errors import NotFound
from beffroi.mail import queries as mail
from beffroi.mail.engines.layout import portal_url
from beffroi.mail.sending import queries
from beffroi.portal import sending_words
from beffroi.portal.pages import for_agents, page


@require_GET
@for_agents
def sheet(request: HttpRequest, actor: Actor, alarm_id: str) -> HttpResponse:
    """Errors: NotFound, also for an account that was given back."""
    alarm = queries.access_alarm(actor, alarm_id)
    mailbox = mail.visible_mailboxes(actor).filter(pk=alarm.mailbox_id).first()
    own = mail.own_mailboxes(actor).filter(pk=alarm.mailbox_id).exists()
    if mailbox is None or alarm.contained_at is None or not (own or actor.role == Membership.Role.REFERENT):
        raise NotFound("account")
    members = identity.memberships_in(actor, alarm.collectivite_id)
    context = {
        "place": "mail" if own else "home",
        "alarm": alarm,
        "address": mailbox.address,
        "name": identity.person_name(alarm.person_id) if alarm.person_id else "",
        "why": sending_words.why(alarm),
        "own": own,
        "referents": [
            one.person.name
            for one in members
            if one.role == Membership.Role.REFERENT and one.person_id != alarm.person_id
        ],
        "contact": settings.BEFFROI.incident_contact,
        "portal": portal_url(settings.BEFFROI, ""),
    }
    return page(request, "portal/held_account.html", context)
