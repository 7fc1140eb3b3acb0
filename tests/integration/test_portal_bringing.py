"""Files of contacts and of an agenda over the real process ``calendars``: looked at, taken in, out, downloaded."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
from beffroi.drive.calendars import asking, bringing, homes, wire_bringing
from beffroi.drive.calendars.counted import Storage
from beffroi.drive.calendars.items import collection_at
from beffroi.drive.calendars.store import Stores
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotAllowed, NotFound
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.calendar_pages import book_of, member, portal, process
from tests.conftest import Commune
from tests.fixtures_calendars import event
from tests.fixtures_portal import no_door, portal_client
from tests.markup import text_of

__all__ = ["no_door", "portal", "process"]
pytestmark = pytest.mark.usefixtures("database")


def card(name: str, *more: str, uid: str = "") -> str:
    lines = (
        "BEGIN:VCARD",
        "VERSION:3.0",
        *((f"UID:{uid}",) if uid else ()),
        f"FN:{name}",
        *more,
        "END:VCARD",
        "",
    )
    return "\r\n".join(lines)


PAUL = card("Paul Dupont", "EMAIL:paul@x.test", "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgAB", uid="p-1")
ZOE = card("Zoé Léger", "TEL;TYPE=CELL:06 01 02 03 04")
BROKEN = "BEGIN:VCARD\r\nVERSION:3.0\r\nFN\r\nEND:VCARD\r\n"


def bring(client: Client, text: str | bytes, *, kind: str = "contacts", calendar: str = "commun") -> str:
    """The page that comes after it."""
    data = text.encode() if isinstance(text, str) else text
    sent = {"calendar": calendar, "file": SimpleUploadedFile("f.vcf", data)}
    answer = client.post(f"/{kind}/fichier/", sent)
    assert answer.status_code in (302, 400), answer.status_code
    return shown(client, kind) if answer.status_code == 302 else text_of(answer)


def shown(client: Client, kind: str = "contacts") -> str:
    answer = client.get(f"/{kind}/fichier/")
    assert answer.status_code == 200
    return text_of(answer)


def waiting(client: Client, kind: str = "contacts") -> str:
    found = re.search(r'name="id" value="(brg_\w+)"', shown(client, kind))
    assert found is not None
    return found[1]


def act(client: Client, word: str, kind: str = "contacts") -> str:
    answer = client.post(f"/{kind}/fichier/", {"id": waiting(client, kind), word: "1"}, follow=True)
    assert answer.status_code == 200
    return text_of(answer)


def names(client: Client) -> list[str]:
    return re.findall(r"<p><strong>(.*?)</strong>", text_of(client.get("/contacts/")))


def test_a_file_is_looked_at_taken_in_and_taken_out_again(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    told = bring(agent, PAUL + ZOE + BROKEN + card("zoe léger", "TEL:0601020304"))
    assert "2 nouveaux contacts" in told and "<li>Zoé Léger</li>" in told
    assert "1 y est déjà, ou s’y trouve deux fois" in told
    assert "ligne 13 du fichier : abîmé ou incomplet" in told and "tous vos collègues les verront" in told
    assert names(agent) == [] and not list(book_of(config, beaune).glob("*.vcf"))
    assert "2 contacts sont ajoutés" in act(agent, "take")
    colleague = portal_client(beaune.colleague_membership)
    assert names(colleague) == ["Paul Dupont", "Zoé Léger"]
    kept = agent.get("/contacts/commun.vcf")
    assert (
        kept["Content-Type"] == "text/vcard; charset=utf-8"
        and "contacts-de-la-mairie.vcf" in kept["Content-Disposition"]
    )
    assert (
        "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgAB" in kept.content.decode()
        and PAUL in kept.content.decode()
    )
    # The same file again, and what was given out, add nothing.
    for text in (PAUL + ZOE, kept.content.decode()):
        told = bring(colleague, text)
        assert "0 nouveau" in told and "2 y sont déjà" in told and 'name="take"' not in told
    assert "2 contacts sont retirés" in act(agent, "undo") and names(agent) == []
    assert (
        'name="id"' not in shown(agent)
        and not homes.brought(book_of(config, beaune).parent, "contacts").exists()
    )


def test_what_somebody_changed_meanwhile_stays(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL + ZOE, calendar="prive")
    act(agent, "take")
    path = re.search(r'href="(/contacts/prive/[^"]+?/)"', text_of(agent.get("/contacts/?q=zoe")))
    assert path is not None
    etag = re.search(r'name="etag" value="&quot;([^&]+)', agent.get(path[1]).content.decode())
    assert etag is not None
    sent = {"given": "Zoé", "family": "Martin", "phones": "0601", "etag": f'"{etag[1]}"'}
    assert agent.post(path[1], sent).status_code == 302
    told = act(agent, "undo")
    assert "1 contact est retiré. 1, changé depuis, est gardé." in told and names(agent) == ["Zoé Martin"]


def test_a_card_of_version_4_keeps_its_photograph_when_it_is_changed(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    photo = "PHOTO:data:image/png;base64,AAAA"
    bring(agent, card("Ali", photo, "TEL:0601").replace("VERSION:3.0", "VERSION:4.0"), calendar="prive")
    act(agent, "take")
    path = re.search(r'href="(/contacts/prive/[^"]+?/)"', text_of(agent.get("/contacts/?q=ali")))
    assert path is not None
    etag = re.search(r'name="etag" value="&quot;([^&]+)', agent.get(path[1]).content.decode())
    assert etag is not None
    assert agent.post(path[1], {"family": "Ali", "phones": "0602", "etag": f'"{etag[1]}"'}).status_code == 302
    given = agent.get("/contacts/prive.vcf").content.decode()
    assert photo in given and "TEL:0602" in given and "VERSION:4.0" in given


def group(uid: str, name: str, *members: str) -> str:
    lines = (f"X-ADDRESSBOOKSERVER-MEMBER:urn:uuid:{one}" for one in members)
    return card(name, "X-ADDRESSBOOKSERVER-KIND:group", *lines, uid=uid)


def test_a_group_names_contacts_as_the_book_has_them_already(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL + ZOE + card("Ali", "TEL:0603", uid="a-1"))  # Zoé is given a UID here
    act(agent, "take")
    again = "".join(
        (
            card("Paul Dupont", "EMAIL:PAUL@x.test", uid="p-2"),
            card("zoe léger", "TEL:0601020304", uid="z-2"),
            card("Ali", "TEL:0603", uid="a-1"),
            card("Nouveau", "TEL:0604", uid="n-2"),
            card("Nouveau", "TEL:0604", uid="n-3"),
            group("g-2", "Conseil", "p-2", "Z-2", "a-1", "n-2", "n-3", "gone"),
        )
    )
    told = bring(agent, again)
    assert "2 nouveaux contacts" in told and "4 y sont déjà" in told
    assert "2 contacts sont ajoutés" in act(agent, "take")
    path = re.search(r'href="(/contacts/groupes/commun/[^"]+?/)"', text_of(agent.get("/contacts/")))
    assert path is not None
    page = text_of(agent.get(path[1]))
    assert re.findall(r"<p><strong>(.*?)</strong>", page) == ["Ali", "Nouveau", "Paul Dupont", "Zoé Léger"]
    assert "1 contact de ce groupe n’est plus dans ce carnet" in page
    (stored,) = (one for one in book_of(config, beaune).glob("*.vcf") if "FN:Conseil" in one.read_text())
    assert stored.read_text().count("MEMBER:") == 5 and "urn:uuid:p-1" in stored.read_text()
    # What was written so is what came: it goes as a whole.
    assert "2 contacts sont retirés" in act(agent, "undo")
    assert names(agent) == ["Ali", "Paul Dupont", "Zoé Léger"]


def test_a_contact_is_not_taken_for_a_group_of_its_name(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, group("g-1", "École", "e-1") + card("École", uid="e-1"))
    assert "2 contacts sont ajoutés" in act(agent, "take")
    told = bring(agent, group("g-2", "École", "e-2") + card("École", uid="e-2"))
    assert "0 nouveau" in told and "2 y sont déjà" in told


def test_twice_is_once_and_a_second_file_takes_the_place_of_the_first(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL)
    first = waiting(agent)
    bring(agent, ZOE)
    for word in ("take", "undo"):
        answer = agent.post("/contacts/fichier/", {"id": first, word: "1"}, follow=True)
        assert "Ce fichier n’attend plus ici" in text_of(answer)
    second = waiting(agent)
    for _ in range(2):
        agent.post("/contacts/fichier/", {"id": second, "take": "1"})
    assert names(agent) == ["Zoé Léger"]
    bring(agent, PAUL)
    assert "Rien n’a été ajouté" in act(agent, "drop") and names(agent) == ["Zoé Léger"]


def test_a_file_that_waits_is_forgotten_after_some_days(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL, calendar="prive")
    place, waiting_id = (
        homes.brought(book_of(config, beaune, beaune.agent.id).parent, "contacts"),
        waiting(agent),
    )
    assert place.stat().st_mode & 0o777 == 0o600
    homes.forget_waiting(config, beaune.id, before_s=time.time() - 60)
    assert place.exists()
    with (
        clock.shifted(timedelta(days=wire_bringing.KEPT_DAYS, hours=1).total_seconds()),
        pytest.raises(NotFound),
    ):
        bringing.waiting(place.parent, wire_bringing.Which("contacts", waiting_id))
    homes.forget_waiting(config, beaune.id, before_s=time.time() + 60)
    assert not place.exists() and 'name="id"' not in shown(agent)


def test_what_is_no_file_of_contacts_is_refused_in_words(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    for data, words in (
        (b"", "Ce n’est pas un fichier de contacts"),
        (b"\x89PNG\0\0", "n’est pas du texte lisible"),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR\n", "Ce n’est pas un fichier de contacts"),
        (card("x").encode() * 2001, "plus de 2 000"),
        (b"x" * (wire_bringing.MAX_FILE_BYTES + 1), "8 Mo au plus"),
    ):
        assert words in bring(agent, data), words
    answer = agent.post("/contacts/fichier/", {"calendar": "commun"})
    assert answer.status_code == 400 and "Choisissez un fichier" in text_of(answer)
    assert 'name="id"' not in shown(agent)


def test_a_large_file_is_taken_in_and_out_within_the_time_of_a_page(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    many = "".join(card(f"Nom {n:04}", f"EMAIL:n{n}@x.test", "N:Nom;Paul;;;") for n in range(2000))
    assert "et 1 990 autres" in bring(agent, many)
    looked = time.monotonic()
    assert "2 000 contacts sont ajoutés" in act(agent, "take")
    taken = time.monotonic()
    assert "2 000 contacts sont retirés" in act(agent, "undo")
    assert taken - looked < asking.FILE_TIMEOUT_S


def test_what_fails_on_its_way_in_leaves_nothing_and_waits_on(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL + ZOE)
    place = homes.brought(book_of(config, beaune, beaune.agent.id).parent, "contacts")
    last = msgspec.json.decode(place.read_bytes())["kept"][-1]["name"]
    in_the_way = book_of(config, beaune) / last
    in_the_way.mkdir()
    assert "plus long que prévu" in act(agent, "take")
    in_the_way.rmdir()
    assert names(agent) == [] and "2 nouveaux contacts" in shown(agent)
    assert "2 contacts sont ajoutés" in act(agent, "take")
    assert "2 contacts sont retirés" in act(agent, "undo")


def test_programs_hear_of_what_came_and_went(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL + ZOE, calendar="prive")
    storage = Stores(config, lambda *_told: None).home(beaune.id, beaune.agent.id).storage

    def changed(token: str) -> tuple[str, int]:
        with storage.acquire_lock("w"):
            book = collection_at(storage, f"/{beaune.agent.id}/contacts/")
            after, names = book.sync(token)
            return after, len(list(names))

    token, _ = changed("")
    act(agent, "take")
    token, came = changed(token)
    act(agent, "undo")
    token, went = changed(token)
    assert (came, went) == (2, 2) and changed(token)[1] == 0


def test_an_agenda_comes_from_a_file_and_goes_into_one(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    text = event("e-1", "Conseil municipal") + event("e-2", "Sans jour").replace(
        "DTSTART:20261203T090000Z\r\n", ""
    )
    told = bring(agent, text, kind="agenda")
    assert "1 nouveau rendez-vous" in told and "ligne 15 du fichier : sans jour" in told
    assert "Ce n’est pas un fichier d’agenda" in bring(agent, PAUL, kind="agenda")
    assert "1 rendez-vous est ajouté" in act(agent, "take", "agenda")
    assert "Conseil municipal" in text_of(agent.get("/agenda/?mois=2026-12"))
    given = agent.get("/agenda/commun.ics")
    assert given["Content-Type"] == "text/calendar; charset=utf-8"
    assert given.content.decode().count("BEGIN:VEVENT") == 1 and "UID:e-1" in given.content.decode()
    assert "1 y est déjà" in bring(portal_client(beaune.colleague_membership), given.content, kind="agenda")
    # One thing: another program gives it another UID.
    assert "1 y est déjà" in bring(agent, event("autre", "CONSEIL MUNICIPAL"), kind="agenda")


def test_an_empty_book_gives_no_file(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    for address in ("/contacts/prive.vcf", "/agenda/prive.ics"):
        assert "encore rien à télécharger" in text_of(agent.get(address, follow=True))


def test_an_elu_reads_what_all_share_and_a_dpo_does_not(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL)
    act(agent, "take")
    for role, status in (("elu", 200), ("dpo", 404)):
        client = portal_client(member(beaune, role))
        assert client.get("/contacts/commun.vcf").status_code == status
        assert client.get("/agenda/commun.ics", follow=True).status_code == status
        assert 'value="commun"' not in shown(client)
        for kind in ("contacts", "agenda"):
            sent = {"calendar": "commun", "file": SimpleUploadedFile("f", ZOE.encode())}
            assert client.post(f"/{kind}/fichier/", sent).status_code == 403
        assert "1 nouveau contact" in bring(client, ZOE, calendar="prive")
        assert "1 contact est ajouté" in act(client, "take") and "Zoé Léger" in names(client)
        act(client, "undo")


def test_who_writes_no_more_takes_nothing_in_nor_out(beaune: Commune) -> None:
    colleague = portal_client(member(beaune, "agent"))
    bring(colleague, PAUL)
    which = waiting(colleague)
    elu = portal_client(member(beaune, "elu"))
    assert elu.post("/contacts/fichier/", {"id": which, "take": "1"}).status_code == 403
    again = portal_client(member(beaune, "agent"))
    again.post("/contacts/fichier/", {"id": which, "take": "1"})
    elu = portal_client(member(beaune, "elu"))
    assert elu.post("/contacts/fichier/", {"id": which}).status_code == 403
    assert names(elu) == ["Paul Dupont"]


def test_another_commune_and_another_person_reach_no_file_and_no_book(
    beaune: Commune, nuits: Commune
) -> None:
    agent = portal_client(beaune.agent_membership)
    bring(agent, PAUL)
    which = waiting(agent)
    for membership in (nuits.agent_membership, beaune.colleague_membership):
        stranger = portal_client(membership)
        assert "Paul Dupont" not in shown(stranger) and which not in shown(stranger)
        for word in ("take", "undo"):
            answer = stranger.post("/contacts/fichier/", {"id": which, word: "1"}, follow=True)
            assert "Ce fichier n’attend plus ici" in text_of(answer)
    act(agent, "take")
    bring(agent, event("e-1", "Conseil"), kind="agenda")
    act(agent, "take", "agenda")
    stranger = portal_client(nuits.agent_membership)
    assert "Paul Dupont" not in text_of(stranger.get("/contacts/commun.vcf", follow=True))
    assert "Conseil" not in text_of(stranger.get("/agenda/commun.ics"))
    assert "1 nouveau contact" in bring(stranger, PAUL)  # theirs does not know of it


def test_a_stranger_is_asked_to_sign_in() -> None:
    client = Client(headers={"X-Beffroi-Listener": "portal"})
    for path in ("/contacts/fichier/", "/contacts/commun.vcf", "/agenda/fichier/", "/agenda/prive.ics"):
        answer = client.get(path)
        assert answer.status_code == 302 and answer["Location"].startswith("/connexion/")


def test_a_grant_opens_what_it_names_and_no_more(beaune: Commune, config: Config) -> None:
    ask = partial(asking.Asking, config, person_id=beaune.agent.id, collectivite_id=beaune.id)
    file = wire_bringing.Brought("contacts", "shared", PAUL.encode())
    with pytest.raises(NotAllowed):
        ask(shared=True, write=False).bring(file)
    with pytest.raises(NotFound):
        ask(shared=False, write=True).bring(file)
    with pytest.raises(NotFound):
        ask(shared=False, write=False).give(wire_bringing.Given("contacts", "shared"))
    with pytest.raises(NotFound):
        ask(shared=True, write=True).give(wire_bringing.Given("contacts", "handed"))
    told = ask(shared=True, write=True).bring(file)
    with pytest.raises(NotAllowed):
        ask(shared=True, write=False).take_in(wire_bringing.Which("contacts", told.id))
    with pytest.raises(NotFound):
        ask(shared=True, write=True).take_in(wire_bringing.Which("agenda", told.id))


@pytest.mark.parametrize("is_another", [False, True])
def test_who_takes_a_file_out_or_brings_another_while_one_comes_in_has_what_they_did(
    beaune: Commune, config: Config, tmp_path: Path, is_another: bool
) -> None:
    stores = Stores(replace(config, state=tmp_path), lambda *_more: None)
    storage = stores.home(beaune.id, beaune.agent.id).storage
    assert isinstance(storage, Storage)
    home = homes.folder(replace(config, state=tmp_path), beaune.id) / homes.ROOT / beaune.agent.id
    path = f"/{beaune.agent.id}/{homes.CONTACTS}/"

    def brought(data: str) -> wire_bringing.File:
        asked = wire_bringing.Brought("contacts", "own", data.encode())
        return bringing.look(storage, home, path, asked, lambda _bytes: None)

    first = brought(PAUL + ZOE)
    which = wire_bringing.Which("contacts", first.id)

    locked = storage.acquire_lock
    turns: list[str] = []  # the lock is free between what is written down and the first entries

    @contextmanager
    def locking(mode: str, *more: object) -> Iterator[None]:
        turns.append(mode)
        if len(turns) == 2:
            storage.acquire_lock = locked
            if is_another:
                brought(card("Une autre"))
            else:
                bringing.take_out(storage, home, path, which)
        with locked(mode, *more):
            yield

    storage.acquire_lock = locking
    with pytest.raises(NotFound):
        bringing.take_in(storage, home, path, which, lambda _coming, _going: None)
    told = bringing.last(home, "contacts")
    assert told.names == (["Une autre"] if is_another else [])
    assert not [one for one in (home / homes.CONTACTS).iterdir() if one.suffix == ".vcf"]
