"""Mailboxes that the database knows and Postfix does not yet, as after a restore on another machine.

Purpose: until each of them is open, mail for an address that Postfix does not know waits at its sender; it would be
         refused for good, and the sender told that nobody is there. One whose projections alone were lost is told anew.
Process: ``begin`` by the Python user before the engines start; ``end`` by the worker.
Fails:   a mailbox that never opens holds up what is unknown for ``LONGEST_S``, and no mail for one that is open.
Source:  docs/internals/mail-engines.md; access(5).
"""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.db import transaction

from beffroi.core.events.outbox import publish
from beffroi.lib import clock
from beffroi.mail import projections
from beffroi.mail.engines import layout
from beffroi.mail.models import Mailbox

LONGEST_S = 24 * 3600


def _missing() -> list[Mailbox]:
    """Open, with a key to open them by, once known to Postfix, and unknown to it now. One that is new has no mail."""
    known = projections.routed(settings.BEFFROI)
    opened = (
        Mailbox.objects.filter(closed_at=None).exclude(ready_at=None).exclude(crypt_key="").order_by("id")
    )
    return [one for one in opened if one.address not in known]


def begin() -> None:
    """Before Postfix answers."""
    config = settings.BEFFROI
    if not layout.Paths(config.state).auth.exists():  # no engine was ever prepared here
        return
    missing = _missing()
    if not missing:
        projections.await_no_more(config)
        return
    addresses = [one.address for one in missing]
    projections.await_mailboxes(config, addresses, until_s=clock.epoch_s() + LONGEST_S)
    with transaction.atomic():
        for one in missing:
            publish("mail:mailbox_created", {"mailbox_id": one.id}, collectivite_id=one.collectivite_id)


def end(look_up_anew: Callable[[], None]) -> None:
    """When all of them are open, and no process of Postfix remembers that one was not (``look_up_anew``)."""
    config = settings.BEFFROI
    if projections.awaited_until_s(config) is not None and not _missing():
        look_up_anew()
        projections.await_no_more(config)
