"""What a device brings is one incident with a list, whatever it brings; nothing of another collectivité ever joins."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions, queries, retention
from beffroi.incidents.models import Encounter, Incident, IncidentEntry, IncidentFile
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from django.apps import apps
from django.db import transaction
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_incidents import codes, decide
from tests.fixtures_portal import console_client, on_listener, portal_client
from tests.markup import text_of

pytestmark = pytest.mark.django_db
MANY = 120
DEVICE, OTHER = "app_infected", "app_other"


def sha(number: int) -> str:
    return f"{number:064x}"


def settled() -> None:
    while run_pending("main"):
        pass


def tell(commune: Commune, kind: str, **payload: object) -> None:
    with transaction.atomic():
        outbox.publish(kind, payload, collectivite_id=commune.id)


def found(commune: Commune, *numbers: int, by: str = DEVICE) -> None:
    """As filescan tells what it knows."""
    for number in numbers:
        tell(
            commune,
            "drive:found",
            sha256=sha(number),
            code="malware",
            names=["Wolf"],
            files=1,
            versions=0,
            brought_by=by,
        )
    settled()


def frozen(commune: Commune, decision: Decision, by: str = DEVICE) -> None:
    tell(commune, "drive:frozen", decision_id=decision.id, files=1, versions=0, brought_by=by)
    settled()


def test_hundreds_of_infected_files_of_one_device_are_one_incident_with_its_list(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    found(beaune, *range(MANY))
    found(nuits, 1)
    incident = Incident.objects.get(collectivite_id=beaune.id)
    assert incident.files.count() == MANY
    assert {one.collectivite_id for one in incident.files.all()} == {beaune.id}
    assert len(queries.tasks(incident)) == 3
    told = OutboxEvent.objects.filter(kind__startswith="incident:", collectivite_id=beaune.id)
    assert sorted(told.values_list("kind", flat=True)) == ["incident:opened", "incident:seen_again"]
    assert codes(incident) == ["happened", "opened", "files_joined"]
    assert AuditEntry.objects.filter(object_id=incident.id).count() == 2
    page = text_of(portal_client(beaune.agent_membership).get("/dossiers/"))
    assert page.count(f"{MANY} fichiers dangereux sont retenus dans le Coffre") == 1
    with on_listener("console"):
        console = console_client(administrator.id)
        assert f"{MANY} fichiers dangereux" in text_of(console.get("/dossiers/"))
        assert f"et {MANY - 1} autres" in text_of(console.get("/coffre/"))


def test_the_list_of_an_incident_is_read_in_pages_by_its_own_people(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    found(beaune, *range(MANY))
    address = reverse("incident", args=[Incident.objects.get().id])
    agent = portal_client(beaune.agent_membership)
    pages = [text_of(agent.get(f"{address}?page={number}")) for number in (1, 2, 3)]
    shown = [[n for n in range(MANY) if sha(n) in page] for page in pages]
    assert [len(one) for one in shown] == [50, 50, 20]
    assert {n for one in shown for n in one} == set(range(MANY))
    with on_listener("console"):
        assert sha(0) in text_of(console_client(administrator.id).get(f"{address}?page=3"))
    assert portal_client(nuits.referent_membership).get(address).status_code == 404


def test_another_device_another_incident_and_the_same_content_none(beaune: Commune) -> None:
    found(beaune, 1, 2)
    found(beaune, 3, by=OTHER)
    assert [one.files.count() for one in Incident.objects.order_by("opened_at", "id")] == [2, 1]
    found(beaune, 2, by=OTHER)
    assert Incident.objects.count() == 2 and sum(i.files.count() for i in Incident.objects.all()) == 3


def test_old_files_that_newer_rules_know_are_one_incident_a_day(beaune: Commune, nuits: Commune) -> None:
    """The journal that says who brought them goes back as far as versions do."""
    found(beaune, *range(5), by="")
    found(nuits, 1, by="")
    for number in (7, 8):
        frozen(beaune, decide(sha(number), "sha256", detectors=("known_malware",)), by="")
    assert sorted(one.files.count() for one in Incident.objects.all()) == [1, 7]


def test_what_comes_after_it_was_closed_is_a_new_incident(beaune: Commune, administrator: Actor) -> None:
    found(beaune, 1)
    first = Incident.objects.get()
    actions.close(actor=administrator, incident=first, reason="resolved")
    found(beaune, 1, 2)
    later = Incident.objects.exclude(pk=first.pk).get()
    assert later.files.count() == 2 and first.files.count() == 1


def test_each_day_on_which_an_incident_grows_has_a_line(beaune: Commune) -> None:
    found(beaune, 1, 2, 3)
    IncidentEntry.objects.update(recorded_at=clock.now() - timedelta(days=1, minutes=1))
    found(beaune, 4, 5)
    assert codes(Incident.objects.get()).count("files_joined") == 2


def test_contents_that_decisions_of_one_campaign_hold_are_one_incident(
    beaune: Commune, nuits: Commune
) -> None:
    for number in range(3):
        decision = decide(sha(number), "sha256", detectors=("known_malware",))
        Decision.objects.filter(pk=decision.pk).update(campaign_id="cmp_one")
        frozen(beaune, Decision.objects.get(pk=decision.pk), by=f"app_{number}")
        frozen(nuits, Decision.objects.get(pk=decision.pk), by="")
    assert sorted(Incident.objects.values_list("collectivite_id", flat=True)) == sorted([beaune.id, nuits.id])
    assert [one.files.count() for one in Incident.objects.all()] == [3, 3]


def test_undoing_closes_an_incident_once_nothing_in_it_is_held_any_more(beaune: Commune) -> None:
    first, second = (decide(sha(n), "sha256", detectors=("known_malware",)) for n in (1, 2))
    for one in (first, second):
        frozen(beaune, one)
    incident = Incident.objects.get()
    assert {*queries.of_decision(actions.SYSTEM, second.id)} == {incident}

    def undo(decision: Decision) -> None:
        decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="undone")
        settled()
        incident.refresh_from_db()

    undo(first)
    assert incident.is_open, "the other one holds its file"
    assert [one.is_held for one in queries.files(incident)] == [True, False]
    undo(second)
    assert (incident.is_open, incident.close_reason) == (False, "decision_undone")


def test_a_file_that_its_decision_lets_go_is_not_said_to_be_held(beaune: Commune, nuits: Commune) -> None:
    """Its time is over, or the commune lets it through: the dossier stays, and an undoing closes it all the same."""
    decision = decide(sha(1), "sha256", detectors=("known_malware",))
    for commune in (beaune, nuits):
        frozen(commune, decision)
    tell(beaune, "drive:thawed", decision_id=decision.id, files=1, versions=0)
    settled()
    incident, other = (Incident.objects.get(collectivite_id=one.id) for one in (beaune, nuits))
    assert incident.is_open and not queries.files(incident)[0].is_held and queries.files(other)[0].is_held
    frozen(beaune, decision)
    assert queries.files(incident)[0].is_held, "held again"
    tell(beaune, "drive:thawed", decision_id=decision.id, files=1, versions=0)
    settled()
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="undone")
    settled()
    incident.refresh_from_db()
    assert incident.close_reason == "decision_undone"


def test_undoing_leaves_what_the_scan_itself_knows(beaune: Commune) -> None:
    decision = decide(sha(1), "sha256", detectors=("known_malware",))
    frozen(beaune, decision)
    found(beaune, 1)
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="undone")
    settled()
    incident = Incident.objects.get()
    assert incident.is_open and queries.files(incident)[0].is_held
    tell(beaune, "drive:released", sha256=sha(1))
    settled()
    assert not queries.files(incident)[0].is_held
    assert codes(incident)[-1] == "file_released"


def test_an_open_incident_keeps_the_decisions_of_all_its_files(beaune: Commune) -> None:
    made = [decide(sha(n), "sha256", detectors=("known_malware",)) for n in (1, 2)]
    for one in made:
        frozen(beaune, one)
    ids = {one.id for one in made}
    assert retention.decisions(ids) == ids


def test_incidents_of_before_have_their_content_and_whether_it_is_held(beaune: Commune) -> None:
    """One each, which their subject named; what people released, or a decision let go, is not held."""
    decision = decide(sha(3), "sha256", detectors=("known_malware",))
    for number, decision_id in ((1, ""), (2, ""), (3, decision.id)):
        incident = actions.open_incident(
            actor=actions.SYSTEM,
            kind=Kind.MALICIOUS_FILE,
            collectivite_id=beaune.id,
            subject=sha(number),
            occurred_at=clock.now(),
            decision_id=decision_id,
        )
        if number == 2:
            actions.add_entry(actor=actions.SYSTEM, incident=incident, code="file_released")
    told = {"first_at": clock.now(), "last_at": clock.now(), "count": 1, "days": 1, "remediated": 0}
    Encounter.objects.create(decision_id=decision.id, collectivite_id=beaune.id, door="file", **told)
    import_module("beffroi.incidents.migrations.0009_files").of_subjects(apps, None)
    rows = {one.sha256: one.is_held for one in IncidentFile.objects.all()}
    assert rows == {sha(1): True, sha(2): False, sha(3): False}
