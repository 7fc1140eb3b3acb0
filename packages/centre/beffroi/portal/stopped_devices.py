"""A person's own devices that the Coffre stopped: told where they see their app passwords, for theirs are gone there.

Access: the person's own devices in the collectivité of the session.
Fails:  open: a Coffre that does not answer closes no page by which somebody gets back in.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from beffroi.core.identity import queries as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import alarms
from beffroi.drive.alarms import State
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.lib.ids import is_id
from beffroi.portal import drive_access, drive_words

TOLD_S = 30 * 86400
"""After somebody answered the alarm: by then its device has another app password, or is given up."""
log = logging.getLogger("beffroi.portal")


@dataclass(frozen=True)
class Stopped:
    """``signs``: what was seen, in words, and how often."""

    label: str
    at: datetime
    signs: list[tuple[str, int]]
    state: State
    answers: bool

    @property
    def waits(self) -> bool:
        """Nobody answered the alarm to its end."""
        return self.state in ("open", "restoring")


def told(actor: Actor) -> list[Stopped]:
    """The newest first."""
    owner = actor.collectivite_id
    if owner is None or not drive_access.has_drive(actor.collectivite_id):
        return []
    try:
        with drive_access.metadata_of(owner).reading() as reading:
            every = alarms.every(reading)
    except BeffroiError as error:
        log.warning("stopped devices are not told: %s", error.code)
        return []
    after_s = clock.epoch_s() - TOLD_S
    found = [
        one
        for one in every
        if one.person_id == actor.id
        and is_id(one.device_id, "apw")
        and (not one.settled_s or one.settled_s > after_s)
    ]
    labels = identity.device_labels(actor, [one.device_id for one in found])
    return [
        Stopped(
            labels.get(one.device_id, ""),
            datetime.fromtimestamp(one.at_s, UTC),
            drive_words.signs(one.counts),
            one.state,
            actor.manages(owner),
        )
        for one in found
    ]
