"""The register of breaches: what a DPO takes with them, and that nobody else does."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Incident
from beffroi.incidents.rules import Kind
from beffroi.portal import incident_words as words
from django.urls import reverse

from tests.conftest import Commune, make_member
from tests.fixtures_portal import confirmed, no_door, portal_client

__all__ = ["no_door"]
pytestmark = pytest.mark.usefixtures("database")
AT = datetime(2026, 11, 3, 23, 30, tzinfo=UTC)
"""In France that is the day after."""


def opened(commune: Commune, kind: Kind) -> Incident:
    return actions.open_incident(
        actor=actions.SYSTEM,
        kind=kind,
        collectivite_id=commune.id,
        subject=str(kind),
        occurred_at=AT,
        data={"count": 2, "address": "185.203.116.9"},
    )


def test_a_dpo_takes_every_incident_of_their_commune_with_what_was_answered(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    dpo = make_member(system, beaune.collectivite, "dpo@mutualise.test", "dpo")
    first, second, other = (
        opened(beaune, Kind.FOREIGN_SIGN_IN),
        opened(beaune, Kind.LURE_VISITED),
        opened(nuits, Kind.LEAK),
    )
    tasks = {one.code: one for one in queries.tasks(first)}
    measure = next(one for one in tasks.values() if one.due_at is None and one.audience == "commune")
    actions.tick(actor=beaune.referent, incident=first, task=measure, done=True)
    actions.not_needed(actor=beaune.referent, incident=first, task=tasks["cnil"], why="=Aucune donnée vue")
    unasked = portal_client(dpo).post(reverse("incident_register"))
    assert unasked.status_code == 302 and unasked["Location"].startswith("/confirmer/"), "as every export"
    client = confirmed(dpo)
    assert "Télécharger le registre (CSV)" in client.get(reverse("incidents")).content.decode()
    answer = client.post(reverse("incident_register"))
    assert answer["Content-Disposition"].startswith('attachment; filename="registre-violations-')
    head, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""), delimiter=";")
    assert len(rows) == 2 and other.id not in answer.content.decode()
    told = {row[-1]: dict(zip(head, row, strict=True)) for row in rows}
    assert told[first.id]["Survenu le"] == "2026-11-04"
    assert told[first.id]["Faits"] == words.title(first.kind)
    assert told[first.id]["Mesures faites"] == words.task(measure.code)
    assert told[first.id]["CNIL"] == "Pas nécessaire\u00a0: =Aucune donnée vue"
    assert told[first.id]["Plainte"] == "Sans réponse"
    assert told[second.id]["CNIL"] == "" and told[second.id]["État"] == "Ouvert"
    assert AuditEntry.objects.get(verb="audit:register:exported").actor_id == dpo.person_id
    assert "Registre des violations téléchargé" in client.get(reverse("own_journal")).content.decode()


def test_the_register_is_of_the_own_commune_and_for_nobody_else(beaune: Commune, nuits: Commune) -> None:
    made = opened(beaune, Kind.FOREIGN_SIGN_IN)
    assert (
        made.id
        not in confirmed(nuits.referent_membership).post(reverse("incident_register")).content.decode()
    )
    agent = portal_client(beaune.agent_membership)
    assert agent.post(reverse("incident_register")).status_code == 404
    assert "Télécharger le registre" not in agent.get(reverse("incidents")).content.decode()
    assert AuditEntry.objects.filter(verb="audit:register:exported").count() == 1
