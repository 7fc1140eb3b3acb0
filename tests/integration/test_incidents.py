"""Incidents: led by the Département, told by their timeline; a commune sees, ticks and declares its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Incident, IncidentEntry
from beffroi.incidents.recorded import Captured
from beffroi.incidents.rules import LEGAL_DELAY, PLANS, Kind
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.portal.incident_words import entry
from django.db import transaction

from tests.conftest import Commune
from tests.fixtures_incidents import codes

pytestmark = pytest.mark.usefixtures("database")


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
    "not_needed": lambda actor, one: actions.not_needed(
        actor=actor, incident=one, task=queries.unanswered(one)[0], why="Aucune donnée."
    ),
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


def test_it_is_resolved_once_each_date_of_the_law_is_answered(
    beaune: Commune, nuits: Commune, administrator: Actor, incident: Incident
) -> None:
    with pytest.raises(actions.DateUnanswered):
        actions.close(actor=administrator, incident=incident, reason="resolved")
    complaint, cnil = queries.unanswered(incident)
    actions.tick(actor=beaune.agent, incident=incident, task=complaint, done=True)
    with pytest.raises(actions.DateUnanswered):
        actions.close(actor=administrator, incident=incident, reason="resolved")
    actions.not_needed(
        actor=beaune.referent, incident=incident, task=cnil, why="  Poste vide, sans données.  "
    )
    assert not queries.deadlines(beaune.agent)
    said = queries.entries(incident)[-1]
    assert (said.code, said.text) == ("task_not_needed", "Poste vide, sans données.")
    assert entry(incident.kind, said.code, said.data).startswith("Pas nécessaire : Si des données")
    assert not AuditEntry.objects.filter(details__contains="Poste vide").exists()
    actions.tick(actor=beaune.agent, incident=incident, task=cnil, done=False)
    assert [one.why for one in queries.unanswered(incident)] == [""]
    actions.not_needed(actor=administrator, incident=incident, task=cnil, why="Poste vide.")
    actions.close(actor=administrator, incident=incident, reason="resolved")
    assert not queries.closed_unanswered(beaune.agent)
    assert [one.id for one in queries.closed_incidents(beaune.agent)] == [incident.id]
    assert not queries.closed_incidents(nuits.referent)


def test_a_clock_that_jumps_ahead_puts_no_date_of_the_law_off(beaune: Commune) -> None:
    clock.paced()
    with clock.jumped(400 * 86400):
        made = actions.open_by_hand(
            actor=beaune.agent, collectivite_id=beaune.id, kind=Kind.PASSWORD_TYPED, text="Un faux courriel"
        )
    dates = [one.due_at for one in queries.unanswered(made)]
    assert len(dates) == 2 and all(one and one <= clock.now() + LEGAL_DELAY for one in dates)
    assert made.opened_at <= clock.now()


def test_what_was_nothing_closes_without_an_answer(administrator: Actor, incident: Incident) -> None:
    actions.close(actor=administrator, incident=incident, reason="false_alarm")
    assert not queries.deadlines(administrator)
    assert not queries.closed_unanswered(administrator)


def test_a_date_that_was_left_open_is_seen_beyond_the_end(
    beaune: Commune, nuits: Commune, administrator: Actor, incident: Incident
) -> None:
    """As those that were closed before an answer was asked for."""
    Incident.objects.update(state="closed", closed_at=clock.now(), close_reason="resolved")
    assert {one.code for one in queries.deadlines(beaune.agent)} == {"complaint", "cnil"}
    assert [one.id for one in queries.closed_unanswered(administrator)] == [incident.id]
    assert not queries.closed_incidents(administrator)
    assert not queries.closed_unanswered(nuits.referent)
    assert not queries.deadlines(nuits.referent)


@pytest.mark.parametrize("why", ["", "  ", "x" * 501, "a\x00b"])
def test_a_date_is_not_needless_without_a_reason(beaune: Commune, incident: Incident, why: str) -> None:
    with pytest.raises(Invalid):
        actions.not_needed(
            actor=beaune.agent, incident=incident, task=queries.unanswered(incident)[0], why=why
        )
    with pytest.raises(Invalid):  # nothing that only a reflex asks for
        actions.not_needed(
            actor=beaune.agent, incident=incident, task=queries.tasks(incident)[0], why="Inutile."
        )


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


def test_a_device_that_the_drive_stopped_opens_one_incident_of_its_own_commune(
    beaune: Commune, nuits: Commune
) -> None:
    told = {"app_password_id": "app_x", "person_id": beaune.agent.id, "files": 3, "reasons": {"lost": 3}}
    for owner in (beaune.id, beaune.id, None):
        with transaction.atomic():
            publish("drive:alarm", told, collectivite_id=owner)
        run_pending("main")
    (incident,) = Incident.objects.all()
    assert (incident.kind, incident.collectivite_id) == (Kind.SUSPECT_MACHINE, beaune.id)
    assert "unplug_network" in [one.code for one in queries.tasks(incident)]
    assert codes(incident) == ["happened", "opened"]
    assert not queries.visible_incidents(Actor("person", nuits.referent.id, nuits.id, "referent")).exists()
    assert "3 fichiers montraient" in entry("suspect_machine", "happened", {"drive_files": 3})


def test_a_device_that_was_stopped_at_a_neighbour_s_opens_one_incident_of_each(
    beaune: Commune, nuits: Commune
) -> None:
    told = {"app_password_id": "app_x", "person_id": beaune.agent.id, "files": 3, "reasons": {"lost": 3}}
    for kind, owner in (("drive:alarm", nuits.id), *(("drive:alarm_elsewhere", beaune.id),) * 2):
        with transaction.atomic():
            publish(kind, told, collectivite_id=owner)
        run_pending("main")
    found = {one.collectivite_id: one for one in Incident.objects.all()}
    assert set(found) == {beaune.id, nuits.id} and Incident.objects.count() == 2
    own = IncidentEntry.objects.get(incident=found[beaune.id], code="happened")
    assert "3 fichiers partagés par une autre collectivité" in entry("suspect_machine", "happened", own.data)


def test_a_decision_that_goes_on_takes_its_incidents_along_also_where_a_box_told_of_the_new_one_first(
    beaune: Commune,
) -> None:
    def opened(decision_id: str) -> str:
        return actions.open_incident(
            actor=actions.SYSTEM,
            kind=Kind.COMMAND_SERVER,
            collectivite_id=beaune.id,
            subject=decision_id,
            occurred_at=clock.now(),
            decision_id=decision_id,
        ).id

    before, anew = opened("dec_before"), opened("dec_anew")
    actions.follow_decision(before="dec_before", after="dec_anew")
    actions.follow_decision(before="dec_before", after="dec_anew")
    assert {one.id for one in Incident.objects.filter(decision_id="dec_anew")} == {before, anew}
    assert opened("dec_anew") == anew
    assert actions.close_for_decision(decision_id="dec_anew") == 2
