"""Postfix and the mail door learn of aliases, catch-alls, reserved addresses, full mailboxes and domains that move.

Process: worker."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.communes import queries as communes
from beffroi.core.events import Event, consumer, periodic
from beffroi.mail import projections
from beffroi.mail.aliases import actions, queries


@consumer(
    name="mail.aliases",
    kinds=(
        actions.CHANGED,
        "mail:mailbox_created",
        "mail:mailbox_closed",
        "mail:domain_changed",
        communes.DOMAIN_PASSED,
        communes.LEFT,
        communes.BACK,
    ),
    atomic=False,
)
def project(event: Event) -> None:
    put()


@periodic("mail.aliases", every_s=60.0)
def put() -> None:
    """The present rows, all of them: what changed last wins; room was counted meanwhile."""
    actions.end_over()
    projections.put_aliases(settings.BEFFROI, queries.routes())
