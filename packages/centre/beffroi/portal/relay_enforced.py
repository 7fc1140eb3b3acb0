"""What each relay of copiers may send, told to the mail door: a stolen boîtier writes to nobody else.

Process: worker.
Source:  docs/decisions/0055-relay-recipients-at-the-centre.md.
"""

from __future__ import annotations

from django.conf import settings

from beffroi.boxes import relay
from beffroi.core.identity.actor import Actor
from beffroi.mail import projections, tokens
from beffroi.mail import queries as mail

ACTOR = Actor.system("relays")
PROBES_AN_HOUR = 60
KINDS = ("box:policy_changed", "box:confirmed", "box:revoked", "mail:mailbox_created", "mail:mailbox_closed")


def put() -> None:
    """The present state, all of it; three queries for any number of relays. A policy that names another collectivité's
    mailbox allows nothing."""
    relays = [(one, one.relay.sender.lower()) for one in relay.in_force()]
    functional = mail.visible_mailboxes(ACTOR).filter(
        person_id=None, address__in={sender for _, sender in relays}
    )
    owners = dict(functional.values_list("address", "collectivite_id"))
    rows: dict[str, tuple[int, int, str]] = {}
    for one, sender in relays:
        if owners.get(sender) == one.collectivite_id:
            # To itself it writes what could not be delivered.
            recipients = " ".join(sorted({sender, *(address.lower() for address in one.relay.recipients)}))
            rows[sender + tokens.SENDING_ONLY] = (one.policy_version, one.relay.hour * one.boxes, recipients)
    if rows:  # the probe goes the same way (mail/probe/paths.py)
        probe = settings.BEFFROI.probe_address
        rows[probe + tokens.SENDING_ONLY] = (1, PROBES_AN_HOUR, probe)
    projections.put_relays(settings.BEFFROI, rows)
