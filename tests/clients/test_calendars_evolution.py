"""Evolution's data server, by which Evolution and GNOME's Calendar and Contacts live, really runs against calendars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from beffroi.drive import projections

from tests.clients.test_calendars_apps import Program, found, parsed
from tests.desk import desk, needs_desk
from tests.desk_module import Module, Refused, module
from tests.fixtures_calendars import Account, Wall, add_room, at, event, needs_front, wall
from tests.waiting import until

pytestmark = [*needs_front, *needs_desk("/usr/libexec/evolution-source-registry")]
AUXONNE = "col_" + "4" * 26
AGENDA, BOOK = ("calendar", "Mon agenda"), ("book", "Mes contacts")
SHARED, SHARED_BOOK = ("calendar", "Mairie"), ("book", "Contacts de la mairie")
ICS = {"Content_Type": "text/calendar; charset=utf-8"}


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23260) as running:
        yield running


@pytest.fixture(scope="module")
def program(centre: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Module]:
    home, services = tmp_path_factory.mktemp("desk"), ("org.gnome.evolution.dataserver.*",)
    with (
        desk(home, centre.authorities, services, {"GIO_USE_VFS": "local"}) as own,
        module(own, "desk_evolution") as asked,
    ):
        yield asked


class Evolution:
    """One person's account in the program, and the same person's requests elsewhere (``there``)."""

    def __init__(self, program: Module, centre: Wall, account: Account) -> None:
        self.program, self.centre, self.account = program, centre, account
        self.there, self.home = Program(centre, account), account.home
        port = centre.config.portal_port
        program.ask("add", account.person_id, f"{centre.url}/", port, account.login, account.password)
        until(lambda: len(self("found")) >= 6, "its calendars and books")

    def __call__(self, verb: str, *given: Any) -> Any:
        return self.program.ask(verb, self.account.person_id, *given)

    def stored(self, path: str) -> list[str]:
        """Texts of what lies there, by the order of names."""
        tree = self.there.propfind(path, "d:getetag", "1")
        names = sorted(one.text for one in tree.iterfind("{*}response/{*}href") if one.text != path)
        return [self.there.ask("GET", one).body.decode().replace("\r\n ", "") for one in names]

    def sees(self, kind: str, name: str, part: str) -> None:
        """Once it has asked again, there is one that says so; and no more than that says so."""
        self("refresh", kind, name)
        told = (lambda: self("cards", name)) if kind == "book" else (lambda: self("entries", kind, name))
        until(lambda: sum(part in one for one in told()) == 1, f"{part} in {name}")


@pytest.fixture(scope="module")
def agent(program: Module, centre: Wall) -> Evolution:
    return Evolution(program, centre, centre.signs_in("claire.d'arc@auxonne.test", collectivite_id=AUXONNE))


def test_it_finds_everything_and_by_which_address_one_is_invited(agent: Evolution) -> None:
    tasks = [("tasks", "Mairie"), ("tasks", "Mon agenda")]
    assert [tuple(one) for one in agent("found")] == sorted((AGENDA, SHARED, BOOK, SHARED_BOOK, *tasks))
    assert agent("address", "Mon agenda") == agent.account.login
    assert [agent("is_readonly", *one) for one in (AGENDA, SHARED, BOOK, SHARED_BOOK)] == [False] * 4


def test_one_date_of_a_series_moves_and_one_is_left_out(agent: Evolution) -> None:
    at = "TZID=Europe/Paris"
    series = (
        f"BEGIN:VEVENT\r\nUID:conseil\r\nSUMMARY:Conseil\\, salle des fêtes\r\nDTSTART;{at}:20261203T190000\r\n"
        f"DTEND;{at}:20261203T210000\r\nRRULE:FREQ=WEEKLY;COUNT=5\r\nEND:VEVENT\r\n"
    )
    moved = (
        f"BEGIN:VEVENT\r\nUID:conseil\r\nSUMMARY:Conseil\\, en mairie\r\nDTSTART;{at}:20261211T180000\r\n"
        f"DTEND;{at}:20261211T190000\r\nRECURRENCE-ID;{at}:20261210T190000\r\nEND:VEVENT\r\n"
    )
    assert agent("make", *AGENDA, series) == "conseil"
    agent("change", "Mon agenda", moved, "THIS")
    agent("delete", "Mon agenda", "conseil", "20261217T190000")
    (text,) = agent.stored(f"{agent.home}agenda/")
    assert "SUMMARY:Conseil\\, salle des fêtes" in text and "Conseil\\, en mairie" in text
    assert _days_with_something(agent, range(2, 32)) == [3, 11, 24, 31]
    (busy,) = agent("busy", "Mon agenda", 1796252400, 1798930800, agent.account.login)
    assert "20261211T170000Z/20261211T180000Z" in busy and "20261217" not in busy
    agent("delete", "Mon agenda", "conseil")
    assert agent.stored(f"{agent.home}agenda/") == []


def test_somebody_invited_to_two_dates_of_a_series_keeps_both(agent: Evolution) -> None:
    """One entry without the series (RFC 4791, 4.1), as DAVx5 and Apple's clients store it, too."""
    first, second = (
        event("s", f"Comité {day}", starts=f"202612{day}T090000Z", more=f"RECURRENCE-ID:202612{day}T090000Z")
        for day in ("14", "07")
    )
    agent("receive", "Mon agenda", first.replace("VERSION:2.0", "VERSION:2.0\r\nMETHOD:REQUEST", 1))
    (kept,) = agent.stored(f"{agent.home}agenda/")
    assert "RECURRENCE-ID" in kept and "RRULE" not in kept
    one = second[second.index("BEGIN:VEVENT") : second.index("END:VCALENDAR")]
    both = kept.replace("BEGIN:VEVENT", f"{one}BEGIN:VEVENT", 1)
    assert agent.there.ask("PUT", f"{agent.home}agenda/s.ics", both, **ICS).status == 204
    for day in ("14", "07"):
        agent.sees(*AGENDA, f"SUMMARY:Comité {day}")
    assert _days_with_something(agent, range(2, 32)) == [7, 14]
    assert _within(agent, "20280101", "20290101") == []
    expand = '<c:calendar-data><c:expand start="20261201T000000Z" end="20270101T000000Z"/></c:calendar-data>'
    (text,) = _within(agent, "20261201", "20270101", expand)
    assert text.count("BEGIN:VEVENT") == 2
    agent("delete", "Mon agenda", "s")
    assert agent.stored(f"{agent.home}agenda/") == []


def _within(agent: Evolution, start: str, end: str, data: str = "<d:getetag/>") -> list[str]:
    inside = (
        f'<d:prop>{data}</d:prop><c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT">'
        f'<c:time-range start="{start}T000000Z" end="{end}T000000Z"/></c:comp-filter></c:comp-filter></c:filter>'
    )
    tree = parsed(agent.there.report(f"{agent.home}agenda/", "c:calendar-query", inside))
    return found(tree, "d:getetag") + found(tree, "c:calendar-data")


def _days_with_something(agent: Evolution, days: range) -> list[int]:
    """Of December 2026."""
    until_next = {day: f"202612{day + 1:02}" if day < 31 else "20270101" for day in days}
    return [day for day in days if _within(agent, f"202612{day:02}", until_next[day])]


def test_what_another_device_writes_arrives_and_a_conflict_is_asked(agent: Evolution) -> None:
    path = f"{agent.home}mairie-agenda/v%C5%93ux%20%23%25.ics"
    ours = event("v", "Vœux (ici)")
    ours = ours[ours.index("BEGIN:VEVENT") : ours.index("END:VCALENDAR")]
    assert agent.there.ask("PUT", path, event("v", "Vœux"), **ICS).status == 201
    agent.sees(*SHARED, "SUMMARY:Vœux\r\n")
    assert agent.there.ask("PUT", path, event("v", "Vœux du maire"), **ICS).status == 204
    with pytest.raises(Refused, match="out of sync"):
        agent("change", "Mairie", ours, "ALL", True)
    agent.sees(*SHARED, "SUMMARY:Vœux du maire\r\n")
    agent("change", "Mairie", ours)
    assert b"(ici)" in agent.there.ask("GET", path).body
    assert agent.there.ask("DELETE", path).status == 200
    agent("refresh", *SHARED)
    until(lambda: agent("entries", *SHARED) == [], "it is gone here, too")


def test_a_photograph_and_a_list_of_contacts_are_kept(agent: Evolution) -> None:
    photo = "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQ=="
    person = (
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Élise Noël\r\nN:Noël;Élise;;;\r\nEMAIL:elise@auxonne.test\r\n"
        f"{photo}\r\nEND:VCARD"
    )
    names = ("Paul", "Marie")
    members = "".join(
        f"EMAIL;X-EVOLUTION-DEST-NAME={name};X-EVOLUTION-DEST-HTML-MAIL=FALSE:{name}@auxonne.test\r\n"
        for name in names
    )
    people = (
        "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Élus\r\nN:Élus;;;;\r\nX-EVOLUTION-FILE-AS:Élus\r\n"
        f"X-EVOLUTION-LIST:TRUE\r\nX-EVOLUTION-LIST-SHOW-ADDRESSES:FALSE\r\n{members}END:VCARD"
    )
    uids = [agent("make_card", "Mes contacts", one) for one in (person, people)]
    texts = agent.stored(f"{agent.home}contacts/")
    (one,) = (text for text in texts if photo in text)
    (several,) = (text for text in texts if "X-EVOLUTION-LIST:TRUE" in text)
    assert "FN:Élise Noël" in one and all(f"X-EVOLUTION-DEST-NAME={name}" in several for name in names)
    path = f"{agent.home}contacts/{uids[0]}.vcf"
    put = agent.there.ask("PUT", path, one.replace("Élise Noël", "Élise Roy"), Content_Type="text/vcard")
    assert put.status == 204
    agent.sees(*BOOK, "FN:Élise Roy")
    for uid in uids:
        agent("delete_card", "Mes contacts", uid)
    assert agent.stored(f"{agent.home}contacts/") == [] and agent("cards", "Mes contacts") == []


def test_collections_are_made_and_deleted_in_its_window(agent: Evolution) -> None:
    password, url = agent.account.password, f"{agent.centre.url}{agent.home}"
    agent("make_collection", password, f"{url}projet/", "calendar", "Projet d’école")
    agent("make_collection", password, f"{url}livreurs/", "book", "Livreurs")
    listed = agent.there.propfind(agent.home, "d:displayname i:calendar-color", "1")
    assert {"Projet d’école", "Livreurs"} <= set(found(listed, "d:displayname"))
    assert "#ff8800" in found(listed, "i:calendar-color")
    for name in ("projet", "livreurs"):
        agent("delete_collection", password, f"{url}{name}/")
    with pytest.raises(Refused, match="Forbidden"):
        agent("delete_collection", password, f"{url}mairie-agenda/")


def test_an_elu_reads_what_is_shared_and_the_program_offers_no_more(
    program: Module, centre: Wall, agent: Evolution
) -> None:
    agent(
        "make", *SHARED, "BEGIN:VEVENT\r\nUID:lu\r\nDTSTART:20261205T090000Z\r\nSUMMARY:Lu\r\nEND:VEVENT\r\n"
    )
    elu = Evolution(program, centre, centre.signs_in("elu@auxonne.test", collectivite_id=AUXONNE, role="elu"))
    elu.sees(*SHARED, "SUMMARY:Lu")
    assert [elu("is_readonly", *one) for one in (AGENDA, SHARED, BOOK, SHARED_BOOK)] == [False, True] * 2
    task = "BEGIN:VTODO\r\nUID:t\r\nSUMMARY:Relire\r\nDUE;VALUE=DATE:20261210\r\nEND:VTODO\r\n"
    assert elu("make", "tasks", "Mon agenda", task) == "t"
    (text,) = elu.stored(f"{elu.home}agenda/")
    assert "SUMMARY:Relire" in text
    projections.remove_person(centre.config, person_id=elu.account.person_id)
    elu("refresh", *AGENDA)
    until(lambda: elu("asks_for_a_password"), "its password was revoked")


def test_a_room_is_one_more_calendar_which_takes_nothing_twice(program: Module, centre: Wall) -> None:
    account = centre.signs_in("accueil@nolay.test", collectivite_id="col_" + "5" * 26)
    add_room(centre, account, "Salle des fêtes")
    accueil, room = Evolution(program, centre, account), ("calendar", "Salle des fêtes")
    assert ["calendar", "Salle des fêtes"] in accueil("found")
    assert ["tasks", "Salle des fêtes"] not in accueil("found")
    loto, bal, after = (
        entry[entry.index("BEGIN:VEVENT") : entry.index("END:VCALENDAR")]
        for entry in (
            event("loto", "Loto", starts=at("0900")),
            event("bal", "Bal", starts=at("0930")),
            event("repas", "Repas", starts=at("1000")),
        )
    )
    assert accueil("make", *room, loto) == "loto"
    with pytest.raises(Refused):
        accueil("make", *room, bal)
    accueil("make", *room, after)
    path = f"{account.home}mairie-salle-salle-des-fetes/"
    assert [part in text for text, part in zip(accueil.stored(path), ("Loto", "Repas"), strict=True)] == [
        True
    ] * 2
