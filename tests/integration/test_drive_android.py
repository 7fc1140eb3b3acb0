"""What Nextcloud's app for Android asks, in its own order, and what its own readers make of the answers.

Source: android-library of 2026 (SearchRemoteOperation, ShareXMLParser, FileVersion, GetActivitiesRemoteOperation).
"""

from __future__ import annotations

from tests.drive_server import Served
from tests.drive_sync import FILES, hrefs

pytest_plugins = ["tests.fixtures_drive_sync"]
DAV = "/remote.php/dav"


def test_it_asks_whether_one_may_search_before_it_searches(drive: Served, name: str) -> None:
    """Its favourites, its gallery and what was changed last are searches."""
    drive.ask("PUT", f"{FILES}/{name}.jpg", b"x")
    star = (
        b'<d:propertyupdate xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"><d:set><d:prop><oc:favorite>1'
        b"</oc:favorite></d:prop></d:set></d:propertyupdate>"
    )
    assert drive.ask("PROPPATCH", f"{FILES}/{name}.jpg", star)[0] == 207
    status, headers, body = drive.ask("OPTIONS", DAV)
    assert (status, body) == (200, b"")
    assert "SEARCH" in [one.strip() for one in headers["allow"].split(",")]
    assert headers["dasl"] == "<DAV:basicsearch>"
    # Each element names its namespaces again, one prefix is no other's, and one property stands in a wrong one.
    asked = (
        '<d:searchrequest xmlns:d="DAV:" xmlns:oc="http://nextcloud.com/ns"><d:basicsearch><d:select><d:prop>'
        '<d:getetag/><oc:id xmlns:oc="http://owncloud.org/ns"/><oc:favorite xmlns:oc="http://owncloud.org/ns"/>'
        '<nc:has-preview xmlns:nc="http://owncloud.org/ns"/><is-encrypted xmlns="http://nextcloud.org/ns"/>'
        '<nc:sharees xmlns:nc="http://nextcloud.org/ns"/></d:prop></d:select><d:from><d:scope>'
        "<d:href>/files/alice</d:href><d:depth>infinity</d:depth></d:scope></d:from><d:where><d:eq><d:prop>"
        '<oc:favorite xmlns:oc="http://owncloud.org/ns"/></d:prop><d:literal>yes</d:literal></d:eq></d:where>'
        "</d:basicsearch></d:searchrequest>"
    )
    status, _, body = drive.ask("SEARCH", DAV, asked.encode(), Content_Type="text/xml")
    assert (status, hrefs(body)) == (207, [f"{FILES}/{name}.jpg"])
