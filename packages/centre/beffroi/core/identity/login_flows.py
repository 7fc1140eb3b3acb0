"""A program asks for access to a person's files, and the person allows it in the portal (Nextcloud's login flow v2).

Purpose: the program gets a secret to ask with (poll) and an address for the browser; the person signs in there, sees
         which program asks, and allows it. The app password is made when the program comes for it: nothing secret waits
         in the database. Nothing at all is written before a person answers: what was asked stands in the address,
         signed, so that whoever asks without end fills nothing, and keeps nobody from asking.
Input:   hostile: the secret to poll with, 256 random bits, the address, and the program's name, from anybody.
Fails:   closed: used, refused, too old, of a membership that ended, or allowed before the person's sessions were ended
         or their password was changed: there is no such request. Of two polls at once one gets the app password.
Source:  docs/internals/drive-sync.md; docs/decisions/0073, 0228.
"""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import Q

from beffroi.core.audit import actions as audit
from beffroi.core.identity import actions, limits, queries, sessions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import LoginFlow, Membership
from beffroi.lib import clock, hashed
from beffroi.lib.errors import NotFound, existing

LIFE_S = 20 * 60
MAX_PROGRAM_CHARS = 100
SALT = "identity.login_flow"


@dataclass(frozen=True)
class Begun:
    """``poll_secret`` is the program's, ``page_secret`` part of the address of the page; stored nowhere."""

    poll_secret: str
    page_secret: str


@dataclass(frozen=True)
class Asked:
    """What a program asked for. ``network``: of the program, to be compared with the browser's."""

    poll_sha256: str
    page_sha256: str
    program: str
    network: str
    expires_at: datetime


@dataclass(frozen=True)
class Granted:
    """What the program gets, once."""

    login: str
    issued: actions.IssuedAppPassword


def begin(*, program: str, address: str) -> Begun:
    """``program``: as it calls itself. ``address``: where it asks from."""
    poll_secret = secrets.token_urlsafe(32)
    asked = (
        hashed.sha256(poll_secret),
        _printable(program),
        limits.network_of(address),
        clock.epoch_s() + LIFE_S,
    )
    return Begun(poll_secret, signing.dumps(asked, salt=SALT))


def find(page_secret: str) -> Asked:
    """The request that still waits for an answer; looking changes nothing. Errors: NotFound."""
    try:
        poll_sha256, program, network, until_s = signing.loads(page_secret, salt=SALT)
    except signing.BadSignature:
        raise NotFound("login flow") from None
    if until_s <= clock.epoch_s() or LoginFlow.objects.filter(poll_sha256=poll_sha256).exists():
        raise NotFound("login flow")
    expires_at = datetime.fromtimestamp(until_s, UTC)
    return Asked(poll_sha256, hashed.sha256(page_secret), program, network, expires_at)


@transaction.atomic
def grant(*, actor: Actor, asked: Asked, membership: Membership) -> None:
    """Let the program in as this membership; the page asks for a step-up first.

    Errors: NotFound (another person's membership, or the request is over), Conflict (the membership ended).
    """
    queries.require_own(actor, membership)
    queries.require_current(membership)
    flow = _answered(asked, membership=membership, granted_at=clock.now())
    owner, told = membership.collectivite_id, {"person_id": membership.person_id}
    audit.record(actor, "identity:login_flow:granted", flow.pk, collectivite_id=owner, details=told)


@transaction.atomic
def refuse(*, actor: Actor, asked: Asked) -> None:
    """The program gets nothing. Errors: NotFound (the request is over)."""
    flow = _answered(asked, ended_at=clock.now())
    audit.record(actor, "identity:login_flow:refused", flow.pk, collectivite_id=actor.collectivite_id)


@transaction.atomic
def poll(poll_secret: str) -> Granted:
    """What was granted, once. Errors: NotFound, for not yet, never and no more alike."""
    now = clock.now()
    member = Q(membership__until=None) | Q(membership__until__gt=now)
    rows = LoginFlow.objects.select_related("membership__person", "membership__collectivite").filter(
        _waits() & member, membership__person__is_active=True
    )
    flow = existing(rows.filter(poll_sha256=hashed.sha256(poll_secret)).first(), "login flow")
    membership = flow.membership
    rows = LoginFlow.objects.filter(pk=flow.pk, used_at=None, ended_at=None)
    if membership is None or not rows.update(used_at=now):
        raise NotFound("login flow")
    issued = actions.issue_app_password(
        actor=sessions.actor_of(membership), membership=membership, protocol_set="dav", label=flow.program
    )
    return Granted(membership.person.email, issued)


def _answered(asked: Asked, **answer: Any) -> LoginFlow:
    """Of two answers one counts. Errors: NotFound (there is one)."""
    try:
        with transaction.atomic():
            return LoginFlow.objects.create(**dataclasses.asdict(asked), **answer)
    except IntegrityError:
        raise NotFound("login flow") from None


def _waits() -> Q:
    return Q(used_at=None, ended_at=None, expires_at__gt=clock.now())


def _printable(program: str) -> str:
    """What a page and the list of app passwords may show of it."""
    return "".join(sign for sign in program if sign.isprintable()).strip()[:MAX_PROGRAM_CHARS]
