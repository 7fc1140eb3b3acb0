"""Pages of a collectivité that leaves: who says it, what everybody reads, the certificate; nobody sees another's."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.communes.models import CommuneExport
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person
from beffroi.leaving import erasures, queries
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.lib import clock
from beffroi.mail.models import MailDelivery
from beffroi.portal.console import leaving as console_page
from django.test import Client
from django.urls import reverse

from tests.conftest import PASSWORD, Commune
from tests.drive_place import Place
from tests.fixtures_erasure import other, place, state
from tests.fixtures_leaving import VISA, WISH, box, carry_out, exported, leave, leaving_state, planned, two
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client
from tests.markup import text_of

__all__ = ["leaving_state", "no_door", "other", "place", "state", "two"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("leaving_state")]


def signed_in(commune: Commune) -> Client:
    """The référent, who gave the password a moment ago."""
    client = portal_client(commune.referent_membership)
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": "/"})
    return client


def tomorrow() -> str:
    return (queries.today() + timedelta(days=1)).isoformat()


def test_the_referent_says_the_day_asks_and_takes_both_back(beaune: Commune, nuits: Commune) -> None:
    url = reverse("departure_of_all")
    for stranger in (beaune.agent_membership, nuits.agent_membership):
        assert portal_client(stranger).get(url).status_code == 404
    late = portal_client(beaune.referent_membership).post(
        url, {"word": "plan", "day": tomorrow(), "reason": WISH}
    )
    assert late.status_code == 302 and "confirmer" in late["Location"]
    client = signed_in(beaune)
    assert "Dire le jour" in text_of(client.get(url))
    for day, reason, said in (
        ("", WISH, "Choisissez un jour."),
        (queries.today().isoformat(), WISH, "Choisissez un jour à venir"),
        (tomorrow(), "  ", "Dites quelle demande écrite"),
    ):
        wrong = client.post(url, {"word": "plan", "day": day, "reason": reason})
        assert wrong.status_code == 400 and said in text_of(wrong) and not Leaving.objects.exists()
    assert client.post(url, {"word": "plan", "day": tomorrow(), "reason": WISH}).status_code == 302
    shown = text_of(client.get(url))
    assert (
        WISH in shown
        and "La collectivité reste" in shown
        and "n'est pas encore fait" in shown.replace("’", "'")
    )
    home = text_of(client.get(reverse("home")))
    assert "La collectivité quitte le Département le" in home and url in home
    agent = text_of(portal_client(beaune.agent_membership).get(reverse("home")))
    assert "Votre compte d’ici se fermera dans la nuit" in agent and url not in agent
    assert "quitte" not in text_of(portal_client(nuits.agent_membership).get(reverse("home")))
    unsaid = client.post(url, {"word": "ask"})
    assert unsaid.status_code == 400 and "cochez la case" in text_of(unsaid)
    assert client.post(url, {"word": "ask", "no_export": "1"}).status_code == 302
    assert "Attend l’accord du Département" in text_of(client.get(url))
    assert "Attend l’accord" not in text_of(signed_in(nuits).get(url))
    client.post(url, {"word": "call_back"})
    assert CommuneErasure.objects.get().state == "withdrawn"
    client.post(url, {"word": "take_back"})
    assert Leaving.objects.get().state == "taken_back"
    assert "quitte" not in text_of(portal_client(beaune.agent_membership).get(reverse("home")))


def test_the_console_leads_from_the_day_to_the_signed_certificate(
    place: Place, beaune: Commune, two: tuple[Actor, Actor], monkeypatch: Any
) -> None:
    monkeypatch.setattr(console_page, "step_up", lambda request, actor: "")
    box(beaune, "agent", beaune.agent.id)
    place.put("Budget.txt", b"secret")
    url = reverse("commune_leaving", urlconf="beffroi.portal.urls_console", args=[beaune.id])
    with on_listener("console"):
        ann, bea = (console_client(one.id) for one in two)
        assert url in text_of(ann.get("/communes/"))
        assert ann.post(url, {"word": "plan", "day": tomorrow(), "reason": WISH}).status_code == 302
        assert "Part le" in text_of(ann.get("/communes/"))
        assert "La personne référente de la collectivité le demande" in text_of(ann.get(url))
        leave(Leaving.objects.get())
        assert "Effacement à demander" in text_of(ann.get("/communes/"))
        assert "1 collectivité qui part attend" in text_of(ann.get("/"))
        assert "Partie : voir le départ" in text_of(ann.get("/communes/?q=beaune"))
        wrong = ann.post(url, {"word": "ask", "name": "Beaun", "no_export": "1"})
        assert wrong.status_code == 400 and "tel qu’il est affiché" in text_of(wrong)
        assert ann.post(url, {"word": "ask", "name": "Beaune", "no_export": "1"}).status_code == 302
        assert "un autre administrateur doit répondre" in text_of(ann.get(url))
        assert ann.post(url, {"word": "grant", "visa": VISA, "no_export": "1"}).status_code == 409
        short = bea.post(url, {"word": "grant", "visa": "x", "no_export": "1"})
        assert short.status_code == 400 and "référence du visa" in text_of(short)
        assert bea.post(url, {"word": "grant", "visa": VISA, "no_export": "1"}).status_code == 302
        assert VISA in text_of(bea.get(url)) and "Renoncer à l’effacement" in text_of(bea.get(url))
        erasure = carry_out(CommuneErasure.objects.get(), turns=1)
        assert erasure.state == "erasing" and erasure.stage == "mailboxes"
        shown = text_of(bea.get(url))
        assert "encore" in shown or "En cours" in shown
        assert "Détruit" in text_of(bea.get(f"{url}?part=erasure", headers={"HX-Request": "true"})) or shown
        carry_out(erasure)
        done = bea.get(f"{url}?part=erasure", headers={"HX-Request": "true"})
        assert done["HX-Refresh"] == "true", "the page becomes the certificate"
        page = text_of(bea.get(url))
        assert "Ce qui reste, et pourquoi" in page and VISA in page
        packed = bea.post(url, {"word": "file"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as file:
        assert {"attestation.html", "attestation.json", "manifeste.sig", "empreintes.sha256"} <= set(
            file.namelist()
        )
        said = json.loads(file.read("attestation.json"))
        printed = file.read("attestation.html").decode()
    assert said["granted"]["visa"] == VISA and said["granted"]["by"] == "Béa"
    assert said["removed"]["mails"] == 3 and said["removed"]["mailboxes"][0]["address"] == "agent@beaune.test"
    assert said["removed"]["drive"]["keys"] and len(said["removed"]["key"]) == 32
    assert said["exports"] == [] and len(said["remains"]) == 5 and said["wish"] == WISH
    assert "agent@beaune.test" in printed and VISA in printed and "None" not in printed
    assert printed.count(" octets)") == 2, "the exact number is evidence"


def test_what_came_since_the_export_is_said_before_the_erasure_and_in_the_certificate(
    place: Place, beaune: Commune, two: tuple[Actor, Actor], monkeypatch: Any
) -> None:
    monkeypatch.setattr(console_page, "step_up", lambda request, actor: "")
    mailbox, long_ago = box(beaune, "agent", beaune.agent.id), clock.now() - timedelta(days=9)
    place.put("Budget.txt", b"secret")
    for message, at in (("msg_1", long_ago - timedelta(days=1)), ("msg_2", clock.now())):
        MailDelivery.objects.create(
            message_id=message, mailbox_id=mailbox.id, collectivite_id=beaune.id, folder="INBOX", delivered_at=at
        )  # fmt: skip
    planned(beaune)
    export, since = exported(beaune), "courriels reçus (1), changements dans le Coffre (1)"
    CommuneExport.objects.update(begun_at=clock.now() + timedelta(minutes=1))
    own, console = reverse("departure_of_all"), f"/communes/{beaune.id}/depart/"
    client = signed_in(beaune)
    assert "Arrivé depuis" not in text_of(client.get(own))
    CommuneExport.objects.filter(pk=export.pk).update(begun_at=long_ago, changed_at=long_ago)
    assert since in text_of(client.get(own))
    assert client.post(own, {"word": "ask"}).status_code == 302
    with on_listener("console"):
        bea = console_client(two[1].id)
        assert since in text_of(bea.get(console))
        bea.post(console, {"word": "grant", "visa": VISA})
        leave(Leaving.objects.get())
        assert carry_out(CommuneErasure.objects.get()).state == "done"
        assert since in text_of(bea.get(console))
        packed = bea.post(console, {"word": "file"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as file:
        said = json.loads(file.read("attestation.json"))
        assert since in " ".join(file.read("attestation.html").decode().split())
    assert said["since_export"] == {"mails": 1, "changes": 1}


def test_who_works_elsewhere_too_reads_there_that_a_collectivite_leaves(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    there = identity.add_membership(
        actor=system, person=Person.objects.get(pk=beaune.colleague.id), collectivite=nuits.collectivite, role="agent"
    )  # fmt: skip
    leaving = planned(beaune)
    home, said = reverse("home"), "Beaune quitte ce service le"
    shown = text_of(portal_client(there).get(home))
    assert said in shown and "celui d’ici reste" in shown and reverse("membership_choose") in shown
    assert said not in text_of(portal_client(nuits.agent_membership).get(home))
    assert said not in text_of(portal_client(beaune.colleague_membership).get(home)), "it is told of its own"
    leave(leaving)
    assert said not in text_of(portal_client(there).get(home))


def test_the_departement_takes_a_departure_back_on_its_page(
    beaune: Commune, administrator: Actor, monkeypatch: Any
) -> None:
    monkeypatch.setattr(console_page, "step_up", lambda request, actor: "")
    leave(planned(beaune))
    url = f"/communes/{beaune.id}/depart/"
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "Revenir sur ce départ" in text_of(client.get(url))
        assert client.post(url, {"word": "give_back"}).status_code == 302
        assert client.post(url, {"word": "give_back"}).status_code == 404, "nothing to take back"
        assert "Enregistrer le départ" in text_of(client.get(url))
    assert portal_client(beaune.referent_membership).get(reverse("home")).status_code in (200, 302)


def test_a_present_code_is_asked_for(beaune: Commune, administrator: Actor) -> None:
    url = f"/communes/{beaune.id}/depart/"
    with on_listener("console"):
        client = console_client(administrator.id)
        answer = client.post(url, {"word": "plan", "day": tomorrow(), "reason": WISH, "code": "000000"})
        assert (
            answer.status_code == 403
            and "Ce code n’est pas le bon" in text_of(answer)
            and WISH in text_of(answer)
        )
    assert not Leaving.objects.exists()


def test_an_open_erasure_is_seen_by_its_own_referent_alone(
    beaune: Commune, nuits: Commune, two: tuple[Actor, Actor]
) -> None:
    planned(beaune)
    exported(beaune)
    erasure = erasures.ask(actor=beaune.referent, collectivite=beaune.collectivite)
    erasures.grant(actor=two[0], erasure=erasure, visa=VISA)
    assert VISA in text_of(signed_in(beaune).get(reverse("departure_of_all")))
    assert VISA not in text_of(signed_in(nuits).get(reverse("departure_of_all")))
    signed_in(nuits).post(reverse("departure_of_all"), {"word": "call_back"})
    erasure.refresh_from_db()
    assert erasure.state == "granted"
