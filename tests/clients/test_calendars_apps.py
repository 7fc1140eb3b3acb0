"""Calendars and contacts as Apple's clients and DAVx5 ask for them, which cannot run here: their requests, in order.

In our own words. Source: the requests in the load tests of Apple's ccs-calendarserver (OS X 10.11, iOS 5); DAVx5 of
2026 (DavResourceFinder, ServiceRefresher, HomeSetRefresher, SyncManager).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lxml import etree

from tests.fixtures_calendars import Account, Answer, Wall, card, event, needs_front, wall

pytestmark = needs_front
NAMES = {
    "d": "DAV:",
    "c": "urn:ietf:params:xml:ns:caldav",
    "r": "urn:ietf:params:xml:ns:carddav",
    "s": "http://calendarserver.org/ns/",
    "i": "http://apple.com/ns/ical/",
}
SPACES = " ".join(f'xmlns:{prefix}="{space}"' for prefix, space in NAMES.items())
MAC = {"User-Agent": "Mac_OS_X/10.11 CalendarAgent/361", "Brief": "t", "Prefer": "return=minimal"}


class Program:
    """One person's. Bodies are written with the prefixes of NAMES."""

    def __init__(self, centre: Wall, account: Account) -> None:
        self.centre, self.account, self.home = centre, account, account.home

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "text/xml; charset=utf-8", **MAC, **named}
        return self.centre.ask(method, path, body, account=self.account, headers=sent)

    def propfind(self, path: str, names: str, depth: str = "0") -> etree._Element:
        asked = "".join(f"<{name}/>" for name in names.split())
        body = f"<d:propfind {SPACES}><d:prop>{asked}</d:prop></d:propfind>"
        return parsed(self.ask("PROPFIND", path, body, Depth=depth))

    def report(self, path: str, root: str, inside: str, depth: str = "1", **headers: str) -> Answer:
        return self.ask("REPORT", path, f"<{root} {SPACES}>{inside}</{root}>", Depth=depth, **headers)


def parsed(answer: Answer) -> etree._Element:
    assert answer.status == 207
    return etree.fromstring(answer.body)


def found(tree: etree._Element, name: str) -> list[str]:
    """Texts of what is there: in a propstat of 200."""
    path = f".//d:propstat[d:status='HTTP/1.1 200 OK']/d:prop/{name}"
    return ["".join(one.itertext()).strip() for one in tree.iterfind(path, NAMES)]


@pytest.fixture(scope="module")
def centre() -> Iterator[Wall]:
    with wall("bfk-", 23220) as running:
        yield running


@pytest.fixture
def program(centre: Wall, request: pytest.FixtureRequest) -> Program:
    login = f"{request.node.name[:40]}@auxonne.test"
    return Program(centre, centre.signs_in(login, collectivite_id="col_" + "4" * 26))


def test_apple_finds_its_home_and_hears_of_nothing_that_is_not_there(program: Program) -> None:
    first = program.propfind("/caldav/", "d:current-user-principal d:principal-URL d:resourcetype")
    assert found(first, "d:current-user-principal") == [program.home]
    said = program.ask("OPTIONS", program.home).headers["DAV"]
    assert {"calendar-access", "addressbook"} <= {one.strip() for one in said.split(",")}
    assert "schedule" not in said and "proxy" not in said
    principal = program.propfind(
        program.home,
        "c:calendar-home-set r:addressbook-home-set c:calendar-user-address-set d:displayname s:dropbox-home-URL"
        " s:email-address-set s:notification-URL d:principal-collection-set d:principal-URL d:resource-id"
        " c:schedule-inbox-URL c:schedule-outbox-URL d:supported-report-set s:calendar-proxy-write-for",
    )
    for name in ("c:calendar-home-set", "r:addressbook-home-set", "d:principal-URL"):
        assert found(principal, name) == [program.home]
    for name in ("c:schedule-inbox-URL", "c:schedule-outbox-URL", "s:notification-URL", "s:dropbox-home-URL"):
        assert found(principal, name) == []
    expand = '<d:property name="calendar-proxy-read-for" namespace="http://calendarserver.org/ns/"/>'
    match = "<d:property-search><d:prop><d:displayname/></d:prop><d:match>x</d:match></d:property-search>"
    for path, root, inside in (
        ("/caldav/", "d:principal-search-property-set", ""),
        ("/caldav/", "d:principal-property-search", match),
        (program.home, "d:expand-property", expand),
    ):
        assert len(parsed(program.report(path, root, inside, "0"))) == 0, "nobody is found, and no error"


def test_apple_sets_its_home_up_and_makes_a_calendar(program: Program) -> None:
    alarm = "BEGIN:VALARM\nACTION:NONE\nTRIGGER;VALUE=DATE-TIME:19760401T005545Z\nEND:VALARM"
    for path, inside in (
        (program.home, f"<c:default-alarm-vevent-date>{alarm}</c:default-alarm-vevent-date>"),
        (f"{program.home}agenda/", '<i:calendar-color symbolic-color="custom">#FF2968FF</i:calendar-color>'),
        (f"{program.home}agenda/", "<i:calendar-order>2</i:calendar-order>"),
    ):
        body = f"<d:propertyupdate {SPACES}><d:set><d:prop>{inside}</d:prop></d:set></d:propertyupdate>"
        assert program.ask("PROPPATCH", path, body).status == 207
    inside = (
        '<c:supported-calendar-component-set><c:comp name="VEVENT"/></c:supported-calendar-component-set>'
        "<i:calendar-color>#CC73E1FF</i:calendar-color><d:displayname>Perso</d:displayname>"
        "<c:calendar-free-busy-set><YES/></c:calendar-free-busy-set>"
    )
    body = f"<c:mkcalendar {SPACES}><d:set><d:prop>{inside}</d:prop></d:set></c:mkcalendar>"
    made = f"{program.home}5B1E3E2E-0C7C-4E8D-9C8A-6E4B7C1B2A3D/"
    assert program.ask("MKCALENDAR", made, body).status == 201
    listed = program.propfind(
        program.home,
        "d:displayname i:calendar-color i:calendar-order s:getctag d:sync-token c:default-alarm-vevent-date",
        "1",
    )
    assert {"Perso", "Mon agenda", "Mairie"} <= set(found(listed, "d:displayname"))
    assert {"#FF2968FF", "#CC73E1FF"} == set(found(listed, "i:calendar-color"))
    assert found(listed, "c:default-alarm-vevent-date") == [alarm]
    assert program.ask("DELETE", made).status == 200
    assert program.ask("DELETE", f"{program.home}mairie-agenda/").status == 403


def test_davx5_follows_a_calendar_and_begins_anew_where_its_token_is_none(program: Program) -> None:
    agenda = f"{program.home}agenda/"
    new = {"If_None_Match": "*", "Content_Type": "text/calendar; charset=utf-8"}
    assert program.ask("PUT", f"{agenda}a.ics", event("a", "Conseil"), **new).status == 201
    assert program.ask("PUT", f"{agenda}a.ics", event("a", "Conseil"), **new).status == 412
    assert b"no-uid-conflict" in program.ask("PUT", f"{agenda}b.ics", event("a", "Encore"), **new).body

    def sync(token: str) -> Answer:
        limit = "<d:limit><d:nresults>1</d:nresults></d:limit>"
        since = f"<d:sync-token>{token}</d:sync-token><d:sync-level>1</d:sync-level>"
        inside = f"{since}{limit}<d:prop><d:getetag/></d:prop>"
        return program.report(agenda, "d:sync-collection", inside, "0")

    first = parsed(sync(""))
    token = first.findtext("d:sync-token", "", NAMES)
    assert [one.text for one in first.iterfind("d:response/d:href", NAMES)] == [f"{agenda}a.ics"]
    assert parsed(sync(token)).find("d:response", NAMES) is None
    gone = {"If_Match": found(first, "d:getetag")[0]}
    assert program.ask("DELETE", f"{agenda}a.ics", **gone).status == 200
    (removed,) = parsed(sync(token)).findall("d:response", NAMES)
    assert "404" in removed.findtext("d:status", "", NAMES)
    for wrong in ("http://radicale.org/ns/sync/" + "0" * 64, "data:,another"):
        answer = sync(wrong)
        assert answer.status == 403 and b"valid-sync-token" in answer.body
    hrefs = f"<d:href>{agenda}a.ics</d:href><d:href>{agenda}b.ics</d:href>"
    asked = f"<d:prop><d:getetag/><c:schedule-tag/><c:calendar-data/></d:prop>{hrefs}"
    tree = parsed(program.report(agenda, "c:calendar-multiget", asked))
    assert [one.text for one in tree.iterfind("d:response/d:status", NAMES)] == ["HTTP/1.1 404 Not Found"] * 2


def test_davx5_makes_a_book_and_reads_its_cards(program: Program) -> None:
    inside = "<d:resourcetype><d:collection/><r:addressbook/></d:resourcetype><d:displayname>Livreurs</d:displayname>"
    body = f"<d:mkcol {SPACES}><d:set><d:prop>{inside}</d:prop></d:set></d:mkcol>"
    book = f"{program.home}b3f1/"
    assert program.ask("MKCOL", book, body).status == 201
    kind = {"Content_Type": "text/vcard; charset=utf-8", "If_None_Match": "*"}
    assert program.ask("PUT", f"{book}c.vcf", card("c", "Élise Noël"), **kind).status == 201
    said = program.propfind(book, "r:supported-address-data d:supported-report-set s:getctag d:sync-token")
    assert len(found(said, "d:sync-token")) == len(found(said, "s:getctag")) == 1
    data = '<r:address-data content-type="text/vcard" version="3.0"/>'
    asked = f"<d:prop><d:getetag/>{data}</d:prop><d:href>{book}c.vcf</d:href>"
    (text,) = found(parsed(program.report(book, "r:addressbook-multiget", asked, "0")), "r:address-data")
    assert "FN:Élise Noël" in text
