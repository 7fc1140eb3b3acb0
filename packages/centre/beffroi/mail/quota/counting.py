"""How much each mailbox holds, from Dovecot, a slice at a time; and which collectivités are full, for Postfix.

Process: sources: nobody waits for it. Mailboxes that got mail come first, each again after ten minutes at the earliest;
         the others in turn, after an hour: Dovecot itself knows the exact figure of each at each mail, and a count
         costs it as much as a tenth of a delivery. Where a collectivité is filling up, after a minute.
Fails:   Dovecot away: the figures before stay (DoveadmUnavailable is retryable); so does what Postfix refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models import F, OuterRef, Q, QuerySet, Subquery

from beffroi.lib import clock
from beffroi.mail import doveadm, projections
from beffroi.mail.doveadm import Doveadm, Rows
from beffroi.mail.models import Mailbox, MailDelivery
from beffroi.mail.quota import queries
from beffroi.mail.quota.models import MailboxRoom

SLICE = 100
AGAIN, AGAIN_STILL, AGAIN_FILLING = timedelta(minutes=10), timedelta(hours=1), timedelta(minutes=1)
FRESH = 2 * AGAIN
"""A mail of this time may be on no count yet."""


def count() -> int:
    """Count a slice; return how many mailboxes. Errors: DoveadmUnavailable."""
    config = settings.BEFFROI
    boxes = _due()
    answers = Doveadm(config).run([doveadm.quota(one.address) for one in boxes], at_once=1)
    now = clock.now()
    for mailbox, rows in zip(boxes, answers, strict=True):
        used = used_bytes(rows)
        # One that does not answer waits for its turn again, with the figure it had.
        found = {"counted_at": now} | ({"used_bytes": used} if used is not None else {})
        MailboxRoom.objects.update_or_create(
            pk=mailbox.id, defaults={"collectivite_id": mailbox.collectivite_id, **found}
        )
    projections.put_full_domains(config, queries.full_domains())
    return len(boxes)


def used_bytes(rows: Rows | None) -> int | None:
    """From the answer of ``doveadm.quota``, which counts in KiB; None when it has no figure."""
    values = (one.get("value", "") for one in rows or () if one.get("type") == "STORAGE")
    return next((int(value) * 1024 for value in values if value.isdecimal()), None)


def _due() -> list[Mailbox]:
    """Those that got mail lately, then those that were not looked at for longest."""
    counted = MailboxRoom.objects.filter(pk=OuterRef("pk")).values("counted_at")
    now = clock.now()
    filling = Q(counted__lt=now - AGAIN_FILLING, collectivite_id__in=queries.filling())
    boxes = (
        Mailbox.objects.filter(closed_at=None)
        .exclude(ready_at=None)
        .annotate(counted=Subquery(counted))
        .order_by(F("counted").asc(nulls_first=True), "id")
    )

    def due(again: timedelta) -> QuerySet[Mailbox]:
        return boxes.filter(Q(counted=None) | Q(counted__lt=now - again) | filling)

    lately = MailDelivery.objects.filter(delivered_at__gte=now - FRESH).values("mailbox_id")
    return _first([*due(AGAIN).filter(pk__in=lately)[:SLICE], *due(AGAIN_STILL)[:SLICE]])


def _first(boxes: Iterable[Mailbox]) -> list[Mailbox]:
    return list({one.id: one for one in boxes}.values())[:SLICE]
