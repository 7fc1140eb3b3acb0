"""Calendars and contacts as programs of desktops ask for them, which do not run here: their requests, in order.

In our own words. Source: Thunderbird (CalDavCalendar, CalDavRequestHandlers, CardDAVDirectory, CardDAVUtils),
evolution-data-server (e-webdav-discover, e-webdav-session, the backends), CalDav Synchronizer,
as they were in August 2026.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.test_calendars_apps import NAMES, SPACES, Program, found, parsed, program
from tests.fixtures_calendars import Wall, card, event, needs_front, wall

__all__ = ["program"]
pytestmark = needs_front
THUNDERBIRD = {
    "User_Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0"
}
GONE = "http://radicale.org/ns/sync/" + "0" * 64
"""A token that is not known: older than a month, or of before a restored backup."""


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23240) as running:
        yield running


def test_a_book_of_thunderbird_begins_anew_where_its_token_is_none(program: Program) -> None:
    book = f"{program.home}contacts/"
    vcard = {"Content_Type": "text/vcard", **THUNDERBIRD}
    assert program.ask("PUT", f"{book}c.vcf", card("c", "Élise Noël"), **vcard).status == 201
    (token,) = found(program.propfind(book, "d:displayname s:getctag d:sync-token"), "d:sync-token")

    def changed(since: str, **headers: str) -> tuple[int, bytes]:
        inside = (
            f"<d:sync-token>{since}</d:sync-token><d:sync-level>1</d:sync-level>"
            "<d:prop><d:getetag/><r:address-data/></d:prop>"
        )
        answer = program.report(book, "d:sync-collection", inside, **headers)
        return answer.status, answer.body

    assert changed(token, **THUNDERBIRD)[0] == 207
    assert changed(GONE, **THUNDERBIRD)[0] == 400, "all else it takes for a failure, and keeps the token"
    status, body = changed(GONE)
    assert (status, b"valid-sync-token" in body) == (403, True), "others read RFC 6578"
    everything = parsed(
        program.ask(
            "PROPFIND",
            book,
            '<propfind xmlns="DAV:" xmlns:cs="http://calendarserver.org/ns/"><prop><resourcetype/><getetag/>'
            "<cs:getctag/></prop></propfind>",
            Depth="1",
            **THUNDERBIRD,
        )
    )
    assert len(found(everything, "d:getetag")) == 2, "the book, and its card"


def test_outlook_makes_a_calendar_whose_address_is_its_name(program: Program) -> None:
    """CalDav Synchronizer, AddResource: MKCOL of the name, then PROPPATCH; entries are found where a list says."""
    made = f"{program.home}R%C3%A9unions%20d%E2%80%99%C3%A9lus/"
    kind = "<d:resourcetype><d:collection/><c:calendar/></d:resourcetype>"
    for method, body in (
        ("MKCOL", f"<d:mkcol {SPACES}><d:set><d:prop>{kind}</d:prop></d:set></d:mkcol>"),
        (
            "PROPPATCH",
            f"<d:propertyupdate {SPACES}><d:set><d:prop><d:displayname>Réunions d’élus</d:displayname></d:prop>"
            "</d:set></d:propertyupdate>",
        ),
    ):
        assert program.ask(method, made, body).status == (201 if method == "MKCOL" else 207)
    assert program.ask("PUT", f"{made}%C3%A9t%C3%A9.ics", event("été", "Été")).status == 201
    listed = program.propfind(made, "d:getetag", "1")
    hrefs = [one.text or "" for one in listed.iterfind("d:response/d:href", NAMES)]
    assert hrefs == [made, f"{made}%C3%A9t%C3%A9.ics"]
    assert [program.ask("GET", one).status for one in hrefs] == [200, 200]
    assert made in [
        one.text for one in program.propfind(program.home, "d:displayname", "1").iterfind("*/d:href", NAMES)
    ]
    own = f"{program.home}agenda/%C3%A9t%C3%A9.ics"
    for start, end in ((hrefs[1], own), (own, hrefs[1])):
        answer = program.ask("MOVE", start, Destination=program.centre.url + end, Overwrite="F")
        assert (answer.status, program.ask("GET", end).status) == (201, 200)
    asked = f"<d:prop><c:calendar-data/></d:prop><d:href>{hrefs[1]}</d:href>"
    (text,) = found(parsed(program.report(made, "c:calendar-multiget", asked)), "c:calendar-data")
    assert "SUMMARY:Été" in text
    assert program.ask("DELETE", made).status == 200


def test_evolution_and_outlook_learn_by_which_address_one_is_invited(centre: Wall) -> None:
    account = centre.signs_in("claire.d'arc+agenda@auxonne.test", collectivite_id="col_" + "4" * 26)
    program = Program(centre, account)
    for names in (
        "c:calendar-home-set c:calendar-user-address-set r:addressbook-home-set",
        "c:calendar-user-address-set",
    ):
        tree = program.propfind(program.home, names)
        hrefs = [one.text for one in tree.iterfind(".//c:calendar-user-address-set/d:href", NAMES)]
        assert hrefs == ["mailto:claire.d'arc+agenda@auxonne.test", program.home], "the first one counts"
    assert found(tree, "c:calendar-home-set") == []
    first = program.propfind("/caldav/", "c:calendar-user-address-set d:current-user-principal")
    assert found(first, "c:calendar-user-address-set") == [], "nobody's"
    assert found(first, "d:current-user-principal") == [program.home]


def test_somebody_invited_to_two_dates_of_a_series_keeps_both(program: Program) -> None:
    """Evolution, DAVx5 and Apple's clients store them as one entry without the series (RFC 4791, 4.1)."""
    agenda = f"{program.home}agenda/"
    later = event("s", "Comité, mars", starts="20270304T090000Z", more="RECURRENCE-ID:20270304T090000Z")
    sooner = event("s", "Comité, janvier", starts="20270107T090000Z", more="RECURRENCE-ID:20270107T090000Z")
    one = later[later.index("BEGIN:VEVENT") : later.index("END:VCALENDAR")]
    both = sooner.replace("BEGIN:VEVENT", f"{one}BEGIN:VEVENT", 1)
    new = {"Content_Type": "text/calendar; charset=utf-8"}
    first = program.ask("PUT", f"{agenda}s.ics", sooner, If_None_Match="*", **new)
    second = program.ask("PUT", f"{agenda}s.ics", both, If_Match=first.headers["ETag"] or "", **new)
    assert (first.status, second.status) == (201, 204)

    def within(start: str, end: str, data: str = "<c:calendar-data/>") -> list[str]:
        inside = (
            f'<d:prop>{data}</d:prop><c:filter><c:comp-filter name="VCALENDAR"><c:comp-filter name="VEVENT">'
            f'<c:time-range start="{start}T000000Z" end="{end}T000000Z"/></c:comp-filter></c:comp-filter></c:filter>'
        )
        return found(parsed(program.report(agenda, "c:calendar-query", inside)), "c:calendar-data")

    for start, end in (("20270101", "20270201"), ("20270301", "20270401"), ("20261201", "20280101")):
        (text,) = within(start, end)
        assert text.count("RECURRENCE-ID") == 2 and "RRULE" not in text
    assert within("20270201", "20270301") == within("20280101", "20290101") == []
    expand = '<c:calendar-data><c:expand start="20270101T000000Z" end="20270501T000000Z"/></c:calendar-data>'
    (text,) = within("20270101", "20270501", expand)
    assert text.count("BEGIN:VEVENT") == 2


def test_thunderbird_finds_calendars_changes_a_date_and_meets_a_conflict(program: Program) -> None:
    asked = "d:resourcetype d:owner d:displayname d:current-user-principal d:current-user-privilege-set"
    root = program.propfind("/caldav/", f"{asked} i:calendar-color c:calendar-home-set")
    assert found(root, "c:calendar-home-set") == [], "it goes on to the principal"
    (principal,) = found(root, "d:current-user-principal")
    (home,) = found(program.propfind(principal, "c:calendar-home-set"), "c:calendar-home-set")
    tree = program.propfind(
        home, "d:resourcetype d:displayname d:current-user-privilege-set i:calendar-color", "1"
    )
    calendars = {
        one.findtext("d:href", "", NAMES): {each.tag for each in one.iterfind(".//d:privilege/*", NAMES)}
        for one in tree.iterfind("d:response", NAMES)
        if one.find(".//c:calendar", NAMES) is not None
    }
    assert set(calendars) == {f"{home}agenda/", f"{home}mairie-agenda/"}
    assert all("{DAV:}write-content" in privileges for privileges in calendars.values())
    agenda = f"{home}agenda/"
    said = program.propfind(agenda, "d:supported-report-set c:supported-calendar-component-set s:getctag")
    assert said.find(".//d:sync-collection", NAMES) is not None
    assert {one.get("name") for one in said.iterfind(".//c:comp", NAMES)} >= {"VEVENT", "VTODO"}
    features = program.ask("OPTIONS", home).headers["DAV"] or ""
    assert "calendar-access" in features and "schedule" not in features, "it invites by mail"
    new = {"Content_Type": "text/calendar; charset=utf-8", **THUNDERBIRD}
    series = event("t", "Permanence", more="RRULE:FREQ=WEEKLY;COUNT=5\r\nX-MOZ-LASTACK:20261203T080000Z")
    first = program.ask("PUT", f"{agenda}t.ics", series, If_None_Match="*", **new)
    moved = event(
        "t", "Permanence, en salle 2", starts="20261210T140000Z", more="RECURRENCE-ID:20261210T090000Z"
    )
    one = moved[moved.index("BEGIN:VEVENT") : moved.index("END:VCALENDAR")]
    changed = series.replace("END:VCALENDAR", f"{one}END:VCALENDAR")
    second = program.ask("PUT", f"{agenda}t.ics", changed, If_Match=first.headers["ETag"] or "", **new)
    assert (first.status, second.status) == (201, 204)
    href = f"<d:prop><d:getetag/><c:calendar-data/></d:prop><d:href>{agenda}t.ics</d:href>"
    tree = parsed(program.report(agenda, "c:calendar-multiget", href, **THUNDERBIRD))
    assert found(tree, "d:getetag") == [second.headers["ETag"]]
    (text,) = found(tree, "c:calendar-data")
    assert "RECURRENCE-ID:20261210T090000Z" in text and "X-MOZ-LASTACK" in text
    old = {"If_Match": first.headers["ETag"] or "", **THUNDERBIRD}
    assert program.ask("PUT", f"{agenda}t.ics", series, **{**new, **old}).status == 412
    assert program.ask("DELETE", f"{agenda}t.ics", **old).status == 412
    assert program.ask("HEAD", f"{agenda}t.ics", **THUNDERBIRD).status == 200, (
        "there still: it asks the person"
    )
    # Another calendar: it is made there, then deleted here.
    assert program.ask("PUT", f"{home}mairie-agenda/t.ics", changed, If_None_Match="*", **new).status == 201
    assert program.ask("DELETE", f"{agenda}t.ics", **THUNDERBIRD).status == 200
    assert program.ask("DELETE", f"{agenda}t.ics", **THUNDERBIRD).status == 404
    assert program.ask("HEAD", f"{agenda}t.ics", **THUNDERBIRD).status == 404


def test_photographs_and_lists_of_contacts_come_back_as_they_were(program: Program) -> None:
    thunderbird = (
        "VERSION:4.0", "UID:a", "FN:Marie Noël", "N:Noël;Marie;;;", "EMAIL;PREF=1:marie@auxonne.test",
        "TEL;TYPE=work;VALUE=TEXT:+33 3 80 00 00 00", "PHOTO;VALUE=URI:data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ==",
        "ADR:;;1 rue du Beffroi\\, bâtiment B;Auxonne;;21130;France", "BDAY;VALUE=DATE:--0412",
    )  # fmt: skip
    evolution = (
        "VERSION:3.0", "UID:b", "FN:Élus", "N:Élus;;;;", "X-EVOLUTION-LIST:TRUE",
        "X-EVOLUTION-LIST-SHOW-ADDRESSES:FALSE", "X-EVOLUTION-FILE-AS:Élus",
        "EMAIL;X-EVOLUTION-DEST-NAME=Marie;X-EVOLUTION-DEST-HTML-MAIL=FALSE:marie@auxonne.test",
        "EMAIL;X-EVOLUTION-DEST-NAME=Paul:paul@auxonne.test",
        "PHOTO;ENCODING=b;TYPE=JPEG:/9j/4AAQSkZJRgABAQ==",
    )  # fmt: skip
    group = (
        "VERSION:4.0", "UID:c", "KIND:group", "FN:Bureau", "MEMBER:urn:uuid:a", "MEMBER:mailto:paul@auxonne.test",
    )  # fmt: skip
    book = f"{program.home}contacts/"
    for name, lines in (("a", thunderbird), ("b", evolution), ("c", group)):
        text = "\r\n".join(("BEGIN:VCARD", *lines, "END:VCARD", ""))
        answer = program.ask("PUT", f"{book}{name}.vcf", text, Content_Type="text/vcard; charset=utf-8")
        assert answer.status == 201
        data = "<d:prop><d:getetag/><r:address-data><r:allprop/></r:address-data></d:prop>"
        asked = f"{data}<d:href>{book}{name}.vcf</d:href>"
        (back,) = found(parsed(program.report(book, "r:addressbook-multiget", asked)), "r:address-data")
        kept = {_apart(line) for line in back.replace("\r\n ", "").replace("\n ", "").splitlines()}
        assert {_apart(line) for line in lines} <= kept


def _apart(line: str) -> tuple[str, frozenset[str], str]:
    """(name, parameters in whatever order, value)."""
    head, _, value = line.partition(":")
    name, *parameters = head.split(";")
    return name, frozenset(parameters), value
