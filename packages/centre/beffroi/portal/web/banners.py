"""What the owner of a mailbox must see at each visit: a forward, an absence, a delegation, a held account. And what its
référent should hear of: an alias that nobody reads any more, an account that is held, mail that goes on to an address
outside.

Access: the actor's own mailboxes; the référent learns addresses of the collectivité, nothing of any mail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import queries as mail
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.filters import queries
from beffroi.mail.filters.models import Absence, Forward
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import queries as sending
from beffroi.mail.sending.models import SendingAlarm
from beffroi.portal import filters_words, sending_words
from beffroi.portal.web import delegations
from beffroi.portal.words import de

FRESH = timedelta(days=7)


@dataclass(frozen=True)
class Banner:
    """Of one mailbox; ``until``: the last day of the absence in words; ``began``: it answers already."""

    mailbox: Mailbox
    absence: Absence | None
    until: str
    began: bool
    forward: Forward | None
    held: SendingAlarm | None
    lent: list[dict[str, Any]]
    """To whom it is lent now or soon."""


def banners(mailboxes: Iterable[Mailbox]) -> list[Banner]:
    """Only of those mailboxes where something is to be said."""
    held = sending.held_alarms()
    found = []
    for mailbox in mailboxes:
        away, onward = queries.absence(mailbox), queries.forward(mailbox)
        lent = delegations.banner(mailbox)
        if away or onward or lent or mailbox.id in held:
            until = filters_words.day(filters_words.last_day(away)) if away else ""
            began = away is not None and away.begins_at <= clock.now()
            found.append(Banner(mailbox, away, until, began, onward, held.get(mailbox.id), lent))
    return found


def held_accounts(actor: Actor) -> list[SendingAlarm]:
    """Those of others, for the référent of their collectivité; for everybody else none."""
    if actor.role != "referent":
        return []
    return list(sending.alarms(actor).exclude(contained_at=None).exclude(person_id=actor.id))


def _held(alarm: SendingAlarm, address: str) -> dict[str, str]:
    said = (
        _(
            "C’est la boîte %(name)s ; la raison : %(why)s. Parlez-lui de vive voix, pas par courriel, et"
            " remettez-lui la feuille à imprimer."
        )
        if alarm.person_id
        else _(
            "Plusieurs personnes y écrivent ; la raison : %(why)s. Parlez-leur de vive voix, pas par courriel, et"
            " remettez-leur la feuille à imprimer."
        )
    )
    name = identity.person_name(alarm.person_id) if alarm.person_id else ""
    return {
        "title": _("La boîte %(address)s est suspendue par précaution") % {"address": address},
        "why": said % {"name": de(name), "why": sending_words.why(alarm)},
        "url": "held_account",
        "of": alarm.id,
        "button": _("Que faire"),
    }


def told(actor: Actor) -> list[dict[str, str]]:
    """For a référent's home: held accounts of others, and forwards to the outside of the last days."""
    if actor.role != "referent":
        return []
    addresses = {one.id: one.address for one in mail.visible_mailboxes(actor)}
    found = [_held(one, addresses.get(one.mailbox_id, "")) for one in held_accounts(actor)]
    found += [
        {
            "title": _("L’alias %(address)s ne mène plus à personne") % {"address": one.alias.address},
            "why": _("Qui lui écrit reçoit un refus. Choisissez qui le lit, ou arrêtez-le."),
            "url": "aliases",
            "button": _("Voir les alias"),
        }
        for one in aliases.lost_aliases(actor)
    ]
    fresh = queries.forwards(actor).filter(created_at__gte=clock.now() - FRESH).exclude(person_id=actor.id)
    return found + [
        {
            "title": _("%(address)s renvoie son courrier vers %(target)s")
            % {"address": addresses.get(one.mailbox_id, ""), "target": one.target},
            "why": _("Cette adresse est hors de la collectivité. Si ce n’est pas voulu, arrêtez le renvoi."),
            "url": "forwards",
            "button": _("Voir les renvois"),
        }
        for one in fresh
        if queries.is_outside(one)
    ]
