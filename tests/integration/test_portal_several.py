"""Who works for several communes, or reads several mailboxes: in whose name, and what waits where."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.lib import clock
from beffroi.mail import reader, sendings
from beffroi.mail.drafts import Place
from beffroi.mail.models import Sending
from beffroi.mail.reader import MailboxUnavailable
from beffroi.portal import elsewhere
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_held import hold
from tests.fixtures_incidents import open_for
from tests.fixtures_portal import (
    LURE_ID,
    deliver,
    no_door,
    own_mailbox,
    portal_client,
    shared_box,
    sighting,
)
from tests.fixtures_portal_mail import shown_mail
from tests.markup import text_of

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def second(beaune: Commune, nuits: Commune, system: Actor) -> Membership:
    """The agent of Beaune works for Nuits, too."""
    return actions.add_membership(
        actor=system, person=beaune.agent_membership.person, collectivite=nuits.collectivite, role="agent"
    )


def at_nuits(second: Membership) -> Actor:
    return Actor("person", second.person_id, second.collectivite_id, second.role)


def test_in_whose_name_is_said_in_the_title_and_beside_the_name(
    beaune: Commune, nuits: Commune, second: Membership, shown_mail: object
) -> None:
    """Of two tabs, and of two windows of a browser, the titles are what is seen."""
    page = text_of(portal_client(beaune.agent_membership).get("/dossiers/"))
    assert "<title>Dossiers · Beaune · Beffroi</title>" in page
    assert re.search(r"<strong>Beaune</strong> · <a [^>]*>changer", page)
    alone = text_of(portal_client(nuits.agent_membership).get("/dossiers/"))
    assert "<title>Dossiers · Beffroi</title>" in alone and "changer" not in alone


def test_what_waits_in_another_commune_is_said_at_home_and_where_one_chooses(
    beaune: Commune, nuits: Commune, second: Membership, shown_mail: object
) -> None:
    client, there = portal_client(beaune.agent_membership), at_nuits(second)
    assert "autres collectivités" not in text_of(client.get("/"))
    box = own_mailbox(nuits, there, local="jeanne")
    hold(box)
    open_for(nuits)
    place = Place(1, 1)
    sendings.schedule(actor=there, mailbox=box, place=place, message_id="<a@b>", recipients=1)
    Sending.objects.update(state="refused")
    said = "1 message pas parti, 2 courriels non lus, 1 courriel retenu à regarder, 1 dossier ouvert"
    for path in ("/", reverse("membership_choose")):
        page = text_of(client.get(path))
        assert said in page and f'value="{second.id}"' in page, path
    chosen = client.post(reverse("membership_choose"), {"membership_id": second.id}, follow=True)
    assert said not in text_of(chosen)


def test_nothing_is_said_of_a_commune_that_one_does_not_work_for(
    beaune: Commune, nuits: Commune, second: Membership, shown_mail: object, system: Actor
) -> None:
    hold(own_mailbox(nuits))
    open_for(nuits)
    agent = portal_client(beaune.agent_membership)
    page = text_of(agent.get("/"))
    assert "1 dossier ouvert" in page and "retenu à regarder" not in page, "another person's mailbox"
    assert "dossier ouvert" not in text_of(portal_client(beaune.referent_membership).get("/"))
    Membership.objects.filter(pk=second.pk).update(until=clock.now() - timedelta(minutes=1))
    assert "dossier ouvert" not in text_of(agent.get("/"))


def test_without_the_mail_server_the_rest_is_said(
    beaune: Commune, nuits: Commune, second: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_mailbox(nuits, at_nuits(second), local="jeanne")
    shared_box(beaune, beaune.agent)
    own_mailbox(beaune)
    open_for(nuits)
    asked: list[str] = []

    def away(config: object, address: str) -> Any:
        asked.append(address)
        raise MailboxUnavailable("The mailbox")

    monkeypatch.setattr(reader, "open_mailbox", away)
    page = text_of(portal_client(beaune.agent_membership).get("/"))
    assert "1 dossier ouvert" in page and "non lu" not in page
    assert asked == ["agent@beaune.test"], "who waits for one does not wait for each"


def test_who_works_for_very_many_is_told_that_they_are_not_counted(
    beaune: Commune, second: Membership, shown_mail: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elsewhere, "MOST", 0)
    client = portal_client(beaune.agent_membership)
    assert "n’est pas compté ici" in text_of(client.get(reverse("membership_choose")))


def test_new_mail_of_each_mailbox_is_said_at_home_and_where_one_chooses(
    beaune: Commune, shown_mail: object
) -> None:
    client = portal_client(beaune.agent_membership)
    own_mailbox(beaune)
    assert "mairie@" not in text_of(client.get("/"))
    shared = shared_box(beaune, beaune.agent)
    for path in ("/", "/courrier/"):
        page = text_of(client.get(path))
        assert reverse("mail_list", args=[shared.id]) in page and "2 non lus" in page, path


def test_who_has_no_mailbox_here_is_offered_none_to_fill(beaune: Commune, shown_mail: object) -> None:
    client = portal_client(beaune.agent_membership)
    page = text_of(client.get("/"))
    assert "Reprendre mon ancien courrier" not in page and "Aucune boîte ne vous est ouverte" in page
    own_mailbox(beaune)
    assert "Aucune boîte" not in text_of(client.get("/"))


def test_what_was_reported_is_marked_in_the_list_at_the_next_sign_in_too(
    beaune: Commune, nuits: Commune, shown_mail: object
) -> None:
    mine = own_mailbox(beaune)
    deliver(mine, LURE_ID)
    sighting(nuits.id, nuits.agent.id)
    client = portal_client(beaune.agent_membership)
    assert "Signalé" not in text_of(client.get(reverse("mail_list", args=[mine.id]))), "another's report"
    sighting(beaune.id, beaune.agent.id)
    assert text_of(client.get(reverse("mail_list", args=[mine.id]))).count("Signalé") == 1
