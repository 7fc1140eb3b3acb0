"""Appeals: a commune contests a decision or an entry of a list, and the Département answers.

Process: web (a commune's person), console.
Input:   the text is a person's; it is shown to the Département and to that commune only, and stands in no log.
"""

from __future__ import annotations

from beffroi_protocol.indicators import Indicator, Kind, normalise
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.decisions import actions, listed, never_again, queries
from beffroi.core.decisions.models import Appeal, AppealAddition, Decision
from beffroi.core.decisions.queries import access_appeal, access_decision
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed

MAX_OPEN = MAX_ADDED = 50
END_REASON = "appeal_accepted"


@transaction.atomic
def appeal(*, actor: Actor, decision_id: str, text: str) -> Appeal:
    """Contest a decision that applies to the actor's commune; what is written to an open appeal of the commune is added
    to it.

    Errors: NotFound, NotAllowed, Invalid, Conflict (the decision ended; or too many are open).
    """
    owner = _check(actor, text)
    outbox.serialise()  # what ends it meanwhile has ended it
    decision = access_decision(actor, decision_id)
    if decision.state not in Decision.OPEN:
        raise Conflict("the decision ended already")
    return _put(actor, owner, text, decision_id=decision.id)


def appeal_entry(*, actor: Actor, indicator: Indicator, text: str) -> Appeal:
    """Contest what lists name at the doors of the actor's commune: the entry as it is listed, of a range the address
    that was asked for. What is written to an open appeal of the commune is added to it.

    Errors: NotAllowed, Invalid (also for a range), Conflict (no list refuses it; or too many are open), Unavailable.
    """
    owner = _check(actor, text)
    canonical = normalise(indicator.kind, indicator.value)
    if canonical.kind is Kind.CIDR:
        raise Invalid("indicator")
    found = listed.covering(queries.lists_in_force(actor), canonical)
    if not found or queries.never_blocked(canonical) is not None:
        raise Conflict("no list refuses it")
    contested = listed.opening(found[0], canonical)
    with transaction.atomic():
        outbox.serialise()
        return _put(actor, owner, text, kind=contested.kind.value, value=contested.value)


def _check(actor: Actor, text: str) -> str:
    """Return whose appeal it is. Errors: NotAllowed, Invalid."""
    if actor.kind != "person" or actor.collectivite_id is None:
        raise NotAllowed("contest a decision")
    if not text.strip() or len(text) > 2000:
        raise Invalid("text")
    return actor.collectivite_id


def _put(actor: Actor, owner: str, text: str, **about: str) -> Appeal:
    own = Appeal.objects.filter(collectivite_id=owner, state=Appeal.State.OPEN)
    if (present := own.filter(**about).first()) is not None:
        _add(actor, present, text.strip())
        return present
    if own.count() >= MAX_OPEN:
        raise Conflict("too many appeals are open")
    made = Appeal.objects.create(collectivite_id=owner, text=text.strip(), created_by=actor.id, **about)
    _tell(made, "made", actor=actor)
    return made


def _add(actor: Actor, present: Appeal, text: str) -> None:
    """Once: a form that is sent twice says nothing new. Errors: Conflict (too much was added)."""
    added = AppealAddition.objects.filter(appeal_id=present.id)
    if (present.created_by, present.text) == (actor.id, text) or added.filter(
        created_by=actor.id, text=text
    ).exists():
        return
    if added.count() >= MAX_ADDED:
        raise Conflict("enough was written to this appeal")
    AppealAddition.objects.create(
        appeal_id=present.id, collectivite_id=present.collectivite_id, text=text, created_by=actor.id
    )
    _tell(present, "added", actor=actor)


@transaction.atomic
def answer(*, actor: Actor, appeal_id: str, accept: bool, text: str) -> Appeal:
    """Answer an appeal; accepted, what is refused by a decision is refused by none any more, the entry of a list passes
    everywhere, and every open appeal about it gets the same answer.

    Errors: NotFound, NotAllowed, Invalid, Conflict (answered already).
    """
    outbox.serialise()  # it may follow its decision to the next one meanwhile
    found = access_appeal(actor, appeal_id)
    actor.require_administrator("answer an appeal")
    if not text.strip() or len(text) > 2000:
        raise Invalid("text")
    about = {"decision_id": found.decision_id, "kind": found.kind, "value": found.value}
    same = Appeal.objects.filter(**about, state=Appeal.State.OPEN)
    if not same.filter(pk=found.pk).exists():
        raise Conflict("the appeal was answered already")
    for one in list(same if accept else same.filter(pk=found.pk)):
        one.state = Appeal.State.ACCEPTED if accept else Appeal.State.REFUSED
        one.answered_at, one.answered_by, one.answer = clock.now(), actor.id, text.strip()
        one.save(update_fields=["state", "answered_at", "answered_by", "answer"])
        _tell(one, str(one.state), actor=actor)
    decision = Decision.objects.filter(pk=found.decision_id).first()
    if accept and decision is not None:
        actions.revoke_covering(actor=actor, decision=decision, reason=END_REASON)
    elif accept and found.indicator is not None:
        never_again.never_again(
            actor=actor, indicator=found.indicator, reason=text.strip()[: never_again.MAX_REASON_CHARS]
        )
    found.refresh_from_db()
    return found


def _tell(row: Appeal, what: str, *, actor: Actor) -> None:
    shown = "" if row.kind == "sender" else row.value  # a sender's address names a person
    audit.record_of(
        actor, f"appeal:{what}", row, {"decision_id": row.decision_id, "kind": row.kind, "value": shown}
    )
    outbox.publish(
        f"appeal:{what}",
        {"appeal_id": row.id, "decision_id": row.decision_id},
        collectivite_id=row.collectivite_id,
    )
