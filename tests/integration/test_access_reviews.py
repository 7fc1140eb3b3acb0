"""The yearly review of accesses: who is asked, what is read, what a confirmation is of."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity import actions as identity
from beffroi.core.identity import reviews
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import SignIn
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed, NotFound
from beffroi.mail.people import actions as people
from django.test import Client

from tests.conftest import Commune, make_member
from tests.fixtures_portal import no_door, portal_client
from tests.fixtures_portal_mail import shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shown_mail")]
PATH = "/personnes/acces/"


@pytest.fixture
def client(beaune: Commune) -> Client:
    """A référent whose commune takes part for a year and a day."""
    since = clock.now() - timedelta(days=366)
    Collectivite.objects.filter(pk=beaune.id).update(enrolled_at=since)
    return portal_client(beaune.referent_membership)


def read(client: Client) -> str:
    found = re.search(r'name="read" value="([0-9a-f]{64})"', client.get(PATH).content.decode())
    assert found is not None
    return found[1]


def test_a_referent_is_asked_once_a_year(beaune: Commune, client: Client) -> None:
    assert "Relisez qui a accès" in client.get("/").content.decode()
    assert "Relisez qui a accès" not in portal_client(beaune.agent_membership).get("/").content.decode()
    client.post(PATH, {"read": read(client)})
    assert "Relisez qui a accès" not in client.get("/").content.decode()
    entry = AuditEntry.objects.get(verb="identity:accesses:reviewed")
    assert (entry.collectivite_id, entry.actor_id) == (beaune.id, beaune.referent.id)
    assert json.loads(entry.details) == {"persons": 3, "devices": 0}


def test_the_page_says_who_opens_what(beaune: Commune, client: Client) -> None:
    identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap", label="Téléphone"
    )
    row = client.get(PATH).content.decode().partition("agent@beaune.test")[2].partition("</tr>")[0]
    cells = [" ".join(re.sub(r"<[^>]+>", " ", one).split()) for one in row.split("</td>")]
    assert cells[:4] == ["Agent", "—", "1", "pas connecté"]
    now = clock.now()
    SignIn.objects.create(
        person_id=beaune.agent.id,
        collectivite_id=beaune.id,
        door="imap",
        address="192.0.2.1",
        day=now.date(),
        first_at=now,
        last_at=now,
    )
    row = client.get(PATH).content.decode().partition("agent@beaune.test")[2].partition("</tr>")[0]
    assert "pas connecté" not in row and "connecté" in row


def test_one_person_is_found_and_the_whole_list_alone_is_confirmed(client: Client) -> None:
    page = client.get(PATH, {"q": "coll"}).content.decode()
    assert "collegue@beaune.test" in page and "agent@beaune.test" not in page and 'name="read"' not in page
    assert "revenez à la liste entière" in page and "1 personne avec" in page
    assert "Personne de ce nom ici" in client.get(PATH, {"q": "zz"}).content.decode()
    page = client.get("/departs/", {"q": "coll"}).content.decode()
    assert "collegue@beaune.test" in page and "agent@beaune.test" not in page


def test_a_list_that_changed_is_read_again(beaune: Commune, client: Client, system: Actor) -> None:
    before = read(client)
    make_member(system, beaune.collectivite, "nouveau@beaune.test", "agent")
    answer = client.post(PATH, {"read": before}, follow=True).content.decode()
    assert "La liste a changé" in answer and "nouveau@beaune.test" in answer
    assert Collectivite.objects.get(pk=beaune.id).accesses_reviewed_at is None


def test_a_list_of_which_a_functional_mailbox_has_another_reader_is_read_again(
    beaune: Commune, client: Client
) -> None:
    box = people.create_shared(
        actor=beaune.referent, collectivite=beaune.collectivite, address="mairie@beaune.test", title="Mairie"
    )
    before = read(client)
    people.add_member(actor=beaune.referent, mailbox=box, person=beaune.agent_membership.person)
    answer = client.post(PATH, {"read": before}, follow=True).content.decode()
    assert "La liste a changé" in answer
    assert Collectivite.objects.get(pk=beaune.id).accesses_reviewed_at is None


def test_only_a_referent_of_the_place_confirms(beaune: Commune, nuits: Commune, client: Client) -> None:
    seen = reviews.digest(reviews.accesses(beaune.referent, beaune.id), {})
    for actor, refusal in ((beaune.agent, NotAllowed), (nuits.referent, NotFound)):
        with pytest.raises(refusal):
            reviews.confirm(actor=actor, collectivite_id=beaune.id, opened={}, read=seen)
    assert portal_client(beaune.agent_membership).get(PATH).status_code == 404
    with pytest.raises(Conflict):
        reviews.confirm(actor=beaune.referent, collectivite_id=beaune.id, opened={}, read="")
