"""Searches of sync clients."""

from __future__ import annotations

import time

import pytest
from beffroi.drive.web.dav.xml import DAV
from beffroi.drive.web.sync.basicsearch import _value

from tests.drive_server import Served
from tests.drive_sync import FILES, hrefs, search

pytest_plugins = ["tests.fixtures_drive_sync"]


def like(text: str) -> str:
    return f"<d:like><d:prop><d:displayname/></d:prop><d:literal>{text}</d:literal></d:like>"


def test_a_search_is_ordered_and_ends(drive: Served, name: str) -> None:
    for at in range(5):
        drive.ask("PUT", f"{FILES}/{name}-{at}", b"x" * at, X_OC_Mtime=str(1_500_000_000 + at))
    newest = (
        "<d:orderby><d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order></d:orderby>"
        "<d:limit><d:nresults>2</d:nresults></d:limit>"
    )
    assert hrefs(search(drive, like(f"{name}-%"), more=newest)) == [f"{FILES}/{name}-4", f"{FILES}/{name}-3"]
    assert len(hrefs(search(drive, like(f"{name}-_")))) == 0, "only % stands for anything"
    drive.ask("MKCOL", f"{FILES}/{name}-%C3%A9%23")
    drive.ask("PUT", f"{FILES}/{name}-%C3%A9%23/inside", b"x")
    for scope in (
        f"/files/alice/{name}-é#",
        f"{FILES}/{name}-%C3%A9%23",
        f"{drive.url}{FILES}/{name}-%C3%A9%23/",
    ):
        assert hrefs(search(drive, like("%"), scope=scope)) == [f"{FILES}/{name}-%C3%A9%23/inside"]
    folders = f"<d:and>{like(f'{name}%')}<d:not><d:is-collection/></d:not></d:and>"
    assert len(hrefs(search(drive, folders))) == 5


def test_a_client_that_goes_on_gets_what_it_has_not(drive: Served, name: str) -> None:
    """Else it would ask for ever."""
    for at in range(7):
        drive.ask("PUT", f"{FILES}/{name}-{at}", b"x", X_OC_Mtime=str(1_500_000_000 + at // 3))
    order = "<d:orderby><d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order></d:orderby>"
    for ordered in (order, ""):
        seen: list[str] = []
        for first in (0, 3, 6, 9):
            page = (
                f"{ordered}<d:limit><d:nresults>3</d:nresults><ns:firstresult"
                f' xmlns:ns="https://github.com/icewind1991/SearchDAV/ns">{first}</ns:firstresult></d:limit>'
            )
            seen += hrefs(search(drive, like(f"{name}-%"), more=page))
        assert sorted(seen) == [f"{FILES}/{name}-{at}" for at in range(7)], ordered


@pytest.mark.parametrize(
    ("where", "scope", "status"),
    [
        ("<d:like><d:prop><d:displayname/></d:prop></d:like>", "", 400),
        ("<d:contains>x</d:contains>", "", 400),
        ("<oc:odd/>", "", 422),
        ("<d:gt><d:prop><oc:size/></d:prop><d:literal>many</d:literal></d:gt>", "", 422),
        ("<d:eq><d:prop><d:getetag/></d:prop><d:literal>1</d:literal></d:eq>", "", 422),
        (like("x"), "/files/bruno", 404),
        (like("x"), "/files/alice/no-such-folder", 404),
        (like("x"), "http://[", 400),
    ],
)
def test_a_search_that_cannot_be_answered_says_so(drive: Served, where: str, scope: str, status: int) -> None:
    error = search(drive, where, scope=scope)
    assert {400: b"BadRequest", 404: b"NotFound", 422: b"UnprocessableEntity"}[status] in error


def test_bodies_that_are_no_search_are_refused(drive: Served) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><d:searchrequest xmlns:d="DAV:">&b;</d:searchrequest>'
    for body in (b"", b"x", bomb, b'<d:propfind xmlns:d="DAV:"/>', b'<d:searchrequest xmlns:d="DAV:"/>'):
        assert drive.ask("SEARCH", "/remote.php/dav", body)[0] == 400
    for body in (b"", b"x", b'<oc:filter-files xmlns:oc="http://owncloud.org/ns"/>'):
        assert drive.ask("REPORT", FILES, body)[0] in (400, 422)
    deep = "<d:not>" * 5000 + "</d:not>" * 5000
    assert b"multistatus" not in search(drive, deep)
    assert drive.ask("GET", "/healthz")[0] == 200


@pytest.mark.parametrize("zone", ["Europe/Paris", "Pacific/Auckland"])
def test_a_date_without_a_zone_is_of_utc(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """Wherever the server stands."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert _value((DAV, "creationdate"), "2017-07-14T02:40:00") == 1_500_000_000
        assert _value((DAV, "creationdate"), "2017-07-14T04:40:00+02:00") == 1_500_000_000
    finally:
        monkeypatch.undo()
        time.tzset()
