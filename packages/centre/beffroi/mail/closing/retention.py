"""How long exports are kept: the file some days, its row as an account's. The record of an erasure is never deleted:
it is the commune's proof that an elimination was agreed to."""

from __future__ import annotations

from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.retention.registry import Category, category
from beffroi.mail.closing import actions
from beffroi.mail.closing.models import Erasure, Export


def files(cutoff: datetime) -> QuerySet[Export]:
    """Each has the end of its days."""
    return Export.objects.filter(state=Export.State.READY, ends_at__lt=cutoff)


def exports(cutoff: datetime) -> QuerySet[Export]:
    over = (Export.State.ENDED, Export.State.FAILED)
    return Export.objects.filter(state__in=over, changed_at__lt=cutoff)


def requests(cutoff: datetime) -> QuerySet[Erasure]:
    """Erasures that came to nothing."""
    over = (Erasure.State.REFUSED, Erasure.State.WITHDRAWN)
    return Erasure.objects.filter(state__in=over, changed_at__lt=cutoff)


category(Category("mail_export_files", 140, 0, files, actions.end_old))
category(Category("mail_exports", 141, "retention_accounts_days", exports))
category(Category("mail_erasure_requests", 142, "retention_accounts_days", requests))
