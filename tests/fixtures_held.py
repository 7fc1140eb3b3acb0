"""Held mails without engines: what the process remediation would have put on the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from beffroi.lib import clock, ids
from beffroi_protocol.indicators import normalise

if TYPE_CHECKING:
    from beffroi.core.decisions.models import Decision
    from beffroi.mail.held.models import HeldMail
    from beffroi.mail.models import Mailbox

SENDER = "commercial@bureau-discount.example"
SUBJECT = "Votre offre <b>fournitures</b> de bureau"


def hold(
    mailbox: Mailbox,
    *,
    subject: str = SUBJECT,
    sender: str = SENDER,
    name: str = "Bureau Discount",
    reason: str = "filter",
    decision_id: str = "",
    verdict: str = '{"auth":{"dmarc":"fail"},"spam":true}',
    message_id: str = "",
) -> HeldMail:
    from beffroi.mail.held import actions
    from beffroi.mail.held.heading import Heading
    from beffroi.mail.models import MailMessage, MailObservation

    message_id = message_id or ids.new_id("msg")
    MailMessage.objects.create(
        id=message_id,
        received_at=clock.now(),
        message_id="a@b",
        message_id_hash="0" * 64,
        sender=sender,
        client_ip="45.155.204.9",
        helo="mail.example",
        verdict=verdict,
    )
    MailObservation.objects.create(message_id=message_id, kind="sender", value=sender, role="sender")
    return actions.hold(
        mailbox=mailbox,
        message_id=message_id,
        reason=reason,
        found=Heading(name, sender, subject),
        decision_id=decision_id,
    )


def decide(value: str = "colis-suivi-paiement.example", **more: Any) -> Decision:
    """A collective decision, as watch would make it."""
    from beffroi.core.decisions import actions
    from beffroi.core.identity.actor import Actor

    return actions.activate(
        actor=Actor.system("tests"),
        indicator=normalise("domain", value),
        action="block",
        scope="all",
        reason="phishing",
        evidence={"communes": 2, "persons": 3},
        rule="two_communes",
        ttl_s=3600,
        **more,
    )
