"""Who received what a decision names, who opened it, what became of the copies: the look-back of the mail door.

Purpose: the report of one decision; and the evidence of one message for an incident of who received it.
Limits:  *opened* is IMAP's flag ``\\Seen`` as it stood before the withdrawal, which the portal sets too. Who clicked is
         not known: no door of ours sees it. Evidence of messages is kept for longer than the 30 days looked back on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from beffroi.core.identity.actor import Actor
from beffroi.mail.models import MailDelivery, MailMessage, MailObservation, RemediationItem, RemediationJob
from beffroi.mail.queries import own_mailboxes

_Item = RemediationItem.State
SEEN = "\\Seen"


@dataclass(frozen=True)
class Met:
    """Copies of one collectivité. ``withdrawn``: they are in quarantine; ``absent``: their owner had deleted them;
    ``remaining``: waiting, or not confirmed by the mail server."""

    collectivite_id: str
    copies: int
    mailboxes: int
    opened: int
    withdrawn: int
    absent: int
    remaining: int


@dataclass(frozen=True)
class Evidence:
    """What the entry kept of a message: no text, no subject."""

    received_at: datetime
    content: dict[str, object]


def met(actor: Actor, decision_id: str) -> Sequence[Met]:
    """One row a collectivité; a commune gets its own."""
    items = RemediationItem.objects.filter(
        job__decision_id=decision_id, job__direction=RemediationJob.Direction.WITHDRAW
    )
    items = actor.visible(items)
    rows: dict[str, list[tuple[str, str, str]]] = {}
    for owner, mailbox, state, flags in items.values_list("collectivite_id", "mailbox_id", "state", "flags"):
        rows.setdefault(owner, []).append((mailbox, state, flags))
    return [_met(owner, found) for owner, found in sorted(rows.items())]


def _met(owner: str, rows: Sequence[tuple[str, str, str]]) -> Met:
    states = [state for _, state, _ in rows]
    withdrawn = sum(state in (_Item.MOVED, _Item.KEPT) for state in states)
    absent = states.count(_Item.ABSENT)
    return Met(
        owner,
        len(rows),
        len({mailbox for mailbox, _, _ in rows}),
        sum(SEEN in flags.split() for _, _, flags in rows),
        withdrawn,
        absent,
        len(rows) - withdrawn - absent,
    )


def own_evidence(actor: Actor, beffroi_id: str) -> Evidence | None:
    """Of a message that was delivered to the actor's own mailbox; None when there is none."""
    mailboxes = own_mailboxes(actor).values("id")
    delivery = MailDelivery.objects.filter(message_id=beffroi_id, mailbox_id__in=mailboxes).first()
    message = MailMessage.objects.filter(pk=beffroi_id).first() if delivery else None
    if delivery is None or message is None:
        return None
    verdict = json.loads(message.verdict or "{}")
    seen = MailObservation.objects.filter(message_id=beffroi_id).order_by("kind", "value", "role")
    return Evidence(
        message.received_at,
        {
            "message": message.id,
            "message_id": message.message_id,
            "message_id_sha256": message.message_id_hash,
            "received_at": int(message.received_at.timestamp()),
            "delivered_at": int(delivery.delivered_at.timestamp()),
            "sender": message.sender,
            "client_address": message.client_ip,
            "helo": message.helo,
            "authentication": verdict.get("auth", {}) if isinstance(verdict, dict) else {},
            "indicators": [[one.kind, one.value, one.role] for one in seen[:300]],
        },
    )
