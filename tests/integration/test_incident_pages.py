"""Dossiers on the portal, and the declaration of a person."""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest
from beffroi.core.identity.actor import Actor
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY
from beffroi.incidents import actions, queries
from beffroi.incidents.models import Incident, IncidentTask
from beffroi.incidents.rules import PLANS, Kind
from beffroi.lib import clock, ids
from beffroi.portal import incident_file, incident_view
from beffroi.portal import incident_words as words
from beffroi.portal.words import exact, since
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.fixtures_incidents import open_for
from tests.fixtures_portal import (
    LURE_ID,
    console_client,
    deliver,
    no_door,
    on_listener,
    own_mailbox,
    portal_client,
    sighting,
)
from tests.fixtures_portal_mail import shown_mail
from tests.markup import text_of

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def agent(beaune: Commune) -> Client:
    return portal_client(beaune.agent_membership)


def test_without_incidents_the_page_says_so_and_the_home_nothing(agent: Client, shown_mail: object) -> None:
    assert "Aucun dossier." in text_of(agent.get(reverse("incidents")))
    assert "Dossiers ouverts" not in text_of(agent.get("/"))


def test_home_shows_an_open_incident_first(agent: Client, beaune: Commune, shown_mail: object) -> None:
    incident = open_for(beaune)
    page = text_of(agent.get("/"))
    assert page.index(words.title(incident.kind)) < page.index("Ce qui a été arrêté")
    assert "encore 71 h 59" in page
    assert reverse("incident", args=[incident.id]) in page
    part = text_of(agent.get("/?part=incidents", headers={"HX-Request": "true"}))
    assert words.title(incident.kind) in part
    assert "<html" not in part


def test_another_commune_reads_nothing_of_it(nuits: Commune, beaune: Commune, shown_mail: object) -> None:
    incident = open_for(beaune)
    stranger = portal_client(nuits.referent_membership)
    for address in ("/", reverse("incidents"), reverse("incident", args=[incident.id])):
        assert words.title(incident.kind) not in text_of(stranger.get(address))


def test_the_commune_ticks_writes_and_sees_the_countdown(agent: Client, beaune: Commune) -> None:
    incident = open_for(beaune)
    address = reverse("incident", args=[incident.id])
    page = text_of(agent.get(address))
    assert "Débranchez le câble réseau" in page
    assert "Premier contact avec 185.203.116.9 (41 connexions sur 3 jours, avant le blocage)" in page
    assert words.task("reinstall_machine") not in page  # the Département's
    first = queries.tasks(incident)[0]
    assert agent.post(address, {"done": first.id})["Location"] == f"{address}#t-{first.id}"
    assert agent.post(address, {"note": "Câble <b>débranché</b> à 10 h"}).status_code == 302
    page = agent.get(address).content.decode()
    assert "Câble &lt;b&gt;débranché&lt;/b&gt;" in page
    first.refresh_from_db()
    assert first.done_by == beaune.agent.id
    assert agent.post(address, {"undone": first.id}).status_code == 302
    first.refresh_from_db()
    assert first.done_at is None
    with clock.shifted(73 * 3600):
        assert "délai dépassé" in text_of(agent.get(address))


@pytest.mark.parametrize(
    "data", [{}, {"note": " "}, {"note": "x" * 2001}, {"take": "1"}, {"severity": "low"}]
)
def test_what_a_commune_may_not_do_or_say_is_refused(
    agent: Client, beaune: Commune, data: dict[str, str]
) -> None:
    incident = open_for(beaune)
    assert agent.post(reverse("incident", args=[incident.id]), data).status_code == 400
    incident.refresh_from_db()
    assert (incident.state, incident.severity, incident.owner_id) == ("open", "high", "")


def test_a_note_as_long_as_its_field_takes_is_kept(agent: Client, beaune: Commune) -> None:
    # As a browser sends it; the field counts 10 signs and the end of a line.
    lines = "\r\n".join(["Vu à 10 h."] * 150)
    assert len(lines) > 1650 and len(lines.replace("\r\n", "\n")) == 1649
    note = (lines + "x" * 351).strip()
    incident = open_for(beaune)
    assert agent.post(reverse("incident", args=[incident.id]), {"note": note}).status_code == 302
    assert agent.post(reverse("incident_new"), {"kind": "suspect_machine", "note": note}).status_code == 302
    assert (
        agent.post(reverse("incident_new"), {"kind": "suspect_machine", "note": note + "x"}).status_code
        == 400
    )


def test_a_note_that_cannot_be_kept_is_said_below_its_field_with_its_words(
    agent: Client, beaune: Commune, administrator: Actor
) -> None:
    address = reverse("incident", args=[open_for(beaune).id])
    long = "Vu à l’accueil. " + "x" * 2000
    answers = [agent.post(address, {"note": note}) for note in (" ", long)]
    with on_listener("console"):
        answers.append(console_client(administrator.id).post(address, {"note": long}))
    for answer in answers:
        assert answer.status_code == 400
        assert 'aria-describedby="id_note_error" aria-invalid="true"' in text_of(answer)
    assert all("Vu à l’accueil." in text_of(one) for one in answers[1:])
    assert agent.post(address, {"not_needed": "tsk_nothing", "why": " "}).status_code == 404


def test_an_incident_of_a_stopped_device_leads_who_sees_it_to_the_alarms_of_the_coffre(
    agent: Client, beaune: Commune
) -> None:
    stopped = open_for(beaune, Kind.SUSPECT_MACHINE, subject="drive:apw_x", person_id=beaune.agent.id)
    by_hand = open_for(beaune, Kind.SUSPECT_MACHINE, subject="machine")
    referent, colleague = (
        portal_client(beaune.referent_membership),
        portal_client(beaune.colleague_membership),
    )
    for reader in (agent, referent):
        assert reverse("drive_alarms") in text_of(reader.get(reverse("incident", args=[stopped.id])))
        assert reverse("drive_alarms") not in text_of(reader.get(reverse("incident", args=[by_hand.id])))
    page = text_of(colleague.get(reverse("incident", args=[stopped.id])))
    assert "La personne référente remet comme avant" in page and reverse("drive_alarms") not in page


def test_an_incident_of_a_held_file_leads_each_reader_to_what_they_see(
    agent: Client, beaune: Commune, nuits: Commune
) -> None:
    content = replace(EMPTY, sha256="ab" * 32, size_bytes=3)
    for commune in (beaune, nuits):
        one = Drive(commune.agent_membership)
        for parent, name in ((one.own, f"à moi {commune.id}"), (one.common, f"à tous {commune.id}")):
            one.database.write(
                lambda w, it=one, at=parent, as_=name: tree.put(w, it.act, at.id, as_, content)
            )
    incident = open_for(beaune, Kind.MALICIOUS_FILE, subject="by:app_x")
    row = incident.files.create(collectivite_id=beaune.id, sha256="ab" * 32, at=clock.now())
    address = reverse("incident", args=[incident.id])
    mine, theirs = (
        text_of(agent.get(address)),
        text_of(portal_client(beaune.referent_membership).get(address)),
    )
    assert f"à moi {beaune.id}" in mine and f"à tous {beaune.id}" in mine
    assert f"à moi {beaune.id}" not in theirs and f"à tous {beaune.id}" in theirs
    assert nuits.id not in mine + theirs
    incident.files.filter(pk=row.pk).update(sha256="ac" * 32)
    assert f"à moi {beaune.id}" not in text_of(agent.get(address))


def test_one_person_opens_no_more_than_twenty_incidents_a_day(
    agent: Client, beaune: Commune, nuits: Commune
) -> None:
    """Somebody who has their session drowns no real one; what was written is not lost, and others go on."""
    data = {"kind": "suspect_machine", "note": "Une fenêtre de rançon"}
    for _ in range(actions.MOST_BY_HAND):
        assert agent.post(reverse("incident_new"), data).status_code == 302
    refused = agent.post(reverse("incident_new"), data)
    assert refused.status_code == 400
    assert "Vous avez déjà ouvert vingt dossiers" in text_of(refused) and data["note"] in text_of(refused)
    assert Incident.objects.count() == actions.MOST_BY_HAND
    for other in (beaune.colleague_membership, nuits.agent_membership):
        assert portal_client(other).post(reverse("incident_new"), data).status_code == 302
    Incident.objects.update(opened_at=clock.now() - timedelta(days=1, minutes=1))
    assert agent.post(reverse("incident_new"), data).status_code == 302


def test_a_task_of_another_incident_is_not_found(agent: Client, beaune: Commune, nuits: Commune) -> None:
    mine, other = open_for(beaune), open_for(nuits)
    foreign = queries.tasks(other)[0]
    departement = next(one for one in queries.tasks(mine) if one.audience == "departement")
    for task in (foreign, departement):
        assert agent.post(reverse("incident", args=[mine.id]), {"done": task.id}).status_code == 404


def test_a_name_is_read_by_those_who_answer_for_it(beaune: Commune) -> None:
    incident = open_for(beaune, Kind.FOREIGN_SIGN_IN, person_id=beaune.agent.id)
    address = reverse("incident", args=[incident.id])
    for membership, reads in (
        (beaune.agent_membership, True),
        (beaune.referent_membership, True),
        (beaune.colleague_membership, False),
    ):
        page = text_of(portal_client(membership).get(address))
        assert ("Concerne : agent." in page) == reads
        assert ("un agent de la collectivité" in page) != reads


def test_two_incidents_of_one_kind_are_told_apart_by_whom_they_concern(
    beaune: Commune, administrator: Actor, shown_mail: object
) -> None:
    said = words.sentence(Kind.FOREIGN_SIGN_IN)
    for person in (beaune.agent, beaune.colleague):
        open_for(beaune, Kind.FOREIGN_SIGN_IN, subject=person.id, person_id=person.id)
    unnamed = "un agent de la collectivité"
    for membership, read in (
        (beaune.agent_membership, {"agent", unnamed}),
        (beaune.referent_membership, {"agent", "collegue"}),
    ):
        client = portal_client(membership)
        home, page = text_of(client.get("/")), text_of(client.get(reverse("incidents")))
        for one in read:
            assert f"{one} · {said}" in home and f"{one} · <time" in page
    with on_listener("console"):
        page = text_of(console_client(administrator.id).get("/dossiers/"))
    assert "Beaune · agent · " in page and "Beaune · collegue · " in page


def test_a_person_says_that_a_password_was_typed(agent: Client, beaune: Commune, shown_mail: object) -> None:
    deliver(own_mailbox(beaune), LURE_ID)
    sighting(beaune.id, beaune.agent.id, LURE_ID)
    reported = agent.get(reverse("mail_reported", args=[LURE_ID]))
    address = reverse("mail_declare", args=[LURE_ID])
    assert address in reported.content.decode()
    assert agent.get(address).status_code == 200
    assert agent.post(address, {"what": "nothing"}).status_code == 400
    answer = agent.post(address, {"what": "typed"})
    incident = Incident.objects.get()
    assert answer["Location"] == reverse("incident", args=[incident.id])
    assert (incident.kind, incident.person_id) == (Kind.PASSWORD_TYPED, beaune.agent.id)
    (kept,) = queries.evidence(incident)
    assert json.loads(kept.content)["sender"] == "suivi@colis-suivi-paiement.example"
    assert hashlib.sha256(kept.content.encode()).hexdigest() == kept.sha256


def test_who_reported_nothing_declares_nothing(beaune: Commune, shown_mail: object) -> None:
    deliver(own_mailbox(beaune), LURE_ID)
    sighting(beaune.id, beaune.agent.id, LURE_ID)
    colleague = portal_client(beaune.colleague_membership)
    address = reverse("mail_declare", args=[LURE_ID])
    assert colleague.post(address, {"what": "typed"}).status_code == 404
    assert not Incident.objects.exists()


def test_a_person_opens_what_no_door_saw(agent: Client, beaune: Commune, nuits: Commune) -> None:
    address = reverse("incident_new")
    assert "demande de rançon" in text_of(agent.get(address))
    for data in ({}, {"kind": "suspect_machine"}, {"kind": "foreign_sign_in", "note": "x"}):
        assert agent.post(address, data).status_code == 400
    assert not Incident.objects.exists()
    data = {"kind": "suspect_machine", "note": "Une fenêtre demande de payer", "collectivite_id": nuits.id}
    answer = agent.post(address, data)
    incident = Incident.objects.get()
    assert answer["Location"] == reverse("incident", args=[incident.id])
    assert (incident.collectivite_id, incident.person_id) == (beaune.id, "")
    page = text_of(agent.get(answer["Location"]))
    assert "Une fenêtre demande de payer" in page
    assert "Ne l’éteignez pas" in page
    agent.post(address, data)
    assert Incident.objects.count() == 2  # two machines, two incidents


def known(**ago: float) -> str:
    """As a field of the type "datetime-local" sends it, in the time on the wall."""
    return f"{timezone.localtime(clock.now() - timedelta(**ago)):%Y-%m-%dT%H:%M}"


def test_the_72_hours_run_from_when_it_was_known_not_from_when_it_was_told(
    agent: Client, beaune: Commune
) -> None:
    data = {"kind": "suspect_machine", "note": "Vu vendredi soir"}
    agent.post(reverse("incident_new"), data | {"known_at": known(hours=60)})
    page = text_of(agent.get(reverse("incident", args=[Incident.objects.get().id])))
    assert "encore 11 h" in page and "encore 71 h" not in page
    dates = IncidentTask.objects.exclude(due_at=None).values_list("due_at", flat=True)
    assert {clock.now() < one <= clock.now() + timedelta(hours=12) for one in dates} == {True}
    Incident.objects.all().delete()
    agent.post(reverse("incident_new"), data | {"known_at": ""})
    dates = IncidentTask.objects.exclude(due_at=None).values_list("due_at", flat=True)
    assert {one > clock.now() + timedelta(hours=71) for one in dates} == {True}


def test_what_happened_is_told_with_its_day_also_on_paper(agent: Client, beaune: Commune) -> None:
    """A printed "hier" is wrong from the next day on."""
    incident = open_for(beaune)
    yesterday = clock.now() - timedelta(days=1)
    incident.entries.update(at=yesterday)
    page = text_of(agent.get(reverse("incident", args=[incident.id])))
    assert exact(yesterday).replace("\u00a0", " ") in page and "hier, " not in page


def test_a_printed_incident_says_whose_it_is_of_when_and_until_when(agent: Client, beaune: Commune) -> None:
    incident = open_for(beaune)
    due = [one.due_at for one in queries.unanswered(incident) if one.due_at is not None]
    page = text_of(agent.get(reverse("incident", args=[incident.id])))
    opened = exact(incident.opened_at).replace("\u00a0", " ")
    assert f"Beaune : dossier ouvert le {opened}" in page and "data-print" in page
    dates = page[page.index("Délais de la loi") :]
    assert due and all(since(one).replace("\u00a0", " ") in dates for one in due)
    assert page.count("encore 71 h") == page.count('on-screen"><svg'), "on paper no time runs"


@pytest.mark.parametrize("at_console", [False, True])
def test_each_closed_incident_is_found_and_how_many_there_are_is_said(
    agent: Client, administrator: Actor, beaune: Commune, at_console: bool
) -> None:
    made = open_for(beaune)
    Incident.objects.update(state=Incident.State.CLOSED, close_reason="false_alarm")
    kept = Incident.objects.get()
    at, last = kept.opened_at, incident_view.CLOSED_SHOWN + 1
    Incident.objects.bulk_create(
        Incident(
            id=ids.new_id("inc"),
            collectivite_id=kept.collectivite_id,
            kind=kept.kind,
            severity=kept.severity,
            state=kept.state,
            close_reason=kept.close_reason,
            opened_at=at + timedelta(minutes=1),
            occurred_at=at,
            subject=f"n{number}",
        )
        for number in range(last - 1)
    )
    with on_listener("console") if at_console else nullcontext():
        client = console_client(administrator.id) if at_console else agent
        page = text_of(client.get(reverse("incidents")))
        assert f"Clos ({last})" in page and reverse("incident", args=[made.id]) not in page
        [older] = re.findall(r'href="([^"]*\?avant=[^"#]*)', page)
        page = text_of(client.get(older))
        assert (
            reverse("incident", args=[made.id]) in page and len(re.findall(r"href=.[^ ]*avant=", page)) == 0
        )
        part = text_of(client.get(f"{older}&part=list", headers={"HX-Request": "true"}))
        assert reverse("incident", args=[made.id]) in part, "what is renewed stays at its place"
        assert f"{older}&part=list" in page
        assert ("Beaune" in part) == at_console


def test_nothing_of_another_commune_is_a_place_in_the_list(
    agent: Client, beaune: Commune, nuits: Commune
) -> None:
    mine, other = open_for(beaune), open_for(nuits)
    Incident.objects.update(state=Incident.State.CLOSED, close_reason="false_alarm")
    Incident.objects.filter(pk=other.id).update(opened_at=mine.opened_at - timedelta(days=1))
    for before in (other.id, "inc_" + "0" * 26, "x"):
        page = text_of(agent.get(reverse("incidents"), {"avant": before}))
        assert reverse("incident", args=[mine.id]) in page, before


def test_a_date_of_today_is_said_with_its_day(agent: Client, beaune: Commune) -> None:
    incident = open_for(beaune)
    due_at = clock.now() - timedelta(minutes=1)
    IncidentTask.objects.exclude(due_at=None).update(due_at=due_at)
    page = text_of(agent.get(reverse("incident", args=[incident.id])))
    said = since(due_at).replace("\u00a0", " ")
    assert f"délai dépassé depuis {said}" in page and f"avant {said}" in page


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"known_at": "9999-12-31T23:59"}, "Donnez un moment passé"),
        ({"known_at": "1999-01-01T00:00"}, "Donnez un moment passé"),
        ({"known_at": "0001-01-01T00:00"}, "Donnez un moment passé"),
        ({"known_at": "vendredi"}, "Donnez un moment passé"),
        ({"note": " "}, "Écrivez ce que vous avez vu"),
        ({"note": "Une fenêtre" + "x" * 2000}, "Écrivez ce que vous avez vu"),
        ({"kind": "foreign_sign_in"}, "Choisissez ce qui s’est passé"),
    ],
)
def test_what_was_written_of_an_incident_is_not_lost_to_a_wrong_field(
    agent: Client, beaune: Commune, administrator: Actor, wrong: dict[str, str], said: str
) -> None:
    data = {"kind": "data_lost", "note": "Une fenêtre demande", "known_at": known(hours=2)} | wrong
    answers = [agent.post(reverse("incident_new"), data)]
    with on_listener("console"):
        console = console_client(administrator.id)
        answers.append(console.post(reverse("incident_new"), data | {"collectivite_id": beaune.id}))
    for answer in answers:
        page = text_of(answer)
        assert answer.status_code == 400 and said in page and 'aria-invalid="true"' in page
        assert data["note"].strip() in page and f'value="{data["known_at"]}"' in page
        assert ('value="data_lost" checked' in page) is (data["kind"] == "data_lost")
    assert f'<option value="{beaune.id}" selected>' in text_of(answers[1])
    assert not Incident.objects.exists()


def test_what_a_person_tells_of_data_is_no_alarm_of_a_box(agent: Client) -> None:
    """A town hall without a boîtier reads nothing of one, and does not look for a cable to pull."""
    kinds = re.findall(r'name="kind" value="(\w+)"', text_of(agent.get(reverse("incident_new"))))
    agent.post(reverse("incident_new"), {"kind": kinds[-1], "note": "Clé USB perdue"})
    page = text_of(agent.get(reverse("incident", args=[Incident.objects.get().id])))
    assert "envoyées par erreur, perdues ou prises" in page and "Notez ici quelles données" in page
    assert "boîtier a vu" not in page and "câble" not in page
    codes = IncidentTask.objects.exclude(due_at=None).values_list("code", flat=True)
    assert set(codes) == {"complaint", "cnil"}


def test_a_commune_says_why_the_cnil_need_not_be_told(agent: Client, beaune: Commune) -> None:
    incident = open_for(beaune)
    address = reverse("incident", args=[incident.id])
    assert "Pourquoi ce n’est pas nécessaire" in text_of(agent.get(address))
    cnil = next(one for one in queries.unanswered(incident) if one.code == "cnil")
    assert agent.post(address, {"not_needed": cnil.id, "why": ""}).status_code == 400
    assert agent.post(address, {"not_needed": cnil.id, "why": "<b>Rien</b> d’écrit."}).status_code == 302
    page = text_of(agent.get(address))
    assert "Pas nécessaire" in page and "<b>Rien" not in agent.get(address).content.decode()
    data = incident_file.content(beaune.agent, incident, clock.now())
    told = [one for one in data["tasks"] if one["not_needed"]]
    assert [(one["not_needed"], one["done_at"]) for one in told] == [("<b>Rien</b> d’écrit.", None)]


def test_every_kind_task_and_line_has_words() -> None:
    for kind, plan in PLANS.items():
        assert words.title(kind) != kind
        assert words.sentence(kind)
        for task in plan.tasks:
            assert words.task(task.code) != task.code
    for code in (
        "opened",
        "seen_again",
        "taken",
        "sessions_ended",
        "reopened",
        "exported",
        "closed",
        "state",
    ):
        assert words.entry("leak", code, {"state": "open", "reason": "resolved"}) != code
