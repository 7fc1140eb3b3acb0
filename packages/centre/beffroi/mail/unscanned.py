"""Let incoming mail pass while rspamd is away, for some hours; the sweep checks it when rspamd is back.

The term stands in the projection alone, where Postfix reads it; a restored centre begins without one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction

from beffroi.core.audit import actions as audit
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Invalid
from beffroi.mail import projections
from beffroi.mail.engines.unscanned import is_open

HOURS = range(1, 25)
_OBJECT = "incoming"


@transaction.atomic
def allow(*, actor: Actor, hours: int) -> datetime:
    """Mail passes unscanned from now on, until the moment returned. Errors: NotAllowed, Invalid."""
    actor.require_departement("only the Département lets mail pass unscanned")
    if hours not in HOURS:
        raise Invalid("hours")
    until = clock.now() + timedelta(hours=hours)
    _record(actor, "allowed", hours)
    projections.put_unscanned(settings.BEFFROI, int(until.timestamp()))
    return until


@transaction.atomic
def stop(*, actor: Actor) -> None:
    """Mail waits again. Errors: NotAllowed."""
    actor.require_departement("only the Département ends this")
    _record(actor, "stopped", 0)
    projections.put_unscanned(settings.BEFFROI, None)


def until() -> datetime | None:
    """The end of the term in force."""
    found = projections.unscanned_until_s(settings.BEFFROI)
    if found is None or not is_open(found, now=clock.epoch_s()):
        return None
    return datetime.fromtimestamp(found, UTC)


def _record(actor: Actor, what: str, hours: int) -> None:
    audit.record(actor, f"mail:unscanned:{what}", _OBJECT, collectivite_id=None, details={"hours": hours})
