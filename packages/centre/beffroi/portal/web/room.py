"""Place des boîtes: which mailbox of the collectivité takes how much, for its référent; the Département gives more."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import NotAllowed
from beffroi.mail.quota import queries
from beffroi.mail.quota.rules import gb_of
from beffroi.portal import room_words
from beffroi.portal.pages import for_agents, page


def context(use: queries.CollectiviteUse) -> dict[str, Any]:
    return {
        "use": use,
        "whole": room_words.collectivite(use.room),
        "mailboxes": [
            (one, room_words.mailbox(one.room), _own_gb(one.own_limit_mib)) for one in use.mailboxes
        ],
        "own_gb": _own_gb(use.own_limit_mib),
    }


def _own_gb(limit_mib: int | None) -> str:
    """What a form shows; "" where the setting counts."""
    return "" if limit_mib is None else room_words.typed(gb_of(limit_mib))


@require_GET
@for_agents
def room(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Errors: NotAllowed."""
    if actor.collectivite_id is None:
        raise NotAllowed("no collectivité")
    use = queries.use(actor, actor.collectivite_id)
    return page(request, "portal/mail_room.html", {"place": "mail", **context(use)})
