"""The real Thunderbird with calendars and address books: signed in by its dialogs, seen there and at the server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.desk_thunderbird import Thunderbird, needs_thunderbird, thunderbird
from tests.desk_thunderbird_person import CONFLICT, Person
from tests.fixtures_calendars import Wall, card, event, needs_front, wall
from tests.waiting import until

pytestmark = [*needs_front, *needs_thunderbird]
COMMUNE = "col_" + "4" * 26


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23270) as running:
        yield running


@pytest.fixture(scope="module")
def program(centre: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Thunderbird]:
    with thunderbird(tmp_path_factory.mktemp("desk")) as running:
        running.trust(Path(centre.authorities))
        yield running


@pytest.fixture(scope="module")
def claire(centre: Wall, program: Thunderbird) -> Person:
    """Signed in by the address that the page *Mon accès* shows."""
    person = Person(centre, centre.signs_in("claire@auxonne.test", collectivite_id=COMMUNE), program)
    home = person.account.home
    assert sorted(person.adds_calendars(f"{centre.url}/")) == [
        ["Mairie", f"{home}mairie-agenda/", False],
        ["Mon agenda", f"{home}agenda/", False],
    ]
    assert sorted(person.adds_books(f"{centre.url}/")) == ["Contacts de la mairie", "Mes contacts"]
    return person


def test_any_address_that_a_person_may_know_leads_there(claire: Person) -> None:
    asked = (claire.account.login, claire.account.password)
    calendars = """const found = await cal.provider.detection.detect(...given, false, [], {});
        return [...found.values()].flat().map(one => one.name);"""
    books = """const { CardDAVUtils } = ChromeUtils.importESModule("resource:///modules/CardDAVUtils.sys.mjs");
        return (await CardDAVUtils.detectAddressBooks(...given, false, false)).map(one => one.name);"""
    for place in ("", "/caldav", "/dav/", "/remote.php/dav/principals/users/claire/"):
        found = [sorted(claire.does(one, *asked, claire.centre.url + place)) for one in (calendars, books)]
        assert found == [["Mairie", "Mon agenda"], ["Contacts de la mairie", "Mes contacts"]]


CONSEIL = "\r\n".join((
    "BEGIN:VEVENT", "UID:conseil", "DTSTAMP:20261101T080000Z", "DTSTART;TZID=Europe/Paris:20261203T090000",
    "DTEND;TZID=Europe/Paris:20261203T103000", "SUMMARY:Conseil municipal\\, « œuvre » 🎄",
    "LOCATION:Salle d’honneur\\; 1er étage", "DESCRIPTION:Ordre du jour :\\n1. budget\\, 2. écoles\\n",
    "CATEGORIES:Élus,Réunion", "PRIORITY:1", "CLASS:PRIVATE", "STATUS:TENTATIVE", "TRANSP:TRANSPARENT",
    "URL:https://auxonne.test/ordre?du=jour", "ATTACH:https://auxonne.test/plan", "BEGIN:VALARM", "ACTION:DISPLAY",
    "TRIGGER:-PT15M", "DESCRIPTION:Rappel", "END:VALARM", "END:VEVENT", "",
))  # fmt: skip


def test_an_entry_is_made_changed_moved_to_the_town_hall_and_deleted(claire: Person) -> None:
    claire.does("return adds('agenda/', given[0]);", CONSEIL)
    at_server = claire.stored("agenda/conseil.ics")
    for line in CONSEIL.splitlines():
        if not line.startswith("CATEGORIES"):
            assert line in at_server
    assert "BEGIN:VTIMEZONE" in at_server, "with the rules of its zone"
    told = claire.does("""
        const it = await named("agenda/").getItem("conseil");
        return [it.title, it.descriptionText, it.getCategories(), it.startDate.timezone.tzid, it.getAlarms().length];
    """)
    words = "Ordre du jour :\n1. budget, 2. écoles\n"
    assert told == ["Conseil municipal, « œuvre » 🎄", words, ["Élus", "Réunion"], "Europe/Paris", 1]
    claire.does("""return changes("agenda/", "conseil", item => {
        item.title = "Conseil, déplacé";
        item.alarmLastAck = cal.createDateTime("20261203T074500Z");
        moves(item, 5);
    });""")
    at_server = claire.stored("agenda/conseil.ics")
    for line in ("SUMMARY:Conseil\\, déplacé", "DTSTART;TZID=Europe/Paris:20261203T140000",
                 "DTEND;TZID=Europe/Paris:20261203T153000", "X-MOZ-LASTACK:20261203T074500Z"):  # fmt: skip
        assert line in at_server
    claire.does("""return changes("agenda/", "conseil", item => item.calendar = named("mairie-agenda/"));""")
    at = ("agenda/conseil.ics", "mairie-agenda/conseil.ics")
    until(lambda: [bool(claire.stored(one)) for one in at] == [False, True], "it is moved")
    assert (claire.titles(), list(claire.titles("mairie-agenda/"))) == ({}, ["conseil"])
    claire.does("window.undo();")
    until(claire.titles, "Undo")
    until(lambda: [bool(claire.stored(one)) for one in at] == [True, False], "it is moved back")
    claire.does("return deletes('agenda/', 'conseil');")
    assert not claire.stored("agenda/conseil.ics")
    claire.does("window.undo();")
    claire.shows(conseil="Conseil, déplacé")
    claire.does("return deletes('agenda/', 'conseil');")
    assert (claire.stored("agenda/conseil.ics"), claire.titles()) == ("", {})


def test_single_dates_of_a_series_are_changed_moved_and_left_out(claire: Person) -> None:
    """Of a series with a length, as telephones store it: of a date whose title changes it says length and end."""
    claire.puts("agenda/p.ics", event("p", "Permanence", more="RRULE:FREQ=WEEKLY;COUNT=5"))
    claire.refreshed(p="Permanence")
    claire.does("""
        const calendar = named("agenda/");
        const changesDate = async (number, change) => {
            const old = dates(await calendar.getItem("p"))[number];
            const one = old.clone();
            change(one);
            return does("modify", one, calendar, old);
        };
        await changesDate(1, one => one.title = "Permanence, salle 2");
        await changesDate(2, one => moves(one, 5));
        const gone = dates(await calendar.getItem("p"))[3];
        await changes("agenda/", "p", item => item.recurrenceInfo.removeOccurrenceAt(gone.recurrenceId));
    """)
    at_server = claire.stored("agenda/p.ics")
    assert at_server.count("BEGIN:VEVENT") == 3 and "EXDATE:20261224T090000Z" in at_server
    for line in ("RECURRENCE-ID:20261210T090000Z", "SUMMARY:Permanence\\, salle 2", "DTEND:20261210T100000Z",
                 "RECURRENCE-ID:20261217T090000Z", "DTSTART:20261217T140000Z"):  # fmt: skip
        assert line in at_server
    listed = claire.does("""return dates(await named("agenda/").getItem("p")).map(
        one => [one.title, one.startDate.icalString]);""")
    assert listed == [["Permanence", "20261203T090000Z"], ["Permanence, salle 2", "20261210T090000Z"],
                      ["Permanence", "20261217T140000Z"], ["Permanence", "20261231T090000Z"]]  # fmt: skip
    claire.does("return deletes('agenda/', 'p');")


def test_what_others_changed_comes_also_after_the_server_lost_the_tokens(
    claire: Person, centre: Wall
) -> None:
    claire.puts("agenda/a.ics", event("a", "Née ailleurs"))
    claire.puts("contacts/a.vcf", card("a", "Élise Noël"))
    claire.refreshed(a="Née ailleurs")
    people = "await synchronizes('contacts/'); return book('contacts/').childCards.map(one => one.displayName).sort();"
    assert claire.does(people) == ["Élise Noël"]
    claire.puts("agenda/a.ics", event("a", "Changée ailleurs"))
    claire.refreshed(a="Changée ailleurs")
    for tokens in [*(centre.config.state / "drive" / COMMUNE).rglob("sync-token")]:
        shutil.rmtree(tokens)
    for name, title in (("b", "Bal"), ("c", "Cérémonie")):
        claire.puts(f"agenda/{name}.ics", event(name, title))
        claire.puts(f"contacts/{name}.vcf", card(name, title))
    for path in ("agenda/a.ics", "contacts/a.vcf"):
        claire.server.ask("DELETE", claire.account.home + path)
    claire.refreshed(a="", b="Bal", c="Cérémonie")
    assert claire.does(people) == ["Bal", "Cérémonie"]
    claire.puts("agenda/b.ics", event("b", "Bal, encore"))
    claire.puts("contacts/b.vcf", card("b", "Bal, encore"))
    claire.refreshed(b="Bal, encore")
    assert claire.does(people) == ["Bal, encore", "Cérémonie"], "by the new token"


def test_who_changed_the_same_is_asked_which_one_counts(claire: Person) -> None:
    def answers(button: str) -> None:
        press = "later(() => document.querySelector('dialog').getButton(given[0]).click(), opened);"
        claire.program.within(CONFLICT, press, button)
        claire.program.closed(CONFLICT)

    claire.puts("agenda/x.ics", event("x", "Au départ"))
    claire.refreshed(x="Au départ")
    here = "later(() => changes('agenda/', 'x', item => item.title = given[0]));"
    for there, mine, button, kept in (
        ("Là-bas", "Ici", "cancel", "Là-bas"),
        ("Là-bas encore", "Ici encore", "accept", "Ici encore"),
    ):
        claire.puts("agenda/x.ics", event("x", there))
        claire.does(here, mine)
        answers(button)
        claire.shows(x=kept)
        line = f"SUMMARY:{kept}\r\n"
        until(lambda line=line: line in claire.stored("agenda/x.ics"), "the server has it")
    claire.puts("agenda/x.ics", event("x", "Changée encore"))
    claire.does("later(() => deletes('agenda/', 'x'));")
    answers("accept")
    until(lambda: not claire.stored("agenda/x.ics"), "it is deleted")
    claire.shows(x="")
    claire.puts("agenda/y.ics", event("y", "À la gare"))
    claire.refreshed(y="À la gare")
    # Without the network, both sides; then with it.
    claire.does(
        "Services.io.offline = true; return changes('agenda/', 'y', item => item.title = given[0]);",
        "Au train",
    )
    claire.does("return adds('agenda/', given[0]);", event("train", "Née au train"))
    claire.puts("agenda/y.ics", event("y", "Au bureau"))
    claire.does("Services.io.offline = false;")
    answers("accept")
    claire.shows(y="Au train", train="Née au train")
    until(lambda: claire.stored("agenda/train.ics"), "what was made without the network arrives")
    until(lambda: "SUMMARY:Au train\r\n" in claire.stored("agenda/y.ics"), "and what was changed")


MAEL = (
    "BEGIN:VCARD", "VERSION:4.0", "UID:mael", "FN:Maël Cœur-d’Or", "N:Cœur-d’Or;Maël;;;",
    "EMAIL;PREF=1:mael@auxonne.test", "TEL;TYPE=work;VALUE=TEXT:+33 3 80 00 00 00", "ORG:Mairie d’Auxonne;Écoles",
    "ADR:;;1 rue du Beffroi\\, bât. B;Auxonne;;21130;France", "NOTE:Adjoint\\, écoles\\nle jeudi",
    "BDAY;VALUE=DATE:--0412", "PHOTO;VALUE=URI:data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ==", "END:VCARD", "",
)  # fmt: skip


def test_a_contact_is_made_changed_on_both_sides_and_deleted(claire: Person) -> None:
    path = "contacts/mael.vcf"
    claire.does("book('contacts/').addCard(VCardUtils.vCardToAbCard(given[0]));", "\r\n".join(MAEL))
    shown = """const it = person("contacts/", "mael");
        return [it.displayName, it.primaryEmail, it.photoURL.slice(0, 15),
            it.getProperty("_etag", "")];"""
    until(lambda: claire.does(shown)[-1], "the server has it, and said so")
    assert claire.does(shown)[:3] == ["Maël Cœur-d’Or", "mael@auxonne.test", "data:image/jpeg"]
    stored = claire.stored(path)
    for line in MAEL:
        assert line in stored or line.startswith("PHOTO")
    claire.does("edits('contacts/', 'mael', lines => lines.getFirstEntry('fn').value = 'Maël, adjoint');")
    until(lambda: "FN:Maël\\, adjoint" in claire.stored(path), "it is changed at the server")
    assert claire.stored(path).replace("FN:Maël\\, adjoint", "FN:Maël Cœur-d’Or") == stored
    at_server = claire.server.ask("GET", claire.account.home + path).headers["ETag"]
    until(lambda: claire.does(shown)[-1] == at_server, "it has read what it sent")
    # Without looking what others did: the last one wins.
    claire.puts(path, stored.replace("+33 3 80 00 00 00", "+33 3 80 11 11 11"))
    claire.does("edits('contacts/', 'mael', lines => lines.getFirstEntry('fn').value = 'Maël Dupré');")
    until(lambda: "FN:Maël Dupré" in claire.stored(path), "it is changed at the server")
    assert "+33 3 80 00 00 00" in claire.stored(path)
    claire.does("book('contacts/').deleteCards([person('contacts/', 'mael')]);")
    until(lambda: not claire.stored(path), "it is deleted")


def test_an_elu_reads_what_the_town_hall_shares_and_changes_none_of_it(claire: Person, centre: Wall) -> None:
    elodie = centre.signs_in("élodie@auxonne.test", collectivite_id=COMMUNE, role="elu")
    person = Person(centre, elodie, claire.program)
    claire.does("return adds('mairie-agenda/', given[0]);", event("fete", "Fête du village"))
    claire.puts("mairie-contacts/prefecture.vcf", card("prefecture", "Préfecture"))
    assert sorted(person.adds_calendars(f"{centre.url}/")) == [
        ["Mairie", f"{elodie.home}mairie-agenda/", True],
        ["Mon agenda", f"{elodie.home}agenda/", False],
    ]
    person.adds_books(f"{centre.url}/")
    until(lambda: person.titles("mairie-agenda/"), "the town hall's calendar is read")
    assert (person.titles("mairie-agenda/"), person.titles()) == ({"fete": "Fête du village"}, {})
    kept = "return ['contacts/', 'mairie-contacts/'].map(one => [book(one).readOnly, book(one).childCards.length]);"
    assert person.does(kept) == [[False, 0], [True, 1]]
