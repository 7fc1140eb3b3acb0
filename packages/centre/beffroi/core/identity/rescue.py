"""A rescue code: for a person who lost telephone, key and recovery codes, handed over by the référent.

Purpose: it stands for the second factor, once, within a day. The password is asked for as ever, so that a référent, who
         never has it, signs in as nobody with it: no role reads another person's mail.
Input:   hostile at sign-in; 60 random bits, tries limited like those of other codes.
Visible: to the person on their own page for 30 days, with who made it and when it opened; in the audit log.
Fails:   closed; of two requests with one code, one changes the row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.communes import row_security
from beffroi.core.identity import paper_codes, queries, second_factors
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership, Person, RescueCode
from beffroi.lib import clock, hashed
from beffroi.lib.errors import NotAllowed, NotFound

LIFE = timedelta(days=1)
KEEP_DAYS = 30
_LENGTH = 12
_FORM = re.compile(rf"[{paper_codes.ALPHABET}]{{{_LENGTH}}}")


@dataclass(frozen=True)
class MadeCode:
    """``code``: in groups of four; shown once and stored nowhere."""

    record: RescueCode
    code: str


@dataclass(frozen=True)
class Told:
    """A code that somebody made for the reader."""

    name: str
    created_at: datetime
    used_at: datetime | None
    waits: bool


def candidates(actor: Actor) -> list[Membership]:
    """Whom this référent may help: members of the own collectivité with a second factor, never oneself.

    Errors: NotAllowed.
    """
    if actor.leads is None:
        raise NotAllowed("make a rescue code")
    seen: dict[str, Membership] = {}
    for one in queries.memberships_in(actor, actor.leads):
        if one.person_id != actor.id and second_factors.of(one.person_id).any:
            seen.setdefault(one.person_id, one)
    return sorted(seen.values(), key=lambda one: (one.person.name, one.person_id))


@transaction.atomic
def make(*, actor: Actor, person_id: str) -> MadeCode:
    """A new code; a former one that still waits ends. Errors: NotAllowed, NotFound."""
    found = next((one for one in candidates(actor) if one.person_id == person_id), None)
    if found is None:
        raise NotFound("person")
    now = clock.now()
    with row_security.unlimited():  # a former one may be of another collectivité
        RescueCode.objects.filter(person_id=person_id, used_at=None, ended_at=None).update(ended_at=now)
    code = paper_codes.made(_LENGTH)
    record = RescueCode.objects.create(
        person_id=person_id,
        collectivite_id=found.collectivite_id,
        made_by=actor.id,
        sha256=_digest(person_id, code),
        expires_at=now + LIFE,
    )
    _record(actor, "identity:rescue_code:made", record)
    return MadeCode(record, " ".join(code[at : at + 4] for at in range(0, _LENGTH, 4)))


def looks_like_one(text: str) -> bool:
    return _FORM.fullmatch(paper_codes.plain(text)) is not None


@transaction.atomic
def use(person: Person, text: str) -> bool:
    """Whether this was the person's code; it is used up then."""
    now = clock.now()
    rows = RescueCode.objects.filter(
        person=person,
        sha256=_digest(person.pk, paper_codes.plain(text)),
        used_at=None,
        ended_at=None,
        expires_at__gt=now,
    )
    record = rows.first()
    if record is None or not rows.filter(pk=record.pk).update(used_at=now):
        return False
    _record(Actor("person", person.pk), "identity:rescue_code:used", record)
    return True


def told(actor: Actor) -> list[Told]:
    """Codes made for the actor within the time that they are kept, newest first; also in another collectivité."""
    now = clock.now()
    with row_security.unlimited():
        rows = list(RescueCode.objects.filter(person_id=actor.id).order_by("-created_at", "-id"))
    return [
        Told(
            queries.person_name(one.made_by),
            one.created_at,
            one.used_at,
            waits=one.used_at is None and one.ended_at is None and one.expires_at > now,
        )
        for one in rows
    ]


def _digest(person_id: str, code: str) -> str:
    return hashed.sha256(f"{person_id}:{code}")


def _record(actor: Actor, verb: str, record: RescueCode) -> None:
    owner, details = record.collectivite_id, {"rescue_code_id": record.pk}
    audit.record(actor, verb, record.person_id, collectivite_id=owner, details=details)
