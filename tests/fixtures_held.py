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
    findings: str = "",
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
        findings=findings,
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


def seed(email: str) -> dict[str, str]:
    """Held mails of every kind for this person, one of them overdue, one released; with a digest's link."""
    from datetime import timedelta

    from beffroi.core.communes.models import Collectivite
    from beffroi.core.decisions.models import Decision
    from beffroi.core.identity.actor import Actor
    from beffroi.mail.held import actions, links
    from beffroi.mail.held.models import HeldMail
    from beffroi.mail.models import Mailbox

    mailbox = Mailbox.objects.get(address=email)
    agent = Actor("person", mailbox.person_id or "", mailbox.collectivite_id, "agent")
    decision = Decision.objects.filter(state="active", kind="url").first()
    assert decision is not None
    old = hold(mailbox)
    HeldMail.objects.filter(pk=old.pk).update(
        held_at=clock.now() - timedelta(days=4), overdue_at=clock.now() - timedelta(days=1)
    )
    hold(
        mailbox,
        subject="Mairie : avis de passage " + "très long " * 14,
        sender="ne-pas-repondre@" + "a" * 60 + ".example",
        name="",
        verdict='{"link_mismatch":true}',
    )
    hold(mailbox, subject="", sender="", name="", verdict="{}")
    hold(mailbox, subject="Catalogue 2027", sender="promo@jardinerie.example", reason="sender_blocked")
    held = hold(
        mailbox,
        subject="Votre colis est en attente de paiement",
        sender="suivi@colis-suivi-paiement.example",
        name="La Poste",
        reason="decision",
        decision_id=decision.id,
    )
    done = hold(
        mailbox, subject="Effectifs cantine, semaine 49", sender="ecole@nuits.test", name="École Jean-Macé"
    )
    actions.release(actor=agent, held_id=done.id)
    nuits = Collectivite.objects.get(name__startswith="Nuits")
    other = Mailbox.objects.create(
        collectivite_id=nuits.id, address="mairie@nuits.test", crypt_key="-", ready_at=clock.now()
    )
    late = hold(other, subject="Facture")
    HeldMail.objects.filter(pk=late.pk).update(overdue_at=clock.now() - timedelta(hours=1))
    one = hold(mailbox, subject="Bulletin des maires", sender="lettre@bulletin.example", name="Le Bulletin")
    return {
        "held_id": held.id,
        "held_done": done.id,
        "held_link": links.make(mailbox),
        "held_one": links.make_for(one, mailbox),
        "held_decided": links.make_for(held, mailbox),
    }
