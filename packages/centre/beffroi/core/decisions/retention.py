"""How long past decisions and what belongs to them are kept. A decision in force or waiting always stays.

A signed line of the feed goes when it is old and no start needs it: its channel has a later snapshot, or another epoch.
The last line of each channel stays, so that anyone can check the head with the feed's key; a door further behind than
what the publisher holds gets a snapshot, as ever (docs/internals/feed.md).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Exists, Min, OuterRef, Q, QuerySet

from beffroi.core.decisions.models import (
    Appeal,
    AppealAddition,
    Decision,
    DecisionEffect,
    FeedBatch,
    FeedChannel,
    LocalException,
    NeverAgain,
    PublishCursor,
)
from beffroi.core.events import retention as events
from beffroi.core.events.models import OutboxEvent
from beffroi.core.retention.registry import Before, Category, category

SETTING = "retention_evidence_days"
KEEP_LINES_DAYS = 30
"""Of signed lines: as long as boîtiers look back."""

_exceptions = Before(LocalException, "expires_at", ~Q(state=LocalException.State.ACTIVE))


def ended(cutoff: datetime) -> QuerySet[Decision]:
    """Decisions that ended before, about which no commune waits for an answer."""
    asked = Appeal.objects.filter(decision_id=OuterRef("pk"), state=Appeal.State.OPEN)
    past = Decision.objects.exclude(state__in=Decision.OPEN).filter(ended_at__lt=cutoff)
    return past.exclude(Exists(asked))


def published_events(cutoff: datetime) -> QuerySet[OutboxEvent]:
    """Old events that every consumer and the publisher of the feed have read."""
    position = PublishCursor.objects.aggregate(lowest=Min("position"))["lowest"]
    return events.old_events(cutoff, unread_from=None if position is None else position + 1)


def lines(cutoff: datetime) -> QuerySet[FeedBatch]:
    """Signed lines that nobody needs any more."""
    present = FeedChannel.objects.filter(channel=OuterRef("channel"), epoch=OuterRef("epoch"))
    to_version = OuterRef("to_version")
    needed = present.filter(Q(saved_version__lt=to_version) | Q(version=to_version))
    return FeedBatch.objects.filter(created_at__lt=cutoff).exclude(Exists(needed))


def _erase_decisions(ids: list[Any]) -> int:
    DecisionEffect.objects.filter(decision_id__in=ids).delete()
    appeals = Appeal.objects.filter(decision_id__in=ids)
    AppealAddition.objects.filter(appeal_id__in=appeals.values("pk")).delete()
    appeals.delete()
    Decision.objects.filter(pk__in=ids).delete()
    return len(ids)


category(Category("decisions", 10, SETTING, ended, _erase_decisions, held_as="decision", batch=50))
category(Category("exceptions", 11, SETTING, _exceptions))
# What is never to be decided again stays until a person takes it back.
category(Category("never_again", 12, SETTING, Before(NeverAgain, "revoked_at")))
category(Category("feed_lines", 79, KEEP_LINES_DAYS, lines))
category(Category("events", 80, events.KEEP_DAYS, published_events, batch=events.BATCH))
