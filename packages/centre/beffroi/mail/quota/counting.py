"""How much each mailbox holds, from Dovecot, a slice at a time; and which collectivités are full, for Postfix.

Process: sources: nobody waits for it. A mailbox that just got mail is counted within a minute or two, the others in
         turn; Dovecot itself knows the exact figure of each mailbox at each mail.
Fails:   Dovecot away: the figures before stay (DoveadmUnavailable is retryable); so does what Postfix refuses.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.db.models import F, OuterRef, Subquery

from beffroi.lib import clock
from beffroi.mail import doveadm, projections
from beffroi.mail.doveadm import Doveadm, Rows
from beffroi.mail.models import Mailbox, MailDelivery
from beffroi.mail.quota import queries
from beffroi.mail.quota.models import MailboxRoom

SLICE = 100
FRESH = timedelta(minutes=10)
AGAIN = timedelta(seconds=60)


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
    boxes = (
        Mailbox.objects.filter(closed_at=None)
        .exclude(ready_at=None)
        .annotate(counted=Subquery(counted))
        .order_by(F("counted").asc(nulls_first=True), "id")
    )
    now = clock.now()
    lately = MailDelivery.objects.filter(delivered_at__gte=now - FRESH).values("mailbox_id")
    fresh = boxes.filter(pk__in=lately).exclude(counted__gt=now - AGAIN)[:SLICE]
    return _first([*fresh, *boxes[:SLICE]])


def _first(boxes: Iterable[Mailbox]) -> list[Mailbox]:
    return list({one.id: one for one in boxes}.values())[:SLICE]
