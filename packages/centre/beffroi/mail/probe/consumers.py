"""The probe's timers. Its mailbox is made by "main", which alone writes projections; it runs in "sources", which
waits for others anyway."""

from __future__ import annotations

from django.conf import settings

from beffroi.core.events import periodic
from beffroi.lib import clock, ids
from beffroi.lib.errors import Unavailable
from beffroi.mail import key_pairs, projections
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout
from beffroi.mail.probe import actions, paths, told

EVERY_S = 600.0


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
    ways = actions.keep(paths.run(config))
    told.write(config, told.Told(clock.epoch_s(), tuple(ways)))
