"""What Nextcloud's app for iOS asks, with its own headers, and what its own reader makes of the answers.

Its reader knows names by their prefixes, as Nextcloud writes them, and the first ``propstat`` of an entry alone.

Source: NextcloudKit of 2026 (NKDataFileXML, NKProperties, NextcloudKit+Upload), the app's NCShare and NCMedia.
"""

from __future__ import annotations

import plistlib
import re
from urllib.parse import quote

from beffroi.drive.store.shares import Wish
from beffroi.drive.views import SHARED_NAME

from tests.drive_server import Served
from tests.drive_sharing import share
from tests.drive_sync import FILES, hrefs

pytest_plugins = ["tests.fixtures_drive_sync"]
PROPERTIES = (
    "<d:displayname /><share-download-limits xmlns='http://nextcloud.org/ns'/><d:getlastmodified /><d:getetag />"
    '<d:getcontenttype /><d:resourcetype /><permissions xmlns="http://owncloud.org/ns"/>'
    '<id xmlns="http://owncloud.org/ns"/><fileid xmlns="http://owncloud.org/ns"/>'
    '<size xmlns="http://owncloud.org/ns"/><upload_time xmlns="http://nextcloud.org/ns"/>'
    '<share-permissions xmlns="http://open-collaboration-services.org/ns"/>'
    '<share-permissions xmlns="http://open-cloud-mesh.org/ns"/>'
)


def first_stat(drive: Served, path: str, login: str = "alice", more: str = "") -> dict[str, str]:
    """Of one entry, by name and prefix."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?><d:propfind xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"'
        f' xmlns:nc="http://nextcloud.org/ns"><d:prop>{PROPERTIES}{more}</d:prop></d:propfind>'
    )
    kind = {"Depth": "0", "Content_Type": "application/xml", "Accept": "application/xml"}
    status, _, answer = drive.ask("PROPFIND", path, body.encode(), login, **kind)
    assert status == 207
    text = answer.decode()
    stat = text[text.index("<d:propstat>") : text.index("</d:propstat>")]
    return dict(re.findall(r"<([\w:-]+)(?: [^>]*)?>([^<]*)</\1>", stat))


def test_it_shares_what_may_be_shared_and_nothing_else(drive: Served, name: str) -> None:
    """Where the number is not there, or has no 16, its page of shares takes no name."""
    drive.ask("MKCOL", f"{FILES}/{name}")
    drive.ask("PUT", f"{FILES}/{name}/plan.txt", b"x")
    drive.ask("PUT", f"{FILES}/Commune/{name}.txt", b"x")
    share(drive, name, Wish("role", "elu"))
    share(drive, f"{name}/plan.txt", Wish("person", "per_amir", "write"))
    shared = quote(SHARED_NAME)
    for path, login, number in (
        (f"{FILES}/{name}/", "alice", "31"),
        (f"{FILES}/{name}/plan.txt", "alice", "19"),
        (f"{FILES}/Commune/{name}.txt", "alice", "19"),
        (f"{FILES}/Commune/", "alice", "15"),
        (f"{FILES}/", "alice", "15"),
        (f"/remote.php/dav/files/elise/Commune/{name}.txt", "elise", "1"),
        (f"/remote.php/dav/files/elise/{shared}/{name}/", "elise", "1"),
        (f"/remote.php/dav/files/amir/{shared}/plan.txt", "amir", "3"),
    ):
        said = first_stat(drive, path, login)
        assert (said["x1:share-permissions"], "R" in said["oc:permissions"]) == (
            number,
            int(number) & 16 > 0,
        ), path
        assert int(said["nc:upload_time"]) > 1_700_000_000


def test_it_sends_pictures_into_folders_that_are_not_there_yet(drive: Served, name: str) -> None:
    """One PUT a picture, in the background, with fractions of seconds; its folders by year and month come with it."""
    sent = {
        "X_NC_WebDAV_Auto_Mkcol": "1",
        "X_OC_CTime": "1723456000.25",
        "X_OC_MTime": "1723456789.75",
        "Content_Type": "application/octet-stream",
    }
    path = f"{FILES}/{name}/2026/08/IMG_0001.HEIC"
    status, headers, _ = drive.ask("PUT", path, b"a picture", **sent)
    assert (
        status == 201 and headers["x-oc-mtime"] == "accepted" and headers["oc-fileid"] and headers["oc-etag"]
    )
    assert drive.ask("PUT", f"{FILES}/{name}/2026/09/film.mov", b"f" * 200_000, **sent)[0] == 201
    assert drive.ask("GET", path)[2] == b"a picture"
    assert drive.ask("PUT", path, b"again", **sent)[0] == 204
    del sent["X_NC_WebDAV_Auto_Mkcol"]
    assert drive.ask("PUT", f"{FILES}/{name}/2027/01/a.jpg", b"x", **sent)[0] == 409, (
        "who does not ask for it"
    )


def test_no_folder_is_made_where_none_may_be(drive: Served, name: str) -> None:
    sent = {"X_NC_WebDAV_Auto_Mkcol": "1"}
    drive.ask("PUT", f"{FILES}/{name}", b"a file")
    for path, login, wanted, more in (
        (f"{FILES}/{name}/2026/a.jpg", "alice", 409, {}),
        (f"/remote.php/dav/files/elise/Commune/{name}-d/a.jpg", "elise", 403, {}),
        (f"{FILES}/{quote(SHARED_NAME)}/{name}-d/a.jpg", "alice", 409, {}),
        (f"{FILES}/{name}-d/a/b.jpg", "alice", 412, {"If_Match": '"1"'}),
        (f"{FILES}/{'x/' * 101}a.jpg", "alice", 400, {}),
    ):
        for length in (10, 200_000):
            status = drive.ask("PUT", path, b"x" * length, login, **sent, **more)[0]
            assert status == wanted, (path, status)
    assert drive.ask("PROPFIND", f"{FILES}/{name}-d", Depth="0")[0] == 404, "what is refused makes nothing"
    assert drive.ask("GET", f"{FILES}/{name}")[2] == b"a file"


def test_its_media_are_found_by_a_body_with_remarks_and_its_pictures_keep_their_film(
    drive: Served, name: str
) -> None:
    drive.ask("MKCOL", f"{FILES}/{name}")
    for at, one in enumerate((f"{name}.heic", f"{name}.mov", f"{name}.txt")):
        drive.ask("PUT", f"{FILES}/{name}/{one}", b"x", X_OC_MTime=str(1_600_000_000 + at))
    kinds = "".join(
        f"<d:like><d:prop><d:getcontenttype/></d:prop><d:literal>{kind}/%</d:literal></d:like>"
        for kind in ("image", "video")
    )
    span = (
        "<d:and><d:lte><d:prop><d:getlastmodified/></d:prop><d:literal>2020-09-13T14:26:41+02:00</d:literal></d:lte>"
        "<d:gte><d:prop><d:getlastmodified/></d:prop><d:literal>1970-01-01T00:00:00Z</d:literal></d:gte></d:and>"
    )
    order = "<d:order><d:prop><d:getlastmodified/></d:prop><d:descending/></d:order>"
    body = (
        '<?xml version="1.0"?><d:searchrequest xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns"'
        ' xmlns:nc="http://nextcloud.org/ns"><d:basicsearch><!-- what --><d:select><d:prop>'
        '<id xmlns="http://owncloud.org/ns"/><upload_time xmlns="http://nextcloud.org/ns"/></d:prop></d:select>'
        f"<!-- where --><d:from><d:scope><d:href>/files/alice/{name}</d:href><d:depth>infinity</d:depth></d:scope>"
        f"</d:from><d:where><d:and><!-- kinds --><d:or>{kinds}</d:or>{span}</d:and></d:where>"
        f"<d:orderby>{order}</d:orderby><d:limit><d:nresults>100000</d:nresults></d:limit></d:basicsearch></d:searchrequest>"
    )
    # It goes on until a page is not full: one that holds everything again, and is full, has no end.
    for offset, wanted in ((0, [f"{name}.mov"]), (1, [f"{name}.heic"]), (2, []), (10**17, [])):
        asked = {"X_NC_Paginate": "true", "X_NC_Paginate_Count": "1", "X_NC_Paginate_Offset": str(offset)}
        status, headers, answer = drive.ask("SEARCH", "/remote.php/dav", body.encode(), **asked)
        assert (status, headers["x-nc-paginate"]) == (207, "true")
        assert hrefs(answer) == [f"{FILES}/{name}/{one}" for one in wanted]
    whole = [
        drive.ask("SEARCH", "/remote.php/dav", body.encode(), **more)
        for more in ({}, {"X_NC_Paginate": "true"})
    ]
    assert [len(hrefs(answer)) for _, _, answer in whole] == [2, 2]
    assert "x-nc-paginate" not in whole[0][1]
    film = (
        '<?xml version="1.0" encoding="UTF-8"?><d:propertyupdate xmlns:d="DAV:" xmlns:nc="http://nextcloud.org/ns">'
        f"<d:set><d:prop><nc:metadata-files-live-photo>{name}.mov</nc:metadata-files-live-photo></d:prop></d:set>"
        "</d:propertyupdate>"
    )
    assert drive.ask("PROPPATCH", f"{FILES}/{name}/{name}.heic", film.encode())[0] == 207
    said = first_stat(drive, f"{FILES}/{name}/{name}.heic", more="<nc:metadata-files-live-photo/>")
    assert said["nc:metadata-files-live-photo"] == f"{name}.mov"


def test_its_settings_add_calendars_and_contacts_by_a_profile(drive: Served) -> None:
    path = "/remote.php/dav/provisioning/apple-provisioning.mobileconfig"
    status, headers, body = drive.ask("GET", path)
    assert (status, headers["content-type"].partition(";")[0]) == (200, "application/x-apple-aspen-config")
    said = plistlib.loads(body)
    assert said["PayloadType"] == "Configuration" and said == plistlib.loads(drive.ask("GET", path)[2])
    calendars, contacts = said["PayloadContent"]
    wanted = {"HostName": "localhost", "Port": 443, "UseSSL": True, "Username": "alice"}
    assert {key: calendars[f"CalDAV{key}"] for key in wanted} == wanted
    assert {key: contacts[f"CardDAV{key}"] for key in wanted} == wanted
    assert [one["PayloadType"] for one in (calendars, contacts)] == [
        "com.apple.caldav.account",
        "com.apple.carddav.account",
    ]
    assert len({one["PayloadUUID"] for one in (said, calendars, contacts)}) == 3
    other = plistlib.loads(drive.ask("GET", path, login="amir")[2])
    assert other["PayloadUUID"] != said["PayloadUUID"] and b"Password" not in body
    assert drive.ask("PUT", path, b"x")[0] == 405 and drive.ask("GET", path, login="nobody")[0] == 401
