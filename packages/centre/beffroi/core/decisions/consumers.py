"""Timers of the decisions, in worker."""

from __future__ import annotations

from beffroi_protocol.indicators import Indicator, Kind
from django.db.models import Min

from beffroi.core.decisions import actions, lists, protected
from beffroi.core.decisions.models import PublishCursor
from beffroi.core.events import periodic, retention


@periodic("decisions.expiry", every_s=1.0)
def expire() -> None:
    actions.expire_due()
    lists.expire_due()


@periodic("decisions.list_files", every_s=3600.0)
def prune_list_files() -> None:
    lists.prune_files()


@periodic("decisions.protected", every_s=3600.0)
def warm_protected_list() -> None:
    """Read the lists before the first decision needs them: they cost 70 ms once, a third of its budget."""
    protected.current().check(Indicator(Kind.DOMAIN, "example.net"))


@periodic("events.retention", every_s=3600.0)
def prune_outbox() -> None:
    """Here, not in ``events``: only the decisions know how far the publisher of the feed has read."""
    position = PublishCursor.objects.aggregate(lowest=Min("position"))["lowest"]
    retention.prune(unread_from=None if position is None else position + 1)
