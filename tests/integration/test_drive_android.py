"""What Nextcloud's app for Android asks, in its own order, and what its own readers make of the answers.

Source: android-library of 2026 (SearchRemoteOperation, ShareXMLParser, FileVersion, GetActivitiesRemoteOperation).
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

from lxml import etree

from tests.drive_server import Served
from tests.drive_sync import FILES, found, hrefs

pytest_plugins = ["tests.fixtures_drive_sync"]
DAV = "/remote.php/dav"
SHARES = "/ocs/v2.php/apps/files_sharing/api/v1/shares"


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


def test_a_share_s_fields_are_what_its_reader_takes(drive: Served, name: str) -> None:
    """It reads XML, whose numbers are ``int``; another one, or attributes that are no JSON, end the app."""
    drive.ask("MKCOL", f"{FILES}/{name}")
    form = {"Content_Type": "application/x-www-form-urlencoded", "OCS_APIRequest": "true"}
    body = f"path=/{name}/&shareType=0&shareWith=amir&permissions=31".encode()
    status, headers, answer = drive.ask("POST", SHARES, body, **form)
    assert status == 200 and headers["content-type"] == "application/xml; charset=utf-8"
    made = etree.fromstring(answer).find("data")
    assert made is not None and made[0].tag == "id"
    number = int(made.findtext("id", ""))
    assert 0 < number < 2**31
    asked = f"{SHARES}?path=/{name}/&reshares=true&subfiles=false"
    one = etree.fromstring(drive.ask("GET", asked, **form)[2]).find("data/element")
    assert one is not None and int(one.findtext("id", "")) == number
    assert one.findtext("attributes") == '[{"scope":"permissions","key":"download","value":true}]'
    for empty in ("expiration", "token", "parent", "note"):
        assert one.findtext(empty) == "", empty
    # It sends what it changes as JSON, with numbers and flags as text.
    said = {"permissions": "1", "hideDownload": "false", "note": "", "attributes": one.findtext("attributes")}
    body = json.dumps(said).encode()
    kind = {"Content_Type": "application/json; charset=UTF-8", "OCS_APIRequest": "true"}
    assert drive.ask("PUT", f"{SHARES}/{number}", body, **kind)[0] == 200
    # What it says when somebody writes a note reaches them: a sentence, in an answer of this kind.
    status, _, answer = drive.ask("PUT", f"{SHARES}/{number}", b'{"note":"Lis-moi"}', **kind)
    meta = etree.fromstring(answer).find("meta")
    assert status == 400 and meta is not None and meta.findtext("statuscode") == "400"
    assert "note" in meta.findtext("message", "")
    status, _, answer = drive.ask("POST", SHARES, f"path=/{name}/&shareType=3".encode(), **form)
    assert status == 403 and "portail" in etree.fromstring(answer).findtext("meta/message", "")


def test_it_names_a_version_by_its_time_and_brings_that_one_back(drive: Served, name: str) -> None:
    """Without a look at the address in the list. Two contents of one second have two names, too."""
    path, times = f"{FILES}/{name}.txt", (1_700_000_000, 1_700_000_000, 1_700_000_001, 1_700_000_500)
    for at, mtime_s in enumerate(times):
        said = {"X_OC_Mtime": str(mtime_s)}
        number = drive.ask("PUT", path, f"contenu {at}".encode(), **said)[1]["oc-fileid"][:8].lstrip("0")
    base = f"{DAV}/versions/alice"
    asked = (
        b'<d:propfind xmlns:d="DAV:"><d:prop><d:getcontenttype/><d:getlastmodified/></d:prop></d:propfind>'
    )
    listed = drive.ask("PROPFIND", f"{base}/versions/{number}", asked, Depth="1")[2]
    names = [int(parsedate_to_datetime(one).timestamp()) for one in found(listed, ".//d:getlastmodified")[1:]]
    assert names == [1_700_000_002, 1_700_000_001, 1_700_000_000]
    assert hrefs(listed)[1:] == [f"{base}/versions/{number}/{one}" for one in names]
    for at, one in enumerate(reversed(names)):
        content = drive.ask("GET", f"{base}/versions/{number}/{one}")[2]
        assert content == f"contenu {at}".encode()
    to = f"{drive.url}{base}/restore/{number}"
    moved = drive.ask("MOVE", f"{base}/versions/{number}/1700000001", Destination=to, Overwrite="T")
    assert moved[0] == 201 and drive.ask("GET", path)[2] == b"contenu 1"
    assert drive.ask("MOVE", f"{base}/versions/{number}/1600000000", Destination=to)[0] == 404


def test_its_page_of_a_file_waits_for_activities_before_it_shows_versions(drive: Served) -> None:
    for path in ("activity", "activity/filter?sort=desc&object_type=files&object_id=1"):
        mark = "&" if "?" in path else "?"
        asked = f"/ocs/v2.php/apps/activity/api/v2/{path}{mark}format=json&previews=true"
        status, _, body = drive.ask("GET", asked, OCS_APIRequest="true")
        assert status == 200 and json.loads(body)["ocs"]["data"] == []
