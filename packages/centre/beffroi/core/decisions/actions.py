"""Make decisions take effect, and take them back.

Every door hears of it through the outbox: one transaction holds the change, the audit entry and the event.
Fails: closed; a protected indicator is refused whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.messages import Action
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import exceptions, protected, rules, stages
from beffroi.core.decisions.models import SCOPE_ALL, Decision
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid, NotAllowed
from beffroi.lib.ids import new_id

MAX_TTL_S = 3650 * 86400
EXTEND_FROM = 0.1
"""An active decision is extended when that gains a tenth of its life: a flood of reports is not a flood of batches."""
_EXPIRY_BATCH = 500
_State = Decision.State


class ProtectedIndicator(BeffroiError):
    """This must never be blocked for all: {}"""

    code = "decision.protected"
    http_status = 409


@transaction.atomic
def activate(
    *,
    actor: Actor,
    indicator: Indicator,
    action: str,
    scope: str = SCOPE_ALL,
    reason: str,
    evidence: Mapping[str, object],
    rule: str,
    ttl_s: int,
    campaign_id: str = "",
    strength: str = stages.STRONG,
) -> Decision:
    """Decide and tell every door: with strong evidence it is in force at once, with weak evidence it is observed
    first (``staging``). An open one of the same indicator and scope is returned, with a later end if this demand
    lasts longer, never an earlier one; strong evidence puts it in force, except one in review, which waits for
    a person.

    ``reason``, ``rule``: codes; ``evidence``: counts and machine evidence, no reporter; ``ttl_s`` in seconds.
    Errors: ProtectedIndicator, NotAllowed, Invalid.
    """
    _only_the_departement(actor)
    canonical = normalise(indicator.kind, indicator.value)
    if not 0 < ttl_s <= MAX_TTL_S:
        raise Invalid("ttl_s")
    why = protected.current().check(canonical)
    if why:
        raise ProtectedIndicator(why)
    outbox.serialise()
    strong = strength == stages.STRONG
    present = Decision.objects.filter(
        kind=canonical.kind.value, value=canonical.value, scope=scope, state__in=Decision.OPEN
    ).first()
    if present is not None and present.expires_at is not None and present.expires_at > clock.now():
        if present.state == _State.ACTIVE or not strong:
            _extend(present, actor=actor, ttl_s=ttl_s)
        elif present.state != _State.REVIEW or actor.kind == "administrator":
            present.rule, present.reason, present.evidence = rule, reason, dict(evidence)
            present.campaign_id = campaign_id or present.campaign_id
            put_in_force(present, actor=actor, ttl_s=ttl_s)
        return present
    if present is not None:
        _end(present, actor=actor, state=_State.EXPIRED, reason="ttl")
    now = clock.now()
    decision = Decision.objects.create(
        kind=canonical.kind.value,
        value=canonical.value,
        action=Action(action).value,
        scope=scope,
        state=_State.ACTIVE if strong else _State.OBSERVED,
        state_since=now,
        strength=strength,
        reason=reason,
        evidence=dict(evidence),
        rule=rule,
        campaign_id=campaign_id,
        proposed_at=now,
        activated_at=now if strong else None,
        expires_at=now + timedelta(seconds=ttl_s),
        decided_by=actor.id,
    )
    if strong:
        _close_exceptions(decision, actor=actor)
    tell(decision, "activated" if strong else "observed", actor=actor)
    return decision


def put_in_force(decision: Decision, *, actor: Actor, ttl_s: int) -> None:
    """From observed, canary or review to all doors; in the caller's transaction, with the outbox serialised.

    One that was in force before, and was withdrawn, goes on as a decision of its own: what followed from the first
    (copies withdrawn and given back, objections) is done, and follows anew from the second.
    """
    now = clock.now()
    if decision.activated_at is not None:
        _end(decision, actor=actor, state=_State.REVOKED, reason="decided_anew")
        decision.pk = new_id("dec")
        decision.proposed_at, decision.ended_at = now, None
        decision.ended_by = decision.end_reason = decision.canaries = ""
        decision._state.adding = True
    decision.state, decision.state_since, decision.activated_at = _State.ACTIVE, now, now
    decision.expires_at = max(decision.expires_at or now, now + timedelta(seconds=ttl_s))
    decision.decided_by, decision.review_reason = actor.id, ""
    decision.save()
    _close_exceptions(decision, actor=actor)
    tell(decision, "activated", actor=actor)


def _close_exceptions(decision: Decision, *, actor: Actor) -> None:
    if rules.exception_refused([exceptions.held_of(decision)], departement=False):
        exceptions.end_touched(decision.indicator, actor=actor)


@transaction.atomic
def revoke(*, actor: Actor, decision: Decision, reason: str) -> bool:
    """End an open decision now, everywhere; False if it had ended already. Errors: NotAllowed."""
    _only_the_departement(actor)
    outbox.serialise()
    return _end(decision, actor=actor, state=Decision.State.REVOKED, reason=reason)


@transaction.atomic
def revoke_campaign(*, actor: Actor, campaign_id: str, reason: str) -> int:
    """End every open decision of a campaign in one transaction; return how many. Errors: NotAllowed, Invalid."""
    _only_the_departement(actor)
    if not campaign_id:
        raise Invalid("campaign_id")
    outbox.serialise()
    found = Decision.objects.filter(campaign_id=campaign_id, state__in=Decision.OPEN).order_by("id")
    return sum(_end(one, actor=actor, state=Decision.State.REVOKED, reason=reason) for one in found)


def move_campaign(*, before: str, after: str) -> None:
    """Two campaigns became one; in the caller's transaction."""
    Decision.objects.filter(campaign_id=before).update(campaign_id=after)


def expire_due() -> int:
    """End every decision whose time is over; return how many. Worker calls it every second."""
    due = Decision.objects.filter(state__in=Decision.OPEN, expires_at__lte=clock.now())
    if not due.exists():  # the usual case: no write lock is taken
        return 0
    actor = Actor.system("decisions.expiry")
    with transaction.atomic():
        outbox.serialise()
        found = list(due.order_by("expires_at")[:_EXPIRY_BATCH])
        return sum(_end(one, actor=actor, state=Decision.State.EXPIRED, reason="ttl") for one in found)


def _extend(decision: Decision, *, actor: Actor, ttl_s: int) -> None:
    wanted = clock.now() + timedelta(seconds=ttl_s)
    if decision.expires_at is None or wanted - decision.expires_at < timedelta(seconds=ttl_s * EXTEND_FROM):
        return
    decision.expires_at = wanted
    decision.save(update_fields=["expires_at"])
    tell(decision, "extended", actor=actor)


def _only_the_departement(actor: Actor) -> None:
    if not actor.sees_all:
        raise NotAllowed("decide for others")


def _end(decision: Decision, *, actor: Actor, state: Decision.State, reason: str) -> bool:
    # The filter, not the object in hand, says whether it is still active: two people may press at once.
    changed = Decision.objects.filter(pk=decision.pk, state__in=Decision.OPEN).update(
        state=state, ended_at=clock.now(), ended_by=actor.id, end_reason=reason
    )
    decision.refresh_from_db()
    if not changed:
        return False
    audit.record(
        actor=actor,
        verb=f"decision:{state}",
        object_id=decision.id,
        collectivite_id=_collectivite(decision),
        details={"reason": reason, "campaign_id": decision.campaign_id},
    )
    outbox.publish("decision:ended", _payload(decision), collectivite_id=_collectivite(decision))
    return True


def tell(decision: Decision, what: str, *, actor: Actor) -> None:
    """Audit entry and event of a change, in the caller's transaction."""
    audit.record(
        actor=actor,
        verb=f"decision:{what}",
        object_id=decision.id,
        collectivite_id=_collectivite(decision),
        details=_audit_details(decision),
    )
    outbox.publish(f"decision:{what}", _payload(decision), collectivite_id=_collectivite(decision))


def _collectivite(decision: Decision) -> str | None:
    return None if decision.scope == SCOPE_ALL else decision.scope


def _audit_details(decision: Decision) -> dict[str, str | int]:
    # A sender's address names a person: the decision row holds it, the chain holds the decision's id.
    shown = "" if decision.kind == "sender" else decision.value
    return {
        "kind": decision.kind,
        "value": shown,
        "action": decision.action,
        "scope": decision.scope,
        "reason": decision.reason,
        "rule": decision.rule,
        "campaign_id": decision.campaign_id,
    }


def _payload(decision: Decision) -> dict[str, object]:
    """``action``: what all doors of the scope do now; in a canary stage those of ``canaries`` do ``canary_action``."""
    staged = decision.state in (_State.OBSERVED, _State.CANARY)
    payload: dict[str, object] = {
        "decision_id": decision.id,
        "kind": decision.kind,
        "value": decision.value,
        "action": Action.WARN.value if staged else decision.action,
        "scope": decision.scope,
        "reason": decision.reason,
        "state": decision.state,
        "expires_at": int(decision.expires_at.timestamp()) if decision.expires_at else 0,
        "campaign_id": decision.campaign_id,
    }
    if decision.canary_communes:
        payload |= {"canaries": decision.canary_communes, "canary_action": decision.action}
    return payload
