"""One-time links by which a phone fetches its mail settings, without a sign-in on the phone.

Purpose: a person who is signed in, and has just confirmed it, makes a link; whoever opens it within ten minutes gets
         a new app password, once. It is made when the link is opened: nothing secret waits in the database.
Input:   hostile: the secret part of a link, 192 random bits, from anybody.
Fails:   closed: used, ended, too old, of a membership that ended, or made before the person's sessions were ended or
         their password was changed: the link is not there. Of two requests at the same time one gets the settings.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from beffroi.core.audit import actions as audit
from beffroi.core.identity import actions, queries, sessions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import DeviceLink, Membership
from beffroi.lib import clock, hashed
from beffroi.lib.errors import Conflict, Invalid, NotFound, existing

USED = "identity:device_link:used"
LIFE_S = 600
MAX_WAITING = 5
MAX_LABEL_CHARS = 100


@dataclass(frozen=True)
class MadeLink:
    """``secret`` is part of the link's address; shown once and stored nowhere."""

    record: DeviceLink
    secret: str


@dataclass(frozen=True)
class Opened:
    """What an opened link gives: a new app password, and as whom to look up its mailboxes."""

    actor: Actor
    issued: actions.IssuedAppPassword


@transaction.atomic
def make(*, actor: Actor, membership: Membership, kind: str, label: str) -> MadeLink:
    """Errors: NotFound (another person's membership), Invalid (label), Conflict (too many wait, or it ended)."""
    queries.require_own(actor, membership)
    if not label.strip() or len(label.strip()) > MAX_LABEL_CHARS or "\x00" in label:
        raise Invalid("label")
    queries.require_current(membership)
    if waiting(actor).count() >= MAX_WAITING:
        raise Conflict("too many links wait for a phone")
    secret = secrets.token_urlsafe(24)
    record = DeviceLink.objects.create(
        membership=membership,
        kind=kind,
        label=label.strip(),
        sha256=hashed.sha256(secret),
        expires_at=clock.now() + timedelta(seconds=LIFE_S),
    )
    _record(actor, "identity:device_link:made", record)
    return MadeLink(record, secret)


def waiting(actor: Actor) -> QuerySet[DeviceLink]:
    """The actor's own links that a phone may still open, newest first."""
    return _own(actor).filter(_alive())


def access(actor: Actor, link_id: str) -> DeviceLink:
    """Errors: NotFound, for absent and forbidden alike."""
    return existing(_own(actor).filter(pk=link_id).first(), "link")


def is_waiting(link: DeviceLink) -> bool:
    return DeviceLink.objects.filter(_alive(), pk=link.pk).exists()


def find(secret: str) -> DeviceLink:
    """The link that may still be opened; looking changes nothing. Errors: NotFound."""
    rows = DeviceLink.objects.select_related("membership__person", "membership__collectivite")
    return existing(rows.filter(_alive(), sha256=hashed.sha256(secret)).first(), "link")


@transaction.atomic
def open_once(secret: str, *, address: str) -> Opened:
    """Use the link up and make its app password. ``address``: of the phone, for the person's journal.

    Errors: NotFound.
    """
    link = find(secret)
    if not DeviceLink.objects.filter(pk=link.pk, used_at=None, ended_at=None).update(used_at=clock.now()):
        raise NotFound("link")
    actor = sessions.actor_of(link.membership)
    issued = actions.issue_app_password(
        actor=actor, membership=link.membership, protocol_set="imap,smtp", label=link.label
    )
    DeviceLink.objects.filter(pk=link.pk).update(app_password_id=issued.record.id)
    _record(actor, USED, link, address=address)
    return Opened(actor, issued)


@transaction.atomic
def end(*, actor: Actor, link: DeviceLink) -> bool:
    """Take a link back that no phone has opened; False if it was opened or over. Errors: NotFound."""
    access(actor, link.pk)
    if not DeviceLink.objects.filter(_alive(), pk=link.pk).update(ended_at=clock.now()):
        return False
    _record(actor, "identity:device_link:ended", link)
    return True


def _own(actor: Actor) -> QuerySet[DeviceLink]:
    return queries.of_own_membership(actor, DeviceLink.objects.order_by("-created_at"))


def _alive() -> Q:
    now = clock.now()
    member = Q(membership__until=None) | Q(membership__until__gt=now)
    return Q(used_at=None, ended_at=None, expires_at__gt=now, membership__person__is_active=True) & member


def _record(actor: Actor, verb: str, link: DeviceLink, *, address: str = "") -> None:
    audit.record(
        actor,
        verb,
        link.pk,
        collectivite_id=link.membership.collectivite_id,
        details={"person_id": link.membership.person_id, "kind": link.kind},
        personal={"address": address} if address else None,
    )
