"""What RFC 4918 and RFC 9110 say of cases that are rare."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.drive_asking import listing, value
from tests.drive_server import Served

pytest_plugins = ["tests.fixtures_drive_dav"]
DATED = (
    '<d:propertyupdate xmlns:d="DAV:" xmlns:z="urn:schemas-microsoft-com:"><d:set><d:prop>'
    "<z:Win32LastModifiedTime>{}</z:Win32LastModifiedTime></d:prop></d:set></d:propertyupdate>"
)


@pytest.mark.parametrize(
    "said",
    ["Fri, 31 Dec 9999 23:59:59 -1200", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 1601 00:00:00 GMT"],
)
def test_a_time_that_no_calendar_has_leaves_the_folder_readable(
    drive: Served, folder: str, said: str
) -> None:
    path = f"{folder}/plan.txt"
    assert drive.ask("PUT", path, b"un plan", X_OC_Mtime="1500000000")[0] == 201
    assert drive.ask("PROPPATCH", path, DATED.format(said).encode())[0] == 207
    found = listing(drive, f"{folder}/")
    assert value(found[path], "d:getlastmodified") == "Fri, 14 Jul 2017 02:40:00 GMT"
    assert drive.ask("GET", path)[2] == b"un plan"


@pytest.mark.parametrize("sign", ["\ufffe", "\uffff"])
def test_a_name_that_no_xml_may_hold_is_refused(drive: Served, folder: str, sign: str) -> None:
    """The list of its folder would be no XML, for everybody who sees it."""
    assert drive.ask("PUT", f"{folder}/{quote(f'a{sign}.txt')}", b"x")[0] == 400
    assert list(listing(drive, f"{folder}/")) == [f"{folder}/"]
