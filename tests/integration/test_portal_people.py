"""The pages of functional mailboxes and of departures, as people use them; mails are shown from a list."""

from __future__ import annotations

import pytest
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.mail.models import Mailbox
from beffroi.mail.people import handling, leaving
from beffroi.mail.people.models import Departure, Handling, Member, Note
from django.urls import reverse

from tests.conftest import Commune, make_member
from tests.fixtures_portal import confirmed, no_door, own_mailbox, portal_client, seen, shared_box
from tests.fixtures_portal_mail import shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db
KEY = "msg_" + "2" * 26


def test_a_referent_makes_a_functional_mailbox_and_says_who_reads_it(beaune: Commune) -> None:
    client = portal_client(beaune.referent_membership)
    assert "Aucune boîte de service" in seen(client, "shared_mailboxes")
    form = {"local": "Mairie", "domain": beaune.domain, "title": "Mairie de Beaune"}
    made = client.post(reverse("shared_mailboxes"), form)
    box = Mailbox.objects.get(address="mairie@beaune.test")
    assert made["Location"] == reverse("shared_mailbox", args=[box.id])
    assert "Personne ne lit cette boîte" in seen(client, "shared_mailbox", box.id)
    person = {"what": "add", "person": beaune.agent.id}
    client.post(reverse("shared_mailbox", args=[box.id]), person)
    agent = portal_client(beaune.agent_membership)
    assert "Mairie de Beaune" in seen(agent, "shared_mailboxes")
    assert 'value="add"' not in seen(agent, "shared_mailbox", box.id)
    away = client.post(reverse("shared_mailbox", args=[box.id]), {**person, "what": "remove"})
    shown = client.get(away["Location"]).content.decode()
    assert "ne lit plus cette boîte" in shown and "Annuler" in shown
    assert agent.get(reverse("shared_mailbox", args=[box.id])).status_code == 404
    client.post(reverse("shared_mailbox", args=[box.id]), person)
    assert Member.objects.filter(ended_at=None).count() == 1


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"local": "agent", "title": "X"}, "existe déjà"),
        ({"local": "x", "title": "X", "domain": "ailleurs.test"}, "ne convient pas"),
        ({"local": "x", "title": " "}, "Donnez un nom"),
        ({"local": "x", "title": "x" * 150}, "Donnez un nom"),
        ({"local": "x", "title": "X", "domain": "nuits.test"}, "ne convient pas"),
    ],
)
def test_a_form_that_cannot_be_used_says_why_and_keeps_what_was_typed(
    beaune: Commune, nuits: Commune, form: dict[str, str], said: str
) -> None:
    own_mailbox(beaune)
    client = portal_client(beaune.referent_membership)
    answer = client.post(reverse("shared_mailboxes"), {"domain": beaune.domain, **form})
    assert answer.status_code in (400, 409)
    text = answer.content.decode()
    assert said in text and f'value="{form["local"]}"' in text
    beside = text[text.index('id="id_title"' if "nom" in said else 'id="id_local"') :]
    assert said in beside[: beside.index("</div>")], "beside its field"
    assert Mailbox.objects.count() == 1


def test_a_functional_mailbox_with_an_accent_is_proposed_without(beaune: Commune) -> None:
    client = portal_client(beaune.referent_membership)
    form = {"local": "état civil", "domain": beaune.domain, "title": "État civil"}
    answer = client.post(reverse("shared_mailboxes"), form)
    text = answer.content.decode()
    assert answer.status_code == 400 and not Mailbox.objects.exists()
    assert "Nous proposons «\xa0etat.civil\xa0»" in text and 'value="etat.civil"' in text


def test_an_agent_makes_no_functional_mailbox(beaune: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    form = {"local": "x", "domain": beaune.domain, "title": "X"}
    assert client.post(reverse("shared_mailboxes"), form).status_code == 404
    assert not Mailbox.objects.exists()
    assert "Nouvelle boîte de service" not in seen(client, "shared_mailboxes")


def test_a_closed_functional_mailbox_is_opened_again_from_the_same_page(beaune: Commune) -> None:
    box = shared_box(beaune, beaune.agent)
    client = portal_client(beaune.referent_membership)
    client.post(reverse("shared_mailbox", args=[box.id]), {"what": "close"})
    assert "Rouvrir" in seen(client, "shared_mailboxes")
    assert portal_client(beaune.agent_membership).get(reverse("mail_list", args=[box.id])).status_code == 404
    client.post(reverse("shared_mailbox", args=[box.id]), {"what": "reopen"})
    assert "Rouvrir" not in seen(client, "shared_mailboxes")


def test_colleagues_see_for_whom_a_mail_is_and_it_is_undone(beaune: Commune, shown_mail: object) -> None:
    box = shared_box(beaune, beaune.agent, beaune.colleague)
    agent, colleague = portal_client(beaune.agent_membership), portal_client(beaune.colleague_membership)
    path = reverse("mail_handling", args=[box.id, 2])
    done = agent.post(path, {"what": "assign", "person": beaune.colleague.id})
    shown = agent.get(done["Location"].partition("#")[0]).content.decode()
    assert "C’est pour collegue" in shown and "Annuler" in shown
    assert "C’est pour vous" in seen(colleague, "mail_read", box.id, 2)
    listed = seen(agent, "mail_list", box.id)
    assert "Pour collegue" in listed and f"Mairie · {box.address}" in listed
    agent.post(path, {"what": "assign", "person": ""})
    assert Handling.objects.get().assigned_to == ""
    assert agent.post(path, {"what": "assign", "person": beaune.referent.id}).status_code == 400
    assert agent.post(path, {"what": "burn"}).status_code == 400
    assert agent.post(reverse("mail_handling", args=[box.id, 99]), {"what": "assign"}).status_code == 404


def test_notes_are_read_by_colleagues_and_taken_back_by_their_author(
    beaune: Commune, shown_mail: object
) -> None:
    box = shared_box(beaune, beaune.agent, beaune.colleague)
    agent, colleague = portal_client(beaune.agent_membership), portal_client(beaune.colleague_membership)
    path = reverse("mail_handling", args=[box.id, 2])
    agent.post(path, {"what": "note", "text": "Vu avec <b>le maire</b>"})
    assert "Vu avec &lt;b&gt;le maire" in seen(colleague, "mail_read", box.id, 2)
    assert "1 note" in seen(colleague, "mail_list", box.id)
    note = Note.objects.get()
    assert colleague.post(path, {"what": "note_remove", "note": note.id}).status_code == 404
    agent.post(path, {"what": "note_remove", "note": note.id})
    assert "Vu avec" not in seen(colleague, "mail_read", box.id, 2)
    assert "Remettre" in seen(agent, "mail_read", box.id, 2)
    agent.post(path, {"what": "note_back", "note": note.id})
    assert "Vu avec" in seen(colleague, "mail_read", box.id, 2)


def test_opening_an_answer_tells_the_colleagues(beaune: Commune, shown_mail: object) -> None:
    box = shared_box(beaune, beaune.agent, beaune.colleague)
    agent, colleague = portal_client(beaune.agent_membership), portal_client(beaune.colleague_membership)
    page = seen(agent, "mail_write", box.id, query="?repondre=2")
    assert f'name="answered" value="{KEY}"' in page and "est en train de répondre" not in page
    assert "Le 1er novembre 2026, 10\u00a0h\u00a000, Préfecture de la Côte-d’Or a écrit" in page
    assert "agent est en train de répondre" in seen(colleague, "mail_read", box.id, 2)
    assert "agent répond" in seen(colleague, "mail_list", box.id)
    assert "agent est en train de répondre" in seen(colleague, "mail_write", box.id, query="?repondre=2")
    handling.answering(actor=beaune.agent, mailbox=box, key=KEY)
    agent.post(reverse("mail_draft_save", args=[box.id]), {"what": "discard", "answered": KEY})
    assert "agent répond" not in seen(colleague, "mail_list", box.id)


def test_a_persons_own_mailbox_shows_none_of_it(beaune: Commune, shown_mail: object) -> None:
    own = own_mailbox(beaune)
    agent = portal_client(beaune.agent_membership)
    seen(agent, "mail_write", own.id, query="?repondre=2")
    assert not Handling.objects.exists()
    assert "h-team" not in seen(agent, "mail_read", own.id, 2)


# Departures


def test_a_referent_sees_what_somebody_has_and_ends_it_after_a_step_up(beaune: Commune) -> None:
    own, box = own_mailbox(beaune), shared_box(beaune, beaune.agent)
    path = reverse("departure_prepare", args=[beaune.agent.id])
    plain = portal_client(beaune.referent_membership)
    asked = plain.post(path)
    assert asked["Location"].startswith(reverse("account_reauthenticate")) and not Departure.objects.exists()
    client = confirmed(beaune.referent_membership)
    assert "agent@beaune.test" in seen(client, "departures")
    for page in ("departures", "closed_mailboxes"):
        assert f'href="{reverse("persons")}" aria-current="page"' in seen(client, page)
    page = seen(client, "departure_prepare", beaune.agent.id)
    assert own.address in page and box.address in page and "Personne d’autre ne la lit" in page
    done = client.post(path, {f"heir-{box.id}": beaune.colleague.id})
    found = Departure.objects.get()
    assert done["Location"] == reverse("departure", args=[found.id])
    assert client.post(path)["Location"] == done["Location"]  # pressed twice
    assert Departure.objects.count() == 1
    page = seen(client, "departure", found.id)
    assert "Pas encore confirmé" in page and "transmise à collegue" in page and own.address in page
    assert portal_client(beaune.agent_membership).get(reverse("mail")).status_code != 200
    Departure.objects.update(state="confirmed", confirmed_at=found.created_at)
    assert "Tous les accès sont fermés" in seen(client, "departure", found.id, query="?part=state")
    client.post(reverse("departure", args=[found.id]))
    page = seen(client, "departure", found.id)
    assert "a été annulé" in page and "Ce qui a été fait" not in page and "qui est annulé" in page
    assert portal_client(beaune.agent_membership).get(reverse("mail_list", args=[own.id])).status_code != 404
    assert client.post(reverse("departure", args=[found.id])).status_code == 409


def test_agents_and_neighbours_end_nobodys_access(beaune: Commune, nuits: Commune) -> None:
    for membership in (beaune.agent_membership, nuits.referent_membership):
        client = confirmed(membership)
        assert client.post(reverse("departure_prepare", args=[beaune.colleague.id])).status_code == 404
    assert portal_client(beaune.agent_membership).get(reverse("departures")).status_code == 404
    own = confirmed(beaune.referent_membership)
    assert own.post(reverse("departure_prepare", args=[beaune.referent.id])).status_code == 403
    assert "C’est vous" in seen(own, "departure_prepare", beaune.referent.id)
    assert not Departure.objects.exists()


def test_a_referent_is_told_who_takes_a_role_back_that_only_the_departement_gives(
    beaune: Commune, administrator: Actor
) -> None:
    other = make_member(administrator, beaune.collectivite, "seconde@beaune.test", "referent")
    path, client = reverse("departure_prepare", args=[other.person_id]), confirmed(beaune.referent_membership)
    for name in ("departures", "access_review"):
        page = seen(client, name)
        assert path not in page and "rôle retiré par le Département" in page
    for name in ("person", "departure_prepare"):
        page = seen(client, name, other.person_id)
        assert (
            "Fermer tous ses accès" not in page and "Demandez-lui de donner à cette personne le rôle" in page
        )
    answer = client.post(path)
    assert answer.status_code == 403 and "Demandez au Département" in answer.content.decode()
    assert not Departure.objects.exists()
    identity.change_role(actor=administrator, membership=other, role="agent")
    assert path in seen(client, "departures")
    assert client.post(path)["Location"] == reverse("departure", args=[Departure.objects.get().id])


def test_a_departure_of_a_neighbour_is_no_such_page(beaune: Commune, nuits: Commune) -> None:
    found = leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.agent_membership.person,
        successors={},
    )
    client = portal_client(nuits.referent_membership)
    assert client.get(reverse("departure", args=[found.id])).status_code == 404
    assert client.post(reverse("departure", args=[found.id])).status_code == 404
    assert found.id not in seen(client, "departures")
