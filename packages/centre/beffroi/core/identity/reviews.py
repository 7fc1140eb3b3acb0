"""The yearly review of who has access to a collectivité: a référent reads the list and says that it is right.

Rule:    what is confirmed is the list that was read (``digest``); one that changed meanwhile is read again.
Source:  CNIL, guide on the security of personal data, sheet on habilitations: at least once a year; SecNumCloud 9.4b.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import outbox
from beffroi.core.identity import activation, sign_ins
from beffroi.core.identity.activation import Colleague
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword
from beffroi.lib import clock
from beffroi.lib.errors import Conflict

EVERY = timedelta(days=365)
type Opened = Mapping[str, Sequence[str]]
"""Person -> the functional mailboxes that they read."""


@dataclass(frozen=True)
class Access:
    """What somebody can open. ``came``: whether they signed in at any door in the last 30 days; ``devices``: app
    passwords that open something."""

    colleague: Colleague
    came: bool
    devices: int


def accesses(actor: Actor, collectivite_id: str) -> list[Access]:
    """Errors: NotFound, NotAllowed (neither référent nor Département)."""
    people = activation.colleagues(actor, collectivite_id)
    came = sign_ins.who_came(collectivite_id)
    current = [row.id for one in people for row in one.memberships]
    rows = AppPassword.objects.filter(membership_id__in=current, revoked_at=None)
    devices = Counter(rows.values_list("membership__person_id", flat=True))
    return [Access(one, one.person.pk in came, devices[one.person.pk]) for one in people]


def digest(read: Sequence[Access], opened: Opened) -> str:
    """Of who may do what, so that a confirmation says which list it is of."""
    rows = sorted(f"{row.id}:{row.role}:{one.devices}" for one in read for row in one.colleague.memberships)
    rows += sorted(f"{person}:{mailbox}" for person, mailboxes in opened.items() for mailbox in mailboxes)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def due_at(collectivite: Collectivite) -> datetime:
    """When the next one is due: a year after the last, or after the enrolment."""
    return (collectivite.accesses_reviewed_at or collectivite.enrolled_at or collectivite.created_at) + EVERY


def is_due(collectivite: Collectivite) -> bool:
    return due_at(collectivite) <= clock.now()


@transaction.atomic
def confirm(*, actor: Actor, collectivite_id: str, opened: Opened, read: str) -> None:
    """``read``: the digest of the list that was read; ``opened``: as it is now.

    Errors: NotFound, NotAllowed, Conflict (it is not that one).
    """
    outbox.serialise()
    now = accesses(actor, collectivite_id)
    if digest(now, opened) != read:
        raise Conflict("the accesses changed since they were read")
    collectivite = communes.access_collectivite(actor, collectivite_id)
    collectivite.accesses_reviewed_at = clock.now()
    collectivite.save(update_fields=["accesses_reviewed_at"])
    details = {"persons": len(now), "devices": sum(one.devices for one in now)}
    audit.record_of(actor, "identity:accesses:reviewed", collectivite, details)
