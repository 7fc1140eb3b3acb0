"""Never again: what a person took back for good. Every way to a decision asks ``protected``, which asks this list.

Purpose: no decision is made again, and no list refuses it: an entry ``allow`` in the base channels lets it pass at
         every door within a second, whatever a list names today or tomorrow; taken back, it is refused as fast.
Process: console; worker (the end of a term).
Fails:   closed towards blocking: what is on the list is not decided, whoever asks.
Source:  docs/decisions/0024-entries-of-lists.md.
"""

from __future__ import annotations

from datetime import timedelta

from beffroi_protocol.indicators import Indicator, normalise
from beffroi_protocol.protected import too_wide
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import actions, queries, rules
from beffroi.core.decisions.models import ENDS_AT_ONCE, NeverAgain
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Invalid, NotFound

MAX_TTL_S = 3650 * 86400
MAX_REASON_CHARS = 500
END_REASON = "never_again"
EXPIRED = "ttl"


@transaction.atomic
def never_again(*, actor: Actor, indicator: Indicator, reason: str, ttl_s: int = 0) -> NeverAgain:
    """End every decision about ``indicator`` at every door, in one signed batch a channel, let none be made again, and
    let it pass whatever lists name it.

    ``reason``: 1 to 500 characters. ``ttl_s`` in seconds, 0: until it is taken back. Errors: NotAllowed, Invalid (also
    for what is too wide to be let through everywhere).
    """
    actor.require_administrator("decide for others")
    if not reason.strip() or len(reason) > MAX_REASON_CHARS:
        raise Invalid("reason")
    if not 0 <= ttl_s <= MAX_TTL_S:
        raise Invalid("ttl_s")
    canonical = normalise(indicator.kind, indicator.value)
    if too_wide(canonical):
        raise Invalid("indicator")
    outbox.serialise()
    until = clock.paced_now() + timedelta(seconds=ttl_s) if ttl_s else None
    row, new = NeverAgain.objects.get_or_create(
        kind=canonical.kind.value,
        value=canonical.value,
        revoked_at=None,
        defaults={"reason": reason.strip(), "created_by": actor.id, "until": until},
    )
    if not new:
        row.reason, row.until, row.created_by, row.pending = reason.strip(), until, actor.id, False
        row.save(update_fields=["reason", "until", "created_by", "pending"])
    _tell(row, "set", actor=actor)
    for one in queries.near(queries.not_taken_back(), canonical).order_by("id"):
        if rules.touches(one.indicator, canonical):
            actions.revoke(actor=actor, decision=one, reason=END_REASON)
    return row


@transaction.atomic
def spare(*, actor: Actor, indicator: Indicator, reason: str, communes: int) -> bool:
    """Let a canonical entry of lists pass at every door until a person has looked; ``reason``: a code. False if it
    passes already. It ends no decision and stops none."""
    outbox.serialise()
    row, new = NeverAgain.objects.get_or_create(
        kind=indicator.kind.value,
        value=indicator.value,
        revoked_at=None,
        defaults={"reason": reason, "created_by": actor.id, "communes": communes, "pending": True},
    )
    if new:
        _tell(row, "set", actor=actor)
    return new


@transaction.atomic
def unspare(row: NeverAgain, *, actor: Actor, reason: str) -> bool:
    """End what waits for a person without one: a decision came."""
    outbox.serialise()
    return _end(row, actor=actor, reason=reason)


@transaction.atomic
def take_back(*, actor: Actor, never_again_id: str, reason: str) -> bool:
    """Let it be decided again; False if that was so already. What a list names is refused again at once. Errors:
    NotAllowed, NotFound, Invalid."""
    actor.require_administrator("decide for others")
    if not reason.strip() or len(reason) > MAX_REASON_CHARS:
        raise Invalid("reason")
    row = NeverAgain.objects.filter(pk=never_again_id).first()
    if row is None:
        raise NotFound("entry")
    return _end(row, actor=actor, reason=reason.strip())


def expire_due() -> int:
    """End those whose time is over; return how many, 0 when none is left. No door heeds them from then on."""
    due = NeverAgain.objects.filter(revoked_at=None, until__lte=clock.paced_now())
    if not due.exists():  # the usual case: no write lock is taken
        return 0
    actor = Actor.system("decisions.expiry")
    with transaction.atomic():
        outbox.serialise()
        return sum(_end(row, actor=actor, reason=EXPIRED) for row in list(due[:ENDS_AT_ONCE]))


def _end(row: NeverAgain, *, actor: Actor, reason: str) -> bool:
    changed = NeverAgain.objects.filter(pk=row.pk, revoked_at=None).update(
        revoked_at=clock.now(), revoked_by=actor.id, revoke_reason=reason
    )
    if changed:
        _tell(row, "taken_back", actor=actor)
    return bool(changed)


def _tell(row: NeverAgain, what: str, *, actor: Actor) -> None:
    shown = "" if row.kind == "sender" else row.value
    audit.record(
        actor, f"never_again:{what}", row.id, collectivite_id=None, details={"kind": row.kind, "value": shown}
    )
    until = int(row.until.timestamp()) if row.until else 0
    payload = {"never_again_id": row.id, "kind": row.kind, "value": row.value, "until": until}
    outbox.publish(f"never_again:{what}", payload)
