"""The page Contacts over the real process ``calendars``: who sees whose, what a form changes, what programs stored."""

from __future__ import annotations

import html
import re
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from beffroi.drive.calendars import asking, cards, homes, items, wire, wire_contacts
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, NotAllowed, NotFound, TooLarge, Unavailable
from beffroi.portal import calendars
from django.test import Client

from tests.calendar_pages import book_of, etag_of, full, member, portal, process
from tests.conftest import Commune
from tests.contact_pages import CARD, NOTARY, add, names, path_of, shown
from tests.fixtures_portal import no_door, own_mailbox, portal_client

__all__ = ["full", "no_door", "portal", "process"]
pytestmark = pytest.mark.usefixtures("database")


def test_what_all_share_is_seen_by_all_and_what_is_private_by_oneself(beaune: Commune) -> None:
    agent, colleague = portal_client(beaune.agent_membership), portal_client(beaune.colleague_membership)
    assert "Encore aucun contact" in shown(agent)
    add(agent)
    add(agent, given="", family="", organisation="Plombier du quartier", calendar="prive")
    told = shown(agent)
    for text in (
        "Élise Charton",
        "Étude Charton, notaires",
        "accueil@charton.test",
        "Le matin.<br>Demander Paul",
    ):
        assert text in told, text
    assert 'href="tel:+33611223344"' in told and 'href="tel:0380222222"' in told
    assert names(agent) == ["Élise Charton", "Plombier du quartier"]
    assert names(colleague) == ["Élise Charton"]


def test_a_first_name_is_enough(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent, given="Léa", family="", organisation="", calendar="prive")
    assert names(agent) == ["Léa"]
    path = path_of(agent)
    sent = {**NOTARY, "given": "Léa", "family": "", "phones": "0611223344", "etag": etag_of(agent, path)}
    assert agent.post(path, sent).status_code == 302
    assert names(agent, "0611223344") == ["Léa"], "an organisation takes nobody's name"


def test_words_find_names_addresses_and_numbers_whatever_their_accents_and_spaces(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    add(agent, given="Zoé", family="Martin", organisation="", emails="", phones="", note="")
    for words in ("elise", "CHARTON notaires", "étude", "ACCUEIL@charton", "0380222222", "80 22", "demander"):
        assert names(agent, words) == ["Élise Charton"], words
    assert names(agent, "martin zoe") == ["Zoé Martin"]
    assert names(agent, "charton martin") == [] and "Aucun contact ne correspond" in shown(agent, "absent")


def test_an_address_is_written_to_from_ones_own_mailbox(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    assert "/ecrire/" not in shown(agent)
    mailbox = own_mailbox(beaune)
    assert f'href="/courrier/{mailbox.id}/ecrire/?a=elise%40charton.test"' in shown(agent)
    people = agent.get(f"/courrier/{mailbox.id}/personnes/").json()["people"]
    assert ["Élise Charton", "elise@charton.test"] in people
    assert ["Élise Charton", "accueil@charton.test"] in people


def test_who_wrote_a_mail_is_added_with_what_its_page_knows(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    for name, given, family in (("Paul Le Roy", "Paul", "Le Roy"), ("Mairie", "", "Mairie"), ("", "", "")):
        form = html.unescape(
            agent.get(f"/contacts/ajouter/?a=paul%40nuits.test&nom={quote(name)}").content.decode()
        )
        told = [re.search(rf'name="{field}"[^>]* value="([^"]*)"', form) for field in ("given", "family")]
        assert [one and one[1] for one in told] == [given, family] and ">paul@nuits.test<" in form
    assert names(agent) == []


def test_a_form_changes_what_it_shows_and_keeps_what_a_program_noted(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    shown(agent)  # makes the home
    stored = book_of(config, beaune) / "phone-1.vcf"
    stored.write_bytes(CARD.replace("\n", "\r\n").encode())
    path = path_of(agent)
    form = html.unescape(agent.get(path).content.decode())
    for value in ("Paul", "Dupont", "Ville de Nuits", "06 01 02 03 04"):
        assert f'value="{value}"' in form, value
    assert "paul@nuits.test, paul@maison.test" in form and "Ligne une\nLigne deux, suite" in form
    sent = {
        "given": "Paul",
        "family": "Dupont",
        "organisation": "Commune de Nuits",
        "emails": "paul@nuits.test; pdupont@nuits.test",
        "phones": "06 01 02 03 04",
        "note": "Ligne une\nLigne deux, suite",
        "etag": etag_of(agent, path),
    }
    assert agent.post(path, sent).status_code == 302
    kept = stored.read_text().replace("\r\n ", "").replace("\r\n", "\n")
    for line in (
        "FN:M. le maire Paul Dupont",
        "N:Dupont;Paul;Henri;M. le maire;",
        "ORG:Commune de Nuits;Mairie",
        "EMAIL;TYPE=HOME:pdupont@nuits.test",
        "BDAY:1970-01-02",
        "item1.X-ABLABEL:Bureau",
        "NOTE:Ligne une\\nLigne deux\\, suite",
        "UID:phone-1",
    ):
        assert line in kept, (line, kept)
    assert "maison.test" not in kept and re.search(r"EMAIL;TYPE=INTERNET,WORK:paul@nuits\.test", kept)
    assert re.search(r"TEL;TYPE=CELL:06 01 02 03 04", kept) and "1 place de la Mairie" in kept
    # Whoever still has the former page open overwrites nothing.
    late = agent.post(path, {**sent, "family": "Ancien"})
    assert late.status_code == 409 and "vient de changer" in late.content.decode()
    assert agent.post(path, {**sent, "family": "Durand", "etag": etag_of(agent, path)}).status_code == 302
    assert names(agent) == ["Paul Durand"] and "N:Durand;Paul;Henri;M. le maire;" in stored.read_text()
    corrected = {**sent, "family": "Durand", "phones": "06 01 02 03 05", "etag": etag_of(agent, path)}
    assert agent.post(path, corrected).status_code == 302
    assert "TEL;TYPE=CELL:06 01 02 03 05\n" in stored.read_text()
    both = {**corrected, "phones": "03 80 22 22 22, 06 01 02 03 05", "etag": etag_of(agent, path)}
    assert agent.post(path, both).status_code == 302
    assert "TEL:03 80 22 22 22\n" in stored.read_text(), "one more is no correction"


def test_what_a_form_shows_and_would_not_take_stays_when_something_else_changes(
    beaune: Commune, config: Config
) -> None:
    agent = portal_client(beaune.agent_membership)
    shown(agent)  # makes the home
    stored = book_of(config, beaune) / "phone-1.vcf"
    lines = (
        "N:Dupont;Paul,Henri;;;",
        "TEL;TYPE=CELL:03 80 22 22 22\\,\\,12",
        "TEL;VALUE=uri:tel:+33-1;ext=5",
    )
    more = ("TEL;TYPE=HOME:voir la mairie", "EMAIL:/o=ExchangeLabs/cn=paul", "NOTE:une", "NOTE:deux")
    text = ("BEGIN:VCARD", "VERSION:4.0", "UID:phone-1", "FN:Paul Dupont", *lines, *more, "END:VCARD", "")
    stored.write_bytes("\r\n".join(text).encode())
    path = path_of(agent)
    phones = "03 80 22 22 22,,12, +33-1;ext=5, voir la mairie"
    assert f'value="{phones}"' in html.unescape(agent.get(path).content.decode())
    sent = {
        "given": "Paul,Henri",
        "family": "Durand",
        "emails": "/o=ExchangeLabs/cn=paul",
        "phones": f"{phones}, 06 01 02 03 04",
        "note": "trois",
    }
    assert agent.post(path, {**sent, "etag": etag_of(agent, path)}).status_code == 302
    kept = stored.read_text()
    for line in (
        *lines[1:],
        *more[:2],
        "N:Durand;Paul,Henri;;;",
        "TEL:06 01 02 03 04",
        "NOTE:trois",
        more[3],
    ):
        assert f"\n{line}\n" in kept.replace("\r\n", "\n"), (line, kept)
    assert kept.count("TEL") == 4


def test_a_contact_is_deleted_after_a_question(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    path = path_of(agent) + "supprimer/"
    asked = html.unescape(agent.get(path).content.decode()).replace("\xa0", " ")
    assert "Supprimer « Élise Charton »" in asked and "pour toute la mairie" in asked
    etag = etag_of(agent, path)
    assert agent.post(path, {"etag": "x"}).status_code == 409
    assert agent.post(path, {"etag": etag}).status_code == 302
    assert names(agent) == [] and not list(book_of(config, beaune).glob("*.vcf"))
    assert agent.post(path, {"etag": etag}).status_code == 404
    # What somebody typed meanwhile stays before them.
    late = agent.post(path.removesuffix("supprimer/"), {**NOTARY, "note": "Le matin", "etag": etag})
    assert late.status_code == 404 and "Le matin</textarea>" in late.content.decode()
    assert "ajoutez-le de nouveau" in late.content.decode() and names(agent) == []


def test_what_was_typed_wrong_is_said_beside_its_field(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    for more, words in (
        ({"given": "", "family": "", "organisation": ""}, "Donnez un nom, un prénom ou un organisme"),
        ({"given": "x" * 101}, "100 signes au plus"),
        ({"family": "x" * 101}, "100 signes au plus"),
        ({"organisation": "x" * 255}, "254 signes au plus"),
        ({"note": "x" * 1001}, "1000 signes au plus"),
        ({"emails": "elise"}, "«\u00a0elise\u00a0» n’est pas une adresse complète"),
        ({"emails": ",".join(f"a{n}@b.test" for n in range(11))}, "Dix au plus"),
        ({"phones": "au bureau"}, "au bureau n’est pas un numéro"),
        ({"phones": ",".join(f"03 80 00 00 {n}" for n in range(11))}, "Dix au plus"),
    ):
        answer = agent.post("/contacts/ajouter/", NOTARY | more)
        told = html.unescape(answer.content.decode())
        assert answer.status_code == 400 and words in told, (more, words)
    assert names(agent) == []


def test_what_programs_stored_is_shown_as_it_can_be_read(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    shown(agent)
    book = book_of(config, beaune, beaune.agent.id)
    for name, lines in {
        "whole": ("VERSION:3.0", "FN:Jeanne Petit"),
        "firm": ("VERSION:3.0", "FN:Ets Roche", "N:;;;;", "ORG:Ets Roche"),
        "new": ("VERSION:4.0", "FN:Ali", "N:;Ali;;;", "TEL;VALUE=uri:tel:+33-1-22"),
        "group": ("VERSION:3.0", "FN:Groupe", "N:;;;;", "X-ADDRESSBOOKSERVER-KIND:group"),
        "odd": ("VERSION:3.0", "FN:Esc\\, ape\\;d", "N:a\\;b;c\\,d;;;", "EMAIL:", "NOTE:" + "n" * 5000),
    }.items():
        text = "\r\n".join(("BEGIN:VCARD", *lines, f"UID:{name}", "END:VCARD", ""))
        (book / f"{name}.vcf").write_text(text)
    assert names(agent) == ["Ali", "Esc, ape;d", "Ets Roche", "Jeanne Petit"]
    assert "+33-1-22" in shown(agent) and "tel:tel:" not in shown(agent)
    for name, given, family, organisation in (
        ("whole", "", "Jeanne Petit", ""),
        ("firm", "", "", "Ets Roche"),
        ("new", "Ali", "", ""),
        ("odd", "c,d", "a;b", ""),
    ):
        form = html.unescape(agent.get(f"/contacts/prive/{name}.vcf/").content.decode())
        told = [
            re.search(rf'name="{field}"[^>]* value="([^"]*)"', form)
            for field in ("given", "family", "organisation")
        ]
        assert [one and one[1] for one in told] == [given, family, organisation], name
    assert agent.get("/contacts/prive/group.vcf/").status_code == 404
    assert agent.post("/contacts/prive/group.vcf/supprimer/", {"etag": "x"}).status_code == 409


def test_many_contacts_are_told_up_to_a_number_and_a_word_finds_the_others(
    beaune: Commune, config: Config
) -> None:
    agent = portal_client(beaune.agent_membership)
    shown(agent)
    book = book_of(config, beaune, beaune.agent.id)
    for number in range(cards.MAX_TOLD + 1):
        lines = ("BEGIN:VCARD", "VERSION:3.0", f"UID:n{number}", f"FN:Nom {number:04}", "END:VCARD", "")
        (book / f"n{number}.vcf").write_text("\r\n".join(lines))
    assert len(names(agent)) == cards.MAX_TOLD and "Il y en a d’autres" in shown(agent)
    assert names(agent, "0500") == ["Nom 0500"] and "Il y en a d’autres" not in shown(agent, "0500")


def test_an_elu_reads_what_all_share_and_a_dpo_does_not(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    path = path_of(agent)
    elu = portal_client(member(beaune, "elu"))
    assert names(elu) == ["Élise Charton"] and path not in shown(elu)
    for address, data in (
        (path, NOTARY),
        (path + "supprimer/", {"etag": "x"}),
        ("/contacts/ajouter/", NOTARY),
    ):
        assert elu.post(address, data).status_code == 403
    add(elu, family="À moi", calendar="prive")
    dpo = portal_client(member(beaune, "dpo"))
    assert names(dpo) == ["Élise À moi"]
    assert dpo.get(path).status_code == 404
    assert dpo.post("/contacts/ajouter/", NOTARY).status_code == 403


def test_another_commune_and_another_persons_contact_are_no_such_page(
    beaune: Commune, nuits: Commune
) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    shared = path_of(agent)
    add(agent, family="Dentiste", calendar="prive")
    private = path_of(agent, "Dentiste")
    strangers = [(nuits.agent_membership, one) for one in (shared, private)]
    for membership, path in [*strangers, (beaune.colleague_membership, private)]:
        client = portal_client(membership)
        assert names(portal_client(nuits.agent_membership)) == []
        for address in (path, path + "supprimer/"):
            absent = re.sub(r"con_\w+", "con_" + "0" * 26, address)
            for method in ("get", "post"):
                data = {} if method == "get" else {**NOTARY, "etag": "x"}
                theirs, nobodys = (getattr(client, method)(one, data) for one in (address, absent))
                assert theirs.status_code == nobodys.status_code == 404
                assert "Dentiste" not in theirs.content.decode()
    assert names(agent) == ["Élise Charton", "Élise Dentiste"]


def test_names_that_leave_the_address_book_are_no_contacts(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    shown(agent)
    for name in ("..", ".Radicale.props", "%2e%2e", "a\\b", "x" * 300):
        assert agent.get(f"/contacts/prive/{quote(name)}/").status_code == 404


def test_a_stranger_is_asked_to_sign_in(beaune: Commune) -> None:
    client = Client(headers={"X-Beffroi-Listener": "portal"})
    for path in ("/contacts/", "/contacts/ajouter/", "/contacts/commun/x/", "/contacts/commun/x/supprimer/"):
        answer = client.get(path)
        assert answer.status_code == 302 and answer["Location"].startswith("/connexion/")


def test_a_grant_opens_what_it_names_and_no_more(beaune: Commune, config: Config) -> None:
    ask = partial(asking.Asking, config, person_id=beaune.agent.id, collectivite_id=beaune.id)

    def draft(**more: object) -> wire_contacts.ContactDraft:
        whole = {
            "calendar": "shared",
            "name": "",
            "etag": "",
            "given": "",
            "family": "Nom",
            "organisation": "",
            "emails": [],
            "phones": [],
            "note": "",
        }
        return wire_contacts.ContactDraft(**(whole | more))  # type: ignore[arg-type]

    with pytest.raises(NotAllowed):
        ask(shared=True, write=False).save_contact(draft())
    with pytest.raises(NotFound):
        ask(shared=False, write=True).save_contact(draft())
    for wrong in ({"family": ""}, {"family": "\x00\n"}, {"emails": [f"{n}@b.test" for n in range(11)]}):
        with pytest.raises(Invalid):
            ask(shared=True, write=True).save_contact(draft(**wrong))
    with pytest.raises(NotFound):
        ask(shared=True, write=True).save_contact(draft(calendar="handed"))
    done = ask(shared=True, write=True).save_contact(draft(family="No\r\nm", emails=["a@b.test", "a@b.test"]))
    found = ask(shared=True, write=False).contact(wire.Named("shared", done.name))
    assert (found.family, found.emails) == ("No m", ["a@b.test"])
    assert ask(shared=False, write=False).contacts(wire_contacts.Sought()).contacts == []
    with pytest.raises(NotAllowed):
        ask(shared=True, write=False).delete_contact(wire.Named("shared", done.name, found.etag))


def test_a_book_that_is_full_takes_no_more(
    beaune: Commune, config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from beffroi.drive.calendars.store import Stores

    stores = Stores(config, lambda *_: None)
    storage = stores.home(beaune.id, beaune.agent.id).storage
    monkeypatch.setattr(items, "MAX_ITEMS", 1)
    draft = wire_contacts.ContactDraft("own", "", "", "", "Nom", "", [], [], "")
    place = f"/{beaune.agent.id}/{homes.CONTACTS}/"
    cards.save(storage, place, draft)
    with pytest.raises(TooLarge):
        cards.save(storage, place, draft)


@pytest.mark.usefixtures("full")
def test_a_contact_that_finds_no_room_keeps_what_was_typed_and_says_what_to_do(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    answer = agent.post("/contacts/ajouter/", NOTARY)
    told = html.unescape(answer.content.decode())
    assert answer.status_code == 409 and "Il n’y a plus de place" in told
    assert 'value="Charton"' in told and names(agent) == []


def test_when_calendars_is_away_the_page_says_so_and_mail_goes_on(beaune: Commune, config: Config) -> None:
    socket = config.run / "calendars.sock"
    aside = socket.with_suffix(".aside")
    socket.rename(aside)
    try:
        answer = portal_client(beaune.agent_membership).get("/contacts/")
        assert answer.status_code == 503
        assert Unavailable.code in answer.content.decode() or "ne répond pas" in answer.content.decode()
        assert calendars.suggestions(beaune.agent) == []
    finally:
        aside.rename(socket)
