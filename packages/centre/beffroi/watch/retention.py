"""How long sightings and campaigns are kept. A decision that is kept, in force above all, keeps its evidence.

Who reported is personal and confidential: it goes when it proves nothing any more.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Exists, OuterRef, QuerySet

from beffroi.core.decisions.models import Decision
from beffroi.core.retention.registry import Category, category
from beffroi.watch.models import Campaign, Sighting

SETTING = "retention_evidence_days"


def sightings(cutoff: datetime) -> QuerySet[Sighting]:
    proves = Decision.objects.filter(campaign_id=OuterRef("campaign_id"))
    return Sighting.objects.filter(received_at__lt=cutoff).exclude(Exists(proves))


def campaigns(cutoff: datetime) -> QuerySet[Campaign]:
    decided = Decision.objects.filter(campaign_id=OuterRef("pk"))
    seen = Sighting.objects.filter(campaign=OuterRef("pk"))
    return Campaign.objects.filter(last_seen__lt=cutoff).exclude(Exists(decided)).exclude(Exists(seen))


category(Category("sightings", 30, SETTING, sightings))
category(Category("campaigns", 31, SETTING, campaigns, batch=100))
