"""The page Agenda over the real process ``calendars``: what comes, simple entries, whose they are; app passwords."""

from __future__ import annotations

import re
import shutil
import time
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from urllib.parse import quote

import msgspec
import pytest
from beffroi.core.identity.models import AppPassword
from beffroi.core.planes import tokens
from beffroi.core.planes.tokens import make_grant
from beffroi.drive.calendars import asking, entries, homes, items, wire
from beffroi.drive.calendars.store import Stores
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import NotAllowed, NotFound, TooLarge, Unavailable
from beffroi.lib.unix_http import UnixConnection
from django.template.loader import render_to_string
from django.test import Client
from django.utils import timezone

from tests.calendar_pages import full, member, no_room, portal, process, stored_entry
from tests.conftest import PASSWORD, Commune
from tests.fixtures_calendars import event
from tests.fixtures_portal import no_door, own_mailbox, portal_client

__all__ = ["full", "no_door", "portal", "process"]
pytestmark = pytest.mark.usefixtures("database")
MONTH = "2030-05"
CONSEIL = {
    "title": "Conseil municipal",
    "day": "2030-05-14",
    "begin": "18:30",
    "end": "20:00",
    "place": "Salle des fêtes",
    "calendar": "commun",
}


def shown(client: Client, month: str = MONTH) -> str:
    answer = client.get(f"/agenda/?mois={month}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def add(client: Client, **more: str) -> None:
    answer = client.post("/agenda/ajouter/", {**CONSEIL, **more})
    assert answer.status_code == 302, answer.content.decode()


def path_of(client: Client, month: str = MONTH) -> str:
    """The address of the first entry that may be changed."""
    found = re.search(r'href="(/agenda/(?:commun|prive)/[^"]+?/)"', shown(client, month))
    assert found is not None
    return found[1]


def test_what_all_share_is_seen_by_all_and_what_is_private_by_oneself(beaune: Commune) -> None:
    agent, colleague = portal_client(beaune.agent_membership), portal_client(beaune.colleague_membership)
    add(agent)
    add(agent, title="Dentiste", calendar="prive", place="")
    for text in (
        "Conseil municipal",
        "Salle des fêtes",
        "18\u00a0h\u00a030 – 20\u00a0h\u00a000",
        "Mardi 14 mai",
        "Dentiste",
    ):
        assert text in shown(agent)
    seen = shown(colleague)
    assert "Conseil municipal" in seen and "Dentiste" not in seen
    assert "Conseil municipal" not in shown(agent, "2030-06")


def test_an_entry_is_changed_and_deleted_and_keeps_what_a_program_noted(
    beaune: Commune, config: Config
) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    path = path_of(agent)
    stored = stored_entry(config, beaune)
    stored.write_bytes(stored.read_bytes().replace(b"END:VEVENT", b"X-NOTE:gardee\r\nEND:VEVENT"))
    form = agent.get(path).content.decode()
    etag = re.search(r'name="etag" value="([^"]+)"', form)
    assert etag is not None and 'value="18:30"' in form
    sent = {**CONSEIL, "begin": "19:00", "end": "21:00", "etag": etag[1].replace("&quot;", '"')}
    assert agent.post(path, sent).status_code == 302
    assert "19\u00a0h\u00a000 – 21\u00a0h\u00a000" in shown(agent)
    assert b"X-NOTE:gardee" in stored.read_bytes()
    # Whoever still has the former page open overwrites nothing.
    late = agent.post(path, {**sent, "title": "Ancien"})
    assert late.status_code == 409 and "Ancien" not in shown(agent)
    page = agent.get(path + "supprimer/").content.decode()
    etag = re.search(r'name="etag" value="([^"]+)"', page)
    assert etag is not None and "Supprimer « Conseil municipal »" in page.replace("\xa0", " ")
    assert agent.post(path + "supprimer/", {"etag": "x"}).status_code == 409
    assert agent.post(path + "supprimer/", {"etag": etag[1].replace("&quot;", '"')}).status_code == 302
    assert not stored.exists()


def test_who_deletes_or_renounces_stays_in_the_month_where_it_was(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    path, month = path_of(agent), f"/agenda/?mois={MONTH}"
    assert f'href="{month}">Renoncer' in agent.get(path).content.decode()
    page = agent.get(path + "supprimer/").content.decode()
    assert f'href="{month}">Garder' in page
    etag = re.search(r'name="etag" value="([^"]+)"', page)
    assert etag is not None
    sent = {"etag": etag[1].replace("&quot;", '"')}
    assert agent.post(path + "supprimer/", sent)["Location"] == month
    assert agent.post("/agenda/annuler/", sent)["Location"] == month
    assert "Conseil municipal" in shown(agent)
    add(agent, day=timezone.localdate(clock.now()).isoformat(), title="Aujourd’hui")
    path = path_of(agent, f"{timezone.localdate(clock.now()):%Y-%m}")
    assert 'href="/agenda/">Garder' in agent.get(path + "supprimer/").content.decode()


def test_how_many_guests_answered_what_is_told(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    stored = stored_entry(config, beaune)
    answers = ("ACCEPTED", "TENTATIVE", "DECLINED", "DECLINED", "NEEDS-ACTION")
    guests = "".join(f"ATTENDEE;PARTSTAT={one}:mailto:g{n}@x.test\r\n" for n, one in enumerate(answers))
    stored.write_bytes(stored.read_bytes().replace(b"END:VEVENT", guests.encode() + b"END:VEVENT"))
    told = " ".join(shown(agent).split())
    assert "5 invités, 1 vient, 1 viendra peut-être, 2 ne viennent pas" in told


def test_days_hours_and_their_ends_are_told(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent, title="Fête", begin="", end="", last="2030-05-16")
    add(agent, title="Sans fin", begin="08:00", end="")
    add(agent, title="Pont", day="2030-04-29", begin="", end="", last="2030-05-02")
    told = shown(agent).replace("\xa0", " ")
    assert "jusqu’au 16 mai" in told and "8 h 00 – 9 h 00" in told
    # It began in April, and stands on the first day of May too.
    assert "Mercredi 1er mai" in told and "jusqu’au 2 mai" in told
    # A day says what goes on besides its own entries.
    assert "En cours" not in told
    add(agent, title="Marché", day="2030-05-15")
    add(agent, title="Élections", day="2030-05-17")
    told = " ".join(shown(agent).replace("\xa0", " ").split())
    assert told.count("En cours : Fête (jusqu’au 16 mai) </p>") == told.count("En cours") == 1
    assert told.index("Mercredi 15 mai") < told.index("En cours") < told.index("Marché")


def test_what_was_typed_wrong_is_said_beside_its_field(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    for field, value, words in (
        ("title", "", "Donnez un titre"),
        ("title", "x" * 201, "trop long"),
        ("place", "x" * 201, "trop long"),
        ("day", "demain", "Donnez un jour"),
        ("day", "0001-01-01", "donnez un jour de ces années-là"),
        ("begin", "18h", "Donnez une heure"),
        ("begin", "", "Donnez aussi l’heure de début"),
        ("end", "17:00", "La fin est avant le début"),
        ("last", "2030-05-01", "La fin est avant le début"),
        ("last", "2032-05-01", "un an au plus"),
    ):
        answer = agent.post("/agenda/ajouter/", {**CONSEIL, field: value})
        assert answer.status_code == 400, (field, value)
        assert words in answer.content.decode(), (field, value)
    assert "Conseil" not in shown(agent)
    for month in ("2030-13", "x", "9999-01"):
        assert agent.get(f"/agenda/?mois={month}").status_code == 404


def test_an_entry_goes_as_far_as_the_page_shows_months(beaune: Commune) -> None:
    agent, year = portal_client(beaune.agent_membership), timezone.localdate(clock.now()).year
    for last, further in ((year - 5, year - 6), (year + 10, year + 11)):
        answer = agent.post("/agenda/ajouter/", {**CONSEIL, "day": f"{further}-06-14"})
        assert answer.status_code == 400
        assert f"de {year - 5} à {year + 10}" in answer.content.decode()
        answer = agent.post("/agenda/ajouter/", {**CONSEIL, "day": f"{last}-06-14"}, follow=True)
        assert answer.status_code == 200 and "Conseil municipal" in answer.content.decode()
    # Other writings of a day than the browser's are days too.
    answer = agent.post("/agenda/ajouter/", {**CONSEIL, "day": "20300514"}, follow=True)
    assert answer.status_code == 200 and "Conseil municipal" in answer.content.decode()
    # No button leads further than there is a page.
    first, final = shown(agent, f"{year - 5}-01"), shown(agent, f"{year + 10}-12")
    assert "Mois précédent" not in first and "Mois suivant" in first
    assert "Mois suivant" not in final and "Mois précédent" in final


def test_what_repeats_or_invites_is_shown_and_not_changed_here(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    shown(agent)  # makes the home
    place = homes.folder(config, beaune.id) / homes.ROOT / beaune.agent.id / homes.AGENDA
    for name, more in (
        ("marche", "RRULE:FREQ=WEEKLY"),
        ("reunion", "ORGANIZER:mailto:prefecture@example.org"),
        ("bizarre", "RRULE:FREQ=YEARLY;UNTIL=20200101T000000Z"),
    ):
        (place / f"{name}.ics").write_text(
            event(name, name.capitalize(), starts="20300503T080000", more=more)
        )
    told = shown(agent)
    assert told.count("Marche") >= 5 and "Se répète" in told and "Reunion" in told
    # Without a zone it is local time.
    assert "10\u00a0h\u00a000" not in told and "8\u00a0h\u00a000 – 9\u00a0h\u00a000" in told
    assert "/agenda/prive/" not in told
    for name in ("marche", "reunion"):
        assert agent.get(f"/agenda/prive/{name}.ics/").status_code == 409
        assert agent.post(f"/agenda/prive/{name}.ics/supprimer/", {"etag": "x"}).status_code == 409
        assert (place / f"{name}.ics").exists()


def test_what_a_program_called_off_says_so(beaune: Commune, config: Config) -> None:
    """Thunderbird and Nextcloud give an entry the state "cancelled"; it stays in the calendar."""
    agent = portal_client(beaune.agent_membership)
    add(agent)
    assert "Annulé" not in shown(agent)
    stored = stored_entry(config, beaune)
    stored.write_bytes(stored.read_bytes().replace(b"END:VEVENT", b"STATUS:CANCELLED\r\nEND:VEVENT"))
    assert '<span class="tag warn">Annulé</span>' in shown(agent)


def test_what_is_over_this_month_is_one_press_away(beaune: Commune, monkeypatch: pytest.MonkeyPatch) -> None:
    # The process calendars has a clock of its own, for which grants of the shifted one would be of one that ran ahead.
    monkeypatch.setattr(tokens, "clock", SimpleNamespace(epoch_s=lambda: int(time.time())))
    agent, now = portal_client(beaune.agent_membership), timezone.localtime(clock.now())
    middle = (now.replace(day=1, hour=12) + timedelta(days=46)).replace(day=15)
    with clock.shifted((middle - now).total_seconds()):
        agent = portal_client(beaune.agent_membership)
        for title, day in (("Passé", 14), ("Ce matin", 15), ("À venir", 16)):
            add(agent, title=title, day=middle.strftime(f"%Y-%m-{day}"), begin="08:00", end="")
        comes = agent.get("/agenda/").content.decode()
        assert "Passé" not in comes and "Ce matin" in comes and "À venir" in comes
        address = re.search(r'href="([?]mois=[^"]+)">Voir aussi ce qui est passé', comes)
        assert address is not None
        whole = agent.get(f"/agenda/{address[1]}").content.decode()
        assert "Passé" in whole and "Ce matin" in whole and "Aujourd’hui" in whole
        # Whoever notes what was yesterday sees it at once.
        answer = agent.post("/agenda/ajouter/", CONSEIL | {"day": middle.strftime("%Y-%m-13")}, follow=True)
        assert "Conseil municipal" in answer.content.decode()


def test_where_entries_are_missing_the_page_says_so_and_never_that_there_are_none(
    beaune: Commune, config: Config
) -> None:
    agent = portal_client(beaune.agent_membership)
    assert "Rien de prévu ce mois-là" in shown(agent)
    place = homes.folder(config, beaune.id) / homes.ROOT / beaune.agent.id / homes.AGENDA
    for number in range(17):  # 527 in a month of 31 days
        daily = event(f"d{number}", "Ronde", starts="20300501T080000", more="RRULE:FREQ=DAILY")
        (place / f"d{number}.ics").write_text(daily)
    told = shown(agent)
    assert "il en manque ici" in told and told.count("<strong>Ronde</strong>") == 500
    bare = render_to_string("portal/agenda.html", {"days": [], "more": True, "present": True})
    assert "il en manque ici" in bare and "Rien de prévu" not in bare


def test_what_was_answered_is_one_line_and_is_not_asked_again_by_the_shared_calendar(
    beaune: Commune, config: Config
) -> None:
    mine = own_mailbox(beaune).address
    agent, home = portal_client(beaune.agent_membership), homes.folder(config, beaune.id) / homes.ROOT

    def invited(answer: str) -> str:
        guest = f"ORGANIZER:mailto:dgs@beaune.fr\r\nATTENDEE;PARTSTAT={answer}:mailto:{mine}"
        return event("finances", "Finances", starts="20300503T080000Z", more=guest)

    shown(agent)  # makes the home
    (home / homes.SHARED_HOME / homes.AGENDA / "finances.ics").write_text(invited("NEEDS-ACTION"))
    assert "Sans réponse de votre part" in shown(agent)
    (home / beaune.agent.id / homes.AGENDA / "finances.ics").write_text(invited("ACCEPTED"))
    told = shown(agent)
    assert told.count("<strong>Finances</strong>") == 1 and "Sans réponse" not in told
    (home / beaune.agent.id / homes.AGENDA / "finances.ics").write_text(invited("TENTATIVE"))
    told = shown(agent)
    assert told.count("<strong>Finances</strong>") == 1 and "Mairie" in told and "Peut-être" in told
    (home / homes.SHARED_HOME / homes.AGENDA / "finances.ics").unlink()
    told = shown(agent)
    assert told.count("<strong>Finances</strong>") == 1 and "Peut-être" in told


def test_who_was_not_told_that_it_is_off_is_named(beaune: Commune) -> None:
    """No mail leaves here: a mailbox without its server."""
    own_mailbox(beaune)
    agent = portal_client(beaune.agent_membership)
    said = agent.post(
        "/agenda/ajouter/", {**CONSEIL, "guests": "maire@nuits.test"}, follow=True
    ).content.decode()
    assert "Recommencez dans quelques minutes" in said
    gone = path_of(agent) + "supprimer/"
    etag = re.search(r'name="etag" value="([^"]+)"', agent.get(gone).content.decode())
    assert etag is not None
    said = agent.post(gone, {"etag": etag[1].replace("&quot;", '"')}, follow=True).content.decode()
    assert "Prévenez vous-même maire@nuits.test." in said and "Recommencez" not in said


def test_an_elu_reads_the_shared_calendar_and_a_dpo_does_not(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    path = path_of(agent)
    elu = portal_client(member(beaune, "elu"))
    assert "Conseil municipal" in shown(elu) and path not in shown(elu)
    for address, data in (
        (path, CONSEIL),
        (path + "supprimer/", {"etag": "x"}),
        ("/agenda/ajouter/", CONSEIL),
    ):
        assert elu.post(address, data).status_code == 403
    add(elu, title="À moi", calendar="prive")
    dpo = portal_client(member(beaune, "dpo"))
    assert "Conseil municipal" not in shown(dpo)
    assert dpo.get(path).status_code == 404
    assert dpo.post("/agenda/ajouter/", CONSEIL).status_code == 403


def test_another_commune_and_another_persons_entry_are_no_such_page(beaune: Commune, nuits: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    shared = path_of(agent)
    add(agent, title="Dentiste", calendar="prive", day="2030-07-01")
    private = path_of(agent, "2030-07")
    strangers = [(nuits.agent_membership, one) for one in (shared, private)]
    for membership, path in [*strangers, (beaune.colleague_membership, private)]:
        client = portal_client(membership)
        assert "Conseil" not in shown(portal_client(nuits.agent_membership))
        for address in (path, path + "supprimer/"):
            absent = re.sub(r"evt_\w+", "evt_" + "0" * 26, address)
            for method in ("get", "post"):
                data = {} if method == "get" else {**CONSEIL, "etag": "x"}
                theirs, nobodys = (getattr(client, method)(one, data) for one in (address, absent))
                assert theirs.status_code == nobodys.status_code
                assert theirs.status_code in (404, 409)
                assert (
                    "Dentiste" not in theirs.content.decode()
                    and "Conseil municipal</h1>" not in theirs.content.decode()
                )
    assert "Conseil municipal" in shown(agent) and "Dentiste" in shown(agent, "2030-07")


def test_what_was_typed_stays_when_the_entry_was_deleted_meanwhile(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    path = path_of(agent)
    etag = agent.get(path).context["form"].etag
    assert agent.post(path + "supprimer/", {"etag": etag}).status_code == 302
    answer = agent.post(path, {**CONSEIL, "place": "Salle du premier étage", "etag": etag})
    told = answer.content.decode()
    assert answer.status_code == 404 and "ajoutez-le de nouveau" in told
    assert 'value="Salle du premier étage"' in told and "Conseil municipal" not in shown(agent)


def test_a_calendar_that_a_phone_deleted_is_there_again_and_empty(beaune: Commune, config: Config) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    add(agent, title="Dentiste", calendar="prive", place="")
    home = homes.folder(config, beaune.id) / homes.ROOT / beaune.agent.id
    for one in (homes.AGENDA, homes.CONTACTS):
        shutil.rmtree(home / one)
    assert agent.get("/contacts/").status_code == 200
    assert "Conseil municipal" in shown(agent) and "Dentiste" not in shown(agent)
    add(agent, title="Fleuriste", calendar="prive", place="")
    assert "Fleuriste" in shown(agent)


def test_names_that_leave_the_calendar_are_no_entries(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    shown(agent)
    for name in ("..", ".Radicale.props", "%2e%2e", "a\\b", "x" * 300):
        assert agent.get(f"/agenda/prive/{quote(name)}/").status_code == 404


def test_a_stranger_is_asked_to_sign_in(beaune: Commune) -> None:
    for path in ("/agenda/", "/agenda/ajouter/", "/agenda/commun/x.ics/", "/agenda/commun/x.ics/supprimer/"):
        for method in ("get", "post"):
            answer = getattr(Client(headers={"X-Beffroi-Listener": "portal"}), method)(path)
            if (path, method) == ("/agenda/", "post"):
                assert answer.status_code == 405
            else:
                assert answer.status_code == 302 and answer["Location"].startswith("/connexion/")


def test_a_grant_opens_what_it_names_and_no_more(beaune: Commune, config: Config) -> None:
    now = clock.now()
    whole = wire.Range(now, now + timedelta(days=1))

    ask = partial(asking.Asking, config, person_id=beaune.agent.id, collectivite_id=beaune.id)
    draft = wire.Draft("shared", "", "", "Titre", "", now, now + timedelta(hours=1), all_day=False)
    with pytest.raises(NotAllowed):
        ask(shared=True, write=False).save(draft)
    with pytest.raises(NotFound):
        ask(shared=False, write=True).save(draft)
    assert ask(shared=True, write=True).save(draft).name
    assert ask(shared=False, write=False).list(whole).entries == []
    # A browser's grant for live pages, and a late one, open nothing.
    key = config.secret("live.key")
    for text in (
        make_grant(key, subject_id=beaune.agent.id, collectivite_id=beaune.id, paths=("/live",)),
        make_grant(key, subject_id=beaune.agent.id, collectivite_id=beaune.id, paths=(wire.OWN,), ttl_s=-1),
        make_grant(b"x" * 32, subject_id=beaune.agent.id, collectivite_id=beaune.id, paths=(wire.OWN,)),
        make_grant(key, subject_id="adm_1", collectivite_id=None, paths=(wire.OWN,)),
        "",
    ):
        connection = UnixConnection(config.run / "calendars.sock", timeout_s=10)
        connection.request("POST", "/portal/list", headers={"Authorization": f"Bearer {text}"})
        answer = connection.getresponse()
        assert answer.status == 403, text
        assert b"live.grant_refused" in answer.read()
        connection.close()


@pytest.mark.usefixtures("full")
def test_an_entry_that_finds_no_room_keeps_what_was_typed_and_says_what_to_do(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    answer = agent.post("/agenda/ajouter/", CONSEIL)
    page = answer.content.decode()
    assert answer.status_code == 409 and "Il n’y a plus de place" in page and "videz la corbeille" in page
    assert 'value="Conseil municipal"' in page
    assert "Conseil municipal" not in shown(agent)


def test_what_shrinks_is_changed_where_there_is_no_room(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent, title="Conseil municipal extraordinaire")
    path = path_of(agent)
    etag = re.search(r'name="etag" value="([^"]+)"', agent.get(path).content.decode())
    assert etag is not None
    with no_room(beaune):
        sent = {**CONSEIL, "title": "Conseil court", "etag": etag[1].replace("&quot;", '"')}
        assert agent.post(path, sent).status_code == 302
    assert "Conseil court" in shown(agent)


def test_an_entry_takes_the_room_of_what_it_is(
    beaune: Commune, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Stores(config, lambda *_: None).home(beaune.id, beaune.agent.id).storage
    place, now = f"/{beaune.agent.id}/{homes.AGENDA}/", clock.now()
    guests = [f"guest{number}@beaune.test" for number in range(wire.MAX_GUESTS)]
    draft = wire.Draft(
        "own", "", "", "Titre", "", now, now + timedelta(hours=1), False, guests, ["me@beaune.test"]
    )
    grown: list[int] = []
    name = entries.save(storage, place, draft, grown.append).name
    stored = homes.folder(config, beaune.id) / homes.ROOT / place.strip("/") / name
    assert grown == [stored.stat().st_size] and grown[0] > 4000
    etag = entries.get(storage, "own", place, name, draft.mine).etag
    entries.save(
        storage, place, msgspec.structs.replace(draft, name=name, etag=etag, guests=[]), grown.append
    )
    assert sum(grown) == stored.stat().st_size < 1000
    # As many as a program may store, and what is there can still be changed.
    monkeypatch.setattr(items, "MAX_ITEMS", 1)
    with pytest.raises(TooLarge):
        entries.save(storage, place, draft, grown.append)
    etag = entries.get(storage, "own", place, name).etag
    entries.save(
        storage, place, msgspec.structs.replace(draft, name=name, etag=etag, guests=[]), grown.append
    )


def test_when_calendars_is_away_the_page_says_so(beaune: Commune, config: Config) -> None:
    socket = config.run / "calendars.sock"
    aside = socket.with_suffix(".aside")
    socket.rename(aside)
    try:
        answer = portal_client(beaune.agent_membership).get("/agenda/")
        assert answer.status_code == 503
        assert Unavailable.code in answer.content.decode() or "ne répond pas" in answer.content.decode()
    finally:
        aside.rename(socket)


def test_an_app_password_for_dav_is_made_after_a_step_up_and_shown_with_its_settings(beaune: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    asked = client.get("/acces/mot-de-passe/?pour=dav")
    assert asked.status_code == 302
    confirmed = client.post(asked["Location"], {"password": PASSWORD})
    assert confirmed["Location"].endswith("?pour=dav")
    assert 'name="pour" value="dav"' in client.get(confirmed["Location"]).content.decode()
    answer = client.post("/acces/mot-de-passe/", {"pour": "dav", "label": "Mon téléphone", "scripts": "1"})
    told = answer.content.decode()
    (made,) = AppPassword.objects.all()
    assert made.protocol_set == "dav" and made.membership_id == beaune.agent_membership.id
    assert "agent@beaune.test" in told and "https://localhost" in told
    assert 'href="caldavs://agent%40beaune.test@localhost' in told
    assert "Agenda, contacts et fichiers" in client.get("/acces/").content.decode()


@pytest.mark.parametrize("number", ["²", "9" * 5000, "-1", "x"])
def test_an_entry_is_changed_whatever_number_a_program_gave_it(
    beaune: Commune, config: Config, number: str
) -> None:
    agent = portal_client(beaune.agent_membership)
    add(agent)
    path = path_of(agent)
    stored = stored_entry(config, beaune)
    stored.write_bytes(stored.read_bytes().replace(b"SEQUENCE:0", f"SEQUENCE:{number}".encode()))
    etag = re.search(r'name="etag" value="([^"]+)"', agent.get(path).content.decode())
    assert etag is not None
    sent = {**CONSEIL, "title": "Conseil reporté", "etag": etag[1].replace("&quot;", '"')}
    assert agent.post(path, sent).status_code == 302
    assert "Conseil reporté" in shown(agent) and b"SEQUENCE:0" in stored.read_bytes()
