"""Why a decision is there: evidence, rule in words, whom it protected, whom it hit, expiry, history. To read only.

One explanation for the console's page, its JSON and the commune's page: who asks decides what is in it, since every
part comes from a query on that actor's behalf. A commune reads counts and its own facts; nobody outside of the
Département reads which communes, and nobody at all reads who reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from beffroi.core.communes import queries as communes
from beffroi.core.decisions import queries as decisions
from beffroi.core.decisions import stages
from beffroi.core.decisions.actions import NOBODY_DECIDED
from beffroi.core.decisions.models import Appeal, Decision, LocalException
from beffroi.core.identity.actor import Actor
from beffroi.portal import words
from beffroi.portal.counts import Count

STAGED = ("observed", "canary", "review")
REVIEWS = {
    "over_budget": gettext_lazy("Des collectivités s’en servent régulièrement : c’est peut-être légitime."),
    "canary_objects": gettext_lazy("Une collectivité qui l’essayait l’a contesté ou débloqué."),
    "objections": gettext_lazy("Plusieurs collectivités l’ont contesté ou débloqué."),
    "blast": gettext_lazy("Le blocage touchait plusieurs collectivités : il a été retiré partout."),
    "shared_host": gettext_lazy(
        "Des collectivités se servent de cette adresse : hébergement partagé. Le nom reste bloqué."
    ),
    "automatic_name": gettext_lazy("Un nom que personne ne connaissait : une personne doit le regarder."),
}
SPARED = {
    "entry_used": gettext_lazy("Sur une liste depuis peu, et des collectivités s’en servent régulièrement."),
    "decided": gettext_lazy("une décision le bloque"),
}
"""What the centre wrote itself where a person writes a reason."""
ENDS = {
    "ttl": gettext_lazy("sa durée est écoulée"),
    "campaign_undone": gettext_lazy("campagne annulée"),
    "campaign_dismissed": gettext_lazy("campagne écartée"),
    "never_again": gettext_lazy("plus jamais"),
    "protected": gettext_lazy("protégé entre-temps"),
    "appeal_accepted": gettext_lazy("contestation acceptée"),
    "decided_anew": gettext_lazy("décidé à nouveau par une personne"),
    "name_taken_back": gettext_lazy("le nom qui y mène n’est plus bloqué"),
    "address_shared": gettext_lazy("l’adresse sert aussi une collectivité membre ou un service protégé"),
    "undone": gettext_lazy("annulé par une personne"),
    NOBODY_DECIDED: gettext_lazy("personne n’a tranché"),
}


@dataclass(frozen=True)
class Moment:
    """One line of a history. ``at`` orders it."""

    at: datetime
    text: str
    note: str = ""


@dataclass(frozen=True)
class Met:
    """What one commune met, for the Département."""

    name: str
    regular: bool
    days: int
    blocked_in: int
    blocked_out: int


@dataclass(frozen=True)
class Explanation:
    """``communes``, ``blocked_in``, ``blocked_out``: of all that the actor may see. ``exceptions``, ``appeals``: each
    with the name of its commune before it."""

    decision: Decision
    title: str
    grounds: str
    detectors: list[str]
    summary: str
    communes: int
    blocked_in: int
    blocked_out: int
    regular: int
    met: list[Met]
    exceptions: list[tuple[str, LocalException]]
    appeals: list[tuple[str, Appeal]]
    history: list[Moment]

    @property
    def open(self) -> bool:
        return self.decision.state in Decision.OPEN

    @property
    def over(self) -> bool:
        """Its time ended it: what it took out of mailboxes is still there to be given back."""
        return self.decision.state == "expired" and self.decision.end_reason == "ttl"

    @property
    def ends_by_itself(self) -> bool:
        return self.open and self.decision.state != "review"

    @property
    def blocking(self) -> bool:
        return self.decision.state in ("active", "canary")


def title_of(decision: Decision) -> str:
    """A sentence for what is in force; what is only looked at, or has ended, is named and not said to be blocked."""
    if decision.state != "active":
        kind = words.KINDS.get(decision.kind, decision.kind)
        return f"{kind}\N{NO-BREAK SPACE}: {words.shorten(decision.value)}"
    return words.decision_title(decision.kind, decision.value, decision.action)


def titles_of(actor: Actor, appeals: Iterable[Appeal]) -> dict[str, str]:
    """What each appeal contests, by its id; without those about a decision that the actor may not see."""
    found = list(appeals)
    wanted = {one.decision_id for one in found if one.decision_id}
    of = {d.id: title_of(d) for d in decisions.visible_decisions(actor).filter(pk__in=wanted)}
    of_entries = {
        one.id: words.decision_title(one.kind, one.value, "block") for one in found if not one.decision_id
    }
    return of_entries | {one.id: of[one.decision_id] for one in found if one.decision_id in of}


def explain(actor: Actor, decision_id: str) -> Explanation:
    """Errors: NotFound."""
    decision = decisions.access_decision(actor, decision_id)
    effects = list(decisions.visible_effects(actor, decision))
    names = communes.visible_names(actor)
    met = [
        Met(
            names.get(one.collectivite_id, ""),
            one.regular_days >= stages.REGULAR_DAYS,
            one.regular_days,
            one.blocked_in,
            one.blocked_out,
        )
        for one in effects
    ]
    exceptions = [
        (names.get(one.collectivite_id, ""), one)
        for one in decisions.visible_exceptions(actor).filter(decision_id=decision.id)
    ]
    appeals = [
        (names.get(one.collectivite_id, ""), one)
        for one in decisions.visible_appeals(actor).filter(decision_id=decision.id)
    ]
    return Explanation(
        decision=decision,
        title=title_of(decision),
        grounds=words.grounds(decision.rule, decision.evidence),
        detectors=words.detectors(_texts(decision.evidence.get("detectors"))),
        summary=summary(decision, met),
        communes=sum(bool(one.blocked_in or one.blocked_out) for one in met),
        blocked_in=sum(one.blocked_in for one in met),
        blocked_out=sum(one.blocked_out for one in met),
        regular=sum(one.regular for one in met),
        met=met,
        exceptions=exceptions,
        appeals=appeals,
        history=history(decision, exceptions, appeals),
    )


def summary(decision: Decision, met: list[Met]) -> str:
    """The first sentence of the page."""
    if decision.state == "observed":
        return _("Rien n’est bloqué : les boîtiers regardent qui s’en sert.")
    if decision.state == "canary":
        return _("Quelques collectivités le bloquent à l’essai ; les autres l’observent.")
    if decision.state == "review":
        why = REVIEWS.get(decision.review_reason, "")
        return _("Rien n’est bloqué : une personne doit trancher. %(why)s") % {"why": why}
    if decision.state == "active":
        total = sum(one.blocked_in + one.blocked_out for one in met)
        if not total:
            return _("En vigueur. Aucune connexion n’a encore été arrêtée.")
        told = ngettext(
            "En vigueur : %(n)s connexion arrêtée.", "En vigueur : %(n)s connexions arrêtées.", total
        )
        return told % {"n": Count(total)}
    if decision.end_reason == NOBODY_DECIDED:
        return _("N’est pas bloqué : personne n’a tranché. Un nouvel indice reposera la question.")
    why = ENDS.get(decision.end_reason, "")
    return _("N’est plus bloqué : %(why)s.") % {"why": why} if why else _("N’est plus bloqué.")


def history(
    decision: Decision, exceptions: list[tuple[str, LocalException]], appeals: list[tuple[str, Appeal]]
) -> list[Moment]:
    """What happened to a decision, oldest first."""
    moments = [Moment(decision.proposed_at, _("Première décision"), words.rule(decision.rule))]
    if decision.activated_at and decision.activated_at != decision.proposed_at:
        moments.append(Moment(decision.activated_at, _("Mise en vigueur partout")))
    if decision.state in STAGED and decision.state_since != decision.proposed_at:
        label = str(words.STATES[decision.state][0])
        note = str(REVIEWS.get(decision.review_reason, "")) if decision.state == "review" else ""
        moments.append(Moment(decision.state_since, label, note))
    for owner, one in exceptions:
        moments.append(Moment(one.created_at, _("Débloqué pour une collectivité"), owner))
    for owner, appeal in appeals:
        moments.append(Moment(appeal.created_at, _("Contesté"), owner))
        if appeal.answered_at:
            text = _("Contestation acceptée") if appeal.state == "accepted" else _("Contestation refusée")
            moments.append(Moment(appeal.answered_at, text))
    if decision.ended_at:
        why = str(ENDS.get(decision.end_reason, ""))
        unanswered = decision.end_reason == NOBODY_DECIDED
        text = _("Sorti de la file : n’est pas bloqué") if unanswered else _("Fin du blocage")
        moments.append(Moment(decision.ended_at, text, why))
    return sorted(moments, key=lambda one: one.at)


def as_json(found: Explanation) -> dict[str, Any]:
    """The same, for a machine. Times in UTC, ISO 8601; codes beside words."""
    one = found.decision
    return {
        "id": one.id,
        "indicator": {"kind": one.kind, "value": one.value},
        "action": one.action,
        "scope": one.scope,
        "state": one.state,
        "strength": one.strength,
        "rule": {"code": one.rule, "words": words.rule(one.rule)},
        "reason": one.reason,
        "evidence": one.evidence,
        "review_reason": one.review_reason,
        "proposed_at": _iso(one.proposed_at),
        "activated_at": _iso(one.activated_at),
        "expires_at": _iso(one.expires_at),
        "ended_at": _iso(one.ended_at),
        "end_reason": one.end_reason,
        "protected": {
            "communes": found.communes,
            "flows_in": found.blocked_in,
            "flows_out": found.blocked_out,
        },
        "hit": {
            "communes_with_regular_traffic": found.regular,
            "exceptions": [
                {"state": e.state, "created_at": _iso(e.created_at), "expires_at": _iso(e.expires_at)}
                for _owner, e in found.exceptions
            ],
            "appeals": [{"state": a.state, "created_at": _iso(a.created_at)} for _owner, a in found.appeals],
        },
        "history": [{"at": _iso(m.at), "text": m.text, "note": m.note} for m in found.history],
    }


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
