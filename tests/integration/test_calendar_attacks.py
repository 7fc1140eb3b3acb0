"""What somebody who may write in a shared calendar can do to others: to their entries nothing, to their time little."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
import shutil
import time
import wsgiref.util
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from beffroi.drive import projections
from beffroi.drive.calendars import app, effort, entries, homes, invitations, wire_invitations
from beffroi.drive.calendars.app import Calendars
from beffroi.drive.sign_ins import MAX_FAILURES
from beffroi.lib import ids
from beffroi.lib.config import Config

from tests import waiting
from tests.fixtures_calendars import card, event
from tests.fixtures_drive import new_config

BEAUNE, NUITS = "col_" + "1" * 26, "col_" + "2" * 26
QUERY = (
    '<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><D:getetag/></D:prop><C:filter>'
    '<C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT">'
    '<C:time-range start="20301201T000000Z" end="20301202T000000Z"/></C:comp-filter></C:comp-filter></C:filter>'
    "</C:calendar-query>"
)


@dataclass
class Person:
    calendars: Calendars
    config: Config
    collectivite_id: str
    role: str

    def __post_init__(self) -> None:
        self.id, self.login, self.password = ids.new_id("per"), secrets.token_hex(4), secrets.token_hex(16)
        row = projections.Row(
            sha256=hashlib.sha256(self.password.encode()).hexdigest(),
            app_password_id=ids.new_id("apw"),
            person_id=self.id,
            membership_id=ids.new_id("mem"),
            collectivite_id=self.collectivite_id,
            role=self.role,
            login=self.login,
            display_name=self.login,
        )
        projections.put(self.config, [row.app_password_id], lambda ids: [row])
        assert self.ask("PROPFIND", self.at(""), HTTP_DEPTH="0")[0] == 207  # the home is made

    def at(self, place: str) -> str:
        return f"/caldav/{self.id}/{place}"

    def ask(self, method: str, path: str, body: str | bytes = "", **headers: str) -> tuple[int, bytes]:
        token = base64.b64encode(f"{self.login}:{self.password}".encode()).decode()
        sent = body.encode() if isinstance(body, str) else body
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "HTTP_AUTHORIZATION": f"Basic {token}",
            "HTTP_HOST": "h",
            "CONTENT_LENGTH": str(len(sent)),
            "wsgi.input": io.BytesIO(sent),
            **headers,
        }
        wsgiref.util.setup_testing_defaults(environ)
        told: list[str] = []
        answer = b"".join(self.calendars(environ, lambda status, headers: told.append(status)))
        return int(told[0][:3]), answer

    def put(self, place: str, text: str) -> None:
        assert self.ask("PUT", self.at(place), text)[0] in (201, 204)

    def names(self, collection: str) -> set[str]:
        home = homes.folder(self.config, self.collectivite_id) / homes.ROOT / self.id
        return {one.name for one in (home / collection).iterdir() if not one.name.startswith(".")}


@pytest.fixture
def calendars(tmp_path: Path) -> Iterator[tuple[Calendars, Config]]:
    config = new_config(tmp_path)
    yield Calendars(config), config


@pytest.fixture
def agent(calendars: tuple[Calendars, Config]) -> Person:
    return Person(*calendars, BEAUNE, "agent")


@pytest.fixture
def elu(calendars: tuple[Calendars, Config]) -> Person:
    return Person(*calendars, BEAUNE, "elu")


def test_a_neighbour_s_old_password_keeps_nobody_out(agent: Person, elu: Person) -> None:
    """Behind one address of a town hall."""
    elu.password, known = "revoked", elu.password
    assert {elu.ask("OPTIONS", "/caldav/")[0] for _ in range(MAX_FAILURES)} == {401}
    assert elu.ask("OPTIONS", "/caldav/")[0] == 429
    assert agent.ask("OPTIONS", "/caldav/")[0] == 200
    elu.password = known
    assert elu.ask("OPTIONS", "/caldav/")[0] == 200


def test_names_in_links_of_another_site_count_for_nobody(elu: Person) -> None:
    elu.password = "revoked"
    for _ in range(MAX_FAILURES + 1):
        assert elu.ask("OPTIONS", "/caldav/", HTTP_SEC_FETCH_SITE="cross-site")[0] == 401


def test_an_entry_is_moved_to_the_town_hall_and_back_by_who_writes_there(agent: Person, elu: Person) -> None:
    """As a Mac or an iPhone does when an entry gets another calendar."""
    agent.put("agenda/conseil.ics", event("conseil", "Conseil"))
    there, back = agent.at("mairie-agenda/conseil.ics"), agent.at("agenda/conseil.ics")
    assert agent.ask("MOVE", back, HTTP_DESTINATION=there)[0] == 201
    assert (
        elu.ask("MOVE", elu.at("mairie-agenda/conseil.ics"), HTTP_DESTINATION=elu.at("agenda/a.ics"))[0]
        == 403
    )
    assert agent.ask("MOVE", there, HTTP_DESTINATION=back)[0] == 201
    assert agent.names("agenda") == {"conseil.ics"}


def test_a_question_that_asks_for_nothing_is_refused(agent: Person) -> None:
    names = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"'
    for question in (
        f"<C:calendar-multiget {names}><D:prop/><D:href/></C:calendar-multiget>",
        f"<C:free-busy-query {names}/>",
    ):
        assert agent.ask("REPORT", agent.at("agenda/"), question)[0] == 400
    for path in ("/caldav/", agent.at(""), agent.at("agenda/")):
        assert agent.ask("PROPFIND", path, '<D:propfind xmlns:D="DAV:"/>')[0] == 400
    for method in ("PROPPATCH", "MKCOL", "MKCALENDAR"):
        assert agent.ask(method, "/caldav/")[0] in (403, 405)


def test_a_question_that_asks_for_more_than_anybody_is_refused(agent: Person) -> None:
    agent.put("agenda/un.ics", event("un", "Un"))
    deep = '<D:propfind xmlns:D="DAV:"><D:prop>' + "<D:a>" * 5000 + "</D:a>" * 5000 + "</D:prop></D:propfind>"
    wide = '<D:propfind xmlns:D="DAV:"><D:prop>' + "<D:a/>" * 5000 + "</D:prop></D:propfind>"
    filters = '<C:comp-filter name="VCALENDAR">' * 2000 + "</C:comp-filter>" * 2000
    nested = re.sub("<C:filter>.*</C:filter>", f"<C:filter>{filters}</C:filter>", QUERY)
    update = '<D:propertyupdate xmlns:D="DAV:"><D:set>' + deep + "</D:set></D:propertyupdate>"
    for method, body in (("PROPFIND", deep), ("PROPFIND", wide), ("REPORT", nested), ("PROPPATCH", update)):
        assert agent.ask(method, agent.at("agenda/"), body, HTTP_DEPTH="1")[0] == 400
    names = "".join(f"<D:href>{agent.at('agenda/')}{number}.ics</D:href>" for number in range(500))
    asked = f'<C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop/>{names}'
    assert agent.ask("REPORT", agent.at("agenda/"), f"{asked}</C:calendar-multiget>")[0] == 207


def test_a_question_about_thousands_of_addresses_ends_for_its_time(
    agent: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effort, "MOST_CPU_S", 0.0)
    names = "".join(f"<D:href>{agent.at('contacts/')}{number}.vcf</D:href>" for number in range(500))
    asked = (
        f'<A:addressbook-multiget xmlns:D="DAV:" xmlns:A="urn:ietf:params:xml:ns:carddav"><D:prop/>{names}'
    )
    assert agent.ask("REPORT", agent.at("contacts/"), f"{asked}</A:addressbook-multiget>")[0] == 507


def test_in_another_encoding_nothing_is_taken_that_is_refused_in_utf_8(agent: Person) -> None:
    """Radicale reads what is no UTF-8 as Latin-1, where a blank may stand within a word, and no XML by its encoding."""
    often = event("often", "À midi", more="RRULE:FREQ=SECOND\xa0LY")
    assert agent.ask("PUT", agent.at("mairie-agenda/often.ics"), often.encode("latin-1"))[0] == 403
    rare = event("rare", "À midi", more="RRULE:FREQ=WEEKLY")
    assert agent.ask("PUT", agent.at("mairie-agenda/rare.ics"), rare.encode("latin-1"))[0] == 201
    assert "À midi" in agent.ask("GET", agent.at("mairie-agenda/rare.ics"))[1].decode()
    far = '<?xml version="1.0" encoding="utf-7"?>' + QUERY.replace("20301201", "99981201")
    assert b"max-date-time" in agent.ask("REPORT", agent.at("mairie-agenda/"), far)[1]


def test_who_deletes_their_own_calendar_has_an_empty_one_with_the_next_question(agent: Person) -> None:
    agent.put("agenda/mien.ics", event("mien", "Le mien"))
    assert agent.ask("DELETE", agent.at("agenda/"))[0] == 200
    agent.put("agenda/neuf.ics", event("neuf", "Le neuf"))
    assert agent.names("agenda") == {"neuf.ics"}


def test_no_entry_is_moved_out_of_what_one_may_only_read_nor_into_another_s(
    calendars: tuple[Calendars, Config], agent: Person, elu: Person
) -> None:
    stranger = Person(*calendars, NUITS, "referent")
    agent.put("mairie-agenda/conseil.ics", event("conseil", "Conseil"))
    agent.put("agenda/mien.ics", event("mien", "Le mien"))
    elu.put("agenda/sien.ics", event("sien", "Le sien"))
    stranger.put("agenda/leur.ics", event("leur", "Le leur"))
    moves = [
        (elu, "mairie-agenda/conseil.ics", elu.at("agenda/pris.ics"), 403),
        (elu, "agenda/sien.ics", elu.at("mairie-agenda/conseil.ics"), 403),
        (elu, "agenda/sien.ics", agent.at("agenda/mien.ics"), 404),
        (elu, "agenda/sien.ics", stranger.at("agenda/leur.ics"), 404),
        (elu, "agenda/sien.ics", "/caldav/mairie/agenda/conseil.ics", 404),
        (elu, "agenda/sien.ics", elu.at("agenda/../../mairie/agenda/conseil.ics"), 404),
        (elu, "agenda/sien.ics", elu.at("mairie-agenda%2f..%2fagenda%2fconseil.ics"), 404),
    ]
    for who, source, target, status in moves:
        assert who.ask("MOVE", who.at(source), HTTP_DESTINATION=target, HTTP_OVERWRITE="T")[0] == status, (
            target
        )
        assert who.ask("COPY", who.at(source), HTTP_DESTINATION=target, HTTP_OVERWRITE="T")[0] == 405
    for path in (
        agent.at("agenda/mien.ics"),
        stranger.at("agenda/leur.ics"),
        "/caldav/mairie/agenda/conseil.ics",
    ):
        for method in ("PUT", "GET", "DELETE", "MOVE"):
            body = event("x", "x") if method == "PUT" else ""
            assert elu.ask(method, path, body, HTTP_DESTINATION=elu.at("agenda/x.ics"))[0] == 404, (
                method,
                path,
            )
    assert elu.ask("PUT", elu.at("mairie-agenda/conseil.ics"), event("conseil", "Pris"))[0] == 403
    assert elu.names("mairie-agenda") == agent.names("mairie-agenda") == {"conseil.ics"}
    assert (elu.names("agenda"), agent.names("agenda")) == ({"sien.ics"}, {"mien.ics"})


@pytest.mark.parametrize(
    "said",
    [
        "//h%2Fcaldav%2F{me}%2Ffull%2Fy.ics%3F/caldav/{me}/agenda/x.ics",
        "http://h%2Fcaldav%2F{me}%2Ffull%2Fy.ics%3F/caldav/{me}/agenda/x.ics",
        "/caldav/{me}/agenda/x%3Fy.ics",
        "/caldav/{me}/agenda/x%23y.ics",
        "/caldav/{me}/agenda/x%3By.ics",
    ],
)
def test_where_an_entry_moves_to_is_read_once(
    agent: Person, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """A collection that is full stays so, whatever way its address is written."""
    assert agent.ask("MKCALENDAR", agent.at("full"))[0] == 201
    agent.put("full/one.ics", event("one", "Un"))
    agent.put("agenda/two.ics", event("two", "Deux"))
    monkeypatch.setattr(app, "MAX_ITEMS", 1)
    agent.ask("DELETE", agent.at("agenda/x.ics"))
    assert agent.ask("MOVE", agent.at("agenda/two.ics"), HTTP_DESTINATION=said.format(me=agent.id))[0] == 404
    assert (agent.names("agenda"), agent.names("full")) == ({"two.ics"}, {"one.ics"})


def test_daily_entries_of_centuries_end_a_question_and_what_lies_near_is_shown(
    agent: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        daily = event(f"d{number}", "Chaque jour", starts="19000101T090000Z", more="RRULE:FREQ=DAILY")
        agent.put(f"mairie-agenda/d{number}.ics", daily)
    near = event("hebdo", "Permanence", starts="20301101T090000Z", more="RRULE:FREQ=WEEKLY")
    agent.put("mairie-agenda/hebdo.ics", near)
    agent.put("mairie-agenda/conseil.ics", event("conseil", "Conseil", starts="20301203T090000Z"))
    store = agent.calendars._stores.home(BEAUNE, agent.id)
    path = f"/{agent.id}/{homes.SHARED_AGENDA}/"

    def titles() -> tuple[set[str], bool]:
        since, until = datetime(2030, 12, 1, tzinfo=UTC), datetime(2030, 12, 9, tzinfo=UTC)
        found = entries.between(store.storage, [("shared", path)], since, until)
        return {one.title for one in found.entries}, found.more

    monkeypatch.setattr(effort, "MOST_CPU_S", 0.5)
    shown, is_more = titles()
    assert is_more and {"Conseil", "Permanence"} <= shown
    status, told = agent.ask("REPORT", agent.at("mairie-agenda/"), QUERY)
    assert (status, told.decode()) == (507, app.TOO_BUSY)
    agent.put("mairie-agenda/encore.ics", event("encore", "Encore"))  # nothing is held
    for number in range(60):
        assert agent.ask("DELETE", agent.at(f"mairie-agenda/d{number}.ics"))[0] == 200
    monkeypatch.setattr(effort, "MOST_CPU_S", 60.0)
    assert titles() == ({"Conseil", "Permanence"}, False)
    assert agent.ask("REPORT", agent.at("mairie-agenda/"), QUERY)[0] == 207


def test_a_collection_that_is_to_be_read_anew_is_read_on_after_the_question_that_ended(
    agent: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a restore: the next question has an answer within the same time."""
    for number in range(60):
        yearly = event(f"d{number}", "Anniversaire", starts="19500101T090000Z", more="RRULE:FREQ=YEARLY")
        agent.put(f"agenda/d{number}.ics", yearly)
    assert agent.ask("REPORT", agent.at("agenda/"), QUERY)[0] == 207
    folder = homes.folder(agent.calendars._config, BEAUNE) / homes.ROOT / agent.id / homes.AGENDA
    cache = folder / ".Radicale.cache" / "item"
    shutil.rmtree(cache)
    monkeypatch.setattr(effort, "MOST_CPU_S", 0.0)
    assert agent.ask("REPORT", agent.at("agenda/"), QUERY)[0] == 507
    waiting.until(lambda: cache.is_dir() and len(list(cache.iterdir())) >= 60, "all entries read")
    waiting.until(lambda: not agent.calendars._warmer._is_running, "the end")


@pytest.mark.parametrize("place", ["contacts/", ""])
def test_a_book_that_is_to_be_read_anew_ends_for_its_time_and_is_read_on(
    agent: Person, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for number in range(30):
        agent.put(f"contacts/c{number}.vcf", card(f"c{number}", "Nom"))
    folder = homes.folder(agent.config, BEAUNE) / homes.ROOT / agent.id / homes.CONTACTS
    cache = folder / ".Radicale.cache" / "item"
    shutil.rmtree(cache)
    monkeypatch.setattr(effort, "MOST_CPU_S", 0.0)
    assert agent.ask("PROPFIND", agent.at(place), HTTP_DEPTH="1")[0] == 507
    waiting.until(lambda: cache.is_dir() and len(list(cache.glob("c*.vcf"))) == 30, "all cards read")
    waiting.until(lambda: not agent.calendars._warmer._is_running, "the end")
    assert agent.ask("PROPFIND", agent.at("contacts/"), HTTP_DEPTH="1")[0] == 207


def test_what_can_be_read_anew_is_not_waited_for_and_a_torn_copy_is_none(
    agent: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut a file that was not synced may be empty."""
    synced: list[Path] = []
    monkeypatch.setattr(
        "radicale.pathutils.fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink())
    )
    agent.put("agenda/un.ics", event("un", "Un"))
    folder = homes.folder(agent.config, BEAUNE) / homes.ROOT / agent.id / homes.AGENDA
    assert folder in synced and not any(
        one.is_relative_to(folder / ".Radicale.cache" / "item") for one in synced
    )
    copy = folder / ".Radicale.cache" / "item" / "un.ics"
    copy.write_bytes(b"")
    status, answer = agent.ask("PROPFIND", agent.at("agenda/"), HTTP_DEPTH="1")
    assert status == 207 and b"un.ics" in answer and copy.stat().st_size


def test_daily_entries_of_centuries_end_the_look_for_what_clashes_with_an_invitation(
    agent: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        daily = event(f"d{number}", "Chaque jour", starts="19000101T090000Z", more="RRULE:FREQ=DAILY")
        agent.put(f"agenda/d{number}.ics", daily)
    agent.put("agenda/conseil.ics", event("conseil", "Conseil", starts="20301203T140000Z"))
    off = event("annule", "Annulé", starts="20301203T140000Z", more="STATUS:CANCELLED")
    agent.put("agenda/annule.ics", off)
    store = agent.calendars._stores.home(BEAUNE, agent.id)
    lines = (
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", "METHOD:REQUEST", "BEGIN:VEVENT", "UID:new@1"),
        *("DTSTAMP:20300101T080000Z", "ORGANIZER:mailto:claire@nuits.test", "DTSTART:20301203T133000Z"),
        *("DTEND:20301203T150000Z", "ATTENDEE:mailto:me@beaune.test", "END:VEVENT", "END:VCALENDAR", ""),
    )
    asked = wire_invitations.Received("\r\n".join(lines), ["me@beaune.test"])
    monkeypatch.setattr(effort, "MOST_CPU_S", 0.3)
    since_s = time.thread_time()
    found = invitations.look(store.storage, [f"/{agent.id}/{homes.AGENDA}/"], asked)
    assert time.thread_time() - since_s < 1.5
    assert (found.state, [one.title for one in found.conflicts]) == ("new", ["Conseil"])


@pytest.mark.parametrize(
    "line",
    ["X" + ";A=1" * 40, "X" + ";A=1,2" * 40, "X;A=" + "1," * 40, "X;" + "A=" * 40, "X" + ";A=1" * 40 + ";:v"],
)
def test_a_line_that_is_none_is_refused_at_once(agent: Person, line: str) -> None:
    since_s = time.thread_time()
    status, _told = agent.ask("PUT", agent.at("agenda/x.ics"), event("x", "Rien", more=line))
    assert status == 400 and time.thread_time() - since_s < 2
    agent.put("agenda/y.ics", event("y", "Après"))


def test_an_entry_that_cannot_be_expanded_keeps_no_question_from_the_others(
    agent: Person, elu: Person
) -> None:
    agent.put("mairie-agenda/conseil.ics", event("conseil", "Conseil"))
    agent.put(
        "mairie-agenda/sans-zone.ics",
        event("a", "Sans zone", starts="20261201T090000", more="RRULE:FREQ=DAILY"),
    )
    other_kind = event("b", "Autre fin", more="DTEND;VALUE=DATE:20261204\r\nRRULE:FREQ=WEEKLY")
    agent.put("mairie-agenda/autre-fin.ics", other_kind.replace("DURATION:PT1H\r\n", ""))
    status, answer = elu.ask("REPORT", elu.at("mairie-agenda/"), expanding("20261203", "20261204"))
    assert status == 207 and b"Conseil" in answer and b"Sans zone" in answer
    status, answer = elu.ask("REPORT", elu.at("mairie-agenda/"), expanding("20251203", "20251204"))
    assert status == 207 and b"SUMMARY" not in answer
    free = free_between("20261203", "20261204")
    status, answer = elu.ask("REPORT", elu.at("mairie-agenda/"), free)
    assert status == 200 and b"20261203T080000Z/20261203T100000Z" in answer  # one after the other
    alarm = "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER;RELATED=END:PT0S\r\nEND:VALARM"
    agent.put("mairie-agenda/autre-fin.ics", other_kind.replace("DURATION:PT1H", alarm))
    agent.put("mairie-agenda/rappel.ics", event("c", "Rappel", more=alarm))
    within = '<C:time-range start="20261201T000000Z" end="20261231T000000Z"/>'
    of_alarms = f'<C:comp-filter name="VALARM">{within}</C:comp-filter>'
    question = re.sub(r"<C:time-range [^>]*>", of_alarms, QUERY)
    status, answer = elu.ask("REPORT", elu.at("mairie-agenda/"), question)
    assert status == 207 and b"rappel.ics" in answer and b"autre-fin.ics" not in answer


def test_added_dates_without_a_rule_are_expanded(agent: Person) -> None:
    agent.put("agenda/dates.ics", event("a", "Dates", more="RDATE:20261205T090000Z,20261207T090000Z"))
    for since, until, dates in (
        ("20261201", "20261231", ["03", "05", "07"]),
        ("20261206", "20261231", ["07"]),
    ):
        answer = agent.ask("REPORT", agent.at("agenda/"), expanding(since, until))[1].decode()
        assert re.findall(r"DTSTART:202612(..)T090000Z", answer) == dates and "RDATE" not in answer


def test_added_dates_with_a_length_of_their_own_are_told_with_it(agent: Person) -> None:
    line = "RDATE;VALUE=PERIOD:20261205T080000Z/PT3H,20261207T130000Z/20261208T090000Z"
    agent.put("agenda/periodes.ics", event("a", "Périodes", more=line))
    folded = agent.ask("GET", agent.at("agenda/periodes.ics"))[1].decode()
    assert f"\r\n{line}\r\n" in folded.replace("\r\n ", "")
    whole = [("20261203T090000Z", "PT1H"), ("20261205T080000Z", "20261205T110000Z")]
    last = ("20261207T130000Z", "20261208T090000Z")
    for since, until, dates in (("20261201", "20261231", [*whole, last]), ("20261208", "20261209", [last])):
        answer = agent.ask("REPORT", agent.at("agenda/"), expanding(since, until))[1].decode()
        told = zip(
            re.findall(r"DTSTART:(\S+)", answer), re.findall(r"(?:DTEND|DURATION):(\S+)", answer), strict=True
        )
        assert list(told) == dates and "RDATE" not in answer
    answer = agent.ask("REPORT", agent.at("agenda/"), free_between("20261208", "20261209"))[1].decode()
    assert "20261208T000000Z/20261208T090000Z" in answer


def test_a_changed_date_is_expanded_where_it_is_by_now(agent: Person) -> None:
    series = event("a", "Garde", more="RRULE:FREQ=WEEKLY;COUNT=3")
    moved = event("a", "Longue", starts="20261211T200000Z", more="RECURRENCE-ID:20261210T090000Z")
    moved = moved.replace("DURATION:PT1H", "DTEND:20261212T060000Z")
    one = moved[moved.index("BEGIN:VEVENT") : moved.index("END:VCALENDAR")]
    agent.put("agenda/garde.ics", series.replace("END:VCALENDAR", one + "END:VCALENDAR"))
    for since, until, dates in (("20261210", "20261211", []), ("20261212", "20261213", ["20261211T200000Z"])):
        answer = agent.ask("REPORT", agent.at("agenda/"), expanding(since, until))[1].decode()
        assert re.findall(r"DTSTART:(\S+)", answer) == dates


def test_what_does_not_repeat_is_told_with_what_is_expanded(agent: Person) -> None:
    agent.put("agenda/seul.ics", event("seul", "Seul"))
    for since, until, said in (("20261201", "20261231", True), ("20270101", "20270201", False)):
        data = f'<C:calendar-data><C:expand start="{since}T000000Z" end="{until}T000000Z"/></C:calendar-data>'
        question = (
            '<C:calendar-multiget xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop>'
            f"{data}</D:prop><D:href>{agent.at('agenda/seul.ics')}</D:href></C:calendar-multiget>"
        )
        status, answer = agent.ask("REPORT", agent.at("agenda/"), question)
        assert status == 207 and (b"SUMMARY:Seul" in answer) is said


def free_between(since: str, until: str) -> str:
    return (
        '<C:free-busy-query xmlns:C="urn:ietf:params:xml:ns:caldav">'
        f'<C:time-range start="{since}T000000Z" end="{until}T000000Z"/></C:free-busy-query>'
    )


def expanding(since: str, until: str) -> str:
    within = f'start="{since}T000000Z" end="{until}T000000Z"/>'
    return (
        '<C:calendar-query xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:prop><C:calendar-data>'
        f'<C:expand {within}</C:calendar-data></D:prop><C:filter><C:comp-filter name="VCALENDAR">'
        f'<C:comp-filter name="VEVENT"><C:time-range {within}</C:comp-filter></C:comp-filter></C:filter>'
        "</C:calendar-query>"
    )
