"""How long is kept who dealt with which mail, notes beside mails, former members and departures;
what was done in a mailbox that was lent.

The mailboxes themselves are the commune's archive: a closed one keeps its content and its key.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.people.models import DelegatedAct, Delegation, Departure, Handling, Member, Note


def departures(cutoff: datetime) -> QuerySet[Departure]:
    """Not one that the engines have not confirmed: it would go on being nobody's business."""
    over = (Departure.State.CONFIRMED, Departure.State.UNDONE)
    return Departure.objects.filter(created_at__lt=cutoff, state__in=over)


def delegated_acts(cutoff: datetime) -> QuerySet[DelegatedAct]:
    return DelegatedAct.objects.filter(day__lt=cutoff.date())


def delegations(cutoff: datetime) -> QuerySet[Delegation]:
    """Not one in force, and none whose acts are still there."""
    over = Delegation.objects.filter(ends_at__lt=cutoff) | Delegation.objects.filter(ended_at__lt=cutoff)
    return over.exclude(pk__in=DelegatedAct.objects.values("delegation_id"))


category(Category("handlings", 96, "retention_messages_days", Before(Handling, "changed_at")))
category(Category("mail_notes", 97, "retention_messages_days", Before(Note, "created_at")))
category(Category("former_members", 98, "retention_accounts_days", Before(Member, "ended_at")))
category(Category("departures", 99, "retention_accounts_days", departures))
category(Category("delegated_acts", 113, "retention_messages_days", delegated_acts))
category(Category("delegations", 114, "retention_accounts_days", delegations))
