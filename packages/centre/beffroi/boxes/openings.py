"""A commune asks that somebody may come in from the internet; the Département opens it until a time, or says why not.

Process: web (a référent asks, withdraws, closes), console (the Département answers, closes), worker (what is at its end
         leaves the policy; the box ended it by its own clock).
Input:   what a person wrote: shown to that commune and the Département, and stands in no log.
Source:  docs/decisions/0233-openings-end-by-themselves.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Policy
from beffroi_protocol.openings import PROTOCOLS, Opening, machine
from django.db import transaction
from django.db.models import Q, QuerySet

from beffroi.boxes import actions, asking, queries
from beffroi.boxes.models import Box, OpeningRequest
from beffroi.core.communes import queries as communes
from beffroi.core.events import outbox
from beffroi.core.events.registry import periodic
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock, reasons
from beffroi.lib.errors import BeffroiError, Conflict, Invalid, NotAllowed

MAX_WAITING, MAX_OPEN, MAX_SOURCES = 10, 32, 16
MAX_DAYS = 366
WIDEST = {4: 24, 6: 48}
"""Prefix lengths of a source: somebody's own, never a whole provider's."""
_State = OpeningRequest.State


class PortTaken(BeffroiError):
    """This port is open to another machine already, or is a trap of this boîtier."""

    code = "box.port_taken"
    http_status = 409


def visible_requests(actor: Actor) -> QuerySet[OpeningRequest]:
    """As of ``asking.visible``."""
    return asking.visible(actor, OpeningRequest)


def under_way_first(actor: Actor, *, past: int) -> list[OpeningRequest]:
    """All that wait or are open, which somebody may have to close, then the ``past`` newest of the others."""
    rows, under_way = visible_requests(actor), (_State.ASKED, _State.ACCEPTED)
    return [*rows.filter(state__in=under_way), *rows.exclude(state__in=under_way)[:past]]


def access_request(actor: Actor, request_id: str) -> OpeningRequest:
    """Errors: NotFound, for absent and forbidden alike."""
    return asking.access(actor, OpeningRequest, request_id)


def waiting(actor: Actor) -> QuerySet[OpeningRequest]:
    """As of ``asking.waiting``."""
    return asking.waiting(actor, OpeningRequest)


@transaction.atomic
def ask(
    *, actor: Actor, at: str, protocol: str, port: int, sources: Sequence[str], purpose: str, until: datetime
) -> OpeningRequest:
    """Ask the Département for an opening to the machine ``at`` an address of the actor's collectivité.

    Errors: NotAllowed, Invalid, Conflict (too many wait; no boîtier is in service).
    """
    owner = actor.leads
    if owner is None:
        raise NotAllowed("ask for an opening")
    if machine(at) != at or protocol not in PROTOCOLS or not 0 < port < 65536:
        raise Invalid("opening")
    version = ipaddress.ip_address(at).version
    if not 0 < len(sources) <= MAX_SOURCES or not all(_is_source(one, version) for one in sources):
        raise Invalid("sources")
    said = reasons.checked(purpose, most_chars=asking.MAX_TEXT_CHARS)
    _check_end(until)
    if not Box.objects.filter(collectivite_id=owner, state=Box.State.ACTIVE).exists():
        raise Conflict("no boîtier is in service")
    if OpeningRequest.objects.filter(collectivite_id=owner, state=_State.ASKED).count() >= MAX_WAITING:
        raise Conflict("too many requests wait")
    made = OpeningRequest.objects.create(
        collectivite_id=owner,
        machine=at,
        protocol=protocol,
        port=port,
        sources="\n".join(sources),
        purpose=said,
        until=until,
        asked_by=actor.id,
    )
    asking.tell(actor, made)
    return made


@transaction.atomic
def withdraw(*, actor: Actor, request: OpeningRequest) -> None:
    """Errors: as of ``asking.withdraw``."""
    asking.withdraw(actor, request)


@transaction.atomic
def accept(*, actor: Actor, request: OpeningRequest, until: datetime) -> None:
    """Open it until then, by a new policy. Errors: NotAllowed, Invalid, PortTaken, Conflict (answered; no policy)."""
    asking.require_answering(actor, request)
    _check_end(until)
    OpeningRequest.objects.filter(pk=request.pk, state=_State.ASKED).update(until=until)
    asking.answer(actor, request, _State.ACCEPTED)
    opening = Opening(
        request.protocol,
        request.port,
        request.machine,
        tuple(request.sources.splitlines()),
        int(until.timestamp()),
        request.id,
    )

    def opened(policy: Policy) -> Policy:
        led = {(one.protocol, one.port) for one in policy.openings}
        trapped = request.protocol == "tcp" and request.port in policy.honeyports
        if trapped or (request.protocol, request.port) in led:
            raise PortTaken
        if len(policy.openings) >= MAX_OPEN:
            raise Conflict("too many openings")
        return msgspec.structs.replace(policy, openings=(*policy.openings, opening))

    _change(actor, request, opened, request.purpose)


@transaction.atomic
def decline(*, actor: Actor, request: OpeningRequest, reason: str) -> None:
    """Errors: as of ``asking.decline``."""
    asking.decline(actor, request, reason)


@transaction.atomic
def close(*, actor: Actor, request: OpeningRequest) -> None:
    """End it before its time: the commune, or the Département. What runs through it is cut.

    Errors: NotFound, Conflict (it is not open).
    """
    found = access_request(actor, request.id)
    _end(actor, found, "Ouverture depuis internet refermée avant sa fin")


def led_in(collectivite_id: str, protocol: str, port: int, remote: str, *, since: datetime) -> bool:
    """Whether an opening that was in force then, or later, lets somebody of ``remote`` (a prefix) come in so."""
    came = ipaddress.ip_network(remote)
    opened = OpeningRequest.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=since),
        collectivite_id=collectivite_id,
        protocol=protocol,
        port=port,
        state__in=(_State.ACCEPTED, _State.ENDED),
    )
    return any(
        came.overlaps(ipaddress.ip_network(text, strict=False))
        for one in opened
        for text in one.sources.splitlines()
    )


@periodic("boxes.openings", every_s=30.0)
def end_due() -> int:
    """What is at its end leaves the policies; return how many."""
    actor, ended = Actor.system("boxes"), 0
    for one in OpeningRequest.objects.filter(state=_State.ACCEPTED, until__lte=clock.now()):
        try:
            with transaction.atomic():
                _end(actor, one, "Fin d’une ouverture depuis internet")
        except Conflict:  # somebody closed it meanwhile
            continue
        ended += 1
    return ended


def _end(actor: Actor, request: OpeningRequest, why: str) -> None:
    by = "" if actor.kind == "system" else actor.id
    asking.move(actor, request, _State.ACCEPTED, state=_State.ENDED, ended_by=by, ended_at=clock.now())

    def closed(policy: Policy) -> Policy:
        left = tuple(one for one in policy.openings if one.label != request.id)
        return msgspec.structs.replace(policy, openings=left)

    # A commune may close what was opened for it, and changes nothing else of its policy.
    _change(Actor.system("boxes") if actor.kind == "person" else actor, request, closed, why)


def _change(actor: Actor, request: OpeningRequest, new: Callable[[Policy], Policy], why: str) -> None:
    outbox.serialise()
    current = queries.current_policy(actor, request.collectivite_id)
    if current is None:
        raise Conflict("this commune has no policy")
    version, policy = current
    if (changed := new(policy)) != policy:
        actions.set_policy(
            actor=actor,
            collectivite=communes.access_collectivite(actor, request.collectivite_id),
            policy=changed,
            reason=why,
            base_version=version,
        )


def _check_end(until: datetime) -> None:
    now = clock.now()
    if not now < until <= now + timedelta(days=MAX_DAYS):
        raise Invalid("until")


def _is_source(text: str, version: int) -> bool:
    """Of the machine's family, since nothing translates between both; and as it is written in a policy."""
    try:
        network = ipaddress.ip_network(normalise(Kind.CIDR, text).value)
    except ProtocolError:
        return False
    return network.version == version and network.prefixlen >= WIDEST[version]
