"""A commune asks for a relay for its copiers; the Département sets it up, or says why not.

Process: web (a référent asks and withdraws), console (the Département answers).
Input:   what a person wrote: shown to that commune and the Département, and stands in no log.
Source:  docs/decisions/0055-relay-recipients-at-the-centre.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from beffroi_protocol.relaying import MAX_RECIPIENTS
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from beffroi.boxes.models import Box, RelayRequest
from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, reasons
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, existing

MAX_HOUR = 1000
MAX_TEXT_CHARS = 300
MAX_RECIPIENTS_CHARS = 16_000
_State = RelayRequest.State


def visible_requests(actor: Actor) -> QuerySet[RelayRequest]:
    """Newest first: all for the Département, those of the own collectivité for a référent, else none."""
    return actor.led(RelayRequest.objects.order_by("-asked_at"))


def access_request(actor: Actor, request_id: str) -> RelayRequest:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible_requests(actor).filter(pk=request_id).first(), "relay request")


def waiting(actor: Actor) -> QuerySet[RelayRequest]:
    """Those that nobody answered, oldest first."""
    return visible_requests(actor).filter(state=_State.ASKED).order_by("asked_at")


@transaction.atomic
def ask(*, actor: Actor, sender: str, purpose: str, hour: int, recipients: Sequence[str]) -> RelayRequest:
    """Ask the Département for a relay of the actor's collectivité. ``recipients``: none for its own domains.

    Whether ``sender`` is a functional mailbox is looked at where it counts, at each token (boxes.relay).
    Errors: NotAllowed, Invalid, Conflict (one waits already; no boîtier is in service).
    """
    owner = actor.leads
    if owner is None:
        raise NotAllowed("ask for a relay")
    listed, said = "\n".join(recipients), " ".join(purpose.split())
    if not sender or not said or len(said) > MAX_TEXT_CHARS or not 1 <= hour <= MAX_HOUR:
        raise Invalid("relay")
    if len(recipients) > MAX_RECIPIENTS or len(listed) > MAX_RECIPIENTS_CHARS:
        raise Invalid("recipients")
    if not Box.objects.filter(collectivite_id=owner, state=Box.State.ACTIVE).exists():
        raise Conflict("no boîtier is in service")
    made = RelayRequest(
        collectivite_id=owner, sender=sender, purpose=said, hour=hour, recipients=listed, asked_by=actor.id
    )
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise Conflict("a request waits already") from None
    _tell(actor, made)
    return made


@transaction.atomic
def withdraw(*, actor: Actor, request: RelayRequest) -> None:
    """A référent of the collectivité takes it back. Errors: NotFound, NotAllowed, Conflict (it was answered)."""
    found = access_request(actor, request.id)
    if actor.kind != "person":
        raise NotAllowed("withdraw a request of a commune")
    _end(actor, found, _State.WITHDRAWN)


@transaction.atomic
def accept(*, actor: Actor, request: RelayRequest) -> None:
    """Say that the relay is set up, in the transaction that does it. Errors: NotAllowed, Conflict (answered)."""
    actor.require_administrator("answer a request for a relay")
    _end(actor, request, _State.ACCEPTED)


@transaction.atomic
def decline(*, actor: Actor, request: RelayRequest, reason: str) -> None:
    """``reason``: the commune reads it. Errors: NotAllowed, Invalid, Conflict (answered)."""
    actor.require_administrator("answer a request for a relay")
    said = reasons.checked(reason, most_chars=MAX_TEXT_CHARS)
    _end(actor, request, _State.DECLINED, said)


def _end(actor: Actor, request: RelayRequest, state: RelayRequest.State, reason: str = "") -> None:
    ended = RelayRequest.objects.filter(pk=request.pk, state=_State.ASKED).update(
        state=state, decided_by=actor.id, decided_at=clock.now(), reason=reason
    )
    if not ended:
        raise Conflict("the request was answered already")
    request.refresh_from_db()
    _tell(actor, request)


def _tell(actor: Actor, request: RelayRequest) -> None:
    verb = f"box:relay_{request.state}"
    audit.record_of(actor, verb, request)
    outbox.publish(verb, {"request_id": request.id}, collectivite_id=request.collectivite_id)
