"""Names made for each reader of a lure, below one that somebody registered for all of them: no two communes see the
same, so what they stand below is what is seen.

Rule:    a name stands above a link's host where somebody registered it, nothing protects it, and mail did not know it
         long before: neither a provider's, nor a site that was broken into; a centre in its first week knows none. What
         speaks for it is each host below it that one commune alone named; the same host in two communes falls by
         itself.
Process: worker. Reads the tables, decides nothing.
Source:  docs/decisions/0143-what-is-made-anew-for-each-reader.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta

from beffroi_protocol.indicators import Indicator, Kind
from django.db.models import Q, QuerySet

from beffroi.core.decisions import warning_lists
from beffroi.lib import clock
from beffroi.watch import clustering
from beffroi.watch.models import Campaign, CampaignIndicator, Sighting

type Check = Callable[[Indicator], str]


def names(
    indicators: Iterable[Indicator], evidence: Mapping[str, object], check: Check
) -> dict[Indicator, set[Indicator]]:
    """Return the names above the hosts of these links, each with its hosts; none while a provider looks like a lure."""
    if clustering.is_learning(evidence):
        return {}
    suffixes = warning_lists.load().suffixes
    known = clustering.told_known(evidence)
    found: dict[Indicator, set[Indicator]] = defaultdict(set)
    for host in clustering.link_hosts(indicators):
        name = suffixes.privatesuffix(host)
        if name and name != host and name not in known:
            found[Indicator(Kind.DOMAIN, name)].add(Indicator(Kind.DOMAIN, host))
    return {name: hosts for name, hosts in found.items() if not check(name)}


def related(name: Indicator, hosts: Collection[Indicator]) -> list[Campaign]:
    """Return the campaigns that nobody closed and that name it, or another host below it than these."""
    rows = _below(name).exclude(value__in={host.value for host in hosts})
    return [
        row.campaign for row in rows.exclude(campaign__state__in=Campaign.CLOSED).select_related("campaign")
    ]


def is_settled(name: Indicator) -> bool:
    """Whether a person closed a campaign that named it, or a host below it."""
    return _below(name).filter(campaign__state__in=Campaign.CLOSED).exists()


def _below(name: Indicator) -> QuerySet[CampaignIndicator]:
    since = clock.now() - timedelta(days=clustering.CAMPAIGN_DAYS)
    rows = CampaignIndicator.objects.filter(kind=Kind.DOMAIN, joins=True, campaign__last_seen__gte=since)
    return rows.filter(Q(value=name.value) | Q(value__endswith=f".{name.value}"))


def speaking(
    sightings: Iterable[tuple[Sighting, Iterable[Indicator]]], check: Check
) -> dict[Indicator, list[Sighting]]:
    """Return what speaks for each such name, of two communes at least: the sightings with a host below it that no other
    commune named."""
    seen: dict[Indicator, dict[Indicator, list[Sighting]]] = defaultdict(lambda: defaultdict(list))
    for sighting, indicators in sightings:
        for name, hosts in names(indicators, sighting.evidence, check).items():
            for host in hosts:
                seen[name][host].append(sighting)
    found = {}
    for name, by_host in seen.items():
        alone = [told for told in by_host.values() if len({one.collectivite_id for one in told}) == 1]
        if len({told[0].collectivite_id for told in alone}) > 1:
            found[name] = [one for told in alone for one in told]
    return found
