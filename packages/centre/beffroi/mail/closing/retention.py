"""How long exports are kept: the file some days, its row as an account's. The record of an erasure is never deleted:
it is the commune's proof that an elimination was agreed to."""

from __future__ import annotations

from django.db.models import Q

from beffroi.core.retention.registry import Before, Category, category
from beffroi.mail.closing import actions
from beffroi.mail.closing.models import Erasure, Export

_files = Before(Export, "ends_at", Q(state=Export.State.READY))
"""Each has the end of its days."""
_exports = Before(Export, "changed_at", Q(state__in=(Export.State.ENDED, Export.State.FAILED)))
_requests = Before(Erasure, "changed_at", Q(state__in=(Erasure.State.REFUSED, Erasure.State.WITHDRAWN)))
"""Erasures that came to nothing."""

category(Category("mail_export_files", 140, 0, _files, actions.end_old))
category(Category("mail_exports", 141, "retention_accounts_days", _exports))
category(Category("mail_erasure_requests", 142, "retention_accounts_days", _requests))
