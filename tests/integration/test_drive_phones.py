"""What the programs for phones ask, in their order and with their own oddities, as their sources show it.

Source: android-library (ChunkedFileUploadRemoteOperation, WebdavUtils); NextcloudKit (NKDataFileXML).
"""

from __future__ import annotations

import json

from tests.drive_server import Served, drive
from tests.drive_sync import found, hrefs

FILES, UPLOADS = "/remote.php/dav/files/alice", "/remote.php/dav/uploads/alice"
TRASH, VERSIONS = "/remote.php/dav/trashbin/alice", "/remote.php/dav/versions/alice"

__all__ = ["drive"]
SPACES = 'xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns" xmlns:nc="http://nextcloud.org/ns"'
OK = "d:response/d:propstat[d:status='HTTP/1.1 200 OK']/d:prop"


def propfind(drive: Served, path: str, names: str, depth: str) -> bytes:
    inside = "".join(f"<{name}/>" for name in names.split())
    body = f'<?xml version="1.0"?><d:propfind {SPACES}><d:prop>{inside}</d:prop></d:propfind>'
    status, headers, answer = drive.ask("PROPFIND", path, body.encode(), Depth=depth)
    assert status == 207 and headers["content-type"] == "application/xml; charset=utf-8"
    return answer


def connected(drive: Served) -> None:
    """The first questions of both."""
    assert json.loads(drive.ask("GET", "/status.php", login="nobody")[2])["maintenance"] is False
    said = json.loads(
        drive.ask("GET", "/ocs/v1.php/cloud/capabilities?format=json", OCS_APIREQUEST="true")[2]
    )
    assert said["ocs"]["data"]["version"]["major"] >= 16
    assert (
        json.loads(drive.ask("GET", "/ocs/v2.php/cloud/user?format=json")[2])["ocs"]["data"]["id"] == "alice"
    )


def test_android_lists_sends_and_goes_on(drive: Served) -> None:
    connected(drive)
    names = (
        "d:displayname d:getcontenttype d:resourcetype d:getcontentlength d:getlastmodified d:creationdate d:getetag"
        " oc:permissions oc:id oc:fileid oc:size oc:favorite nc:is-encrypted nc:mount-type oc:owner-id"
        " oc:owner-display-name oc:comments-unread nc:has-preview nc:note nc:sharees nc:rich-workspace"
        " nc:creation_time nc:upload_time"
    )
    assert found(propfind(drive, f"{FILES}/", names, "0"), f"{OK}/oc:permissions") == ["GCK"]
    name, upload = "photo 1.jpg", f"{UPLOADS}/5d41402abc4b2a76b9719d911017c592"
    to = f"{drive.url}{FILES}/photo%201.jpg"
    assert drive.ask("MKCOL", upload, Destination=to)[0] == 201
    assert (
        found(propfind(drive, upload, "d:getcontenttype d:resourcetype", "1"), ".//d:getcontentlength") == []
    )
    assert drive.ask("PUT", f"{upload}/000001", b"a" * 1000, Destination=to)[0] == 201
    # It was cut off, and begins again: the folder is there, and says how much arrived although nobody asked.
    assert drive.ask("MKCOL", upload, Destination=to)[0] == 405
    listed = propfind(drive, upload, "d:getcontenttype d:resourcetype", "1")
    assert found(listed, ".//d:getcontentlength") == ["1000"]
    assert int(hrefs(listed)[1].rpartition("/")[2]) == 1
    assert drive.ask("PUT", f"{upload}/000002", b"b" * 10, Destination=to)[0] == 201
    answer = drive.ask("MOVE", f"{upload}/.file", Destination=to, Overwrite="T", X_OC_Mtime="1500000000")
    assert answer[0] == 201
    listed = propfind(drive, f"{FILES}/", names, "1")
    assert name in found(listed, f"{OK}/d:displayname") and "1010" in found(
        listed, f"{OK}/d:getcontentlength"
    )
    assert (
        drive.ask("PUT", f"{FILES}/photo%201.jpg", b"neuf", OC_Total_Length="4", X_OC_Mtime="1500000001")[0]
        == 204
    )
    number = int(answer[1]["oc-fileid"][:8])
    asked = (
        "d:getcontenttype d:resourcetype d:getcontentlength d:getlastmodified d:creationdate oc:id oc:size"
    )
    versions = hrefs(propfind(drive, f"{VERSIONS}/versions/{number}", asked, "1"))
    assert len(versions) == 2
    assert drive.ask("MOVE", versions[1], Destination=f"{drive.url}{VERSIONS}/restore/{number}")[0] == 201
    assert drive.ask("GET", f"{FILES}/photo%201.jpg")[2] == b"a" * 1000 + b"b" * 10
    assert drive.ask("DELETE", f"{FILES}/photo%201.jpg")[0] == 204
    asked = (
        "d:resourcetype d:getcontenttype d:getcontentlength oc:size oc:id nc:trashbin-filename"
        " nc:trashbin-original-location nc:trashbin-deletion-time"
    )
    listed = propfind(drive, f"{TRASH}/trash", asked, "1")
    assert found(listed, f"{OK}/nc:trashbin-filename") == [name]
    item = hrefs(listed)[1]
    restored = f"{drive.url}{TRASH}/restore/photo%201.jpg"
    assert drive.ask("MOVE", item, Destination=restored, Overwrite="T")[0] == 201
    assert drive.ask("GET", f"{FILES}/photo%201.jpg")[0] == 200


def test_ios_lists_stars_and_looks_for_pictures(drive: Served) -> None:
    connected(drive)
    asked = '<d:getetag /><fileid xmlns="http://owncloud.org/ns"/><id xmlns="http://owncloud.org/ns"/>'
    body = f'<?xml version="1.0" encoding="UTF-8"?><d:propfind {SPACES}><d:prop>{asked}</d:prop></d:propfind>'
    assert drive.ask("PROPFIND", f"{FILES}/absent", body.encode(), Depth="0")[0] == 404
    for at, name in enumerate(("un.jpg", "deux.mov", "note.txt", "trois.png")):
        drive.ask("PUT", f"{FILES}/{name}", b"x", X_OC_Mtime=str(1_500_000_000 + at * 60))
    listed = drive.ask("PROPFIND", f"{FILES}/", body.encode(), Depth="1")[2]
    assert len(hrefs(listed)) == 6 and all(one.endswith('"') for one in found(listed, f"{OK}/d:getetag"))
    window = (
        "<d:or><d:and><d:lt><d:prop><d:getlastmodified/></d:prop><d:literal>2017-07-14T02:42:59Z</d:literal></d:lt>"
        "<d:gt><d:prop><d:getlastmodified/></d:prop><d:literal>2000-01-01T00:00:00+00:00</d:literal></d:gt></d:and></d:or>"
    )
    kinds = "".join(
        f"<d:like><d:prop><d:getcontenttype/></d:prop><d:literal>{kind}/%</d:literal></d:like>"
        for kind in ("image", "video")
    )
    media = (
        f'<?xml version="1.0"?><d:searchrequest {SPACES}><d:basicsearch><d:select><d:prop><oc:fileid/><d:getetag/>'
        "<nc:has-preview/></d:prop></d:select><d:from><d:scope><d:href>/files/alice</d:href><d:depth>infinity</d:depth>"
        "</d:scope></d:from><d:orderby><d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order><d:order>"
        "<d:prop><d:displayname/></d:prop><d:descending/></d:order></d:orderby><d:where><d:and><d:or>"
        f"{kinds}</d:or>{window}</d:and></d:where><d:limit><d:nresults>100</d:nresults></d:limit></d:basicsearch>"
        "</d:searchrequest>"
    )
    status, _, answer = drive.ask("SEARCH", "/remote.php/dav", media.encode(), Content_Type="text/xml")
    assert status == 207 and hrefs(answer) == [f"{FILES}/deux.mov", f"{FILES}/un.jpg"]
    star = (
        f'<?xml version="1.0"?><d:propertyupdate {SPACES}><d:set><d:prop><oc:favorite>1</oc:favorite></d:prop></d:set>'
        "</d:propertyupdate>"
    )
    assert drive.ask("PROPPATCH", f"{FILES}/un.jpg", star.encode())[0] == 207
    report = (
        f'<?xml version="1.0"?><oc:filter-files {SPACES}><d:prop><oc:favorite/></d:prop><oc:filter-rules>'
        "<oc:favorite>1</oc:favorite></oc:filter-rules></oc:filter-files>"
    )
    answer = drive.ask("REPORT", f"{FILES}", report.encode())[2]
    assert hrefs(answer) == [f"{FILES}/un.jpg"] and found(answer, f"{OK}/oc:favorite") == ["1"]
    # It numbers its parts without zeros.
    upload, to = f"{UPLOADS}/B3F1", f"{drive.url}{FILES}/film.mov"
    assert drive.ask("MKCOL", upload, Destination=to, OC_Total_Length="11")[0] == 201
    for at in range(1, 12):
        assert (
            drive.ask("PUT", f"{upload}/{at}", bytes([96 + at]), Destination=to, OC_Total_Length="11")[0]
            == 201
        )
    answer = drive.ask(
        "MOVE", f"{upload}/.file", Destination=to, OC_Total_Length="11", X_OC_MTime="1500000000"
    )[0]
    assert answer == 201 and drive.ask("GET", f"{FILES}/film.mov")[2] == b"abcdefghijk"
