"""The only writes of mail: mailboxes, and a person's report of a phishing message.

Every action is one transaction: change, audit row, outbox event. The engines' projections follow from the outbox.
"""

from __future__ import annotations

from typing import Any

from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise
from django.conf import settings
from django.db import IntegrityError, transaction

from beffroi.core.approvals import actions as approvals
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.communes.actions import CollectiviteLeft
from beffroi.core.communes.models import Collectivite, Domain
from beffroi.core.communes.queries import collectivite_of_domain, has_left
from beffroi.core.events import outbox
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, envelopes, ids
from beffroi.lib.errors import Conflict, Invalid, NotFound
from beffroi.mail import clients, key_pairs, keys, naming, prevalence, queries
from beffroi.mail.access import Right, access
from beffroi.mail.aliases.models import Alias
from beffroi.mail.held import lessons
from beffroi.mail.models import Mailbox, MailMessage, RemediationJob

MAX_INDICATORS = 100


@transaction.atomic
def provision_mailbox(
    *, actor: Actor, collectivite: Collectivite, address: str, person_id: str | None = None
) -> Mailbox:
    """Create a mailbox of a collectivité; mail is accepted once Dovecot has opened it.

    Errors: NotFound (not the actor's collectivité), AddressUnusable (accents, spaces, ...), Invalid (address or
    domain), Conflict (address taken).
    """
    if not actor.manages(collectivite.id):
        raise NotFound("collectivité")
    try:
        canonical = normalise(Kind.SENDER, address).value
    except IndicatorInvalid:
        naming.check_local(address.rpartition("@")[0])
        raise Invalid("address") from None
    if len(canonical) > 254 or collectivite_of_domain(canonical.rpartition("@")[2]) != collectivite.id:
        raise Invalid("the domain is not one of this collectivité")
    naming.check_local(canonical.rpartition("@")[0])
    outbox.serialise()
    # An address is one thing: under this lock an alias is made, too.
    list(Domain.objects.select_for_update().filter(name=canonical.rpartition("@")[2]))
    if Alias.objects.filter(address=canonical).exists():
        raise Conflict("this address exists already")
    mailbox = Mailbox(collectivite_id=collectivite.id, address=canonical, person_id=person_id)
    outer = keys.commune_key(settings.BEFFROI, collectivite.id)
    mailbox.crypt_key = envelopes.wrap(outer, key_pairs.new_secret(), mailbox.id)
    try:
        with transaction.atomic():
            mailbox.save(force_insert=True)
    except IntegrityError:
        raise Conflict("this address exists already") from None
    _record(actor, "mail:mailbox:created", mailbox)
    publish("mail:mailbox_created", {"mailbox_id": mailbox.id}, collectivite_id=collectivite.id)
    return mailbox


@transaction.atomic
def close_mailbox(*, actor: Actor, mailbox: Mailbox) -> bool:
    """Accept nothing more for a mailbox and let nobody in; its content stays, unreadable without its key. False if it
    was closed already. Errors: NotFound (not the actor's)."""
    if not actor.manages(mailbox.collectivite_id):
        raise NotFound("mailbox")
    outbox.serialise()
    if not Mailbox.objects.filter(pk=mailbox.pk, closed_at=None).update(closed_at=clock.now()):
        return False
    _record(actor, "mail:mailbox:closed", mailbox)
    publish("mail:mailbox_closed", {"mailbox_id": mailbox.id}, collectivite_id=mailbox.collectivite_id)
    return True


@transaction.atomic
def reopen_mailbox(*, actor: Actor, mailbox: Mailbox) -> bool:
    """Undo a closing: the same key opens the same content; mail is accepted again once Dovecot knows it.

    False if it was open. Errors: NotFound, Conflict (its content was erased).
    """
    if not actor.manages(mailbox.collectivite_id):
        raise NotFound("mailbox")
    outbox.serialise()
    rows = Mailbox.objects.filter(pk=mailbox.pk).exclude(closed_at=None)
    if rows.filter(crypt_key="").exists():
        raise Conflict("the content of this mailbox was erased")
    if has_left(mailbox.collectivite_id):
        raise CollectiviteLeft
    if not rows.exclude(crypt_key="").update(closed_at=None, ready_at=None):
        return False
    _record(actor, "mail:mailbox:reopened", mailbox)
    publish("mail:mailbox_created", {"mailbox_id": mailbox.id}, collectivite_id=mailbox.collectivite_id)
    return True


def report_phishing(*, actor: Actor, mailbox: Mailbox, beffroi_id: str) -> str:
    """A person reports a message of a mailbox that they may open: a sighting for watch, never a proof. Return its id.

    What is known of it is read before the transaction, which on SQLite locks all writers out. Errors: NotFound when the
    message was not delivered to this mailbox, or it is none of theirs.
    """
    access(actor, mailbox.id, Right.READ)
    message = queries.delivered_message(mailbox, beffroi_id)
    verdict = queries.verdict_of(message)
    auth = verdict.get("auth", {})
    sighting_id = ids.new_id("sig")
    indicators = _indicators(message, verdict)
    known_before, decided_before = prevalence.past(message, indicators)
    evidence = {
        "spf": auth.get("spf", "none"),
        "dkim": auth.get("dkim", "none"),
        "dmarc": auth.get("dmarc", "none"),
        "proved_senders": verdict.get("proved_senders", []),
        "link_mismatch": bool(verdict.get("link_mismatch")),
        "qr_codes": verdict.get("qr_codes", []),
        "rspamd_symbols": verdict.get("symbols", []),
        "rspamd_score": verdict.get("score", 0),
        "message_id_hash": message.message_id_hash,
        "client_ip": message.client_ip,
        "attachment_types": verdict.get("attachment_types", []),
        **prevalence.evidence(message),
        "known_before": known_before,
        "decided_before": decided_before,
        "learning": prevalence.is_learning(message),
        "checked": True,
    }
    with transaction.atomic():
        publish(
            "sighting:reported",
            {
                "sighting_id": sighting_id,
                "detector": "user_report",
                "door": "mail",
                "collectivite_id": mailbox.collectivite_id,
                "person_id": actor.id,
                "seen_at": clock.epoch_s(),
                "indicators": indicators,
                "evidence": evidence,
                "message": message.id,
            },
            collectivite_id=mailbox.collectivite_id,
        )
        audit.record(
            actor,
            "mail:message:reported",
            message.id,
            collectivite_id=mailbox.collectivite_id,
            details={"mailbox_id": mailbox.id, "sighting_id": sighting_id},
        )
        lessons.queue(mailbox=mailbox, message_id=message.id, person_id=actor.id, wanted=False)
    return sighting_id


def _indicators(message: MailMessage, verdict: dict[str, Any]) -> list[list[str]]:
    """[kind, value] each; first the client's address with its role, unless its host looks shared, and the name that a
    new sender registered."""
    said = queries.reported_indicators(message.id)
    found = [list(pair) for pair in prevalence.foremost(message, said, MAX_INDICATORS)]
    if name := prevalence.new_sender_name(message, verdict):
        found.insert(0, [Kind.DOMAIN.value, name])
    if not clients.refusal(prevalence.client_of(message, verdict)):
        found.insert(0, [Kind.IP.value, message.client_ip, "client"])
    return found[:MAX_INDICATORS]


@transaction.atomic
def request_remediation(*, actor: Actor, job: RemediationJob) -> Approval:
    """An administrator asks to run a waiting withdrawal; another one grants it (core.approvals).

    A request that nobody answered in time may be made again.
    Errors: NotAllowed, Conflict when it does not wait or was asked for already.
    """
    actor.require_administrator("only the Département decides this")
    locked = RemediationJob.objects.select_for_update().get(pk=job.pk)
    asked = Approval.objects.filter(pk=locked.approval_id).exclude(state=Approval.State.EXPIRED)
    if locked.state != RemediationJob.State.WAITING or asked.exists():
        raise Conflict("this withdrawal does not wait for a request")
    approval = approvals.request(
        actor=actor,
        verb="mail:remediation",
        subject_id=job.id,
        payload={"job_id": job.id, "decision_id": job.decision_id},
    )
    RemediationJob.objects.filter(pk=job.pk).update(approval_id=approval.id)
    return approval


def _record(actor: Actor, verb: str, mailbox: Mailbox) -> None:
    audit.record_of(actor, verb, mailbox, personal={"address": mailbox.address})
