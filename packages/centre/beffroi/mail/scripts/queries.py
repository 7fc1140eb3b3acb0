"""Read people's own scripts, on their behalf; and the one in force, for the engine."""

from __future__ import annotations

from django.db.models import QuerySet

from beffroi.core.identity.actor import Actor
from beffroi.core.identity.queries import current_memberships
from beffroi.lib.errors import existing
from beffroi.mail import queries as mail
from beffroi.mail.models import Mailbox
from beffroi.mail.scripts.models import PersonalScript


def scripts(mailbox: Mailbox) -> QuerySet[PersonalScript]:
    """Of its present owner; the caller has checked the mailbox."""
    return PersonalScript.objects.filter(mailbox_id=mailbox.id, person_id=mailbox.person_id or "").order_by(
        "name"
    )


def chosen_of(person_id: str, collectivite_id: str) -> QuerySet[PersonalScript]:
    """Those that this person chose, in whatever mailbox."""
    return PersonalScript.objects.filter(person_id=person_id, collectivite_id=collectivite_id, is_active=True)


def access_script(mailbox: Mailbox, script_id: str) -> PersonalScript:
    """Errors: NotFound. The caller has checked the mailbox."""
    return existing(scripts(mailbox).filter(pk=script_id).first(), "script")


def named(mailbox: Mailbox, name: str) -> PersonalScript:
    """Errors: NotFound. The caller has checked the mailbox."""
    return existing(scripts(mailbox).filter(name=name).first(), "script")


def active(mailbox: Mailbox) -> PersonalScript | None:
    """The one that its owner chose, also while it rests."""
    return scripts(mailbox).filter(is_active=True).first()


def text_in_force(mailbox: Mailbox) -> str:
    """What delivery runs; "" for nothing."""
    row = active(mailbox) if mailbox.closed_at is None else None
    return row.text if row is not None and row.in_force else ""


def owner_of(address: str) -> tuple[Actor, Mailbox]:
    """Who signs in as this address: its owner, in the collectivité of the mailbox. A functional mailbox has none.

    Errors: NotFound.
    """
    mailbox = existing(
        Mailbox.objects.filter(address=address.lower(), closed_at=None).exclude(person_id=None).first(),
        "mailbox",
    )
    memberships = [
        one
        for one in current_memberships(str(mailbox.person_id))
        if one.collectivite_id == mailbox.collectivite_id
    ]
    membership = existing(memberships[0] if memberships else None, "mailbox")
    actor = Actor("person", str(mailbox.person_id), mailbox.collectivite_id, membership.role)
    return actor, mail.access_mailbox(actor, mailbox.id)
