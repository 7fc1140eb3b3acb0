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

from beffroi.boxes import asking
from beffroi.boxes.models import Box, RelayRequest
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Conflict, Invalid, NotAllowed

MAX_HOUR = 1000
MAX_RECIPIENTS_CHARS = 16_000
_State = RelayRequest.State


def visible_requests(actor: Actor) -> QuerySet[RelayRequest]:
    """As of ``asking.visible``."""
    return asking.visible(actor, RelayRequest)


def access_request(actor: Actor, request_id: str) -> RelayRequest:
    """Errors: NotFound, for absent and forbidden alike."""
    return asking.access(actor, RelayRequest, request_id)


def waiting(actor: Actor) -> QuerySet[RelayRequest]:
    """As of ``asking.waiting``."""
    return asking.waiting(actor, RelayRequest)


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
    if not sender or not said or len(said) > asking.MAX_TEXT_CHARS or not 1 <= hour <= MAX_HOUR:
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
    asking.tell(actor, made)
    return made


@transaction.atomic
def withdraw(*, actor: Actor, request: RelayRequest) -> None:
    """Errors: as of ``asking.withdraw``."""
    asking.withdraw(actor, request)


@transaction.atomic
def accept(*, actor: Actor, request: RelayRequest) -> None:
    """Say that the relay is set up, in the transaction that does it. Errors: NotAllowed, Conflict (answered)."""
    asking.require_answering(actor, request)
    asking.answer(actor, request, _State.ACCEPTED)


@transaction.atomic
def decline(*, actor: Actor, request: RelayRequest, reason: str) -> None:
    """Errors: as of ``asking.decline``."""
    asking.decline(actor, request, reason)
