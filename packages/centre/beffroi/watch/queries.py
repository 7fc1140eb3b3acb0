"""Reads of watch, for the console. Nobody else sees campaigns: they tell where something was reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from beffroi.core.decisions import shared
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import existing
from beffroi.watch.models import Campaign, CampaignIndicator, Sighting

SIGHTINGS_READ = 200


@dataclass(frozen=True)
class OwnReport:
    """What became of a person's own report: "open", "decided", "revoked" or "dismissed"."""

    state: str
    seen_at: datetime


def own_report(actor: Actor, message_id: str) -> OwnReport | None:
    """The report that this person made of this message, and nobody else's."""
    rows = _own_reports(actor).filter(message=message_id)
    found = rows.select_related("campaign").order_by("received_at").first()
    if found is None:
        return None
    return OwnReport(found.campaign.state if found.campaign else Campaign.State.OPEN, found.seen_at)


def own_reports(actor: Actor, message_ids: Iterable[str]) -> set[str]:
    """Which of these messages this person reported."""
    return set(_own_reports(actor).filter(message__in=list(message_ids)).values_list("message", flat=True))


def _own_reports(actor: Actor) -> QuerySet[Sighting]:
    if actor.kind != "person":
        return Sighting.objects.none()
    return Sighting.objects.filter(
        person_id=actor.id, detector="user_report", collectivite_id=actor.collectivite_id or ""
    )


def access_campaign(actor: Actor, campaign_id: str) -> Campaign:
    """Return a campaign. Errors: NotFound, also for everyone but the Département."""
    return existing(actor.departement(Campaign.objects.filter(pk=campaign_id)).first(), "campaign")


def campaigns(actor: Actor, *, state: str = "", limit: int = 100) -> Sequence[Campaign]:
    """Return campaigns, latest first, with their counts and what they show; none for others than the Département."""
    if not actor.sees_all:
        return []
    found = Campaign.objects.order_by("-last_seen", "-id").prefetch_related("indicators")
    return list((found.filter(state=state) if state else found)[:limit])


def indicators(actor: Actor, campaign: Campaign) -> Sequence[CampaignIndicator]:
    """Return what a campaign shows, in the order it was first seen. Errors: NotFound."""
    actor.require_sees_all("campaign")
    return sorted(campaign.indicators.all(), key=lambda one: one.pk)


def in_codes(actor: Actor, campaign: Campaign) -> set[str]:
    """Which of the links that a campaign shows stood in a QR code of a reported mail. Errors: NotFound."""
    actor.require_sees_all("campaign")
    told = campaign.seen.order_by("received_at").values_list("evidence", flat=True)[:SIGHTINGS_READ]
    return {str(url) for evidence in told for url in evidence.get("qr_codes") or ()}


def shared_of(campaign: Campaign) -> dict[str, str]:
    """Which addresses that the campaign itself names serve a member or a protected name, and whom."""
    named = campaign.indicators.filter(kind="ip", resolved_from="").values_list("value", flat=True)
    return shared.served(set(named))


def open_count(actor: Actor) -> int:
    """How many campaigns wait for corroboration or a word of the Département."""
    return Campaign.objects.filter(state=Campaign.State.OPEN).count() if actor.sees_all else 0


def unreported(reached: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """How many of the campaigns that reached a collectivité nobody there reported: counts, never who.

    ``reached``: campaign ids by collectivité.
    """
    ids = {campaign for campaigns in reached.values() for campaign in campaigns}
    told = set(
        Sighting.objects.filter(campaign_id__in=ids, detector="user_report").values_list(
            "collectivite_id", "campaign_id"
        )
    )
    counts = {
        owner: sum((owner, one) not in told for one in campaigns) for owner, campaigns in reached.items()
    }
    return {owner: count for owner, count in counts.items() if count}
