"""What a commune asks of the Département about its boîtier: who sees it, who answers it, and that each step is told.

Process: web (a référent asks and withdraws), console (the Département answers).
"""

from __future__ import annotations

from collections.abc import Mapping

from django.db.models import QuerySet

from beffroi.boxes.models import OpeningRequest, RelayRequest
from beffroi.core.audit import actions as audit
from beffroi.core.events import outbox
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, reasons
from beffroi.lib.errors import Conflict, NotAllowed, existing

MAX_TEXT_CHARS = 300
type Asked = RelayRequest | OpeningRequest
_WHAT: Mapping[type, str] = {RelayRequest: "relay", OpeningRequest: "opening"}


def visible[R: (RelayRequest, OpeningRequest)](actor: Actor, kind: type[R]) -> QuerySet[R]:
    """Newest first: all for the Département, those of the own collectivité for a référent, else none."""
    return actor.led(kind._default_manager.order_by("-asked_at"))


def access[R: (RelayRequest, OpeningRequest)](actor: Actor, kind: type[R], request_id: str) -> R:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(visible(actor, kind).filter(pk=request_id).first(), f"{_WHAT[kind]} request")


def waiting[R: (RelayRequest, OpeningRequest)](actor: Actor, kind: type[R]) -> QuerySet[R]:
    """Those that nobody answered, oldest first."""
    return visible(actor, kind).filter(state=kind.State.ASKED).order_by("asked_at")


def withdraw[R: (RelayRequest, OpeningRequest)](actor: Actor, request: R) -> None:
    """A référent of the collectivité takes it back. Errors: NotFound, NotAllowed, Conflict (it was answered)."""
    found = access(actor, type(request), request.id)
    if actor.kind != "person":
        raise NotAllowed("withdraw a request of a commune")
    answer(actor, found, found.State.WITHDRAWN)


def decline(actor: Actor, request: Asked, reason: str) -> None:
    """``reason``: the commune reads it. Errors: NotAllowed, Invalid, Conflict (answered)."""
    require_answering(actor, request)
    answer(actor, request, request.State.DECLINED, reasons.checked(reason, most_chars=MAX_TEXT_CHARS))


def require_answering(actor: Actor, request: Asked) -> None:
    """Errors: NotAllowed."""
    actor.require_administrator(f"answer a request ({_WHAT[type(request)]})")


def answer(actor: Actor, request: Asked, state: str, reason: str = "") -> None:
    """Errors: Conflict (it was answered)."""
    values = {"state": state, "decided_by": actor.id, "decided_at": clock.now(), "reason": reason}
    move(actor, request, request.State.ASKED, **values)


def move(actor: Actor, request: Asked, before: str, **values: object) -> None:
    """Errors: Conflict (it is not in the state ``before`` any more)."""
    if not type(request)._default_manager.filter(pk=request.pk, state=before).update(**values):
        raise Conflict("the request is not in this state any more")
    request.refresh_from_db()
    tell(actor, request)


def tell(actor: Actor, request: Asked) -> None:
    verb = f"box:{_WHAT[type(request)]}_{request.state}"
    audit.record_of(actor, verb, request, request.told())
    outbox.publish(verb, {"request_id": request.id}, collectivite_id=request.collectivite_id)
