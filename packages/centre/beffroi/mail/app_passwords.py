"""App passwords as Dovecot knows them: the projection that it reads, and the connections that they opened.

Process: worker.
"""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings

from beffroi.core.identity.models import AppPassword, Membership
from beffroi.core.identity.queries import current_memberships
from beffroi.mail import doveadm, projections
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import queries as sending

PROTOCOLS = ("imap", "smtp", "sieve")


def put(app_password_id: str) -> bool:
    """As it is now. False when it opens nothing any more, one of an erased account, too."""
    row = AppPassword.objects.select_related("membership").filter(pk=app_password_id, revoked_at=None).first()
    if row is None or all(m.id != row.membership_id for m in current_memberships(row.membership.person_id)):
        projections.remove_app_password(settings.BEFFROI, app_password_id=app_password_id)
        return False
    membership = row.membership
    held = Mailbox.objects.filter(pk__in=sending.held_mailboxes()).values_list("address", flat=True)
    projections.put_app_password(
        settings.BEFFROI,
        app_password_id=row.id,
        addresses=sorted(set(addresses(membership)) - set(held)),
        sha256=row.sha256,
        protocols=[p for p in row.protocol_set.split(",") if p in PROTOCOLS],
    )
    return True


def put_all(mailbox: Mailbox) -> None:
    """App passwords issued before the mailbox was there."""
    if mailbox.person_id is None:
        return
    rows = AppPassword.objects.filter(
        membership__person_id=mailbox.person_id,
        membership__collectivite_id=mailbox.collectivite_id,
        revoked_at=None,
    )
    for app_password_id in list(rows.values_list("id", flat=True)):
        put(app_password_id)


def addresses(membership: Membership) -> list[str]:
    """The person's mailboxes that an app password of this membership opens, or opened."""
    # The commune comes from the credential: only this person's mailboxes of this collectivité.
    mailboxes = Mailbox.objects.filter(
        person_id=membership.person_id, collectivite_id=membership.collectivite_id, closed_at=None
    )
    return list(mailboxes.values_list("address", flat=True))


def end_connections(of: Collection[str]) -> None:
    """End what is open at Dovecot, after the projections know who may come back: a connection outlives the password
    that opened it, for days in IDLE. Programs with a password of their own sign in again by themselves.

    Errors: DoveadmUnavailable (retryable).
    """
    engine = Doveadm(settings.BEFFROI)
    engine.run([doveadm.kick(one) for one in dict.fromkeys(of)])
