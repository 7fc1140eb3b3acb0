"""Groups of contacts over the real process ``calendars``: opened, written to, made, changed, deleted, and whose."""

from __future__ import annotations

import re

import pytest
from beffroi.drive.calendars import wire_contacts
from beffroi.drive.store import room, tree
from beffroi.drive.store.model import NO_LIMIT
from beffroi.lib.config import Config
from beffroi.portal import drive_access
from django.test import Client

from tests.calendar_pages import book_of, etag_of, member, portal, process
from tests.conftest import Commune
from tests.fixtures_portal import no_door, own_mailbox, portal_client
from tests.markup import text_of

__all__ = ["no_door", "portal", "process"]
pytestmark = pytest.mark.usefixtures("database")


def add(client: Client, family: str, emails: str = "", calendar: str = "commun") -> str:
    """The name of the contact."""
    sent = {"family": family, "emails": emails, "calendar": calendar}
    assert client.post("/contacts/ajouter/", sent).status_code == 302
    found = re.search(rf'href="/contacts/{calendar}/([^"]+)/"', text_of(client.get(f"/contacts/?q={family}")))
    assert found is not None
    return found[1]


def make(client: Client, title: str, members: list[str], calendar: str = "commun") -> str:
    """Its address."""
    answer = client.post(f"/contacts/groupes/{calendar}/", {"title": title, "member": members})
    assert answer.status_code == 302, text_of(answer)
    return str(answer["Location"])


def members_of(client: Client, path: str) -> list[str]:
    return re.findall(r"<p><strong>(.*?)</strong>", text_of(client.get(path)))


def test_a_group_is_made_written_to_changed_and_deleted(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    paul, zoe, sans = (
        add(agent, "Paul", "paul@x.test, p2@x.test"),
        add(agent, "Zoé", "zoe@x.test"),
        add(agent, "Sans"),
    )
    path = make(agent, "Conseil municipal", [paul, sans])
    assert members_of(agent, path) == ["Paul", "Sans"]
    assert "/ecrire/" not in text_of(agent.get(path))  # nobody writes without a mailbox
    mailbox = own_mailbox(beaune)
    changed = {"title": "Conseil", "member": [paul, zoe, sans], "etag": etag_of(agent, path + "modifier/")}
    assert agent.post(path + "modifier/", changed).status_code == 302
    shown = text_of(agent.get(path))
    link = f"/courrier/{mailbox.id}/ecrire/?a=paul%40x.test%2C+zoe%40x.test"
    assert (
        f'href="{link}"' in shown and "Écrire aux 2 adresses" in shown and "Sans adresse de courriel" in shown
    )
    assert "paul@x.test, zoe@x.test" in text_of(agent.get(link))
    listed = text_of(agent.get("/contacts/"))
    assert "Conseil" in listed and "3 contacts" in listed and f'href="{path}"' in listed
    stored = (book_of(config, beaune) / path.rstrip("/").rpartition("/")[2]).read_text()
    assert "FN:Conseil\n" in stored and stored.count("MEMBER:urn:uuid:con_") == 3
    # An older page overwrites nothing.
    late = agent.post(path + "modifier/", changed)
    assert late.status_code == 409 and "vient de changer" in text_of(late)
    assert agent.post(path + "supprimer/", {"etag": "x"}).status_code == 409
    etag = etag_of(agent, path + "supprimer/")
    assert agent.post(path + "supprimer/", {"etag": etag}).status_code == 302
    left = text_of(agent.get("/contacts/"))
    assert agent.get(path).status_code == 404 and "Zoé" in left
    assert "Ses contacts restent" in left and 'action="/contacts/annuler/"' in left
    assert agent.post("/contacts/annuler/", {"etag": etag}).status_code == 302
    assert members_of(agent, path) == ["Paul", "Sans", "Zoé"]


def test_a_group_of_more_than_a_message_takes_is_written_to_in_parts(beaune: Commune, config: Config) -> None:
    agent, mailbox = portal_client(beaune.agent_membership), own_mailbox(beaune)
    path = make(agent, "Associations", [add(agent, f"A{n:03}", f"a{n:03}@x.test") for n in range(120)])
    shown = text_of(agent.get(path))
    assert "écrivez à ce groupe en plusieurs fois" in shown and "Écrire aux 120 adresses" not in shown
    links = re.findall(rf'href="(/courrier/{mailbox.id}/ecrire/[^"]+)"', shown)
    pages = [text_of(agent.get(link)) for link in links]
    written = [re.findall(r"a\d{3}@x\.test", one.partition('name="bcc"')[2]) for one in pages]
    assert [len(one) for one in written] == [100, 20]
    assert len({*written[0], *written[1]}) == 120
    assert "Écrire aux adresses 101 à 120" in shown


def test_more_groups_than_a_page_shows_are_told(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent, "Paul")
    for number in range(wire_contacts.MAX_GROUPS + 1):
        if number == wire_contacts.MAX_GROUPS:
            assert "trop de groupes" not in text_of(agent.get("/contacts/"))
        lines = (
            "BEGIN:VCARD",
            "VERSION:4.0",
            f"FN:G{number:03}",
            "KIND:group",
            f"UID:g{number}",
            "END:VCARD",
            "",
        )
        (book_of(config, beaune) / f"g{number}.vcf").write_text("\r\n".join(lines), newline="")
    shown = text_of(agent.get("/contacts/"))
    assert "Il y a trop de groupes pour les montrer tous ici" in shown
    assert "G099" in shown and "G100" not in shown
    assert "trop de groupes" not in text_of(agent.get("/contacts/?q=Paul"))


def test_what_programs_made_is_read_and_what_is_not_understood_stays(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    paul, zoe = add(agent, "Paul", "paul@x.test"), add(agent, "Zoé", "zoe@x.test")
    uid = paul.removesuffix(".vcf")
    for name, lines in {
        "apple": ("VERSION:3.0", "FN:Apple", "N:Apple;;;;", "X-ADDRESSBOOKSERVER-KIND:group",
                  f"X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:{uid}", "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:gone"),
        "four": ("VERSION:4.0", "FN:Quatre", "KIND:group", f"MEMBER:urn:uuid:{uid}", "MEMBER:mailto:maire@nuits.test"),
        "none": ("VERSION:4.0", "FN:Vide", "KIND:group"),
    }.items():  # fmt: skip
        text = "\r\n".join(("BEGIN:VCARD", *lines, f"UID:{name}", "END:VCARD", ""))
        (book_of(config, beaune) / f"{name}.vcf").write_text(text, newline="")
    base = "/contacts/groupes/commun"
    assert members_of(agent, f"{base}/apple.vcf/") == ["Paul"]
    assert "1 contact de ce groupe n’est plus dans ce carnet" in text_of(agent.get(f"{base}/apple.vcf/"))
    assert members_of(agent, f"{base}/four.vcf/") == ["maire@nuits.test", "Paul"]
    assert "Ce groupe est vide" in text_of(agent.get(f"{base}/none.vcf/"))
    for name, kept, made in (
        ("apple", "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:gone", "X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:con_"),
        ("four", "MEMBER:mailto:maire@nuits.test", "\r\nMEMBER:urn:uuid:con_"),
    ):
        path = f"{base}/{name}.vcf/modifier/"
        sent = {"title": "Autre", "member": [zoe], "etag": etag_of(agent, path)}
        assert agent.post(path, sent).status_code == 302
        stored = (book_of(config, beaune) / f"{name}.vcf").read_bytes().decode()
        assert kept in stored and stored.count(made) == 1 and uid not in stored and "FN:Autre" in stored
    assert agent.get(f"{base}/{paul}/").status_code == 404  # a contact is no group
    assert agent.get("/contacts/commun/apple.vcf/").status_code == 404  # nor a group a contact


def test_what_was_typed_wrong_is_said_beside_its_field(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    assert "Ajoutez d’abord des contacts" in text_of(agent.get("/contacts/groupes/commun/"))
    paul = add(agent, "Paul")
    for data, status, words in (
        ({"title": "", "member": [paul]}, 400, "Donnez un nom au groupe"),
        ({"title": "x" * 101, "member": [paul]}, 400, "100 signes au plus"),
        ({"title": "Conseil"}, 400, "Cochez au moins un contact"),
        (
            {"title": "C", "member": [f"{n}" for n in range(wire_contacts.MAX_MEMBERS + 1)]},
            400,
            "200 contacts au plus",
        ),
        ({"title": "Conseil", "member": [paul, "absent.vcf"]}, 409, "vient de changer"),
    ):
        answer = agent.post("/contacts/groupes/commun/", data)
        assert answer.status_code == status and words in text_of(answer), words
        assert 'value="Conseil"' in text_of(answer) or data["title"] != "Conseil"


def test_more_boxes_than_a_form_may_have_are_refused_with_what_to_do(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    answer = agent.post(
        "/contacts/groupes/commun/", {"title": "Tous", "member": [f"c{n}" for n in range(1000)]}
    )
    assert answer.status_code == 400
    assert "cochez-en 200 au plus" in answer.content.decode()


def test_a_group_finds_no_room_and_says_so(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    paul = add(agent, "Paul")
    database = drive_access._communes().metadata(beaune.id)
    database.write(lambda writing: tree.set_limit(writing, room.WHOLE, 1))
    answer = agent.post("/contacts/groupes/commun/", {"title": "Conseil", "member": [paul]})
    database.write(lambda writing: tree.set_limit(writing, room.WHOLE, NO_LIMIT))
    assert answer.status_code == 409 and "plus de place" in text_of(answer)


def test_an_elu_reads_groups_of_the_mairie_and_a_dpo_does_not(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    path = make(agent, "Conseil", [add(agent, "Paul", "paul@x.test")])
    elu = portal_client(member(beaune, "elu"))
    assert members_of(elu, path) == ["Paul"] and "modifier" not in text_of(elu.get(path))
    for address in ("/contacts/groupes/commun/", path + "modifier/", path + "supprimer/"):
        for answer in (elu.get(address), elu.post(address, {"title": "x", "etag": "x"})):
            assert answer.status_code == 403
    dpo = portal_client(member(beaune, "dpo"))
    assert "Conseil" not in text_of(dpo.get("/contacts/"))
    for address in (path, "/contacts/groupes/commun/", path + "modifier/", path + "supprimer/"):
        assert dpo.get(address).status_code == 404
    own = add(dpo, "Médecin", calendar="prive")
    assert members_of(dpo, make(dpo, "À moi", [own], "prive")) == ["Médecin"]


def test_another_commune_and_another_persons_group_are_no_such_page(beaune: Commune, nuits: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    shared = make(agent, "Conseil", [add(agent, "Paul")])
    private = make(agent, "Famille", [add(agent, "Zoé", calendar="prive")], "prive")
    strangers = [(nuits.agent_membership, one) for one in (shared, private)]
    for membership, path in [*strangers, (beaune.colleague_membership, private)]:
        client = portal_client(membership)
        assert "Famille" not in text_of(client.get("/contacts/"))
        for address in (path, path + "modifier/", path + "supprimer/"):
            assert client.get(address).status_code == 404
            if address != path:
                assert client.post(address, {"title": "x", "member": ["y"], "etag": "x"}).status_code == 404
    assert members_of(agent, shared) == ["Paul"] and members_of(agent, private) == ["Zoé"]


def test_a_stranger_is_asked_to_sign_in() -> None:
    client = Client(headers={"X-Beffroi-Listener": "portal"})
    for tail in ("", "x.vcf/", "x.vcf/modifier/", "x.vcf/supprimer/"):
        answer = client.get(f"/contacts/groupes/commun/{tail}")
        assert answer.status_code == 302 and answer["Location"].startswith("/connexion/")
