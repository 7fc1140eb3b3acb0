"""How long is kept who dealt with which mail, notes beside mails, former members and departures;
what was done in a mailbox that was lent.

The mailboxes themselves are the commune's archive: a closed one keeps its content and its key.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from beffroi.core.retention.registry import Before, BeforeDay, Category, category
from beffroi.mail.people.models import DelegatedAct, Delegation, Departure, Handling, Member, Note

_OVER = Q(state__in=(Departure.State.CONFIRMED, Departure.State.UNDONE))
"""Not one that the engines have not confirmed: it would go on being nobody's business."""

delegated_acts = BeforeDay(DelegatedAct)


def delegations(cutoff: datetime) -> QuerySet[Delegation]:
    """Not one in force, and none whose acts are still there."""
    over = Delegation.objects.filter(ends_at__lt=cutoff) | Delegation.objects.filter(ended_at__lt=cutoff)
    return over.exclude(pk__in=DelegatedAct.objects.values("delegation_id"))


category(Category("handlings", 96, "retention_messages_days", Before(Handling, "changed_at")))
category(Category("mail_notes", 97, "retention_messages_days", Before(Note, "created_at")))
category(Category("former_members", 98, "retention_accounts_days", Before(Member, "ended_at")))
category(Category("departures", 99, "retention_accounts_days", Before(Departure, "created_at", _OVER)))
category(Category("delegated_acts", 113, "retention_messages_days", delegated_acts))
category(Category("delegations", 114, "retention_accounts_days", delegations))
