"""Open, lead and close incidents. One transaction each: change, line of the timeline, audit entry, event.

Who may: the centre opens and, when a decision is undone, closes; the Département leads; a commune adds to its own,
ticks its own tasks and declares what happened to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.identity import actions as identity
from beffroi.core.identity import queries as people
from beffroi.core.identity.actor import Actor
from beffroi.incidents import queries
from beffroi.incidents.models import RESOLVED, Incident, IncidentEntry, IncidentFile, IncidentTask
from beffroi.incidents.recorded import Captured, capture, change, end, lock, payload, tell, write
from beffroi.incidents.rules import BY_HAND, LEGAL_DELAY, PLANS, Kind, Severity
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.lib.ids import new_id

SYSTEM = Actor.system("incidents")
MAX_TEXT = 2000
MAX_WHY = 500
KNOWN_BEFORE = timedelta(days=366)
MOST_BY_HAND = 20
"""That one person of a commune opens in a day: a stolen session opens no thousand that hide the real ones."""
CLOSE_REASONS = (RESOLVED, "false_alarm", "duplicate")
SPARED = "never_again"
"""Why the centre closes what a list's entry opened, once the Département lets that entry pass for good."""
_State = Incident.State


class DateUnanswered(Conflict):
    """A date of the law is neither kept nor said to be needless: answer it before the incident is closed as
    resolved."""

    code = "incident.date_unanswered"


@transaction.atomic
def open_incident(
    *,
    actor: Actor,
    kind: Kind,
    collectivite_id: str,
    subject: str,
    occurred_at: datetime,
    evidence: Sequence[Captured] = (),
    data: Mapping[str, str | int] | None = None,
    decision_id: str = "",
    person_id: str = "",
    known_at: datetime | None = None,
    severity: Severity | None = None,
) -> Incident:
    """Open an incident with its tasks, or add to the open one about the same subject. ``known_at``: from when the dates
    of the law run; None for now. ``severity``: None for its kind's.

    Evidence that is there already is not added again; when nothing is new, nothing changes.
    """
    outbox.serialise()
    present = (
        Incident.objects.select_for_update()
        .filter(collectivite_id=collectivite_id, kind=kind, subject=subject)
        .exclude(state=_State.CLOSED)
        .first()
    )
    if present is not None:
        if capture(present, evidence):
            write(present, actor, "seen_again", at=occurred_at, data=data)
            tell(actor, present, "seen_again")
        return present
    # By a clock that jumped ahead the dates of the law would lie years away once it is right.
    now, plan = clock.paced_now(), PLANS[kind]
    incident = Incident.objects.create(
        collectivite_id=collectivite_id,
        kind=kind,
        subject=subject,
        severity=severity or plan.severity,
        decision_id=decision_id,
        person_id=person_id,
        occurred_at=min(occurred_at, now),
        opened_at=now,
    )
    IncidentTask.objects.bulk_create(
        IncidentTask(
            incident=incident,
            collectivite_id=collectivite_id,
            code=task.code,
            audience=task.audience,
            position=position,
            due_at=(known_at or now) + LEGAL_DELAY if task.legal else None,
        )
        for position, task in enumerate(plan.tasks)
    )
    capture(incident, evidence)
    write(incident, actor, "happened", at=incident.occurred_at, data=data)
    write(incident, actor, "opened", at=now)
    tell(actor, incident, "opened", kind=str(kind), decision_id=decision_id)
    return incident


@transaction.atomic
def add_entry(
    *, actor: Actor, incident: Incident, code: str, data: Mapping[str, str | int] | None = None
) -> None:
    """A line of what the centre did by itself. Errors: NotAllowed."""
    if actor.kind != "system":
        raise NotAllowed("write as the centre")
    write(incident, actor, code, data=data)
    outbox.publish("incident:changed", payload(incident), collectivite_id=incident.collectivite_id)


@transaction.atomic
def add_note(*, actor: Actor, incident: Incident, text: str) -> IncidentEntry:
    """Write a line that both sides read. Errors: NotFound, Invalid."""
    _may_see(actor, incident)
    said = text.strip()
    if not said or len(said) > MAX_TEXT or "\x00" in said:
        raise Invalid("text")
    entry = write(incident, actor, "note", text=said)
    tell(actor, incident, "note_added")
    return entry


@transaction.atomic
def take(*, actor: Actor, incident: Incident) -> None:
    """The administrator leads it from now on. Errors: NotAllowed, Conflict."""
    _only_the_departement(actor)
    locked = lock(incident, open_only=True)
    changes: dict[str, object] = {"owner_id": actor.id}
    if locked.state == _State.OPEN:
        changes["state"] = _State.IN_PROGRESS
    change(locked, incident, changes)
    write(incident, actor, "taken")
    tell(actor, incident, "taken")


@transaction.atomic
def set_state(*, actor: Actor, incident: Incident, state: str) -> None:
    """In progress, or waiting for the commune; to close it, ``close``. Errors: NotAllowed, Invalid, Conflict."""
    _only_the_departement(actor)
    if state not in (_State.IN_PROGRESS, _State.WAITING):
        raise Invalid("state")
    locked = lock(incident, open_only=True)
    if locked.state == state:
        return
    change(locked, incident, {"state": state, "owner_id": locked.owner_id or actor.id})
    write(incident, actor, "state", data={"state": state})
    tell(actor, incident, "state_changed", state=state)


@transaction.atomic
def set_severity(*, actor: Actor, incident: Incident, severity: str) -> None:
    """Errors: NotAllowed, Invalid, Conflict."""
    _only_the_departement(actor)
    if severity not in set(Severity):
        raise Invalid("severity")
    locked = lock(incident, open_only=True)
    if locked.severity == severity:
        return
    change(locked, incident, {"severity": severity})
    write(incident, actor, "severity", data={"severity": severity})
    tell(actor, incident, "severity_changed", severity=severity)


@transaction.atomic
def close(*, actor: Actor, incident: Incident, reason: str) -> None:
    """Errors: NotAllowed, Invalid, Conflict; DateUnanswered."""
    _only_the_departement(actor)
    if reason not in CLOSE_REASONS:
        raise Invalid("reason")
    if reason == RESOLVED and queries.unanswered(lock(incident, open_only=True)):
        raise DateUnanswered
    end(actor, incident, reason)


@transaction.atomic
def close_for_decision(*, decision_id: str) -> int:
    """A decision was undone: close what was opened because of it, with a line that says so; return how many. What
    another one stands behind goes on as that one's; those about files may hold more (``files``)."""
    outbox.serialise()
    rows = Incident.objects.filter(decision_id=decision_id).exclude(kind=Kind.MALICIOUS_FILE)
    closed = 0
    for incident in rows.exclude(state=_State.CLOSED):
        if other := _standing(incident):
            change(lock(incident), incident, {"decision_id": other})
        else:
            end(SYSTEM, incident, "decision_undone")
            closed += 1
    return closed


def _standing(incident: Incident) -> str:
    """Another decision that its evidence names and that was not undone; "" for none."""
    named = {json.loads(one.content)["decision_id"] for one in incident.evidence.filter(source="decision")}
    rows = Decision.objects.filter(pk__in=named - {incident.decision_id}).exclude(
        state=Decision.State.REVOKED
    )
    return rows.order_by("id").values_list("id", flat=True).first() or ""


@transaction.atomic
def follow_decision(*, before: str, after: str) -> None:
    """A decision goes on under another identifier: so does what was opened because of it, with all that people did."""
    outbox.serialise()
    for incident in Incident.objects.select_for_update().filter(decision_id=before):
        subject, incident.decision_id = incident.subject.replace(before, after), after
        same = Incident.objects.exclude(state=_State.CLOSED).filter(
            collectivite_id=incident.collectivite_id, kind=incident.kind, subject=subject
        )
        if not incident.is_open or not same.exists():  # else a door told of the new one first: they stay two
            incident.subject = subject
        incident.save(update_fields=["decision_id", "subject"])
    IncidentFile.objects.filter(decision_id=before).update(decision_id=after)


@transaction.atomic
def close_spared(*, actor: Actor, incident: Incident, data: Mapping[str, str]) -> None:
    """All that it rests on passes at every door by ``actor``'s word: a false alarm. Errors: Conflict."""
    end(actor, incident, SPARED, data)


@transaction.atomic
def reopen_spared(*, actor: Actor, incident: Incident, data: Mapping[str, str]) -> bool:
    """That word was taken back or its time is over; False where a person or a newer incident went on meanwhile."""
    locked = lock(incident)
    if locked.close_reason != SPARED or _same_is_open(locked):
        return False
    _reopen(actor, locked, incident, data)
    return True


@transaction.atomic
def reopen(*, actor: Actor, incident: Incident) -> None:
    """Errors: NotAllowed, Conflict when it is open, or another one about the same is."""
    _only_the_departement(actor)
    locked = lock(incident)
    if _same_is_open(locked):
        raise Conflict("it is open")
    _reopen(actor, locked, incident)


@transaction.atomic
def tick(*, actor: Actor, incident: Incident, task: IncidentTask, done: bool) -> None:
    """Note that a task is done, or is not after all; ``task``: by ``access_task``. Errors: NotFound, Conflict."""
    _may_see(actor, incident)
    locked = lock(incident, open_only=True)
    rows = IncidentTask.objects.filter(pk=task.pk, incident=locked)
    changed = (
        rows.filter(done_at=None).update(done_at=clock.now(), done_by=actor.id)
        if done
        else rows.exclude(done_at=None).update(done_at=None, done_by="", why="")
    )
    if changed:
        _told(actor, incident, locked, task, what="task_done" if done else "task_undone")


@transaction.atomic
def not_needed(*, actor: Actor, incident: Incident, task: IncidentTask, why: str) -> None:
    """A date of the law need not be kept, for this reason, which stays (GDPR, article 33.5); ``tick`` takes it back.

    Errors: NotFound, Conflict, Invalid (no reason, or no date of the law).
    """
    _may_see(actor, incident)
    said = why.strip()
    if not said or len(said) > MAX_WHY or "\x00" in said or task.due_at is None:
        raise Invalid("why")
    locked = lock(incident, open_only=True)
    rows = IncidentTask.objects.filter(pk=task.pk, incident=locked, done_at=None)
    if rows.update(done_at=clock.now(), done_by=actor.id, why=said):
        _told(actor, incident, locked, task, what="task_not_needed", said=said)


def _told(
    actor: Actor, incident: Incident, locked: Incident, task: IncidentTask, *, what: str, said: str = ""
) -> None:
    write(incident, actor, what, data={"task": task.code}, text=said)
    if what != "task_undone" and locked.state == _State.WAITING and not _left_for_commune(locked):
        change(locked, incident, {"state": _State.IN_PROGRESS})
        write(incident, SYSTEM, "state", data={"state": str(_State.IN_PROGRESS)})
    tell(actor, incident, what, task=task.code)


@transaction.atomic
def declare(*, actor: Actor, typed: bool, message_id: str, evidence: Sequence[Captured]) -> Incident:
    """A person says about a lure of their own mailbox: I clicked, or I typed my password.

    Errors: NotAllowed for anyone but a person of a collectivité.
    """
    if actor.kind != "person" or not actor.collectivite_id:
        raise NotAllowed("declare for somebody else")
    subject = f"{message_id}:{actor.id}"
    if typed:  # more than the click that the same person told of before
        clicked = Incident.objects.filter(
            collectivite_id=actor.collectivite_id, kind=Kind.LINK_CLICKED, subject=subject
        )
        for one in clicked.exclude(state=_State.CLOSED):
            end(SYSTEM, one, "duplicate")
    return open_incident(
        actor=actor,
        kind=Kind.PASSWORD_TYPED if typed else Kind.LINK_CLICKED,
        collectivite_id=actor.collectivite_id,
        subject=subject,
        occurred_at=clock.now(),
        evidence=evidence,
        person_id=actor.id,
    )


@transaction.atomic
def open_by_hand(
    *, actor: Actor, collectivite_id: str, kind: str, text: str, known_at: datetime | None = None
) -> Incident:
    """A person tells what no door saw; ``text`` becomes the first note. ``known_at``: since when the commune knows;
    None for now. Errors: NotFound, Invalid (kind, text, known_at; many: of this person today)."""
    actor.require_sees(collectivite_id)
    outbox.serialise()
    recent = Incident.objects.filter(
        collectivite_id=collectivite_id, opened_at__gt=clock.now() - timedelta(days=1)
    )
    own = {"entries__code": "opened", "entries__actor_kind": "person", "entries__actor_id": actor.id}
    if recent.filter(**own).count() >= MOST_BY_HAND:
        raise Invalid("many")
    if kind not in BY_HAND:
        raise Invalid("kind")
    now = clock.paced_now()
    if known_at is not None and not now - KNOWN_BEFORE <= known_at <= now:
        raise Invalid("known_at")
    incident = open_incident(
        actor=actor,
        kind=Kind(kind),
        collectivite_id=collectivite_id,
        subject=new_id("inc"),
        occurred_at=known_at or now,
        known_at=known_at,
        person_id=actor.id if actor.kind == "person" and kind == Kind.PASSWORD_TYPED else "",
    )
    add_note(actor=actor, incident=incident, text=text)
    return incident


@transaction.atomic
def revoke_app_passwords(*, actor: Actor, incident: Incident, person_id: str) -> int:
    """Revoke a person's app passwords of the incident's collectivité; return how many. Never automatic: mail on the
    person's devices stops. The page asks for a step-up first. Errors: NotAllowed, Conflict."""
    _only_the_departement(actor)
    lock(incident, open_only=True)
    rows = people.app_passwords_of(actor, person_id, incident.collectivite_id).select_related("membership")
    count = sum(identity.revoke_app_password(actor=actor, app_password=one) for one in rows)
    if count:
        write(incident, actor, "app_passwords_revoked", data={"person_id": person_id, "count": count})
        tell(actor, incident, "app_passwords_revoked", person_id=person_id, count=count)
    return count


@transaction.atomic
def set_complaint(*, actor: Actor, incident: Incident, under_way: bool) -> None:
    """Keep the incident while a complaint is under way, also a closed one, or no longer. Errors: NotAllowed."""
    _only_the_departement(actor)
    locked = lock(incident)
    if (locked.complaint_since is not None) == under_way:
        return
    change(locked, incident, {"complaint_since": clock.now() if under_way else None})
    what = "complaint_made" if under_way else "complaint_over"
    write(incident, actor, what)
    tell(actor, incident, what)


@transaction.atomic
def record_export(*, actor: Actor, incident: Incident, sha256: str) -> None:
    """Somebody took the file for a complaint. Errors: NotFound."""
    _may_see(actor, incident)
    write(incident, actor, "exported", data={"sha256": sha256})
    tell(actor, incident, "exported", sha256=sha256)


def _same_is_open(incident: Incident) -> bool:
    same = Incident.objects.filter(
        collectivite_id=incident.collectivite_id, kind=incident.kind, subject=incident.subject
    )
    return same.exclude(state=_State.CLOSED).exists()


def _reopen(
    actor: Actor, locked: Incident, incident: Incident, data: Mapping[str, str] | None = None
) -> None:
    state = _State.IN_PROGRESS if locked.owner_id else _State.OPEN
    change(locked, incident, {"state": state, "closed_at": None, "closed_by": "", "close_reason": ""})
    write(incident, actor, "reopened", data=data)
    tell(actor, incident, "reopened")


def _left_for_commune(incident: Incident) -> bool:
    return incident.tasks.filter(audience="commune", done_at=None).exists()


def _may_see(actor: Actor, incident: Incident) -> None:
    if not actor.may_see(incident.collectivite_id):
        raise NotFound("incident")


def _only_the_departement(actor: Actor) -> None:
    actor.require_administrator("lead an incident")
