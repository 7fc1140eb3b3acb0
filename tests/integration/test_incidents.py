"""Incidents: opened once, led by the Département, closed when their decision is undone; a commune sees its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import exceptions
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import InboxFact, OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity import sign_ins
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, Membership, SignIn
from beffroi.incidents import actions, look_back, queries
from beffroi.incidents.actions import Captured
from beffroi.incidents.models import Encounter, Incident
from beffroi.incidents.rules import ALARMS, MAX_SESSIONS_ENDED, PLANS, Kind, met_kind
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail import projections
from beffroi_protocol.facts import LookBack, Sighting
from beffroi_protocol.indicators import normalise
from beffroi_protocol.messages import encode
from django.db import transaction
from django.test import Client

from tests.conftest import PASSWORD, Commune, make_member

pytestmark = pytest.mark.usefixtures("database")
ATTACKER = "185.203.116.9"


def decide(
    value: str = ATTACKER, kind: str = "ip", *, detectors: tuple[str, ...] = (), **changes: str
) -> Decision:
    decision = decisions.activate(
        actor=Actor.system("tests"),
        indicator=normalise(kind, value),
        action=changes.get("action", "block"),
        scope=changes.get("scope", "all"),
        reason="phishing",
        evidence={"communes": 2, "persons": 2, "detectors": list(detectors)},
        rule="two_communes",
        ttl_s=3600,
        strength=changes.get("strength", "strong"),
    )
    run_pending("main")
    return decision


def sign_in(membership: Membership, address: str = ATTACKER) -> Client:
    """A real sign-in by the portal's form, from an address that the front names."""
    client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": address})
    answer = client.post("/connexion/", {"login": membership.person.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def told(decision: Decision) -> dict[str, object]:
    """What boxes/consumers.py makes of a boîtier's answer."""
    now = clock.epoch_s()
    return {
        "box_id": "box_x",
        "fact_id": "box_x:1",
        "entry_id": decision.id,
        "indicator_kind": decision.kind,
        "indicator_value": decision.value,
        "count": 41,
        "days": 3,
        "first_at": now - 9 * 86400,
        "last_at": now - 3600,
    }


def looked_back(commune: Commune, decision: Decision, **changes: object) -> None:
    with transaction.atomic():
        outbox.publish("box:looked_back", told(decision) | changes, collectivite_id=commune.id)
    run_pending("main")


def alarm(commune: Commune, detector: str, **evidence: str) -> None:
    with transaction.atomic():
        outbox.publish(
            "box:alarm",
            {"box_id": "box_x", "detector": detector, "seen_at": clock.epoch_s(), "evidence": evidence},
            collectivite_id=commune.id,
        )
    run_pending("main")


@dataclass(frozen=True)
class Owner:
    """Who writes the projections: this process."""

    uid: int = os.getuid()
    gid: int = os.getgid()


def codes(incident: Incident) -> list[str]:
    return [one.code for one in queries.entries(incident)]


# Sign-ins


def test_a_sign_in_is_kept_for_thirty_days_and_then_erased(beaune: Commune) -> None:
    sign_in(beaune.agent_membership)
    sign_in(beaune.agent_membership)
    row = SignIn.objects.get()
    assert (row.person_id, row.collectivite_id, row.door) == (beaune.agent.id, beaune.id, "portal")
    assert (row.address, row.count) == (ATTACKER, 2)
    with clock.shifted(30 * 86400):
        assert sign_ins.prune() == 0
    with clock.shifted(31 * 86400):
        assert sign_ins.prune() == 1


def test_a_refused_sign_in_leaves_no_evidence(beaune: Commune) -> None:
    client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": ATTACKER})
    client.post("/connexion/", {"login": beaune.agent_membership.person.email, "password": "wrong"})
    assert not SignIn.objects.exists()


@pytest.mark.parametrize(("kind", "value"), [("ip", ATTACKER), ("cidr", "185.203.116.0/24")])
def test_a_decided_address_ends_the_sessions_that_came_from_it(
    beaune: Commune, nuits: Commune, kind: str, value: str
) -> None:
    stolen, other = sign_in(beaune.agent_membership), sign_in(nuits.agent_membership, "192.0.2.7")
    with clock.shifted(29 * 86400):
        decision = decide(value, kind)
    assert stolen.get("/").status_code == 302
    assert other.get("/acces/").status_code == 200
    incident = Incident.objects.get()
    assert (incident.kind, incident.collectivite_id) == (Kind.FOREIGN_SIGN_IN, beaune.id)
    assert (incident.person_id, incident.decision_id) == (beaune.agent.id, decision.id)
    assert codes(incident) == ["happened", "opened", "sessions_ended"]
    assert {one.source for one in queries.evidence(incident)} == {"decision", "sign_in"}
    met = Encounter.objects.get()
    assert (met.door, met.count, met.remediated, met.remaining) == ("login", 1, 1, 0)
    # Whoever knows the password (and is not on the list) signs in again and stays.
    with clock.shifted(29 * 86400 + 60):
        again = sign_in(beaune.agent_membership, "192.0.2.9")
        assert again.get("/acces/").status_code == 200


def test_app_passwords_are_never_revoked_by_themselves(
    beaune: Commune, administrator: Actor, config: Config
) -> None:
    projections.create(config, python=Owner(), dovecot_gid=os.getgid())
    identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap,smtp", label="x"
    )
    sign_in(beaune.agent_membership)
    decide()
    assert AppPassword.objects.get().revoked_at is None
    incident = Incident.objects.get()
    with pytest.raises(NotAllowed):
        actions.revoke_app_passwords(actor=beaune.referent, incident=incident, person_id=beaune.agent.id)
    assert (
        actions.revoke_app_passwords(actor=administrator, incident=incident, person_id=beaune.agent.id) == 1
    )
    assert AppPassword.objects.get().revoked_at is not None
    assert codes(incident)[-1] == "app_passwords_revoked"


def test_many_people_behind_one_address_keep_their_sessions(beaune: Commune, system: Actor) -> None:
    """A town hall's own address, decided by mistake, must not throw everybody out."""
    for number in range(MAX_SESSIONS_ENDED + 1):
        member = make_member(system, beaune.collectivite, f"a{number}@beaune.test", "agent")
        sign_ins.record(member, ATTACKER)
    client = sign_in(beaune.agent_membership)
    decide()
    assert client.get("/acces/").status_code == 200
    met = Encounter.objects.get()
    assert (met.remediated, met.remaining) == (0, MAX_SESSIONS_ENDED + 2)
    assert all("sessions_left" in codes(one) for one in Incident.objects.all())


def test_a_decision_of_one_commune_looks_back_there_only(beaune: Commune, nuits: Commune) -> None:
    sign_in(beaune.agent_membership)
    sign_in(nuits.agent_membership)
    decide(scope=nuits.id)
    assert Incident.objects.get().collectivite_id == nuits.id


def test_an_observed_address_ends_nothing(beaune: Commune) -> None:
    client = sign_in(beaune.agent_membership)
    decide(action="warn")
    assert client.get("/acces/").status_code == 200
    assert not Incident.objects.exists()


# What boîtiers say


def test_a_lan_that_met_a_command_server_gets_an_incident_with_its_tasks(beaune: Commune) -> None:
    decision = decide(detectors=("box_beacon",))
    last_at = clock.epoch_s() - 60
    for _ in range(2):  # the same fact again adds nothing
        looked_back(beaune, decision, first_at=last_at - 9 * 86400, last_at=last_at)
    incident = Incident.objects.get()
    assert (incident.kind, incident.severity) == (Kind.COMMAND_SERVER, "high")
    assert codes(incident) == ["happened", "opened"]
    assert [t.code for t in queries.tasks(incident)] == [t.code for t in PLANS[Kind.COMMAND_SERVER].tasks]
    due = {t.code: t.due_at - incident.opened_at for t in queries.tasks(incident) if t.due_at}
    assert set(due) == {"complaint", "cnil"}
    assert all(abs(one - timedelta(hours=72)) < timedelta(seconds=5) for one in due.values())
    assert Encounter.objects.get().incident_id == incident.id


def test_a_lan_that_met_a_lure_is_asked_who_opened_it(beaune: Commune) -> None:
    looked_back(beaune, decide(detectors=("spf_fail", "link_mismatch")))
    assert Incident.objects.get().kind == Kind.LURE_VISITED


@pytest.mark.parametrize(
    "changes",
    [{"entry_id": "dec_nothing"}, {"count": 0}, {"count": "many"}, {"indicator_value": "192.0.2.44"}],
)
def test_a_box_that_answers_another_question_opens_nothing(
    beaune: Commune, changes: dict[str, object]
) -> None:
    looked_back(beaune, decide(), **changes)
    assert not Incident.objects.exists()


@pytest.mark.parametrize("detector", [*ALARMS, "port_scan", "brute_force", "cleartext_password"])
def test_an_alarm_inside_the_lan_opens_one_incident_a_day(beaune: Commune, detector: str) -> None:
    alarm(beaune, detector, side="lan", machine="poste-7KQ2A")
    alarm(beaune, detector, side="lan", machine="poste-7KQ2A")
    assert [one.kind for one in Incident.objects.all()] == ([ALARMS[detector]] if detector in ALARMS else [])


def test_a_trap_that_the_internet_touched_is_no_incident(beaune: Commune) -> None:
    alarm(beaune, "honeyport", side="wan")
    assert not Incident.objects.exists()


def test_a_fact_of_a_box_becomes_an_incident_of_its_own_commune(beaune: Commune, nuits: Commune) -> None:
    """The whole way: as stream stores what a boîtier sends."""
    decision = decide(detectors=("box_beacon",))
    box, now = "box_" + "1" * 26, clock.epoch_s()
    met = LookBack("1", decision.id, decision.indicator, 41, 3, now - 9 * 86400, now)
    touched = Sighting("2", "honeyport", (), now, {"side": "lan", "port": "23", "machine": "poste-7KQ2A"})
    for fact in (met, touched):
        row = InboxFact.objects.create(
            id=f"{box}:{fact.id}",
            source=box,
            collectivite_id=nuits.id,
            kind=str(fact.__struct_config__.tag),
            payload=encode(fact).decode(),
        )
        with transaction.atomic():
            outbox.publish("fact:received", {"fact_id": row.id}, collectivite_id=nuits.id)
    run_pending("main")
    found = {one.kind: one for one in Incident.objects.all()}
    assert found.keys() == {Kind.COMMAND_SERVER, Kind.TRAP_TOUCHED}
    assert {one.collectivite_id for one in found.values()} == {nuits.id}
    assert queries.entries(found[Kind.TRAP_TOUCHED])[0].data["machine"] == "poste-7KQ2A"


def test_the_worse_meaning_holds_when_nothing_tells() -> None:
    assert met_kind([], command_server=False) == Kind.COMMAND_SERVER
    assert met_kind(["spf_fail"], command_server=False) == Kind.LURE_VISITED
    assert met_kind(["spf_fail", "known_malware"], command_server=False) == Kind.COMMAND_SERVER
    assert met_kind(["spf_fail"], command_server=True) == Kind.COMMAND_SERVER


def test_what_is_only_observed_opens_nothing_until_it_is_in_force(beaune: Commune) -> None:
    decision = decide(strength="weak")
    assert decision.state == "observed"
    sign_in(beaune.agent_membership)
    looked_back(beaune, decision)
    assert Encounter.objects.get().count == 41
    assert not Incident.objects.exists()
    decide()  # strong evidence comes: the same decision is in force
    decision.refresh_from_db()
    assert decision.state == "active"
    kinds = set(Incident.objects.values_list("kind", flat=True))
    assert kinds == {Kind.COMMAND_SERVER, Kind.FOREIGN_SIGN_IN}
    assert Encounter.objects.get(door="packet").incident_id


def test_what_was_never_in_force_opens_nothing_when_its_time_is_over(beaune: Commune) -> None:
    decision = decide(strength="weak")
    looked_back(beaune, decision)
    with clock.shifted(7200):
        decisions.expire_due()
        run_pending("main")
        looked_back(beaune, decision, count=50)
    decision.refresh_from_db()
    assert decision.state == "expired"
    assert not Incident.objects.exists()


def test_what_a_commune_set_aside_for_itself_ends_and_opens_nothing_there(
    beaune: Commune, nuits: Commune
) -> None:
    clients = {one.id: sign_in(one.agent_membership) for one in (beaune, nuits)}
    indicator = normalise("ip", ATTACKER)
    exceptions.allow_locally(
        actor=Actor("administrator", "adm_x", None, "administrator"),
        collectivite_id=beaune.id,
        indicator=indicator,
        ttl_s=3600,
        reason="prestataire",
    )
    decision = decide()
    for one in (beaune, nuits):
        looked_back(one, decision)
    assert set(Incident.objects.values_list("collectivite_id", flat=True)) == {nuits.id}
    assert clients[beaune.id].get("/acces/").status_code == 200
    assert clients[nuits.id].get("/acces/").status_code == 302


@pytest.mark.parametrize(
    ("direction", "detectors", "opened"),
    [
        ("out", ("box_beacon",), 1),
        ("name", ("box_beacon",), 1),
        ("in", ("box_beacon",), 0),
        ("out", ("spf_fail",), 0),
    ],
)
def test_a_machine_that_goes_on_calling_its_master_is_told_once(
    beaune: Commune, direction: str, detectors: tuple[str, ...], opened: int
) -> None:
    decision = decide(detectors=detectors)
    for count in (3, 8):
        with transaction.atomic():
            payload = {"box_id": "box_x", "kind": "ip", "direction": direction, "count": count}
            outbox.publish(
                "box:flows_counted", payload | {"entry_id": decision.id}, collectivite_id=beaune.id
            )
        run_pending("main")
    assert Incident.objects.count() == opened
    assert sum(len(queries.evidence(one)) for one in Incident.objects.all()) == 2 * opened


def test_evidence_of_one_incident_is_bounded(beaune: Commune) -> None:
    decision = decide(detectors=("box_beacon",))
    for count in range(actions.MAX_EVIDENCE + 5):
        look_back.take_in_flows(collectivite_id=beaune.id, payload=told(decision) | {"count": count + 1})
    incident = Incident.objects.get()
    assert len(queries.evidence(incident)) == actions.MAX_EVIDENCE


# Undo


def test_undoing_a_decision_closes_what_it_opened_and_says_so(beaune: Commune, nuits: Commune) -> None:
    decision = decide(detectors=("box_beacon",))
    looked_back(beaune, decision)
    alarm(nuits, "honeyport", side="lan")
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="undone")
    run_pending("main")
    incident = Incident.objects.get(collectivite_id=beaune.id)
    assert (incident.state, incident.close_reason) == ("closed", "decision_undone")
    assert codes(incident)[-1] == "closed"
    assert AuditEntry.objects.filter(verb="incident:closed", object_id=incident.id).count() == 1
    assert Incident.objects.get(collectivite_id=nuits.id).is_open
    looked_back(beaune, decision, count=50)  # an answer on its way finds the decision gone
    assert Incident.objects.filter(collectivite_id=beaune.id).count() == 1


def test_an_expired_decision_closes_nothing(beaune: Commune) -> None:
    looked_back(beaune, decide(detectors=("box_beacon",)))
    with clock.shifted(7200):
        decisions.expire_due()
        run_pending("main")
    assert Decision.objects.get().state == "expired"
    assert Incident.objects.get().is_open


# People


@pytest.fixture
def incident(beaune: Commune) -> Incident:
    return actions.open_incident(
        actor=actions.SYSTEM,
        kind=Kind.COMMAND_SERVER,
        collectivite_id=beaune.id,
        subject="test",
        occurred_at=clock.now(),
        evidence=[Captured("box_alarm", clock.now(), {"port": 23})],
    )


Word = Callable[[Actor, Incident], object]
LEADING: dict[str, Word] = {
    "take": lambda actor, one: actions.take(actor=actor, incident=one),
    "state": lambda actor, one: actions.set_state(actor=actor, incident=one, state="waiting_commune"),
    "severity": lambda actor, one: actions.set_severity(actor=actor, incident=one, severity="low"),
    "close": lambda actor, one: actions.close(actor=actor, incident=one, reason="resolved"),
    "reopen": lambda actor, one: actions.reopen(actor=actor, incident=one),
    "entry": lambda actor, one: actions.add_entry(actor=actor, incident=one, code="sessions_ended"),
}
SHARED: dict[str, Word] = {
    "note": lambda actor, one: actions.add_note(actor=actor, incident=one, text="Vu."),
    "tick": lambda actor, one: actions.tick(actor=actor, incident=one, task=queries.tasks(one)[0], done=True),
    "export": lambda actor, one: actions.record_export(actor=actor, incident=one, sha256="0" * 64),
}


@pytest.mark.parametrize("name", [*LEADING, *SHARED])
def test_another_commune_does_nothing_to_it_and_sees_nothing_of_it(
    nuits: Commune, incident: Incident, name: str
) -> None:
    before = (OutboxEvent.objects.count(), incident.entries.count())
    with pytest.raises((NotFound, NotAllowed)):
        (LEADING | SHARED)[name](nuits.referent, incident)
    with pytest.raises(NotFound):
        queries.access_incident(nuits.referent, incident.id)
    with pytest.raises(NotFound):
        queries.access_task(nuits.referent, incident, queries.tasks(incident)[0].id)
    assert not queries.visible_incidents(nuits.referent)
    assert not queries.deadlines(nuits.referent)
    assert (OutboxEvent.objects.count(), incident.entries.count()) == before


@pytest.mark.parametrize("name", LEADING)
def test_a_commune_does_not_lead_its_own(beaune: Commune, incident: Incident, name: str) -> None:
    with pytest.raises(NotAllowed):
        LEADING[name](beaune.referent, incident)


def test_its_life_is_told_by_its_timeline(beaune: Commune, administrator: Actor, incident: Incident) -> None:
    actions.take(actor=administrator, incident=incident)
    assert (incident.state, incident.owner_id) == ("in_progress", administrator.id)
    actions.set_state(actor=administrator, incident=incident, state="waiting_commune")
    for task in queries.tasks(incident):
        if task.audience == "commune":
            actions.tick(actor=beaune.agent, incident=incident, task=task, done=True)
    incident.refresh_from_db()
    assert incident.state == "in_progress"  # the commune did its part: the Département's turn
    actions.add_note(actor=beaune.agent, incident=incident, text="  Câble débranché.  ")
    actions.close(actor=administrator, incident=incident, reason="resolved")
    with pytest.raises(Conflict):
        actions.take(actor=administrator, incident=incident)
    actions.reopen(actor=administrator, incident=incident)
    assert incident.state == "in_progress"
    told = codes(incident)
    assert told[:4] == ["happened", "opened", "taken", "state"]
    assert told[-3:] == ["note", "closed", "reopened"]
    verbs = set(AuditEntry.objects.filter(object_id=incident.id).values_list("verb", flat=True))
    assert {"incident:opened", "incident:note_added", "incident:closed", "incident:reopened"} <= verbs
    assert not AuditEntry.objects.filter(details__contains="débranché").exists()


@pytest.mark.parametrize("text", ["", "   ", "x" * 2001, "a\x00b"])
def test_a_note_that_cannot_be_kept_is_refused(beaune: Commune, incident: Incident, text: str) -> None:
    with pytest.raises(Invalid):
        actions.add_note(actor=beaune.agent, incident=incident, text=text)


def test_a_commune_does_not_tick_what_is_the_departements(beaune: Commune, incident: Incident) -> None:
    task = next(one for one in queries.tasks(incident) if one.audience == "departement")
    with pytest.raises(NotFound):
        queries.access_task(beaune.referent, incident, task.id)


def test_a_declared_password_replaces_a_declared_click(beaune: Commune, system: Actor) -> None:
    clicked = actions.declare(actor=beaune.agent, typed=False, message_id="msg_1", evidence=[])
    again = actions.declare(actor=beaune.agent, typed=False, message_id="msg_1", evidence=[])
    assert clicked == again
    typed = actions.declare(actor=beaune.agent, typed=True, message_id="msg_1", evidence=[])
    clicked.refresh_from_db()
    assert (clicked.state, typed.kind, typed.severity) == ("closed", Kind.PASSWORD_TYPED, "high")
    with pytest.raises(NotAllowed):
        actions.declare(actor=system, typed=True, message_id="msg_1", evidence=[])


def test_every_kind_has_a_plan_with_a_runbook_that_exists() -> None:
    assert set(PLANS) == set(Kind)
    folder = Path(__file__).parents[2] / "docs" / "runbooks"
    for plan in PLANS.values():
        assert (folder / f"{plan.runbook}.md").is_file(), plan.runbook
        assert len({task.code for task in plan.tasks}) == len(plan.tasks)
