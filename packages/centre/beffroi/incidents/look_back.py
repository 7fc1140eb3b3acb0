"""A decision begins: who signed in from that address in 30 days; what boîtiers say their LAN met; which files of the
drive it names. And its undoing.

Purpose: end what can be ended by machine, open an incident for the rest, keep the sum for the decision's report.
Process: worker. Mail looks back by itself (mail.remediation), files in the process drive (drive.door).
Hostile: a lying box speaks for its own commune only. A town hall's own address decided by mistake: sessions end for a
         few people at most (``MAX_SESSIONS_ENDED``), and undoing the decision closes what it opened.
Source:  docs/internals/incidents.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from beffroi.core.decisions import queries, rules
from beffroi.core.decisions.models import SCOPE_ALL, Decision
from beffroi.core.identity import actions as identity
from beffroi.core.identity import sign_ins
from beffroi.core.identity.models import Person, SignIn
from beffroi.incidents import actions, files
from beffroi.incidents.actions import SYSTEM
from beffroi.incidents.models import Encounter, Incident
from beffroi.incidents.recorded import Captured
from beffroi.incidents.rules import (
    DEVICE_SUBJECT,
    MAX_SESSIONS_ENDED,
    Kind,
    Severity,
    alarm_kind,
    may_be_by_a_page,
    met_kind,
)
from beffroi.incidents.told import number_of, time_of
from beffroi.lib import clock

BLOCKING = ("block", "quarantine")
MAX_MACHINES = 8
MAX_MACHINES_NAMED = 50
"""Machines of one incident: a box that invents more fills no timeline."""
MAX_PEOPLE_NAMED = 300
ALARMS_BACK = timedelta(days=30)
"""An alarm of longer ago counts as one of then: a box that invents days opens no incident for each."""


def look_at_sign_ins(decision: Decision) -> int:
    """End the sessions of who signed in from a decided address, and open an incident for each person; how many."""
    if decision.action not in BLOCKING or decision.state != Decision.State.ACTIVE:
        return 0
    scope = "" if decision.scope == SCOPE_ALL else decision.scope
    found = sorted(
        sign_ins.from_indicator(decision.kind, decision.value, collectivite_id=scope),
        key=lambda one: one.collectivite_id,
    )
    for owner, group in groupby(found, key=lambda one: one.collectivite_id):
        _of_collectivite(decision, owner, list(group))
    return len(found)


def _of_collectivite(decision: Decision, owner: str, people: Sequence[sign_ins.Seen]) -> None:
    if _excepted(decision, owner):
        return
    if Encounter.objects.filter(decision_id=decision.id, collectivite_id=owner, door="login").exists():
        return
    few = len(people) <= MAX_SESSIONS_ENDED
    if few:
        for one in people:
            _of_person(decision, owner, one)
    else:
        _of_many(decision, owner, people)
    Encounter.objects.create(
        decision_id=decision.id,
        collectivite_id=owner,
        door="login",
        count=sum(one.count for one in people),
        days=len({row.day for one in people for row in one.rows}),
        first_at=min(one.first_at for one in people),
        last_at=max(one.last_at for one in people),
        remediated=len(people) if few else 0,
        remaining=0 if few else len(people),
    )


def _of_person(decision: Decision, owner: str, one: sign_ins.Seen) -> None:
    """One incident a person while it is open, from however many addresses somebody signed in."""
    incident = actions.open_incident(
        actor=SYSTEM,
        kind=Kind.FOREIGN_SIGN_IN,
        collectivite_id=owner,
        subject=one.person_id,
        occurred_at=one.first_at,
        decision_id=decision.id,
        person_id=one.person_id,
        data={"count": one.count, "address": one.rows[0].address},
        evidence=[evidence_of(decision), *(_sign_in(row) for row in one.rows)],
    )
    person = Person.objects.filter(pk=one.person_id).first()
    if person is not None:
        identity.end_sessions(actor=SYSTEM, person=person, collectivite_id=owner)
        actions.add_entry(actor=SYSTEM, incident=incident, code="sessions_ended")


def _of_many(decision: Decision, owner: str, people: Sequence[sign_ins.Seen]) -> None:
    """One incident for all: an address behind which a whole town hall sits, sooner than as many stolen passwords."""
    first = min(people, key=lambda one: one.first_at)
    incident = actions.open_incident(
        actor=SYSTEM,
        kind=Kind.FOREIGN_SIGN_IN,
        collectivite_id=owner,
        subject=decision.id,
        occurred_at=first.first_at,
        decision_id=decision.id,
        data={"count": sum(one.count for one in people), "address": first.rows[0].address},
        evidence=[evidence_of(decision), *(_sign_in(row) for one in people for row in one.rows)],
    )
    actions.add_entry(
        actor=SYSTEM,
        incident=incident,
        code="sessions_left",
        data={
            "people": len(people),
            "person_ids": " ".join(one.person_id for one in people[:MAX_PEOPLE_NAMED]),
        },
    )


def take_in_flows(*, collectivite_id: str, payload: Mapping[str, object]) -> None:
    """A boîtier looked back: its LAN met what a decision names, before the decision. While that is only observed,
    this is kept; an incident follows when it is in force."""
    decision = Decision.objects.filter(pk=str(payload.get("entry_id", ""))).first()
    count = number_of(payload, "count")
    if decision is None or not count or decision.scope not in (SCOPE_ALL, collectivite_id):
        return
    named = (payload.get("indicator_kind"), payload.get("indicator_value"))
    if decision.state == Decision.State.REVOKED or named != (decision.kind, decision.value):
        return  # undone meanwhile; or a box that answers another question than the one that was asked
    first_at, last_at = time_of(payload, "first_at"), time_of(payload, "last_at")
    met, _ = Encounter.objects.update_or_create(
        decision_id=decision.id,
        collectivite_id=collectivite_id,
        door="packet",
        defaults={
            "count": count,
            "days": min(number_of(payload, "days"), 31),
            "first_at": min(first_at, last_at),
            "last_at": last_at,
            "remaining": 1,
            "told": dict(payload),
        },
    )
    if decision.activated_at is not None and decision.state in (
        Decision.State.ACTIVE,
        Decision.State.EXPIRED,
    ):
        _open_for(decision, met)


def take_in_force(decision: Decision) -> None:
    """A decision that was observed is in force: what boîtiers told meanwhile becomes incidents."""
    if decision.state != Decision.State.ACTIVE:
        return
    for met in Encounter.objects.filter(decision_id=decision.id, door="packet", incident_id=""):
        _open_for(decision, met)


def _open_for(decision: Decision, met: Encounter) -> None:
    if decision.action not in BLOCKING or _excepted(decision, met.collectivite_id):
        return
    incident = actions.open_incident(
        actor=SYSTEM,
        kind=met_kind(_detectors(decision), command_server=_is_command_server(decision)),
        collectivite_id=met.collectivite_id,
        subject=decision.id,
        occurred_at=met.first_at,
        decision_id=decision.id,
        data={"count": met.count, "days": met.days, "value": decision.value[:200]},
        evidence=[evidence_of(decision), Captured("box_look_back", met.last_at, met.told)],
    )
    Encounter.objects.filter(pk=met.pk).update(incident_id=incident.id)


def take_in_refused(*, collectivite_id: str, payload: Mapping[str, object]) -> None:
    """A boîtier refused flows from the LAN to a command server: blocked or not, a machine there runs its program."""
    if payload.get("direction") not in ("out", "name"):
        return
    decision = Decision.objects.filter(pk=str(payload.get("entry_id", "")), action__in=BLOCKING).first()
    if decision is None or decision.state == Decision.State.REVOKED or not _is_command_server(decision):
        return
    told = payload.get("machines")
    machines = [str(one)[:40] for one in told[:MAX_MACHINES]] if isinstance(told, list) else []
    known = Incident.objects.filter(
        collectivite_id=collectivite_id, decision_id=decision.id, kind=Kind.COMMAND_SERVER
    ).first()
    if known is not None:
        _name_machines(known, machines)  # each of their next attempts would be a line
        return
    now = clock.now()
    data: dict[str, str | int] = {"refused": number_of(payload, "count"), "value": decision.value[:200]}
    if machines:
        data["machine"] = ", ".join(machines)
    actions.open_incident(
        actor=SYSTEM,
        kind=Kind.COMMAND_SERVER,
        collectivite_id=collectivite_id,
        subject=decision.id,
        occurred_at=now,
        decision_id=decision.id,
        data=data,
        evidence=[evidence_of(decision), Captured("box_refused", now, dict(payload))],
    )


def _name_machines(incident: Incident, machines: Sequence[str], code: str = "machine_named") -> None:
    """A line for each machine that the incident does not name yet. Labels only: the box knows whose they are."""
    named = {
        one
        for data in incident.entries.values_list("data", flat=True)
        for one in str(data.get("machine", "")).split(", ")
    }
    for machine in machines:
        if machine not in named and len(named) < MAX_MACHINES_NAMED:
            named.add(machine)
            actions.add_entry(actor=SYSTEM, incident=incident, code=code, data={"machine": machine})


def take_in_alarm(*, collectivite_id: str, payload: Mapping[str, object]) -> None:
    """A trap was touched, or much left the LAN: somebody must look at a machine. One incident an alarm and day, with a
    line for each machine that the box names, by labels of its own: a worm goes through all of them in an hour."""
    detector, told = str(payload.get("detector", "")), payload.get("evidence")
    evidence = told if isinstance(told, dict) else {}
    kind = alarm_kind(detector, evidence)
    if kind is None:
        return
    machine = str(evidence.get("machine", ""))[:40]
    seen_at = max(time_of(payload, "seen_at"), clock.now() - ALARMS_BACK)
    by_page = may_be_by_a_page(detector, evidence)
    data: dict[str, str | int] = {"detector": detector}
    if machine:
        data["machine"] = machine
    if by_page:
        data["by_page"] = 1
    incident = actions.open_incident(
        actor=SYSTEM,
        kind=kind,
        severity=Severity.MEDIUM if by_page else None,
        collectivite_id=collectivite_id,
        subject=f"{detector}:{'page:' if by_page else ''}{seen_at:%Y-%m-%d}",
        occurred_at=seen_at,
        data=data,
        evidence=[Captured("box_alarm", seen_at, dict(payload))],
    )
    if machine:
        _name_machines(incident, [machine], "machine_alarmed")


def take_in_drive_alarm(
    *, collectivite_id: str, at: datetime, payload: Mapping[str, object], elsewhere: bool
) -> None:
    """A device wrote files as ransomware does, and is stopped: somebody must look at its machine. One incident a
    device. ``elsewhere``: in what another collectivité shares."""
    told = payload.get("reasons")
    reasons = {str(name): count for name, count in told.items()} if isinstance(told, dict) else {}
    files = payload.get("files")
    device_id = str(payload.get("app_password_id", ""))[:80]
    actions.open_incident(
        actor=SYSTEM,
        kind=Kind.SUSPECT_MACHINE,
        collectivite_id=collectivite_id,
        subject=f"{DEVICE_SUBJECT}{device_id}",
        occurred_at=at,
        person_id=str(payload.get("person_id", ""))[:80],
        data={"drive_files_elsewhere" if elsewhere else "drive_files": files}
        if isinstance(files, int)
        else None,
        evidence=[
            Captured("drive_alarm", at, {"app_password_id": device_id, "files": files, "reasons": reasons})
        ],
    )


def take_in_found(*, collectivite_id: str, at: datetime, payload: Mapping[str, object]) -> None:
    """The scan of the drive knows a content, which is held: somebody must ask where it came from. One incident for all
    that came in the same way (``files``)."""
    sha256, names = str(payload.get("sha256", ""))[:64], _words(payload.get("names"))
    found = {
        "sha256": sha256,
        "finding": str(payload.get("code", ""))[:20],
        "names": names,
        "files": number_of(payload, "files"),
    }
    files.hold(
        collectivite_id=collectivite_id,
        sha256=sha256,
        brought_by=str(payload.get("brought_by", "")),
        at=at,
        row={
            "finding": found["finding"],
            "names": ", ".join(names)[:200],
            "count": number_of(payload, "files") + number_of(payload, "versions"),
            "released_at": None,
        },
        data={"files": number_of(payload, "files"), "names": ", ".join(names)[:200]},
        evidence=[Captured("drive_found", at, found)],
    )


def take_in_frozen(*, collectivite_id: str, at: datetime, payload: Mapping[str, object], held: bool) -> None:
    """A decision holds contents that a collectivité has, or not any more (``held``): what it names, and what carries
    that. One encounter a decision."""
    decision = Decision.objects.filter(pk=str(payload.get("decision_id", ""))).first()
    if decision is None or (held and decision.state == Decision.State.REVOKED):
        return  # undone while the drive still searched
    known = Encounter.objects.filter(decision_id=decision.id, collectivite_id=collectivite_id, door="file")
    if not held:
        known.update(remediated=0, last_at=at)
        files.let_go(collectivite_id=collectivite_id, decision_id=decision.id, at=at)
        return
    told = {name: number_of(payload, name) for name in ("files", "versions")}
    count = sum(told.values())
    incident = files.hold(
        collectivite_id=collectivite_id,
        sha256=decision.value,
        brought_by=str(payload.get("brought_by", "")),
        at=at,
        row={"decision_id": decision.id, "undone_at": None, "count": count},
        data={"files": count},
        evidence=[evidence_of(decision), Captured("drive_frozen", at, told)],
        decision=decision,
    )
    seen = {
        "count": count,
        "days": 1,
        "last_at": at,
        "remediated": count,
        "incident_id": incident.id,
    }
    Encounter.objects.update_or_create(
        decision_id=decision.id,
        collectivite_id=collectivite_id,
        door="file",
        defaults=seen,
        create_defaults={**seen, "first_at": at},
    )


def _words(value: object) -> list[str]:
    return [str(one)[:120] for one in value[:20]] if isinstance(value, list) else []


def evidence_of(decision: Decision) -> Captured:
    """What is decided and on what ground: no reporter, and no count of other communes."""
    at = decision.activated_at or decision.proposed_at
    return Captured(
        "decision",
        at,
        {
            "decision_id": decision.id,
            "indicator_kind": decision.kind,
            "indicator_value": decision.value,
            "action": decision.action,
            "rule": decision.rule,
            "detectors": _detectors(decision),
            "activated_at": int(at.timestamp()),
        },
    )


def _detectors(decision: Decision) -> list[str]:
    found = decision.evidence.get("detectors", []) if isinstance(decision.evidence, dict) else []
    return [one for one in found if isinstance(one, str)]


def _is_command_server(decision: Decision) -> bool:
    return rules.is_command_server(queries.held_of(decision))


def _excepted(decision: Decision, collectivite_id: str) -> bool:
    """Whether the commune set this decision aside for itself."""
    return any(rules.touches(one, decision.indicator) for one in queries.let_through(collectivite_id))


def _sign_in(row: SignIn) -> Captured:
    return Captured(
        "sign_in",
        row.first_at,
        {
            "person_id": row.person_id,
            "door": row.door,
            "address": row.address,
            "count": row.count,
            "first_at": int(row.first_at.timestamp()),
            "last_at": int(row.last_at.timestamp()),
        },
    )
