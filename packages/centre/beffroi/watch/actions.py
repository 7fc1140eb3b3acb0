"""The only writes of watch: take in a sighting, decide, confirm, dismiss, undo.

Process: worker (sightings), console (the Département).
Rule:    a decision belongs to the campaign that made it. Another one that names the same indicator makes it last
         longer; when the first is undone, what the other still demands is decided anew in the same transaction.
Fails:   closed towards blocking, and whole: all decisions of a campaign are one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from beffroi_protocol.indicators import Indicator, Kind
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import protected, queries, warning_lists
from beffroi.core.decisions.models import ENDS_AT_ONCE, SCOPE_ALL, Decision
from beffroi.core.decisions.stages import LANDING
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict
from beffroi.watch import above, clustering, joining, resolving
from beffroi.watch.cases import (
    case_of,
    command_signs,
    evidence_of,
    speaks_of_mail,
    ttl_of,
)
from beffroi.watch.detectors import BOX_DOOR, COMMAND_SIGNS
from beffroi.watch.models import Campaign, CampaignIndicator, Sighting
from beffroi.watch.queries import shared_of
from beffroi.watch.rules import LASTING, Proposal, corroborate, life_s, refusals

COMMAND_SERVER = "command_server"
"""Reason of a decision about what machines inside call: nobody lets it through locally."""
_DISMISSED, _UNDONE = "campaign_dismissed", "campaign_undone"
_NAME_ENDED = "name_taken_back"
_RULES = Actor.system("watch.rules")
_State = Campaign.State


def resolve(indicators: Sequence[Indicator]) -> dict[str, list[str]]:
    """Return the addresses of the link hosts among ``indicators`` that may be blocked at all. Slow: up to a
    second; call it outside of any transaction."""
    check = protected.current().check
    names = [n for n in clustering.link_hosts(indicators) if not check(Indicator(Kind.DOMAIN, n))]
    return resolving.addresses(names, settings.BEFFROI)


@transaction.atomic
def take_in(*, sighting_id: str, payload: Mapping[str, object], landing: Mapping[str, Sequence[str]]) -> None:
    """Store a sighting, join it to a campaign and decide what its evidence carries now.

    ``landing``: addresses by name, from ``resolve``. A sighting that is known already changes nothing.
    """
    outbox.serialise()
    if Sighting.objects.filter(pk=sighting_id).exists():
        return
    pairs = payload.get("indicators")
    indicators = clustering.read(pairs if isinstance(pairs, list) else [])
    evidence = payload.get("evidence")
    sighting = Sighting.objects.create(
        id=sighting_id,
        detector=str(payload.get("detector", ""))[:40],
        door=str(payload.get("door", ""))[:20],
        collectivite_id=str(payload.get("collectivite_id") or ""),
        person_id=str(payload.get("person_id") or ""),
        message=str(payload.get("message") or ""),
        seen_at=_time(payload.get("seen_at")),
        indicators=[[i.kind.value, i.value] for i in indicators],
        evidence=evidence if isinstance(evidence, dict) else {},
    )
    check = protected.current().check
    standing = above.names(indicators, sighting.evidence, check) if speaks_of_mail(sighting) else {}
    campaign = joining.join(sighting, indicators, standing)
    if campaign is None:
        return
    joining.add_indicators(campaign, indicators, landing)
    _count(campaign, sighting)
    if campaign.state in (_State.OPEN, _State.DECIDED) and not _adds_nothing(campaign, sighting, indicators):
        _decide(campaign, actor=_RULES, named=_named(indicators, landing) | standing.keys())


def confirm_campaign(*, actor: Actor, campaign: Campaign, also_shared: bool = False) -> int:
    """The Département's word on everything that the campaign shows now; return how many decisions are active.

    What joins the campaign later is decided by the rules again: nobody vouched for it. ``also_shared``: the person was
    told which addresses serve members or protected names (``queries.shared_of``), and blocks them all the same.
    Errors: NotAllowed, Conflict (dismissed, or undone: then a new sighting is needed).
    """
    actor.require_administrator("decide about campaigns")
    shown = [Indicator(Kind(i.kind), i.value) for i in campaign.indicators.all()]
    landing = resolve(shown)
    warning_lists.load()  # half a second, where nobody in this process asked before
    with transaction.atomic():
        outbox.serialise()
        campaign.refresh_from_db()
        if campaign.state not in (_State.OPEN, _State.DECIDED):
            raise Conflict("the campaign is closed")
        joining.add_indicators(campaign, shown, landing)
        # Only what the person saw: an indicator that came in meanwhile was not on the page.
        spared = set() if also_shared else set(shared_of(campaign))
        for kind, value in {(i.kind.value, i.value) for i in shown if i.value not in spared}:
            campaign.indicators.filter(kind=kind, value=value, resolved_from="").update(confirmed=True)
        audit.record(actor, "campaign:confirmed", campaign.id, collectivite_id=None)
        _decide(campaign, actor=actor, named=_named(shown, landing))
        campaign.refresh_from_db()
        return campaign.decisions


@transaction.atomic
def dismiss_campaign(*, actor: Actor, campaign: Campaign) -> None:
    """Close an open campaign as harmless; its sightings decide nothing more, and what was observed ends.

    Errors: NotAllowed, Conflict.
    """
    actor.require_administrator("decide about campaigns")
    outbox.serialise()
    _close(campaign, actor=actor, before=(_State.OPEN,), after=_State.DISMISSED, verb="campaign:dismissed")
    decisions.revoke_campaign(actor=actor, campaign_id=campaign.id, reason=_DISMISSED)


@transaction.atomic
def undo_campaign(*, actor: Actor, campaign: Campaign) -> int:
    """Take back every decision of a campaign at once; return how many ended. What another decided campaign still
    demands is decided anew for that one: at the doors it never ends.

    The campaign stays closed: the same sightings, and new ones that join it, do not block again.
    Errors: NotAllowed, Conflict.
    """
    actor.require_administrator("decide about campaigns")
    outbox.serialise()
    _close(campaign, actor=actor, before=(_State.DECIDED,), after=_State.REVOKED, verb="campaign:undone")
    held = queries.decisions_of_campaign(_RULES, campaign.id).filter(state=Decision.State.ACTIVE)
    lifted = {d.indicator for d in held}
    ended = decisions.revoke_campaign(actor=actor, campaign_id=campaign.id, reason=_UNDONE)
    for other in _demanding(lifted):
        _decide(other, actor=_RULES, named=lifted, named_at=other.last_seen)
    return ended


@transaction.atomic
def end_addresses_of(names: Collection[str]) -> int:
    """End what was blocked only because these names, which nobody refuses any more, lead there; return how many, 0 when
    none is left. What another name that is in force leads to stays."""
    outbox.serialise()
    addresses = CampaignIndicator.objects.filter(kind=Kind.IP.value)
    led_to = addresses.filter(resolved_from__in=names).values("value")
    held = queries.active_decisions(_RULES).filter(kind=Kind.IP.value, value__in=led_to, rule=LANDING)
    in_force = queries.active_decisions(_RULES).filter(
        kind=Kind.DOMAIN.value, scope=SCOPE_ALL, value=OuterRef("resolved_from")
    )
    leading = addresses.filter(Exists(in_force), value__in=held.values("value")).values("value")
    ending = held.exclude(value__in=leading).order_by("id")[:ENDS_AT_ONCE]
    return sum(decisions.revoke(actor=_RULES, decision=one, reason=_NAME_ENDED) for one in ending)


def _demanding(lifted: Collection[Indicator]) -> list[Campaign]:
    """The decided campaigns that name one of these indicators, the oldest first."""
    rows = CampaignIndicator.objects.filter(
        value__in={i.value for i in lifted}, campaign__state=_State.DECIDED
    ).select_related("campaign")
    found = {r.campaign.id: r.campaign for r in rows if Indicator(Kind(r.kind), r.value) in lifted}
    return sorted(found.values(), key=lambda c: (c.first_seen, c.id))


def _close(
    campaign: Campaign, *, actor: Actor, before: tuple[Campaign.State, ...], after: Campaign.State, verb: str
) -> None:
    changed = Campaign.objects.filter(pk=campaign.pk, state__in=before).update(
        state=after, ended_at=clock.now(), ended_by=actor.id
    )
    if not changed:
        raise Conflict("the campaign is in another state")
    campaign.refresh_from_db()
    audit.record(actor, verb, campaign.id, collectivite_id=None)
    outbox.publish(verb, {"campaign_id": campaign.id})


# -- sightings ---------------------------------------------------------------------------------------------


def _adds_nothing(campaign: Campaign, sighting: Sighting, indicators: Sequence[Indicator]) -> bool:
    """Whether a box names only what is refused everywhere for a while yet: that is counted, and weighed with the next
    one. A stranger who rattles at all town halls at once makes hundreds of sightings, and others' wait behind each."""
    if sighting.door != BOX_DOOR or sighting.detector in COMMAND_SIGNS or campaign.state != _State.DECIDED:
        return False
    ttl = ttl_of(settings.BEFFROI)
    return all(queries.stands(one, ttl_s=ttl.of(one.kind)) for one in indicators)


def _count(campaign: Campaign, sighting: Sighting) -> None:
    seen = Sighting.objects.filter(campaign=campaign)
    # A machine is no person, and one of the centre itself no commune.
    counts = seen.aggregate(
        communes=Count("collectivite_id", distinct=True, filter=~Q(collectivite_id="")),
        persons=Count("person_id", distinct=True, filter=~Q(person_id="")),
    )
    detectors = sorted({*campaign.detectors, *evidence_of(sighting)})
    Campaign.objects.filter(pk=campaign.pk).update(
        last_seen=clock.now(), sightings=seen.count(), detectors=detectors, **counts
    )
    campaign.refresh_from_db()
    if campaign.sightings > 1:
        outbox.publish("campaign:seen", {"campaign_id": campaign.id})


def _time(value: object) -> datetime:
    """A time of a payload: epoch seconds or ISO; what cannot be read is now."""
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return clock.now()
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


# -- deciding ----------------------------------------------------------------------------------------------


def _named(indicators: Sequence[Indicator], landing: Mapping[str, Sequence[str]]) -> set[Indicator]:
    return {*indicators, *(Indicator(Kind.IP, a) for found in landing.values() for a in found)}


def _decide(
    campaign: Campaign, *, actor: Actor, named: Collection[Indicator], named_at: datetime | None = None
) -> None:
    """Activate what the evidence carries now, all in the present transaction.

    ``named``: what speaks just now, or spoke at ``named_at``: only that extends or renews what was decided before.
    """
    case = case_of(campaign, protected=protected.current().check, ttl=ttl_of(settings.BEFFROI))
    proposals = _lasting(corroborate(case))
    refused = [
        {"kind": r.indicator.kind.value, "value": r.indicator.value, "code": r.code, "why": r.why}
        for r in refusals(case)
    ]
    if refused != campaign.refusals:
        _note_refusals(campaign, refused)
    past = queries.decisions_of_campaign(_RULES, campaign.id).exclude(activated_at=None)
    held = set(past.values_list("id", flat=True))
    age_s = (clock.now() - named_at).total_seconds() if named_at else 0.0
    demanded = [
        replace(p, ttl_s=p.ttl_s - int(age_s))
        for p in _demanded(campaign, proposals, actor=actor, named=named)
        if p.ttl_s > age_s + 1
    ]
    # What is observed, or waits for a person, decides nothing yet.
    decided = [_activate(campaign, proposal, actor) for proposal in demanded]
    in_force = [d for d in decided if d.state == Decision.State.ACTIVE]
    made = len({d.id for d in in_force if d.campaign_id == campaign.id} - held)
    # What another campaign holds already counts too: this one is decided, with no decision of its own.
    if not in_force or (not made and campaign.state == _State.DECIDED):
        return
    first = campaign.decided_at is None
    Campaign.objects.filter(pk=campaign.pk).update(
        state=_State.DECIDED,
        decisions=F("decisions") + made,
        rule=campaign.rule or in_force[0].rule,
        decided_at=campaign.decided_at or clock.now(),
        decided_by=campaign.decided_by or actor.id,
    )
    campaign.refresh_from_db()
    verb = "campaign:decided" if first else "campaign:extended"
    audit.record(actor, verb, campaign.id, collectivite_id=None, details={"decisions": made})
    outbox.publish(verb, {"campaign_id": campaign.id, "decisions": made})


def _lasting(proposals: Sequence[Proposal]) -> list[Proposal]:
    """With a longer life for what comes again."""
    lasting = [p.indicator for p in proposals if p.indicator.kind in LASTING]
    before = queries.were_blocked({(one.kind.value, one.value) for one in lasting}, over=True)
    return [
        replace(p, ttl_s=life_s(p.indicator.kind, p.ttl_s, before[p.indicator.kind.value, p.indicator.value]))
        for p in proposals
    ]


def _demanded(
    campaign: Campaign, proposals: Sequence[Proposal], *, actor: Actor, named: Collection[Indicator]
) -> list[Proposal]:
    """Leave out what is not named now and was decided before, and what a person took back singly: only a person
    brings that again."""
    past = {d.indicator: d.state for d in queries.decisions_of_campaign(_RULES, campaign.id).order_by("id")}
    values = {p.indicator.value for p in proposals}
    active = {d.indicator for d in queries.active_decisions(_RULES).filter(value__in=values)}
    demanded = [
        p
        for p in proposals
        if p.indicator in named or (p.indicator not in past and p.indicator not in active)
    ]
    if actor.kind == "administrator":
        return demanded
    elsewhere = _taken_back(campaign, demanded)
    return [
        p
        for p in demanded
        if past.get(p.indicator) != Decision.State.REVOKED and p.indicator not in elsewhere
    ]


def _taken_back(campaign: Campaign, proposals: Sequence[Proposal]) -> set[Indicator]:
    """What a person took back singly these days, of whichever campaign, and that this one named by then, or names only
    because a name leads there. What speaks anew of the thing itself is heard: an address that guesses again."""
    values = {p.indicator.value for p in proposals}
    rows = Decision.objects.filter(value__in=values, scope=SCOPE_ALL).order_by("proposed_at", "id")
    since = clock.now() - timedelta(days=clustering.CAMPAIGN_DAYS)
    ended = {
        d.indicator: d.ended_at
        if d.state == Decision.State.REVOKED and d.end_reason not in (_UNDONE, _DISMISSED)
        else None
        for d in rows  # the last one of each counts
    }
    return {
        p.indicator
        for p in proposals
        if (at := ended.get(p.indicator)) is not None
        and at >= since
        and (p.follows is not None or campaign.first_seen < at)
    }


def _note_refusals(campaign: Campaign, refused: list[dict[str, str]]) -> None:
    before = {(r["kind"], r["value"]) for r in campaign.refusals}
    new = [r for r in refused if (r["kind"], r["value"]) not in before]
    campaign.refusals = refused
    campaign.save(update_fields=["refusals"])
    if new:
        codes = sorted({r["code"] for r in new})
        outbox.publish("campaign:refused", {"campaign_id": campaign.id, "count": len(new), "codes": codes})


def _activate(campaign: Campaign, proposal: Proposal, actor: Actor) -> Decision:
    """Activate one proposal, or extend the decision about it, which may be another campaign's."""
    signs = command_signs(proposal.indicator, proposal.follows)
    return decisions.activate(
        actor=actor,
        indicator=proposal.indicator,
        action=proposal.action.value,
        reason=COMMAND_SERVER if signs else proposal.reason,
        evidence={
            "communes": proposal.communes,
            "persons": proposal.persons,
            "sightings": campaign.sightings,
            "detectors": sorted({*proposal.detectors, *signs}),
        },
        rule=proposal.rule,
        ttl_s=proposal.ttl_s,
        campaign_id=campaign.id,
        strength=proposal.strength,
    )
