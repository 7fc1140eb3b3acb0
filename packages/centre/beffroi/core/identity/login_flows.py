"""A program asks for access to a person's files, and the person allows it in the portal (Nextcloud's login flow v2).

Purpose: the program gets a secret to ask with (poll) and an address for the browser; the person signs in there, sees
         which program asks, and allows it. The app password is made when the program comes for it: nothing secret waits
         in the database.
Input:   hostile: both secrets, 256 random bits each, and the program's name, from anybody.
Fails:   closed: used, refused, too old, of a membership that ended, or allowed before the person's sessions were ended
         or their password was changed: there is no such request. Of two polls at once one gets the app password.
Source:  docs/internals/drive-sync.md; docs/decisions/0073.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from beffroi.core.audit import actions as audit
from beffroi.core.identity import actions, limits, sessions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import LoginFlow, Membership
from beffroi.lib import clock, hashed
from beffroi.lib.errors import BeffroiError, Conflict, NotFound, existing

LIFE_S = 20 * 60
MAX_PROGRAM_CHARS = 100
MOST_BEGUN = 60
"""By one subscriber in an hour: a town hall that sets up all of its computers at once."""
_HOUR_S = 3600


class TooManyBegun(BeffroiError):
    """Too many programs asked for access from this network; try again in an hour."""

    code = "identity.too_many_login_flows"
    http_status = 429
    retryable = True


@dataclass(frozen=True)
class Begun:
    """``poll_secret`` is the program's, ``page_secret`` part of the address of the page; stored nowhere."""

    record: LoginFlow
    poll_secret: str
    page_secret: str


@dataclass(frozen=True)
class Granted:
    """What the program gets, once."""

    login: str
    issued: actions.IssuedAppPassword


def begin(*, program: str, address: str) -> Begun:
    """``program``: as it calls itself. ``address``: where it asks from. Errors: TooManyBegun."""
    network = limits.network_of(address)
    if not limits.take("login_flow", network, limit=MOST_BEGUN, window_s=_HOUR_S):
        raise TooManyBegun
    poll_secret, page_secret = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    record = LoginFlow.objects.create(
        poll_sha256=hashed.sha256(poll_secret),
        page_sha256=hashed.sha256(page_secret),
        program=_printable(program),
        network=network,
        expires_at=clock.now() + timedelta(seconds=LIFE_S),
    )
    return Begun(record, poll_secret, page_secret)


def find(page_secret: str) -> LoginFlow:
    """The request that still waits for an answer; looking changes nothing. Errors: NotFound."""
    rows = LoginFlow.objects.filter(_waits(), membership=None)
    return existing(rows.filter(page_sha256=hashed.sha256(page_secret)).first(), "login flow")


@transaction.atomic
def grant(*, actor: Actor, flow: LoginFlow, membership: Membership) -> None:
    """Let the program in as this membership; the page asks for a step-up first.

    Errors: NotFound (another person's membership, or the request is over), Conflict (the membership ended).
    """
    if actor.kind != "person" or (actor.id, actor.collectivite_id) != (
        membership.person_id,
        membership.collectivite_id,
    ):
        raise NotFound("membership")
    if membership.until is not None and membership.until <= clock.now():
        raise Conflict("this membership has ended")
    rows = LoginFlow.objects.filter(_waits(), pk=flow.pk, membership=None)
    if not rows.update(membership=membership, granted_at=clock.now()):
        raise NotFound("login flow")
    owner, told = membership.collectivite_id, {"person_id": membership.person_id}
    audit.record(actor, "identity:login_flow:granted", flow.pk, collectivite_id=owner, details=told)


@transaction.atomic
def refuse(*, actor: Actor, flow: LoginFlow) -> None:
    """The program gets nothing. Errors: NotFound (the request is over)."""
    rows = LoginFlow.objects.filter(_waits(), pk=flow.pk, membership=None)
    if not rows.update(ended_at=clock.now()):
        raise NotFound("login flow")
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


def _waits() -> Q:
    return Q(used_at=None, ended_at=None, expires_at__gt=clock.now())


def _printable(program: str) -> str:
    """What a page and the list of app passwords may show of it."""
    return "".join(sign for sign in program if sign.isprintable()).strip()[:MAX_PROGRAM_CHARS]
