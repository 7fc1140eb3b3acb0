"""What becomes an incident when something happened elsewhere.

Process: worker.
"""

from __future__ import annotations

from beffroi.core.decisions import queries
from beffroi.core.decisions.actions import DECIDED_ANEW
from beffroi.core.decisions.models import Decision
from beffroi.core.events.registry import Event, consumer
from beffroi.incidents import actions, files, look_back, look_back_lists, spared


@consumer(name="incidents.decisions", kinds=("decision:activated", "decision:ended", "decision:taken_back"))
def follow_decision(event: Event) -> None:
    """One consumer for all, so that an end never overtakes its beginning. An expiry closes nothing: what was done
    before is done."""
    decision = Decision.objects.filter(pk=str(event.payload.get("decision_id", ""))).first()
    if decision is None:
        return
    if event.kind == "decision:activated":
        look_back.look_at_sign_ins(decision)
        look_back.take_in_force(decision)
    elif decision.end_reason == DECIDED_ANEW and (anew := queries.goes_on_as(decision)) is not None:
        actions.follow_decision(before=decision.id, after=anew.id)
    elif decision.state == Decision.State.REVOKED:
        actions.close_for_decision(decision_id=decision.id)
        files.undo(decision_id=decision.id)


@consumer(name="incidents.flows", kinds=("box:looked_back",))
def take_in_look_back(event: Event) -> None:
    if not event.collectivite_id:
        return
    if str(event.payload.get("entry_id", "")).startswith("dec_"):
        look_back.take_in_flows(collectivite_id=event.collectivite_id, payload=event.payload)
    else:
        look_back_lists.take_in_flows(collectivite_id=event.collectivite_id, payload=event.payload)


@consumer(name="incidents.lists", kinds=("list:published",), atomic=False)
def look_at_list(event: Event) -> None:
    look_back_lists.look_at_sign_ins(event.payload)


@consumer(name="incidents.listed_mail", kinds=("mail:listed",))
def take_in_listed_mail(event: Event) -> None:
    if event.collectivite_id:
        look_back_lists.take_in_mail(collectivite_id=event.collectivite_id, payload=event.payload)


@consumer(name="incidents.never_again", kinds=("never_again:set", "never_again:taken_back"))
def follow_never_again(event: Event) -> None:
    spared.follow(str(event.payload.get("never_again_id", "")))


@consumer(name="incidents.refused", kinds=("box:flows_counted",))
def take_in_refused(event: Event) -> None:
    if event.collectivite_id:
        look_back.take_in_refused(collectivite_id=event.collectivite_id, payload=event.payload)


@consumer(name="incidents.alarms", kinds=("box:alarm",))
def take_in_alarm(event: Event) -> None:
    if event.collectivite_id:
        look_back.take_in_alarm(collectivite_id=event.collectivite_id, payload=event.payload)


@consumer(name="incidents.drive_alarms", kinds=("drive:alarm", "drive:alarm_elsewhere"))
def take_in_drive_alarm(event: Event) -> None:
    if event.collectivite_id:
        look_back.take_in_drive_alarm(
            collectivite_id=event.collectivite_id,
            at=event.created_at,
            payload=event.payload,
            elsewhere=event.kind == "drive:alarm_elsewhere",
        )


@consumer(name="incidents.drive_found", kinds=("drive:found", "drive:review_asked", "drive:released"))
def take_in_found(event: Event) -> None:
    """One consumer for all, so that an answer never overtakes what it answers."""
    if not event.collectivite_id:
        return
    if event.kind == "drive:found":
        look_back.take_in_found(
            collectivite_id=event.collectivite_id, at=event.created_at, payload=event.payload
        )
    else:
        code = "file_released" if event.kind == "drive:released" else "review_asked"
        sha256 = str(event.payload.get("sha256", ""))[:64]
        files.answer(collectivite_id=event.collectivite_id, sha256=sha256, code=code)


@consumer(name="incidents.drive_frozen", kinds=("drive:frozen", "drive:thawed"))
def take_in_frozen(event: Event) -> None:
    """One consumer for both, so that an end never overtakes its beginning."""
    if event.collectivite_id:
        look_back.take_in_frozen(
            collectivite_id=event.collectivite_id,
            at=event.created_at,
            payload=event.payload,
            held=event.kind == "drive:frozen",
        )
