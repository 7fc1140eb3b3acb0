"""The writes of safety: what a collectivité lets pass, and that somebody called back about bank details."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.mail import queries as mail
from beffroi.mail.gate.attachments import LOOSENED
from beffroi.mail.models import Mailbox
from beffroi.mail.safety import queries
from beffroi.mail.safety.models import AttachmentPolicy, BankDetail

POLICY_CHANGED = "mail:attachment_policy_changed"


@transaction.atomic
def set_policy(*, actor: Actor, allowed: Collection[str]) -> None:
    """What the référent's collectivité lets pass from now on: some of ``LOOSENED``. Errors: NotAllowed, Invalid."""
    owner = actor.leads
    if owner is None:
        raise NotAllowed("attachments are the référent's")
    if not set(allowed) <= set(LOOSENED):
        raise Invalid("allowed")
    before = queries.allowed(owner)
    if before == frozenset(allowed):
        return
    text = " ".join(one for one in LOOSENED if one in allowed)
    AttachmentPolicy.objects.update_or_create(
        pk=owner,
        defaults={"allowed": text, "changed_at": clock.now(), "changed_by": actor.id},
    )
    audit.record(
        actor,
        "mail:attachments:changed",
        owner,
        collectivite_id=owner,
        details={"allowed": text, "before": " ".join(sorted(before))},
    )
    publish(POLICY_CHANGED, {"collectivite_id": owner}, collectivite_id=owner)


@transaction.atomic
def confirm_bank(*, actor: Actor, mailbox: Mailbox, beffroi_id: str) -> None:
    """Somebody called the number on file: the bank details of this mail are good, for the whole collectivité.

    Errors: NotFound (not a mail of their own mailbox), Conflict (nothing to check, or a colleague did).
    """
    now = clock.now()
    rows = BankDetail.objects.filter(pk__in=_pairs(actor, mailbox, beffroi_id), confirmed_at=None)
    if not rows.update(confirmed_at=now, confirmed_by=actor.id):
        raise Conflict("the bank details of this mail are checked already")
    _tell(actor, "confirmed", beffroi_id)


@transaction.atomic
def doubt_bank(*, actor: Actor, mailbox: Mailbox, beffroi_id: str) -> None:
    """Take such a word back, one's own or a colleague's. Errors: NotFound, Conflict (nothing to take back)."""
    rows = BankDetail.objects.filter(pk__in=_pairs(actor, mailbox, beffroi_id)).exclude(confirmed_at=None)
    if not rows.update(confirmed_at=None, confirmed_by=""):
        raise Conflict("nobody checked the bank details of this mail")
    _tell(actor, "doubted", beffroi_id)


def _pairs(actor: Actor, mailbox: Mailbox, beffroi_id: str) -> list[str]:
    mail.access_message(actor, mailbox, beffroi_id)
    return [one.pair for one in queries.mentions(actor, [beffroi_id])]


def _tell(actor: Actor, what: str, beffroi_id: str) -> None:
    audit.record(actor, f"mail:bank:{what}", beffroi_id, collectivite_id=actor.collectivite_id, details={})
    publish(f"mail:bank_{what}", {"message": beffroi_id}, collectivite_id=actor.collectivite_id)
