"""Forwards as the référent and the Département see them."""

from __future__ import annotations

from typing import Any

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.mail import queries as mail
from beffroi.mail.filters import queries
from beffroi.portal import filters_words as words


def listed(actor: Actor) -> list[dict[str, Any]]:
    """Forwards that the actor may end, in words."""
    addresses = {one.id: one.address for one in mail.visible_mailboxes(actor)}
    return [
        {
            "row": one,
            "address": addresses.get(one.mailbox_id, ""),
            "name": identity.person_name(one.person_id),
            "outside": queries.is_outside(one),
            "until": words.day(one.expires_at),
        }
        for one in queries.forwards(actor)
    ]
