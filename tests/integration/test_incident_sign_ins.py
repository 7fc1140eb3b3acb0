"""A decided address: sessions that came from it end, and the person gets an incident; nothing else is touched."""

from __future__ import annotations

from datetime import timedelta

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity import retention, sign_ins
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import AppPassword, SignIn
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Encounter, Incident
from beffroi.incidents.rules import MAX_SESSIONS_ENDED, Kind
from beffroi.lib import clock
from beffroi.lib.errors import NotAllowed
from beffroi.portal import incident_view
from django.test import Client

from tests.conftest import Commune, make_member
from tests.fixtures_incidents import ATTACKER, codes, decide, sign_in
from tests.fixtures_projections import engines

__all__ = ["engines"]

pytestmark = pytest.mark.usefixtures("database")


def test_a_sign_in_is_kept_for_thirty_days_and_then_erased(beaune: Commune) -> None:
    sign_in(beaune.agent_membership)
    sign_in(beaune.agent_membership)
    row = SignIn.objects.get()
    assert (row.person_id, row.collectivite_id, row.door) == (beaune.agent.id, beaune.id, "portal")
    assert (row.address, row.count) == (ATTACKER, 2)
    for days, due in ((30, 0), (31, 1)):
        cutoff = clock.now() + timedelta(days=days - sign_ins.KEEP_DAYS)
        assert retention.sign_ins(cutoff).count() == due


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


@pytest.mark.usefixtures("engines")
def test_app_passwords_are_never_revoked_by_themselves(beaune: Commune, administrator: Actor) -> None:
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
    incident = Incident.objects.get()
    assert codes(incident)[-1] == "sessions_left", "one for all, with one set of dates"
    assert sum(one.due_at is not None for one in queries.tasks(incident)) == 2
    for reader, is_named in ((beaune.referent, True), (beaune.colleague, False)):
        said = " ".join(one.said for one in incident_view.timeline(reader, incident))
        assert (beaune.agent_membership.person.name in said) == is_named


def test_an_account_that_is_opened_from_many_addresses_is_one_incident(
    beaune: Commune, nuits: Commune
) -> None:
    """It is closed once the last of the decisions is undone."""
    addresses = [f"185.203.116.{number}" for number in range(1, 5)]
    for address in addresses:
        sign_ins.record(beaune.agent_membership, address)
        sign_ins.record(nuits.agent_membership, address)
    made = [decide(address) for address in addresses]
    found = {one.collectivite_id: one for one in Incident.objects.all()}
    assert Incident.objects.count() == len(found) == 2
    for number, decision in enumerate(made, 1):
        decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="undone")
        run_pending("main")
        left = 0 if number == len(made) else 2
        assert Incident.objects.exclude(state="closed").count() == left


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
