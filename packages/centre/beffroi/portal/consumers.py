"""Timers and mails of what only the portal can compose from all services; in worker."""

from __future__ import annotations

from collections.abc import Generator

from django.utils import translation

from beffroi.core.events import Event, consumer, periodic
from beffroi.core.events.registry import ANSWERS
from beffroi.leaving.actions import CHANGED
from beffroi.mail.held import notices
from beffroi.portal import (
    continued_told,
    delegation_told,
    drop_told,
    erasure_told,
    export_told,
    forward_told,
    handover_told,
    held_digest,
    leaving_told,
    opening_told,
    relay_enforced,
    room_told,
    weather,
)
from beffroi.portal.letters import LANGUAGE

RECENT_DAYS, LATE_DAYS = 2, 40
"""A boîtier that was cut off tells what it counted up to 40 days later (``boxes.consumers``)."""


periodic("weather.levels", every_s=300.0)(weather.record_levels)


@periodic("weather.figures", every_s=600.0)
def record_recent_figures() -> Generator[None, None, int]:
    return weather.record_figures(days=RECENT_DAYS)


@periodic("weather.late", every_s=86400.0)
def record_late_figures() -> Generator[None, None, int]:
    return weather.record_figures(days=LATE_DAYS)


periodic("held.digest", every_s=30.0)(held_digest.ask_due)


@consumer(name="relay.enforced", kinds=relay_enforced.KINDS, atomic=False)
def enforce_relays(event: Event) -> None:
    relay_enforced.put()


periodic("relay.enforced", every_s=60.0)(relay_enforced.put)


COMPOSE = {
    continued_told.ABOUT: continued_told.compose,
    delegation_told.ABOUT: delegation_told.compose,
    drop_told.ABOUT: drop_told.compose,
    handover_told.ABOUT: handover_told.compose,
    erasure_told.GRANTED: erasure_told.compose,
    erasure_told.WITHDRAWN: erasure_told.compose,
    export_told.ABOUT: export_told.compose,
    forward_told.ENDS: forward_told.compose,
    forward_told.ENDED: forward_told.compose,
    held_digest.ABOUT: held_digest.compose,
    leaving_told.ABOUT: leaving_told.compose,
    opening_told.ABOUT: opening_told.compose,
    room_told.ABOUT: room_told.compose,
}


@periodic("notices", every_s=5.0, lane=ANSWERS)
def send_notices() -> None:
    with translation.override(LANGUAGE):
        notices.send_due(lambda row, mailbox: COMPOSE[row.about](row, mailbox))


periodic("forward.told", every_s=3600.0)(forward_told.ask_due)
periodic("room.told", every_s=3600.0)(room_told.ask_due)


@consumer(name="delegation.told", kinds=("mail:delegation_given",))
def tell_owner(event: Event) -> None:
    delegation_told.ask(event.payload["delegation_id"])


@consumer(name="drop.told", kinds=("drive:handed_in",))
def tell_maker(event: Event) -> None:
    if event.collectivite_id:
        told = event.payload
        drop_told.ask(
            collectivite_id=event.collectivite_id,
            share_id=str(told.get("share_id", "")),
            person_id=str(told.get("person_id", "")),
        )


@consumer(name="handover.told", kinds=("drive:handover_ended",))
def tell_heir(event: Event) -> None:
    if event.collectivite_id:
        handover_told.ask(
            collectivite_id=event.collectivite_id, handover_id=str(event.payload.get("handover_id", ""))
        )


@consumer(name="erasure.told", kinds=("approval:granted", "approval:withdrawn"))
def tell_commune(event: Event) -> None:
    is_granted = event.kind == "approval:granted"
    erasure_told.ask(approval_id=event.payload["approval_id"], is_granted=is_granted)


@consumer(name="leaving.told", kinds=(CHANGED,))
def tell_of_leaving(event: Event) -> None:
    leaving_told.ask(event.payload["leaving_id"], str(event.payload.get("not_continued_by", "")))


periodic("leaving.continued_told", every_s=3600.0)(continued_told.ask_due)


@consumer(name="opening.told", kinds=opening_told.KINDS)
def tell_of_opening(event: Event) -> None:
    opening_told.ask(event.payload["request_id"])


@consumer(name="export.told", kinds=("communes:export_changed",))
def tell_of_export(event: Event) -> None:
    export_told.ask(event.payload["export_id"])
