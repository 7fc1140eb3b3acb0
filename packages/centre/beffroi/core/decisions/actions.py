"""Make decisions take effect, and take them back.

Every door hears of it through the outbox: one transaction holds the change, the audit entry and the event.
Fails: closed; a protected indicator is refused whoever asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.messages import Action
from django.db import transaction
from django.db.models import QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import exceptions, protected, queries, rules, stages
from beffroi.core.decisions.models import ENDS_AT_ONCE, SCOPE_ALL, Appeal, Decision
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.lib.ids import new_id

MAX_TTL_S = 3650 * 86400
NOBODY_DECIDED = "nobody_decided"
"""Why a question to a person ended: it is not blocked, and what comes in for it later asks again."""
DECIDED_ANEW = "decided_anew"
"""Why one that was withdrawn ended: a person confirmed it, and it goes on as a decision of its own."""
_State = Decision.State
_WEAK, _STRONG, _PERSON = range(3)
_FOLLOWS: Mapping[str, tuple[str, str, str]] = {
    # what a demand finds: what doors hear, where its evidence is weak, strong, or it is a person's word
    "": ("observed", "activated", "activated"),
    _State.OBSERVED: ("extended", "activated", "activated"),
    _State.CANARY: ("extended", "activated", "activated"),
    _State.ACTIVE: ("extended", "extended", "extended"),
    _State.REVIEW: ("", "", "activated"),
}


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
    first (``staging``). An open one of the same indicator and scope is returned, with what this demand knows more,
    and with a later end if this demand lasts longer, never an earlier one; strong evidence puts it in force. One in
    review is in force nowhere until a person says so, whatever comes in and however long that takes: also one that
    left the queue because nobody decided; it comes back there.

    ``reason``, ``rule``: codes; ``evidence``: counts and machine evidence, no reporter; ``ttl_s`` in seconds.
    Errors: ProtectedIndicator, NotAllowed, Invalid.
    """
    actor.require_departement("decide for others")
    canonical = normalise(indicator.kind, indicator.value)
    if not 0 < ttl_s <= MAX_TTL_S:
        raise Invalid("ttl_s")
    outbox.serialise()
    _refuse_protected(canonical)
    wanted = Decision(
        kind=canonical.kind.value,
        value=canonical.value,
        action=Action(action).value,
        scope=scope,
        strength=strength,
        reason=reason,
        evidence=dict(evidence),
        rule=rule,
        campaign_id=campaign_id,
    )
    decision = _present(wanted, actor=actor, ttl_s=ttl_s) or wanted
    strong = _PERSON if actor.kind == "administrator" else _STRONG
    follows = _FOLLOWS[decision.state][strong if strength == stages.STRONG else _WEAK]
    activated = follows == "activated"
    changed = decision is not wanted and _learn(decision, wanted, answered=activated, actor=actor)
    if activated:
        _enforce(decision, actor=actor, ttl_s=ttl_s)
    elif follows == "observed":
        _enter(decision, _State.OBSERVED, actor=actor, ttl_s=ttl_s)
        tell(decision, "observed", actor=actor)
    elif follows == "extended":
        _extend(decision, actor=actor, ttl_s=ttl_s, changed=changed)
    return decision


def _refuse_protected(indicator: Indicator) -> None:
    if why := protected.current().check(indicator):
        raise ProtectedIndicator(why)


def _weight(decision: Decision) -> int:
    """Weak evidence, strong evidence, the Département's word: the heavier says why something is in force. Of weak
    evidence, what a person is asked about outweighs what waits in silence, and what goes on by itself outweighs both.
    """
    rule = decision.rule
    if rule == stages.DEPARTEMENT:
        return 4
    if decision.strength == stages.STRONG:
        return 3
    return 2 - (rule in stages.PERSON_ONLY) - (rule in stages.PERSON_ONLY - stages.ASKS_A_PERSON)


def _same(decision: Decision) -> QuerySet[Decision]:
    return Decision.objects.filter(kind=decision.kind, value=decision.value, scope=decision.scope)


def _present(wanted: Decision, *, actor: Actor, ttl_s: int) -> Decision | None:
    """The open one of the same. One whose time is over ends; what nobody answered is asked again, where that was the
    last word about it."""
    present = _same(wanted).filter(state__in=Decision.OPEN).first()
    if present is None:
        last = _same(wanted).order_by("-proposed_at").first()
        if last is not None and last.end_reason == NOBODY_DECIDED:
            return _ask_again(last, actor=actor, ttl_s=ttl_s)
        return None
    # A question to a person does not end by itself: what was withdrawn would come back at the next sighting.
    ends = present.expires_at
    if present.state != _State.REVIEW and (ends is None or ends <= clock.paced_now()):
        _end(present, actor=actor, state=_State.EXPIRED, reason="ttl")
        return None
    return present


def _ask_again(last: Decision, *, actor: Actor, ttl_s: int) -> Decision:
    last.enter(_State.REVIEW)
    last.expires_at = clock.paced_now() + timedelta(seconds=ttl_s)
    last.ended_at, last.ended_by, last.end_reason = None, "", ""
    last.save()
    tell(last, "review", actor=actor)
    return last


def _learn(present: Decision, wanted: Decision, *, answered: bool, actor: Actor) -> bool:
    """Add the evidence, and take over the grounds if they weigh more; return whether doors hold another reason now.

    In review the grounds stay: they are what a person is asked about. ``answered``: a person said so.
    """
    before, closed = (present.action, present.reason), _closes_exceptions(present)
    present.evidence = _joined(present.evidence, wanted.evidence)
    in_review = present.state == _State.REVIEW
    takes_over = answered if in_review else _weight(wanted) > _weight(present)
    if takes_over:
        present.action, present.strength = wanted.action, wanted.strength
        present.rule, present.campaign_id = wanted.rule, wanted.campaign_id or present.campaign_id
    # Once a command server, always one: nobody lets it through, whoever confirms it later.
    if present.reason not in rules.COMMAND_SERVER and (takes_over or wanted.reason in rules.COMMAND_SERVER):
        present.reason = wanted.reason
    present.save()
    if present.state == _State.ACTIVE and not closed:
        _close_exceptions(present, actor=actor)
    return (present.action, present.reason) != before


def _joined(known: Mapping[str, object], new: Mapping[str, object]) -> dict[str, object]:
    """Both evidences in one: the larger count, all names."""
    joined = {**known, **new}
    for key in known.keys() & new.keys():
        one, other = known[key], new[key]
        if isinstance(one, int) and isinstance(other, int):
            joined[key] = max(one, other)
        elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
            joined[key] = sorted({*one, *other})
    return joined


def put_in_force(decision: Decision, *, actor: Actor, ttl_s: int) -> None:
    """From observed, canary or review to all doors, as it stands in the object; in the caller's transaction, with the
    outbox serialised.

    One that was in force before, and was withdrawn, goes on as a decision of its own: what followed from the first
    (copies withdrawn and given back, objections) is done, and follows anew from the second. Errors:
    ProtectedIndicator (it became so since it was observed).
    """
    _refuse_protected(decision.indicator)
    _enforce(decision, actor=actor, ttl_s=ttl_s)


def _enforce(decision: Decision, *, actor: Actor, ttl_s: int) -> None:
    if decision.activated_at is not None:
        # By a row of its own: the object holds the grounds on which it goes on.
        before = Decision.objects.get(pk=decision.pk)
        _end(before, actor=actor, state=_State.REVOKED, reason=DECIDED_ANEW)
        decision.pk = new_id("dec")
        decision.ended_at = None
        decision.ended_by = decision.end_reason = decision.canaries = ""
        decision._state.adding = True
    _enter(decision, _State.ACTIVE, actor=actor, ttl_s=ttl_s)
    _close_exceptions(decision, actor=actor)
    tell(decision, "activated", actor=actor)


def _enter(decision: Decision, state: Decision.State, *, actor: Actor, ttl_s: int) -> None:
    decision.enter(state)
    if decision._state.adding:
        decision.proposed_at = decision.state_since
    if state == _State.ACTIVE:
        decision.activated_at = decision.state_since
    ends = clock.paced_now() + timedelta(seconds=ttl_s)
    decision.expires_at = max(decision.expires_at or ends, ends)
    decision.decided_by, decision.review_reason = actor.id, ""
    decision.save()
    _take_appeals(decision)


def _take_appeals(decision: Decision) -> None:
    """Open appeals against earlier decisions of the same go on about this one: one of each commune."""
    contested = Appeal.objects.filter(state=Appeal.State.OPEN).exclude(decision_id="")
    earlier = _same(decision).filter(pk__in=contested.values("decision_id")).exclude(pk=decision.pk)
    ids = list(earlier.values_list("id", flat=True))
    if not ids:
        return
    have = set(contested.filter(decision_id=decision.id).values_list("collectivite_id", flat=True))
    for one in contested.filter(decision_id__in=ids).order_by("-created_at"):
        if one.collectivite_id not in have:
            have.add(one.collectivite_id)
            one.decision_id = decision.id
            one.save(update_fields=["decision_id"])


def _closes_exceptions(decision: Decision) -> bool:
    return bool(rules.exception_refused([queries.held_of(decision)], departement=False))


def _close_exceptions(decision: Decision, *, actor: Actor) -> None:
    if _closes_exceptions(decision):
        exceptions.end_touched(decision.indicator, actor=actor)


@transaction.atomic
def revoke(*, actor: Actor, decision: Decision, reason: str) -> bool:
    """End an open decision now, everywhere, or say of one whose time was over that it was a mistake; False if it had
    been taken back already. Errors: NotAllowed."""
    actor.require_departement("decide for others")
    outbox.serialise()
    if _end(decision, actor=actor, state=_State.REVOKED, reason=reason):
        return True
    # What it took out of mailboxes goes back, which its end by time alone does not give (docs/decisions/0132).
    changed = {"state": _State.REVOKED, "end_reason": reason}
    return _leave(decision, (_State.EXPIRED,), "taken_back", changed, actor=actor)


@transaction.atomic
def revoke_covering(*, actor: Actor, decision: Decision, reason: str) -> int:
    """Revoke every decision that refuses, or refused until its time was over, what ``decision`` is about; return how
    many. Its campaign does not make it again. Errors: NotAllowed."""
    actor.require_departement("decide for others")
    outbox.serialise()
    found = queries.near(queries.not_taken_back(), decision.indicator).order_by("id")
    return sum(
        revoke(actor=actor, decision=one, reason=reason)
        for one in found
        if rules.covers(one.indicator, decision.indicator)
    )


@transaction.atomic
def revoke_campaign(*, actor: Actor, campaign_id: str, reason: str) -> int:
    """End every open decision of a campaign in one transaction, and take back those whose time was over; return how
    many. Errors: NotAllowed, Invalid."""
    actor.require_departement("decide for others")
    if not campaign_id:
        raise Invalid("campaign_id")
    outbox.serialise()
    found = queries.not_taken_back().filter(campaign_id=campaign_id).order_by("id")
    return sum(revoke(actor=actor, decision=one, reason=reason) for one in found)


def move_campaign(*, before: str, after: str) -> None:
    """Two campaigns became one; in the caller's transaction."""
    Decision.objects.filter(campaign_id=before).update(campaign_id=after)


def expire_due() -> int:
    """End decisions whose time is over, except those that wait for a person; return how many, 0 when none is left. A
    clock that jumps forward ends none for an hour (``clock.paced``)."""
    mortal = set(Decision.OPEN) - {_State.REVIEW}
    due = Decision.objects.filter(state__in=mortal, expires_at__lte=clock.paced_now())
    if not due.exists():  # the usual case: no write lock is taken
        return 0
    actor = Actor.system("decisions.expiry")
    with transaction.atomic():
        outbox.serialise()
        found = list(due.order_by("expires_at")[:ENDS_AT_ONCE])
        return sum(_end(one, actor=actor, state=Decision.State.EXPIRED, reason="ttl") for one in found)


def end_unanswered(decision: Decision, *, actor: Actor) -> bool:
    """Take out of the queue what nobody decided; in the caller's transaction, with the outbox serialised."""
    return _end(decision, actor=actor, state=_State.EXPIRED, reason=NOBODY_DECIDED)


def _extend(decision: Decision, *, actor: Actor, ttl_s: int, changed: bool) -> None:
    """``changed``: what doors hold of it is another than they know."""
    wanted = clock.paced_now() + timedelta(seconds=ttl_s)
    if decision.expires_at is not None and rules.gains(wanted - decision.expires_at, ttl_s):
        decision.expires_at = wanted
        decision.save(update_fields=["expires_at"])
    elif not changed:
        return
    tell(decision, "extended", actor=actor)


def _end(decision: Decision, *, actor: Actor, state: Decision.State, reason: str) -> bool:
    changed = {"state": state, "ended_at": clock.now(), "end_reason": reason}
    return _leave(decision, Decision.OPEN, "ended", changed, actor=actor)


def _leave(
    decision: Decision,
    before: Sequence[Decision.State],
    event: str,
    changed: Mapping[str, object],
    *,
    actor: Actor,
) -> bool:
    # The filter, not the object in hand, says in which state it still is: two people may press at once.
    left = Decision.objects.filter(pk=decision.pk, state__in=before).update(ended_by=actor.id, **changed)
    decision.refresh_from_db()
    if left:
        why = {"reason": decision.end_reason, "campaign_id": decision.campaign_id}
        _record(decision, decision.state, event, why, actor=actor)
    return bool(left)


def tell(decision: Decision, what: str, *, actor: Actor) -> None:
    """Audit entry and event of a change, in the caller's transaction."""
    _record(decision, what, what, _audit_details(decision), actor=actor)


def _record(
    decision: Decision, verb: str, event: str, details: Mapping[str, str | int], *, actor: Actor
) -> None:
    owner = _collectivite(decision)
    audit.record(actor, f"decision:{verb}", decision.id, collectivite_id=owner, details=details)
    outbox.publish(f"decision:{event}", _payload(decision), collectivite_id=owner)


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
    payload: dict[str, object] = {
        "decision_id": decision.id,
        "kind": decision.kind,
        "value": decision.value,
        "action": decision.action if decision.state == _State.ACTIVE else Action.WARN.value,
        "scope": decision.scope,
        "reason": decision.reason,
        "state": decision.state,
        "expires_at": int(decision.expires_at.timestamp()) if decision.expires_at else 0,
        "campaign_id": decision.campaign_id,
    }
    if decision.canary_communes:
        payload |= {"canaries": decision.canary_communes, "canary_action": decision.action}
    return payload
