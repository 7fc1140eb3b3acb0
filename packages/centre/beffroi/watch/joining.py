"""Which campaign a sighting is of: what it shares with others. Writes in the transaction of ``actions.take_in``.

Rule:    by a link, its host, a file, a text; by what was registered above a host (``above``); by a sender who is new
         and proved. Of an address only what a machine found of the address itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from beffroi_protocol.indicators import Indicator, Kind

from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import protected
from beffroi.core.events import outbox
from beffroi.watch import above, clustering
from beffroi.watch.cases import campaigns_naming, closed_among, speaks_of_mail
from beffroi.watch.detectors import joins_by_address
from beffroi.watch.models import Campaign, Sighting
from beffroi.watch.witnesses import has_said_enough

_State = Campaign.State


def join(
    sighting: Sighting, indicators: Sequence[Indicator], standing: Mapping[Indicator, Collection[Indicator]]
) -> Campaign | None:
    """Find or open the campaign of a sighting; open campaigns that it connects become one. None: who told it told of
    that one again and again, or of too many others, and it is only kept. ``standing``: the names above its
    links' hosts, each with these."""
    check = protected.current().check
    known = clustering.known_before(indicators, sighting.evidence)
    joins = [i for i in clustering.joining(indicators, check) if i.kind is Kind.DOMAIN or i not in known]
    if joins_by_address(sighting.door, sighting.detector, sighting.evidence):
        joins += [i for i in indicators if i.kind is Kind.IP and not check(i)]
    found = campaigns_naming(joins)
    # A closed campaign wins, so that an undone one is not revived by joining it through another; but who carries a
    # harmless link along does not silence what is said of the rest.
    if beside := clustering.beside(joins, closed_among(found)):
        joins = beside
    order = [_State.REVOKED, _State.DISMISSED, _State.DECIDED, _State.OPEN]
    met = {c.id: c for i in joins for c in found.get(i, ())}
    if not any(c.state in Campaign.CLOSED for c in met.values()):
        for name, hosts in standing.items():
            if relatives := above.related(name, hosts):
                met |= {c.id: c for c in relatives}
                joins = [*joins, name]
        senders = _senders(sighting, indicators, check)
        for campaigns in campaigns_naming(senders).values():
            met |= {c.id: c for c in campaigns if c.state not in Campaign.CLOSED}
        joins = [*joins, *senders]
    ranked = sorted(met.values(), key=lambda c: (order.index(_State(c.state)), c.first_seen))
    if has_said_enough(sighting, ranked[0] if ranked else None):
        return None
    campaign = ranked[0] if ranked else _open()
    for other in ranked[1:]:
        if other.state == campaign.state == _State.OPEN:
            _merge(other, campaign)
    sighting.campaign = campaign
    sighting.save(update_fields=["campaign"])
    for indicator in joins:
        campaign.indicators.update_or_create(
            kind=indicator.kind.value, value=indicator.value, resolved_from="", defaults={"joins": True}
        )
    return campaign


def _senders(
    sighting: Sighting, indicators: Sequence[Indicator], check: Callable[[Indicator], str]
) -> list[Indicator]:
    """Return the senders, and the names registered for them, by whom mails are of one campaign, whatever else each
    holds: those for whom a check spoke, and whom mail did not know long before. Others are imitated, or write much that
    is none of it."""
    if not speaks_of_mail(sighting) or clustering.is_learning(sighting.evidence):
        return []
    spared = clustering.forged(indicators, sighting.evidence) | clustering.known_senders(
        indicators, sighting.evidence
    )
    hosts = clustering.link_hosts(indicators)
    return [
        i
        for i in indicators
        if (i.kind is Kind.SENDER or (i.kind is Kind.DOMAIN and i.value not in hosts))
        and i not in spared
        and not check(i)
    ]


def _open() -> Campaign:
    campaign = Campaign.objects.create()
    outbox.publish("campaign:opened", {"campaign_id": campaign.id})
    return campaign


def _merge(other: Campaign, campaign: Campaign) -> None:
    Sighting.objects.filter(campaign=other).update(campaign=campaign)
    for row in other.indicators.all():
        campaign.indicators.get_or_create(
            kind=row.kind, value=row.value, resolved_from=row.resolved_from, defaults={"joins": row.joins}
        )
    campaign.first_seen = min(campaign.first_seen, other.first_seen)
    campaign.detectors = sorted({*campaign.detectors, *other.detectors})
    campaign.save(update_fields=["first_seen", "detectors"])
    decisions.move_campaign(before=other.id, after=campaign.id)
    outbox.publish("campaign:merged", {"campaign_id": campaign.id, "merged_id": other.id})
    other.delete()


def add_indicators(
    campaign: Campaign, indicators: Sequence[Indicator], landing: Mapping[str, Sequence[str]]
) -> None:
    rows = [(i.kind.value, i.value, "") for i in indicators]
    rows += [("ip", address, name) for name, values in landing.items() for address in values]
    for kind, value, name in rows:
        campaign.indicators.get_or_create(kind=kind, value=value, resolved_from=name)
