"""A contact that was deleted on its page comes back, as it was, for who deleted it."""

from __future__ import annotations

import html
import re

import pytest
from beffroi.drive.calendars import homes
from beffroi.lib.config import Config
from django.test import Client

from tests.calendar_pages import book_of, etag_of, member, no_room, portal, process
from tests.conftest import Commune
from tests.contact_pages import CARD, add, names, path_of, shown
from tests.fixtures_portal import no_door, portal_client
from tests.markup import flat

__all__ = ["no_door", "portal", "process"]
pytestmark = pytest.mark.usefixtures("database")


def press_undo(client: Client, page: str = "/contacts/") -> str:
    """*Annuler* as the page offers it; what the next page says."""
    found = re.search(
        r'action="([^"]+/annuler/)".*?name="etag" value="([^"]+)"', client.get(page).content.decode(), re.S
    )
    assert found is not None
    answer = client.post(found[1], {"etag": html.unescape(found[2])}, follow=True)
    return html.unescape(flat(answer.content.decode()))


def delete(client: Client, path: str) -> None:
    assert client.post(path + "supprimer/", {"etag": etag_of(client, path)}).status_code == 302


def test_a_contact_that_was_deleted_comes_back_as_it_was(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    shown(agent)
    stored = book_of(config, beaune) / "phone-1.vcf"
    stored.write_bytes(CARD.replace("\n", "\r\n").encode())
    path = path_of(agent)
    etag_before = etag_of(agent, path)
    delete(agent, path)
    told = agent.get("/contacts/").content.decode()
    assert not stored.exists() and "Le contact est supprimé" in told
    # Neither a colleague nor another page is offered it.
    colleague = portal_client(beaune.colleague_membership)
    assert "/annuler/" not in shown(colleague) and "/annuler/" not in agent.get("/agenda/").content.decode()
    etag = re.search(r'name="etag" value="([^"]+)"', told)
    assert etag is not None
    colleague.post("/contacts/annuler/", {"etag": html.unescape(etag[1])})
    assert names(colleague) == []
    said = press_undo(agent)
    assert "C’est annulé" in said and "/annuler/" not in said
    assert etag_of(agent, path) == etag_before and b"BDAY:1970-01-02" in stored.read_bytes()


def test_of_two_deleted_contacts_an_older_page_puts_none_back(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    for family in ("Un", "Deux"):
        add(agent, given="", family=family, organisation="", emails="", calendar="prive")
    first = path_of(agent, "Un")
    etag = etag_of(agent, first)
    delete(agent, first)
    delete(agent, path_of(agent, "Deux"))
    answer = agent.post("/contacts/annuler/", {"etag": etag}, follow=True)
    assert "Rien à annuler" in html.unescape(answer.content.decode()) and names(agent) == []


def test_what_does_not_fit_any_more_is_offered_until_it_does(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    delete(agent, path_of(agent))
    with no_room(beaune):
        assert "Il n’y a plus de place" in press_undo(agent)
    press_undo(agent)
    assert names(agent) == ["Élise Charton"]


def test_who_may_not_write_any_more_puts_nothing_back(beaune: Commune) -> None:
    colleague = portal_client(beaune.colleague_membership)
    add(colleague)
    path = path_of(colleague)
    etag = etag_of(colleague, path)
    delete(colleague, path)
    elu = portal_client(member(beaune, "elu"))
    assert elu.post("/contacts/annuler/", {"etag": etag}).status_code == 403
    assert names(elu) == []


def test_a_full_disk_keeps_nobody_from_deleting(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    homes.deleted(book_of(config, beaune, beaune.agent.id).parent, "contacts").mkdir()
    delete(agent, path_of(agent))
    told = shown(agent)
    assert names(agent) == [] and "Le contact est supprimé" in told and "/annuler/" not in told
