"""The emergency sheet: one A4 page for the wall beside the telephone, for when the screen is of no use any more.

Source: ANSSI and cybermalveillance.gouv.fr, first reflexes; ``incidents.rules`` for what the law asks within 72 hours.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.communes import queries as communes
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.engines.layout import portal_url
from beffroi.portal import incident_words as words
from beffroi.portal.about import referents
from beffroi.portal.pages import for_agents, page


@require_GET
@for_agents
def sheet(request: HttpRequest, actor: Actor) -> HttpResponse:
    config = settings.BEFFROI
    context = {
        "place": "incidents",
        "commune": communes.access_collectivite(actor, actor.collectivite_id or "").name,
        "today": clock.now(),
        "machine": [words.task(code) for code in ("unplug_network", "leave_switched_on")],
        "account": [
            words.task(code)
            for code in ("change_password", "change_same_password_elsewhere", "call_bank_if_card")
        ],
        "law": [words.task(code) for code in ("complaint", "cnil")],
        "contact": config.incident_contact,
        "others": others(config.crisis_contacts),
        "referents": [one.person.name for one in referents(actor)],
        "portal": portal_url(config, ""),
    }
    return page(request, "portal/emergency.html", context)


def others(declared: str) -> list[tuple[str, str]]:
    """``crisis_contacts`` as (who, number); what has no number is a name with a line to fill in."""
    parted = (one.partition(":") for one in declared.split(";") if one.strip())
    return [(who.strip(), number.strip()) for who, _, number in parted]
