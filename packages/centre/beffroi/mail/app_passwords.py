"""App passwords as Dovecot knows them: the projection that it reads, and the connections that they opened.

Process: worker.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django.conf import settings
from django.db.models import QuerySet

from beffroi.core.identity.models import AppPassword, Membership
from beffroi.core.identity.queries import current_memberships
from beffroi.mail import doveadm, projections
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import queries as sending

PROTOCOLS = frozenset(("imap", "smtp", "sieve"))
ENDED = "mail:app_passwords_ended"
"""No program signs in any more with what opened these mailboxes; who is in may be put out."""


def put(app_password_ids: Collection[str]) -> list[str]:
    """As they are now. Return which open nothing any more, those of an erased account, too."""
    return projections.put_app_passwords(settings.BEFFROI, app_password_ids, _present)


def _present(app_password_ids: Collection[str]) -> dict[str, projections.Opens]:
    rows = AppPassword.objects.filter(pk__in=app_password_ids, revoked_at=None).select_related("membership")
    held = set(Mailbox.objects.filter(pk__in=sending.held_mailboxes()).values_list("address", flat=True))
    return {
        row.id: projections.Opens(
            addresses=sorted(set(addresses(row.membership)) - held),
            sha256=row.sha256,
            protocols=[p for p in row.protocol_set.split(",") if p in PROTOCOLS],
        )
        for row in rows
        if any(m.id == row.membership_id for m in current_memberships(row.membership.person_id))
    }


def put_all(mailbox: Mailbox) -> None:
    """App passwords issued before the mailbox was there."""
    if mailbox.person_id is None:
        return
    rows = AppPassword.objects.filter(
        membership__person_id=mailbox.person_id,
        membership__collectivite_id=mailbox.collectivite_id,
        revoked_at=None,
    )
    if ids := list(rows.values_list("id", flat=True)):
        put(ids)


def addresses(membership: Membership) -> list[str]:
    """The person's mailboxes that an app password of this membership opens, or opened."""
    return list(mailboxes(membership).values_list("address", flat=True))


def mailboxes(membership: Membership) -> QuerySet[Mailbox]:
    """Open ones of the person. The commune comes from the credential: of this collectivité alone."""
    return Mailbox.objects.filter(
        person_id=membership.person_id, collectivite_id=membership.collectivite_id, closed_at=None
    )


def end_connections(of: Iterable[str]) -> None:
    """End what is open at Dovecot, after the projections know who may come back: a connection outlives the password
    that opened it, for days in IDLE. Programs with a password of their own sign in again by themselves.

    Errors: DoveadmUnavailable (retryable).
    """
    if commands := [doveadm.kick(one) for one in dict.fromkeys(of)]:
        Doveadm(settings.BEFFROI).run(commands)
