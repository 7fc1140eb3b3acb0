"""Local exceptions: a collectivité lets something through for a time, for itself alone.

Purpose: "débloquer 1 h", and longer ones of the Département. Travels as an entry ``allow`` in that collectivité's
         overlays, so that no other commune ever hears of it.
Input:   a page's request; the collectivité comes from the credential. Whether a town hall's people may unblock at
         all is its policy (``Policy.unlock``), which the caller has checked: the core knows no boxes.
Fails:   closed: what is refused stays blocked.
Source:  docs/internals/decisions.md, Local exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from beffroi_protocol.indicators import Indicator, Kind, normalise
from beffroi_protocol.protected import SHORTEST_PREFIX
from django.conf import settings
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import listed, queries, rules
from beffroi.core.decisions.models import ENDS_AT_ONCE, SCOPE_ALL, Decision, IndicatorList, LocalException
from beffroi.core.decisions.queries import access_exception
from beffroi.core.decisions.rules import Held
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotAllowed

MAX_TTL_S = 90 * 86400
ATTACK = "attack"
"""Why one was closed: what it let through is now known for an attack."""
_State = LocalException.State


class ExceptionRefused(BeffroiError):
    """This may not be let through: {}"""

    code = "exception.refused"
    http_status = 409


def allow_locally(
    *,
    actor: Actor,
    collectivite_id: str,
    indicator: Indicator,
    ttl_s: int,
    reason: str,
    decision_id: str = "",
) -> LocalException:
    """Let ``indicator`` through at the doors of one collectivité until ``ttl_s`` seconds from now; an active
    exception of the same is returned, with a later end if this one lasts longer.

    ``reason``: words of the person, 1 to 500 characters. ``decision_id``: the decision that was in the way, if known.
    Errors: NotFound (another commune's), NotAllowed, Invalid, Conflict (too many), ExceptionRefused
    ("command_server", "seen_by_several", "range"), Unavailable (a list cannot be read).
    """
    actor.require_sees(collectivite_id)
    departement = actor.sees_all
    if not departement and actor.kind != "person":
        raise NotAllowed("let something through")
    if not 0 < ttl_s <= (MAX_TTL_S if departement else settings.BEFFROI.exception_person_s):
        raise Invalid("ttl_s")
    if not reason.strip() or len(reason) > 500:
        raise Invalid("reason")
    canonical = normalise(indicator.kind, indicator.value)
    if not departement and canonical.kind is Kind.CIDR:
        raise ExceptionRefused("range")
    _check_range(canonical)
    named = [listed.held_of(one) for one in listed.touching(listed.blocking_in(collectivite_id), canonical)]
    with transaction.atomic():
        outbox.serialise()
        held = [queries.held_of(one) for one in _in_force(canonical, collectivite_id)] + named
        if why := rules.exception_refused(held, departement=departement):
            raise ExceptionRefused(why)
        return _put(
            canonical,
            actor=actor,
            ttl_s=ttl_s,
            collectivite_id=collectivite_id,
            reason=reason.strip(),
            decision_id=decision_id[:40],
        )


@transaction.atomic
def end(*, actor: Actor, exception_id: str) -> bool:
    """Block again at once; False if it had ended already. Errors: NotFound."""
    found = access_exception(actor, exception_id)
    if not actor.sees_all and actor.kind != "person":
        raise NotAllowed("end an exception")
    outbox.serialise()
    return _end(found, actor=actor, state=_State.ENDED, reason="person")


def end_touched(indicator: Indicator, *, actor: Actor) -> int:
    """Close what people of communes opened and what a decision now says nobody there may; in the caller's
    transaction. Return how many."""
    rows = LocalException.objects.filter(state=_State.ACTIVE, by_departement=False)
    found = [one for one in queries.near(rows, indicator) if rules.touches(one.indicator, indicator)]
    return sum(_end(one, actor=actor, state=_State.ENDED, reason=ATTACK) for one in found)


def end_listed(row: IndicatorList, *, actor: Actor) -> int:
    """Close what people of communes opened and what a list of command servers now names; return how many.

    Errors: Unavailable.
    """
    if not rules.exception_refused([Held(row.threat, listed.RULE, {})], departement=False):
        return 0
    rows = LocalException.objects.filter(state=_State.ACTIVE, by_departement=False)
    if row.scope != SCOPE_ALL:
        rows = rows.filter(collectivite_id=row.scope)
    open_ = list(rows)
    named = listed.touched(row, {one.indicator for one in open_})
    with transaction.atomic():
        outbox.serialise()
        found = [one for one in open_ if one.indicator in named]
        return sum(_end(one, actor=actor, state=_State.ENDED, reason=ATTACK) for one in found)


def expire_due() -> int:
    """End exceptions whose time is over; return how many, 0 when none is left."""
    due = LocalException.objects.filter(state=_State.ACTIVE, expires_at__lte=clock.paced_now())
    if not due.exists():
        return 0
    actor = Actor.system("decisions.expiry")
    with transaction.atomic():
        outbox.serialise()
        found = list(due.order_by("expires_at")[:ENDS_AT_ONCE])
        return sum(_end(one, actor=actor, state=_State.EXPIRED, reason="ttl") for one in found)


def _in_force(indicator: Indicator, collectivite_id: str) -> Sequence[Decision]:
    """The open decisions that an exception would set aside there, wider and narrower ones."""
    rows = Decision.objects.filter(state__in=Decision.OPEN, scope__in=(SCOPE_ALL, collectivite_id))
    return [one for one in queries.near(rows, indicator) if rules.touches(one.indicator, indicator)]


def _check_range(indicator: Indicator) -> None:
    if indicator.kind is Kind.CIDR:
        address, _, bits = indicator.value.partition("/")
        if int(bits) < SHORTEST_PREFIX[6 if ":" in address else 4]:
            raise ExceptionRefused("range")


def _put(
    indicator: Indicator, *, actor: Actor, collectivite_id: str, ttl_s: int, reason: str, decision_id: str
) -> LocalException:
    now = clock.paced_now()
    ends = now + timedelta(seconds=ttl_s)
    active = LocalException.objects.filter(collectivite_id=collectivite_id, state=_State.ACTIVE)
    present = active.filter(kind=indicator.kind.value, value=indicator.value).first()
    if present is not None and present.expires_at > now:
        if ends > present.expires_at:
            present.expires_at = ends
            present.by_departement = present.by_departement or actor.sees_all
            present.save(update_fields=["expires_at", "by_departement"])
            _tell(present, "allowed", actor=actor, details={"ttl_s": ttl_s})
        return present
    if present is not None:
        _end(present, actor=actor, state=_State.EXPIRED, reason="ttl")
    if active.count() >= rules.MAX_LOCAL_EXCEPTIONS:
        raise Conflict("this collectivité has too many exceptions")
    made = LocalException.objects.create(
        collectivite_id=collectivite_id,
        kind=indicator.kind.value,
        value=indicator.value,
        reason=reason,
        decision_id=decision_id,
        created_by=actor.id,
        by_departement=actor.sees_all,
        expires_at=ends,
    )
    _tell(made, "allowed", actor=actor, details={"ttl_s": ttl_s})
    return made


def _end(found: LocalException, *, actor: Actor, state: LocalException.State, reason: str) -> bool:
    changed = LocalException.objects.filter(pk=found.pk, state=_State.ACTIVE).update(
        state=state, ended_at=clock.now(), ended_by=actor.id
    )
    found.refresh_from_db()
    if changed:
        _tell(found, "ended", actor=actor, details={"reason": reason[:80]})
    return bool(changed)


def _tell(found: LocalException, what: str, *, actor: Actor, details: dict[str, str | int]) -> None:
    shown = "" if found.kind == "sender" else found.value  # a sender's address names a person
    audit.record_of(
        actor,
        f"exception:{what}",
        found,
        {"kind": found.kind, "value": shown, "decision_id": found.decision_id, **details},
    )
    payload = {
        "exception_id": found.id,
        "decision_id": found.decision_id,
        "kind": found.kind,
        "value": found.value,
        "scope": found.collectivite_id,
        "expires_at": int(found.expires_at.timestamp()),
        "state": found.state,
        "reason": details.get("reason", ""),
    }
    outbox.publish(f"exception:{what}", payload, collectivite_id=found.collectivite_id)
