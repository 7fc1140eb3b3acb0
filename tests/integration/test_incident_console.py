"""Dossiers on the console: opened for a commune, led to their end, app passwords ended; the report of a decision."""

from __future__ import annotations

import pytest
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.core.identity.models import AppPassword
from beffroi.incidents import queries
from beffroi.incidents.models import Incident
from beffroi.incidents.rules import PLANS, Kind
from beffroi.lib import clock
from beffroi.mail.models import MailObservation, RemediationItem, RemediationJob
from beffroi.portal import incident_words as words
from django.test import Client
from django.urls import reverse

from tests.conftest import Commune, code_of
from tests.fixtures_incidents import open_for
from tests.fixtures_portal import console_client, on_listener
from tests.fixtures_stream import block
from tests.integration.test_incident_pages import agent
from tests.markup import text_of

__all__ = ["agent"]
pytestmark = pytest.mark.django_db


def test_the_departement_opens_one_for_a_commune_that_calls(administrator: Actor, beaune: Commune) -> None:
    with on_listener("console"):
        client = console_client(administrator.id)
        address = reverse("incident_new")
        assert client.get(address).status_code == 200
        assert (
            client.post(address, {"collectivite_id": "col_x", "kind": "data_lost", "note": "x"}).status_code
            == 404
        )
        data = {"collectivite_id": beaune.id, "kind": "data_lost", "note": "Appel de 9 h"}
        assert client.post(address, data).status_code == 302
    assert Incident.objects.get().collectivite_id == beaune.id


def test_the_departement_leads_an_incident_to_its_end(administrator: Actor, beaune: Commune) -> None:
    incident = open_for(beaune)
    address = reverse("incident", args=[incident.id], urlconf="beffroi.portal.urls_console")
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "1 dossier attend" in text_of(client.get(reverse("incidents")))
        page = text_of(client.get(address))
        assert "Personne ne s’en occupe encore." in page
        assert f"docs/runbooks/{PLANS[Kind.COMMAND_SERVER].runbook}.md" in page
        for data in (
            {"take": "1"},
            {"state": "waiting_commune"},
            {"severity": "medium"},
            {"note": "Appelé."},
        ):
            assert client.post(address, data).status_code == 302
        incident.refresh_from_db()
        assert (incident.owner_id, incident.state, incident.severity) == (
            administrator.id,
            "waiting_commune",
            "medium",
        )
        assert "Suivi par Ada." in text_of(client.get(address))
        close = reverse("incident_close", args=[incident.id])
        assert client.post(close, {"reason": "decision_undone"}).status_code == 400
        refused = client.post(close, {"reason": "resolved"})
        assert refused.status_code == 409
        assert "un délai de la loi est sans réponse" in text_of(refused)
        assert 'value="resolved" required checked' in refused.content.decode()
        complaint, cnil = queries.unanswered(incident)
        for data in ({"done": complaint.id}, {"not_needed": cnil.id, "why": "Poste neuf, sans données."}):
            assert client.post(address, {**data, "back": "close"})["Location"] == close
        assert "Délais de la loi" not in text_of(client.get(close))
        assert client.post(close, {"reason": "resolved"}).status_code == 302
        assert client.post(close, {"reason": "resolved"}).status_code == 409
        assert client.get(close)["Location"] == address, "who goes back in the browser"
        assert "« Poste neuf, sans données. »" in text_of(client.get(address))
        assert "Clos : résolu." in text_of(client.get(address))
        assert client.post(address, {"reopen": "1"}).status_code == 302
    incident.refresh_from_db()
    assert incident.state == "in_progress"


def test_lists_show_a_closed_incident_whose_date_nobody_answered(
    agent: Client, administrator: Actor, beaune: Commune
) -> None:
    incident = open_for(beaune)
    Incident.objects.update(state="closed", closed_at=clock.now(), close_reason="resolved")
    assert "Clos, un délai de la loi sans réponse" in text_of(agent.get(reverse("incidents")))
    assert "encore 71 h" in text_of(agent.get(reverse("incident", args=[incident.id])))
    with on_listener("console"):
        page = text_of(console_client(administrator.id).get(reverse("incidents")))
        assert "Clos, un délai de la loi sans réponse" in page and "encore 71 h" in page
    Incident.objects.update(close_reason="false_alarm")
    assert "délai de la loi" not in text_of(agent.get(reverse("incidents")))
    assert "encore 71 h" not in text_of(agent.get(reverse("incident", args=[incident.id])))


def test_app_passwords_go_after_a_present_code_only(
    new_administrator: NewAdministrator, beaune: Commune
) -> None:
    identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap,smtp", label="x"
    )
    incident = open_for(beaune, Kind.FOREIGN_SIGN_IN, person_id=beaune.agent.id)
    kept = AppPassword.objects.filter(revoked_at=None)
    with on_listener("console"):
        client = console_client(new_administrator.record.id)
        address = reverse("incident_app_passwords", args=[incident.id])
        assert "1 appareil ne recevra plus" in text_of(client.get(address))
        for wrong in ("", "000000", "abc"):
            assert client.post(address, {"code": wrong}).status_code == 403
        assert kept.count() == 1
        code = code_of(new_administrator)
        assert client.post(address, {"code": code}).status_code == 302
        assert kept.count() == 0
        assert client.post(address, {"code": code}).status_code == 403  # a code opens once


def test_guessing_the_code_stops(new_administrator: NewAdministrator, beaune: Commune) -> None:
    incident = open_for(beaune, Kind.FOREIGN_SIGN_IN, person_id=beaune.agent.id)
    with on_listener("console"):
        client = console_client(new_administrator.record.id)
        address = reverse("incident_app_passwords", args=[incident.id])
        for _ in range(5):
            client.post(address, {"code": "000000"})
        code = code_of(new_administrator)
        assert client.post(address, {"code": code}).status_code == 403


def test_the_report_of_a_decision_tells_who_met_it_and_what_became_of_it(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    decision = block("185.203.116.9")
    job = RemediationJob.objects.create(direction="withdraw", decision_id=decision.id, state="done")
    for owner, mailbox, state, flags in (
        (beaune, "mbx_1", "moved", "\\Seen $Label1"),
        (beaune, "mbx_2", "absent", ""),
        (nuits, "mbx_3", "failed", "\\Answered"),
    ):
        RemediationItem.objects.create(
            job=job,
            message_id="msg_1",
            mailbox_id=mailbox,
            collectivite_id=owner.id,
            state=state,
            flags=flags,
        )
    incident = open_for(beaune, decision_id=decision.id)
    with on_listener("console"):
        client = console_client(administrator.id)
        page = text_of(client.get(reverse("look_back", args=[decision.id])))
    cells = [part.split("</td>")[0].rpartition(">")[2] for part in page.split("<td")[1:]]
    assert cells[:12] == ["2", "2", "1", "1", "1", "0", "1", "1", "0", "0", "0", "1"]
    assert words.title(incident.kind) in page
    assert MailObservation.objects.count() == 0
