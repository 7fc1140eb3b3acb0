"""Build the case of a campaign from its sightings, for ``rules``.

Reads the tables, decides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from beffroi_protocol.indicators import Indicator, Kind, registered_names
from beffroi_protocol.protected import too_wide
from django.db.models import Q

from beffroi.core.communes.models import Domain
from beffroi.core.decisions import shared, warning_lists
from beffroi.core.identity import sign_ins
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.watch import above, clustering, detectors, login_attacks
from beffroi.watch.detectors import is_box_proof
from beffroi.watch.models import Campaign, CampaignIndicator, Sighting
from beffroi.watch.rules import Case, Seen, Ttl, Witness
from beffroi.watch.sources import queries as sources
from beffroi.watch.witnesses import Told, boxes_heard, reliable, vouched

_MACHINE_DOORS = frozenset({"mail"})
"""Doors of the centre itself, whose evidence a machine checked. A box's word is a sighting: it may be stolen."""


COMMAND_SIGN_LIFE = timedelta(days=30)
KNOWN_FOR = timedelta(days=7)
"""Since when members signed in from an address, for it to be a town hall's."""
CROWD, CROWD_LIFE = 2, timedelta(days=30)
"""So many registrable names besides the campaign's own make an address a shared host."""


def ttl_of(config: Config) -> Ttl:
    return Ttl(config.decision_ttl_ip_s, config.decision_ttl_name_s, config.decision_ttl_hash_s)


def speaks_of_mail(sighting: Sighting) -> bool:
    """Whether the mail door saw it, whose evidence a machine of the centre checked."""
    return sighting.door in _MACHINE_DOORS


def evidence_of(sighting: Sighting) -> frozenset[str]:
    """Return the detectors that speak in a sighting."""
    if sighting.door == login_attacks.DOOR:
        return frozenset({"login_attack"}) if login_attacks.speaks(sighting.evidence) else frozenset()
    if sighting.door == detectors.FILE_DOOR:
        return detectors.from_file(sighting.evidence)
    return detectors.from_mail(sighting.evidence) if speaks_of_mail(sighting) else frozenset()


def command_signs(indicator: Indicator, follows: Indicator | None = None) -> frozenset[str]:
    """Return what boxes saw of machines inside that call this by themselves, in the last days: this, a name above it,
    the host of this link, or the name that this address ``follows``.

    It decides nothing (a box may lie); but what is decided on other evidence is then taken for a command server.
    """
    names = [*clustering.link_hosts([indicator]), *([follows.value] if follows else ())]
    if indicator.kind is Kind.DOMAIN:
        names.append(indicator.value)
    # A box that says "com" speaks of nothing.
    every = {Indicator(Kind.DOMAIN, one) for name in names for one in registered_names(name)}
    names_above = [one.value for one in every if not too_wide(one)]
    named = Q(kind=Kind.DOMAIN.value, value__in=names_above) | Q(
        kind=indicator.kind.value, value=indicator.value
    )
    rows = Sighting.objects.filter(
        door=detectors.BOX_DOOR,
        detector__in=detectors.COMMAND_SIGNS,
        received_at__gte=clock.now() - COMMAND_SIGN_LIFE,
        campaign__in=CampaignIndicator.objects.filter(named).values("campaign"),
    )
    return frozenset(rows.values_list("detector", flat=True))


def campaigns_naming(indicators: Collection[Indicator]) -> dict[Indicator, list[Campaign]]:
    """Return the campaigns of the last days that sightings join by these."""
    since = clock.now() - timedelta(days=clustering.CAMPAIGN_DAYS)
    rows = CampaignIndicator.objects.filter(
        value__in={i.value for i in indicators}, joins=True, campaign__last_seen__gte=since
    ).select_related("campaign")
    found: dict[Indicator, list[Campaign]] = {i: [] for i in indicators}
    for row in rows:
        found.get(Indicator(Kind(row.kind), row.value), []).append(row.campaign)
    return found


def closed_among(named: Mapping[Indicator, Iterable[Campaign]]) -> set[Indicator]:
    """Return those of which a person closed a campaign; ``named``: as of ``campaigns_naming``."""
    return {i for i, seen in named.items() if any(c.state in Campaign.CLOSED for c in seen)}


def _settled(rows: Iterable[CampaignIndicator]) -> set[Indicator]:
    """Return what a person dismissed or took back of another campaign: carried along here, it joined nothing."""
    carried = [
        Indicator(Kind(row.kind), row.value) for row in rows if not row.joins and not row.resolved_from
    ]
    hosts = [clustering.link_host(i) for i in carried if i.kind is Kind.URL]
    closed = closed_among(campaigns_naming({*carried, *hosts}))
    return {i for i in carried if clustering.is_settled(i, closed)}


@dataclass
class _Said:
    """What the sightings of a campaign say of each indicator. ``speaking``: detectors; ``genuine``: forged in some
    sighting at most, not in all; ``known``, ``new``: to who got the mail; ``led_to``, ``met``: where a link leads, and
    what spoke to a door itself."""

    witnesses: defaultdict[Indicator, set[Witness]] = field(default_factory=lambda: defaultdict(set))
    proofs: defaultdict[Indicator, set[Told]] = field(default_factory=lambda: defaultdict(set))
    speaking: defaultdict[Indicator, set[str]] = field(default_factory=lambda: defaultdict(set))
    genuine: set[Indicator] = field(default_factory=set)
    known: set[Indicator] = field(default_factory=set)
    new: set[Indicator] = field(default_factory=set)
    led_to: set[Indicator] = field(default_factory=set)
    met: set[Indicator] = field(default_factory=set)
    mails: list[tuple[Sighting, list[Indicator]]] = field(default_factory=list)

    def add(self, sighting: Sighting) -> None:
        own = [Indicator(Kind(kind), value) for kind, value in sighting.indicators]
        told_by = evidence_of(sighting)
        forged = clustering.forged(own, sighting.evidence)
        self.genuine.update(i for i in own if i not in forged)
        if speaks_of_mail(sighting):
            self.known |= (old := clustering.known_before(own, sighting.evidence))
            self.new.update(i for i in own if i not in old)
            self.mails.append((sighting, own))
        if sighting.door != detectors.BOX_DOOR:
            self.led_to |= (led := clustering.led_to(own, sighting.evidence))
            self.met.update(i for i in own if i.kind is Kind.IP and i not in led)
        is_proof = is_box_proof(sighting.door, sighting.detector, sighting.evidence)
        for indicator in own:
            self.witnesses[indicator].add(Witness(sighting.collectivite_id, sighting.person_id))
            self.speaking[indicator].update(told_by)
            if is_proof and indicator.kind is Kind.IP:
                self.proofs[indicator].add(Told(sighting.collectivite_id, sighting.detector))


def case_of(campaign: Campaign, *, protected: Callable[[Indicator], str], ttl: Ttl) -> Case:
    """Return the case of a campaign as its sightings stand now."""
    said = _Said()
    for sighting in Sighting.objects.filter(campaign=campaign):
        said.add(sighting)
    for name, told_by in (standing := above.speaking(said.mails, protected)).items():
        said.genuine.add(name)
        said.witnesses[name].update(Witness(one.collectivite_id, one.person_id) for one in told_by)
        said.speaking[name].update(*map(evidence_of, told_by))
    counting = vouched(reliable(campaign, {w for told in said.witnesses.values() for w in told}))
    heard = boxes_heard(campaign, {one for told in said.proofs.values() for one in told})
    rows = list(CampaignIndicator.objects.filter(campaign=campaign).order_by("id"))
    addresses = {row.value for row in rows if row.kind == Kind.IP}
    pointed = {i.value for i in said.led_to - said.met}
    serving, settled = shared.served(addresses), _settled(rows)
    before = (clock.now() - KNOWN_FOR).date()  # a lure that hands passwords on signs in by itself, today
    offices = sign_ins.known_by(before, addresses)
    crowded = _crowded(campaign, rows, pointed) | offices
    known, seen = said.known - said.new, []
    for row in rows:
        indicator = Indicator(Kind(row.kind), row.value)
        follows = Indicator(Kind.DOMAIN, row.resolved_from) if row.resolved_from else None
        told = said.proofs[indicator] & heard
        # Any page of the web makes the browsers of who opens it touch traps: it cuts no town hall off.
        induced = bool(told) and indicator.value in offices and not row.confirmed
        seen.append(
            Seen(
                indicator=indicator,
                witnesses=frozenset(counting[w] for w in said.witnesses[indicator] if w in counting),
                detectors=sources.listed(indicator) | said.speaking[indicator],
                protected=protected(indicator),
                forged=follows is None and indicator not in said.genuine,
                confirmed=row.confirmed,
                follows=follows,
                boxes=frozenset(() if induced else (one.collectivite_id for one in told)),
                shared=indicator.value in serving
                or (indicator.kind is Kind.CIDR and bool(shared.met(indicator))),
                crowded=indicator.value in crowded
                and (follows is not None or indicator.value in pointed or induced),
                known_before=indicator in known and indicator.kind is not Kind.DOMAIN,
                known_name=indicator in known and indicator.kind is Kind.DOMAIN,
                settled=follows is None
                and (indicator in settled or (indicator in standing and above.is_settled(indicator))),
                names_one=_names_one(indicator, {one.collectivite_id for one in said.witnesses[indicator]}),
            )
        )
    return Case(tuple(seen), ttl)


def _names_one(indicator: Indicator, seen_in: Collection[str]) -> bool:
    """Whether a link was seen in one collectivité alone, and carries a mail address of its."""
    if indicator.kind is not Kind.URL or len(seen_in) != 1:
        return False
    told = clustering.mail_domains(indicator)
    return bool(told) and Domain.objects.filter(collectivite_id__in=seen_in, name__in=told).exists()


def _crowded(campaign: Campaign, rows: Iterable[CampaignIndicator], pointed: Collection[str]) -> set[str]:
    """Return the addresses that lure names, or links themselves (``pointed``), lead to where others live too: a
    hoster's shared machines; what other names led to of late in reports that nothing was decided on (an attacker's own
    count for nothing once decided); what handed in mail before. Who owns a name says where it leads: to a provider's
    mail servers, too."""
    found = {*pointed, *(row.value for row in rows if row.resolved_from)}
    suffixes = warning_lists.load().suffixes
    own = {suffixes.privatesuffix(row.resolved_from) for row in rows if row.resolved_from}
    others: dict[str, set[str | None]] = defaultdict(set)
    told = CampaignIndicator.objects.filter(
        kind=Kind.IP, value__in=found, added_at__gte=clock.now() - CROWD_LIFE
    ).exclude(campaign=campaign)
    for row in told.exclude(resolved_from="").exclude(campaign__state=Campaign.State.DECIDED):
        others[row.value].add(suffixes.privatesuffix(row.resolved_from))
    several = {one for one in found if warning_lists.hosted(one) or len(others[one] - own) >= CROWD}
    return several | shared.handing_in(found)
