"""Rooms and vehicles on the pages, over the real process ``calendars``: booked once, by whom, and undone."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from beffroi.core.identity.models import Person
from beffroi.drive.calendars import asking, wire
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotAllowed
from django.test import Client

from tests.calendar_pages import member, portal, process
from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client

__all__ = ["no_door", "portal", "process"]
pytestmark = pytest.mark.usefixtures("database")
ROOM = "salle-minibus"


@pytest.fixture
def agent(beaune: Commune) -> Client:
    Person.objects.filter(pk=beaune.agent.id).update(name="Claire Vernet")
    client = portal_client(beaune.agent_membership)
    assert client.post("/agenda/salles/", {"title": "Minibus"}).status_code == 302
    return client


def trip(**more: str) -> dict[str, str]:
    """In a month, from nine to twelve."""
    day = f"{clock.now() + timedelta(days=30):%Y-%m-%d}"
    return {
        "title": "Sortie des aînés",
        "day": day,
        "begin": "09:00",
        "end": "12:00",
        "calendar": ROOM,
        **more,
    }


def plain(answer: Any) -> str:
    return html.unescape(answer.content.decode()).replace("\xa0", " ")


def shown(client: Client) -> str:
    return plain(client.get(f"/agenda/?mois={trip()['day'][:7]}"))


def path_of(client: Client) -> str:
    found = re.search(rf'href="(/agenda/{ROOM}/[^"]+?/)"', shown(client))
    assert found is not None
    return found[1]


def etag(answer: Any) -> str:
    found = re.search(r'name="etag" value="([^"]+)"', answer.content.decode())
    assert found is not None
    return html.unescape(found[1])


def test_a_room_is_booked_once_and_everybody_sees_by_whom(agent: Client, beaune: Commune) -> None:
    colleague = portal_client(beaune.colleague_membership)
    assert "et réserver « Minibus »" in plain(agent.get("/agenda/ajouter/"))
    assert agent.post("/agenda/ajouter/", trip()).status_code == 302
    assert "Minibus</span>" in shown(colleague) and "réservé par Claire Vernet" in shown(colleague)
    late = colleague.post("/agenda/ajouter/", trip(title="Courses", begin="11:30", end=""))
    assert late.status_code == 409 and "Courses" in plain(late) and "Courses" not in shown(agent)
    said = r"« Minibus » n’est pas libre : « Sortie des aînés », .* de 9 h 00 à 12 h 00\. Réservé par Claire Vernet\."
    assert re.search(said, plain(late))
    assert f'value="{ROOM}" checked' in plain(late)
    assert colleague.post("/agenda/ajouter/", trip(title="Courses", begin="12:00", end="")).status_code == 302


def test_a_booking_is_changed_but_into_nobody_s_time(agent: Client, beaune: Commune) -> None:
    agent.post("/agenda/ajouter/", trip(title="Courses", begin="14:00", end="15:00"))
    agent.post("/agenda/ajouter/", trip())
    path = path_of(agent)
    form = agent.get(path)
    assert "Réserve « Minibus » : tous vos collègues le voient." in plain(form)
    moved = agent.post(path, trip(begin="14:30", end="16:00", etag=etag(form)))
    assert moved.status_code == 409 and "« Courses »" in plain(moved)
    assert "Réserve « Minibus »" in plain(moved)
    assert agent.post(path, trip(begin="15:00", end="16:00", etag=etag(form))).status_code == 302
    assert "15 h 00 – 16 h 00" in shown(agent)


def test_what_was_deleted_comes_back_unless_somebody_booked_meanwhile(agent: Client, beaune: Commune) -> None:
    agent.post("/agenda/ajouter/", trip())
    gone = path_of(agent) + "supprimer/"
    page = agent.get(gone)
    assert "Il disparaît pour toute la mairie" in plain(page)
    marked = {"etag": etag(page)}
    assert agent.post(gone, marked).status_code == 302
    colleague = portal_client(beaune.colleague_membership)
    assert colleague.post("/agenda/ajouter/", trip(title="Courses")).status_code == 302
    said = plain(agent.post("/agenda/annuler/", marked, follow=True))
    assert "« Minibus » n’est pas libre : « Courses »" in said and "Rien n’est remis." in said
    assert "Sortie des aînés</strong>" not in shown(agent)
    other = path_of(colleague) + "supprimer/"
    colleague.post(other, {"etag": etag(colleague.get(other))})
    assert "rien n’est supprimé" in plain(agent.post("/agenda/annuler/", marked, follow=True))
    assert "Sortie des aînés</strong>" in shown(agent)


def test_a_room_that_is_retired_is_offered_no_more_and_comes_back_with_what_was_booked(
    agent: Client,
) -> None:
    agent.post("/agenda/ajouter/", trip())
    path = path_of(agent)
    assert "n’est plus proposé" in plain(agent.post(f"/agenda/salles/{ROOM}/retirer/", follow=True))
    assert "réserver" not in plain(agent.get("/agenda/ajouter/")) and "Sortie" not in shown(agent)
    assert agent.get(path).status_code == 404
    assert agent.post("/agenda/ajouter/", trip()).status_code == 404
    again = agent.post("/agenda/salles/", {"title": "MINIBUS"})
    assert again.status_code == 400 and "« Remettre » le rend" in plain(again)
    assert "de nouveau proposé" in plain(agent.post(f"/agenda/salles/{ROOM}/remettre/", follow=True))
    assert "Sortie des aînés" in shown(agent)


@pytest.mark.parametrize(
    ("title", "said"), [("", "Donnez un nom"), ("…", "Donnez un nom"), ("x" * 61, "60 signes au plus")]
)
def test_a_name_that_is_none_is_said_beside_its_field(agent: Client, title: str, said: str) -> None:
    answer = agent.post("/agenda/salles/", {"title": title})
    assert answer.status_code == 400 and said in plain(answer) and f'value="{title}"' in plain(answer)


def test_an_elu_reads_what_is_booked_and_a_dpo_does_not(
    agent: Client, beaune: Commune, config: Config
) -> None:
    agent.post("/agenda/ajouter/", trip())
    path = path_of(agent)
    elu = portal_client(member(beaune, "elu"))
    assert "réservé par Claire Vernet" in shown(elu) and path not in shown(elu)
    refused = (
        (path, trip()),
        ("/agenda/ajouter/", trip()),
        ("/agenda/salles/", {"title": "Vélo"}),
        (f"/agenda/salles/{ROOM}/retirer/", {}),
    )
    assert {elu.post(address, data).status_code for address, data in refused} == {403}
    ask = partial(asking.Asking, config, person_id=beaune.agent.id, collectivite_id=beaune.id)
    for asked in (wire.NewRoom("Vélo"), wire.Retiring(ROOM, True)):
        with pytest.raises(NotAllowed):
            lent = ask(shared=True, write=False)
            lent.add_room(asked) if isinstance(asked, wire.NewRoom) else lent.retire_room(asked)
    dpo = portal_client(member(beaune, "dpo"))
    assert "Sortie" not in shown(dpo) and ask(shared=False, write=False).rooms() == ()
    assert dpo.get(path).status_code == 404 and dpo.get("/agenda/salles/").status_code == 404


def test_another_commune_has_no_such_room(agent: Client, nuits: Commune) -> None:
    agent.post("/agenda/ajouter/", trip())
    path, stranger = path_of(agent), portal_client(nuits.agent_membership)
    assert "<strong>Minibus" not in plain(stranger.get("/agenda/salles/")) and "Sortie" not in shown(stranger)
    for address, data in (
        (path, trip(etag="x")),
        (path + "supprimer/", {"etag": "x"}),
        ("/agenda/ajouter/", trip()),
        (f"/agenda/salles/{ROOM}/retirer/", {}),
        (f"/agenda/salles/{ROOM}/remettre/", {}),
    ):
        assert stranger.post(address, data).status_code == 404, address
    assert stranger.get(path).status_code == 404
    assert "Sortie des aînés" in shown(agent)


@pytest.mark.parametrize("address", ["/contacts/ajouter/", "/agenda/fichier/"])
def test_a_room_takes_no_contact_and_no_file(agent: Client, address: str) -> None:
    answer = agent.post(address, {"calendar": ROOM, "family": "Martin", "given": "Anne"})
    assert answer.status_code in (400, 403)


def test_a_room_is_looked_at_alone(agent: Client, beaune: Commune, nuits: Commune) -> None:
    agent.post("/agenda/ajouter/", trip())
    agent.post("/agenda/ajouter/", trip(title="Conseil municipal", calendar="commun"))
    month = trip()["day"][:7]
    alone = plain(agent.get(f"/agenda/?mois={month}&salle={ROOM}"))
    assert "Sortie des aînés</strong>" in alone and "Conseil municipal" not in alone and "· Minibus" in alone
    assert re.search(rf'href="\?mois=[0-9-]+&(amp;)?salle={ROOM}"', alone)
    assert f'href="/agenda/?salle={ROOM}"' in plain(agent.get("/agenda/salles/"))
    assert f'href="/agenda/ajouter/?salle={ROOM}"' in alone
    assert f'value="{ROOM}" checked' in plain(agent.get(f"/agenda/ajouter/?salle={ROOM}"))
    assert agent.get("/agenda/ajouter/?salle=salle-autre").status_code == 404
    for address in (f"/agenda/?mois={month}&salle=salle-autre", f"/agenda/?mois={month}&salle=own"):
        assert agent.get(address).status_code == 404
    assert portal_client(nuits.agent_membership).get(f"/agenda/?salle={ROOM}").status_code == 404
    agent.post(f"/agenda/salles/{ROOM}/retirer/")
    assert agent.get(f"/agenda/?salle={ROOM}").status_code == 404
