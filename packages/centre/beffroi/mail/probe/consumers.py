"""The probe's timers. Its mailbox is made by "main", which alone writes projections; it runs in "sources", which
waits for others anyway. One of its mails is sent by "webmail", as those of the portal's pages are."""

from __future__ import annotations

import logging

from django.conf import settings

from beffroi.core.events import Event, consumer, periodic
from beffroi.lib import clock, ids
from beffroi.lib.errors import Unavailable
from beffroi.mail import drafts, key_pairs, original, projections, submission
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.drafts import DraftChanged, Place
from beffroi.mail.engines import layout
from beffroi.mail.probe import actions, paths, told

EVERY_S = 600.0
log = logging.getLogger("beffroi.probe")


@periodic("mail.probe_mailbox", every_s=EVERY_S)
def ensure_mailbox() -> bool:
    """Let the engines know the probe's mailbox; True when mail can come.

    Its key stands in the projection alone: what it locks lives for seconds, and a new projection gets a new mailbox.
    """
    config = settings.BEFFROI
    if not layout.Paths(config.state).auth.exists():
        return False  # a centre whose engines were never prepared
    address = config.probe_address
    if not projections.has_mailbox(config, address=address):
        projections.put_mailbox_auth(
            config,
            mailbox_id=ids.new_id("mbx"),
            address=address,
            pair=key_pairs.of_secret(key_pairs.new_secret()),
        )
    try:
        ready = Doveadm(config).opens(address)
    except Unavailable:
        return False  # Dovecot is away: the probe says so
    if ready:
        projections.put_route(config, address=address)
    return ready


@periodic("mail.probe", every_s=EVERY_S, group="sources")
def probe() -> None:
    config = settings.BEFFROI
    if not projections.has_route(config, address=config.probe_address):
        return  # not made yet
    ways = actions.keep(paths.run(config, actions.ask_webmail))
    told.write(config, told.Told(clock.epoch_s(), tuple(ways)))


@consumer(name="mail.probe_webmail", kinds=(actions.WRITTEN,), group="webmail", atomic=False)
def send_draft(event: Event) -> None:
    """As ``mail.outgoing`` does. What does not go is late for who waits for it; a draft that is gone was of a former
    run."""
    config, place = settings.BEFFROI, Place(event.payload["uid_validity"], event.payload["uid"])
    try:
        with drafts.open_drafts(config, config.probe_address) as folder:
            message, envelope = folder.message(place)
            submission.submit(
                config,
                config.probe_address,
                original.envelope_recipients(envelope),
                submission.without_private_fields(message),
            )
            folder.file_as_sent(place)
    except DraftChanged:
        return
    except (submission.Refused, Unavailable) as error:
        log.warning("the probe's draft is not sent: %s", error.code)
