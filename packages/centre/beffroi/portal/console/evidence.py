"""A campaign in words: what was seen, what speaks for it, what is blocked, who enforces it, what was withdrawn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from beffroi.boxes import queries as boxes
from beffroi.core.decisions import queries as decisions
from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.mail import queries as mail
from beffroi.portal import explaining, words
from beffroi.portal.counts import Count
from beffroi.portal.explaining import Moment
from beffroi.watch import queries as watch

BOX_CHANNEL = "box"


@dataclass(frozen=True)
class Enforcement:
    """How many active boîtiers enforce a decision, and how long the first and the last took. Unit: ms."""

    total: int
    enforcing: int
    measured: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    @property
    def percent(self) -> int:
        return round(100 * self.enforcing / self.total) if self.total else 0

    @property
    def sentence(self) -> str:
        if not self.total:
            return _("Aucun boîtier n’est en service pour l’appliquer.")
        applied = ngettext(
            "%(n)s boîtier sur %(total)s applique ce blocage.",
            "%(n)s boîtiers sur %(total)s appliquent ce blocage.",
            self.enforcing,
        )
        return applied % {"n": Count(self.enforcing), "total": Count(self.total)}

    @property
    def timing(self) -> str:
        """Only of boîtiers whose first acknowledgement of this very version is known."""
        if not self.measured:
            return ""
        first, last = words.milliseconds(self.first_ms), words.milliseconds(self.last_ms)
        if self.measured == 1:
            return _("Délai connu pour un boîtier : %(first)s après la décision.") % {"first": first}
        told = _(
            "Délais connus pour %(n)s boîtiers : de %(first)s pour le premier à %(last)s pour le dernier "
            "après la décision."
        )
        return told % {"n": Count(self.measured), "first": first, "last": last}


@dataclass(frozen=True)
class Dossier:
    """All that the page of a campaign shows."""

    campaign: Any
    title: str
    counts: str
    detectors: list[str]
    decisions: list[dict[str, Any]]
    indicators: list[Any]
    in_codes: set[str]
    remaining: int
    refusals: list[dict[str, str]]
    enforcement: Enforcement | None
    withdrawn: int
    copies: str
    restored: int
    jobs_running: int
    timeline: list[Moment] = field(default_factory=list)


def summary(actor: Actor, campaign: Any) -> dict[str, Any]:
    """One line of a list."""
    return {
        "campaign": campaign,
        "title": title_of(blockable(actor, campaign)),
        "counts": counts_of(campaign),
        "detectors": words.detectors(campaign.detectors)[:2],
    }


def blockable(actor: Actor, campaign: Any) -> list[Any]:
    """What the campaign shows, without what is never blocked: a lure names impots.gouv.fr too."""
    never = {(one.get("kind"), one.get("value")) for one in campaign.refusals}
    return [one for one in watch.indicators(actor, campaign) if (one.kind, one.value) not in never]


def title_of(indicators: Iterable[Any]) -> str:
    """The most telling thing a campaign shows: a name before a sender before a file; the text before pages that are new
    for each reader."""
    found = list(indicators)
    many_pages = sum(one.kind == "url" for one in found) > 1
    order = {"domain": 0, "url": 2, "sender": 3, "sha256": 4, "ip": 5, "sketch": 1 if many_pages else 6}
    best = min(found, key=lambda one: (order.get(one.kind, 9), not one.joins, one.id), default=None)
    if best is None:
        return _("Signalement sans indice exploitable")
    if best.kind == "sketch":
        return _("Courriels au même texte")
    if best.kind == "sha256":
        return str(words.KINDS[best.kind])
    return words.shorten(best.value)


def counts_of(campaign: Any) -> str:
    return words.evidence({"communes": campaign.communes, "persons": campaign.persons})


def dossier(actor: Actor, campaign_id: str) -> Dossier:
    """Errors: NotFound."""
    campaign = watch.access_campaign(actor, campaign_id)
    rows = list(decisions.decisions_of_campaign(actor, campaign.id).order_by("proposed_at", "id"))
    shown = blockable(actor, campaign)
    held = {(one.kind, one.value) for one in rows if one.state == "active"}
    jobs = list(
        mail.visible_jobs(actor).filter(decision_id__in=[one.id for one in rows]).order_by("created_at")
    )
    reports = mail.reports(jobs)
    gone = [one for one in reports if one.direction == "withdraw"]
    back = [one for one in reports if one.direction == "restore"]
    return Dossier(
        campaign=campaign,
        title=title_of(shown),
        counts=counts_of(campaign),
        detectors=words.detectors(campaign.detectors),
        decisions=[
            {
                "decision": one,
                "title": explaining.title_of(one),
                "rule": words.rule(one.rule),
            }
            for one in rows
        ],
        indicators=shown,
        in_codes=watch.in_codes(actor, campaign),
        remaining=sum((one.kind, one.value) not in held for one in shown),
        refusals=[
            {"value": r.get("value", ""), "why": str(words.REFUSALS.get(r.get("code", ""), ""))}
            for r in campaign.refusals
        ],
        enforcement=enforcement(actor, rows),
        withdrawn=sum(one.moved for one in gone),
        copies=copies_of(gone),
        restored=sum(one.moved for one in back),
        jobs_running=sum(one.state in ("running", "waiting") for one in reports),
        timeline=timeline(campaign, rows, jobs),
    )


def copies_of(gone: list[Any]) -> str:
    """How many copies left how many collectivités, as a sentence."""
    moved = sum(one.moved for one in gone)
    if not moved:
        return _("Aucune copie n’a été retirée d’une boîte.")
    owners = len({owner for one in gone for owner in one.collectivites})
    copies = ngettext("%(n)s copie retirée des boîtes", "%(n)s copies retirées des boîtes", moved) % {
        "n": Count(moved)
    }
    where = ngettext("dans %(n)s collectivité", "dans %(n)s collectivités", owners) % {"n": Count(owners)}
    return f"{copies}, {where}."


def enforcement(actor: Actor, rows: list[Any]) -> Enforcement | None:
    """Of the latest decision that boîtiers receive; None when they receive none."""
    active = boxes.visible_boxes(actor).filter(state="active")
    total = active.count()
    for_boxes = [one for one in rows if one.kind in ("ip", "domain") and one.state == "active"]
    if not for_boxes or not total:
        return Enforcement(total, 0) if for_boxes else None
    last = max(for_boxes, key=lambda one: one.activated_at)
    carried = decisions.carried_by(last, channel=BOX_CHANNEL)
    if carried is None:
        return Enforcement(total, 0)
    acks = boxes.acks_for(actor, channel=BOX_CHANNEL, epoch=carried.epoch, version=carried.version)
    decided_ms = round(last.activated_at.timestamp() * 1000)
    # An acknowledgement of a later version says that it is enforced, not since when.
    exact = [
        max(ack.enforced_at_ms - decided_ms, 0)
        for ack in acks
        if (ack.epoch, ack.version) == (carried.epoch, carried.version)
    ]
    return Enforcement(total, len(acks), len(exact), min(exact, default=None), max(exact, default=None))


def timeline(campaign: Any, rows: list[Any], jobs: list[Any]) -> list[Moment]:
    moments = [Moment(campaign.first_seen, _("Premier signalement"))]
    if campaign.sightings > 1:
        moments.append(Moment(campaign.last_seen, _("Dernier signalement"), counts_of(campaign)))
    if campaign.decided_at:
        moments.append(
            Moment(campaign.decided_at, _("Blocage décidé"), who(campaign.decided_by, campaign.rule))
        )
    for job in jobs:
        if job.done_at is None:
            continue
        done = (
            _("Copies retirées des boîtes : %(n)s")
            if job.direction == "withdraw"
            else _("Copies rendues : %(n)s")
        )
        if job.moved:
            moments.append(Moment(job.done_at, done % {"n": Count(job.moved)}))
    if campaign.ended_at:
        text = _("Blocage annulé") if campaign.state == "revoked" else _("Campagne écartée")
        moments.append(Moment(campaign.ended_at, text, who(campaign.ended_by, "")))
    ends = {one.ended_at for one in rows if one.state == "expired" and one.ended_at}
    moments += [Moment(at, _("Blocage expiré")) for at in ends]
    return sorted(moments, key=lambda one: one.at)


def who(actor_id: str, rule: str) -> str:
    """A person of the Département by name, a rule in words."""
    if actor_id.startswith("adm_"):
        name = identity.administrator_name(actor_id)
        return _("par %(name)s") % {"name": name} if name else _("par le Département")
    return _("par une règle : %(rule)s") % {"rule": words.rule(rule)} if rule else ""
