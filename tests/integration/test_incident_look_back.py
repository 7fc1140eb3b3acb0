"""What boîtiers tell becomes incidents of their own commune, once; undoing the decision closes them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions import exceptions, staging
from beffroi.core.decisions.models import Decision
from beffroi.core.events import outbox
from beffroi.core.events.models import InboxFact
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.incidents import look_back, queries
from beffroi.incidents.models import Encounter, Incident
from beffroi.incidents.recorded import MAX_EVIDENCE
from beffroi.incidents.rules import ALARMS, PLANS, Kind, met_kind
from beffroi.lib import clock
from beffroi.portal import incident_view, incident_words
from beffroi_protocol.facts import LookBack, Sighting
from beffroi_protocol.indicators import normalise
from beffroi_protocol.messages import encode
from django.db import transaction

from tests.conftest import Commune
from tests.fixtures_incidents import ATTACKER, alarm, codes, decide, looked_back, sign_in, told

pytestmark = pytest.mark.usefixtures("database")


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


def test_a_worm_that_touches_a_trap_from_all_machines_is_one_incident_a_day(
    beaune: Commune, nuits: Commune
) -> None:
    """A box that invents machines and days opens no incident for each either."""
    for number in range(60):
        alarm(beaune, "honeyport", side="lan", machine=f"poste-{number:05}")
    alarm(nuits, "honeyport", side="lan", machine="poste-other")
    incident = Incident.objects.get(collectivite_id=beaune.id)
    named = [one.data["machine"] for one in queries.entries(incident) if "machine" in one.data]
    assert len(named) == len(set(named)) == look_back.MAX_MACHINES_NAMED
    said = " ".join(one.text for one in incident_view.timeline(beaune.agent, incident))
    assert all(one in said for one in named), "whoever goes to unplug them reads which"
    assert sum(one.due_at is not None for one in queries.tasks(incident)) == 1
    for days in range(100):
        told = {
            "detector": "honeyport",
            "seen_at": clock.epoch_s() - days * 86400,
            "evidence": {"side": "lan"},
        }
        look_back.take_in_alarm(collectivite_id=beaune.id, payload=told)
    assert Incident.objects.filter(collectivite_id=beaune.id).count() <= 31


def test_a_touch_that_a_page_of_the_web_makes_is_told_as_what_it_is(beaune: Commune) -> None:
    """Chromium's pages connect to 2323, 5555, 6379 and 37215 of a box by a picture, a form, a frame, fetch or a
    websocket; to 23 and 2049 by none of them."""
    for port in ("2323", "6379", "37215", "5555"):
        alarm(beaune, "honeyport", side="lan", machine="poste-7KQ2A", port=port)
    doubtful = Incident.objects.get()
    assert doubtful.severity == "medium"
    (said, *_) = [one.text for one in incident_view.timeline(Actor.system("tests"), doubtful)]
    assert "Une page web ouverte sur ce poste a pu suffire" in said
    alarm(beaune, "honeyport", side="lan", machine="poste-7KQ2A", port="23")
    alarm(beaune, "canary_name", name="sauvegardes-0f1e2d3c.home.arpa", machine="poste-7KQ2A")
    sure = Incident.objects.exclude(pk=doubtful.pk)
    assert [one.severity for one in sure] == ["high", "high"]
    for one in sure:
        assert "page web" not in " ".join(line.text for line in incident_view.timeline(beaune.referent, one))


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


def test_an_incident_names_each_machine_that_called_the_command_server_once(beaune: Commune) -> None:
    """By the label that the boîtier gave it: before or after the look back opened the incident."""
    decision = decide(detectors=("box_beacon",))

    def refused(*machines: str) -> None:
        look_back.take_in_refused(
            collectivite_id=beaune.id,
            payload={"direction": "out", "entry_id": decision.id, "count": 1, "machines": list(machines)},
        )

    refused("poste-7KQ2A")
    refused("poste-7KQ2A", "poste-00000")
    refused("poste-00000")
    refused()
    (incident,) = Incident.objects.all()
    found = [(one.code, one.data["machine"]) for one in queries.entries(incident) if "machine" in one.data]
    assert found == [("happened", "poste-7KQ2A"), ("machine_named", "poste-00000")]
    said = [incident_words.entry(incident.kind, one.code, one.data) for one in queries.entries(incident)]
    assert sum("poste-7KQ2A" in one for one in said) == 1 and sum("poste-00000" in one for one in said) == 1


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
    for count in range(MAX_EVIDENCE + 5):
        look_back.take_in_flows(collectivite_id=beaune.id, payload=told(decision) | {"count": count + 1})
    incident = Incident.objects.get()
    assert len(queries.evidence(incident)) == MAX_EVIDENCE


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


def test_taking_back_what_its_time_had_ended_closes_what_it_opened_too(beaune: Commune) -> None:
    decision = decide(detectors=("box_beacon",))
    looked_back(beaune, decision)
    Decision.objects.update(expires_at=clock.now())
    assert decisions.expire_due() == 1
    run_pending("main")
    assert Incident.objects.get().is_open
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="undone")
    run_pending("main")
    assert Incident.objects.get().close_reason == "decision_undone"


def test_what_the_drive_tells_of_a_decision_that_was_undone_opens_nothing(beaune: Commune) -> None:
    """It searches some hundred communes, one after the other; the last ones it freezes behind the word that ends it."""
    decision = decide("a" * 64, "sha256", detectors=("known_malware",))
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="undone")
    for kind in ("drive:frozen", "drive:thawed"):
        with transaction.atomic():
            outbox.publish(
                kind,
                {"decision_id": decision.id, "sha256": decision.value, "files": 1, "versions": 0},
                collectivite_id=beaune.id,
            )
    run_pending("main")
    assert Incident.objects.count() == Encounter.objects.count() == 0


def test_what_was_withdrawn_and_is_confirmed_keeps_its_incidents(
    beaune: Commune, administrator: Actor
) -> None:
    membership = Membership.objects.get(person_id=beaune.agent.id)
    sign_in(membership)
    decision = decide(detectors=("box_beacon",))
    looked_back(beaune, decision)
    first = decision.id
    opened = set(Incident.objects.values_list("id", flat=True))
    assert len(opened) == 2
    decision.enter(Decision.State.REVIEW)
    decision.save()
    staging.approve(actor=administrator, decision=decision)
    run_pending("main")
    looked_back(beaune, decision, count=50)
    assert decision.id != first
    assert set(Incident.objects.values_list("id", "state", "decision_id")) == {
        (one, "open", decision.id) for one in opened
    }
    decisions.revoke(actor=administrator, decision=decision, reason="undone")
    run_pending("main")
    assert {one.close_reason for one in Incident.objects.all()} == {"decision_undone"}


def test_an_expired_decision_closes_nothing(beaune: Commune) -> None:
    looked_back(beaune, decide(detectors=("box_beacon",)))
    with clock.shifted(7200):
        decisions.expire_due()
        run_pending("main")
    assert Decision.objects.get().state == "expired"
    assert Incident.objects.get().is_open
