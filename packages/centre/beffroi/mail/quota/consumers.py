"""Limits reach the engines; figures are counted; what was deleted long ago goes for good."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.events import Event, consumer, periodic
from beffroi.mail import deleted, projections
from beffroi.mail.models import Mailbox
from beffroi.mail.quota import actions, counting, queries

GROUP = "sources"
"""Nothing that a decision or a delivery waits for runs there."""


@consumer(name="mail.quota", kinds=(actions.CHANGED,), atomic=False)
def project_limit(event: Event) -> None:
    """Read the present rows, not the event: what was changed last must win."""
    config = settings.BEFFROI
    mailbox = Mailbox.objects.filter(pk=event.payload["mailbox_id"], closed_at=None).first()
    if mailbox is not None:
        projections.put_quota(config, address=mailbox.address, mib=queries.limit_mib(mailbox.id))
    projections.put_full_domains(config, queries.full_domains())


periodic("mail.quota_count", every_s=30.0, group=GROUP)(counting.count)
periodic("mail.deleted", every_s=60.0, group=GROUP)(deleted.purge)
