"""The relay for copiers, at the centre: which box may send as which mailbox, and what its devices sent.

Process: web (tokens), worker (counts, what the mail door enforces), console and portal (reads).
Input:   hostile boxes: a request is believed after its signature, and gives what the policy in force says, not what the
         request says.
Source:  docs/decisions/0045-relay-on-the-boitier.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
from beffroi_protocol.errors import SignatureInvalid
from beffroi_protocol.facts import MailRelayed
from beffroi_protocol.mail_token import read_request, verify_request
from beffroi_protocol.messages import Policy
from beffroi_protocol.relaying import Relay
from beffroi_protocol.signing import unb64
from django.db.models import Count, F, OuterRef, QuerySet, Subquery

from beffroi.boxes import queries
from beffroi.boxes.models import Box, BoxPolicy, RelayDay
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError, Unavailable

MAX_COUNT = 1_000_000


class BoxNotActive(BeffroiError):
    """This box is not in service."""

    code = "box.not_active"
    http_status = 403


class RelayOff(BeffroiError):
    """The settings of this box want no relay, or name a mailbox that its collectivité does not have."""

    code = "box.relay_off"
    http_status = 409


class RelayNotReady(Unavailable):
    """The mail door does not know yet what this relay may send; ask again in a moment: {}"""

    code = "box.relay_not_ready"


@dataclass(frozen=True)
class RelayInForce:
    """``boxes``: in service, which share what their policy allows."""

    collectivite_id: str
    policy_version: int
    relay: Relay
    boxes: int


def asked(text: str) -> tuple[Box, int, Relay]:
    """Return the box that signed this request, and version and relay of its policy in force.

    Errors: MessageMalformed, SignatureInvalid (also of an unknown box), BoxNotActive, RelayOff.
    """
    claim, _payload, _signature = read_request(text)
    box = Box.objects.filter(pk=claim.box_id).first()
    if box is None:
        raise SignatureInvalid(claim.box_id[:40])
    verify_request(text, unb64(box.public_key), now=clock.epoch_s())
    if box.state != Box.State.ACTIVE:
        raise BoxNotActive
    current = queries.current_policy(Actor.system("boxes"), box.collectivite_id)
    if current is None or current[1].relay is None:
        raise RelayOff
    return box, current[0], current[1].relay


def in_force() -> list[RelayInForce]:
    """Every relay that a box in service may send with; two queries for any number."""
    active = Box.objects.filter(state=Box.State.ACTIVE).order_by().values("collectivite_id")
    boxes = dict(active.annotate(n=Count("id")).values_list("collectivite_id", "n"))
    latest = BoxPolicy.objects.filter(collectivite_id=OuterRef("collectivite_id")).order_by("-policy_version")
    rows = BoxPolicy.objects.filter(
        collectivite_id__in=boxes, policy_version=Subquery(latest.values("policy_version")[:1])
    )
    return [
        RelayInForce(row.collectivite_id, row.policy_version, relay, boxes[row.collectivite_id])
        for row in rows
        if row.policy.get("relay") and (relay := msgspec.convert(row.policy, Policy).relay) is not None
    ]


def relay_of(actor: Actor, collectivite_id: str) -> Relay | None:
    current = queries.current_policy(actor, collectivite_id)
    return current[1].relay if current is not None else None


def keep(collectivite_id: str, fact: MailRelayed, at: datetime) -> None:
    """Add what one device sent. A name that the policy in force does not have counts as unknown: a box must not fill
    the table with names."""
    relay = relay_of(Actor.system("boxes"), collectivite_id)
    known = {device.label for device in relay.devices} if relay is not None else set()
    row, _ = RelayDay.objects.get_or_create(
        collectivite_id=collectivite_id,
        day=at.date(),
        device=fact.device if fact.device in known else "",
        defaults={"last_at": at},
    )
    news: dict[str, Any] = {
        "sent": F("sent") + min(fact.sent, MAX_COUNT),
        "refused": F("refused") + min(fact.refused, MAX_COUNT),
        "last_at": max(row.last_at, at),
    }
    if fact.reason:
        news |= {"reason": fact.reason, "refused_at": at}
    RelayDay.objects.filter(pk=row.pk).update(**news)


def relay_days(actor: Actor, collectivite_id: str, *, since: date) -> QuerySet[RelayDay]:
    """Latest day first; devices by name."""
    owner = collectivite_id if actor.sees_all else actor.collectivite_id or ""
    return RelayDay.objects.filter(collectivite_id=owner, day__gte=since).order_by("-day", "device")
