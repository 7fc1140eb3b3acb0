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

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import queries as mail
from beffroi.mail.aliases import queries as aliases
from beffroi.mail.filters import queries
from beffroi.mail.filters.models import Absence, Forward
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import queries as sending
from beffroi.portal import filters_words
from beffroi.portal.web import delegations

FRESH = timedelta(days=7)


@dataclass(frozen=True)
class Banner:
    """Of one mailbox; ``until``: the last day of the absence in words; ``began``: it answers already."""

    mailbox: Mailbox
    absence: Absence | None
    until: str
    began: bool
    forward: Forward | None
    held: bool
    why: str
    """Of a held account, where there is more to say than that it is."""
    lent: list[dict[str, Any]]
    """To whom it is lent now or soon."""


def banners(mailboxes: Iterable[Mailbox]) -> list[Banner]:
    """Only of those mailboxes where something is to be said."""
    mailboxes = list(mailboxes)
    held = sending.why_held([one.id for one in mailboxes])
    found = []
    for mailbox in mailboxes:
        away, onward = queries.absence(mailbox), queries.forward(mailbox)
        lent = delegations.banner(mailbox)
        if away or onward or lent or mailbox.id in held:
            until = filters_words.day(filters_words.last_day(away)) if away else ""
            began = away is not None and away.begins_at <= clock.now()
            found.append(
                Banner(
                    mailbox,
                    away,
                    until,
                    began,
                    onward,
                    mailbox.id in held,
                    _why(held.get(mailbox.id, "")),
                    lent,
                )
            )
    return found


def _why(limit: str) -> str:
    if limit != "unknown":
        return ""
    return _(
        "Beaucoup d’adresses à qui elle a écrit en une heure n’existent pas : c’est ce que fait un compte piraté."
        " Si vous n’avez rien envoyé de tel, changez votre mot de passe."
    )


def told(actor: Actor) -> list[dict[str, str]]:
    """For a référent's home: held accounts of others, and forwards to the outside of the last days."""
    if actor.role != "referent":
        return []
    addresses = {one.id: one.address for one in mail.visible_mailboxes(actor)}
    held = sending.alarms(actor).exclude(contained_at=None).exclude(person_id=actor.id)
    found = [
        {
            "title": _("La boîte %(address)s est suspendue par précaution")
            % {"address": addresses.get(one.mailbox_id, "")},
            "why": _(
                "Parlez à la personne, de vive voix : est-ce bien elle ? Appelez ensuite le Département,"
                " qui rend la boîte."
            ),
            "url": "forwards",
            "button": _("Voir les renvois"),
        }
        for one in held
    ]
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
