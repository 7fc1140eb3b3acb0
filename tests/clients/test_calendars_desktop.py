"""Calendars and contacts as programs of desktops ask for them, which do not run here: their requests, in order.

In our own words. Source: Thunderbird (CalDavCalendar, CalDavRequestHandlers, CardDAVDirectory, CardDAVUtils),
evolution-data-server (e-webdav-discover, e-webdav-session, the backends), KDAV and kdepim-runtime, CalDav Synchronizer,
as they were in August 2026.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.test_calendars_apps import Program, found, parsed
from tests.fixtures_calendars import Wall, card, needs_front, wall

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


@pytest.fixture
def program(centre: Wall, request: pytest.FixtureRequest) -> Program:
    login = f"{request.node.name[:40]}@auxonne.test"
    return Program(centre, centre.signs_in(login, collectivite_id="col_" + "4" * 26))


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
