"""Whose digest is due."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from beffroi.mail.held import queries, workdays
from beffroi.mail.held.models import Digest, HeldMail
from beffroi.mail.models import Mailbox
from beffroi.mail.people.models import Member


@dataclass(frozen=True)
class Due:
    """``again``: told before, and unseen for more than a working day; the oldest first."""

    mailbox: Mailbox
    fresh: list[HeldMail]
    again: list[HeldMail]

    @property
    def rows(self) -> list[HeldMail]:
        return [*self.again, *self.fresh]


def due(local: datetime, mailbox: Mailbox | None = None) -> Iterator[Due]:
    """``local``: now, in mainland France; none on a day off. Each is looked up when it is asked for.

    ``mailbox``: of this one alone."""
    if not workdays.is_working(local.date()):
        return
    minute = local.hour * 60 + local.minute
    waiting = _waiting(local).values("mailbox_id")
    told = Digest.objects.filter(sent_on=local.date()).values("mailbox_id")
    read = Q(person_id__isnull=False) | Q(pk__in=Member.objects.filter(ended_at=None).values("mailbox_id"))
    mailboxes = Mailbox.objects.filter(read, pk__in=waiting, closed_at=None)
    if mailbox is not None:
        mailboxes = mailboxes.filter(pk=mailbox.pk)
    candidates = list(mailboxes.exclude(pk__in=told).order_by("id"))
    times = queries.digest_times(candidates)
    yield from (_of(one, local) for one in candidates if times[one.id] <= minute)


def _waiting(local: datetime) -> QuerySet[HeldMail]:
    """What nobody has seen, and either no digest named or is overdue by now."""
    unseen = HeldMail.objects.filter(state=HeldMail.State.HELD, seen_at=None)
    return unseen.filter(Q(told_at=None) | Q(overdue_at__lte=local))


def _of(mailbox: Mailbox, local: datetime) -> Due:
    rows = list(_waiting(local).filter(mailbox_id=mailbox.id).order_by("id"))
    return Due(
        mailbox,
        [row for row in rows if row.told_at is None],
        [row for row in rows if row.told_at is not None],
    )
