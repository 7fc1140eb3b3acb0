"""The writes of room: limits are the Département's. The engines follow through the outbox."""

from __future__ import annotations

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes.models import Collectivite
from beffroi.core.events.outbox import publish
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid
from beffroi.mail.models import Mailbox
from beffroi.mail.quota.models import CollectiviteRoom, MailboxRoom

MOST_MIB = 1_073_741_824
CHANGED = "mail:quota_changed"


@transaction.atomic
def limit_mailbox(*, actor: Actor, mailbox: Mailbox, limit_mib: int | None) -> None:
    """Give a mailbox a limit of its own in MiB; None is the setting again. Errors: NotAllowed, Invalid."""
    _check(actor, limit_mib)
    MailboxRoom.objects.update_or_create(
        pk=mailbox.id, defaults={"collectivite_id": mailbox.collectivite_id, "limit_mib": limit_mib}
    )
    _record(actor, "mail:quota:mailbox", mailbox, limit_mib)
    publish(CHANGED, {"mailbox_id": mailbox.id}, collectivite_id=mailbox.collectivite_id)


@transaction.atomic
def limit_collectivite(*, actor: Actor, collectivite: Collectivite, limit_mib: int | None) -> None:
    """The same for all mailboxes of a collectivité together. Errors: NotAllowed, Invalid."""
    _check(actor, limit_mib)
    if limit_mib is None:
        CollectiviteRoom.objects.filter(pk=collectivite.id).delete()
    else:
        CollectiviteRoom.objects.update_or_create(pk=collectivite.id, defaults={"limit_mib": limit_mib})
    _record(actor, "mail:quota:collectivite", collectivite, limit_mib)
    publish(CHANGED, {"mailbox_id": ""}, collectivite_id=collectivite.id)


def _check(actor: Actor, limit_mib: int | None) -> None:
    actor.require_departement("only the Département gives room")
    if limit_mib is not None and not 1 <= limit_mib <= MOST_MIB:
        raise Invalid("limit")


def _record(actor: Actor, verb: str, row: Mailbox | Collectivite, limit_mib: int | None) -> None:
    audit.record_of(actor, verb, row, {"limit_mib": "usual" if limit_mib is None else limit_mib})
