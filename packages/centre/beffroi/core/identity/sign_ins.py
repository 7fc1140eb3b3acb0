"""Evidence of successful sign-ins: who, from which address, at which door, when. Kept for 30 days, then erased.
A session of the portal that goes on from another address counts as one from there: who copied its cookie did not sign
in.

Purpose: when an address turns out to be an attacker's, find who signed in from it, and end those sessions.
Process: web writes at sign-in, mailgate (plain SQL: mail/gate/sign_ins.py) for IMAP and submission; the purge erases.
Privacy: one row a person, door, address and day; read by looking back, the person and the incident it led to.
Fails:   open: without an address in the request (no front) nothing is kept, and the person gets in.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import DatabaseError
from django.db.models import Count, F
from django.http import HttpRequest

from beffroi.core.communes import row_security
from beffroi.core.decisions import door
from beffroi.core.identity import queries
from beffroi.core.identity.models import Membership, Person, SignIn
from beffroi.lib import clock, hashed

log = logging.getLogger("beffroi.identity")
KEEP_DAYS = 30
PORTAL = "portal"
ENDED_KEY = "sessions_ended"
"""Of a session: when all sessions of its person had been ended last, as it began."""
SEEN_FROM_KEY, MOST_SEEN_FROM = "seen_from", 16
"""Of a session: digests of the addresses it was used from, the last ones."""


@dataclass(frozen=True)
class Seen:
    """Sign-ins of one person in one collectivité from the addresses asked for."""

    person_id: str
    collectivite_id: str
    rows: tuple[SignIn, ...]

    @property
    def count(self) -> int:
        return sum(row.count for row in self.rows)

    @property
    def first_at(self) -> datetime:
        return min(row.first_at for row in self.rows)

    @property
    def last_at(self) -> datetime:
        return max(row.last_at for row in self.rows)


def client_address(request: HttpRequest) -> str:
    """The client as the front saw it; the front removes what came from outside and sets one address."""
    forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    return forwarded or str(request.META.get("REMOTE_ADDR", ""))


def on_signed_in(sender: object, request: HttpRequest, user: Any, **_: object) -> None:
    """Django's ``user_logged_in``: every factor was right."""
    current = queries.current_memberships(str(user.pk))
    if current:
        request.session[ENDED_KEY] = ended_last(current[0].person)
        address = client_address(request)
        request.session[SEEN_FROM_KEY] = [_digest(address)] if address else []
        record(current[0], address)


def goes_on(request: HttpRequest, memberships: Sequence[Membership], membership: Membership) -> bool:
    """Whether a session may go on from where it is used now: not from an address that the login door refuses. A new
    one is kept as a sign-in."""
    address, seen = client_address(request), request.session.get(SEEN_FROM_KEY)
    if not seen or not address or _digest(address) in seen:
        return True
    if door.blocked_address(address, {one.collectivite_id for one in memberships}) is not None:
        return False
    try:
        record(membership, address)
    except DatabaseError as error:  # a full disk: who is in goes on reading
        log.warning("a session goes on from another address, and is not kept: %s", type(error).__name__)
    else:
        request.session[SEEN_FROM_KEY] = [*seen, _digest(address)][-MOST_SEEN_FROM:]
    return True


def _digest(address: str) -> str:
    return hashed.sha256(address)[:16]


def ended_last(person: Person) -> str:
    """Whatever else it says now than when a session began: that session is over. No clock is asked which was first."""
    return person.sessions_from.isoformat() if person.sessions_from else ""


@row_security.unlimited()  # who changes to another collectivité is still limited to the present one
def record(membership: Membership, address: str, *, door: str = PORTAL) -> None:
    """Count one sign-in."""
    try:
        canonical = str(ipaddress.ip_address(address))
    except ValueError:
        return
    now = clock.now()
    row, made = SignIn.objects.get_or_create(
        person_id=membership.person_id,
        collectivite_id=membership.collectivite_id,
        door=door,
        address=canonical,
        day=now.date(),
        defaults={"first_at": now, "last_at": now},
    )
    if not made:
        SignIn.objects.filter(pk=row.pk).update(count=F("count") + 1, last_at=now)


def from_indicator(kind: str, value: str, *, collectivite_id: str = "") -> Sequence[Seen]:
    """Who signed in from an address or range in the days that are kept; nobody for another kind."""
    rows = SignIn.objects.order_by("first_at", "id")
    if collectivite_id:
        rows = rows.filter(collectivite_id=collectivite_id)
    if kind == "ip":
        return _grouped(rows.filter(address=value))
    if kind != "cidr":
        return []
    network = ipaddress.ip_network(value)
    known = rows.order_by().values_list("address", flat=True).distinct()
    inside = [one for one in known if ipaddress.ip_address(one) in network]
    return _grouped(rows.filter(address__in=inside[:500]))


def addresses() -> list[str]:
    """Every address of the days that are kept, each once."""
    return list(SignIn.objects.order_by().values_list("address", flat=True).distinct())


def known_by(day: date, wanted: Collection[str]) -> set[str]:
    """Those of these addresses that somebody had signed in from by a day, of the days that are kept."""
    rows = SignIn.objects.filter(address__in=wanted, day__lte=day).order_by()
    return set(rows.values_list("address", flat=True).distinct())


def from_addresses(wanted: Iterable[str], *, collectivite_id: str = "") -> Sequence[Seen]:
    """Who signed in from these addresses in the days that are kept; of one collectivité, or of all."""
    rows = SignIn.objects.filter(address__in=list(wanted)).order_by("first_at", "id")
    return _grouped(rows.filter(collectivite_id=collectivite_id) if collectivite_id else rows)


def who_came(collectivite_id: str) -> set[str]:
    """The people who signed in there, at any door, in the days that are kept."""
    rows = SignIn.objects.filter(collectivite_id=collectivite_id).order_by()
    return set(rows.values_list("person_id", flat=True).distinct())


def came() -> dict[str, int]:
    """Collectivité -> how many people signed in there, at any door, in the days that are kept. Numbers alone."""
    rows = SignIn.objects.order_by().values("collectivite_id")
    found = rows.annotate(persons=Count("person_id", distinct=True))
    return dict(found.values_list("collectivite_id", "persons"))


def own_addresses(person_id: str, *, collectivite_id: str, door: str, since: date) -> list[str]:
    """From where this person, and no colleague, signed in at a door since a day: a town hall's own address serves
    colleagues, too."""
    rows = SignIn.objects.filter(
        person_id=person_id, collectivite_id=collectivite_id, door=door, day__gte=since
    )
    found = set(rows.values_list("address", flat=True))
    colleagues = SignIn.objects.filter(collectivite_id=collectivite_id).exclude(person_id=person_id)
    shared = colleagues.filter(address__in=found)
    return sorted(found - set(shared.values_list("address", flat=True)))


def _grouped(rows: Iterable[SignIn]) -> Sequence[Seen]:
    found: dict[tuple[str, str], list[SignIn]] = {}
    for row in rows:
        found.setdefault((row.person_id, row.collectivite_id), []).append(row)
    return [Seen(person, owner, tuple(own)) for (person, owner), own in found.items()]
